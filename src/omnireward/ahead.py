"""Encoding ahead: the media of coming responses are decoded and cut in background threads while the model computes.

Decoding runs in child processes and most of preparing outside Python's lock, so threads are enough. Errors wait with
the response that they belong to: who asks in order meets them in order, in the thread that asks. A response without
media is encoded when it is asked for: handing it over would take longer than it gains.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import torch

from omnireward.backbones import Backbone, Prepared
from omnireward.encoded import Encoded
from omnireward.media.children import processors
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Media, Side

_CLOSE_AGAIN = 0.05  # seconds

Made = TypeVar("Made")
Response = tuple[object, ...]  # what decides a row: criterion, prompt, response


def response_of(comparison: Comparison, side: Side) -> Response:
    """What the encoding of one side depends on: equal ones are encoded once."""
    return (comparison.criterion, comparison.prompt, comparison.response(side))


class Coming:
    """Responses that were begun together: those with media are under way."""

    def __init__(self, model: RewardModel, under_way: Mapping[Response, Future[Encoded]]) -> None:
        self._model, self._under_way = model, under_way

    def encoded(self, comparison: Comparison, side: Side) -> Encoded:
        """One of them, once it is ready. Raises MediaError, PromptError."""
        future = self._under_way.get(response_of(comparison, side)) if self._under_way else None
        return self._model.encode(comparison, side) if future is None else future.result()


class Threads:
    """Threads that encode. They start with the first work, and end with `close`.

    Args:
        backbone: whose media they decode, without gradients.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._pool: ThreadPoolExecutor | None = None
        self._begun: weakref.WeakSet[Future[Any]] = weakref.WeakSet()
        self._lock = threading.Lock()  # a server closes what another thread still asks

    def begin(self, encode: Callable[[], Made]) -> Future[Made]:
        """Begin something, after all that was begun before. Its errors wait with it."""
        with self._lock:
            if self._pool is None:
                # Whether there are gradients is each thread's own affair, and for a new thread there are.
                self._pool = ThreadPoolExecutor(processors(), "encode", torch.set_grad_enabled, (False,))
            future = self._pool.submit(encode)
            self._begun.add(future)
            return future

    def close(self) -> None:
        """Stop at once, half-way through a medium too, and end the threads. Can be used again; twice is harmless."""
        with self._lock:
            pool, self._pool = self._pool, None
            begun = list(self._begun)
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            self._backbone.close()  # or a medium that takes its two minutes would hold up the end
            while not all(future.done() for future in begun):  # so would one that is begun just now
                time.sleep(_CLOSE_AGAIN)
                self._backbone.close()
            pool.shutdown()


class Ahead:
    """Encodes what a model will be asked next. Threads start when there are media, and end with `close`.

    Args:
        model: whose `encode` is called by several threads at once, without gradients.
    """

    def __init__(self, model: RewardModel) -> None:
        self._model = model
        self._threads = Threads(model.backbone)

    def begin(self, sides: Iterable[tuple[Comparison, Side]]) -> Coming:
        """Begin to encode responses, in this order, after all that was begun before. Equal ones are encoded once."""
        under_way: dict[Response, Future[Encoded]] = {}
        for comparison, side in sides:
            if not _has_media(comparison, side):
                continue
            response = response_of(comparison, side)
            if response not in under_way:
                under_way[response] = self._threads.begin(partial(self._model.encode, comparison, side))
        return Coming(self._model, under_way)

    def close(self) -> None:
        """Stop at once, half-way through a medium too, and end the threads. Can be used again; twice is harmless."""
        self._threads.close()


def prepared(backbone: Backbone, media: Iterable[Media]) -> Generator[Prepared, None, None]:
    """Media decoded and cut, in their order, several at once. Raises MediaError where it comes to the one at fault."""
    with ThreadPoolExecutor(processors(), "prepare") as pool:
        yield from pool.map(backbone.prepare, media)


def _has_media(comparison: Comparison, side: Side) -> bool:
    prompt = (part for turn in comparison.prompt for part in turn.content)
    return any(isinstance(part, Media) for part in (*prompt, *comparison.response(side)))
