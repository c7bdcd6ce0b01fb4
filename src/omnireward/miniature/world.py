"""Samples of the made-up world: pairs, criteria about them, and the preference that the truth gives.

For each pair several criteria are asked, among them both directions of one family, and sometimes none (the *general*
preference). A sample whose criterion wants what the general preference wants is *invariant*; one that wants the
opposite is *shifted* (paper section 5). Two items are a tie where their truths differ by no more than TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from omnireward.errors import RecipeError
from omnireward.miniature.families import FAMILIES, Family, Wording
from omnireward.miniature.items import Split, one_of
from omnireward.miniature.pairs import Pair, draw_pair
from omnireward.plugins import suggest
from omnireward.types import Comparison, Preference, Sample, Task, Turn

TOLERANCE = 0.1  # in units of truth, whose range is [0, 1]
TIE_SHARE = 0.12  # of the criteria asked; Omni-RewardBench has 441 ties in 3,725 samples


@dataclass(frozen=True, slots=True)
class World:
    """Which part of the world to make.

    Attributes:
        pairs: pairs for each task; each is asked about under three criteria.
        seed: another seed is another world of the same kind.
        families: ``trained`` asks about the families that training uses, ``unseen`` about those held out from it.
    """

    pairs: int = 250
    seed: int = 0
    families: str = "trained"

    @classmethod
    def parse(cls, settings: str, default: World) -> World:
        """Read settings such as ``pairs=9,seed=3``; what is not named is as in `default`.

        Raises:
            RecipeError: a setting that does not exist, or a value that cannot be read.

        >>> World.parse("pairs=9,families=unseen", World()).pairs
        9
        """
        values = {f.name: getattr(default, f.name) for f in fields(cls)}
        for setting in filter(None, settings.split(",")):
            name, _, value = setting.partition("=")
            if name not in values:
                raise RecipeError(f"the miniature world has no setting {name!r}. {suggest(name, list(values))}")
            if name != "families" and not value.isdecimal():
                raise RecipeError(f"the miniature world's setting {name!r} is a whole number; got {value!r}.")
            values[name] = value if name == "families" else int(value)
        if values["families"] not in ("trained", "unseen"):
            raise RecipeError(f"families is 'trained' or 'unseen'; got {values['families']!r}.")
        return cls(**values)


def pairs(world: World, split: Split) -> Iterator[tuple[Task, int, Pair, np.random.Generator]]:
    """Task, number, pair, and the generator that goes on from it; task after task in turn."""
    for number in range(world.pairs):
        for index, task in enumerate(Task):
            rng = np.random.default_rng([world.seed, 0 if split == "train" else 1, index, number])
            yield task, number, draw_pair(task, split, rng), rng


def samples(world: World, split: Split) -> Iterator[Sample]:
    """The samples of one split, task after task in turn, so that the first N hold every task.

    Training uses the seen wordings only; the test split uses seen and unseen ones in equal shares.
    """
    for task, number, pair, rng in pairs(world, split):
        for ask, (family, direction) in enumerate(_questions(world, task, pair, rng)):
            wording: Wording = "seen" if split == "train" or rng.random() < 0.5 else "unseen"
            yield _sample(task, pair, family, direction, wording, f"{task.short}-{number}", ask, rng)


def _questions(world: World, task: Task, pair: Pair, rng: np.random.Generator) -> list[tuple[Family | None, int]]:
    """Both directions of one family, then another family or, in two cases of five, no criterion at all."""
    first, second = _family(world, task, pair, rng), _family(world, task, pair, rng)
    general = world.families == "trained" and rng.random() < 0.4
    return [(first, 1), (first, -1), (None if general else second, 1 if rng.random() < 0.5 else -1)]


def _sample(
    task: Task,
    pair: Pair,
    family: Family | None,
    direction: int,
    wording: Wording,
    cluster: str,
    ask: int,
    rng: np.random.Generator,
) -> Sample:
    if family is None:
        gap, criterion = pair.a.truth["general"] - pair.b.truth["general"], ""
        groups: tuple[str, ...] = ("general",)
    else:
        gap = direction * _gap(pair, family)
        criterion = one_of(rng, list(family.wordings(direction, task, wording)))
        groups = (f"{wording} wording", f"family {family.truth}", *_shift(pair, gap))
    return Sample(
        id=f"{cluster}-{ask}",
        task=task,
        comparison=Comparison((Turn("user", pair.prompt),), (pair.a.part,), (pair.b.part,), criterion),
        preference=_preference(gap),
        cluster=cluster,
        groups=groups,
        provenance={"source": "miniature"},
    )


def _family(world: World, task: Task, pair: Pair, rng: np.random.Generator) -> Family:
    """A family to ask about: one in which the items tie with probability TIE_SHARE, where the pair allows it."""
    families = [f for f in FAMILIES[task] if f.held_out == (world.families == "unseen")]
    ties = [f for f in families if abs(_gap(pair, f)) <= TOLERANCE]
    others = [f for f in families if f not in ties]
    wanted = ties if rng.random() < TIE_SHARE else others
    pool = wanted or families
    return pool[int(rng.integers(len(pool)))]


def _gap(pair: Pair, family: Family) -> float:
    return pair.a.truth[family.truth] - pair.b.truth[family.truth]


def _preference(gap: float) -> Preference:
    if abs(gap) <= TOLERANCE:
        return "tie"
    return "a" if gap > 0 else "b"


def _shift(pair: Pair, gap: float) -> tuple[str, ...]:
    general = pair.a.truth["general"] - pair.b.truth["general"]
    if abs(general) <= TOLERANCE or abs(gap) <= TOLERANCE:
        return ()
    return ("invariant",) if (general > 0) == (gap > 0) else ("shifted",)
