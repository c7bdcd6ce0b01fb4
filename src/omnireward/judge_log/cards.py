"""The samples of the page with their media, small enough to be embedded.

What is embedded in all is bounded; the newest come first. Media were checked by nobody, so a `Decoder` makes pictures
of them here as for a report, and one that cannot be shown says why. What was made is kept in ``shown/cards.jsonl``: a
page is written again and again while a run goes on, and decodes only what is new.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from omnireward import gallery
from omnireward.errors import OutsideRootError, SourceError
from omnireward.judge_log.samples import ShownRow, read_rows
from omnireward.judge_log.texts import cut, visible
from omnireward.judge_log.writing import replace_text
from omnireward.media import Decoder
from omnireward.media_files import MediaFiles
from omnireward.report.records import ShownKind, ShownPart
from omnireward.types import Media, MediaKind

CACHE = "cards.jsonl"
EMBEDDED = 32 * 2**20
"""Bytes of media that a page holds at most, as the data URLs that they are there."""
TEXT = 4_000  # characters of a text of a prompt or a response that the page shows
TURNS, PARTS = 16, 32  # of a prompt, and of a turn or a response, that the page shows
_KEPT = re.compile(r"media/[0-9a-f]{2}/[0-9a-f]{64}\.(png|jpg|webp|gif|mp4|webm|wav|flac|ogg|mp3)")
_Known = Iterator[dict[str, Any] | None]
_NO_ROOM = f"this page holds at most {EMBEDDED // 2**20} MiB of media, those of the newest steps"


@dataclass(frozen=True, slots=True)
class CardPart:
    """A part, and links below the run's folder to its files, where browsers show such files."""

    shown: ShownPart
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A sample as the page shows it; `prompt` is role and parts of each turn."""

    prompt: tuple[tuple[str, tuple[CardPart, ...]], ...]
    response_a: tuple[CardPart, ...]
    response_b: tuple[CardPart, ...]

    def without_media(self, why: str) -> Card:
        """The same card, with words in place of media."""

        def bare(parts: tuple[CardPart, ...]) -> tuple[CardPart, ...]:
            return tuple(
                part
                if part.shown.kind == "text" or part.shown.error
                else replace(part, shown=ShownPart(part.shown.kind, error=why))
                for part in parts
            )

        turns = tuple((role, bare(parts)) for role, parts in self.prompt)
        return Card(turns, bare(self.response_a), bare(self.response_b))


class Cards:
    """Makes cards of the samples of one folder, until what a page may embed or decode is used up."""

    def __init__(self, folder: Path, decoder: Decoder, fresh: int | None) -> None:
        self._folder, self._decoder = folder, decoder
        self._fresh = math.inf if fresh is None else fresh
        self._files = MediaFiles((folder,))
        self._left = EMBEDDED
        self._before = _read_cache(folder / CACHE)
        self._now: dict[str, list[dict[str, Any] | None]] = {}
        self._media: list[dict[str, Any]] = []

    def make(self, row: ShownRow) -> Card:
        """The card of a sample."""
        known: _Known = iter(self._before.get(row.digest, []))
        self._media = []
        turns = _list(row.fields.get("prompt"))[:TURNS]
        card = Card(
            tuple((str(turn.get("role"))[:20], self._parts(turn.get("content"), known)) for turn in turns),
            self._parts(row.fields.get("response_a"), known),
            self._parts(row.fields.get("response_b"), known),
        )
        # An error may pass: an extra is installed, a file comes back.
        kept = [None if made["error"] else made for made in self._media]
        if any(kept):
            self._now[row.digest] = kept
        return card

    def keep(self) -> None:
        """Remember what this page embeds, and nothing else."""
        lines = [json.dumps({"digest": digest, "media": media}) + "\n" for digest, media in self._now.items()]
        if lines or self._before:
            replace_text(self._folder / CACHE, "".join(lines))

    def _parts(self, content: object, known: _Known) -> tuple[CardPart, ...]:
        parts = _list(content)
        more = len(parts) - PARTS
        shown = [self._part(part, known) for part in parts[:PARTS]]
        if more > 0:
            shown.append(CardPart(ShownPart("text", text=f"[… {more:,} more parts …]")))
        return tuple(shown)

    def _part(self, part: Mapping[str, Any], known: _Known) -> CardPart:
        kind = part.get("kind")
        if kind not in ("image", "video", "audio", "mesh"):
            return CardPart(ShownPart("text", text=visible(cut(str(part.get("text", "")), TEXT))))
        named = part.get("media")
        names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
        files = tuple(f"{self._folder.name}/{name}" for name in names if _KEPT.fullmatch(name))
        made = next(known, None)
        if made is None:
            made = self._made(cast(MediaKind, kind), names, part)
        made = self._room(made)
        self._media.append(made)
        pictures, media, error = (made[name] for name in ("pictures", "media", "error"))
        return CardPart(ShownPart(cast(ShownKind, kind), "", tuple(pictures), media, visible(error)[:500]), files)

    def _made(self, kind: MediaKind, names: Sequence[str], part: Mapping[str, Any]) -> dict[str, Any]:
        if part.get("error"):
            return _nothing(f"it could not be kept: {part['error']}")
        if self._left <= 0:
            return _nothing(_NO_ROOM)
        if self._fresh <= 0:
            return _nothing("it comes with the next page")
        self._fresh -= 1
        try:
            pieces = tuple(self._files.find(name) for name in names)
        except (OutsideRootError, SourceError) as error:
            return _nothing(str(error))
        if not pieces:
            return _nothing("no file is named")
        return dict(gallery.shown_part(Media(kind, pieces if part.get("frames") else pieces[0]), self._decoder))

    def _room(self, made: dict[str, Any]) -> dict[str, Any]:
        """What fits; after the first that does not, nothing is decoded any more, however small."""
        size = sum(map(len, made["pictures"])) + len(made["media"])
        if size and size > self._left:
            self._left = 0
            return _nothing(_NO_ROOM)
        self._left -= size
        return made


def make_cards(folder: Path, ids: Sequence[str], key: Callable[[str], str], fresh: int | None) -> dict[str, Card]:
    """The cards of samples by id.

    Args:
        folder: where the samples lie.
        ids: which, the most wanted first.
        key: makes the id of the log from that of a sample.
        fresh: media decoded at most; None: all that there is room for.
    """
    rows = read_rows(folder, frozenset(ids), key)
    with Decoder(gallery.OPTIONS) as decoder:
        cards = Cards(folder, decoder, fresh)
        made = {one: cards.make(rows[one]) for one in dict.fromkeys(ids) if one in rows}
    cards.keep()
    return made


def _nothing(why: str) -> dict[str, Any]:
    return {"pictures": [], "media": "", "error": why}


def _list(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _read_cache(path: Path) -> dict[str, list[dict[str, Any] | None]]:
    """What an earlier page embedded. Only what this room wrote is believed, and the page checks each URL again."""
    found: dict[str, list[dict[str, Any] | None]] = {}
    if path.is_file():
        with path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    found[entry["digest"]] = [
                        one and {"pictures": list(map(str, one["pictures"])), "media": str(one["media"]), "error": ""}
                        for one in entry["media"]
                    ]
                except (ValueError, LookupError, TypeError):
                    continue
    return found
