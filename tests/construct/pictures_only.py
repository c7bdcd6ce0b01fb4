"""A judge of generated images alone, as a plug-in from outside the package."""

from __future__ import annotations

from collections.abc import Sequence

from omnireward.judges import JudgeKind, JudgeOptions
from omnireward.types import Comparison, Judgement, Task


class PicturesOnly:
    """Never to be asked about words."""

    fingerprint = "pictures-only:1"

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        assert not comparisons
        return []


def _open(argument: str, options: JudgeOptions) -> PicturesOnly:
    return PicturesOnly()


JUDGE = JudgeKind(summary="for tests", open=_open, tasks=frozenset({Task.T2I}))
