"""VLFeedback: four answers about a picture, rated by GPT-4V under three aspects. Samples of text and image to text.

``vlfeedback_80k.jsonl`` with ``merged_images.zip`` (or the folder that it makes) of MMInstruction/VLFeedback, or the
Parquet of a later revision, which holds the pictures::

    {"id": "…", "prompt": "…", "models": [4 names], "completions": [{"model": "…", "response": "…", "annotations":
     {"Helpfulness": {"Rating": "4", …}, "Ethical Considerations": {…}, "Visual Faithfulness": {…}}}, …],
     "img_path": "…"}                                                       in Parquet: "image": {"bytes", "path"}

Settings, as in ``vlfeedback:FOLDER?score=faithfulness&margin=1&pairs=best``:

* ``score``: ``mean`` of the three ratings (the default, and what the authors train on), or one of them:
  ``helpfulness``, ``ethics``, ``faithfulness``. All of them are in the provenance.
* ``margin``, ``ties``, ``pairs``: see `omnireward.scores`; the unit is a rating, from 1 to 5.

Unusual:

* The repository comes with a loading script, VLFeedback.py. It is never run; the files are read as they are.
* Ratings are text. An answer with a rating that is no number, or with one missing, has no score and is in no pair: that
  is what the authors' own code does. It leaves out ties as well; here they are kept unless ``ties=no``.
* `completions` is a list of structs in the raw file and a struct of lists in Parquet.
* The picture of a raw row is ``merged_images/<id>.jpg``: the script goes by the id and not by `img_path`, which is
  tried where there is no such file.
* Ids repeat. A sample is named by file, row, and the positions of the two answers.
* Where a folder has both forms, Parquet is read; the rows are the same.
* Two answers that say the same are no pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omnireward.datasets import _completions
from omnireward.datasets._archived_media import ArchivedMedia, Packed
from omnireward.datasets._completions import Rated, completions, mean, rating, written
from omnireward.datasets._row_files import identity, lines, read, root_of, tables
from omnireward.datasets._tiny_media import write_picture
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.scores import PairRule
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

HOME = "hub:MMInstruction/VLFeedback"
PUBLISHED = ("vlfeedback_80k",)
COLUMNS = frozenset({"id", "prompt", "completions"})
ASPECTS = {
    "helpfulness": "Helpfulness",
    "ethics": "Ethical Considerations",
    "faithfulness": "Visual Faithfulness",
}
SCORES = ("mean", *ASPECTS)
IMAGES, ARCHIVE = "merged_images", "merged_images.zip"


@dataclass(frozen=True, slots=True)
class Settings(PairRule):
    """Which score, and how scores become pairs."""

    score: str = "mean"

    def __post_init__(self) -> None:
        PairRule.__post_init__(self)  # super() does not know a class with slots
        if self.score not in SCORES:
            raise RecipeError(f"score is one of {', '.join(SCORES)}; got {self.score!r}.")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    where, settings = with_settings(location, Settings())
    place = local_root(where, HOME)
    files = tables(place, COLUMNS.issubset) or lines(place, COLUMNS.issubset, PUBLISHED)
    if not files:
        raise SourceError(
            f"{place} holds no VLFeedback: no .parquet or .jsonl file whose rows have {', '.join(sorted(COLUMNS))}. "
            "Give a folder with a copy of the repository."
        )
    root = root_of(place)
    media = _media_files(root)
    yield from read(files, root, bad_rows, partial(_samples, root=root, media=media, settings=settings))


def _samples(row: Row, root: Path, media: ArchivedMedia, settings: Settings) -> Iterator[Sample]:
    prompt, name = row.text("prompt"), row.text("id")
    rated = [_rated(row, completion, settings.score) for completion in completions(row)]
    image = _image(row, name, media)
    cluster = prompt_cluster(Task.TI2T, prompt, identity(image, root))
    for pair, told in _completions.pairs(rated, settings):
        yield Sample(
            id=f"{row.file}:{row.number}/{pair.a}-{pair.b}",
            task=Task.TI2T,
            comparison=Comparison(
                (Turn("user", (image, Text(prompt))),),
                (Text(rated[pair.a].response),),
                (Text(rated[pair.b].response),),
            ),
            preference=pair.preference,
            cluster=cluster,
            provenance={"id": name, "score": settings.score, **told, "file": row.file, "row": str(row.number)},
        )


def _rated(row: Row, completion: Mapping[str, object], score: str) -> Rated:
    stated = _completions.aspects(row, completion)
    ratings = {name: rating(row, stated.get(aspect)) for name, aspect in ASPECTS.items()}
    wanted = [ratings[name] for name in (ASPECTS if score == "mean" else (score,))]
    known = [value for value in wanted if isinstance(value, float)]
    return Rated(
        model="" if completion.get("model") is None else _completions.text(row, completion, "model"),
        response=_completions.text(row, completion, "response"),
        score=mean(known) if len(known) == len(wanted) else None,
        told={f"rating_{name}": written(value) for name, value in ratings.items()},
    )


def _image(row: Row, name: str, media: ArchivedMedia) -> Media:
    if "image" in row.fields:
        return media.media(row, "image", "image", row.fields["image"])
    try:
        return media.media(row, "id", "image", f"{name}.jpg")
    except BadRowError:
        if not row.fields.get("img_path"):
            raise
    return media.media(row, "img_path", "image", row.fields["img_path"])


def _media_files(root: Path) -> ArchivedMedia:
    folder = root / IMAGES
    packed = [Packed((root / ARCHIVE,), folder)] if (root / ARCHIVE).is_file() else []
    return ArchivedMedia(MediaFiles((folder, folder / IMAGES, root)), packed)


def _recognises(folder: Path) -> bool:
    try:
        return bool(tables(folder, COLUMNS.issubset) or lines(folder, COLUMNS.issubset))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    answers = (("llava-v1.5-7b", "A cat.", "1"), ("qwen-vl-chat", "A square.", "5"), ("fuyu-8b", "No.", "N/A"))
    row = {
        "id": "llava-1",
        "prompt": "What is shown?",
        "models": [model for model, _, _ in answers],
        "completions": [
            {
                "annotations": {name: {"Rating": mark, "Rationale": "…"} for name in ASPECTS.values()},
                "model": model,
                "response": response,
            }
            for model, response, mark in answers
        ],
        "img_path": "llava-1.jpg",
    }
    (folder / "vlfeedback_80k.jsonl").write_text(json.dumps(row) + "\n")
    write_picture(folder / IMAGES / "llava-1.jpg", 200)


DATASET = SampleSource(
    summary="VLFeedback: four answers about a picture, rated by GPT-4V under three aspects",
    read=_read,
    recognises=_recognises,
    home=HOME,
    looks_for=".parquet or .jsonl files whose rows have id, prompt and completions",
    example=_example,
)
