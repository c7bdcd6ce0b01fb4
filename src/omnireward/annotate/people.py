"""Who takes part, and how they are recognised.

A login link holds a random token. The database holds its SHA-256 only, so a token outlives a restart but its text is
nowhere: links are printed once, when they are made. Who has lost theirs gets new ones (`--new-links`), and the old end.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from omnireward.annotate.tables import transaction

Role = Literal["annotator", "adjudicator"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who takes part; `number` is theirs in the database."""

    number: int
    name: str
    role: Role


def admit(db: sqlite3.Connection, annotators: Sequence[str], adjudicator: str, *, renew: bool) -> dict[str, str]:
    """Let exactly these people in; returns the tokens that were made, by name: of newcomers, or of all (`renew`)."""
    roles: dict[str, Role] = dict.fromkeys(annotators, "annotator")
    if adjudicator:
        roles[adjudicator] = "adjudicator"
    made = {}
    with transaction(db):
        known = {row["name"] for row in db.execute("SELECT name FROM person")}
        db.execute("UPDATE person SET active = 0")
        for name, role in roles.items():
            if renew or name not in known:
                made[name] = secrets.token_urlsafe(32)
                db.execute(
                    "INSERT INTO person (name, role, active, token) VALUES (?, ?, 1, ?) "
                    "ON CONFLICT (name) DO UPDATE SET token = excluded.token",
                    (name, role, _hashed(made[name])),
                )
            db.execute("UPDATE person SET active = 1, role = ? WHERE name = ?", (role, name))
    return made


def recognise(db: sqlite3.Connection, token: str) -> Person | None:
    """Whose token it is. Compares with everybody's, always: the time says nothing about any of them."""
    given = _hashed(token)
    found = None
    for row in db.execute("SELECT number, name, role, token FROM person WHERE active"):
        if hmac.compare_digest(row["token"], given):
            found = Person(row["number"], row["name"], row["role"])
    return found


def _hashed(token: str) -> bytes:
    """A token has 256 random bits: no slow hash is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
