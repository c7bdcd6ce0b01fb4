"""Muon for the matrices of a decoder's layers, AdamW for all else, as one optimizer of the Trainer.

Muon (K. Jordan, 2024) makes updates of matrices orthogonal. On models as small as the offline ones it takes a fraction
of the steps of AdamW, which embeddings, norms and heads still need. Unusual: torch has a Muon too, which iterates in
bfloat16; on processors without instructions for it, that took more than half of a step's time here, so this one stays
in the precision of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM, ITERATIONS = 0.95, 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's: the steepest at 0 that stay bounded
OVER_ADAMW = 10.0  # between their learning rates, as both learn tiny models


class Muon(torch.optim.Optimizer):
    """Momentum (Nesterov's), made orthogonal by five steps of Newton and Schulz's iteration; for matrices alone.

    Args:
        matrices: to learn, (rows, columns) each.
        lr: the rate, which tall matrices multiply by sqrt(rows / columns).
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                kept = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                kept.lerp_(weight.grad, 1 - MOMENTUM)
                update = orthogonal(weight.grad.lerp(kept, MOMENTUM))
                rows, columns = weight.shape
                weight.add_(update, alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix with singular values moved near 1, between about 0.7 and 1.2; all zeros stay so."""
    wide: Tensor = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / wide.norm().clamp(min=1e-7)  # no singular value is above 1 then
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = COEFFICIENTS[0] * wide + (COEFFICIENTS[1] * square + COEFFICIENTS[2] * square @ square) @ wide
    wide = wide.T if matrix.shape[0] > matrix.shape[1] else wide
    return wide


class MuonBesideAdamW(torch.optim.Optimizer):
    """Two optimizers that step together. Their groups are one list, so one schedule serves both.

    Args:
        model: whose parameters with gradients learn.
        rate: of AdamW; Muon's is OVER_ADAMW times this.
        decay: AdamW's weight decay, of what is no vector.
    """

    def __init__(self, model: nn.Module, rate: float, decay: float) -> None:
        learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        matrices = [weight for name, weight in learning.items() if _is_muons(name, weight)]
        others = [weight for name, weight in learning.items() if not _is_muons(name, weight)]
        decayed = [weight for weight in others if weight.ndim > 1]
        plain = [weight for weight in others if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
        self._parts: tuple[torch.optim.Optimizer, ...] = (
            *([Muon(matrices, OVER_ADAMW * rate)] if matrices else []),
            *([torch.optim.AdamW(there, lr=rate)] if (there := [group for group in groups if group["params"]]) else []),
        )
        super().__init__(
            [weight for part in self._parts for group in part.param_groups for weight in group["params"]], {}
        )
        self._join()

    def _join(self) -> None:
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the states of both."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._join()


def _is_muons(name: str, weight: nn.Parameter) -> bool:
    return weight.ndim == 2 and ".layers." in name
