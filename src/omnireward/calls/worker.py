"""The thread that calls: an event loop on which every call waits for its turn, is tried, and is tried again.

A try that fails is made again where that can help, after a wait drawn between zero and a bound that doubles, so that
tries don't gather. Tries and time are bounded. What ends without an answer is an error with its reason.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from omnireward import waits
from omnireward.calls.budget import Budget
from omnireward.calls.options import NO_TOKENS, CallOptions, Tokens
from omnireward.calls.pacing import Pacer
from omnireward.calls.replies import Reply
from omnireward.calls.transport import Call, NoReplyError, Transport
from omnireward.errors import BudgetError, CallError, CallFailedError, CallRefusedError, JournalError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: with a reply, or with an error. `lost` is what tries without a reply may have taken.

    A call that was `stopped` may have been under way; what it took, nobody knows.
    """

    reply: Reply | None
    error: BaseException | None
    tries: int = 0
    lost: Tokens = NO_TOKENS
    stopped: bool = False


Begin = Callable[[Call, Tokens, Callable[[JournalError | None], None]], None]


class Worker:
    """Runs calls until it is closed.

    Args:
        options: how to call.
        spent: money that is gone already.
        begin: told, where there is a budget, of what a call may take in all before each of its tries; tells when that
            is on the disk, or cannot be.
        done: told of each end, from the worker's thread.
    """

    def __init__(self, options: CallOptions, spent: float, begin: Begin, done: Callable[[Call, Outcome], None]) -> None:
        self._options, self._begin_try, self._done = options, begin, done
        self._pacer = Pacer(options.concurrency)
        self._budget = Budget(options.budget, spent)
        self._transport = Transport(options)
        self._random = random.Random(options.seed)
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._answered = False
        self._hopeless: CallError | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
        self._thread.start()

    def start(self, call: Call) -> None:
        """Begin a call."""
        self._loop.call_soon_threadsafe(self._begin, call)

    def close(self) -> None:
        """Stop every call that is under way, and the thread."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _begin(self, call: Call) -> None:
        task = self._loop.create_task(self._call(call))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, call))

    def _ended(self, call: Call, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            closed = CallFailedError("the judge was closed before the answer came.")
            self._done(call, Outcome(None, closed, stopped=True))
        elif (bug := task.exception()) is not None:
            self._done(call, Outcome(None, bug))
        else:
            self._done(call, task.result())

    def _stop(self) -> None:
        async def stop() -> None:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._transport.close()
            self._loop.stop()

        self._stopping = self._loop.create_task(stop())

    async def _call(self, call: Call) -> Outcome:
        options, state = self._options, _State()
        while True:
            try:
                async with asyncio.timeout_at(state.deadline if state.tries else None):
                    permit = await self._pacer.acquire(urgent=state.tries > 0)
                try:
                    if self._hopeless is not None:
                        return Outcome(None, self._hopeless, state.tries, state.lost)
                    before = self._loop.time()
                    await self._budget.reserve(self._price(call.most))
                    now = self._loop.time()
                    # A call has its time from its first try on; waiting for money is not the endpoint's fault.
                    state.deadline = min(now + options.patience, state.deadline + now - before)
                    state.tries += 1
                    return await self._try(call, state, permit, min(options.timeout, state.deadline - now))
                finally:
                    self._pacer.release()
            except BudgetError as error:
                return Outcome(None, error, state.tries, state.lost)
            except TimeoutError:
                return self._gave_up(state)
            except NoReplyError as failure:
                state.failure = failure
                if not failure.again:
                    return self._refused(state, failure)
                wait = self._wait(state.tries, failure)
                if state.tries >= options.tries or self._loop.time() + max(wait, failure.wait or 0.0) > state.deadline:
                    return self._gave_up(state)
                await asyncio.sleep(wait)

    async def _try(self, call: Call, state: _State, permit: float, timeout: float) -> Outcome:
        taken = NO_TOKENS
        try:
            if self._options.budget is not None:
                await self._noted(call, state.lost + call.most)
            taken = call.most  # as long as nobody knows better
            reply = await self._transport.send(call, timeout)
            taken = reply.tokens or call.most
        except NoReplyError as failure:
            taken = (failure.tokens or call.most) if failure.paid else NO_TOKENS
            state.lost += taken
            if failure.overloaded:
                pause = None if failure.wait is None else min(failure.wait, self._options.patience)
                self._pacer.overloaded(permit, pause)
            raise
        finally:
            self._budget.settle(self._price(call.most), self._price(taken))
        self._answered = True
        self._pacer.answered()
        return Outcome(reply, None, state.tries, state.lost)

    async def _noted(self, call: Call, most: Tokens) -> None:
        """Wait until it is on the disk what a call may take. Raises JournalError."""
        loop, noted = self._loop, self._loop.create_future()

        def tell(broken: JournalError | None) -> None:
            if noted.done():
                return
            if broken is None:
                noted.set_result(None)
            else:
                noted.set_exception(broken)

        def told(broken: JournalError | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(tell, broken)

        self._begin_try(call, most, told)
        await noted

    def _wait(self, tries: int, failure: NoReplyError) -> float:
        """Seconds before the next try; what a 429 asks for is the pacer's, which holds everybody back."""
        if failure.overloaded and failure.wait is not None:
            return 0.0
        return max(failure.wait or 0.0, waits.drawn(tries, self._random.uniform))

    def _refused(self, state: _State, failure: NoReplyError) -> Outcome:
        error = CallRefusedError(
            f"{self._options.model} refused the call: {failure}. Check the model's name, the key and the options."
        )
        if failure.key and not self._answered:
            self._hopeless = error  # one question is enough to find out that the key is wrong
        return Outcome(None, error, state.tries, state.lost)

    def _gave_up(self, state: _State) -> Outcome:
        error = CallFailedError(
            f"{self._options.model} gave no answer in {state.tries} of {self._options.tries} tries and "
            f"{self._options.patience:g} s at most. The last: {state.failure}. Run the same command again, with more "
            "--tries or --patience if it needs them."
        )
        return Outcome(None, error, state.tries, state.lost)

    def _price(self, tokens: Tokens) -> float:
        return self._options.price(tokens) or 0.0


@dataclass(slots=True)
class _State:
    """How far a call has come. `deadline` is a moment of the loop's clock."""

    tries: int = 0
    lost: Tokens = NO_TOKENS
    deadline: float = math.inf
    failure: NoReplyError | None = None
