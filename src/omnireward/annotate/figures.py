"""What has become of the criteria, how far people agree, and how each of them works.

Figures that an annotator sees while working must not tell how others voted on what they can still change. So they count
criteria that all votes are in on, without those among the person's own latest answers, which they could take back.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from omnireward.annotate.agreement import Unit
from omnireward.annotate.answers import REACH, majority
from omnireward.annotate.people import Person
from omnireward.types import Preference

Fate = Literal[
    "not checked", "vague", "specific", "other", "voting", "no consensus", "agreed", "adjudicated", "not shown"
]
_DROPPED: tuple[Fate, ...] = ("vague", "specific", "other", "no consensus", "not shown")
_AGREED: tuple[Fate, ...] = ("agreed", "adjudicated")


@dataclass(frozen=True, slots=True)
class Criterion:
    """A criterion and what people said of it. `votes` are by person; who wrote it is empty where it came along."""

    number: int
    sample: int
    cluster: str
    text: str
    writer: str
    checker: str
    verdict: str
    note: str
    votes: Mapping[str, Preference]
    decided: Preference | None
    adjudicator: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Yield:
    """How many criteria there are, how many of them are valid, have a preference, or were dropped and why."""

    criteria: int
    valid: int
    agreed: int
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Worker:
    """One person: items done, median of their seconds, and votes on gold samples: right ones, and all."""

    name: str
    done: int
    median_seconds: float | None
    gold_right: int
    gold: int


def criteria(db: sqlite3.Connection) -> list[Criterion]:
    """All criteria but gold ones and those that were taken back, by sample, then in the order they came in."""
    said: dict[tuple[int, str], list[sqlite3.Row]] = {}
    for row in db.execute(
        "SELECT item.criterion, item.kind, person.name, current.choice, current.body FROM current "
        "JOIN item ON item.number = current.item JOIN person ON person.number = current.person "
        "WHERE item.criterion IS NOT NULL AND NOT item.gold ORDER BY current.number"
    ):
        said.setdefault((row["criterion"], row["kind"]), []).append(row)
    wanted = {  # not where the verdict that it follows from was taken back
        row["criterion"]: row["wanted"]
        for row in db.execute("SELECT criterion, wanted FROM item WHERE kind = 'vote' AND (open OR given)")
    }
    found = []
    for row in db.execute(
        "SELECT criterion.*, sample.cluster, sample.broken, person.name FROM criterion "
        "JOIN sample ON sample.number = criterion.sample LEFT JOIN person ON person.number = criterion.writer "
        "WHERE NOT sample.gold AND NOT criterion.withdrawn ORDER BY criterion.sample, criterion.number"
    ):
        number = row["number"]
        parts = {kind: said.get((number, kind), []) for kind in ("check", "vote", "adjudicate")}
        found.append(_criterion(row, parts, wanted.get(number)))
    return found


def the_yield(found: Sequence[Criterion]) -> Yield:
    """Counts of criteria."""
    fates = Counter(one.fate for one in found)
    valid = sum(one.verdict == "ok" or not one.writer for one in found)
    dropped = {str(fate): fates[fate] for fate in _DROPPED if fates[fate]}
    return Yield(len(found), valid, sum(fates[fate] for fate in _AGREED), dropped)


def said(counts: Yield) -> str:
    """A yield in words.

    >>> print(said(Yield(40, 31, 25, {"vague": 6, "specific": 3, "no consensus": 6})))
    Of 40 criteria, 22.5 % were dropped as vague, over-specific or otherwise invalid.
    15.0 % were dropped without consensus. 25 (62.5 %) have a preference.
    """
    if not counts.criteria:
        return "There are no criteria yet."

    def share(*reasons: str) -> str:
        return f"{100 * sum(counts.dropped.get(reason, 0) for reason in reasons) / counts.criteria:.1f} %"

    hidden = counts.dropped.get("not shown", 0)
    return (
        f"Of {counts.criteria:,} criteria, {share('vague', 'specific', 'other')} were dropped as vague, over-specific "
        f"or otherwise invalid.\n{share('no consensus')} were dropped without consensus. {counts.agreed:,} "
        f"({100 * counts.agreed / counts.criteria:.1f} %) have a preference."
        + (f" {hidden:,} could not be shown." if hidden else "")
    )


def units(found: Sequence[Criterion]) -> list[Unit]:
    """The votes under each criterion, as agreement counts them."""
    return [Unit(one.cluster, one.votes) for one in found if one.votes]


def visible(db: sqlite3.Connection, person: Person, found: Sequence[Criterion]) -> list[Criterion]:
    """The criteria as a person's figures count them: votes that could influence them are left out, see above.

    An adjudicator, who does not vote, sees all.
    """
    if person.role == "adjudicator":
        return list(found)
    recent = {
        row["criterion"]
        for row in db.execute(
            "SELECT item.criterion FROM (SELECT * FROM answer WHERE person = ? ORDER BY number DESC LIMIT ?) AS latest "
            "JOIN item ON item.number = latest.item",
            (person.number, REACH),
        )
    }
    complete = ("agreed", "no consensus", "adjudicated")
    return [
        one if one.fate in complete and one.number not in recent else replace(one, votes={}, fate=_before(one))
        for one in found
    ]


def workers(db: sqlite3.Connection) -> list[Worker]:
    """Everybody who ever took part, in the order they came."""
    seconds: dict[str, list[float]] = {}
    gold: dict[str, list[bool]] = {}
    for row in db.execute(
        "SELECT person.name, current.seconds, current.choice, item.gold, sample.preference FROM person "
        "LEFT JOIN current ON current.person = person.number LEFT JOIN item ON item.number = current.item "
        "LEFT JOIN sample ON sample.number = item.sample ORDER BY person.number"
    ):
        times, hits = seconds.setdefault(row["name"], []), gold.setdefault(row["name"], [])
        if row["seconds"] is not None:
            times.append(row["seconds"])
        if row["gold"]:
            hits.append(row["choice"] == row["preference"])
    return [
        Worker(name, len(times), median(times) if times else None, sum(gold[name]), len(gold[name]))
        for name, times in seconds.items()
    ]


def median_seconds(db: sqlite3.Connection, person: Person) -> float | None:
    """Of a person's answers that hold."""
    times = [row[0] for row in db.execute("SELECT seconds FROM current WHERE person = ?", (person.number,))]
    return median(times) if times else None


def _criterion(row: sqlite3.Row, parts: Mapping[str, Sequence[sqlite3.Row]], wanted: int | None) -> Criterion:
    check = next(iter(parts["check"]), None)
    ruling = next(iter(parts["adjudicate"]), None)
    votes: dict[str, Preference] = {vote["name"]: vote["choice"] for vote in parts["vote"]}
    verdict = check["choice"] if check is not None else ""
    fate, decided = _fate(row, verdict, votes, ruling, wanted)
    return Criterion(
        number=row["number"],
        sample=row["sample"],
        cluster=row["cluster"],
        text=row["text"],
        writer=row["name"] or "",
        checker=check["name"] if check is not None else "",
        verdict=verdict,
        note=json.loads(check["body"])["note"] if check is not None else "",
        votes=votes,
        decided=decided,
        adjudicator=ruling["name"] if ruling is not None else "",
        fate=fate,
    )


def _before(one: Criterion) -> Fate:
    """The fate as it was before the votes."""
    return "voting" if one.votes else one.fate


def _fate(
    row: sqlite3.Row, verdict: str, votes: Mapping[str, Preference], ruling: sqlite3.Row | None, wanted: int | None
) -> tuple[Fate, Preference | None]:
    if verdict in ("vague", "specific", "other"):
        return verdict, None  # type: ignore[return-value]
    if ruling is not None:
        return "adjudicated", ruling["choice"]
    if wanted is not None and len(votes) >= wanted:
        most = majority(list(votes.values()))
        return ("no consensus", None) if most is None else ("agreed", most)  # type: ignore[return-value]
    if row["broken"]:
        return "not shown", None
    return ("voting", None) if wanted is not None else ("not checked", None)
