"""The HTTP app: the page, its media, and what it asks for (JSON).

Everything but the page's own files needs the cookie that logging in gave. A request that changes something carries a
header that a page of another origin cannot send. Each 200 to an answer means that it is on disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from omnireward.annotate import answers, people, showing
from omnireward.annotate.live import Live
from omnireward.annotate.people import Person
from omnireward.annotate.playable import Playable, made, served
from omnireward.annotate.queue import Handed, hand_out, progress
from omnireward.annotate.requests import RequestError, read_json
from omnireward.annotate.store import Store
from omnireward.errors import MediaError, MissingExtraError
from omnireward.listening import is_loopback
from omnireward.web import annotation

COOKIE, HEADER = "annotator", "x-omnireward"
LARGEST_DRAFT = 64 * 1024  # characters as JSON
_REPLY = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_MEDIA = {
    "Cache-Control": "private, max-age=86400",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_Body = Mapping[str, Any]
_Act = Callable[[Person, _Body], Coroutine[Any, Any, dict[str, Any]]]


def create_app(store: Store, playable: Playable, *, local: bool = True) -> FastAPI:
    """The app over a store; whoever runs it closes both.

    Args:
        store: the annotations.
        playable: makes their media showable.
        local: answer only to names of this machine, so that no other site's name can lead here.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    routes = _Routes(store, playable, local=local)
    for path, (headers, data) in annotation.files().items():
        app.add_api_route(path, routes.file(headers, data), methods=["GET"])
    app.add_api_route("/media/{name}", routes.media, methods=["GET", "HEAD"])
    app.add_api_route("/api/login", routes.login, methods=["POST"])
    reads: dict[str, _Act] = {"state": routes.state, "next": routes.next}
    for name, act in reads.items():
        app.add_api_route(f"/api/{name}", routes.of(act, changes=False), methods=["GET"])
    changes: dict[str, _Act] = {
        "played": routes.played,
        "draft": routes.draft,
        "answer": routes.answer,
        "undo": routes.undo,
    }
    for name, act in changes.items():
        app.add_api_route(f"/api/{name}", routes.of(act, changes=True), methods=["POST"])
    app.add_exception_handler(HTTPException, _no_such)
    app.add_exception_handler(RequestError, _refused)
    return app


class _Routes:
    """The endpoints."""

    def __init__(self, store: Store, playable: Playable, *, local: bool) -> None:
        self._store, self._playable, self._local = store, playable, local
        self._live = Live(store)

    def file(self, headers: Mapping[str, str], data: bytes) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of one file of the page, which says nothing of anybody."""

        async def answer(request: Request) -> Response:
            self._check_host(request)
            return Response(data, headers=dict(headers))

        return answer

    def of(self, act: _Act, *, changes: bool) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of something that a person asks for."""

        async def answer(request: Request) -> Response:
            self._check_host(request)
            if changes:
                _check_header(request)
            person = await self._person(request)
            body = await read_json(request) if changes else {}
            return JSONResponse(await act(person, body), headers=_REPLY)

        return answer

    async def login(self, request: Request) -> Response:
        self._check_host(request)
        _check_header(request)
        token = (await read_json(request)).get("token")
        person = await self._known(token) if isinstance(token, str) else None
        if person is None or not isinstance(token, str):
            raise RequestError("this link is not valid; ask for a new one.", 401)
        reply = JSONResponse({"name": person.name}, headers=_REPLY)
        # The token itself: so a server that starts again knows who is logged in.
        reply.set_cookie(COOKIE, token, max_age=90 * 86_400, path="/", httponly=True, samesite="strict")
        return reply

    async def media(self, request: Request, name: str) -> Response:
        self._check_host(request)
        await self._person(request)
        found = await self._do(served, self._store.folder, name)
        if found is None:
            raise RequestError("there is no such medium.", 404)
        return FileResponse(found[0], media_type=found[1], headers=_MEDIA)

    async def state(self, person: Person, _body: _Body) -> dict[str, Any]:
        return await asyncio.to_thread(self._live.state, person)

    async def next(self, person: Person, _body: _Body) -> dict[str, Any]:
        while True:
            handed = await self._do(hand_out, self._store.rules, person, self._store.clock())
            if handed is None:
                return {"item": None}
            shown = await self._shown(person, handed)
            if shown is not None:
                return {"item": shown}

    async def played(self, person: Person, body: _Body) -> dict[str, Any]:
        item = await self._do(answers.shown, person, body.get("item"))
        urls = await self._gated(item)
        url = body.get("url")
        if not isinstance(url, str) or url not in urls:
            raise RequestError("this item has no such medium to play.", 404)
        await self._do(showing.play, person, item["number"], url, self._store.clock())
        return {"must_play": await self._do(showing.unplayed, person, urls)}

    async def draft(self, person: Person, body: _Body) -> dict[str, Any]:
        draft = body.get("draft")
        if not isinstance(draft, dict) or len(str(draft)) > LARGEST_DRAFT:
            raise RequestError(f"'draft' is an object of at most {LARGEST_DRAFT:,} characters.")
        await self._do(answers.save_draft, self._store.rules, person, body.get("item"), draft, self._store.clock())
        return {"saved": True}

    async def answer(self, person: Person, body: _Body) -> dict[str, Any]:
        item = await self._do(answers.shown, person, body.get("item"))
        urls = await self._gated(item)
        left = await self._do(showing.unplayed, person, urls)  # can only become fewer
        now, rules = self._store.clock(), self._store.rules
        await self._do(answers.save, rules, person, body, left, now)
        done, remaining = await self._do(progress, rules, person, now)
        return {"saved": True, "done": done, "left": remaining}

    async def undo(self, person: Person, _body: _Body) -> dict[str, Any]:
        handed = await self._do(answers.take_back, self._store.rules, person, self._store.clock())
        shown = await self._shown(person, handed)
        if shown is None:
            raise RequestError("the item that was taken back cannot be shown any more.", 409)
        return {"item": shown}

    async def _shown(self, person: Person, handed: Handed) -> dict[str, Any] | None:
        """The item as JSON; None where a medium cannot be shown, and then nobody gets it."""
        parts = showing.all_parts(handed.row)
        try:
            if not await self._do(made, parts):
                # A browser asks again and again while a long video is converted: no thread must wait for each time.
                await asyncio.shield(asyncio.wrap_future(self._playable.make(handed.sample, parts)))
            return await asyncio.to_thread(
                showing.shown, self._store, self._playable, self._store.rules, person, handed
            )
        except (MediaError, MissingExtraError, OSError) as error:
            await self._do(showing.set_aside, self._store.folder, handed.sample, str(error))
            return None

    async def _gated(self, item: sqlite3.Row) -> list[str]:
        row = await self._do(showing.row_of, item["sample"])
        try:
            return await asyncio.to_thread(showing.gated, self._playable, item["kind"], row, item["left"])
        except (MediaError, MissingExtraError, OSError) as error:
            raise RequestError(f"this item cannot be shown any more: {error}", 409) from error

    async def _do(self, act: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.wrap_future(self._store.submit(act, *args))

    async def _person(self, request: Request) -> Person:
        person = await self._known(request.cookies.get(COOKIE, ""))
        if person is None:
            raise RequestError("log in with the link that you were given.", 401)
        return person

    async def _known(self, token: str) -> Person | None:
        found: Person | None = await self._do(people.recognise, token)
        return found

    def _check_host(self, request: Request) -> None:
        # Not request.url: it is put together from this very header.
        host = request.headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if self._local and not is_loopback(name):
            raise RequestError("this server answers to localhost only.", 403)


def _check_header(request: Request) -> None:
    if request.headers.get(HEADER) != "1":
        raise RequestError("the header X-Omnireward: 1 is missing.", 403)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    # What is left of a body that was refused is not read.
    headers = {**_REPLY, "Connection": "close"} if error.status in (403, 408, 413) else _REPLY
    return JSONResponse({"error": str(error)}, error.status, headers)


async def _no_such(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, {**(error.headers or {}), **_REPLY})
