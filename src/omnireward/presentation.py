"""What a chat model is shown: messages of words, pictures and clips, in reading order.

A video is some of its frames and a 3D object some views, each after a line that says how many pictures follow and in
what order. The sound track of a video is not shown; the line says so. Words are passed on exactly as they are.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnireward.media import DecodeOptions, Decoder
from omnireward.types import Media, Role, Text, Turn

PRESENTATION = "1"
"""Changes whenever media are shown in another way; part of what identifies a judge."""

PROMPT_FRAMES, RESPONSE_FRAMES = 10, 5  # paper app. E: 10 frames of a video in the prompt, 5 of one in a response
_VIEW_SIDE = 512  # pixels; a view is rendered, and more would only cost time
_RATE = 16_000  # Hz
_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An image, a frame of a video or a view of a 3D object: (height, width, 3) uint8 RGB, already scaled down."""

    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Sound: (samples,) float32 in [-1, 1], mono; `rate` in Hz."""

    samples: npt.NDArray[np.float32]
    rate: int


Item = str | Picture | Clip
Number = TypeVar("Number", bound=np.generic)
_Shown = tuple[Picture | Clip, ...]
_Key = tuple[str, int]  # digest of the medium, frames


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A role and what it says and shows, in reading order. Strings that follow each other belong together."""

    role: Role
    items: tuple[Item, ...]


class Asked(Protocol):
    """What is to be shown: a `Question` of a judge, or anything else with turns and the origin of their media."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """In reading order."""
        ...

    @property
    def given(self) -> tuple[Literal["prompt", "response"], ...]:
        """Of each medium of the turns, in reading order, where it comes from."""
        ...


class Presenter:
    """Questions in, messages out. Threads may share one: a medium that several of them ask for is decoded once.

    Recently shown media are kept, so that one under several criteria, or in both orders, is decoded once.

    Args:
        frames: pictures of each video; None means 10 of one in a prompt and 5 of one in a response.
        views: pictures of each 3D object.
        picture_side: longest side of a picture, in pixels. Larger pictures are scaled down, smaller ones left alone.
    """

    def __init__(self, frames: int | None, views: int, picture_side: int) -> None:
        self._frames: dict[Literal["prompt", "response"], int] = {
            "prompt": PROMPT_FRAMES if frames is None else frames,
            "response": RESPONSE_FRAMES if frames is None else frames,
        }
        self._side = picture_side
        self._decoders = {
            count: Decoder(DecodeOptions(count, views, min(picture_side, _VIEW_SIDE), _RATE))
            for count in sorted(set(self._frames.values()))
        }
        self._lock = threading.Lock()
        self._coming: dict[_Key, Future[_Shown]] = {}
        self._kept: OrderedDict[_Key, _Shown] = OrderedDict()
        self._bytes = 0

    def __call__(self, question: Asked) -> tuple[Message, ...]:
        """What a chat model is shown.

        Raises:
            MediaError: a medium cannot be used.
            OSError: a file cannot be read.
        """
        given = iter(question.given)
        messages = []
        for turn in question.turns:
            items: list[Item] = []
            for part in turn.content:
                if isinstance(part, Text):
                    items.append(part.text)
                    continue
                shown = self._shown(part, self._frames[next(given)])
                if line := _line(part, len(shown)):
                    begun = not items or (isinstance(items[-1], str) and items[-1].endswith("\n"))
                    items.append(line if begun else f"\n{line}")
                items += shown
            messages.append(Message(turn.role, tuple(items)))
        return tuple(messages)

    def close(self) -> None:
        """End the decoding processes and forget what was kept. Twice is harmless."""
        for decoder in self._decoders.values():
            decoder.close()
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _shown(self, media: Media, frames: int) -> _Shown:
        if media.kind != "video":
            frames = min(self._decoders)  # they have none: one decoder, and one place among what is kept
        key = (media.digest(), frames)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            coming = self._coming.get(key)
            if mine := coming is None:
                coming = self._coming[key] = Future()
        if not mine:
            return coming.result()
        try:
            shown = self._decoded(media, frames)
        except BaseException as error:  # whatever it is, others wait for it
            coming.set_exception(error)
            raise
        else:
            coming.set_result(shown)
            self._keep(key, shown)
            return shown
        finally:
            with self._lock:
                del self._coming[key]

    def _decoded(self, media: Media, frames: int) -> _Shown:
        array = self._decoders[frames](media)
        if media.kind == "audio":
            return (Clip(_fixed(array), _RATE),)
        pictures = [array] if media.kind == "image" else list(array)
        return tuple(Picture(_fixed(scaled_down(pixels, self._side))) for pixels in pictures)

    def _keep(self, key: _Key, shown: _Shown) -> None:
        with self._lock:
            self._kept[key] = shown
            self._bytes += _size(shown)
            while self._bytes > _KEPT_BYTES:
                self._bytes -= _size(self._kept.popitem(last=False)[1])


def scaled_down(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 3) whose longer side is at most `side`, in proportion; itself if it is small enough."""
    height, width = pixels.shape[:2]
    longer = max(height, width)
    if longer <= side:
        return pixels
    size = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _line(media: Media, count: int) -> str:
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    if media.kind == "video":
        return f"[{pictures} of a video, in order of time, without its sound:]\n"
    if media.kind == "mesh":
        return f"[{pictures} of a 3D object, each from another side:]\n"
    return ""


def _fixed(array: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """A copy of its own that nobody can change: it is handed out again."""
    array = array.copy()
    array.flags.writeable = False
    return array


def _size(shown: _Shown) -> int:
    return sum(one.pixels.nbytes if isinstance(one, Picture) else one.samples.nbytes for one in shown)
