"""What is in the file of calls is there after any end, is never asked again, and counts as spent."""

from __future__ import annotations

import errno
import json
import threading
from pathlib import Path

import pytest

from omnireward.calls.ledger import Finished, Ledger
from omnireward.calls.options import Tokens
from omnireward.calls.replies import Reply
from omnireward.errors import JournalError
from omnireward.journal import Journal, Record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def write(ledger: Ledger, *calls: Finished) -> list[JournalError | None]:
    """Write calls, and wait until all are told."""
    told: list[JournalError | None] = []
    done = threading.Event()

    def tell(error: JournalError | None) -> None:
        told.append(error)
        if len(told) == len(calls):
            done.set()

    for call in calls:
        ledger.add(call, tell)
    assert done.wait(30)
    return told


def finished(key: str, reply: Reply | None = None, model: str = "m", lost: Tokens = Tokens()) -> Finished:  # noqa: B008
    reply = reply or Reply("VERDICT: A", tokens=Tokens(3, 2))
    return Finished(key, model, reply, reply.tokens or Tokens(30, 20), 1, lost)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("VERDICT: A", "stop", False, None, Tokens(3, 2)),
        Reply("a\n\u2028\x00€", "length", False, {" A": -0.5, "€": -7.25}, Tokens(0, 0)),
        Reply("no", "", True, {}, None),
        Reply("x" * 2_000_000),
    ],
)
def test_a_reply_comes_back_as_it_was(path: Path, reply: Reply) -> None:
    ledger = Ledger(path)
    assert write(ledger, finished("k", reply)) == [None]
    assert ledger.get("k") == reply
    ledger.close()
    again = Ledger(path)
    assert again.get("k") == reply
    assert again.get("other") is None
    again.close()


def test_a_line_holds_no_prices_and_says_who_counted(path: Path) -> None:
    ledger = Ledger(path)
    write(ledger, finished("a"), finished("b", Reply("x")))
    ledger.close()
    a, b = map(json.loads, path.read_text().splitlines())
    assert (a["prompt_tokens"], a["answer_tokens"], a["counted"]) == (3, 2, True)
    assert (b["prompt_tokens"], b["answer_tokens"], b["counted"]) == (30, 20, False)
    assert not [name for name in a if "price" in name or "cost" in name]


def test_what_a_model_has_taken_is_summed_over_answers_and_losses(path: Path) -> None:
    """3 + 2 for one answer, 1 + 1 lost on its way; 10 + 20 and 1 + 2 lost without one; another model's do not count."""
    ledger = Ledger(path)
    write(ledger, finished("a", lost=Tokens(1, 1)), finished("b", model="other"))
    for lost in (Tokens(10, 20), Tokens(1, 2)):
        done = threading.Event()
        ledger.add_loss("c", "m", lost, lambda _, done=done: done.set())  # type: ignore[misc]
        assert done.wait(30)
    assert ledger.spent("m") == Tokens(3 + 1 + 11, 2 + 1 + 22)
    assert ledger.get("c") is None
    ledger.close()
    again = Ledger(path)
    assert again.spent("m") == Tokens(15, 25)
    again.close()


def test_what_a_try_may_take_counts_until_it_is_known_what_it_took(path: Path) -> None:
    """Call a ends and took 3 + 2; b was under way with 7 + 7 at most when its process ended, and later takes 3 + 2."""
    ledger = Ledger(path)
    done = threading.Event()
    for key in ("a", "b"):
        ledger.begin(key, "m", Tokens(7, 7), lambda _: None)
    write(ledger, finished("a"))
    ledger.close()
    again = Ledger(path)
    assert again.spent("m") == Tokens(7 + 3, 7 + 2)
    again.begin("b", "m", Tokens(7, 7), lambda _: done.set())
    assert done.wait(30)
    assert again.spent("m") == Tokens(7 + 7 + 3, 7 + 7 + 2)
    write(again, finished("b"))
    assert again.spent("m") == Tokens(7 + 3 + 3, 7 + 2 + 2)
    again.close()


def test_a_torn_last_line_is_asked_again_and_the_others_are_not(path: Path) -> None:
    ledger = Ledger(path)
    write(ledger, finished("a"), finished("b"))
    ledger.close()
    path.write_bytes(path.read_bytes()[:-7])
    again = Ledger(path)
    assert again.get("a") is not None
    assert again.get("b") is None
    write(again, finished("b"))
    again.close()
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["a", "b"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"text": 3},
        {"tokens": "many"},
        {"lost": [1]},
        {"lost": [1, -1]},
        {"prompt_tokens": -1},
        {"first_token": []},
        {"first_token": {"A": "high"}},
        {"first_token": {"A": None}},
    ],
)
def test_a_file_of_something_else_is_refused_and_let_go(path: Path, broken: Record) -> None:
    sound = finished("a").record()
    line = {"key": "a", "margin": 1.0} if not broken or "tokens" in broken else {**sound, **broken}
    with Journal(path) as journal:
        journal.append([line])
    for _ in range(2):  # the second time, the first must not have kept the lock
        with pytest.raises(JournalError, match=r"calls\.jsonl: the record under 'a' is not of a call"):
            Ledger(path)


def test_two_runs_cannot_write_at_once(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(JournalError, match="another process"):
        Ledger(path)
    ledger.close()
    ledger.close()
    Ledger(path).close()


def test_answers_that_wait_are_written_with_one_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first write is held until 50 more are waiting; then there are two."""
    ledger = Ledger(path)
    sizes: list[int] = []
    begun, go_on = threading.Event(), threading.Event()
    real = Journal.append

    def append(self: Journal, records: list[Record]) -> None:
        sizes.append(len(records))
        begun.set()
        assert go_on.wait(30)
        real(self, records)

    monkeypatch.setattr(Journal, "append", append)
    ledger.add(finished("first"), lambda _: None)
    assert begun.wait(30)
    for number in range(50):
        ledger.add(finished(str(number)), lambda _: None)
    go_on.set()
    ledger.close()
    assert sizes == [1, 50]


def test_a_full_disk_is_told_to_all_and_nothing_is_written_after_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(path)

    def full(self: Journal, records: list[Record]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    for _ in range(2):
        (error,) = write(ledger, finished("a"))
        assert isinstance(error, JournalError)
        assert "No space left" in str(error)
    monkeypatch.undo()
    assert write(ledger, finished("b")) == [ledger.broken]
    ledger.close()
    assert path.read_bytes() == b""
