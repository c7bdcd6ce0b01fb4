"""The parts of a backbone that a run freezes, trains, adapts, or gives a learning rate of their own, by name.

`vision` and `audio` are towers with what joins them to the language model; `projectors` are the joints alone, of all
towers; `llm` is all the rest. A parameter of a joint so belongs to two parts, the narrower of which is named first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.errors import UnknownNameError

LLM = "llm"
PROJECTORS = "projectors"
HEAD = "head"  # beside the backbone; never frozen


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parameters are which part's.

    Attributes:
        towers: tower -> prefixes of its parameters' names.
        projectors: prefixes of the joints' names, all of them towers' too.
    """

    towers: Mapping[str, tuple[str, ...]]
    projectors: tuple[str, ...]

    @classmethod
    def of_family(cls, family: BackboneFamily) -> Parts:
        """Of every backbone of a family."""
        return cls(family.towers, family.projectors)

    @property
    def names(self) -> tuple[str, ...]:
        """All parts that there are."""
        return (*self.towers, *((PROJECTORS,) if self.projectors else ()), LLM)

    def whole(self, name: str) -> str:
        """The tower that a name of a parameter or module of the backbone belongs to, else `llm`."""
        return next((tower for tower, prefixes in self.towers.items() if name.startswith(prefixes)), LLM)

    def of(self, name: str) -> tuple[str, ...]:
        """The parts that a name of a parameter or module of the backbone belongs to, the narrowest first."""
        return (PROJECTORS, self.whole(name)) if name.startswith(self.projectors) else (self.whole(name),)

    def check(self, named: Iterable[str], flag: str, *more: str) -> None:
        """Refuse names of no part; `more` are names that this flag knows besides. Raises UnknownNameError."""
        known = sorted({*self.names, *more})
        for name in named:
            if name not in known:
                raise UnknownNameError(f"{flag}: there is no part {name!r}. {plugins.suggest(name, known)}")
