"""Values out of a YAML or JSON file, read strictly: each is what it should be, or an error says where and why.

Values come from strangers, so an error shows only the beginning of one, and nothing is larger than it need be.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from omnireward.errors import OmniRewardError, RecipeError
from omnireward.plugins import suggest
from omnireward.types import Task

MOST_NAMES, MOST_LETTERS, MOST_WORDS = 100, 100, 2_000
_T = TypeVar("_T")


class Fields:
    """Reads one file; errors begin with its name and the place inside it. All methods raise RecipeError."""

    def __init__(self, file: str) -> None:
        self.file = file

    def bad(self, where: str, problem: str) -> NoReturn:
        """What is wrong where."""
        raise RecipeError(f"{self.file}: {where}: {problem}")

    def keys(self, where: str, value: object, known: tuple[str, ...]) -> Mapping[str, Any]:
        """A mapping of known keys."""
        keys = self.mapping(where, value)
        for key in keys:
            if key not in known:
                self.bad(where, f"unknown key {reprlib.repr(key)}. {suggest(key, list(known))}")
        return keys

    def each(self, where: str, value: object, make: Callable[[str, object], _T]) -> dict[str, _T]:
        """A mapping, each value read by `make`."""
        return {name: make(f"{where}, {name}", one) for name, one in self.mapping(where, value).items()}

    def mapping(self, where: str, value: object) -> Mapping[str, Any]:
        """A mapping from names; nothing is an empty one."""
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(key, str) and key.strip() for key in value):
            self.bad(where, f"is a mapping from names to values, not {reprlib.repr(value)}.")
        if len(value) > MOST_NAMES or any(len(key) > MOST_LETTERS or not key.isprintable() for key in value):
            self.bad(where, f"holds at most {MOST_NAMES} names, each of at most {MOST_LETTERS} printable characters.")
        return value

    def listed(self, where: str, value: object) -> list[tuple[str, object]]:
        """The entries of a list, with where they stand; nothing is an empty one."""
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MOST_NAMES:
            self.bad(where, f"is a list of at most {MOST_NAMES}, not {reprlib.repr(value)}.")
        return [(f"{where}, number {number}", one) for number, one in enumerate(value, start=1)]

    def text(self, where: str, value: object, empty: bool = False) -> str:
        """One line of text: white space becomes single spaces."""
        if not isinstance(value, str) or len(value) > MOST_WORDS or not (empty or value.strip()):
            self.bad(where, f"is text of at most {MOST_WORDS:,} characters, not {reprlib.repr(value)}.")
        return " ".join(value.split())

    def texts(self, where: str, value: object) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(self.text(at, one) for at, one in self.listed(where, value))

    def number(self, where: str, value: object) -> float:
        """A finite number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.bad(where, f"is a finite number, not {reprlib.repr(value)}.")
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            self.bad(where, f"is a finite number, not {reprlib.repr(value)}.")
        return number

    def one_of(self, where: str, value: object, known: tuple[str, ...]) -> str:
        """A name that is known."""
        if not isinstance(value, str) or value not in known:
            self.bad(where, f"is {reprlib.repr(value)}. {suggest(str(value)[:100], list(known))}")
        return value

    def task(self, where: str, name: str) -> Task:
        """A task by its name."""
        try:
            return Task.parse(name)
        except OmniRewardError as error:
            self.bad(where, str(error))
