"""Skywork-Reward-Preference-80K: pairs of dialogues from seven sets of preferences. Samples of text to text.

Parquet of Skywork/Skywork-Reward-Preference-80K-v0.2 (the default) or -v0.1; give the place as
``skywork_reward:hub:Skywork/Skywork-Reward-Preference-80K-v0.1@COMMIT`` for the latter::

    {"chosen": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}],
     "rejected": [the same user turn, …], "source": "magpie_pro"}

Unusual:

* v0.1 has 81,973 rows, of which 4,957 of Magpie Ultra overlap RewardBench; v0.2 has the other 77,016. Rows do not say
  which it is, but the whole file does by its number of rows: `version` in the provenance, empty for other numbers.
  Both in one folder are refused, because nearly every row would come twice.
* The prompt is what both dialogues have in common; it may be of several turns. Whether there are system turns is not
  documented; `_chosen_rejected` says what becomes of one.
* There are no ids, no scores and no ties. Chosen is always ``a``: whoever judges by position must swap at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets._chosen_rejected import chosen_rejected
from omnireward.datasets._row_files import read, root_of, tables
from omnireward.errors import SourceError
from omnireward.rows import Row
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Sample, Task, Text

HOME = "hub:Skywork/Skywork-Reward-Preference-80K-v0.2"
COLUMNS = frozenset({"chosen", "rejected", "source"})
VERSIONS = {81_973: "v0.1", 77_016: "v0.2"}


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place = local_root(location, HOME)
    files = _files(place)
    if not files:
        raise SourceError(
            f"{place} holds no Skywork-Reward-Preference: no .parquet file whose columns are "
            f"{', '.join(sorted(COLUMNS))}. Give a folder with a copy of the repository."
        )
    versions = {path: VERSIONS.get(pq.read_metadata(path).num_rows, "") for path in files}
    if len(set(versions.values()) - {""}) > 1:
        raise SourceError(
            f"{place} holds two versions, and most rows are in both: {_told(versions)}. Give one of them."
        )
    for path, version in versions.items():
        yield from read((path,), root_of(place), bad_rows, partial(_samples, version=version))


def _told(versions: dict[Path, str]) -> str:
    return ", ".join(f"{path} ({version})" for path, version in versions.items() if version)


def _samples(row: Row, version: str) -> Iterator[Sample]:
    said = chosen_rejected(row)
    if said.chosen == said.rejected:
        raise row.bad("rejected", "says the same as the chosen response.")
    source = row.optional_text("source")
    yield Sample(
        id=f"{row.file}:{row.number}",
        task=Task.T2T,
        comparison=Comparison(said.prompt, (Text(said.chosen),), (Text(said.rejected),)),
        preference="a",
        cluster=prompt_cluster(Task.T2T, *said.words()),
        groups=(source,) if source else (),
        provenance={"source": source, "version": version, "system": said.system}
        | {"file": row.file, "row": str(row.number)},
    )


def _files(place: Path) -> tuple[Path, ...]:
    return tables(place, lambda found: found == COLUMNS)


def _recognises(folder: Path) -> bool:
    try:
        return bool(_files(folder))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    asked = {"role": "user", "content": "Name a colour."}
    row = {
        "chosen": [asked, {"role": "assistant", "content": "Green."}],
        "rejected": [asked, {"role": "assistant", "content": "A table."}],
        "source": "magpie_pro",
    }
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), folder / "data" / "train-00000-of-00001.parquet")


DATASET = SampleSource(
    summary="Skywork-Reward-Preference-80K, v0.1 or v0.2: pairs of dialogues from seven sets, without ties",
    read=_read,
    recognises=_recognises,
    home=HOME,
    looks_for=f".parquet files whose columns are {', '.join(sorted(COLUMNS))} and no others",
    example=_example,
)
