"""What a reward model does not know: how far a comparison lies from those that it was trained on.

A reward for a criterion of a kind that training never asked about looks like any other number, and its margin is as
large. What gives it away is not the head: a Laplace approximation on the head, and an ensemble of heads, tell right
from wrong judgements no better than the margin alone (docs/how-to/uncertainty.md has the figures), because the hidden
states themselves are made for what training asked. It is the place of the hidden states. Two are looked at together:
that of the response, which the reward is read from, and that of its criterion alone, under a prompt and a response that
say nothing. A Gaussian is fitted to such rows of training, and a row's *distance* is its squared Mahalanobis distance.

* Familiarity of a response is the share of training responses that were at least as far out; of a comparison, the share
  of training comparisons whose farther response was at least as far out as its own. Both are counted on prompts that
  the Gaussian was not fitted to, so 1 % of comparisons like those of training have a familiarity below 0.01.
* Deviation is in log-odds, as margins are. Down to a familiarity of `UNFAMILIAR` it is 0. Below, what the model says
  is less and less tied to what is true: the truth keeps a correlation of familiarity / `UNFAMILIAR` with it, and where
  that is 0 the margin could as well have been any margin of training.

Saved beside the head as `uncertainty.safetensors`; the record names it. A folder without it has none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireward.errors import CheckpointError
from omnireward.metrics.selective import UNFAMILIAR

FILE = "uncertainty.safetensors"
LEAST = 100  # comparisons; of fewer nothing is said
MOST = 2_000
LEAST_COUNTED = 20  # comparisons; a share of fewer could not be as small as `UNFAMILIAR`
_HELD_OUT = 0.25  # of the prompts, to count on
_SHRINK = 1e-3  # of the mean variance, added to each: directions that training rows hardly vary in stay finite
_NOISE = 1e-3  # of distances: what other batch-mates change. A row that training had is as far out as it was there.
_MOST_AXES = 1_024  # 29 MB for a hidden size of 3,584; the directions beyond them share one variance
_SEED = 0


class Doubt(NamedTuple):
    """Of one response, or of a comparison.

    Attributes:
        familiarity: in [0, 1]; 0 is farther out than all of training.
        deviation: standard deviation of the reward, or of the margin, in log-odds.
    """

    familiarity: float
    deviation: float


@dataclass(frozen=True, eq=False, slots=True)
class Uncertainty:
    """Where training's rows lie; a row is the hidden state of a response, and after it that of its criterion.

    Attributes:
        mean: (2 hidden,) float32.
        axes: (axes, 2 hidden) float32, orthonormal: the directions in which training's rows vary most.
        precision: (axes,) float32, one over the variance along each.
        rest: one over the variance along any other direction; 0 where there is no other.
        responses: (n,) float32, sorted distances of training's responses.
        comparisons: (n,) float32, sorted distances of the farther responses of training's comparisons.
        spread: root mean square of training's margins, log-odds.
    """

    mean: Tensor
    axes: Tensor
    precision: Tensor
    rest: float
    responses: Tensor
    comparisons: Tensor
    spread: float

    def distances(self, hidden: Tensor, criteria: Tensor) -> Tensor:
        """Distances: (rows,) float32, on the CPU.

        Args:
            hidden: (rows, hidden) of responses.
            criteria: (rows, hidden), for each row that of its criterion.
        """
        away = torch.cat([hidden.cpu().double(), criteria.cpu().double()], -1) - self.mean.double()
        along = away @ self.axes.double().T
        beside = (away.square().sum(-1) - along.square().sum(-1)).clamp(min=0)
        return (along.square() @ self.precision.double() + beside * self.rest).float()

    def of_response(self, distance: float) -> Doubt:
        """What is known of one response."""
        return _doubt(self.responses, distance, self.spread / math.sqrt(2))

    def of_comparison(self, a: float, b: float) -> Doubt:
        """What is known of two, by their distances. How alike they are does not count."""
        return _doubt(self.comparisons, float(np.maximum(a, b)), self.spread)  # NaN in whichever place it comes

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        single = {"rest": torch.tensor([self.rest]), "spread": torch.tensor([self.spread])}
        tensors = {name: getattr(self, name).float().contiguous() for name in _TENSORS}
        save_file(tensors | single, folder / FILE, metadata={"format": "pt"})


_TENSORS = ("mean", "axes", "precision", "responses", "comparisons")


def fit(hidden: Tensor, criteria: Tensor, margins: Tensor, clusters: Sequence[str]) -> Uncertainty | None:
    """From training's comparisons; None where they are too few, or all alike.

    There must be `LEAST` of them, and half as many to fit to and `LEAST_COUNTED` to count on once prompts are split.

    The prompts are split once: the Gaussian is of the greater part, the counted distances of the other. Counted on the
    rows that it was fitted to, they would come out too near, the more so the fewer rows there are.

    Args:
        hidden: (comparisons, 2, hidden) float32 of both responses.
        criteria: (comparisons, hidden) float32.
        margins: (comparisons,) reward(a) - reward(b).
        clusters: (comparisons,) the prompt of each.

    Raises:
        ValueError: lengths that differ, or what is not finite.
    """
    given = [len(hidden), len(criteria), len(margins), len(clusters)]
    if len(set(given)) > 1:
        raise ValueError(f"needs as many of each; given {given}.")
    rows = torch.cat([hidden.cpu(), criteria.cpu().unsqueeze(1).expand_as(hidden)], -1).double()
    if not bool(rows.isfinite().all() and margins.isfinite().all()):
        raise ValueError("hidden states and margins must be finite.")
    held_out = _held_out(clusters)
    counted_on = int(held_out.sum())
    if len(rows) < LEAST or counted_on < LEAST_COUNTED or len(rows) - counted_on < LEAST // 2:
        return None
    fitted = rows[~held_out].flatten(0, 1)
    mean = fitted.mean(0)
    variances, axes, total = _axes(fitted - mean)
    if not len(variances):  # every row is the same
        return None
    floor = _SHRINK * total / len(mean)
    beyond = len(mean) - len(variances)
    left = max(total - float(variances.sum()), 0.0) / beyond + floor if beyond else math.inf
    known = Uncertainty(
        mean=mean.float(),
        axes=axes.float(),
        precision=(1 / (variances + floor)).float(),
        rest=1 / left,
        responses=torch.empty(0),
        comparisons=torch.empty(0),
        spread=float(margins.double().square().mean().sqrt()),
    )
    size = hidden.shape[-1]
    counted = rows[held_out]
    away = known.distances(counted[..., :size].flatten(0, 1), counted[..., size:].flatten(0, 1)).view(-1, 2)
    return Uncertainty(
        known.mean,
        known.axes,
        known.precision,
        known.rest,
        responses=away.flatten().sort().values,
        comparisons=away.amax(-1).sort().values,
        spread=known.spread,
    )


def read_uncertainty(folder: Path, hidden: int, digest: object = None) -> Uncertainty:
    """What a folder whose record names it must hold.

    Args:
        folder: of the model.
        hidden: size of the backbone's hidden states.
        digest: the file's SHA-256, where the record has one.

    Raises:
        CheckpointError: the file is missing, damaged, or of another model.
    """
    path = folder / FILE
    again = f"The model itself can do without it: fit it again with: omnireward uncertainty {folder}"
    try:
        found = load_file(path)
        with path.open("rb") as file:
            changed = digest is not None and digest != hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}. {again}") from error
    if changed:
        raise CheckpointError(f"{path} is not the file that the model was saved with. {again}")
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    axes = shapes.get("axes", (0,))[0]
    wanted = {"mean": (2 * hidden,), "axes": (axes, 2 * hidden), "precision": (axes,), "rest": (1,), "spread": (1,)}
    counted = {name: shapes.get(name, ()) for name in ("responses", "comparisons")}
    if shapes != wanted | counted or any(len(shape) != 1 or shape[0] < 1 for shape in counted.values()):
        raise CheckpointError(f"{path} does not fit a backbone of hidden size {hidden}: {shapes}.")
    if not all(bool(value.isfinite().all()) for value in found.values()):
        raise CheckpointError(f"{path} holds NaN or infinity, so what it says of the model would too.")
    return Uncertainty(
        mean=found["mean"].float(),
        axes=found["axes"].float(),
        precision=found["precision"].float(),
        rest=found["rest"].item(),
        responses=found["responses"].float(),
        comparisons=found["comparisons"].float(),
        spread=found["spread"].item(),
    )


def _doubt(counted: Tensor, distance: float, spread: float) -> Doubt:
    """A distance that is not finite is farther out than all."""
    nearer = int(np.searchsorted(counted.numpy(), np.float32(distance * (1 - _NOISE)), side="left"))  # NaN: behind all
    familiarity = (len(counted) - nearer) / len(counted)
    kept = min(1.0, familiarity / UNFAMILIAR)
    return Doubt(familiarity, spread * math.sqrt(1 - kept * kept))


def _held_out(clusters: Sequence[str]) -> Tensor:
    """Which comparisons are of prompts to count on: (comparisons,) bool. Order of the comparisons does not matter."""
    names = sorted(set(clusters))
    drawn = np.random.default_rng(_SEED).permutation(len(names))[: max(1, round(_HELD_OUT * len(names)))]
    chosen = {names[place] for place in drawn}
    return torch.tensor([cluster in chosen for cluster in clusters])


def _axes(away: Tensor) -> tuple[Tensor, Tensor, float]:
    """Variances (axes,), largest first, directions (axes, dims), and the sum of all variances.

    By way of the smaller of the two square matrices: as many rows as `MOST` allows are fewer than a large model's dims.
    """
    count, dims = away.shape
    wide = dims > count
    values, vectors = torch.linalg.eigh(away @ away.T if wide else away.T @ away)
    total = float(values.sum()) / count
    sure = values > max(float(values[-1]), 0.0) * 1e-10  # rows less their mean span one direction less than they are
    values, vectors = values[sure].flip(0)[:_MOST_AXES], vectors[:, sure].flip(1)[:, :_MOST_AXES]
    axes = (away.T @ vectors / values.sqrt()).T if wide else vectors.T
    return values / count, axes, total
