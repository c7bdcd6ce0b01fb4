"""Quantiles of numbers that pass by once, in memory that does not grow.

Numbers below 128 are counted each; above, in bins whose width is 1/64 of where they begin, so a quantile is off by less
than 1.6 %.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

_EXACT = 128
_STEPS = 64  # bins from one power of two to the next
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Spread:
    """How numbers lie. `quantiles` are at 5, 25, 50, 75 and 95 %; `bars` are (from, below, how many)."""

    count: int
    mean: float
    least: float
    most: float
    quantiles: tuple[float, ...]
    bars: tuple[tuple[float, float, int], ...]


class Histogram:
    """Counts numbers that are not negative.

    Args:
        unit: numbers are counted in multiples of it: 1 for words, .1 for seconds.
    """

    def __init__(self, unit: float = 1.0) -> None:
        self.unit = unit
        self._bins: Counter[int] = Counter()
        self._sum = 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, value: float) -> None:
        """Count a number."""
        self._bins[_bin(int(value / self.unit))] += 1
        self._sum += value
        self._least, self._most = min(self._least, value), max(self._most, value)

    def spread(self) -> Spread | None:
        """What was counted; None for nothing."""
        count = self._bins.total()
        if not count:
            return None
        return Spread(
            count=count,
            mean=self._sum / count,
            least=self._least,
            most=self._most,
            quantiles=tuple(self._quantile(share, count) for share in SHARES),
            bars=self._bars(),
        )

    def _quantile(self, share: float, count: int) -> float:
        """The smallest number, by the beginning of its bin, at or below which are this share of all."""
        passed = 0
        for number, of_it in sorted(self._bins.items()):
            passed += of_it
            if passed >= share * count:
                return min(max(_begin(number) * self.unit, self._least), self._most)
        return self._most

    def _bars(self) -> tuple[tuple[float, float, int], ...]:
        """Bars for a plot: one for each number where there are few, else by half octaves."""
        bars: Counter[tuple[int, int]] = Counter()
        few = _begin(max(self._bins)) < 24
        for number, of_it in self._bins.items():
            begin = _begin(number)
            bars[(begin, begin + 1) if few else _half_octave(begin)] += of_it
        return tuple((low * self.unit, high * self.unit, of_it) for (low, high), of_it in sorted(bars.items()))


def _bin(value: int) -> int:
    if value < _EXACT:
        return value
    octave = value.bit_length() - _EXACT.bit_length()  # 0 from 128 on
    return _EXACT + octave * _STEPS + ((value >> (octave + 1)) - _STEPS)


def _begin(number: int) -> int:
    """The smallest number of a bin.

    >>> [_begin(_bin(value)) for value in (5, 127, 128, 130, 131, 1_000_000)]
    [5, 127, 128, 130, 130, 999424]
    """
    if number < _EXACT:
        return number
    octave, step = divmod(number - _EXACT, _STEPS)
    return (step + _STEPS) << (octave + 1)


def _half_octave(value: int) -> tuple[int, int]:
    """The bar of a number: from a power of two to half as much again, and from there to the next power.

    >>> _half_octave(0), _half_octave(1), _half_octave(3), _half_octave(5), _half_octave(7)
    ((0, 1), (1, 2), (3, 4), (4, 6), (6, 8))
    """
    if value < 2:
        return value, value + 1
    low = 1 << (value.bit_length() - 1)
    middle = low + low // 2
    return (low, middle) if value < middle else (middle, 2 * low)
