"""Several votes on a sample become one record: what counts. The votes themselves are kept beside it.

A sample may be shown in both orders and asked about several times. The rules:

- One vote is the record.
- A vote without a verdict or a margin, failed ones included, is left out. When the run shows each sample in both
  orders, each order must have given one, or nothing is combined: half of the question would decide. The combined
  record then has the first error there is, or else no verdict.
- Verdicts: the one that more than half of them name, or else a tie. With one vote in each order that is the field's
  "inconsistent is a tie", also where the judge itself may not say tie.
- Verdicts with probabilities from every vote: their mean, and the verdict that is likeliest by it (a tie where two are
  equally likely). So verdict and probabilities never contradict each other, and a judge that is sure in one order and
  torn in the other is not thrown away as a tie.
- Margins without verdicts (reward models): their mean, and that of the rewards, of the probabilities, and of deviation
  and familiarity, if there are any. Which of those is the likeliest counts in the setting with ties (see `build`).
- A mean weighs the two orders equally when the run shows both, even if one of them has lost a vote.

A sample that lacks some of its votes in the journal is not finished: it is left out, not counted as without verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from omnireward.errors import SourceError
from omnireward.report.records import Record, Run, likeliest
from omnireward.types import Preference


@dataclass(frozen=True, slots=True)
class Voted:
    """A finished sample: the record that counts, and its votes by repeat, response a first before response b first."""

    record: Record
    votes: tuple[Record, ...]


def gather(run: Run, records: Iterable[Record]) -> list[Voted]:
    """The finished samples, in the benchmark's order.

    Args:
        run: its settings say how many votes a sample gets, and whether in both orders.
        records: one for each vote, in any order.

    Raises:
        SourceError: there is no record, or none of a finished sample; two are the same vote; votes on one sample
            disagree about what the sample is.
    """
    ordered = sorted(records, key=lambda record: (record.index, record.repeat, record.swapped))
    if not ordered:
        raise SourceError(f"nothing to report: {run.judge!r} has not judged any sample of {run.benchmark!r} yet.")
    by_index: dict[int, list[Record]] = {}
    for record in ordered:
        votes = by_index.setdefault(record.index, [])
        if votes:
            _check_same_sample(votes[-1], record)
        votes.append(record)
    both, planned = _plan(run)
    finished = [Voted(combine(votes, both), tuple(votes)) for votes in by_index.values() if len(votes) >= planned]
    if not finished:
        raise SourceError(
            f"nothing to report: {run.judge!r} has not given any sample of {run.benchmark!r} all its {planned} votes "
            "yet. Evaluate again to go on."
        )
    return finished


def combine(votes: Sequence[Record], both: bool) -> Record:
    """What the votes on one sample say together; `both`: each order must have said something."""
    if len(votes) == 1:
        return votes[0]
    blank = replace(
        votes[0],
        margin=None,
        rewards=None,
        probabilities=None,
        deviation=None,
        familiarity=None,
        verdict=None,
        rationale="",
        error="",
        swapped=False,
        repeat=0,
    )
    stated = [vote for vote in votes if vote.verdict is not None]
    counted = stated or [vote for vote in votes if vote.margin is not None]
    if not counted or (both and len({vote.swapped for vote in counted}) == 1):
        return replace(blank, error=next((vote.error for vote in votes if vote.error), ""))

    # Means are taken over the votes of an order, then over the orders.
    orders = [[vote for vote in counted if vote.swapped is swapped] for swapped in (False, True)] if both else [counted]
    rewards = _means([[vote.rewards for vote in order] for order in orders])
    probabilities = _means([[vote.probabilities for vote in order] for order in orders])
    margins = _means([[None if vote.margin is None else (vote.margin,) for vote in order] for order in orders])
    known = _means([[_doubt(vote) for vote in order] for order in orders])
    verdict: Preference | None = None
    if stated:
        verdict = _majority([vote.verdict for vote in stated]) if probabilities is None else likeliest(probabilities)
    if verdict is not None:
        margins = [float({"a": 1, "b": -1, "tie": 0}[verdict])]
    return replace(
        blank,
        margin=None if margins is None else margins[0],
        rewards=None if rewards is None else (rewards[0], rewards[1]),
        probabilities=None if probabilities is None else (probabilities[0], probabilities[1], probabilities[2]),
        verdict=verdict,
        deviation=None if known is None else known[0],
        familiarity=None if known is None else known[1],
    )


def _doubt(vote: Record) -> tuple[float, float] | None:
    return None if vote.deviation is None or vote.familiarity is None else (vote.deviation, vote.familiarity)


def _plan(run: Run) -> tuple[bool, int]:
    """Whether both orders are shown, and how many votes a sample gets; one where an old run does not say."""
    both, repeats = run.settings.get("order") == "both", run.settings.get("repeats")
    return both, (repeats if isinstance(repeats, int) else 1) * (2 if both else 1)


def _check_same_sample(before: Record, record: Record) -> None:
    if (before.repeat, before.swapped) == (record.repeat, record.swapped):
        raise SourceError(f"two judgements of sample {record.index} ({record.id!r}); a journal holds one run only.")
    for name in ("id", "task", "cluster", "groups", "preference"):
        if getattr(before, name) != getattr(record, name):
            raise SourceError(
                f"the votes on sample {record.index} ({record.id!r}) disagree about its {name}: the benchmark has "
                "changed, and only some of them were brought up to date. Evaluate again to bring up the others."
            )


def _majority(verdicts: Sequence[Preference | None]) -> Preference:
    ((most, times),) = Counter(verdicts).most_common(1)
    return most if most is not None and 2 * times > len(verdicts) else "tie"


def _means(orders: Sequence[Sequence[tuple[float, ...] | None]]) -> list[float] | None:
    """Column by column, each order weighing the same; None unless every vote has the numbers."""
    averages = []
    for rows in orders:
        present = [row for row in rows if row is not None]
        if len(present) < len(rows):
            return None
        # statistics.mean is exact: votes that are equal keep their value, and their order changes nothing.
        averages.append([mean(column) for column in zip(*present, strict=True)])
    return [mean(column) for column in zip(*averages, strict=True)]
