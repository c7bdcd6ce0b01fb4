"""VideoDPO: pairs of generated videos, chosen by an automatic score (vidpro-vc2-dataset). Samples of text to video.

The publisher gives one archive, ``vidpro-vc2-dataset.tar``; unpacked, it has two lists and the videos::

    metadata.json   {"basic": {"clip_path": "…/winvideos/000000.mp4", "clip_duration": 1.6},
                     "misc": {"frame_caption": ["<prompt>"]}}
    pair.json       {"video1": 0, "video2": 1, "frame_caption": "<prompt>", "score": 0.12, "label": 0}

`video1` is the number of the better clip in metadata.json and `video2` that of the worse; `label` says nothing.

Setting, as in ``videodpo:FOLDER?indices=listed``: whether numbers count every clip of metadata.json (``listed``) or
those of a second and more only (``kept``). By default it is found out, see `_videodpo_clips`, and refused if it cannot
be. Clips shorter than a second are counted or not, but a pair may be of them.

Unusual:

* Preferences are those of a program (OmniScore), not of people, and there are no ties. Better is always ``a``.
* A clip's path may begin with folders of the authors' machine. It is looked for as it stands, if it is relative, and by
  its last two names. Where a file is there under neither, clip 2n is ``winvideos/<n>.mp4`` and clip 2n+1
  ``losevideos/<n>.mp4`` with six digits, if that contradicts nothing: the better one must be among the winners, and a
  clip that states a number must state this one.
* A pair repeats the prompt of its clips. One that does not agree with them is refused.
* There is no Hub repository to name: a folder must be given. No licence is stated.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from omnireward.datasets._archived_media import Packed
from omnireward.datasets._tiny_media import write_clip
from omnireward.datasets._videodpo_clips import COUNTINGS, Clip, Clips, Counting, Pair
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row, columns, rows
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

ARCHIVE = "vidpro-vc2-dataset.tar"
CLIPS, PAIRS = "metadata.json", "pair.json"
COLUMNS = {CLIPS: frozenset({"basic", "misc"}), PAIRS: frozenset({"video1", "video2", "frame_caption"})}
WINNERS, LOSERS = "winvideos", "losevideos"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the numbers of clips count; empty: find out."""

    indices: str = ""

    def __post_init__(self) -> None:
        if self.indices not in ("", *COUNTINGS):
            raise RecipeError(f"indices is one of {', '.join(COUNTINGS)}; got {self.indices!r}.")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place, settings = with_settings(location, Settings())
    root = _unpacked(local_root(place, ""))
    media = MediaFiles((root,), _spellings)
    with closing(sqlite3.connect("", check_same_thread=False)) as scratch:  # a file that is gone when this ends
        clips = Clips(scratch, rows(root / CLIPS, root, bad_rows), bad_rows)
        given = [counting for counting in COUNTINGS if counting == settings.indices]
        counting = given[0] if given else clips.counting(rows(root / PAIRS, root, BadRows(skip=True)))
        for row in rows(root / PAIRS, root, bad_rows):
            try:
                sample = _sample(row, clips, counting, media)
            except BadRowError as error:
                bad_rows.add(error)
            else:
                yield sample


def _sample(row: Row, clips: Clips, counting: Counting, media: MediaFiles) -> Sample:
    pair = Pair.of(row)
    found = clips.of(pair, counting)
    if found is None:
        raise row.bad("frame_caption", f"is not the caption of clips {pair.winner} and {pair.loser} in {CLIPS}.")
    derived = not clips.short  # or a derived name would need the counting that its files were named by
    a, b = (_video(row, clip, better, media, derived) for clip, better in zip(found, (True, False), strict=True))
    if a == b:
        raise row.bad("video2", f"is the same file as video1, {found[0].path!r}.")
    score = row.fields.get("score")
    return Sample(
        id=f"{row.file}:{row.number}",
        task=Task.T2V,
        comparison=Comparison((Turn("user", (Text(pair.prompt),)),), (a,), (b,)),
        preference="a",
        cluster=prompt_cluster(Task.T2V, pair.prompt),
        provenance={
            "file": row.file,
            "row": str(row.number),
            "clip_a": found[0].path,
            "clip_b": found[1].path,
            "score": repr(score) if isinstance(score, int | float) else "",
        },
    )


def _video(row: Row, clip: Clip, better: bool, media: MediaFiles, derived: bool) -> Media:
    field = "video1" if better else "video2"
    try:
        return Media("video", media.source(row, field, clip.path))
    except BadRowError:
        name = _derived(clip, better) if derived else None
        if name is None:
            raise
        return Media("video", media.source(row, field, name))


def _derived(clip: Clip, better: bool) -> str | None:
    """The name by position, unless it contradicts what is known of the clip."""
    number, odd = divmod(clip.listed, 2)
    name = f"{number:06}"
    stated = PureWindowsPath(clip.path).stem
    if odd == better or (stated.isdecimal() and stated.zfill(6) != name):
        return None
    return f"{WINNERS if better else LOSERS}/{name}.mp4"


def _spellings(given: str) -> tuple[str, ...]:
    """As it stands, if it is relative, and its last two names.

    >>> _spellings("/home/them/set/winvideos/000003.mp4"), _spellings("clips/3.mp4")
    (('winvideos/000003.mp4',), ('clips/3.mp4',))
    """
    path = PureWindowsPath(given)
    names = path.parts[1:] if path.anchor else path.parts
    tail = "/".join(names[-2:])
    return (tail,) if path.anchor else tuple(dict.fromkeys((given, tail)))


def _unpacked(place: Path) -> Path:
    """The folder of the two lists: the place itself, or one that its archive is unpacked into."""
    into = place / ARCHIVE.removesuffix(".tar")
    if not _has_lists(place) and (place / ARCHIVE).is_file():
        Packed((place / ARCHIVE,), into).unpack()
    for folder in (place, into, into / into.name):
        if _has_lists(folder):
            return folder
    raise SourceError(f"{place} holds no VideoDPO: neither {CLIPS} with {PAIRS}, nor {ARCHIVE} with them in it.")


def _has_lists(folder: Path) -> bool:
    return all((folder / name).is_file() for name in COLUMNS)


def _recognises(folder: Path) -> bool:
    if not _has_lists(folder):
        return (folder / ARCHIVE).is_file()
    try:
        return all(columns(folder / name) >= wanted for name, wanted in COLUMNS.items())
    except SourceError:
        return False


def _example(folder: Path) -> None:
    prompt = "A lit lamp."
    clips = []
    for name, level in ((WINNERS, 220), (LOSERS, 60)):
        write_clip(folder / name / "000000.mp4", level)
        basic = {"clip_duration": 1.6, "clip_path": f"/data/them/vidpro/{name}/000000.mp4", "globalidx": 0}
        clips.append({"basic": basic, "misc": {"frame_caption": [prompt]}})
    pair = {"video1": 0, "video2": 1, "label": 0, "frame_caption": prompt, "score": 0.12}
    (folder / CLIPS).write_text(json.dumps(clips))
    (folder / PAIRS).write_text(json.dumps([pair]))


DATASET = SampleSource(
    summary="VideoDPO: pairs of generated videos, preferred by an automatic score",
    read=_read,
    recognises=_recognises,
    looks_for=f"{CLIPS} beside {PAIRS}, or {ARCHIVE}",
    example=_example,
)
