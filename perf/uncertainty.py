"""Which measure of certainty tells right judgements of a reward model from wrong ones, and which knows what is new.

On the made-up world: OMP_NUM_THREADS=1 python -m perf.uncertainty out/run [out/another ...] --samples 2700

Judged are comparisons about what training asked about (`seen`, half of them in new wordings), about families of
criteria that it never asked about (`new`), and both together. Each measure's AUROC is the chance that a right judgement
is more certain than a wrong one; samples whose truth is a tie are left out. The second table has, for criteria and
responses that training did not have, the chance that one of them is farther out than a seen comparison, and the share
that is called unlike training (familiarity below 0.05). Intervals are 95 %, over prompts (bootstrap); of several runs
each figure is the mean, and its interval goes from the lowest to the highest end.

Compared with the margin alone and with its deviation: Laplace's approximation on the head (precision: what the training
margins' curvature gives, and a prior that the evidence chooses), and ten heads, each fitted to prompts drawn anew.
"""

from __future__ import annotations

import io
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image

from omnireward.metrics.selective import UNFAMILIAR, Area, area, certainty
from omnireward.miniature.world import World, samples
from omnireward.reward_model import SIDES, RewardModel
from omnireward.sources import BadRows
from omnireward.train.fitting import spread
from omnireward.train.mixing import mix
from omnireward.types import Media, Part, Sample, Text

Floats = NDArray[np.float64]
HEADS = 10
ODD = 400  # comparisons of each odd kind
OFF_TOPIC = (
    "The sea is far from the old house.",
    "My sister bought three apples on Monday.",
    "Please book a flight to Rome.",
    "Respond in the style of a pirate.",
    "Trains leave at noon.",
)


@dataclass(frozen=True)
class Config:
    """What to measure."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of trained models that know what they do not know."""
    samples: int = 2_700
    """Of the test split, and as many about new families."""
    training: int = 4_000
    """Comparisons that the compared measures are fitted to."""
    data: str = "miniature"
    """What the runs were trained on."""


@dataclass(frozen=True, slots=True)
class States:
    """Of comparisons: hidden states of both responses (n, 2, hidden); margins, distances and doubts, each (n,)."""

    samples: Sequence[Sample]
    hidden: Floats
    margins: Floats
    distances: Floats
    familiarity: Floats
    deviation: Floats

    @property
    def differences(self) -> Floats:
        """(n, hidden)."""
        return self.hidden[:, 0] - self.hidden[:, 1]


def states_of(model: RewardModel, chosen: Sequence[Sample]) -> States:
    known = model.uncertainty
    assert known is not None, "this run knows nothing of what it does not know"
    size = model.backbone.hidden_size
    rows, distances = [], []
    for start in range(0, len(chosen), 64):
        batch = chosen[start : start + 64]
        encoded = [model.encode(sample.comparison, side) for sample in batch for side in SIDES]
        found = model.states(encoded, heads=True)
        rows.append(found)
        criteria = model.states_of_criteria([sample.comparison.criterion for sample in batch for _ in SIDES])
        distances.append(known.distances(found[:, -size:], criteria))
    table = torch.cat(rows).double().numpy()
    far = torch.cat(distances).view(-1, 2)
    doubts = [known.of_comparison(a, b) for a, b in far.tolist()]
    rewards = table[:, 0].reshape(-1, 2)
    return States(
        chosen,
        table[:, -size:].reshape(-1, 2, size),
        rewards[:, 0] - rewards[:, 1],
        far.amax(-1).double().numpy(),
        np.array([doubt.familiarity for doubt in doubts]),
        np.array([doubt.deviation for doubt in doubts]),
    )


def measures(model: RewardModel, trained: States) -> Mapping[str, Callable[[States], Floats]]:
    """Each gives a number that is larger where a judgement should be right."""
    weight = model.head.weight.detach().double().numpy()[0]
    chosen = trained.differences
    laplace = _laplace(chosen, weight)
    heads = _heads(chosen, [sample.cluster for sample in trained.samples])

    def variance(states: States) -> Floats:
        return np.asarray((states.differences @ laplace * states.differences).sum(1))

    def voted(states: States) -> Floats:
        return states.differences @ heads.T

    def probit(margins: Floats, deviations: Floats) -> Floats:
        return np.array([certainty(m, d) for m, d in zip(margins, deviations, strict=True)])

    return {
        "size of the margin": lambda s: np.abs(s.margins),
        "margin with its deviation": lambda s: probit(s.margins, s.deviation),
        "margin with Laplace's deviation": lambda s: probit(s.margins, np.sqrt(variance(s))),
        "Laplace's deviation alone": lambda s: -variance(s),
        "mean margin of ten heads": lambda s: np.abs(voted(s).mean(1)),
        "margin with the heads' deviation": lambda s: probit(s.margins, voted(s).std(1, ddof=1)),
        "the heads' deviation alone": lambda s: -voted(s).std(1, ddof=1),
        "distance alone": lambda s: -s.distances,
    }


def _laplace(chosen: Floats, weight: Floats) -> Floats:
    """Covariance of the head's weight, (hidden, hidden); the prior's precision by the largest evidence."""
    p = _sigmoid(chosen @ weight)
    curvature = (chosen * (p * (1 - p))[:, None]).T @ chosen
    values = np.linalg.eigvalsh(curvature)

    def evidence(prior: float) -> float:
        return float(-prior / 2 * weight @ weight + len(weight) / 2 * np.log(prior) - np.log(values + prior).sum() / 2)

    prior = max((10.0**power for power in np.arange(-4, 4.5, 0.5)), key=evidence)
    return np.linalg.inv(curvature + prior * np.eye(len(weight)))


def _heads(chosen: Floats, clusters: Sequence[str]) -> Floats:
    """Weights of heads fitted to prompts drawn with replacement, (HEADS, hidden), by Newton's method."""
    rng = np.random.default_rng(0)
    names, prompt = np.unique(clusters, return_inverse=True)
    found = []
    for _ in range(HEADS):
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))[prompt].astype(float)
        head = np.zeros(chosen.shape[1])
        for _ in range(25):
            p = _sigmoid(chosen @ head)
            slope = chosen.T @ (times * (1 - p)) - head
            bend = (chosen * (times * p * (1 - p))[:, None]).T @ chosen + np.eye(len(head))
            step = np.linalg.solve(bend, slope)
            head = head + step * min(1.0, 2.0 / np.abs(chosen @ step).max())
        found.append(head)
    return np.array(found)


def odd(seen: Sequence[Sample]) -> Mapping[str, list[Sample]]:
    """Comparisons that are unlike those of training, each in one way."""
    rng = np.random.default_rng(0)
    asked = [sample for sample in seen if sample.comparison.criterion][:ODD]
    spoken = [sample for sample in seen if sample.comparison.criterion and sample.task.output == "text"][:ODD]
    painted = [sample for sample in seen if sample.comparison.criterion and sample.task.short == "T2I"][:ODD]
    by_output = {s.task.output: s for s in asked}

    def criterion(sample: Sample, words: str) -> Sample:
        return replace(sample, comparison=replace(sample.comparison, criterion=words))

    def response(sample: Sample, part: Part) -> Sample:
        return replace(sample, comparison=replace(sample.comparison, response_a=(part,)))

    def letters(count: int) -> str:
        return "".join(rng.choice(list(string.ascii_lowercase + "  "), count))

    def other(sample: Sample) -> str:
        foreign = {"text": "audio", "audio": "text"}.get(sample.task.output, "audio")
        pool = [s for s in asked if s.task.output == foreign] or [by_output[foreign]]  # type: ignore[index]
        return pool[rng.integers(len(pool))].comparison.criterion

    def shuffled(words: str) -> str:
        return " ".join(rng.permutation(words.split()))

    def said(sample: Sample) -> str:
        (part,) = sample.comparison.response_a
        assert isinstance(part, Text)
        return part.text

    return {
        "criterion of random letters": [criterion(s, letters(30)) for s in asked],
        "criterion off topic": [criterion(s, OFF_TOPIC[rng.integers(len(OFF_TOPIC))]) for s in asked],
        "criterion of another modality": [criterion(s, other(s)) for s in asked],
        "criterion with its words shuffled": [criterion(s, shuffled(s.comparison.criterion)) for s in asked],
        "answer a of random letters": [response(s, Text(letters(80))) for s in spoken],
        "answer a four times over": [response(s, Text(f"{said(s)} " * 4)) for s in spoken],
        "answer a with its words shuffled": [response(s, Text(shuffled(said(s)))) for s in spoken],
        "picture a of noise": [response(s, _noise(rng)) for s in painted],
    }


def _noise(rng: np.random.Generator) -> Media:
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (56, 56, 3), dtype=np.uint8)).save(file, "PNG")
    return Media("image", file.getvalue())


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(x / 2))


def measured(
    folder: Path, config: Config
) -> tuple[dict[str, dict[str, Area | None]], dict[str, tuple[Area | None, float]]]:
    model = RewardModel.load(folder).requires_grad_(False).eval()
    mixture = mix({config.data: 1.0}, BadRows())
    trained = states_of(model, spread(mixture, mixture.order(0, 0), config.training))
    prompts = config.samples // 27
    seen = states_of(model, list(samples(World(prompts=prompts), "test")))
    new = states_of(model, list(samples(World(prompts=prompts, families="unseen"), "test")))
    known: dict[str, dict[str, Area | None]] = {}
    for name, measure in measures(model, trained).items():
        sure = {"seen": measure(seen), "new": measure(new)}
        known[name] = {
            "seen": _told([seen], [sure["seen"]]),
            "new": _told([new], [sure["new"]]),
            "both": _told([seen, new], [sure["seen"], sure["new"]]),
        }
    with_criterion = [bool(s.comparison.criterion) for s in seen.samples]
    usual = seen.distances[with_criterion]
    names = [s.cluster for s, has in zip(seen.samples, with_criterion, strict=True) if has]
    wording = np.array(["unseen wording" in s.groups for s in seen.samples])
    far: dict[str, tuple[Area | None, float]] = {"seen comparisons": (None, _unlike(seen.familiarity))}
    far["of them in new wordings"] = (None, _unlike(seen.familiarity[wording]))
    for name, states in {"new families": new, **{n: states_of(model, s) for n, s in odd(seen.samples).items()}}.items():
        farther = area(
            [*usual, *states.distances],
            [*[False] * len(usual), *[True] * len(states.distances)],
            [*names, *(s.cluster for s in states.samples)],
            0,
        )
        far[name] = (farther, _unlike(states.familiarity))
    return known, far


def _unlike(familiarity: Floats) -> float:
    return float((familiarity < UNFAMILIAR).mean())


def _told(parts: Sequence[States], sure: Sequence[Floats]) -> Area | None:
    decided = [np.array([s.preference != "tie" for s in part.samples]) for part in parts]
    right = [
        np.sign(part.margins)[keep] == np.array([1 if s.preference == "a" else -1 for s in part.samples])[keep]
        for part, keep in zip(parts, decided, strict=True)
    ]
    clusters = [s.cluster for part in parts for s in part.samples if s.preference != "tie"]
    kept = [one[keep] for one, keep in zip(sure, decided, strict=True)]
    return area(np.concatenate(kept), np.concatenate(right), clusters, 0)


def _cell(found: Sequence[Area | None]) -> str:
    areas = [one for one in found if one is not None]
    if not areas:
        return ""
    ends = [one.interval for one in areas if one.interval]
    within = f" ({min(low for low, _ in ends):.3f} to {max(high for _, high in ends):.3f})" if ends else ""
    return f"{np.mean([one.value for one in areas]):.3f}{within}"


def main() -> None:
    torch.set_num_threads(1)
    config = tyro.cli(Config)
    runs = list(map(partial(measured, config=config), config.runs))
    print(f"AUROC of right against wrong judgements, {len(runs)} runs\n")
    print("| measure | seen | new | both |\n|---|--:|--:|--:|")
    for name in runs[0][0]:
        cells = [_cell([known[name][part] for known, _ in runs]) for part in ("seen", "new", "both")]
        print(f"| {name} | {' | '.join(cells)} |")
    print("\n| comparisons | AUROC of farther than seen | unlike training, % |\n|---|--:|--:|")
    for name in runs[0][1]:
        shares = [far[name][1] for _, far in runs]
        print(f"| {name} | {_cell([far[name][0] for _, far in runs])} | {100 * np.mean(shares):.1f} |")


if __name__ == "__main__":
    main()
