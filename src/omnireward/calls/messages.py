"""Messages become the content parts of a chat request: words, pictures as data URLs, sound as WAV.

What is unusual:

* The same message gives the same bytes: what is sent is what identifies a call.
* A picture is sent as PNG or as JPEG, whichever is smaller: drawings stay exact, photographs stay small.
* Each clip is a part of its own. Clips are joined only when asked, for models that take one, and the words say so.
* Text is only ever a JSON string. Halves of surrogate pairs, which no UTF-8 can say, become question marks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireward.media.encode import compressed, wav
from omnireward.presentation import Clip, Item, Message, Picture

_KEPT_BYTES = 64 * 2**20  # of pictures that other questions are likely to show again


class MessageWriter:
    """Writes messages as JSON. Safe to use from several threads; keeps recently encoded pictures."""

    def __init__(self, join_audio: float | None = None) -> None:
        self._join_audio = join_audio
        self._lock = threading.Lock()
        self._urls: OrderedDict[bytes, str] = OrderedDict()
        self._kept = 0

    def __call__(self, messages: Sequence[Message]) -> bytes:
        """The value of ``messages`` in a request: a JSON list in UTF-8."""
        written = [{"role": message.role, "content": self._content(message)} for message in messages]
        return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")

    def _content(self, message: Message) -> str | list[dict[str, Any]]:
        """Words alone are a string, which every endpoint reads; anything else is a list of parts."""
        items = message.items if self._join_audio is None else _joined(message.items, self._join_audio)
        if all(isinstance(item, str) for item in items):
            return "".join(map(str, items))
        return list(self._parts(items))

    def _parts(self, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
        for kind, run in groupby(items, type):
            if kind is str:  # one part for words that follow each other: endpoints differ in what they put between two
                if text := "".join(map(str, run)):
                    yield {"type": "text", "text": text}
                continue
            for item in run:
                if isinstance(item, Picture):
                    yield {"type": "image_url", "image_url": {"url": self._url(item.pixels)}}
                elif isinstance(item, Clip):
                    sound = base64.b64encode(wav(item.samples, item.rate)).decode()
                    yield {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}

    def _url(self, pixels: npt.NDArray[np.uint8]) -> str:
        # Shown again with another criterion or in the other order: hashing is much cheaper than compressing.
        key = hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).digest()
        with self._lock:
            if (url := self._urls.get(key)) is not None:
                self._urls.move_to_end(key)
                return url
        url = _data_url(pixels)
        with self._lock:
            if key not in self._urls:
                self._urls[key] = url
                self._kept += len(url)
            while self._kept > _KEPT_BYTES:
                self._kept -= len(self._urls.popitem(last=False)[1])
        return url


def _data_url(pixels: npt.NDArray[np.uint8]) -> str:
    kind, data = compressed(pixels)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _joined(items: Sequence[Item], silence: float) -> tuple[Item, ...]:
    """The items with one clip at their end in place of two or more; words mark where each was."""
    clips = [item for item in items if isinstance(item, Clip)]
    if len(clips) < 2:
        return tuple(items)
    rate = max(clip.rate for clip in clips)
    gap = np.zeros(round(silence * rate), np.float32)
    sound = [_resampled(clip, rate) for clip in clips]
    whole = np.concatenate([sound[0], *(piece for clip in sound[1:] for piece in (gap, clip))])
    numbers = iter(range(1, len(clips) + 1))
    marked = [f"[clip {next(numbers)} of {len(clips)}]" if isinstance(item, Clip) else item for item in items]
    words = (
        f"\n\nThe {len(clips)} clips are joined into one, in that order, with {silence:g} s of silence between them:"
    )
    return (*marked, words, Clip(whole, rate))


def _resampled(clip: Clip, rate: int) -> npt.NDArray[np.float32]:
    """The same sound at a rate that is not lower; straight lines between the samples."""
    if clip.rate == rate or not len(clip.samples):
        return clip.samples
    moments = np.arange(round(len(clip.samples) * rate / clip.rate)) * (clip.rate / rate)
    return np.asarray(np.interp(moments, np.arange(len(clip.samples)), clip.samples), np.float32)
