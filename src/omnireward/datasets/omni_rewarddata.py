"""Omni-RewardData: preference pairs in LLaMA-Factory's sharegpt ranking format (jinzhuoran/OmniRewardData).

A row with a criterion, two images as responses::

    {"conversations": [{"from": "system", "value": "<criterion>"}, {"from": "human", "value": "<image>"}],
     "chosen": {"from": "gpt", "value": P}, "rejected": {"from": "gpt", "value": P}, "images": ["good.png", "bad.png"]}

Unusual:

* Media responses sit in the user turn and the prompt's text P is both "responses" (prompts.py calls this layout
  ``paper``). Rows are turned back into what was asked and what was answered.
* Which media belong to whom is not written down. The authors' training code goes by counts (processors/pairwise.py,
  collator.py); `_omni_rewarddata_dispatch` follows it, and refuses what it would misread.
* Chosen is always ``a``. Nothing here shuffles sides: training reads roles, and whoever judges these rows by position
  must swap at random. In evaluation rows `label` says 1, 0 or -1 and decides.
* The system turn is the criterion; the authors' template puts it where other rows have the model's default one.
* Media are looked for below the folder of the rows only, and archives ("train_data/*.tar") must have been unpacked
  there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from omnireward.datasets._omni_rewarddata_dispatch import interpret
from omnireward.datasets._omni_rewarddata_example import write_example
from omnireward.datasets._omni_rewarddata_files import NEEDED, find_files, media_files, set_name
from omnireward.datasets._omni_rewarddata_rows import dialogue
from omnireward.errors import BadRowError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row, columns, rows
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Media, Preference, Sample

HOME = "hub:jinzhuoran/OmniRewardData"
LABELS: dict[int, Preference] = {1: "a", 0: "tie", -1: "b"}


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    root, files = find_files(local_root(location, HOME))
    media = media_files(root)
    for path in files:
        for row in rows(path, root, bad_rows):
            try:
                sample = _sample(row, root, media)
            except BadRowError as error:
                bad_rows.add(error)
                continue
            yield sample


def _sample(row: Row, root: Path, media: MediaFiles) -> Sample:
    preference = _preference(row)
    said = dialogue(row, media)
    read = interpret(row, said, tie=preference == "tie")
    asked = [part for turn in read.prompt for part in turn.content]
    names = [_identity(part, root) if isinstance(part, Media) else part.text for part in asked]
    return Sample(
        id=f"{row.file}:{row.number}",
        task=read.task,
        comparison=Comparison(read.prompt, read.chosen, read.rejected, said.criterion),
        preference=preference,
        cluster=prompt_cluster(read.task, *names),
        groups=(set_name(row.file),),
        provenance={"file": row.file, "row": str(row.number)},
    )


def _preference(row: Row) -> Preference:
    label = row.fields.get("label")
    if label is None:
        return "a"
    if isinstance(label, bool) or not isinstance(label, int) or label not in LABELS:
        raise row.bad("label", f"is {label!r}; known are 1 (chosen is better), 0 (tie) and -1 (rejected is better).")
    return LABELS[label]


def _identity(part: Media, root: Path) -> str:
    """What names a prompt's medium: its path below the root, or its content when the row holds it."""
    (piece,) = part.pieces()
    return hashlib.sha256(piece).hexdigest() if isinstance(piece, bytes) else piece.relative_to(root).as_posix()


def _recognises(folder: Path) -> bool:
    try:
        _, files = find_files(folder)
        return columns(files[0]) >= NEEDED
    except SourceError:
        return False


DATASET = SampleSource(
    summary="Omni-RewardData: preference pairs in sharegpt ranking format, general and with criteria",
    read=_read,
    recognises=_recognises,
    home=HOME,
    looks_for=".json, .jsonl or .parquet files whose rows have conversations, chosen and rejected",
    example=write_example,
)
