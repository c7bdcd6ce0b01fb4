"""An endpoint: messages in, answers out, many at once, each paid for once.

Futures come back at once and resolve when the answer is on the disk. Two equal calls under way are one call, and a call
that the journal knows is not sent. What ends without an answer is an error, never an answer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial

from omnireward.calls.estimates import prompt_tokens
from omnireward.calls.ledger import Finished, Ledger
from omnireward.calls.messages import MessageWriter
from omnireward.calls.options import NO_TOKENS, CallOptions, Tokens, Usage
from omnireward.calls.replies import Reply
from omnireward.calls.transport import Call
from omnireward.calls.worker import Outcome, Worker
from omnireward.errors import CallFailedError, JournalError
from omnireward.presentation import Message
from omnireward.prompts import Answer


class Endpoint:
    """An OpenAI-compatible endpoint for chat completions. Safe to use from several threads.

    Raises:
        JournalError: the journal cannot be used.
    """

    def __init__(self, options: CallOptions) -> None:
        self._options = options
        self._write = MessageWriter(options.join_audio)
        self._ledger = Ledger(options.journal)
        self._before = self._ledger.spent(options.model)
        self._lock = threading.Lock()
        self._pending: dict[str, Future[Answer]] = {}
        self._calls = self._paid = 0
        self._taken = NO_TOKENS
        self._closed = False
        self._worker: Worker | None = None  # made with the first call that is sent

    @property
    def usage(self) -> Usage:
        """What calls have taken so far."""
        with self._lock:
            taken = self._taken
            return Usage(self._calls, self._paid, taken.prompt, taken.answer, self._options.price(taken))

    @property
    def spent(self) -> float | None:
        """The money that this model has taken, earlier runs with the same journal included; None without prices."""
        with self._lock:
            return self._options.price(self._before + self._taken)

    def call(self, messages: Sequence[Message], repeat: int = 0) -> Call:
        """What would be sent; `repeat` is added to the seed, so that repeated questions are different calls."""
        options, written = self._options, self._write(messages)
        seed = options.seed + repeat
        named = {
            "model": options.model,
            "temperature": options.temperature,
            "seed": seed,
            "max_tokens": options.max_tokens,
            "top_logprobs": options.top_logprobs,
        }
        sha = hashlib.sha256()
        for piece in (json.dumps(named, sort_keys=True).encode(), written):
            sha.update(len(piece).to_bytes(8, "big"))  # or two lists of pieces could share a hash
            sha.update(piece)
        return Call(sha.hexdigest(), written, seed, Tokens(prompt_tokens(messages), options.max_tokens))

    def known(self, messages: Sequence[Message], repeat: int = 0) -> Answer | None:
        """The answer to a call that is finished; None where it would have to be sent."""
        if not len(self._ledger):
            return None  # before a first run, finding out what calls are named would be the dearest part of an estimate
        reply = self._ledger.get(self.call(messages, repeat).key)
        return None if reply is None else reply.answer

    def submit(self, messages: Sequence[Message], repeat: int = 0) -> Future[Answer]:
        """Ask, unless it has been asked before. The future fails with a CallError, or a JournalError."""
        call = self.call(messages, repeat)
        future: Future[Answer] = Future()
        future.set_running_or_notify_cancel()  # shared by all who ask the same: nobody can cancel it for the others
        with self._lock:
            if (pending := self._pending.get(call.key)) is not None:
                return pending
            self._calls += 1
            if (reply := self._ledger.get(call.key)) is not None:
                self._paid += 1
            elif self._ledger.broken is not None:
                future.set_exception(self._ledger.broken)
            elif self._closed:
                future.set_exception(CallFailedError("the endpoint was closed before the call was sent."))
            else:
                self._pending[call.key] = future
                if self._worker is None:
                    spent = self._options.price(self._before) or 0.0
                    self._worker = Worker(self._options, spent, self._begin, self._done)
                self._worker.start(call)
        if reply is not None:
            future.set_result(reply.answer)
        return future

    def close(self) -> None:
        """Stop what is under way; its futures fail. Twice is harmless."""
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        self._ledger.close()

    def _begin(self, call: Call, most: Tokens, told: Callable[[JournalError | None], None]) -> None:
        self._ledger.begin(call.key, self._options.model, most, told)

    def _done(self, call: Call, outcome: Outcome) -> None:
        """A call has ended; its future is told when that is on the disk. Runs on the worker's thread."""
        if outcome.reply is None:
            tell = partial(self._tell, call, None, outcome.error, outcome.lost)
            if outcome.stopped or (outcome.lost == NO_TOKENS and self._options.budget is None):
                tell(None)
            else:
                self._ledger.add_loss(call.key, self._options.model, outcome.lost, tell)
            return
        tokens = outcome.reply.tokens or call.most
        finished = Finished(call.key, self._options.model, outcome.reply, tokens, outcome.tries, outcome.lost)
        self._ledger.add(finished, partial(self._tell, call, outcome.reply, None, tokens + outcome.lost))

    def _tell(
        self, call: Call, reply: Reply | None, error: BaseException | None, taken: Tokens, broken: JournalError | None
    ) -> None:
        with self._lock:
            self._taken += taken
            future = self._pending.pop(call.key)
        if broken is not None or reply is None:
            future.set_exception(broken or error)
        else:
            future.set_result(reply.answer)
