"""One try of one call: bytes out, a reply or a reason in.

What is unusual:

* Requests go through the openai client, but as bytes: its own building and parsing cost more than the network does.
* Redirects are not followed: a key and other people's media would go where nobody sent them.
* A body is read up to a limit, and uncompressed, so that no endpoint can fill the memory.
* Some models want `max_completion_tokens` in place of `max_tokens`. The first 400 that says so changes it for good.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import openai

from omnireward.calls.options import CallOptions, Tokens
from omnireward.calls.replies import BadReplyError, Reply, read_reply, sayable
from omnireward.waits import retry_after

_MOST_BYTES = 32 * 2**20
_SHOWN = 300  # characters of what an endpoint says
_AGAIN = {408, 409, 425, 429}
_NOT_PAID = {501, 503}  # among the 5xx; the others can end a call that a model has worked on


class NoReplyError(Exception):
    """A try without a reply.

    `again`: another try may work. `paid`: it may have cost money; `tokens` then are what is known of it.
    `overloaded`: the endpoint asked for fewer calls. `wait`: seconds that it asks to wait. `key`: it is the key that
    was refused.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        paid: bool,
        overloaded: bool = False,
        wait: float | None = None,
        tokens: Tokens | None = None,
        key: bool = False,
    ) -> None:
        super().__init__(reason)
        self.again, self.paid, self.tokens = again, paid, tokens
        self.overloaded, self.wait, self.key = overloaded, wait, key


@dataclass(frozen=True, slots=True)
class Call:
    """A call: what identifies it, the messages as they are sent, the seed, and the most it is thought to take."""

    key: str
    messages: bytes
    seed: int
    most: Tokens


class Transport:
    """One client for all calls. Lives on one event loop; make it there."""

    def __init__(self, options: CallOptions) -> None:
        self._options = options
        self._limit_name = "max_tokens"
        http = openai.DefaultAioHttpClient(
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            event_hooks={"response": [_bound]},
        )
        self._client = openai.AsyncOpenAI(
            api_key=options.api_key,
            base_url=options.base_url or None,
            http_client=http,
            max_retries=0,  # retrying is ours
            timeout=None,  # of a whole try, and ours too
        )
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def send(self, call: Call, timeout: float) -> Reply:
        """One try.

        Raises:
            NoReplyError: it gave no reply.
        """
        limit_name = self._limit_name
        try:
            async with asyncio.timeout(timeout):
                body = await self._post(call, limit_name)
        except openai.APIStatusError as error:
            if error.status_code == 400 and limit_name == "max_tokens" and "max_completion_tokens" in _said(error):
                self._limit_name = "max_completion_tokens"
                return await self.send(call, timeout)
            raise self._refused(error) from error
        except TimeoutError as error:
            raise NoReplyError(f"no answer in {timeout:.3g} s", again=True, paid=True) from error
        except (openai.APIConnectionError, aiohttp.ClientError, httpx2.HTTPError, OSError) as error:
            raise _broken(error) from error
        except BadReplyError as error:
            raise NoReplyError(f"the endpoint sent {error}", again=True, paid=True) from error
        try:
            reply = read_reply(body)
        except BadReplyError as error:
            reason = f"the endpoint sent {sayable(str(error))[:_SHOWN]}"
            raise NoReplyError(reason, again=True, paid=True, tokens=error.tokens) from error
        if self._options.top_logprobs and reply.first_token is None and reply.text and not reply.refused:
            raise NoReplyError(
                "the endpoint gave no log-probabilities. Leave out --logprobs, or choose an endpoint that gives them",
                again=False,
                paid=True,
                tokens=reply.tokens,
            )
        return reply

    async def _post(self, call: Call, limit_name: str) -> bytes:
        response = await self._client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=self._body(call, limit_name),
            options={"headers": self._headers, "idempotency_key": call.key},  # or it would draw one
        )
        return response.content

    def _body(self, call: Call, limit_name: str) -> bytes:
        options = self._options
        head: dict[str, Any] = {
            "model": options.model,
            "temperature": options.temperature,
            "seed": call.seed,
            limit_name: options.max_tokens,
        }
        if options.top_logprobs:
            head |= {"logprobs": True, "top_logprobs": options.top_logprobs}
        return json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"messages":' + call.messages + b"}"

    def _refused(self, error: openai.APIStatusError) -> NoReplyError:
        status = error.status_code
        said = " ".join(sayable(_said(error)).split())
        if self._options.api_key != "none":
            said = said.replace(self._options.api_key, "(the key)")
        reason = f"HTTP {status}: {said[:_SHOWN] or error.response.reason_phrase}"
        if 300 <= status < 400:
            reason += f" (to {error.response.headers.get('location', 'nowhere')[:_SHOWN]}; redirects are not followed)"
        empty_purse = error.code == "insufficient_quota"
        return NoReplyError(
            reason,
            again=(status in _AGAIN or status >= 500) and not empty_purse,
            paid=status == 408 or (status >= 500 and status not in _NOT_PAID),
            overloaded=status == 429,
            wait=retry_after(error.response.headers, time.time()),
            key=status == 401,
        )


def _said(error: openai.APIStatusError) -> str:
    """What the endpoint says about a refusal; any JSON or text."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else body
    return message if isinstance(message, str) else str(body or "")


def _broken(error: BaseException) -> NoReplyError:
    """The client names errors by what it would do about them; what happened is at the end of the chain."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    unsent = any(isinstance(each, aiohttp.ClientConnectorError) for each in chain)
    what = "cannot connect" if unsent else "the connection broke"
    return NoReplyError(f"{what} ({str(chain[-1])[:_SHOWN] or type(chain[-1]).__name__})", again=True, paid=not unsent)


async def _bound(response: httpx2.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise BadReplyError(f"a compressed body ({encoding[:20]}), which was not asked for")
    response.stream = _Bounded(response.stream)


class _Bounded(httpx2.AsyncByteStream):
    """A stream that ends in an error when it is too long."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for chunk in self._stream:
            total += len(chunk)
            if total > _MOST_BYTES:
                raise BadReplyError(f"a body of more than {_MOST_BYTES // 2**20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
