"""The two clients: one that waits, and one for an event loop.

`wire` is what they say, `replies` what they believe, `tries` when, and `servers` whom they ask.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import weakref
from asyncio import sleep as nap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from time import sleep
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import httpx

from omnireward.client.replies import Pair, Ranked
from omnireward.client.servers import Servers
from omnireward.client.tries import DEFAULT_LIMITS, CallLimits, Reply, Send, Task, course
from omnireward.client.wire import (
    ahead_of_ask,
    ahead_of_comparison,
    judgement_call,
    pairs_call,
    ranking_call,
    rewards_call,
)
from omnireward.errors import RecipeError
from omnireward.serve.asking import OWN_ID, Ask, Reward
from omnireward.types import Comparison, Judgement, Part, Text, Turn

KEY = "OMNIREWARD_API_KEY"
CONNECT_SECONDS = 5.0  # a machine that is gone refuses nothing, and another server is to be asked soon

Prompt = str | Sequence[Turn]
Response = str | Sequence[Part]
Result = TypeVar("Result")
Http = TypeVar("Http", bound=httpx.Client | httpx.AsyncClient)
Room = TypeVar("Room")
Transport = TypeVar("Transport")


class _Caller(Generic[Http, Room, Transport]):
    """What both clients are made of: connections, the servers at their ends, and room for so many calls at once."""

    _new_http: Callable[..., Http]
    _new_room: Callable[[int], Room]

    def __init__(
        self,
        url: str | Sequence[str],
        api_key: str | None = None,
        limits: CallLimits = DEFAULT_LIMITS,
        transport: Transport | None = None,
        discount: float = 0.0,
    ) -> None:
        check_discount(discount)
        self._discount = discount
        key = os.environ.get(KEY, "") if api_key is None else api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        most = httpx.Limits(max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency)
        self._servers, self._limits, self._room = Servers(url), limits, self._new_room(limits.concurrency)
        # Redirects are not followed: a key and other people's media would go where nobody sent them.
        self._settings = {"headers": headers, "limits": most, "transport": transport, "follow_redirects": False}
        self._opening = threading.Lock()
        self._http: Http | None = self._new_http(**self._settings)
        _callers.add(self)

    def _connections(self) -> Http:
        if self._http is None:  # of a parent until now
            with self._opening:
                self._http = self._http or self._new_http(**self._settings)
        return self._http

    def _after_fork(self) -> None:
        # On a connection that two processes share, one would read the reply to the other. Calls of threads that are not
        # here hold room and locks.
        self._opening, self._room = threading.Lock(), self._new_room(self._limits.concurrency)
        self._servers.after_fork()
        if self._http is not None and not self._http.is_closed:
            _parents.append(self._http)
            self._http = None  # a new one costs time, and not every child calls


class Client(_Caller[httpx.Client, threading.Semaphore, httpx.BaseTransport]):
    """Calls of a server, each waiting for its reply. Threads may share it.

    Args:
        url: such as ``http://127.0.0.1:8000``; several, also in one text with commas, where several servers have the
            same model: the least busy one is asked, and one that fails is left alone for a while.
        api_key: the environment's OMNIREWARD_API_KEY when None; empty for none.
        limits: of each call.
        transport: how requests are carried; for tests.
        discount: rewards are given less so many times their deviation, where the model says how far they may be off; it
            must say so then. 0 takes nothing off.
    """

    _new_http, _new_room = httpx.Client, threading.Semaphore

    def rewards(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> list[Reward]:
        """A reward, or why there is none, for each response. Raises CallError, OSError."""
        return self._ask(_ask(prompt, responses, criterion))

    def pairs(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> list[Pair]:
        """How each two responses compare; those of a response without a reward are left out. As `rewards`."""
        return self._made(_pairs(_ask(prompt, responses, criterion)))

    def rank(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> Ranked:
        """A strength for each response, from what a judge that compares says of two at a time. As `rewards`."""
        return self._made(_ranking(_ask(prompt, responses, criterion)))

    def ask(self, asks: Sequence[Ask]) -> list[list[Reward]]:
        """Rewards of several prompts, whose calls are under way together. Raises CallError, OSError."""
        with ThreadPoolExecutor(self._limits.concurrency) as pool:
            return list(pool.map(self._ask, asks))

    def judge(self, comparison: Comparison) -> Judgement:
        """What the server's judge says of two responses; `error` says why where it says nothing. As `rewards`."""
        return self._made(_judgement(comparison))

    def close(self) -> None:
        """Let go of the connections. Twice is harmless."""
        if self._http is not None:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, ask: Ask) -> list[Reward]:
        return self._made(_rewards(ask, self._discount))

    def _made(self, task: Task[Result]) -> Result:
        with self._room, closing(course(task, self._limits, self._servers)) as steps:  # its time begins here
            heard: Reply | httpx.RequestError | None = None
            while True:
                try:
                    step = steps.send(heard)
                except StopIteration as end:
                    return cast(Result, end.value)
                if isinstance(step, Send):
                    heard = self._sent(step)
                else:
                    sleep(step)
                    heard = None

    def _sent(self, step: Send) -> Reply | httpx.RequestError:
        try:
            with self._connections().stream(**_request(step, step.call.write())) as response:
                for chunk in response.iter_bytes():
                    step.take(chunk)
        except httpx.RequestError as error:
            return error
        return step.reply(response)


class AsyncClient(_Caller[httpx.AsyncClient, asyncio.Semaphore, httpx.AsyncBaseTransport]):
    """As `Client`, for an event loop; make it where it is used."""

    _new_http, _new_room = httpx.AsyncClient, asyncio.Semaphore

    async def rewards(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> list[Reward]:
        """A reward, or why there is none, for each response. Raises CallError, OSError."""
        return await self._ask(_ask(prompt, responses, criterion))

    async def pairs(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> list[Pair]:
        """How each two responses compare; those of a response without a reward are left out. As `rewards`."""
        return await self._made(_pairs(_ask(prompt, responses, criterion)))

    async def rank(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> Ranked:
        """A strength for each response, from what a judge that compares says of two at a time. As `rewards`."""
        return await self._made(_ranking(_ask(prompt, responses, criterion)))

    async def ask(self, asks: Sequence[Ask]) -> list[list[Reward]]:
        """Rewards of several prompts, whose calls are under way together. Raises CallError, OSError."""
        tasks = [asyncio.ensure_future(self._ask(ask)) for ask in asks]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:  # the first failure ends the others
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def judge(self, comparison: Comparison) -> Judgement:
        """What the server's judge says of two responses; `error` says why where it says nothing. As `rewards`."""
        return await self._made(_judgement(comparison))

    async def close(self) -> None:
        """Let go of the connections. Twice is harmless."""
        if self._http is not None:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, ask: Ask) -> list[Reward]:
        return await self._made(_rewards(ask, self._discount))

    async def _made(self, task: Task[Result]) -> Result:
        async with self._room:
            with closing(course(task, self._limits, self._servers)) as steps:  # its time begins here
                heard: Reply | httpx.RequestError | None = None
                while True:
                    try:
                        step = steps.send(heard)
                    except StopIteration as end:
                        return cast(Result, end.value)
                    if isinstance(step, Send):
                        heard = await self._sent(step)
                    else:
                        await nap(step)
                        heard = None

    async def _sent(self, step: Send) -> Reply | httpx.RequestError:
        body = await asyncio.to_thread(step.call.write)  # it may read files
        try:
            async with self._connections().stream(**_request(step, body)) as response:
                async for chunk in response.aiter_bytes():
                    step.take(chunk)
        except httpx.RequestError as error:
            return error
        return step.reply(response)


def _ask(prompt: Prompt, responses: Sequence[Response], criterion: str) -> Ask:
    turns = (Turn("user", (Text(prompt),)),) if isinstance(prompt, str) else tuple(prompt)
    return Ask(turns, tuple((Text(each),) if isinstance(each, str) else tuple(each) for each in responses), criterion)


def check_discount(discount: float) -> None:
    """Raises RecipeError where it would reward what is unlike training, or is no number."""
    if not 0 <= discount < math.inf:
        raise RecipeError(f"a discount is a number of deviations, 0 or more; got {discount}.")


def _rewards(ask: Ask, discount: float) -> Task[list[Reward]]:
    return Task(ahead_of_ask(ask), lambda uploaded: rewards_call(ask, uploaded, discount))


def _pairs(ask: Ask) -> Task[list[Pair]]:
    return Task(ahead_of_ask(ask), lambda uploaded: pairs_call(ask, uploaded))


def _ranking(ask: Ask) -> Task[Ranked]:
    return Task(ahead_of_ask(ask), lambda uploaded: ranking_call(ask, uploaded))


def _judgement(comparison: Comparison) -> Task[Judgement]:
    return Task(ahead_of_comparison(comparison), lambda uploaded: judgement_call(comparison, uploaded))


def _request(step: Send, body: bytes) -> dict[str, Any]:
    headers = {"Content-Type": step.call.kind, OWN_ID: step.id}
    seconds = httpx.Timeout(step.seconds, connect=min(CONNECT_SECONDS, step.seconds))
    return {"method": "POST", "url": step.url, "content": body, "headers": headers, "timeout": seconds}


_callers: weakref.WeakSet[_Caller[Any, Any, Any]] = weakref.WeakSet()
_parents: list[object] = []  # never touched: their locks may be held, and letting go of them would close what is shared


def _after_fork() -> None:
    for caller in list(_callers):
        caller._after_fork()


os.register_at_fork(after_in_child=_after_fork)
