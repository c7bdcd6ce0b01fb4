"""Votes go in, records of judgements come to lie in a journal: the loop that evaluation spends its time in.

A record's key names the judge and the vote; its ``digest`` says what the judge saw. A record with the same digest and
without an error is reused. Anything else is judged, and the new record supersedes the old one. Judges that compute get
batches, and are told of the next one where they can prepare for it; judges that wait for others get a window of votes,
and each is written down when its answer comes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import SimpleQueue

from omnireward.errors import MediaError, OmniRewardError
from omnireward.journal import Journal
from omnireward.judges import ForesightedJudge, Judge, PatientJudge, RepeatingJudge
from omnireward.media import Decoder, Limits
from omnireward.media.pieces import check_pieces
from omnireward.metrics import are_probabilities
from omnireward.types import Comparison, Judgement, Media
from omnireward.voting import Entry, Facts

logger = logging.getLogger(__name__)

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did. `reused` of the `votes` were in the journal already; `failed` of them have no judgement."""

    votes: int
    reused: int
    failed: int
    first_error: str = ""


def judge_all(
    stream: Iterable[Entry], judge: Judge, journal: Journal, batch_size: int, advance: Callable[[int], None]
) -> Outcome:
    """Judge what the journal lacks; everything is on the disk before much more is judged.

    Args:
        stream: from `entries`.
        judge: comparisons to judgements.
        journal: open for writing.
        batch_size: votes read, judged and written together by judges that compute.
        advance: called with a number of votes when they are done.
    """
    with ExitStack() as stack:
        tally = _Tally(journal, stack.enter_context(Decoder()), advance)
        if isinstance(judge, PatientJudge):
            _wait_for_each(stream, judge, tally)
        else:
            batches = _batches(stream, batch_size, tally)
            if isinstance(judge, ForesightedJudge):
                stack.callback(judge.close)
                batches = _announced(batches, judge)
            for batch in batches:
                _judge_batch(batch, judge, tally)
    return Outcome(tally.votes, tally.reused, tally.failed, tally.first_error)


@dataclass(frozen=True, slots=True)
class _Judged:
    """A vote and its judgement; `digest` of what was shown is empty where it could not be read."""

    entry: Entry
    digest: str
    judgement: Judgement
    reused: bool = False


class _Tally:
    """Writes judgements down and counts them."""

    def __init__(self, journal: Journal, decoder: Decoder, advance: Callable[[int], None]) -> None:
        self._journal, self._decoder, self._advance = journal, decoder, advance
        self.votes = self.reused = self.failed = 0
        self.first_error = ""

    def known(self, entry: Entry) -> _Judged | str:
        """An earlier judgement, or why none is possible; else the digest of what is to be judged."""
        digest = _digest(entry.shown)
        if isinstance(digest, Judgement):
            return _Judged(entry, "", digest)
        record = self._journal.get(entry.key)
        if record is None or record["error"] or record["digest"] != digest:
            return digest
        return _Judged(entry, digest, entry.judgement(record), reused=True)

    def write(self, judged: Sequence[_Judged]) -> None:
        """Put judgements on the disk, all with one sync."""
        records = [one.entry.record(one.judgement, one.digest, self._facts(one)) for one in judged]
        errors = [one.judgement.error for one in judged if one.judgement.error]
        self.votes += len(judged)
        self.reused += sum(one.reused for one in judged)
        self.failed += len(errors)
        self.first_error = self.first_error or next(iter(errors), "")
        self._journal.append(record for record in records if record != self._journal.get(record["key"]))
        self._advance(len(judged))

    def _facts(self, one: _Judged) -> Facts:
        earlier = self._journal.get(one.entry.key)
        if earlier is not None and earlier["digest"] == one.digest:
            return Facts(earlier["media_seconds"])
        return Facts(_seconds(one.entry.sample.comparison, self._decoder) if one.digest else None)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Votes, and of each the judgement that is there already or the digest of what is to be judged."""

    votes: tuple[Entry, ...]
    known: tuple[_Judged | str, ...]

    @property
    def unknown(self) -> list[Entry]:
        """The votes to judge."""
        return [vote for vote, found in zip(self.votes, self.known, strict=True) if isinstance(found, str)]


def _batches(stream: Iterable[Entry], size: int, tally: _Tally) -> Iterator[_Batch]:
    stream = iter(stream)
    while votes := tuple(islice(stream, size)):
        yield _Batch(votes, tuple(tally.known(vote) for vote in votes))


def _announced(batches: Iterable[_Batch], judge: ForesightedJudge) -> Iterator[_Batch]:
    """The same batches, each told to the judge one batch before it is judged."""
    before: _Batch | None = None
    for batch in batches:
        if votes := batch.unknown:
            judge.expect([vote.shown for vote in votes])
        if before is not None:
            yield before
        before = batch
    if before is not None:
        yield before


def _judge_batch(batch: _Batch, judge: Judge, tally: _Tally) -> None:
    fresh = iter(_judge(judge, batch.unknown))
    tally.write(
        [
            _Judged(vote, found, next(fresh)) if isinstance(found, str) else found
            for vote, found in zip(batch.votes, batch.known, strict=True)
        ]
    )


def _wait_for_each(stream: Iterable[Entry], judge: PatientJudge, tally: _Tally) -> None:
    """Keep a window of votes submitted; write down whatever has come whenever something has."""
    done: SimpleQueue[tuple[Entry, str, Future[Judgement]]] = SimpleQueue()
    waiting = 0

    def settle() -> int:
        arrived = [done.get()]
        while not done.empty():
            arrived.append(done.get())
        tally.write([_Judged(entry, digest, _sound(future.result())) for entry, digest, future in arrived])
        return len(arrived)

    for entry in stream:
        found = tally.known(entry)
        if isinstance(found, _Judged):
            tally.write([found])
            continue
        judge.submit(entry.shown, entry.repeat).add_done_callback(partial(_put, done, entry, found))
        waiting += 1
        while waiting >= judge.window:  # not for each that comes: every settling syncs the disk
            waiting -= settle()
    while waiting:
        waiting -= settle()


def _put(
    done: SimpleQueue[tuple[Entry, str, Future[Judgement]]], entry: Entry, digest: str, future: Future[Judgement]
) -> None:
    done.put((entry, digest, future))


def _digest(comparison: Comparison) -> str | Judgement:
    """The digest of what the judge will see, or why it cannot be seen."""
    try:
        for media in _media(comparison):
            check_pieces(media, _LIMITS)  # the digest reads whole files, and one may be larger than the memory
        return comparison.digest()
    except (OSError, MediaError) as error:
        return Judgement(margin=None, error=f"the media could not be read: {error}")


def _media(comparison: Comparison) -> list[Media]:
    prompt = [part for turn in comparison.prompt for part in turn.content]
    parts = (*prompt, *comparison.response_a, *comparison.response_b)
    return [part for part in parts if isinstance(part, Media)]


def _seconds(comparison: Comparison, decoder: Decoder) -> float | None:
    """Of the longest video or sound; None where there is none, or none says how long it is."""
    lengths = []
    for media in _media(comparison):
        try:
            lengths.append(decoder.seconds(media))
        except (OSError, MediaError) as error:
            logger.debug("no length: %s", error)  # whether it can be judged is the judge's to say
    return max((length for length in lengths if length is not None), default=None)


def _judge(judge: Judge, votes: Sequence[Entry]) -> list[Judgement]:
    """Judge a batch. When the batch fails as a whole, each is judged alone, so that only the culprit fails."""
    if not votes:
        return []
    comparisons = [vote.shown for vote in votes]
    try:
        if isinstance(judge, RepeatingJudge):
            judgements = judge.repeat(comparisons, [vote.repeat for vote in votes])
        else:
            judgements = judge(comparisons)
    except (OmniRewardError, OSError) as error:
        if len(votes) == 1:
            return [Judgement(margin=None, error=f"{type(error).__name__}: {error}")]
        logger.warning("a batch of %d failed (%s); judging each alone", len(votes), error)
        return [judgement for vote in votes for judgement in _judge(judge, [vote])]
    if len(judgements) != len(votes):
        raise RuntimeError(
            f"the judge {judge.fingerprint!r} gave {len(judgements)} judgements for {len(votes)} comparisons; "
            "a judge gives one for each, in order."
        )
    return [_sound(judgement) for judgement in judgements]


def _sound(judgement: Judgement) -> Judgement:
    """A number that is no number is a failure, and a failure has no number."""
    own = (judgement.margin, judgement.deviation, judgement.familiarity)
    numbers = [*own, *(judgement.rewards or ()), *(judgement.probabilities or ())]
    if not all(number is None or math.isfinite(number) for number in numbers):
        problem = f"the judge gave a number that is not finite: {', '.join(map(str, numbers))}"
        return Judgement(margin=None, rationale=judgement.rationale, error=judgement.error or problem)
    if any(not 0 <= (number or 0) <= most for number, most in ((own[1], math.inf), (own[2], 1))):
        problem = f"the judge gave a deviation of {own[1]}, or a familiarity of {own[2]}, that is none"
        return Judgement(margin=None, rationale=judgement.rationale, error=judgement.error or problem)
    if judgement.probabilities is not None and not are_probabilities(judgement.probabilities):
        problem = f"the judge gave probabilities that are none: {', '.join(map(str, judgement.probabilities))}"
        return Judgement(margin=None, rationale=judgement.rationale, error=judgement.error or problem)
    if judgement.error:
        return Judgement(None, rationale=judgement.rationale, error=judgement.error)
    return judgement
