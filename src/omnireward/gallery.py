"""A few samples of each task, with their media small enough for a page: what ``shown.jsonl`` holds.

Which samples are shown is decided by a hash of their ids, so it is the same in each run and not the first rows of a
file. Media are decoded by a `Decoder`: they are as untrusted here as while judging. One that cannot be shown says why.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnireward import atomic
from omnireward.errors import MediaError, MissingExtraError
from omnireward.media import DecodeOptions, Decoder, encode
from omnireward.types import Media, Part, Sample, Text

LONGEST_SIDE = 384  # pixels
LARGEST_PLAYABLE = 1_500_000  # bytes of one sound or video; a page holds dozens
OPTIONS = DecodeOptions()

# (offset, bytes at that offset, type): what browsers play. Anything else goes into the page as pictures or WAV only.
_PLAYABLE = (
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
)

Shown = dict[str, object]


class Shelf:
    """Keeps the samples to show while others pass by: of each task, the `per_task` with the smallest hash."""

    def __init__(self, per_task: int) -> None:
        self.per_task = per_task
        self._kept: dict[str, list[tuple[str, int, Sample]]] = {}

    def watch(self, numbered: Iterable[tuple[int, Sample]]) -> Iterator[tuple[int, Sample]]:
        """Pass samples on, and keep some."""
        for index, sample in numbered:
            rank = hashlib.sha256(sample.id.encode("utf-8", "surrogatepass")).hexdigest()
            kept = [*self._kept.get(sample.task.short, []), (rank, index, sample)]
            self._kept[sample.task.short] = sorted(kept, key=lambda entry: entry[:2])[: self.per_task]
            yield index, sample

    def samples(self) -> list[tuple[int, Sample]]:
        """What was kept, by position in the benchmark."""
        kept = [(index, sample) for entries in self._kept.values() for _, index, sample in entries]
        return sorted(kept, key=lambda entry: entry[0])


def write(numbered: Sequence[tuple[int, Sample]], path: Path) -> None:
    """Write samples with their media, one JSON object per line."""
    with Decoder(OPTIONS) as decoder:
        lines = [json.dumps(_sample(index, sample, decoder)) + "\n" for index, sample in numbered]
    atomic.write_text(path, "".join(lines))


def _sample(index: int, sample: Sample, decoder: Decoder) -> Shown:
    comparison = sample.comparison
    return {
        "index": index,
        "criterion": comparison.criterion,
        "prompt": [
            {"role": turn.role, "content": [shown_part(part, decoder) for part in turn.content]}
            for turn in comparison.prompt
        ],
        "response_a": [shown_part(part, decoder) for part in comparison.response_a],
        "response_b": [shown_part(part, decoder) for part in comparison.response_b],
    }


def shown_part(part: Part, decoder: Decoder) -> Shown:
    """A part as a page shows it: text, or pictures and a medium to play as data URLs; `error` says why not."""
    if isinstance(part, Text):
        return {"kind": "text", "text": part.text}
    shown: Shown = {"kind": part.kind, "pictures": [], "media": "", "error": ""}
    try:
        decoded = decoder(part)
        if part.kind == "audio":
            shown["media"] = _playable(part) or _as_wav(decoded)
            if not shown["media"]:
                shown["error"] = "too long to be played from this page"
        else:
            pictures = decoded if decoded.ndim == 4 else decoded[None]  # an image is one picture
            shown["pictures"] = [_picture(pixels) for pixels in pictures]
            shown["media"] = _playable(part) if part.kind == "video" else ""
    except (MediaError, MissingExtraError, OSError) as error:
        shown["error"] = str(error)
    return shown


def _picture(pixels: npt.NDArray[np.uint8]) -> str:
    """A data URL of a picture, scaled down, as PNG or JPEG, whichever is smaller: drawings and photographs differ."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=85)
    return min(_data_url("image/png", encode.png(np.asarray(image))), _data_url("image/jpeg", jpeg.getvalue()), key=len)


def _playable(media: Media) -> str:
    """A data URL of the encoded original, if it is small and of a type that browsers play; else nothing."""
    if isinstance(media.source, tuple):
        return ""
    data = media.source if isinstance(media.source, bytes) else media.source.read_bytes()
    if len(data) > LARGEST_PLAYABLE:
        return ""
    for offset, magic, mime in _PLAYABLE:
        if data[offset : offset + len(magic)] == magic and mime.startswith(media.kind):
            return _data_url(mime, data)
    return ""


def _as_wav(samples: npt.NDArray[np.float32]) -> str:
    wav = encode.wav(samples, OPTIONS.sample_rate)
    return _data_url("audio/wav", wav) if len(wav) <= LARGEST_PLAYABLE else ""


def _data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"
