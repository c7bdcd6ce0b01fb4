"""UltraFeedback: four answers to each prompt, rated by GPT-4 under four aspects. Samples of text to text.

JSON Lines of openbmb/UltraFeedback, one file for each set that prompts were taken from::

    {"source": "evol_instruct", "instruction": "…", "models": [4 names], "completions": [{"model": "…",
     "principle": "…", "custom_system_prompt": "…", "response": "…", "annotations": {"helpfulness": {"Rating": "4", …},
     …}, "overall_score": 7.5, "fine-grained_score": 4.25, "critique": "…"}, …]}

Settings, as in ``ultrafeedback:FOLDER?score=overall&margin=1&pairs=best``:

* ``score``: ``fine`` (the default), the mean of an answer's ratings; ``overall``, its `overall_score`, from 1 to 10; or
  one aspect: ``helpfulness``, ``honesty``, ``truthfulness``, ``instruction_following``. All of them are in the
  provenance.
* ``margin``, ``ties``, ``pairs``: see `omnireward.scores`; the margin is in the unit of the score.

Unusual:

* Ratings are text and may be ``"N/A"``. That counts for nothing: the mean is over the others, as the authors have it,
  and an answer whose chosen score is missing is in no pair. Any other word is refused.
* Until 2023-12-29 some 2,600 of the worst answers, scored 1, had an `overall_score` of 10. The authors' correction also
  added `fine-grained_score`, so an answer without it is from before. There, a 10 beside a mean of up to 4 is not
  believed; since then, beside a mean of up to 2. With ``score=overall`` such an answer is reported as bad and the
  row's others are used. This is why ``fine`` is the default.
* Each answer was written under a system prompt of its own (`principle`), which is not part of the comparison. Its name
  is in the provenance.
* Rows may have fewer than four answers, or none. Two answers that say the same are no pair.
* Rows have no ids. A sample is named by file, row, and the positions of the two answers.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omnireward.datasets import _completions
from omnireward.datasets._completions import Rated, completions, mean, number_of, written
from omnireward.datasets._row_files import lines, read, root_of
from omnireward.errors import RecipeError, SourceError
from omnireward.rows import Row
from omnireward.scores import PairRule
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Sample, Task, Text, Turn

HOME = "hub:openbmb/UltraFeedback"
PUBLISHED = ("evol_instruct", "false_qa", "flan", "sharegpt", "truthful_qa", "ultrachat")
COLUMNS = frozenset({"source", "instruction", "models", "completions"})
ASPECTS = ("helpfulness", "honesty", "instruction_following", "truthfulness")
SCORES = ("fine", "overall", *ASPECTS)
_FINE = "fine-grained_score"


@dataclass(frozen=True, slots=True)
class Settings(PairRule):
    """Which score, and how scores become pairs."""

    score: str = "fine"

    def __post_init__(self) -> None:
        PairRule.__post_init__(self)  # super() does not know a class with slots
        if self.score not in SCORES:
            raise RecipeError(f"score is one of {', '.join(SCORES)}; got {self.score!r}.")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    where, settings = with_settings(location, Settings())
    place = local_root(where, HOME)
    files = lines(place, COLUMNS.issubset, PUBLISHED)
    if not files:
        raise SourceError(
            f"{place} holds no UltraFeedback: no .jsonl file whose rows have {', '.join(sorted(COLUMNS))}. Give a "
            "folder with a copy of the repository."
        )
    yield from read(files, root_of(place), bad_rows, partial(_samples, settings=settings, bad_rows=bad_rows))


def _samples(row: Row, settings: Settings, bad_rows: BadRows) -> Iterator[Sample]:
    instruction, source = row.text("instruction"), row.optional_text("source")
    rated = [_rated(row, completion, settings, bad_rows) for completion in completions(row)]
    for pair, told in _completions.pairs(rated, settings):
        yield Sample(
            id=f"{row.file}:{row.number}/{pair.a}-{pair.b}",
            task=Task.T2T,
            comparison=Comparison(
                (Turn("user", (Text(instruction),)),),
                (Text(rated[pair.a].response),),
                (Text(rated[pair.b].response),),
            ),
            preference=pair.preference,
            cluster=prompt_cluster(Task.T2T, instruction),
            groups=(source,) if source else (),
            provenance={"source": source, "score": settings.score, **told, "file": row.file, "row": str(row.number)},
        )


def _rated(row: Row, completion: Mapping[str, object], settings: Settings, bad_rows: BadRows) -> Rated:
    stated = {name: _completions.rating(row, aspect) for name, aspect in _completions.aspects(row, completion).items()}
    known: dict[str, float] = {}
    for name, rating in stated.items():
        if isinstance(rating, float):
            known[row.checked_text(_completions.FIELD, name)] = rating
        elif rating not in (None, "N/A"):
            raise row.bad(_completions.FIELD, f"has the {name[:50]!r} rating {rating[:50]!r}; a number or N/A belongs.")
    fine, overall = mean(list(known.values())), _overall(row, completion)
    told = {f"rating_{name}": written(stated.get(name)) for name in ASPECTS}
    told |= {"principle": _optional(row, completion, "principle"), "fine": "" if fine is None else repr(fine)}
    if overall == 10 and _mistaken(completion, fine):
        if settings.score == "overall":
            problem = (
                f"has an overall_score of 10 beside a mean rating of {fine}: there, many a 1 became 10 by mistake."
            )
            advice = "Take the revision of 2023-12-29 or a later one, or another score than overall."
            bad_rows.add(row.bad(_completions.FIELD, f"{problem} {advice}"))
        overall = None
    scores = {"fine": fine, "overall": overall, **{name: known.get(name) for name in ASPECTS}}
    return Rated(
        model=_optional(row, completion, "model"),
        response=_completions.text(row, completion, "response"),
        score=scores[settings.score],
        told=told | {"overall": written(overall)},
    )


def _mistaken(completion: Mapping[str, object], fine: float | None) -> bool:
    """Whether a 10 is one of those that the authors' correction would have turned over, or looked at again."""
    return fine is None or fine <= (2 if _FINE in completion else 4)


def _overall(row: Row, completion: Mapping[str, object]) -> float | None:
    value = completion.get("overall_score")
    if isinstance(value, float) and math.isnan(value):  # how tables that were JSON Lines once say that it is missing
        return None
    number = number_of(value)
    if number is None and value not in (None, "N/A"):
        raise row.bad(_completions.FIELD, f"has the overall_score {reprlib.repr(value)}, which is no number.")
    return number


def _optional(row: Row, completion: Mapping[str, object], key: str) -> str:
    return "" if completion.get(key) is None else _completions.text(row, completion, key)


def _recognises(folder: Path) -> bool:
    try:
        return bool(lines(folder, COLUMNS.issubset))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    answers = (
        ("alpaca-7b", "A table.", "1"),
        ("bard", "Green.", "5"),
        ("gpt-4", "Red.", "5"),
        ("starchat", "No.", "2"),
    )
    row = {
        "source": "evol_instruct",
        "instruction": "Name a colour.",
        "models": [model for model, _, _ in answers],
        "correct_answers": ["None"],
        "incorrect_answers": ["None"],
        "completions": [_example_completion(*answer) for answer in answers],
    }
    (folder / "evol_instruct.jsonl").write_text(json.dumps(row) + "\n")


def _example_completion(model: str, response: str, rating: str) -> dict[str, object]:
    return {
        "model": model,
        "principle": "helpfulness",
        "custom_system_prompt": "Be of help.",
        "response": response,
        "annotations": {
            "instruction_following": {"Rating": rating, "Rationale": "…"},
            "honesty": {"Rating": "N/A", "Rationale": "…"},
            "truthfulness": {"Type": ["None"], "Rationale": "…", "Rating": rating, "Rationale For Rating": "…"},
            "helpfulness": {"Type": ["1"], "Rationale": "…", "Rating": rating, "Rationale For Rating": "…"},
        },
        "overall_score": 2.0 * float(rating) - 1,
        _FINE: float(rating),
        "critique": "…",
    }


DATASET = SampleSource(
    summary="UltraFeedback: four answers to each prompt, rated by GPT-4 under four aspects",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="mit",
    looks_for=".jsonl files whose rows have source, instruction, models and completions",
    example=_example,
)
