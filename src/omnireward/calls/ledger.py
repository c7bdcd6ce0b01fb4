"""The file of finished calls: an answer is on the disk before anybody is told of it, and is never paid for again.

What is unusual: answers that arrive while others are being written are written together, with one sync, by a thread of
its own, so that neither the disk nor the endpoint waits for the other. Calls that failed after money may have been
spent leave a line too, under a key of their own: a budget holds over runs. Where there is one, a try leaves a line
before it is sent, so that what was under way when a process was killed counts as spent.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from omnireward.calls.options import NO_TOKENS, Tokens
from omnireward.calls.replies import Reply, is_count
from omnireward.errors import JournalError
from omnireward.journal import Journal, Record

Told = Callable[[JournalError | None], None]


@dataclass(frozen=True, slots=True)
class Finished:
    """A call that is done. `lost` are the tokens of tries that may have been paid for without an answer."""

    key: str
    model: str
    reply: Reply
    tokens: Tokens
    tries: int = 1
    lost: Tokens = NO_TOKENS

    def record(self) -> Record:
        """The line."""
        return {
            "key": self.key,
            "model": self.model,
            "text": self.reply.text,
            "finish": self.reply.finish,
            "refused": self.reply.refused,
            "first_token": None if self.reply.first_token is None else dict(self.reply.first_token),
            "prompt_tokens": self.tokens.prompt,
            "answer_tokens": self.tokens.answer,
            "counted": self.reply.tokens is not None,  # by the endpoint; otherwise these are estimates
            "tries": self.tries,
            "lost": [self.lost.prompt, self.lost.answer],
        }


class Ledger:
    """The journal of calls at `path`, open until `close`.

    Raises:
        JournalError: another process writes to it, it cannot be written, or a line is not of a call.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._queue: SimpleQueue[tuple[list[Record], Told] | None] = SimpleQueue()
        self._broken: JournalError | None = None
        self._unknown: dict[str, Tokens] = {}  # of calls under way: what tries of killed runs may have taken
        self._journal.__enter__()
        try:
            for record in self._journal:
                _check(path, record)
        except JournalError:
            self._journal.__exit__(None, None, None)
            raise
        self._writer = threading.Thread(target=self._run, name="calls-journal", daemon=True)
        self._writer.start()

    @property
    def broken(self) -> JournalError | None:
        """Why nothing can be written any more."""
        return self._broken

    def __len__(self) -> int:
        """How many lines there are."""
        return len(self._journal)

    def get(self, key: str) -> Reply | None:
        """The reply to a call that is finished."""
        record = self._journal.get(key)
        if record is None:
            return None
        counted = Tokens(record["prompt_tokens"], record["answer_tokens"]) if record["counted"] else None
        return Reply(record["text"], record["finish"], record["refused"], record["first_token"], counted)

    def spent(self, model: str) -> Tokens:
        """What this model's calls have taken in all runs so far, lost tries included."""
        mine = [record for record in self._journal if record["model"] == model]
        return sum(
            (Tokens(record["prompt_tokens"], record["answer_tokens"]) + Tokens(*record["lost"]) for record in mine),
            NO_TOKENS,
        )

    def begin(self, key: str, model: str, most: Tokens, told: Told) -> None:
        """Write down what a call may have taken if nobody lives to say how its try ends, earlier tries included."""
        if key not in self._unknown:
            earlier = self._journal.get(f"lost:begun:{key}")  # of a run that was killed
            self._unknown[key] = NO_TOKENS if earlier is None else Tokens(*earlier["lost"])
        self._queue.put(([_loss(f"begun:{key}", model, self._unknown[key] + most)], told))

    def add(self, finished: Finished, told: Told) -> None:
        """Write down a finished call; `told` is called from the writing thread when it is on the disk, or cannot be."""
        self._queue.put(([finished.record(), *self._ended(finished.key, finished.model)], told))

    def add_loss(self, key: str, model: str, lost: Tokens, told: Told) -> None:
        """Write down what a call without an answer may have taken, on top of what it had lost before."""
        records = self._ended(key, model)
        if lost != NO_TOKENS:
            earlier = self._journal.get(f"lost:{key}")
            total = lost if earlier is None else lost + Tokens(*earlier["lost"])
            records = [_loss(key, model, total), *records]
        self._queue.put((records, told))

    def close(self) -> None:
        """Write what is left, and let go of the file. Twice is harmless."""
        if self._writer.is_alive():
            self._queue.put(None)
            self._writer.join()
            self._journal.__exit__(None, None, None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            batch = [item]
            while not self._queue.empty():
                if (item := self._queue.get()) is None:
                    self._queue.put(None)  # the end is for the next round
                    break
                batch.append(item)
            self._append([record for records, _ in batch for record in records])
            for _, told in batch:
                told(self._broken)

    def _ended(self, key: str, model: str) -> list[Record]:
        """What takes back the line of `begin`, but not what other runs have left behind."""
        return [_loss(f"begun:{key}", model, self._unknown.pop(key))] if key in self._unknown else []

    def _append(self, records: Sequence[Record]) -> None:
        if self._broken is not None:
            return  # a line may be torn; what comes after it would be lost with it
        try:
            self._journal.append(records)
        except OSError as error:
            self._broken = JournalError(
                f"cannot write to {self._journal.path}: {error}. Answers that are paid for would be lost, so nothing "
                "more is asked. Make room, and run the same command again."
            )


def _loss(key: str, model: str, lost: Tokens) -> Record:
    return {
        "key": f"lost:{key}",
        "model": model,
        "prompt_tokens": 0,
        "answer_tokens": 0,
        "lost": [lost.prompt, lost.answer],
    }


def _check(path: Path, record: Record) -> None:
    """A line that is JSON may still be of something else."""
    fields: dict[str, Any] = {"model": str, "prompt_tokens": int, "answer_tokens": int, "lost": list}
    if not record["key"].startswith("lost:"):
        fields |= {"text": str, "finish": str, "refused": bool, "counted": bool}
    sound = all(isinstance(record.get(name), kind) for name, kind in fields.items())
    if sound:
        lost = record["lost"]
        sound = len(lost) == 2 and all(map(is_count, [*lost, record["prompt_tokens"], record["answer_tokens"]]))
    if sound and (first := record.get("first_token")) is not None:
        sound = isinstance(first, dict) and all(isinstance(p, int | float) and math.isfinite(p) for p in first.values())
    if not sound:
        raise JournalError(f"{path}: the record under {record['key'][:80]!r} is not of a call. Name another file.")
