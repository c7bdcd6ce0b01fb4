"""The HTTP app: probes, counts, the native shape, uploads, every shape of `protocols`, and the playground."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence, Set
from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from omnireward import __version__, web
from omnireward.errors import RecipeError
from omnireward.judges import Judge
from omnireward.serve import replies, schema
from omnireward.serve.asking import SCHEMA, Problem, RequestError, Reward, Route, Shape
from omnireward.serve.bodies import chunks, read_json
from omnireward.serve.config import MIB, ServeConfig
from omnireward.serve.description import body_of, describe, upload_body
from omnireward.serve.gate import OPEN, Gate, exchange_of, paths_of
from omnireward.serve.media import RequestMedia
from omnireward.serve.protocols import by_path, choose, shapes
from omnireward.serve.scoring import rewards_alone
from omnireward.serve.service import Service
from omnireward.serve.uploads import Uploads

UPLOAD_PATIENCE = 10  # an upload may take so many times as long as a JSON body
_UPLOADED = re.compile(r"(image|video|audio|model)/[\w.+-]+|application/octet-stream", re.ASCII)
# What is left for a whole request where a shape has no room for a problem of one response.
_STATUS = {"media": 422, "prompt": 422, "deadline": 504, "failed": 500}


def create_app(config: ServeConfig, judge: Judge, keys: Sequence[str] = (), uploads: Uploads | None = None) -> FastAPI:
    """The app for a judge that is open. Its `state.service` holds what the routes share; who runs it closes that.

    Raises:
        RecipeError: a shape wants a path of the server's own.
    """
    app = FastAPI(title="omnireward", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    page, routes = web.page(), _Routes(app)
    _add_own(app, routes)
    for path, (kind, data) in page.items():
        app.add_api_route(path, routes.file(kind, data), methods=["GET"], include_in_schema=False)
    found = shapes()
    _add_shapes(app, routes, found)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _bug)
    app.openapi = cache(lambda: describe(app, found))  # type: ignore[method-assign]
    app.state.service = service = Service(config, judge, keys, uploads)  # it has threads: nothing fails after it
    # A browser that asks for a page can send no key with it; the page says nothing, and asks for one.
    app.add_middleware(Gate, service=service, paths=paths_of(app.routes), unlocked=OPEN | page.keys())
    return app


def _add_own(app: FastAPI, routes: _Routes) -> None:
    """The paths that are the server's own."""
    app.add_api_route("/livez", routes.live, methods=["GET"], summary="Whether the server computes; 503 where not.")
    app.add_api_route("/readyz", routes.ready, methods=["GET"], summary="Whether to send requests here; 503 where not.")
    app.add_api_route("/metrics", routes.metrics, methods=["GET"], summary="Counts, as Prometheus reads them.")
    app.add_api_route(
        "/v1/uploads",
        routes.upload,
        methods=["POST"],
        summary="Send a medium ahead.",
        status_code=201,
        responses={201: {"model": replies.UploadReply}},
        openapi_extra=upload_body(),
    )
    app.add_api_route(
        "/v1/judgements",
        routes.judgement,
        methods=["POST"],
        summary="Compare two responses.",
        description="Probabilities of a, tie and b are there where the judge has them; a reward model's only where it "
        "has a tie head or the server was told a tie threshold: plain Bradley-Terry gives no probability of a tie.",
        responses={200: {"model": replies.JudgementReply}},
        openapi_extra=body_of(schema.JudgementBody),
    )
    app.add_api_route(
        "/v1/rankings",
        routes.ranking,
        methods=["POST"],
        summary="Rank responses to one prompt by comparing two at a time.",
        description="A strength for each response, by Bradley-Terry over what the judge says of pairs, or why it has "
        "none. For judges that compare; a reward model gives rewards.",
        responses={200: {"model": replies.RankingReply}},
        openapi_extra=body_of(schema.RankingBody),
    )
    app.add_api_route(
        "/v1/rewards",
        routes.of({"native": schema.REWARDS}),
        methods=["POST"],
        summary="Raw rewards of responses to one prompt.",
        description="For each criterion a list with, for each response, a value or the problem that there was. Rewards "
        "are raw: no sigmoid, and only differences between responses to one prompt have a meaning.",
        responses={200: {"model": replies.RewardsReply}},
        openapi_extra=body_of(schema.RewardsBody),
    )


def _add_shapes(app: FastAPI, routes: _Routes, found: Mapping[str, Shape]) -> None:
    """The paths of `protocols`. Raises RecipeError where the app has one of them."""
    taken = paths_of(app.routes)
    whole = {name for name, shape in found.items() if shape.on_problem == "whole request fails"}
    for (method, path), claims in by_path(found).items():
        if path in taken:
            raise RecipeError(f"the protocol {' and '.join(claims)!r} wants {path}, which is this server's own.")
        app.add_api_route(
            path,
            routes.of(claims, whole) if method == "POST" else routes.told(next(iter(claims.values()))),
            methods=[method],
            summary="; or ".join(found[name].summary for name in claims),
            tags=list(claims),
        )


class _Routes:
    """The endpoints of an app."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @property
    def _service(self) -> Service:
        service: Service = self._app.state.service
        return service

    async def live(self) -> Response:
        alive = self._service.alive
        return JSONResponse({"live": alive}, 200 if alive else 503)

    async def ready(self) -> Response:
        ready = self._service.ready
        return JSONResponse({"ready": ready, "draining": self._service.draining}, 200 if ready else 503)

    async def metrics(self) -> Response:
        metrics = self._service.metrics
        return Response(metrics.text(), media_type=metrics.content_type)

    def file(self, kind: str, data: bytes) -> Any:
        """The endpoint of one file of the playground."""

        async def answer() -> Response:
            return Response(data, media_type=kind, headers=web.HEADERS)

        return answer

    async def upload(self, request: Request) -> Response:
        config = self._service.config
        # Also what no page of another site can send without asking first.
        if not _UPLOADED.fullmatch(request.headers.get("content-type", "").partition(";")[0].strip().lower()):
            raise RequestError(
                "an upload is the bytes of one medium, with Content-Type: application/octet-stream, or one of image/, "
                "video/, audio/ and model/.",
                status=415,
            )
        body = chunks(request, config.max_upload_mb * MIB, config.body_seconds * UPLOAD_PATIENCE)
        upload = await self._service.uploads.receive(body)
        reply: replies.UploadReply = {
            "schema": SCHEMA,
            "id": upload.id,
            "bytes": upload.bytes,
            "expires_in_s": config.upload_seconds,
        }
        return JSONResponse(reply, 201)

    async def judgement(self, request: Request) -> Response:
        exchange = exchange_of(request)
        body = await self._json(request)
        until = self._service.until(body, exchange.begun)
        comparison = await asyncio.to_thread(schema.read_judgement, body, self._media(request, until))
        judgement = await self._service.judgement(comparison, until, request)
        return JSONResponse(replies.write_judgement(judgement, self._service.served(exchange.id)))

    async def ranking(self, request: Request) -> Response:
        exchange = exchange_of(request)
        self._service.require_comparing()
        body = await self._json(request)
        until = self._service.until(body, exchange.begun)
        group, options = await asyncio.to_thread(schema.read_ranking, body, self._media(request, until))
        ranking = await self._service.ranking(group, options, until, request)
        return JSONResponse(replies.write_ranking(ranking, self._service.served(exchange.id)))

    def told(self, route: Route) -> Any:
        """The endpoint of a path that is only read."""

        async def answer(request: Request) -> Response:
            return JSONResponse(route.write({}, [], self._service.served(exchange_of(request).id)))

        return answer

    def of(self, claims: Mapping[str, Route], whole: Set[str] = frozenset()) -> Any:
        """The endpoint of one path, which one shape or several have. A problem fails the whole request of some."""

        async def answer(request: Request) -> Response:
            exchange = exchange_of(request)
            self._service.require_rewards()
            body = await self._json(request)
            name = choose(claims, body)
            route = claims[name]
            until = self._service.until(body, exchange.begun)
            asks = await asyncio.to_thread(route.read, body, self._media(request, until))
            scored = await self._service.scored(asks, until, request)
            rewards, served = [rewards_alone(row) for row in scored], self._service.served(exchange.id, scored)
            problems = [one for row in rewards for one in row if isinstance(one, Problem)]
            if problems and name in whole:
                return _failed(rewards, problems[0], exchange.id)
            return JSONResponse(route.write(body, rewards, served))

        return answer

    async def _json(self, request: Request) -> dict[str, Any]:
        config = self._service.config
        return await read_json(request, config.max_body_mb * MIB, config.body_seconds, exchange_of(request).share)

    def _media(self, request: Request, until: float) -> RequestMedia:
        service = self._service
        fetch = None if service.fetcher is None else partial(service.fetcher, until=until)
        return RequestMedia(service.uploads, exchange_of(request).share.add, fetch, service.config.max_media)


def _failed(rewards: Sequence[Sequence[Reward]], first: Problem, name: str) -> Response:
    """The shape has no place for a problem, and a number in its place would be a lie."""
    flat = [reward for row in rewards for reward in row]
    problems = [
        {"index": i, "kind": one.kind, "message": one.message} for i, one in enumerate(flat) if isinstance(one, Problem)
    ]
    error = {"kind": first.kind, "message": first.message, "field": "", "problems": problems}
    return JSONResponse({"error": error, "id": name}, _STATUS[first.kind])


async def _refused(request: Request, error: Exception) -> Response:
    """No such path, or another method."""
    assert isinstance(error, HTTPException)
    said = {"kind": "request", "message": error.detail, "field": ""}
    return JSONResponse({"error": said, "id": exchange_of(request).id}, error.status_code, error.headers)


async def _bug(request: Request, _error: Exception) -> Response:
    said = {"kind": "failed", "message": "the server has a fault; its log says where.", "field": ""}
    # After a fault uvicorn closes the connection, whatever it said before.
    return JSONResponse({"error": said, "id": exchange_of(request).id}, 500, {"Connection": "close"})
