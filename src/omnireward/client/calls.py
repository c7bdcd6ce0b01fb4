"""The two clients: one that waits, and one for an event loop. What they say and read is `wire`; when, is `tries`."""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import sleep as nap
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from omnireward.client.tries import DEFAULT_LIMITS, CallLimits, Tries
from omnireward.client.wire import (
    ahead,
    bytes_of,
    judgement_body,
    media_of_ask,
    media_of_comparison,
    parsed,
    read_judgement,
    read_rewards,
    read_upload,
    rewards_body,
)
from omnireward.errors import RecipeError
from omnireward.serve.asking import Ask, Reward
from omnireward.types import Comparison, Judgement, Media, Part, Text, Turn

KEY = "OMNIREWARD_API_KEY"
JSON, BYTES = "application/json", "application/octet-stream"

Prompt = str | Sequence[Turn]
Response = str | Sequence[Part]
Result = TypeVar("Result")


class Client:
    """Calls of one server, each waiting for its reply. Threads may share it.

    Args:
        url: such as ``http://127.0.0.1:8000``.
        api_key: the environment's OMNIREWARD_API_KEY when None; empty for none.
        limits: of each call.
        transport: how requests are carried; for tests.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        limits: CallLimits = DEFAULT_LIMITS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._limits = limits
        self._room = threading.Semaphore(limits.concurrency)
        self._http = httpx.Client(**_settings(url, api_key, limits), transport=transport)

    def rewards(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> list[Reward]:
        """A reward, or why there is none, for each response. Raises CallError, OSError."""
        return self._ask(_ask(prompt, responses, criterion))

    def ask(self, asks: Sequence[Ask]) -> list[list[Reward]]:
        """Rewards of several prompts, whose calls are under way together. Raises CallError, OSError."""
        with ThreadPoolExecutor(self._limits.concurrency) as pool:
            return list(pool.map(self._ask, asks))

    def judge(self, comparison: Comparison) -> Judgement:
        """What the server's judge says of two responses; `error` says why where it says nothing. As `rewards`."""
        uploaded = {media: self._upload(media) for media in ahead(media_of_comparison(comparison))}
        return self._post("/v1/judgements", lambda: judgement_body(comparison, uploaded), read_judgement)

    def close(self) -> None:
        """Let go of the connections. Twice is harmless."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _ask(self, ask: Ask) -> list[Reward]:
        uploaded = {media: self._upload(media) for media in ahead(media_of_ask(ask))}
        return self._post(
            "/v1/rewards", lambda: rewards_body(ask, uploaded), lambda reply: read_rewards(reply, len(ask.responses))
        )

    def _upload(self, media: Media) -> str:
        return self._post("/v1/uploads", lambda: bytes_of(media), read_upload, BYTES)

    def _post(
        self, path: str, write: Callable[[], bytes], read: Callable[[object], Result], kind: str = JSON
    ) -> Result:
        with self._room:  # the time of a call begins here
            body, tries = write(), Tries(self._limits, path)
            while True:
                try:
                    request = self._http.stream(
                        "POST", path, content=body, headers={"Content-Type": kind}, timeout=tries.begin()
                    )
                    with request as response:
                        for chunk in response.iter_bytes():
                            tries.take(chunk)
                except httpx.RequestError as error:
                    wait = tries.broke(error)
                else:
                    if response.status_code in (200, 201):
                        return read(parsed(tries.content))
                    wait = tries.refused(response)
                sleep(wait)


class AsyncClient:
    """As `Client`, for an event loop; make it where it is used."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        limits: CallLimits = DEFAULT_LIMITS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._limits = limits
        self._room = asyncio.Semaphore(limits.concurrency)
        self._http = httpx.AsyncClient(**_settings(url, api_key, limits), transport=transport)

    async def rewards(self, prompt: Prompt, responses: Sequence[Response], criterion: str = "") -> list[Reward]:
        """A reward, or why there is none, for each response. Raises CallError, OSError."""
        return await self._ask(_ask(prompt, responses, criterion))

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
        uploaded = {media: await self._upload(media) for media in ahead(media_of_comparison(comparison))}
        return await self._post("/v1/judgements", lambda: judgement_body(comparison, uploaded), read_judgement)

    async def close(self) -> None:
        """Let go of the connections. Twice is harmless."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, ask: Ask) -> list[Reward]:
        uploaded = {media: await self._upload(media) for media in ahead(media_of_ask(ask))}
        return await self._post(
            "/v1/rewards", lambda: rewards_body(ask, uploaded), lambda reply: read_rewards(reply, len(ask.responses))
        )

    async def _upload(self, media: Media) -> str:
        return await self._post("/v1/uploads", lambda: bytes_of(media), read_upload, BYTES)

    async def _post(
        self, path: str, write: Callable[[], bytes], read: Callable[[object], Result], kind: str = JSON
    ) -> Result:
        async with self._room:  # the time of a call begins here
            body, tries = await asyncio.to_thread(write), Tries(self._limits, path)  # writing may read files
            while True:
                try:
                    request = self._http.stream(
                        "POST", path, content=body, headers={"Content-Type": kind}, timeout=tries.begin()
                    )
                    async with request as response:
                        async for chunk in response.aiter_bytes():
                            tries.take(chunk)
                except httpx.RequestError as error:
                    wait = tries.broke(error)
                else:
                    if response.status_code in (200, 201):
                        return read(parsed(tries.content))
                    wait = tries.refused(response)
                await nap(wait)


def _settings(url: str, api_key: str | None, limits: CallLimits) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise RecipeError(
            f"a server's URL begins with http:// or https://, such as http://127.0.0.1:8000; got {url!r}."
        )
    key = os.environ.get(KEY, "") if api_key is None else api_key
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    most = httpx.Limits(max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency)
    # Redirects are not followed: a key and other people's media would go where nobody sent them.
    return {"base_url": url, "headers": headers, "limits": most, "follow_redirects": False}


def _ask(prompt: Prompt, responses: Sequence[Response], criterion: str) -> Ask:
    turns = (Turn("user", (Text(prompt),)),) if isinstance(prompt, str) else tuple(prompt)
    return Ask(turns, tuple((Text(each),) if isinstance(each, str) else tuple(each) for each in responses), criterion)
