"""Samples in Omni-RewardData's own form: LLaMA-Factory's sharegpt ranking JSON, which `datasets.omni_rewarddata` reads.

That form goes by counts and has no place for many things: a tie (training would take the first of the two for the
better one), a system turn beside the criterion, media in another order, two pictures in a question. So each row is read
back before it is written, by the code that reads it later, and what would be read as anything else is refused with a
reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from omnireward.construct.mix_form import Writer
from omnireward.datasets._omni_rewarddata_dispatch import interpret
from omnireward.datasets._omni_rewarddata_rows import dialogue
from omnireward.errors import BadRowError
from omnireward.media_files import MediaFiles
from omnireward.media_store import MediaStore
from omnireward.rows import Row
from omnireward.types import Comparison, Media, MediaKind, Part, Sample, Task, Text, Turn

INDEX = "dataset_info.json"
TIE = "a tie has no place in ranking rows"
MARKED = "its text spells a placeholder for media"
SHAPE = "its shape has no place in ranking rows"
MISREAD = "as a ranking row it would be read as something else"

_COLUMNS: dict[MediaKind, str] = {"image": "images", "video": "videos", "audio": "audios"}
_FROM = {"user": "human", "assistant": "gpt"}
Cell = Callable[[Path | bytes, MediaKind], object]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row, the column of its media (empty: none), and the set that it belongs to within its split."""

    kind: str
    column: str
    row: dict[str, Any]


class OmniRewardData:
    """``SPLIT_TASK.json``, such as ``train_ti2t.json``, with ``dataset_info.json`` and ``media/``."""

    embeds = False
    chosen_first = True
    read_as = "`omni_rewarddata:FOLDER` reads all of it, and `omni_rewarddata:FOLDER/NAME.json` one file"

    def refuses(self, sample: Sample) -> str:
        """Whether the row that stands for the sample would be read as just this sample."""
        if sample.preference == "tie":
            return TIE
        if _spells_placeholder(sample.comparison):
            return MARKED
        sample = sample if sample.preference == "a" else _swapped(sample)
        ranked = _ranked(sample, lambda piece, _: {"bytes": _digest(piece)})
        if ranked is None:
            return SHAPE
        return "" if _reads_back(sample, ranked) else MISREAD

    def line(self, sample: Sample, store: MediaStore) -> str:
        """The row, beside the names of its set and column."""
        ranked = _ranked(sample, lambda piece, kind: store.keep(Media(kind, piece))[0])
        if ranked is None:
            raise ValueError(f"{sample.id!r}: {SHAPE}")  # it was refused before
        told = [ranked.kind, ranked.column, ranked.row]
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n"

    def writer(self, folder: Path, media: Path) -> Writer:  # noqa: ARG002
        """A file for each split and kind of row."""
        return _Lists(folder)

    def data_files(self, split: str) -> list[tuple[str, str]]:
        """A configuration for each kind of row: they differ in their columns."""
        kinds = [*(task.short.lower() for task in Task), "t2v_frames"]
        return [(kind, f"{split}_{kind}.json") for kind in kinds]


class _Lists:
    """JSON lists, one row a line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, TextIO] = {}
        self._index: dict[str, Any] = {}

    def add(self, split: str, line: str) -> None:
        kind, column, row = json.loads(line)
        name = f"{split}_{kind}"
        if name not in self._files:
            self._files[name] = (self._folder / f"{name}.json").open("w", encoding="utf-8", newline="\n")
            self._files[name].write("[\n")
            self._index[name] = _entry(f"{name}.json", column)
        else:
            self._files[name].write(",\n")
        self._files[name].write(json.dumps(row, ensure_ascii=False))

    def close(self) -> list[str]:
        for file in self._files.values():
            with file:
                file.write("\n]\n")
        told = json.dumps(dict(sorted(self._index.items())), indent=2) + "\n"
        (self._folder / INDEX).write_text(told, encoding="utf-8")
        return [INDEX, *(f"{name}.json" for name in sorted(self._files))]


def _entry(file: str, column: str) -> dict[str, Any]:
    columns = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}
    columns |= {column: column} if column else {}
    return {"file_name": file, "formatting": "sharegpt", "ranking": True, "columns": columns}


def _ranked(sample: Sample, cell: Cell) -> Ranked | None:
    """The row that could stand for a sample whose preferred response is `response_a`; None where none could."""
    comparison, task = sample.comparison, sample.task.short.lower()
    if len(comparison.response_a) != 1 or len(comparison.response_b) != 1:
        return None
    chosen, rejected = comparison.response_a[0], comparison.response_b[0]
    system = [{"from": "system", "value": comparison.criterion}] if comparison.criterion else []
    if isinstance(chosen, Text) and isinstance(rejected, Text):
        asked = _asked(comparison.prompt)
        media = [part for turn in comparison.prompt for part in turn.content if isinstance(part, Media)]
        if asked is None or any(isinstance(part.source, tuple) for part in media):
            return None
        return _row(sample, task, [*system, *asked], (chosen.text, rejected.text), media, cell)
    if isinstance(chosen, Text) or isinstance(rejected, Text) or len(comparison.prompt) != 1:
        return None
    *shown, words = comparison.prompt[0].content or (None,)
    if not isinstance(words, Text) or any(isinstance(part, Text) or part is None for part in shown):
        return None
    before = [part for part in shown if isinstance(part, Media)]
    media = [*before, chosen, *before, rejected]
    each = sum(len(part.pieces()) for part in (*before, chosen))
    frames = chosen.kind == "video" and isinstance(chosen.source, tuple)
    marks = f"<{'image' if frames or chosen.kind == 'mesh' else chosen.kind}>" * each
    conversations = [*system, {"from": "human", "value": marks}]
    return _row(sample, f"{task}_frames" if frames else task, conversations, (words.text, words.text), media, cell)


def _row(
    sample: Sample,
    name: str,
    conversations: list[dict[str, str]],
    texts: tuple[str, str],
    media: Sequence[Media],
    cell: Cell,
) -> Ranked | None:
    row: dict[str, Any] = {"id": sample.id, "conversations": conversations}
    row |= {name: {"from": "gpt", "value": text} for name, text in zip(("chosen", "rejected"), texts, strict=True)}
    columns = {_column(part) for part in media}
    if len(columns) > 1 or None in columns:
        return None
    column = columns.pop() if columns else ""
    if column:
        # Frames and renders are pictures.
        cells: list[tuple[Path | bytes, MediaKind]] = [
            (piece, "image" if column == "images" else part.kind) for part in media for piece in part.pieces()
        ]
        row[column] = [cell(piece, kind) for piece, kind in cells]
    return Ranked(name, column or "", row)


def _column(media: Media) -> str | None:
    """Frames of a video and renders of a mesh are pictures; a mesh itself has no column."""
    if isinstance(media.source, tuple) and media.kind in ("video", "mesh"):
        return "images"
    return _COLUMNS.get(media.kind)


def _asked(prompt: Iterable[Turn]) -> list[dict[str, str]] | None:
    """The turns with a placeholder for each medium; None where one is of the system."""
    turns = []
    for turn in prompt:
        if turn.role not in _FROM:
            return None
        words = (part.text if isinstance(part, Text) else f"<{part.kind}>" for part in turn.content)
        turns.append({"from": _FROM[turn.role], "value": "".join(words)})
    return turns


def _reads_back(sample: Sample, ranked: Ranked) -> bool:
    row = Row(f"{ranked.kind}.json", 0, ranked.row)
    try:
        said = dialogue(row, MediaFiles(()))
        read = interpret(row, said, tie=False)
    except BadRowError:
        return False
    found = Comparison(read.prompt, read.chosen, read.rejected, said.criterion)
    return read.task is sample.task and found == _digested(sample.comparison)


def _digested(comparison: Comparison) -> Comparison:
    """The same with digests for media, as the row that is read back has them."""

    def parts(content: Iterable[Part]) -> tuple[Part, ...]:
        return tuple(part if isinstance(part, Text) else Media(part.kind, _source(part)) for part in content)

    return replace(
        comparison,
        prompt=tuple(replace(turn, content=parts(turn.content)) for turn in comparison.prompt),
        response_a=parts(comparison.response_a),
        response_b=parts(comparison.response_b),
    )


def _source(media: Media) -> bytes | tuple[bytes, ...]:
    digests = tuple(map(_digest, media.pieces()))
    return digests if isinstance(media.source, tuple) else digests[0]


def _digest(piece: Path | bytes) -> bytes:
    if isinstance(piece, bytes):
        return hashlib.sha256(piece).digest()
    with piece.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _spells_placeholder(comparison: Comparison) -> bool:
    """LLaMA-Factory counts placeholders wherever they are spelled."""
    contents = [turn.content for turn in comparison.prompt] + [comparison.response_a, comparison.response_b]
    texts = [part.text for content in contents for part in content if isinstance(part, Text)]
    marks = [f"<{kind}>" for kind in _COLUMNS]
    return any(mark in text for text in (comparison.criterion, *texts) for mark in marks)


def _swapped(sample: Sample) -> Sample:
    return replace(sample, comparison=sample.comparison.swap(), preference="a")
