"""VisionRewardDB-Video: people's preferences between generated videos (THUDM/VisionRewardDB-Video). Text to video.

Parquet files; two configs hold pairs, ``regression`` (1,795 rows, the pairs of Omni-RewardData) and ``test``, whose
folder is ``monetbench``::

    {"internal_id": "…", "prompt": "…", "standard_answer": "…", "video1_path": "….mp4", "video2_path": "….mp4"}

Settings, as in ``visionreward_video:FOLDER?config=test&a=0&b=1&tie=2``:

* ``config``: ``regression`` (the default, because the other one is a benchmark) or ``test``.
* ``a``, ``b``, ``tie``: the words of `standard_answer` for: the first video is better, the second is, neither is.

Unusual:

* Which words `standard_answer` has is not documented. Words that name what they mean, ``video1``, ``video2`` and
  ``tie``, are read as they are. Anything else is refused before the first sample, with the words that are there and how
  often, until the settings say what they mean.
* What the archives of videos are called is not documented either. Where a video is not there, the archives beside the
  files are unpacked, one after the other, until it is.
* The config ``train`` is not read. It has single videos with 21 marks each; neither which end of a mark is better nor a
  rule that weighs them is stated, and no two videos are said to be of one prompt, so no pair follows from them.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.archives import SUFFIXES
from omnireward.datasets._archived_media import ArchivedMedia, Packed
from omnireward.datasets._row_files import root_of, tables
from omnireward.datasets._tiny_media import write_clip
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row, rows
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

HOME = "hub:THUDM/VisionRewardDB-Video"
COLUMNS = frozenset({"internal_id", "prompt", "standard_answer", "video1_path", "video2_path"})
FOLDERS = {"regression": "regression", "test": "monetbench"}  # of each config
PLAIN: dict[str, Preference] = {"video1": "a", "video2": "b", "tie": "tie"}
_SHOWN = 20  # words of an answer that a message lists


@dataclass(frozen=True, slots=True)
class Settings:
    """Which config, and what its answers mean; empty: what they say."""

    config: str = "regression"
    a: str = ""
    b: str = ""
    tie: str = ""

    def __post_init__(self) -> None:
        if self.config == "train":
            raise RecipeError(
                "the config train holds single videos with marks, and no preference follows from them (see the "
                f"module's first lines). config is one of {', '.join(FOLDERS)}."
            )
        if self.config not in FOLDERS:
            raise RecipeError(f"config is one of {', '.join(FOLDERS)}; got {self.config!r}.")
        given = [word for word in (self.a, self.b, self.tie) if word]
        if given and (not self.a or not self.b or len(set(given)) < len(given)):
            raise RecipeError(
                "the words of standard_answer are a=… and b=…, and tie=… where there are ties, each another word; got "
                f"a={self.a!r}, b={self.b!r}, tie={self.tie!r}."
            )

    def words(self) -> Mapping[str, Preference]:
        """What each answer means, as the settings say; empty where they say nothing."""
        said: tuple[tuple[str, Preference], ...] = ((self.a, "a"), (self.b, "b"), (self.tie, "tie"))
        return {word: preference for word, preference in said if word}


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place, settings = with_settings(location, Settings())
    there = local_root(place, HOME)
    folder = FOLDERS[settings.config]
    found = [path for path in tables(there, COLUMNS.issubset) if path.absolute().parent.name == folder]
    if not found:
        raise SourceError(
            f"{there} holds no {settings.config} of VisionRewardDB-Video: no {folder}/*.parquet with the columns "
            f"{', '.join(sorted(COLUMNS))}. Give a folder with a copy of the repository."
        )
    root = root_of(there)
    words = settings.words() or _plain(found, root)
    media = _media_files(root, found)
    for path in found:
        for row in rows(path, root, bad_rows):
            try:
                sample = _sample(row, settings.config, words, media)
            except BadRowError as error:
                bad_rows.add(error)
            else:
                yield sample


def _plain(found: list[Path], root: Path) -> Mapping[str, Preference]:
    """The words that say what they mean, if there are no others.

    Raises:
        SourceError: there are others; says which.
    """
    counts: Counter[str] = Counter()
    for path in found:
        for row in rows(path, root, BadRows(skip=True)):
            answer = row.fields.get("standard_answer")
            if not isinstance(answer, str) or answer not in PLAIN:
                # Cut short, so that a file of long and ever new answers does not fill memory.
                word = reprlib.repr(answer)
                counts[word if word in counts or len(counts) < _SHOWN else "others"] += 1
    if counts:
        told = ", ".join(f"{word} ({count} times)" for word, count in counts.most_common())
        raise SourceError(
            f"what standard_answer means is not documented, and besides {', '.join(PLAIN)} it is: {told}. Say what the "
            "words mean, if you know: visionreward_video:FOLDER?a=WORD&b=WORD&tie=WORD, a being the word for: the "
            "first video is better."
        )
    return PLAIN


def _sample(row: Row, config: str, words: Mapping[str, Preference], media: ArchivedMedia) -> Sample:
    answer, prompt = row.text("standard_answer"), row.text("prompt")
    if answer not in words:
        raise row.bad("standard_answer", f"is {reprlib.repr(answer)}; known are {', '.join(words)}.")
    fields = ("video1_path", "video2_path")
    paths = [row.text(field) for field in fields]
    if paths[0] == paths[1]:
        raise row.bad("video2_path", f"is {reprlib.repr(paths[1])}, as video1_path is.")
    a, b = (media.media(row, field, "video", path) for field, path in zip(fields, paths, strict=True))
    return Sample(
        id=f"{row.file}:{row.number}",
        task=Task.T2V,
        comparison=Comparison((Turn("user", (Text(prompt),)),), (a,), (b,)),
        preference=words[answer],
        cluster=prompt_cluster(Task.T2V, prompt),
        groups=(config,),
        provenance={
            "internal_id": row.optional_text("internal_id"),
            "standard_answer": answer,
            "video1_path": paths[0],
            "video2_path": paths[1],
            "file": row.file,
            "row": str(row.number),
        },
    )


def _media_files(root: Path, found: list[Path]) -> ArchivedMedia:
    """Videos lie below the root, below the folder of the files, or in what is unpacked beside either."""
    homes = tuple(dict.fromkeys((root, *(path.parent for path in found))))
    packed = [
        Packed((archive,), archive.with_name(archive.name.removesuffix(suffix)))
        for home in homes
        for suffix in SUFFIXES
        for archive in sorted(home.glob(f"*{suffix}"))
    ]
    unpacked = [folder for one in packed for folder in (one.into, one.into / one.into.name)]
    return ArchivedMedia(MediaFiles((*homes, *unpacked)), packed)


def _recognises(folder: Path) -> bool:
    try:
        return bool(tables(folder, COLUMNS.issubset))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    for name, level in (("bright", 220), ("dark", 60)):
        write_clip(folder / "videos" / f"{name}.mp4", level)
    paths = {"video1_path": "videos/dark.mp4", "video2_path": "videos/bright.mp4"}
    for config, place in (("train", "regression"), ("test", "monetbench")):
        answers = [("0001", "video2"), ("0002", "tie")] if config == "train" else [("0001", "video2")]
        table = [
            {"internal_id": number, "prompt": f"A lit lamp, take {number}.", "standard_answer": answer, **paths}
            for number, answer in answers
        ]
        (folder / place).mkdir()
        pq.write_table(pa.Table.from_pylist(table), folder / place / f"{config}-00000-of-00001.parquet")
    mark = {"video_path": "videos/dark.mp4", "internal_id": "0003", "prompt": "A lamp.", "url": ""}
    marks = {"annotation": {"camera movement": 1, "lighting aes": 0}, "meta_result": [1, 0], "meta_mask": [1, 1]}
    (folder / "train").mkdir()
    pq.write_table(pa.Table.from_pylist([mark | marks]), folder / "train" / "train-00000-of-00001.parquet")


DATASET = SampleSource(
    summary="VisionRewardDB-Video: preferences between generated videos, with ties",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="apache-2.0",
    looks_for=".parquet files with the columns standard_answer, video1_path and video2_path",
    example=_example,
)
