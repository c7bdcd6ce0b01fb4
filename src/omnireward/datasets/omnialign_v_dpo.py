"""OmniAlign-V-DPO: long answers about pictures against weaker ones. Samples of text and image to text.

JSON Lines of PhoenixZ/OmniAlign-V-DPO, one file for each category, and ``images.tar`` or the folder that it makes::

    {"image": "…/knowledge_1.jpg", "prompt": "…", "chosen": "…", "rejected": "…", …}

Unusual:

* `image` is a path or a list of paths. The prompt may hold ``<image>`` for each or for none: with marks, pictures stand
  where their marks do; without, before the words. Another number of marks is refused.
* From which folder on the paths count is not documented. They are tried as they are and from ``OmniAlign_V_DPO/`` or
  ``images/`` on, below the folder of the rows, its ``images`` and what the archive may have inside. No folder is left
  out of a path otherwise: files of two categories may have one name.
* Other fields of a row are not documented and not read, except that an `id` is kept in the provenance.
* There are no scores and no ties. Chosen is always ``a``: whoever judges by position must swap at random.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from omnireward.datasets._archived_media import ArchivedMedia, Packed
from omnireward.datasets._checked_lists import names
from omnireward.datasets._row_files import identity, lines, read, root_of
from omnireward.datasets._tiny_media import write_picture
from omnireward.errors import SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Media, Part, Sample, Task, Text, Turn

HOME = "hub:PhoenixZ/OmniAlign-V-DPO"
CATEGORIES = ("knowledge", "ins_follow", "poster", "chart", "creation", "diagram")
COLUMNS = frozenset({"image", "prompt", "chosen", "rejected"})
IMAGES, ARCHIVE = "images", "images.tar"
MARK = "<image>"
_BEGINNINGS = ("OmniAlign_V_DPO/", "images/")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place = local_root(location, HOME)
    files = lines(place, COLUMNS.issubset, CATEGORIES)
    if not files:
        raise SourceError(
            f"{place} holds no OmniAlign-V-DPO: no .jsonl file whose rows have {', '.join(sorted(COLUMNS))}. Give a "
            "folder with a copy of the repository."
        )
    root = root_of(place)
    yield from read(files, root, bad_rows, partial(_samples, root=root, media=_media_files(root)))


def _samples(row: Row, root: Path, media: ArchivedMedia) -> Iterator[Sample]:
    prompt, chosen, rejected = (row.text(field) for field in ("prompt", "chosen", "rejected"))
    if chosen == rejected:
        raise row.bad("rejected", "says the same as the chosen response.")
    paths = names(row, "image") if isinstance(row.fields.get("image"), list) else [row.text("image")]
    if not prompt.replace(MARK, "").strip():
        raise row.bad("prompt", f"is {reprlib.repr(prompt)}, which asks nothing.")
    if prompt.count(MARK) not in (0, len(paths)):
        raise row.bad("prompt", f"holds {prompt.count(MARK)} times {MARK}, for {len(paths)} images.")
    images = [media.media(row, "image", "image", path) for path in paths]
    content = _content(prompt, images)
    words = [part.text if isinstance(part, Text) else identity(part, root) for part in content]
    category = Path(row.file).stem
    yield Sample(
        id=f"{row.file}:{row.number}",
        task=Task.TI2T,
        comparison=Comparison((Turn("user", content),), (Text(chosen),), (Text(rejected),)),
        preference="a",
        cluster=prompt_cluster(Task.TI2T, *words),
        groups=(category,),
        provenance={"category": category, "id": _id(row), "image": json.dumps(paths) if len(paths) > 1 else paths[0]}
        | {"file": row.file, "row": str(row.number)},
    )


def _content(prompt: str, images: list[Media]) -> tuple[Part, ...]:
    """Pictures where their marks are, or before the words; white space around a mark goes with it."""
    if MARK not in prompt:
        return (*images, Text(prompt))
    before, *after = prompt.split(MARK)
    content: list[Part] = [Text(before.strip())]
    for image, words in zip(images, after, strict=True):
        content += [image, Text(words.strip())]
    return tuple(part for part in content if not isinstance(part, Text) or part.text)


def _id(row: Row) -> str:
    value = row.fields.get("id")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else row.optional_text("id")


def _media_files(root: Path) -> ArchivedMedia:
    folder = root / IMAGES
    packed = [Packed((root / ARCHIVE,), folder)] if (root / ARCHIVE).is_file() else []
    return ArchivedMedia(MediaFiles((root, folder, folder / IMAGES), _spellings), packed)


def _spellings(given: str) -> tuple[str, ...]:
    """What a path may be called below the folder of the rows; as it is comes first, and refuses what leads out.

    >>> _spellings("data/OmniAlign_V_DPO/images/chart/chart_1.jpg")
    ('data/OmniAlign_V_DPO/images/chart/chart_1.jpg', 'images/chart/chart_1.jpg', 'chart/chart_1.jpg')
    >>> _spellings("chart/chart_1.jpg")
    ('chart/chart_1.jpg',)
    """
    spelled = [given]
    for beginning in _BEGINNINGS:
        _, found, rest = f"/{given}".partition(f"/{beginning}")
        if found and rest:
            spelled.append(rest)
    return tuple(dict.fromkeys(spelled))


def _recognises(folder: Path) -> bool:
    try:
        return any(path.stem in CATEGORIES for path in lines(folder, COLUMNS.issubset))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    answers = {"chosen": "A bright square on a plain ground.", "rejected": "A cat."}
    for category, prompt in (("knowledge", "What is shown?"), ("chart", f"{MARK}\nWhat does the chart say?")):
        path = f"{category}/{category}_1.jpg"
        write_picture(folder / IMAGES / path, 200 if category == "chart" else 60)
        row = {"image": f"OmniAlign_V_DPO/images/{path}", "prompt": prompt, **answers}
        (folder / f"{category}.jsonl").write_text(json.dumps(row) + "\n")


DATASET = SampleSource(
    summary="OmniAlign-V-DPO: long answers about pictures against weaker ones, in six categories",
    read=_read,
    recognises=_recognises,
    home=HOME,
    looks_for=f"{', '.join(f'{name}.jsonl' for name in CATEGORIES)} with image, prompt, chosen and rejected",
    example=_example,
)
