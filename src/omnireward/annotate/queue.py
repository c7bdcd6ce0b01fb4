"""Who does what next.

An item is handed to no more people at once than it still needs answers: whoever has it open holds a lease, which ends
with the answer or by itself. A person who comes back gets what they had open. Otherwise criteria are written first,
then checked, then voted under.

Who may not: the writer of a criterion does not check it, and votes under it only where the others are too few for the
overlap; nobody answers twice; an adjudicator only adjudicates. Gold items look like votes. One is due at a random place
among each so many votes, drawn beforehand, so that the number of items left tells nothing.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from omnireward.annotate.people import Person
from omnireward.annotate.tables import Kind, setting

Left = Literal["a", "b"]

# What somebody could be handed now. Its parameters are those of `_about`.
_WORK = """
FROM item JOIN sample ON sample.number = item.sample
WHERE item.open AND item.kind = :kind AND item.gold = 0 AND sample.broken = ''
  AND (:writer_too OR item.writer IS NULL OR item.writer <> :me)
  AND NOT EXISTS (SELECT 1 FROM current WHERE current.item = item.number AND current.person = :me)
  AND item.given + (SELECT COUNT(*) FROM lease
                    WHERE lease.item = item.number AND lease.person <> :me AND lease.until > :now) < item.wanted
"""
_GOLD = """
FROM item JOIN sample ON sample.number = item.sample
WHERE item.gold = 1 AND sample.broken = ''
  AND NOT EXISTS (SELECT 1 FROM current WHERE current.item = item.number AND current.person = :me)
"""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides who is handed what; `kinds` are for annotators, in order."""

    kinds: Sequence[Kind] = ("write", "check", "vote")
    overlap: int = 3
    writer_votes: bool = True
    gold_every: int = 10
    most_criteria: int = 5
    lease_seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class Handed:
    """An item in somebody's hands. `left` is the response on their left; `votes` are there for an adjudicator."""

    item: int
    id: str
    kind: Kind
    sample: int
    row: dict[str, Any]
    criterion: str
    left: Left
    draft: dict[str, Any] | None
    votes: dict[str, int] | None
    done: int
    remaining: int


def hand_out(db: sqlite3.Connection, rules: Rules, person: Person, now: float) -> Handed | None:
    """What a person does next, leased to them; None when there is nothing. In a transaction."""
    number = _resumed(db, rules, person, now) or _new(db, rules, person, now)
    if number is None:
        return None
    lease(db, rules, person, number, now)
    db.execute(
        "INSERT OR IGNORE INTO shown VALUES (?, ?, ?, ?)", (person.number, number, "ab"[secrets.randbelow(2)], now)
    )
    return in_hands(db, rules, person, number, now)


def in_hands(db: sqlite3.Connection, rules: Rules, person: Person, number: int, now: float) -> Handed:
    """An item that a person has been shown."""
    row = db.execute(
        "SELECT item.*, sample.row, shown.left, criterion.text FROM item JOIN sample ON sample.number = item.sample "
        "JOIN shown ON shown.item = item.number AND shown.person = ? "
        "LEFT JOIN criterion ON criterion.number = item.criterion WHERE item.number = ?",
        (person.number, number),
    ).fetchone()
    draft = db.execute("SELECT draft FROM draft WHERE person = ? AND item = ?", (person.number, number)).fetchone()
    done, remaining = progress(db, rules, person, now)
    return Handed(
        item=number,
        id=row["id"],
        kind=row["kind"],
        sample=row["sample"],
        row=json.loads(row["row"]),
        criterion=row["text"] or "",
        left=row["left"],
        draft=json.loads(draft["draft"]) if draft else None,
        votes=_votes(db, row["criterion"], row["left"]) if row["kind"] == "adjudicate" else None,
        done=done,
        remaining=remaining,
    )


def lease(db: sqlite3.Connection, rules: Rules, person: Person, item: int, now: float) -> None:
    """Keep an item for somebody, from now on. It is what they opened last: its row is a new one."""
    db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?)", (item, person.number, now + rules.lease_seconds))


def renew(db: sqlite3.Connection, rules: Rules, person: Person, item: int, now: float) -> None:
    """Keep what somebody still holds for longer; it stays where it is in the order of what they have open."""
    db.execute(
        "UPDATE lease SET until = ? WHERE item = ? AND person = ? AND until > ?",
        (now + rules.lease_seconds, item, person.number, now),
    )


def is_free(db: sqlite3.Connection, person: Person, item: sqlite3.Row, now: float) -> bool:
    """Whether an item still needs this person's answer, beside those of the people who hold it."""
    if item["gold"]:
        return True
    held = db.execute(
        "SELECT COUNT(*) FROM lease WHERE item = ? AND person <> ? AND until > ?", (item["number"], person.number, now)
    ).fetchone()[0]
    return bool(item["open"]) and item["given"] + held < item["wanted"]


def progress(db: sqlite3.Connection, rules: Rules, person: Person, now: float) -> tuple[int, int]:
    """How many items a person has done, and how many are left that they could do now."""
    done = db.execute("SELECT COUNT(*) FROM current WHERE person = ?", (person.number,)).fetchone()[0]
    counts = {
        kind: db.execute("SELECT COUNT(*)" + _WORK, _about(rules, person, kind, now)).fetchone()[0]
        for kind in _kinds(rules, person)
    }
    left = sum(counts.values())
    if "vote" in counts:
        votes, gold = _voted(db, person)
        there = db.execute("SELECT COUNT(*)" + _GOLD, {"me": person.number}).fetchone()[0]
        left += min(there, max(0, _due(db, rules, person, votes + counts["vote"] - 1) - gold))
    return int(done), int(left)


def _resumed(db: sqlite3.Connection, rules: Rules, person: Person, now: float) -> int | None:
    """The item that they had open last."""
    rows = db.execute(
        "SELECT item.* FROM lease JOIN item ON item.number = lease.item JOIN sample ON sample.number = item.sample "
        "WHERE lease.person = :me AND sample.broken = '' AND NOT EXISTS "
        "(SELECT 1 FROM current WHERE current.item = item.number AND current.person = :me) ORDER BY lease.rowid DESC",
        {"me": person.number},
    )
    kinds = _kinds(rules, person)
    return next((row["number"] for row in rows if row["kind"] in kinds and is_free(db, person, row, now)), None)


def _new(db: sqlite3.Connection, rules: Rules, person: Person, now: float) -> int | None:
    for kind in _kinds(rules, person):
        row = db.execute(
            "SELECT item.number" + _WORK + "ORDER BY item.number LIMIT 1", _about(rules, person, kind, now)
        ).fetchone()
        if row is not None:
            return (kind == "vote" and _gold(db, rules, person)) or int(row["number"])
    return None


def _gold(db: sqlite3.Connection, rules: Rules, person: Person) -> int | None:
    """A gold item, if one is due before the next vote."""
    votes, gold = _voted(db, person)
    if gold >= _due(db, rules, person, votes):
        return None
    row = db.execute("SELECT item.number" + _GOLD + "ORDER BY item.number LIMIT 1", {"me": person.number}).fetchone()
    return None if row is None else int(row["number"])


def _due(db: sqlite3.Connection, rules: Rules, person: Person, votes: int) -> int:
    """How many gold items come before a person's vote of this number, counted from 0.

    The gold item i comes before one of the votes from i * gold_every on, the same one always.
    """
    if votes < 0:
        return 0
    whole, rest = divmod(votes, rules.gold_every)
    drawn = hashlib.sha256(f"{setting(db, 'secret')}:{person.name}:{whole}".encode()).digest()
    return whole + (int.from_bytes(drawn[:8], "big") % rules.gold_every <= rest)


def _voted(db: sqlite3.Connection, person: Person) -> tuple[int, int]:
    """A person's votes, and those on gold items."""
    row = db.execute(
        "SELECT COUNT(*) - COALESCE(SUM(item.gold), 0), COALESCE(SUM(item.gold), 0) FROM current "
        "JOIN item ON item.number = current.item WHERE current.person = ? AND item.kind = 'vote'",
        (person.number,),
    ).fetchone()
    return int(row[0]), int(row[1])


def _votes(db: sqlite3.Connection, criterion: int, left: Left) -> dict[str, int]:
    """The votes under a criterion, by the sides as the adjudicator sees them."""
    counts = {"left": 0, "right": 0, "tie": 0}
    for (choice,) in db.execute(
        "SELECT choice FROM current JOIN item ON item.number = current.item "
        "WHERE item.criterion = ? AND item.kind = 'vote'",
        (criterion,),
    ):
        counts["tie" if choice == "tie" else "left" if choice == left else "right"] += 1
    return counts


def _kinds(rules: Rules, person: Person) -> Sequence[Kind]:
    return ("adjudicate",) if person.role == "adjudicator" else rules.kinds


def _about(rules: Rules, person: Person, kind: Kind, now: float) -> dict[str, object]:
    return {
        "kind": kind,
        "me": person.number,
        "now": now,
        "writer_too": kind == "vote" and rules.writer_votes,
    }
