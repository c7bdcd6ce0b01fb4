"""UltraFeedback binarized: the best of four answers against a random other one. Samples of text to text.

Parquet of HuggingFaceH4/ultrafeedback_binarized. The same rows are there once for each way to train; only those for
preferences are read, ``train_prefs`` and ``test_prefs``::

    {"prompt": "…", "prompt_id": "…", "chosen": [{"role": "user", …}, {"role": "assistant", …}], "rejected": […],
     "messages": […], "score_chosen": 8.5, "score_rejected": 6.0}

Settings, as in ``ultrafeedback_binarized:FOLDER?split=test&margin=1``:

* ``split``: ``train`` (the default), ``test`` or ``all``.
* ``margin``, ``ties``: see `omnireward.scores`. Scores are UltraFeedback's `overall_score`, from 1 to 10. ``pairs``
  changes nothing, because a row has one pair.

Unusual:

* The rejected answer may have the same score as the chosen one. Such a pair is a tie here, not a preference.
* A rejected answer with the higher score contradicts its name and is refused. Chosen is always ``a``.
* Two answers that say the same are no pair; the row is left out.
* Where these scores come from, some were 10 for the worst answers (see `ultrafeedback`). A row here has nothing to tell
  them by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets._checked_lists import numbers
from omnireward.datasets._chosen_rejected import chosen_rejected
from omnireward.datasets._row_files import read, root_of, tables
from omnireward.errors import RecipeError, SourceError
from omnireward.rows import Row
from omnireward.scores import PairRule, scored_pairs
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Sample, Task, Text

HOME = "hub:HuggingFaceH4/ultrafeedback_binarized"
COLUMNS = frozenset({"prompt", "prompt_id", "chosen", "rejected", "messages", "score_chosen", "score_rejected"})
SPLITS = ("train", "test")
_SPLIT = re.compile(r"(?P<split>train|test)_prefs\b")


@dataclass(frozen=True, slots=True)
class Settings(PairRule):
    """Which split, and when scores are a tie."""

    split: str = "train"

    def __post_init__(self) -> None:
        PairRule.__post_init__(self)  # super() does not know a class with slots
        if self.split not in (*SPLITS, "all"):
            raise RecipeError(f"split is {', '.join(SPLITS)} or all; got {self.split!r}.")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    where, settings = with_settings(location, Settings())
    place = local_root(where, HOME)
    there = _files(place)
    files = [path for split in SPLITS for path in there.get(split, ()) if settings.split in (split, "all")]
    if not files:
        advice = f"It has the split {next(iter(there))}." if there else "Give a folder with a copy of the repository."
        raise SourceError(
            f"{place} holds no ultrafeedback_binarized of the split {settings.split}: no .parquet file called "
            f"{'*' if settings.split == 'all' else settings.split}_prefs… with the columns "
            f"{', '.join(sorted(COLUMNS))}. {advice}"
        )
    yield from read(files, root_of(place), bad_rows, partial(_samples, rule=settings))


def _samples(row: Row, rule: PairRule) -> Iterator[Sample]:
    said = chosen_rejected(row)
    scores = [_score(row, field) for field in ("score_chosen", "score_rejected")]
    if scores[0] < scores[1]:
        raise row.bad("score_rejected", f"is {scores[1]!r}, higher than the chosen response's {scores[0]!r}.")
    if said.chosen == said.rejected:
        return
    match = _SPLIT.search(row.file)
    split = match["split"] if match else ""
    for pair in scored_pairs(scores, rule):
        yield Sample(
            id=f"{row.file}:{row.number}",
            task=Task.T2T,
            comparison=Comparison(said.prompt, (Text(said.chosen),), (Text(said.rejected),)),
            preference=pair.preference,
            cluster=prompt_cluster(Task.T2T, *said.words()),
            groups=(split,),
            provenance={"prompt_id": row.optional_text("prompt_id"), "split": split, "system": said.system}
            | {**pair.provenance(), "file": row.file, "row": str(row.number)},
        )


def _score(row: Row, field: str) -> float:
    if field not in row.fields:
        raise row.missing(field)
    return numbers(row, field, [row.fields[field]])[0]


def _files(place: Path) -> dict[str, list[Path]]:
    """The files of each split that is there."""
    found: dict[str, list[Path]] = {}
    for path in tables(place, COLUMNS.issubset):
        if match := _SPLIT.search(path.relative_to(root_of(place)).as_posix()):
            found.setdefault(match["split"], []).append(path)
    return found


def _recognises(folder: Path) -> bool:
    try:
        return bool(_files(folder))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    asked = {"role": "user", "content": "Name a colour."}
    chosen = [asked, {"role": "assistant", "content": "Green."}]
    row = {
        "prompt": asked["content"],
        "prompt_id": "6e1b0f7c",
        "chosen": chosen,
        "rejected": [asked, {"role": "assistant", "content": "A table."}],
        "messages": chosen,
        "score_chosen": 8.5,
        "score_rejected": 6.0,
    }
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), folder / "data" / "train_prefs-00000-of-00001.parquet")


DATASET = SampleSource(
    summary="UltraFeedback binarized: the best of four answers against another one, with their scores",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="mit",
    looks_for=".parquet files called train_prefs… or test_prefs… with score_chosen and score_rejected",
    example=_example,
)
