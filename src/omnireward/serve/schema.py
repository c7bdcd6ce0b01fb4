"""The native shape: ``/v1/rewards``, ``/v1/judgements`` and ``/v1/rankings``, every field typed and bounded.

Raw rewards, no sigmoid: two of them compare, one alone says nothing. What a difference means in probabilities is told
where ``pairs`` asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from omnireward.errors import RecipeError
from omnireward.ranking import Group, RankingOptions
from omnireward.ranking.options import MOST_RESPONSES
from omnireward.serve.asking import Ask, Inline, RequestError, Reward, Route, Served
from omnireward.serve.media import UPLOAD
from omnireward.serve.replies import RewardsReply, write_rewards
from omnireward.types import Comparison, Part, Text, Turn

MOST_TURNS, MOST_PARTS, MOST_ITEMS = 256, 256, 4096  # the server's own limits are checked besides
# `fail_fast`: of a list, the first error is enough; a million of them would keep the process busy for seconds.
MOST_PAIRS = 4096  # of one request: their number grows with the square of the responses'
_TEXT, _MEDIA, _PARTS = "<text>", "<media>", "<parts>"  # of unions; in an error's place they are no part of the body


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Strict):
    """Text. Whatever it spells stays text."""

    type: Literal["text"]
    text: str


class MediaPart(_Strict):
    """An image, a video, a sound or a 3D object: bytes as base64, the id of an upload, or a URL."""

    type: Literal["image", "video", "audio", "mesh"]
    base64: str | None = None
    upload: str | None = None
    url: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> MediaPart:
        if sum(source is not None for source in (self.base64, self.upload, self.url)) != 1:
            raise ValueError("give one of base64, upload and url")
        return self


def _kind_of_part(value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
    return _TEXT if kind == "text" else _MEDIA


def _kind_of_content(value: object) -> str:
    return _TEXT if isinstance(value, str) else _PARTS


PartBody = Annotated[Annotated[TextPart, Tag(_TEXT)] | Annotated[MediaPart, Tag(_MEDIA)], Discriminator(_kind_of_part)]
Parts = Annotated[list[PartBody], Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)]
Content = Annotated[Annotated[str, Tag(_TEXT)] | Annotated[Parts, Tag(_PARTS)], Discriminator(_kind_of_content)]


class TurnBody(_Strict):
    """A role and its content, in reading order."""

    role: Literal["system", "user", "assistant"]
    content: Content


Prompt = Annotated[list[TurnBody], Field(min_length=1, max_length=MOST_TURNS, fail_fast=True)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RewardsBody(_Strict):
    """Any number of responses to one prompt, under one criterion or several (none: overall quality).

    With `pairs` the reply has, for each two responses under each criterion, the probabilities that one is better, that
    neither is, and that the other is; and where that of a tie comes from.
    """

    prompt: Prompt
    responses: Annotated[list[Content], Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)]
    criterion: str | None = None
    criteria: Annotated[list[str], Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)] | None = None
    pairs: bool = False
    deadline_s: Seconds | None = None

    @model_validator(mode="after")
    def _one_form(self) -> RewardsBody:
        if self.criterion is not None and self.criteria is not None:
            raise ValueError("give criterion or criteria, not both")
        return self


class JudgementBody(_Strict):
    """Two responses to one prompt under a criterion (none: overall quality)."""

    prompt: Prompt
    response_a: Content
    response_b: Content
    criterion: str = ""
    deadline_s: Seconds | None = None


class RankingBody(_Strict):
    """Responses to one prompt under a criterion (none: overall quality), to be compared two at a time.

    `schedule` says which pairs, `order` whether each is shown in both orders, and `calls` how many comparisons there
    are at most, of `sample` and `swiss`. `reference` takes part without being ranked itself.
    """

    prompt: Prompt
    responses: Annotated[list[Content], Field(min_length=1, max_length=MOST_RESPONSES, fail_fast=True)]
    criterion: str = ""
    reference: Content | None = None
    schedule: Literal["all", "anchor", "sample", "sort", "swiss"] = "sort"
    order: Literal["balanced", "both"] = "balanced"
    calls: Annotated[int, Field(gt=0, le=MOST_ITEMS)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    deadline_s: Seconds | None = None


Body = TypeVar("Body", RewardsBody, JudgementBody, RankingBody)


def _validated(kind: type[Body], body: Mapping[str, Any]) -> Body:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = ".".join(str(step) for step in first["loc"] if step not in (_TEXT, _MEDIA, _PARTS))
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise RequestError(f"{first['msg']}{more}.", field=field) from error


def _content(content: Content, inline: Inline, field: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple(_part(part, inline, f"{field}.{i}") for i, part in enumerate(content))


def _part(part: TextPart | MediaPart, inline: Inline, field: str) -> Part:
    if isinstance(part, TextPart):
        return Text(part.text)
    if part.base64 is not None:
        return inline.base64(part.type, part.base64, f"{field}.base64")
    if part.upload is not None:
        return inline.url(part.type, UPLOAD + part.upload, f"{field}.upload")
    return inline.url(part.type, part.url or "", f"{field}.url")


def _prompt(turns: Sequence[TurnBody], inline: Inline) -> tuple[Turn, ...]:
    return tuple(Turn(turn.role, _content(turn.content, inline, f"prompt.{i}.content")) for i, turn in enumerate(turns))


def _read_rewards(body: Mapping[str, Any], inline: Inline) -> Sequence[Ask]:
    asked = _validated(RewardsBody, body)
    criteria = asked.criteria if asked.criteria is not None else [asked.criterion or ""]
    pairs = math.comb(len(asked.responses), 2) * len(criteria) if asked.pairs else 0
    if pairs > MOST_PAIRS:
        raise RequestError(f"{pairs:,} are asked for; at most {MOST_PAIRS:,} are given.", field="pairs", status=413)
    prompt = _prompt(asked.prompt, inline)
    responses = tuple(_content(one, inline, f"responses.{i}") for i, one in enumerate(asked.responses))
    return [Ask(prompt, responses, criterion) for criterion in criteria]


def _write_rewards(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> RewardsReply:
    return write_rewards(rewards, served, body.get("pairs", False))


REWARDS = Route("/v1/rewards", _read_rewards, _write_rewards)


def read_judgement(body: Mapping[str, Any], inline: Inline) -> Comparison:
    """What two responses are asked. Raises RequestError."""
    asked = _validated(JudgementBody, body)
    return Comparison(
        _prompt(asked.prompt, inline),
        _content(asked.response_a, inline, "response_a"),
        _content(asked.response_b, inline, "response_b"),
        asked.criterion,
    )


def read_ranking(body: Mapping[str, Any], inline: Inline) -> tuple[Group, RankingOptions]:
    """What is to be ranked, and how. Raises RequestError."""
    asked = _validated(RankingBody, body)
    try:
        options = RankingOptions(schedule=asked.schedule, calls=asked.calls, order=asked.order, seed=asked.seed)
    except RecipeError as error:
        raise RequestError(str(error), field="calls") from error
    group = Group(
        _prompt(asked.prompt, inline),
        tuple(_content(one, inline, f"responses.{i}") for i, one in enumerate(asked.responses)),
        asked.criterion,
        None if asked.reference is None else _content(asked.reference, inline, "reference"),
    )
    return group, options
