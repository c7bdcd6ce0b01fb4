"""Which files of a folder hold Omni-RewardData, and where their media may lie.

Three layouts are known: LLaMA-Factory's ``data`` folder (``<name>.json`` with or without ``dataset_info.json``), one
such file alone, and the Hub's folders of Parquet shards (``<Set>/train-00000-of-00001.parquet``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from omnireward.errors import SourceError
from omnireward.media_files import MediaFiles, confined
from omnireward.parquet_files import parquet_files

INDEX = "dataset_info.json"
MEDIA_COLUMNS = ("images", "videos", "audios")
NEEDED = frozenset({"conversations", "chosen", "rejected"})
# Column names of all published entries; an entry that renames them is not Omni-RewardData.
_COLUMNS = {"messages": "conversations", **{name: name for name in ("chosen", "rejected", *MEDIA_COLUMNS)}}
_UPLOADED_AS = "train_data/"


def find_files(place: Path) -> tuple[Path, tuple[Path, ...]]:
    """The root and the row files of a place, in name order.

    Raises:
        SourceError: there are none, or `dataset_info.json` lists something that this format is not.
    """
    if place.is_file():
        return place.parent, (place,)
    index = place / INDEX
    if index.is_file():
        files = _indexed(place, index)
    else:
        files = tuple(sorted({*place.glob("*.json"), *place.glob("*.jsonl"), *parquet_files(place)}))
    if not files:
        raise SourceError(
            f"{place} holds no rows of Omni-RewardData: no .json or .jsonl file and no .parquet below it."
        )
    return place, files


def set_name(file: str) -> str:
    """The set that a row file belongs to: its folder for shards, else its own name.

    >>> set_name("omni_t2i_hpd.json"), set_name("Omni-HPDv2/train-00000-of-00001.parquet")
    ('omni_t2i_hpd', 'Omni-HPDv2')
    """
    path = PurePosixPath(file)
    return path.parent.name or path.stem


def media_files(root: Path) -> MediaFiles:
    """Media lie below the folder of the rows, and nowhere else; archives must have been unpacked there."""
    return MediaFiles((root, root / _UPLOADED_AS), _spellings)


def _spellings(given: str) -> tuple[str, ...]:
    """Archives were packed without some of the folders that rows name: as is, without train_data, one folder less.

    >>> _spellings("train_data/evalmuse/SDXL-Turbo/00110.png")
    ('train_data/evalmuse/SDXL-Turbo/00110.png', 'evalmuse/SDXL-Turbo/00110.png', 'SDXL-Turbo/00110.png')
    """
    short = given.removeprefix(_UPLOADED_AS)
    _, _, shorter = short.partition("/")
    return tuple(name for name in dict.fromkeys((given, short, shorter)) if name)


def _indexed(place: Path, index: Path) -> tuple[Path, ...]:
    try:
        entries = json.loads(index.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{index} is not valid JSON: {error}") from error
    if not isinstance(entries, Mapping) or not all(isinstance(entry, Mapping) for entry in entries.values()):
        raise SourceError(f"{index} must be an object of entries: {{name: {{file_name, ranking, columns}}}}.")
    files = set()
    for name, entry in entries.items():
        if entry.get("ranking") is not True or not isinstance(entry.get("file_name"), str):
            continue  # instruction data and Hub references stand in the same index
        file = confined(place, entry["file_name"])
        if not file.is_file():
            continue  # the published index lists all 24 sets; people download some
        named = entry.get("columns", {})
        if entry.get("formatting") != "sharegpt" or entry.get("tags") or not _usual(named):
            raise SourceError(f"{index}, entry {name!r}: only sharegpt ranking with the columns {_COLUMNS} is read.")
        files.add(file)
    return tuple(sorted(files))


def _usual(named: object) -> bool:
    return isinstance(named, Mapping) and all(_COLUMNS.get(role) == column for role, column in named.items())
