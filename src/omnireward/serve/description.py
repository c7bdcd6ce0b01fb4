"""What `/openapi.json` says beyond what FastAPI finds out by itself.

The routes read their bodies themselves, because a body is bounded and checked before anything is made of it, and what
refuses a request stands in front of all routes. So bodies, headers, keys and refusals are described here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema
from typing_extensions import TypedDict  # pydantic reads no other below Python 3.12

from omnireward.serve import schema
from omnireward.serve.asking import ProblemKind, Shape
from omnireward.serve.gate import OPEN
from omnireward.serve.protocols import by_path

_REF = "#/components/schemas/{model}"
_ANY = {401: "No key, or a wrong one.", 421: "Another host's name.", 500: "A fault.", 503: "Later."}
_POST = {
    400: "Not JSON, or the body broke off.",
    408: "The body took too long.",
    413: "Too large.",
    415: "Of another type.",
    422: "A field is missing, of another type or unknown; a medium that is not taken.",
    429: "Too much at once; Retry-After says how many seconds to wait.",
}
_REWARDS = {501: "This judge gives no rewards."}
_RANKINGS = {501: "This judge gives rewards: there is nothing to compare.", 504: "No time was left."}
_WHOLE = {504: "No time was left, in a shape without room for a problem of one response."}


class ResponseProblem(TypedDict):
    """Which response, of all in order, has no reward, and why."""

    index: int
    kind: ProblemKind
    message: str


class RefusalReason(TypedDict):
    """Why a request is refused as a whole; `field` is where the body is wrong, or empty."""

    kind: Literal[
        "request", "key", "slow", "too large", "type", "overloaded", "judge", "media", "prompt", "deadline", "failed"
    ]
    message: str
    field: str
    problems: NotRequired[list[ResponseProblem]]


class Refusal(TypedDict):
    """What every status from 400 on says."""

    error: RefusalReason
    id: str


def body_of(kind: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is that model."""
    return {"requestBody": _json({"$ref": _REF.format(model=kind.__name__)}, required=True)}


def upload_body() -> dict[str, Any]:
    """The `openapi_extra` of a route whose body is the bytes of a medium."""
    kinds = ("application/octet-stream", "image/*", "video/*", "audio/*", "model/*")
    content = {kind: {"schema": {"type": "string", "format": "binary", "minLength": 1}} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}


def describe(app: FastAPI, found: Mapping[str, Shape]) -> dict[str, Any]:
    """The whole description of an app that has the routes of some shapes."""
    made = get_openapi(title=app.title, version=app.version, routes=app.routes)
    parts = made.setdefault("components", {})
    parts.setdefault("schemas", {}).update(_schemas())
    parts["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    claims = by_path(found)
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            names = claims.get((method.upper(), path), {})
            whole = any(found[name].on_problem == "whole request fails" for name in names)
            refusals = _ANY | (_POST if method == "post" else {})
            if method == "post" and (names or path == "/v1/rewards"):
                refusals |= _REWARDS | (_WHOLE if whole else {})
            if path == "/v1/rankings":
                refusals |= _RANKINGS
            _complete(operation, refusals, locked=path not in OPEN)
            if method == "post" and names:
                examples = {name: {"value": dict(found[name].example[path])} for name in names}
                operation["requestBody"] = _json({"type": "object"}, required=True, examples=examples)
    probes = [made["paths"][path]["get"]["responses"]["503"] for path in OPEN]
    for probe in probes:
        probe["content"]["application/json"]["schema"] = {}  # the same body as 200, or a refusal
    made["paths"]["/metrics"]["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return made


def _complete(operation: dict[str, Any], refusals: Mapping[int, str], locked: bool) -> None:
    words = {"schema": {"type": "string"}}
    operation.setdefault("parameters", []).append(
        {"name": "X-Request-Id", "in": "header", "description": "Comes back, where it is one.", **words}
    )
    if locked:
        operation["security"] = [{}, {"bearer": []}, {"key": []}]  # none where the server has no keys
    for status, description in refusals.items():
        said = _json({"$ref": _REF.format(model="Refusal")}) | {"description": description}
        operation["responses"].setdefault(str(status), said)
    for status, reply in operation["responses"].items():
        reply["headers"] = {"X-Request-Id": words}
        if status in ("429", "503"):
            reply["headers"]["Retry-After"] = {"schema": {"type": "integer"}}


def _schemas() -> dict[str, Any]:
    kinds: list[tuple[type[BaseModel], Literal["validation"]]]
    kinds = [(body, "validation") for body in (schema.RewardsBody, schema.JudgementBody, schema.RankingBody)]
    _, bodies = models_json_schema(kinds, ref_template=_REF)
    refusal = TypeAdapter(Refusal).json_schema(ref_template=_REF)
    inner: dict[str, Any] = refusal.pop("$defs")
    return {**bodies["$defs"], **inner, "Refusal": refusal}


def _json(of: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A body or a reply; `examples` belong to its content."""
    content = {"schema": dict(of)} | ({"examples": more.pop("examples")} if "examples" in more else {})
    return {"content": {"application/json": content}, **more}
