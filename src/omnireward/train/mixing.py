"""What a run reads: datasets mixed by weight, in an order that depends on nothing but seed, epoch and sample id.

Samples with one prompt and one criterion stay together, as in InstructGPT (arXiv 2203.02155, section 3.5): a response
that several of them share is then computed once. The order is a sort by hash, so it is the same on every machine and
after every resume, and adding a dataset leaves the order of the others as it was. Bradley-Terry has no term for ties
(equation 1): whoever trains with it alone has tied samples left out and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from torch.utils.data import Sampler

from omnireward.errors import RecipeError
from omnireward.sources import BadRows, read_place
from omnireward.types import Sample, Task, Text

if TYPE_CHECKING:
    from omnireward.train.config import TrainConfig


@dataclass(frozen=True, slots=True)
class Mixture:
    """Samples of all datasets, the preferred response first.

    Attributes:
        samples: `response_a` is the chosen one in each that is not a tie.
        parts: for each dataset its place, weight, and range in `samples`.
        ties: how many tied samples were left out.
        unwanted: how many samples were left out because of their task, or of having a criterion or none.
    """

    samples: tuple[Sample, ...]
    parts: tuple[tuple[str, float, range], ...]
    ties: int
    unwanted: int = 0

    def order(self, seed: int, epoch: int) -> list[int]:
        """Indices of one epoch. A weight of 0.5 shows half of a dataset, another half each epoch; 2 shows all twice."""
        drawn: list[tuple[bytes, int]] = []
        for place, weight, where in self.parts:
            wanted = round(weight * len(where))
            for copy in range(-(-wanted // len(where))):
                keyed = sorted((_rank(seed, epoch, place, self.samples[i], copy), i) for i in where)
                drawn += keyed[: wanted - copy * len(where)]
        return [i for _, i in sorted(drawn)]


@dataclass(slots=True)
class Wanted:
    """Which samples a run trains on.

    Attributes:
        tasks: their tasks; all when empty.
        criteria: whether a criterion is asked for, refused, or neither.
        share: of the prompts, chosen by a hash of each; a smaller share is a part of a larger one.
        ties: whether samples that people tied are wanted.
        refused: how many samples were not wanted.
    """

    tasks: frozenset[Task] = frozenset()
    criteria: Literal["all", "with", "without"] = "all"
    share: float = 1.0
    ties: bool = True
    refused: int = 0

    @classmethod
    def of(cls, tasks: Sequence[str], criteria: Literal["all", "with", "without"]) -> Wanted:
        """By the tasks' names. Raises UnknownNameError."""
        return cls(frozenset(map(Task.parse, tasks)), criteria)

    def __call__(self, sample: Sample) -> bool:
        """Whether the sample is wanted; counts those that are not."""
        has = bool(sample.comparison.criterion)
        wanted = (
            (not self.tasks or sample.task in self.tasks)
            and self.criteria in ("all", "with" if has else "without")
            and (self.ties or sample.preference != "tie")
            and (self.share >= 1 or _fraction(sample.cluster) < self.share)
        )
        self.refused += not wanted
        return wanted


def mixture_of(config: TrainConfig, bad_rows: BadRows) -> Mixture:
    """What a run reads. Raises as `mix`."""
    wanted = Wanted.of(config.tasks, config.criteria)
    ties = config.ties != "drop"
    return mix(config.datasets, bad_rows, config.limit, wanted, ties=ties, tie_share=config.tie_share)


def mix(
    datasets: Mapping[str, float],
    bad_rows: BadRows,
    limit: int | None = None,
    wanted: Wanted | None = None,
    as_given: bool = False,
    ties: bool = False,
    tie_share: float = 1.0,
) -> Mixture:
    """Read every dataset.

    Args:
        datasets: place -> weight.
        bad_rows: what to do with rows that cannot be used.
        limit: read at most this many samples from each, of those that are wanted.
        wanted: chooses samples, and counts the others; all are wanted when None.
        as_given: keep tied samples and the order of responses, for whoever does not tell chosen from rejected.
        ties: keep tied samples.
        tie_share: of tied samples that are kept, at most this share of a dataset, chosen by a hash of their ids.

    Raises:
        RecipeError: no dataset, a weight or a limit that is not positive, or a dataset without a usable sample.
    """
    if limit is not None and limit < 1:
        raise RecipeError(f"the limit must be at least 1; got {limit}. Leave it out to read everything.")
    samples: list[Sample] = []
    parts: list[tuple[str, float, range]] = []
    left_out = 0
    wanted = wanted or Wanted()
    for place, weight in datasets.items():
        if not 0 < weight < float("inf"):
            raise RecipeError(f"the weight of {place!r} must be positive; got {weight}.")
        start = len(samples)
        for sample in islice(filter(wanted, read_place("datasets", place, bad_rows)), limit):
            if as_given:
                samples.append(sample)
            elif ties or sample.preference != "tie":
                samples.append(chosen_first(sample))
            else:
                left_out += 1
        kept = _thinned(samples[start:], tie_share)
        left_out += len(samples) - start - len(kept)
        samples[start:] = kept
        if round(weight * (len(samples) - start)) < 1:
            others = f" Of other tasks or criteria than asked for: {wanted.refused}." if wanted.refused else ""
            raise RecipeError(
                f"{place!r} gives no sample to train on: {len(samples) - start} with a preference, weight {weight}."
                f"{others}"
            )
        parts.append((place, weight, range(start, len(samples))))
    if not parts:
        raise RecipeError("no dataset was given; name at least one under `datasets`.")
    return Mixture(tuple(samples), tuple(parts), left_out, wanted.refused)


def chosen_first(sample: Sample) -> Sample:
    """The same sample with the preferred response as `response_a`; a tie as it is."""
    return sample if sample.preference != "b" else replace(sample, comparison=sample.comparison.swap(), preference="a")


class SeededOrder(Sampler[int]):
    """A mixture's order as a sampler; `set_epoch` is called by the training loop."""

    def __init__(self, mixture: Mixture, seed: int) -> None:
        self.mixture, self.seed, self.epoch = mixture, seed, 0
        self.length = len(mixture.order(seed, 0))

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(self.mixture.order(self.seed, self.epoch))

    def __len__(self) -> int:
        return self.length


def texts(samples: Sequence[Sample]) -> Iterator[str]:
    """Every text in the samples, for training a tokenizer."""
    for sample in samples:
        yield sample.comparison.criterion
        for turn in sample.comparison.prompt:
            yield from (part.text for part in turn.content if isinstance(part, Text))
        for response in (sample.comparison.response_a, sample.comparison.response_b):
            yield from (part.text for part in response if isinstance(part, Text))


def _thinned(samples: Sequence[Sample], share: float) -> list[Sample]:
    """The same without some of the tied ones, so that they are at most a share of all."""
    tied = sorted((sample.id for sample in samples if sample.preference == "tie"), key=_fraction)
    most = len(tied) if share >= 1 else int(share / (1 - share) * (len(samples) - len(tied)))
    left_out = set(tied[most:])
    return [sample for sample in samples if sample.preference != "tie" or sample.id not in left_out]


def _fraction(text: str) -> float:
    """A number in [0, 1) that hangs on a text alone."""
    digest = hashlib.sha256(f"share {text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _rank(seed: int, epoch: int, place: str, sample: Sample, copy: int) -> bytes:
    """The place in the order: first of the prompt under its criterion, then of the sample among those."""
    start = f"{seed}\0{epoch}\0{place}\0{copy}\0"
    shared = hashlib.sha256(f"{start}{sample.cluster}\0{sample.comparison.criterion}".encode("utf-8", "surrogatepass"))
    return shared.digest() + hashlib.sha256(f"{start}{sample.id}".encode("utf-8", "surrogatepass")).digest()
