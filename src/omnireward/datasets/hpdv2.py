"""HPDv2: people's preferences between generated images (ymhao/HPDv2). Samples of text to image.

``train.json`` has pairs, ``test.json`` rankings, both lists of objects; images lie in ``train/`` and ``test/``, or in
``train.tar.gz`` and ``test.tar.gz``::

    {"prompt": "…", "file_path": ["a.jpg", "b.jpg"], "human_preference": [0, 1]}              1 marks the better one
    {"prompt": "…", "image_path": ["a.jpg", …], "rank": [3, 1, …],                            lower is better
     "raw_annotations": [{"rank": […], "user_hash": "…"}]}

Settings, as in ``hpdv2:FOLDER?split=test&margin=2``:

* ``split``: ``train`` (the default, because the other one is a benchmark), ``test`` or ``all``.
* ``margin``, ``ties``, ``pairs``: how a ranking becomes pairs, see `omnireward.scores`. The unit is a rank: images tie
  when their ranks are equal, or differ by less than `margin`. Pairs of the train split are read as they are.

Unusual:

* The repository comes with a loading script, HPDv2.py. It is never run; the files are read as they are.
* Ranks are averages over annotators, and equal ones occur. What each annotator said of the two images is in the
  provenance, in the order of the annotators; who they are is not.
* Pairs of two images of different sizes, which the authors' own training leaves out, are kept.
* Rows have no ids. A sample is named by split and row, and in the test split by the two positions.
* Whether the archives have a top folder of their own is not documented, so images are looked for with and without one.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from omnireward.datasets._archived_media import ArchivedMedia, Packed
from omnireward.datasets._checked_lists import listed, names, numbers, told
from omnireward.datasets._tiny_media import write_picture
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row, columns, rows
from omnireward.scores import PairRule, scored_pairs
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, Preference, Sample, Task, Text, Turn

HOME = "hub:ymhao/HPDv2"
COLUMNS = {
    "train": frozenset({"prompt", "file_path", "human_preference"}),
    "test": frozenset({"prompt", "image_path", "rank"}),
}


@dataclass(frozen=True, slots=True)
class Settings(PairRule):
    """Which split, and how rankings become pairs."""

    split: str = "train"

    def __post_init__(self) -> None:
        PairRule.__post_init__(self)  # super() does not know a class with slots
        if self.split not in (*COLUMNS, "all"):
            raise RecipeError(f"split is train, test or all; got {self.split!r}.")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place, settings = with_settings(location, Settings())
    root = local_root(place, HOME)
    there = [split for split in COLUMNS if (root / f"{split}.json").is_file()]
    wanted = [split for split in there if settings.split in (split, "all")]
    if not wanted:
        advice = f"It has {there[0]}.json: add ?split={there[0]}" if there else "Give a folder with a copy of it."
        raise SourceError(f"{root} holds no {settings.split}.json of the repository HPDv2. {advice}")
    for split in wanted:
        media = _media_files(root, split)
        for row in rows(root / f"{split}.json", root, bad_rows):
            try:
                samples = list(_pair(row, media) if split == "train" else _ranking(row, media, settings))
            except BadRowError as error:
                bad_rows.add(error)
                continue
            yield from samples


def _pair(row: Row, media: ArchivedMedia) -> Iterator[Sample]:
    said = listed(row, "human_preference", 2)
    if any(isinstance(one, bool) or one not in (0, 1) for one in said) or said[0] == said[1]:
        raise row.bad("human_preference", f"is {reprlib.repr(said)}; known are [1, 0] and [0, 1].")
    paths = names(row, "file_path", 2)
    a, b = (media.media(row, "file_path", "image", path) for path in paths)
    told_of = {"path_a": paths[0], "path_b": paths[1]}
    yield _sample(row, "train", str(row.number), (a, b), "a" if said[0] == 1 else "b", told_of)


def _ranking(row: Row, media: ArchivedMedia, rule: PairRule) -> Iterator[Sample]:
    paths = names(row, "image_path")
    ranks = numbers(row, "rank", listed(row, "rank", len(paths)))
    said = _annotations(row, len(paths))
    images = [media.media(row, "image_path", "image", path) for path in paths]
    for pair in scored_pairs(ranks, rule, better="lower"):
        told_of = {"path_a": paths[pair.a], "path_b": paths[pair.b], **pair.provenance()}
        if said:
            told_of |= {f"ranks_{side}": told([one[at] for one in said]) for side, at in (("a", pair.a), ("b", pair.b))}
        shown = (images[pair.a], images[pair.b])
        yield _sample(row, "test", f"{row.number}/{pair.a}-{pair.b}", shown, pair.preference, told_of)


def _annotations(row: Row, length: int) -> list[list[float]]:
    """The ranking of each annotator, a number for each image; none where the row does not have them."""
    if row.fields.get("raw_annotations") in (None, []):
        return []
    found = []
    for one in listed(row, "raw_annotations"):
        ranks = one.get("rank") if isinstance(one, Mapping) else None
        if not isinstance(ranks, list) or len(ranks) != length:
            raise row.bad("raw_annotations", f"holds {reprlib.repr(one)}, which ranks no {length} images.")
        found.append(numbers(row, "raw_annotations", ranks))
    return found


def _sample(
    row: Row,
    split: str,
    name: str,
    images: tuple[Media, Media],
    preference: Preference,
    told_of: Mapping[str, str],
) -> Sample:
    prompt = row.text("prompt")
    return Sample(
        id=f"{split}/{name}",
        task=Task.T2I,
        comparison=Comparison((Turn("user", (Text(prompt),)),), (images[0],), (images[1],)),
        preference=preference,
        cluster=prompt_cluster(Task.T2I, prompt),
        groups=(split,),
        provenance={**told_of, "split": split, "file": row.file, "row": str(row.number)},
    )


def _media_files(root: Path, split: str) -> ArchivedMedia:
    folder, archive = root / split, root / f"{split}.tar.gz"
    packed = [Packed((archive,), folder)] if archive.is_file() else []
    return ArchivedMedia(MediaFiles((folder, folder / split, root)), packed)


def _recognises(folder: Path) -> bool:
    files = {folder / f"{split}.json": wanted for split, wanted in COLUMNS.items()}
    try:
        return any(path.is_file() and columns(path) >= wanted for path, wanted in files.items())
    except SourceError:
        return False


def _example(folder: Path) -> None:
    (folder / "HPDv2.py").write_text("# The publisher's loading script stands here. It is not run.\n")
    for split, level in (("train", 220), ("train", 60), ("test", 30), ("test", 200), ("test", 201)):
        write_picture(folder / split / f"{level:08d}.jpg", level)
    pairs = [{"prompt": "A lit lamp.", "file_path": ["00000220.jpg", "00000060.jpg"], "human_preference": [1, 0]}]
    said = [{"rank": ranks, "user_hash": user} for ranks, user in (([3, 1, 2], "x"), ([3, 2, 1], "y"))]
    order = {"image_path": ["00000030.jpg", "00000200.jpg", "00000201.jpg"], "rank": [2, 1, 1], "raw_annotations": said}
    (folder / "train.json").write_text(json.dumps(pairs))
    (folder / "test.json").write_text(json.dumps([{"prompt": "A sky.", **order}]))


DATASET = SampleSource(
    summary="HPDv2: preferences between generated images, pairs to train on and rankings to test on",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="apache-2.0",
    looks_for="train.json with file_path and human_preference, or test.json with image_path and rank",
    example=_example,
)
