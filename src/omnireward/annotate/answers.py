"""An answer is saved once, follows the rules, and can be taken back while nobody else's work rests on it.

A page sends each answer with a key of its own, and again until it hears that it is saved. The same key is the same
answer, so an answer whose confirmation was lost is neither lost nor doubled.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.annotate import intake, queue
from omnireward.annotate.people import Person
from omnireward.annotate.queue import Handed, Rules
from omnireward.annotate.requests import RequestError
from omnireward.types import Preference

REACH = 5
"""So many of a person's latest answers can be taken back. Figures shown to them leave these out: see `figures`."""
VERDICTS = ("ok", "vague", "specific", "other")
LONGEST_TEXT = 2000  # characters of a criterion or a note
MOST_SECONDS = 86_400.0
_KEY = re.compile(r"[\w-]{8,64}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "।", "؟")
_CLOSING = "\"'”’)»」"


def save(
    db: sqlite3.Connection, rules: Rules, person: Person, given: Mapping[str, Any], unplayed: Sequence[str], now: float
) -> None:
    """Save an answer; the same key again changes nothing. In a transaction.

    Args:
        db: the database.
        rules: who may do what.
        person: who answers.
        given: `item`, `key`, `seconds` and `answer`.
        unplayed: media of the item that the person has still to play.
        now: seconds since 1970.

    Raises:
        RequestError: the item is not theirs (404), is answered already or by enough others, or is not played yet (409),
            or the answer is not one (400).
    """
    key = given.get("key")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise RequestError("'key' is 8 to 64 letters, digits and dashes, made once for each answer.")
    item = shown(db, person, given.get("item"))
    old = db.execute("SELECT item FROM answer WHERE person = ? AND key = ?", (person.number, key)).fetchone()
    if old is not None:
        if old["item"] != item["number"]:
            raise RequestError("this key belongs to the answer to another item.", 409)
        return
    answer = given.get("answer")
    choice, body = _read(rules, item, answer if isinstance(answer, dict) else {})
    if "side" in body:
        choice = preference(choice, item["left"])
    seconds = _seconds(given.get("seconds"))
    _check_open(db, person, item, now)
    if unplayed:
        raise RequestError(f"play to the end first: {', '.join(unplayed)}.", 409)
    cursor = db.execute(
        "INSERT INTO answer (person, item, key, body, choice, seconds, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (person.number, item["number"], key, json.dumps(body, ensure_ascii=False), choice, seconds, now),
    )
    db.execute("DELETE FROM lease WHERE item = ? AND person = ?", (item["number"], person.number))
    db.execute("DELETE FROM draft WHERE item = ? AND person = ?", (item["number"], person.number))
    if not item["gold"]:  # a gold item is everybody's
        assert cursor.lastrowid is not None
        _follow(db, rules, person, item, cursor.lastrowid, choice, body)


def take_back(db: sqlite3.Connection, rules: Rules, person: Person, now: float) -> Handed:
    """A person's latest answer no longer counts, and is their draft again. In a transaction.

    Raises:
        RequestError: there is none within reach, or others have built on it (409).
    """
    latest = db.execute(
        "SELECT *, EXISTS (SELECT 1 FROM undo WHERE undo.answer = number) AS gone FROM answer WHERE person = ? "
        "ORDER BY number DESC LIMIT ?",
        (person.number, REACH),
    ).fetchall()
    answer = next((row for row in latest if not row["gone"]), None)
    if answer is None:
        raise RequestError(f"there is nothing to take back: only the latest {REACH} answers can be.", 409)
    item = db.execute("SELECT * FROM item WHERE number = ?", (answer["item"],)).fetchone()
    db.execute("INSERT INTO undo VALUES (?, ?)", (answer["number"], now))
    if not item["gold"]:
        _unfollow(db, item, answer, now)
    queue.lease(db, rules, person, item["number"], now)
    db.execute("INSERT OR REPLACE INTO draft VALUES (?, ?, ?, ?)", (person.number, item["number"], answer["body"], now))
    return queue.in_hands(db, rules, person, item["number"], now)


def save_draft(
    db: sqlite3.Connection, rules: Rules, person: Person, item: str, draft: Mapping[str, Any], now: float
) -> None:
    """Keep an unfinished answer. In a transaction. Raises RequestError: not theirs (404), or answered already (409)."""
    row = shown(db, person, item)
    _check_unanswered(db, person, row)
    text = json.dumps(draft, ensure_ascii=False)
    db.execute("INSERT OR REPLACE INTO draft VALUES (?, ?, ?, ?)", (person.number, row["number"], text, now))
    queue.renew(db, rules, person, row["number"], now)


def shown(db: sqlite3.Connection, person: Person, name: object) -> sqlite3.Row:
    """An item by its id. Raises RequestError (404): there is none, or this person was never shown it."""
    row = db.execute(
        "SELECT item.*, shown.left FROM item JOIN shown ON shown.item = item.number "
        "WHERE shown.person = ? AND item.id = ?",
        (person.number, name if isinstance(name, str) else ""),
    ).fetchone()
    if row is None:
        raise RequestError("there is no such item for you.", 404)
    found: sqlite3.Row = row
    return found


def majority(choices: Sequence[str]) -> str | None:
    """What more than half say, or nothing.

    >>> majority(["a", "tie", "a"]), majority(["a", "b", "tie"]), majority(["a", "b"])
    ('a', None, None)
    """
    ((most, times),) = Counter(choices).most_common(1)
    return most if 2 * times > len(choices) else None


def problem(text: str) -> str:
    """Why a text is no criterion; empty where it is one. The paper asks for at least one full sentence.

    >>> problem("bright"), problem("The lamp should be bright.")
    ('write at least one full sentence, with an end such as a full stop.', '')
    """
    if not text or len(text) > LONGEST_TEXT:
        return f"a criterion has 1 to {LONGEST_TEXT:,} characters."
    if _CONTROL.search(text):
        return "a criterion has no control characters."
    # Words are counted where a script has spaces between them.
    if not text.rstrip(_CLOSING).endswith(_SENTENCE_ENDS) or (text.isascii() and len(text.split()) < 3):
        return "write at least one full sentence, with an end such as a full stop."
    return ""


def _read(rules: Rules, item: sqlite3.Row, answer: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What counts of an answer, and the answer as it is kept. Raises RequestError (400)."""
    if item["kind"] == "write":
        return "", {"criteria": _criteria(rules, answer.get("criteria"))}
    if item["kind"] == "check":
        verdict, note = answer.get("verdict"), answer.get("note", "")
        if verdict not in VERDICTS:
            raise RequestError(f"'verdict' is one of {', '.join(VERDICTS)}.")
        if not isinstance(note, str) or len(note) > LONGEST_TEXT:
            raise RequestError(f"'note' is a text of at most {LONGEST_TEXT:,} characters.")
        return verdict, {"verdict": verdict, "note": note}
    side = answer.get("side")
    if side not in ("left", "right", "tie"):
        raise RequestError("'side' is left, right or tie.")
    return side, {"side": side}


def _criteria(rules: Rules, given: object) -> list[str]:
    if not isinstance(given, list) or len(given) > rules.most_criteria:
        raise RequestError(f"'criteria' is a list of at most {rules.most_criteria} texts.")
    texts = []
    for text in given:
        if not isinstance(text, str):
            raise RequestError("a criterion is a text.")
        text = " ".join(text.split())
        if wrong := problem(text):
            raise RequestError(f"{text[:60]!r}: {wrong}")
        if text in texts:
            raise RequestError(f"{text[:60]!r} is there twice.")
        texts.append(text)
    return texts


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < math.inf:
        raise RequestError("'seconds' is a number of at least 0.")
    return float(min(given, MOST_SECONDS))  # in this order: an integer may be too large for a float


def _check_unanswered(db: sqlite3.Connection, person: Person, item: sqlite3.Row) -> None:
    if db.execute("SELECT 1 FROM current WHERE item = ? AND person = ?", (item["number"], person.number)).fetchone():
        raise RequestError("you have answered this item already.", 409)


def _check_open(db: sqlite3.Connection, person: Person, item: sqlite3.Row, now: float) -> None:
    _check_unanswered(db, person, item)
    if not queue.is_free(db, person, item, now):
        raise RequestError("this item needs no further answer: others have given theirs, or it was taken back.", 409)


def _follow(
    db: sqlite3.Connection,
    rules: Rules,
    person: Person,
    item: sqlite3.Row,
    answer: int,
    choice: str,
    body: Mapping[str, Any],
) -> None:
    """What an answer opens and closes."""
    given = item["given"] + 1
    db.execute("UPDATE item SET given = ?, open = ? WHERE number = ?", (given, given < item["wanted"], item["number"]))
    sample, criterion = item["sample"], item["criterion"]
    if item["kind"] == "write":
        for text in body["criteria"]:
            number = intake.add_criterion(db, sample, text, person.number, answer)
            intake.add_item(db, "check", sample, number, wanted=1, writer=person.number)
    elif item["kind"] == "check" and choice == "ok":
        intake.add_item(db, "vote", sample, criterion, wanted=rules.overlap, writer=item["writer"])
    elif item["kind"] == "vote" and given >= item["wanted"] and majority(_choices(db, item["number"])) is None:
        intake.add_item(db, "adjudicate", sample, criterion, wanted=1, writer=item["writer"])


def _unfollow(db: sqlite3.Connection, item: sqlite3.Row, answer: sqlite3.Row, now: float) -> None:
    """Close what an answer had opened. Raises RequestError (409): others work on that already."""
    db.execute("UPDATE item SET given = given - 1, open = 1 WHERE number = ?", (item["number"],))
    if item["kind"] == "write":
        built = "criterion IN (SELECT number FROM criterion WHERE answer = ?) AND kind = 'check'"
        about = answer["number"]
    else:
        following = {"check": "vote", "vote": "adjudicate"}.get(item["kind"], "")
        built, about = f"criterion = ? AND kind = '{following}'", item["criterion"]
    busy = db.execute(
        f"SELECT 1 FROM item WHERE {built} AND (given OR EXISTS "
        "(SELECT 1 FROM lease WHERE lease.item = item.number AND lease.person <> ? AND lease.until > ?))",
        (about, answer["person"], now),
    ).fetchone()
    if busy:
        raise RequestError("others work on what followed from your latest answer, so it stays.", 409)
    db.execute(f"UPDATE item SET open = 0 WHERE {built}", (about,))
    if item["kind"] == "write":
        db.execute("UPDATE criterion SET withdrawn = 1 WHERE answer = ?", (about,))


def _choices(db: sqlite3.Connection, item: int) -> list[str]:
    return [row["choice"] for row in db.execute("SELECT choice FROM current WHERE item = ?", (item,))]


_OTHER: dict[str, Preference] = {"a": "b", "b": "a"}


def preference(side: str, left: str) -> Preference:
    """What a choice of a side means.

    >>> preference("right", "b"), preference("tie", "b")
    ('a', 'tie')
    """
    if side == "tie":
        return "tie"
    return _OTHER[left] if side == "right" else _OTHER[_OTHER[left]]
