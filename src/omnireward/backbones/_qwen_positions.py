"""Positions with three axes, (time, height, width), as Qwen's multimodal models were trained with (arXiv 2409.12191).

Text counts up on all axes at once. A picture or a video is a grid: all its tokens start from one position and differ
by slice, row and column. What follows starts one above the largest position so far, on any axis.

Trap: transformers from 5.3 on lets the text behind a video of Qwen2.5-VL start above its height and width alone, below
the positions of its later slices. The published models were trained, and are served elsewhere, with the rule here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Grid:
    """A stretch of placeholders in a row: slices of rows of columns.

    Attributes:
        start: the token that it begins with.
        times: the position of each slice above the grid's first, increasing; in some models fractions.
        height: rows of embeddings.
        width: columns of embeddings.
    """

    start: int
    times: Sequence[float]
    height: int
    width: int

    @property
    def stop(self) -> int:
        """The token behind it."""
        return self.start + len(self.times) * self.height * self.width


def slice_times(slices: int, seconds: float, per_second: float) -> list[int]:
    """Positions of the slices of a video on the axis of time, rounded down.

    Args:
        slices: how many.
        seconds: from one slice to the next.
        per_second: positions for a second.

    >>> slice_times(4, 0.75, 2)
    [0, 1, 3, 4]
    """
    return [int(i * (seconds * per_second)) for i in range(slices)]


def grid_positions(length: int, grids: Iterable[Grid]) -> Tensor:
    """Positions of a row's tokens: (3, length) int64, or float32 where a grid's times are fractions.

    Args:
        length: tokens in the row.
        grids: in order, not overlapping. All other tokens, those of sounds too, count up as text does.

    >>> grid_positions(8, [Grid(1, (0, 1), 1, 2)]).tolist()
    [[0, 1, 1, 2, 2, 3, 4, 5], [0, 1, 1, 1, 1, 3, 4, 5], [0, 1, 2, 1, 2, 3, 4, 5]]
    """
    pieces: list[Tensor] = []
    done = 0
    following: float = 0
    for grid in grids:
        pieces.append(_text(grid.start - done, following))
        following += grid.start - done
        times = torch.tensor(list(grid.times))
        rows, columns = (torch.arange(count, dtype=times.dtype) for count in (grid.height, grid.width))
        axes = torch.meshgrid(times, rows, columns, indexing="ij")
        pieces.append(torch.stack(axes).flatten(1) + following)
        following = pieces[-1].max().item() + 1
        done = grid.stop
    return torch.cat([*pieces, _text(length - done, following)], dim=1)


def _text(count: int, first: float) -> Tensor:
    return (torch.arange(count) + first).expand(3, -1)
