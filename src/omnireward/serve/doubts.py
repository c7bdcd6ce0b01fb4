"""What a server says of rewards that may be off: how familiar a response is to the model (see `uncertainty`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from omnireward.judges import Judge
from omnireward.judges.reward import RewardJudge
from omnireward.serve.asking import Problem, Scored

if TYPE_CHECKING:
    from omnireward.uncertainty import Doubt, Uncertainty


def doubt_of(judge: Judge, scored: Sequence[Sequence[Scored | Problem]]) -> Callable[[int, int], Doubt] | None:
    """As `Served` has it: by the place of an Ask and of one of its responses. None where the model does not know."""
    known = _known(judge)
    if known is None:
        return None

    def doubt(ask: int, place: int) -> Doubt:
        one = scored[ask][place]
        assert isinstance(one, Scored)
        assert one.distance is not None
        return known.of_response(one.distance)

    return doubt


def between(judge: Judge, a: Scored, b: Scored) -> Doubt | None:
    """Of two responses; None where the model does not know."""
    known = _known(judge)
    if known is None or a.distance is None or b.distance is None:
        return None
    return known.of_comparison(a.distance, b.distance)


def _known(judge: Judge) -> Uncertainty | None:
    return judge.model.uncertainty if isinstance(judge, RewardJudge) else None
