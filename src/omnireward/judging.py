"""Samples go in, records of judgements come to lie in a journal: the loop that evaluation spends its time in.

A record's key names the judge and the sample; its ``digest`` says what the judge saw. A record with the same digest and
without an error is reused. Anything else is judged, and the new record supersedes the old one.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from omnireward.errors import MediaError, OmniRewardError
from omnireward.journal import Journal, Record
from omnireward.judges import Judge
from omnireward.media import Limits
from omnireward.media.pieces import check_pieces
from omnireward.types import Comparison, Judgement, Media, Sample

logger = logging.getLogger(__name__)

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did. `reused` of the `samples` were in the journal already; `failed` of them have no judgement."""

    samples: int
    reused: int
    failed: int
    first_error: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample on its way to a record: its position in the benchmark, and the key of its record."""

    index: int
    sample: Sample
    key: str

    def record(self, judgement: Judgement, digest: str) -> Record:
        """The line of the journal."""
        return {
            "key": self.key,
            "index": self.index,
            "id": self.sample.id,
            "task": self.sample.task.short,
            "cluster": self.sample.cluster,
            "groups": list(self.sample.groups),
            "preference": self.sample.preference,
            "margin": judgement.margin,
            "rewards": None if judgement.rewards is None else list(judgement.rewards),
            "probabilities": None if judgement.probabilities is None else list(judgement.probabilities),
            "rationale": judgement.rationale,
            "error": judgement.error,
            "digest": digest,
        }


def entries(numbered: Iterable[tuple[int, Sample]], fingerprint: str) -> Iterator[Entry]:
    """Give each sample its key. Reads no media.

    The key is a hash of judge, task, id, and the how-manieth sample of that id it is: ids should be unique, but are not
    ours. What the judge sees is not part of it: media that are mended must supersede the failure, not stand beside it.
    """
    times: Counter[tuple[str, str]] = Counter()
    for index, sample in numbered:
        name = (sample.task.short, sample.id)
        times[name] += 1
        parts = (fingerprint, *name, str(times[name]))
        lengths = "".join(f"{len(part)}:{part}" for part in parts)
        yield Entry(index, sample, hashlib.sha256(lengths.encode("utf-8", "surrogatepass")).hexdigest())


def judge_all(
    stream: Iterable[Entry], judge: Judge, journal: Journal, batch_size: int, advance: Callable[[int], None]
) -> Outcome:
    """Judge what the journal lacks, a batch at a time; each batch is on the disk before the next is judged.

    Args:
        stream: from `entries`.
        judge: comparisons to judgements.
        journal: open for writing.
        batch_size: samples read, judged and written together.
        advance: called with the number of samples after each batch.
    """
    samples = reused = failed = 0
    first_error = ""
    stream = iter(stream)
    while batch := list(islice(stream, batch_size)):
        judgements, known = _judge_batch(batch, judge, journal)
        samples += len(batch)
        reused += known
        errors = [judgement.error for judgement, _ in judgements if judgement.error]
        failed += len(errors)
        first_error = first_error or next(iter(errors), "")
        records = [entry.record(*judged) for entry, judged in zip(batch, judgements, strict=True)]
        journal.append(record for record in records if record != journal.get(record["key"]))
        advance(len(batch))
    return Outcome(samples, reused, failed, first_error)


def _judge_batch(batch: Sequence[Entry], judge: Judge, journal: Journal) -> tuple[list[tuple[Judgement, str]], int]:
    """Each sample's judgement and digest, and how many were in the journal."""
    digests = [_digest(entry.sample.comparison) for entry in batch]
    found = [
        digest if isinstance(digest, Judgement) else _reusable(journal.get(entry.key), digest)
        for entry, digest in zip(batch, digests, strict=True)
    ]
    fresh = iter(_judge(judge, [e.sample.comparison for e, known in zip(batch, found, strict=True) if known is None]))
    judgements = [next(fresh) if known is None else known for known in found]
    reused = sum(known is not None and not known.error for known in found)
    return [(j, "" if isinstance(d, Judgement) else d) for j, d in zip(judgements, digests, strict=True)], reused


def _digest(comparison: Comparison) -> str | Judgement:
    """The digest of what the judge will see, or why it cannot be seen."""
    prompt = [part for turn in comparison.prompt for part in turn.content]
    try:
        for part in (*prompt, *comparison.response_a, *comparison.response_b):
            if isinstance(part, Media):
                check_pieces(part, _LIMITS)  # the digest reads whole files, and one may be larger than the memory
        return comparison.digest()
    except (OSError, MediaError) as error:
        return Judgement(margin=None, error=f"the media could not be read: {error}")


def _reusable(record: Record | None, digest: str) -> Judgement | None:
    """The judgement in a record, unless it is a failure or of something else."""
    if record is None or record["error"] or record["digest"] != digest:
        return None
    return Judgement(
        margin=record["margin"],
        rewards=None if record["rewards"] is None else (record["rewards"][0], record["rewards"][1]),
        probabilities=None if record["probabilities"] is None else tuple(record["probabilities"]),
        rationale=record["rationale"],
    )


def _judge(judge: Judge, comparisons: Sequence[Comparison]) -> list[Judgement]:
    """Judge a batch. When the batch fails as a whole, each is judged alone, so that only the culprit fails."""
    if not comparisons:
        return []
    try:
        judgements = judge(comparisons)
    except (OmniRewardError, OSError) as error:
        if len(comparisons) == 1:
            return [Judgement(margin=None, error=f"{type(error).__name__}: {error}")]
        logger.warning("a batch of %d failed (%s); judging each alone", len(comparisons), error)
        return [judgement for comparison in comparisons for judgement in _judge(judge, [comparison])]
    if len(judgements) != len(comparisons):
        raise RuntimeError(
            f"the judge {judge.fingerprint!r} gave {len(judgements)} judgements for {len(comparisons)} comparisons; "
            "a judge gives one for each, in order."
        )
    return [_sound(judgement) for judgement in judgements]


def _sound(judgement: Judgement) -> Judgement:
    """A number that is no number is a failure, and a failure has no number."""
    numbers = [judgement.margin, *(judgement.rewards or ()), *(judgement.probabilities or ())]
    if not all(number is None or math.isfinite(number) for number in numbers):
        problem = f"the judge gave a number that is not finite: {', '.join(map(str, numbers))}"
        return Judgement(margin=None, rationale=judgement.rationale, error=judgement.error or problem)
    if judgement.error:
        return replace(judgement, margin=None, rewards=None, probabilities=None)
    return judgement
