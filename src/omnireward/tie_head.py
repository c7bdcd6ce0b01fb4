"""The tie head: how close two rewards must lie for their responses to count as tied, learned with the rewards.

Bradley-Terry gives no probability to a tie, so whoever wants ties from its margins must fit a threshold, and the paper
fits it on the benchmark. Here each response has, beside its reward, a *leeway*: a linear function of the same hidden
state, hence of the criterion, the prompt and the response, or one number for all. The mean of both leeways is a pair's
parameter of Rao and Kupper's model, by way of softplus (it is at least 0), or of Davidson's (see
`metrics.probabilities`). Swapping two responses swaps P(a) and P(b), and leaves P(tie) as it is.

It is saved beside the head as `tie_head.safetensors`, so the head's own file is what others expect.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from omnireward.errors import CheckpointError
from omnireward.metrics.probabilities import PairProbabilities, davidson_probabilities, pair_probabilities

FILE = "tie_head.safetensors"
TieKind = Literal["rao_kupper", "davidson"]
_KEYS = ("tie_head.weight", "tie_head.bias")
_START = 0.5  # Rao and Kupper's d before training: a tie has 0.24 where the margin is 0
# AdamW moves a number by about its rate in each step, whatever its gradient: a lone threshold would be underway for
# thousands of steps. So the number that is learned is this much smaller than what it stands for.
_PACE = 100.0


class TieHead(nn.Module):
    """Leeways of responses.

    Args:
        hidden: size of the backbone's hidden states.
        kind: of the model of ties.
        each: whether responses have leeways of their own; else there is one for all.

    Attributes:
        weight: (1, hidden) float32; learns only where each response has a leeway of its own.
        pace: (1,) float32, the bias over `_PACE`.
    """

    def __init__(self, hidden: int, kind: TieKind, each: bool = True) -> None:
        super().__init__()
        self.kind: TieKind = kind
        self.weight = nn.Parameter(torch.zeros(1, hidden), requires_grad=each)
        self.pace = nn.Parameter(torch.empty(1))
        self.set_bias(math.log(math.expm1(_START)) if kind == "rao_kupper" else 0.0)

    def forward(self, hidden: Tensor) -> Tensor:
        """Leeways: (rows,) float32, of hidden states (rows, hidden) float32."""
        return F.linear(hidden, self.weight, _PACE * self.pace).squeeze(-1)

    def log_probabilities(self, margins: Tensor, leeways: Tensor) -> Tensor:
        """Logarithms of P(a), P(tie) and P(b): (pairs, 3).

        Args:
            margins: (pairs,) reward(a) - reward(b).
            leeways: (pairs,) the mean of both leeways.
        """
        return log_probabilities(self.kind, margins, F.softplus(leeways) if self.kind == "rao_kupper" else leeways)

    def probabilities(self, margin: float, leeway_a: float, leeway_b: float) -> PairProbabilities:
        """The three of one pair, from what `RewardModel.score_both` gives."""
        leeway = (leeway_a + leeway_b) / 2
        if self.kind == "davidson":
            return davidson_probabilities(margin, leeway)
        return pair_probabilities(margin, max(leeway, 0.0) + math.log1p(math.exp(-abs(leeway))))

    @torch.no_grad()
    def set_bias(self, bias: float) -> None:
        """The leeway of a hidden state of zeros."""
        self.pace.fill_(bias / _PACE)

    def write(self, folder: Path) -> None:
        """Write the weight (1, hidden) float32 and the bias (1,) float64, of which the pace comes back exactly."""
        values = (self.weight.detach(), _PACE * self.pace.detach().double())
        named = {name: value.cpu().contiguous() for name, value in zip(_KEYS, values, strict=True)}
        save_file(named, folder / FILE, metadata={"format": "pt"})


def log_probabilities(kind: TieKind, margins: Tensor, parameter: Tensor) -> Tensor:
    """Logarithms of P(a), P(tie) and P(b), with gradients: (pairs, 3).

    Args:
        kind: Rao and Kupper's model, or Davidson's.
        margins: (pairs,) reward(a) - reward(b).
        parameter: (pairs,) or (): d > 0 of Rao and Kupper, or Davidson's log nu.
    """
    if kind == "davidson":
        return torch.stack([margins / 2, parameter.expand_as(margins), -margins / 2], -1).log_softmax(-1)
    tie = F.logsigmoid(parameter - margins) + F.logsigmoid(parameter + margins)
    # P(tie) as a product (see `metrics.probabilities`): the rest of two sigmoids would lose its digits.
    tie = tie + torch.log(-torch.expm1(-2 * parameter.clamp(min=1e-6)))
    return torch.stack([F.logsigmoid(margins - parameter), tie, F.logsigmoid(-margins - parameter)], -1)


def read_tie_head(folder: Path, kind: object, hidden: int) -> TieHead | None:
    """The tie head of a checkpoint; None where its record names no `kind`.

    Raises:
        CheckpointError: the kind is not known, the file is missing or left over, or does not fit.
    """
    path = folder / FILE
    if kind is None:
        if path.exists():
            raise CheckpointError(f"{path} is there, but the folder's record names no kind of ties. Is it of another?")
        return None
    if kind not in get_args(TieKind):
        raise CheckpointError(f"{folder} records ties of the kind {kind!r}; known: {', '.join(get_args(TieKind))}.")
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Without it nothing says what a tie is.") from error
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    if shapes != dict(zip(_KEYS, ((1, hidden), (1,)), strict=True)):
        raise CheckpointError(f"{path} does not fit a backbone of hidden size {hidden}: {shapes}.")
    weight, bias = found[_KEYS[0]].to(torch.float32), found[_KEYS[1]].to(torch.float64)
    if not bool(weight.isfinite().all() and bias.isfinite().all()):
        raise CheckpointError(f"{path} holds NaN or infinity, so every probability would too.")
    head = TieHead(hidden, "davidson" if kind == "davidson" else "rao_kupper", bool(weight.any()))
    with torch.no_grad():
        head.weight.copy_(weight)
    head.set_bias(bias.item())
    return head
