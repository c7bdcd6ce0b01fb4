"""MJ-Bench: pairs of pictures made from a caption (arXiv 2407.04842; MJ-Bench/MJ-Bench).

One row is one pair::

    {"id": "pap_0", "source": "pick_a_pic", "caption": "…", "image0": "….jpg", "image1": "….jpg", "label": 1}

`label` is the index of the better picture. Unusual:

* The repository on GitHub has the rows of the alignment perspective as ``<kind>/<kind>_test.json``. Lists of parts of
  them lie beside and are left out. The pictures are not there; put them into ``images/``. The Hub has Parquet files
  with the pictures inside.
* On the Hub's newer revision `label` is always 0: the better picture comes first. Judge in both orders, or in an order
  drawn at random.
* Files of another shape, such as groups of pictures for the bias perspective, are reported as bad and not read.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.benchmarks._mj_bench_official import official
from omnireward.benchmarks._picture_rows import dot, official_id, picture
from omnireward.benchmarks._tables import numbered_rows
from omnireward.errors import BadRowError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.parquet_files import parquet_files
from omnireward.rows import Row, columns
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Media, Preference, Sample, Task, Text, Turn

HOME = "hub:MJ-Bench/MJ-Bench"
COLUMNS = frozenset({"caption", "image0", "image1", "label"})
IMAGES = ("images", "alignment/benchmark/images")
_SPLIT = re.compile(r"(test|train|validation)\b")
_SHARD = re.compile(r"-\d+-of-\d+$")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    root = local_root(location, HOME)
    tables, strangers = _tables(root)
    if not tables:
        raise SourceError(
            f"{root} holds no rows of MJ-Bench: neither <kind>/<kind>_test.json nor a .parquet file with the columns "
            f"{', '.join(sorted(COLUMNS))}."
        )
    for path, found in strangers.items():
        problem = f"has no pairs of pictures: its columns are {', '.join(sorted(found))[:500]}."
        bad_rows.add(BadRowError(path.relative_to(root).as_posix(), 0, "(columns)", problem))
    for perspective, paths in tables.items():
        folders = (paths[0].parent, root, *(root / name for name in IMAGES), paths[0].parent.parent / IMAGES[0])
        media = MediaFiles(tuple(dict.fromkeys(folders)))
        for number, row in numbered_rows(paths, root, bad_rows):
            try:
                sample = _sample(row, number, perspective, media)
            except BadRowError as error:
                bad_rows.add(error)
            else:
                yield sample


def _tables(root: Path) -> tuple[dict[str, list[Path]], dict[Path, frozenset[str]]]:
    """The files of each perspective, and Parquet files with other columns."""
    tables: dict[str, list[Path]] = {}
    strangers: dict[Path, frozenset[str]] = {}
    for path in parquet_files(root):
        if (found := columns(path)) >= COLUMNS:
            tables.setdefault(_perspective(path), []).append(path)
        else:
            strangers[path] = found
    for path in () if tables else sorted(root.glob("**/*_test.json")):
        if path.stem == f"{path.parent.name}_test" and columns(path) >= COLUMNS:
            tables[path.parent.name] = [path]
    return tables, strangers


def _perspective(path: Path) -> str:
    """``data/safety-00000-of-00001.parquet`` and ``safety/test-00000-of-00001.parquet`` are both safety."""
    return path.parent.name if _SPLIT.match(path.stem) else _SHARD.sub("", path.stem)


def _sample(row: Row, number: int, perspective: str, media: MediaFiles) -> Sample:
    caption, label = row.text("caption"), row.fields.get("label")
    if isinstance(label, bool) or label not in (0, 1):
        raise row.bad("label", f"is {reprlib.repr(label)}; known are 0 and 1.")
    preference: Preference = "b" if label else "a"
    (first, _), (second, _) = (_picture(row, field, media) for field in ("image0", "image1"))
    name = official_id(row, "id") if "id" in row.fields else "row"
    return Sample(
        id=f"{perspective}/{name}/{number}",
        task=Task.T2I,
        comparison=Comparison((Turn("user", (Text(caption),)),), (first,), (second,)),
        preference=preference,
        cluster=prompt_cluster(Task.T2I, caption),
        groups=_groups(row, perspective),
        provenance={key: row.optional_text(key) for key in ("source", "model")}
        | {"id": name, "file": row.file, "row": str(row.number)},
    )


def _groups(row: Row, perspective: str) -> tuple[str, ...]:
    category, subcategory = row.optional_text("category"), row.optional_text("subcategory")
    if not category:
        return (perspective,)
    return (category, f"{category}/{subcategory}") if subcategory else (category,)


def _picture(row: Row, field: str, media: MediaFiles) -> tuple[Media, str]:
    if field not in row.fields:
        raise row.missing(field)
    return picture(row, field, row.fields[field], media)


def _recognises(folder: Path) -> bool:
    try:
        return bool(_tables(folder)[0])
    except SourceError:
        return False


def _example(folder: Path) -> None:
    (folder / "data").mkdir()
    for perspective, label in (("alignment", 1), ("safety", 0)):
        row = {
            "id": "example",
            "source": "example",
            "caption": "A bright square.",
            "image0": {"bytes": dot(0.2 if label else 0.9), "path": None},
            "image1": {"bytes": dot(0.8 if label else 0.1), "path": None},
            "label": label,
        }
        path = folder / "data" / f"{perspective}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist([row]), path)


BENCHMARK = SampleSource(
    summary="MJ-Bench: pictures made from captions; alignment, safety, quality and more",
    read=_read,
    recognises=_recognises,
    home=HOME,
    looks_for="*.parquet with the columns caption, image0, image1, label; or <kind>/<kind>_test.json",
    example=_example,
    official=official,
)
