"""Rows with several completions of one prompt, each rated under some aspects by a model.

Ratings are text, ``"4"`` or ``"N/A"``. `completions` is a list of structs in the raw files and a struct of lists where
an older Parquet writer made it; both are read.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from omnireward.datasets._checked_lists import MOST
from omnireward.rows import Row
from omnireward.scores import PairRule, ScoredPair, scored_pairs

FIELD = "completions"
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Rated:
    """A completion: which model wrote what, its score (None: it has none), and what provenance says of it."""

    model: str
    response: str
    score: float | None
    told: Mapping[str, str]


def completions(row: Row) -> list[Mapping[str, object]]:
    """The completions of a row; there may be none.

    Raises:
        BadRowError: they are missing, in another form, or more than `MOST`.
    """
    if FIELD not in row.fields:
        raise row.missing(FIELD)
    value = row.fields[FIELD]
    if isinstance(value, Mapping):
        value = _transposed(row, value)
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise row.bad(FIELD, f"is {reprlib.repr(value)}, not a list of objects.")
    if len(value) > MOST:
        raise row.bad(FIELD, f"has {len(value)} entries; up to {MOST} are read.")
    return value


def text(row: Row, completion: Mapping[str, object], key: str) -> str:
    """A text inside a completion; raises BadRowError."""
    if key not in completion:
        raise row.bad(FIELD, f"has one without {key!r}.")
    return row.checked_text(FIELD, completion[key])


def aspects(row: Row, completion: Mapping[str, object]) -> Mapping[str, object]:
    """The aspects of a completion; empty where it has none. Raises BadRowError."""
    value = completion.get("annotations")
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise row.bad(FIELD, f"has the annotations {reprlib.repr(value)}, which are no object.")
    return value


def rating(row: Row, aspect: object) -> float | str | None:
    """The rating of an aspect: a number, or the text that stands where one belongs; None where nothing stands.

    Raises:
        BadRowError: something else.
    """
    value = aspect.get("Rating") if isinstance(aspect, Mapping) else aspect
    if value is None:
        return None
    number = number_of(value)
    if number is not None:
        return number
    if isinstance(value, str):
        return row.checked_text(FIELD, value).strip()
    raise row.bad(FIELD, f"has the rating {reprlib.repr(value)}, which is neither a number nor text.")


def number_of(value: object) -> float | None:
    """A finite number, written as one or as text; None for anything else."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1000:  # false for NaN
        return float(value)
    return None


def written(value: float | str | None) -> str:
    """A rating as provenance says it.

    >>> written(4.0), written(3.5), written("N/A"), written(None)
    ('4', '3.5', 'N/A', '')
    """
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value[:20] if value else ""


def pairs(rated: Sequence[Rated], rule: PairRule) -> Iterator[tuple[ScoredPair, dict[str, str]]]:
    """The pairs that the rule makes, each with its provenance; two completions that say the same are no pair."""
    for pair in scored_pairs([one.score for one in rated], rule):
        a, b = rated[pair.a], rated[pair.b]
        if a.response == b.response:
            continue
        told = {"model_a": a.model, "model_b": b.model, **pair.provenance()}
        for side, one in (("a", a), ("b", b)):
            told |= {f"{key}_{side}": value for key, value in one.told.items()}
        yield pair, told


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def _transposed(row: Row, value: Mapping[str, object]) -> list[dict[str, object]]:
    columns = list(value.items())
    lists = [column for _, column in columns if isinstance(column, list)]
    if not lists or len(lists) != len(columns) or len({len(column) for column in lists}) != 1:
        raise row.bad(FIELD, f"is {reprlib.repr(value)}; a struct of completions must hold lists of one length.")
    return [dict(zip(value, cells, strict=True)) for cells in zip(*lists, strict=True)]
