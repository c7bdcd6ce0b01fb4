"""SpeechJudge: votes on which of two voices reads a text more naturally (RMSnow/SpeechJudge-Data, gated).

One row is one pair. Several people judged each: which one is more natural, and whether each says the text without a
mistake::

    {"index": 7, "subset": "regular", "language_setting": "en2zh", "chosen": true, "prompt": {"bytes": …, "path": …},
     "prompt_text": "…", "target_text": "…", "audioA": {…}, "audioB": {…}, "rater": ["rater01", "rater05"],
     "audioA_text_accuracy": [1, 1], "audioB_text_accuracy": [1, 0], "naturalness_annotation": ["A+1", "A+2"],
     "naturalness_label": "A", "gemini-2.5-flash": "…"}

Settings, as in ``speechjudge:FOLDER?split=other&criterion=both``:

* ``split``: ``train`` (the default), ``dev``, ``other`` or ``test``. The last is a benchmark, SpeechJudge-Eval.
* ``criterion``: ``naturalness`` (the default), by `naturalness_label`; ``intelligibility``, by the share of people who
  heard no mistake; or ``both``, two samples of a row.
* ``worded``: ``no`` leaves the criterion empty. By default it says in words what was asked, because neither question is
  about overall quality. The words are this project's, not the annotators'.
* ``reference``: ``no`` leaves the reference voice out, so that samples are of text to audio. By default they are of
  text and audio to audio, as the voices were made: from a recording whose voice to take, and a text to read in it.
* ``agreed``: ``yes`` keeps only rows whose `chosen` is true. By default all are kept, as the authors' training did.
* ``margin``, ``ties``: see `omnireward.scores`. The margin is for intelligibility, a share from 0 to 1.

Unusual:

* `chosen` is no answer: it is true where the people who judged a row agree with the others elsewhere.
* The prompt's text is a sentence of this project's, around `target_text`, because the source has a text to be read and
  no request.
* How the files are called is taken to be as the Hub's tools name them, by the split: ``train-00000-of-00042.parquet``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets import _row_files
from omnireward.datasets._checked_lists import listed, numbers, told
from omnireward.datasets._tiny_sounds import sound
from omnireward.errors import RecipeError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.scores import PairRule, scored_pairs
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, Preference, Sample, Task, Text, Turn

HOME = "hub:RMSnow/SpeechJudge-Data"
COLUMNS = frozenset({"prompt", "target_text", "audioA", "audioB", "naturalness_label"})
SPLITS = ("train", "dev", "other", "test")
WORDS = {
    "naturalness": "The speech should sound as if a person were saying it: with the rhythm, stress and tone that fit "
    "the text, and without robotic, broken or distorted sounds.",
    "intelligibility": "Every word of the text should be spoken correctly and be understood: nothing left out, added, "
    "repeated or mispronounced.",
}
LABELS: dict[str, Preference] = {"A": "a", "B": "b", "Tie": "tie"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Which rows, judged by what, shown how."""

    split: str = "train"
    criterion: str = "naturalness"
    worded: bool = True
    reference: bool = True
    agreed: bool = False
    margin: float = 0.0
    ties: bool = True

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise RecipeError(f"split is one of {', '.join(SPLITS)}; got {self.split!r}.")
        if self.criterion not in (*WORDS, "both"):
            raise RecipeError(f"criterion is one of {', '.join(WORDS)}, both; got {self.criterion!r}.")
        self.rule()

    def rule(self) -> PairRule:
        """How shares become preferences. Raises RecipeError for a negative margin."""
        return PairRule(margin=self.margin, ties=self.ties)


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place, settings = with_settings(location, Settings())
    place_found = local_root(place, HOME)
    found = _row_files.tables(place_found, COLUMNS.issubset)
    if not found:
        raise SourceError(
            f"{place_found} holds no SpeechJudge-Data: no .parquet file with the columns {', '.join(sorted(COLUMNS))}. "
            "The data are gated: ask for access on the Hub, then give a folder with a copy of the repository."
        )
    # A single file is what the user wants, whatever its name.
    of_split = found if place_found.is_file() else [path for path in found if _split(path) == settings.split]
    if not of_split:
        there = ", ".join(sorted({path.name for path in found})[:20])
        raise SourceError(f"{place_found} has no files of the split {settings.split}; there are {there}.")
    root = _row_files.root_of(place_found)
    samples = partial(_samples, settings=settings, media=MediaFiles((root,)))
    yield from _row_files.read(of_split, root, bad_rows, samples)


def _split(path: Path) -> str:
    return path.stem.partition("-")[0]


def _samples(row: Row, settings: Settings, media: MediaFiles) -> Iterator[Sample]:
    agreed = row.fields.get("chosen")
    if agreed is not None and not isinstance(agreed, bool):
        raise row.bad("chosen", f"is {reprlib.repr(agreed)}, not true or false.")
    if settings.agreed and not agreed:
        if agreed is None:
            raise row.bad("chosen", "does not say whether its people agree, and only rows that do are wanted.")
        return
    text = row.text("target_text")
    if not text.strip():
        raise row.bad("target_text", "is empty.")
    first, second = (_sound(row, field, media) for field in ("audioA", "audioB"))
    if first == second:
        raise row.bad("audioB", "is the same sound as audioA.")
    voice, index = _sound(row, "prompt", media), row.fields.get("index")
    if settings.reference:
        task = Task.TA2A
        prompt = Turn("user", (voice, Text(f"Read this text aloud in the voice of the recording: {text}")))
    else:
        task, prompt = Task.T2A, Turn("user", (Text(f"Read this text aloud: {text}"),))
    for criterion in WORDS if settings.criterion == "both" else (settings.criterion,):
        judged = _natural(row, settings) if criterion == "naturalness" else _intelligible(row, settings)
        if judged is None:
            continue
        preference, said = judged
        yield Sample(
            id=f"{row.file}:{row.number}:{criterion}",
            task=task,
            comparison=Comparison((prompt,), (first,), (second,), WORDS[criterion] if settings.worded else ""),
            preference=preference,
            cluster=prompt_cluster(task, text),
            groups=tuple(filter(None, (row.optional_text("subset"), row.optional_text("language_setting"), criterion))),
            provenance={
                "index": str(index) if isinstance(index, int) else "",
                "agreed": str(agreed).lower() if agreed is not None else "",
                "prompt_text": row.optional_text("prompt_text"),
                "target_text": text,
                "file": row.file,
                "row": str(row.number),
            }
            | said,
        )


_Judged = tuple[Preference, dict[str, str]] | None


def _natural(row: Row, settings: Settings) -> _Judged:
    label = row.text("naturalness_label")
    if label not in LABELS:
        raise row.bad("naturalness_label", f"is {reprlib.repr(label)}; known are {', '.join(LABELS)}.")
    if label == "Tie" and not settings.ties:
        return None
    annotations = row.fields.get("naturalness_annotation") or []
    if not isinstance(annotations, list):
        raise row.bad("naturalness_annotation", f"is {reprlib.repr(annotations)}, not a list.")
    votes = "; ".join(row.checked_text("naturalness_annotation", vote) for vote in annotations)
    return LABELS[label], {"naturalness_annotation": votes}


def _intelligible(row: Row, settings: Settings) -> _Judged:
    fields = ("audioA_text_accuracy", "audioB_text_accuracy")
    marks = [numbers(row, field, listed(row, field)) for field in fields]
    for field, given in zip(fields, marks, strict=True):
        if not set(given) <= {0.0, 1.0}:
            raise row.bad(field, f"is {reprlib.repr(row.fields[field])}; marks are 0 and 1.")
    if len(marks[0]) != len(marks[1]):
        raise row.bad(fields[1], f"has {len(marks[1])} marks, and the other has {len(marks[0])}.")
    shares = [sum(given) / len(given) for given in marks]
    for pair in scored_pairs(shares, settings.rule()):
        return pair.preference, pair.provenance() | {
            field: told(given) for field, given in zip(fields, marks, strict=True)
        }
    return None


def _sound(row: Row, field: str, media: MediaFiles) -> Media:
    if field not in row.fields:
        raise row.missing(field)
    return Media("audio", media.source(row, field, row.fields[field]))


def _recognises(folder: Path) -> bool:
    try:
        return bool(_row_files.tables(folder, COLUMNS.issubset))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    def row(number: int, label: str) -> dict[str, object]:
        return {
            "index": number,
            "subset": "regular",
            "language_setting": "en2en",
            "chosen": number != 1,
            "prompt": {"bytes": sound(0.5), "path": "prompt.wav"},
            "prompt_text": "This is my voice.",
            "target_text": f"Please hum, take {number}.",
            "audioA": {"bytes": sound(0.9), "path": "a.wav"},
            "audioB": {"bytes": sound(0.2), "path": "b.wav"},
            "rater": ["rater01", "rater05"],
            "audioA_text_accuracy": [1, 1],
            "audioB_text_accuracy": [1, 0],
            "naturalness_annotation": ["A+1", "A+2"] if label == "A" else ["Tie (both very good)"] * 2,
            "naturalness_label": label,
            "gemini-2.5-flash": "",
        }

    (folder / "data").mkdir()
    for split, labels in (("train", ("A", "A")), ("dev", ("A",)), ("test", ("A",)), ("other", ("Tie",))):
        table = pa.Table.from_pylist([row(number, label) for number, label in enumerate(labels, start=1)])
        pq.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")


DATASET = SampleSource(
    summary="SpeechJudge: votes on which of two voices reads a text more naturally, or without mistakes",
    read=_read,
    recognises=_recognises,
    home=HOME,
    looks_for=".parquet files with the columns target_text, audioA, audioB and naturalness_label",
    example=_example,
)
