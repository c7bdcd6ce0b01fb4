"""Lists and numbers in the cells of rows, checked: what is neither is refused, and nothing is unbounded."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence

from omnireward.rows import Row

MOST = 200  # entries of one cell; published ones have ten or so, and pairs grow with the square


def listed(row: Row, field: str, length: int | None = None) -> list[object]:
    """A field that must be a list that is not empty.

    Args:
        row: the row.
        field: its field.
        length: how many entries it must have; by default, any number up to `MOST`.

    Raises:
        BadRowError: it is missing, something else, or of another length.
    """
    if field not in row.fields:
        raise row.missing(field)
    value = row.fields[field]
    if not isinstance(value, list):
        raise row.bad(field, f"is {reprlib.repr(value)}, not a list.")
    if length is not None and len(value) != length:
        raise row.bad(field, f"has {len(value)} entries, not {length}.")
    if not 0 < len(value) <= MOST:
        raise row.bad(field, f"has {len(value)} entries; 1 to {MOST} are read.")
    return value


def names(row: Row, field: str, length: int | None = None) -> list[str]:
    """A field that must be a list of different names, none of them empty; raises BadRowError."""
    found = [row.checked_text(field, value) for value in listed(row, field, length)]
    if "" in found or len(set(found)) < len(found):
        raise row.bad(field, f"is {reprlib.repr(found)}: each entry must name another file.")
    return found


def numbers(row: Row, field: str, values: Sequence[object]) -> list[float]:
    """Values found in a field, which must be finite numbers; raises BadRowError."""
    return [_number(row, field, value) for value in values]


def number_or_numbers(row: Row, field: str) -> list[float]:
    """A field that holds one number, or a list of them; raises BadRowError."""
    value = row.fields.get(field)
    return numbers(row, field, listed(row, field) if field not in row.fields or isinstance(value, list) else [value])


def _number(row: Row, field: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise row.bad(field, f"holds {reprlib.repr(value)} where a finite number belongs.")


def told(values: Sequence[float]) -> str:
    """Numbers as provenance says them.

    >>> told([4.0, 4.5, 1.0])
    '4 4.5 1'
    """
    return " ".join(repr(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value) for value in values)
