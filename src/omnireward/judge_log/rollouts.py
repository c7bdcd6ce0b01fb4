"""rollouts.jsonl: what a judge in training answered, and what each answer earned; one group of one question a line.

Answers are a model's and may hold anything. They are kept as they are, but for the middle of long ones. JSON has no
numbers that are not finite, so such a reward is null in the file and not a number when it is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from omnireward.judge_log.lines import append, keep_while, step_of
from omnireward.judge_log.samples import ShownSamples
from omnireward.judge_log.texts import cut
from omnireward.rows import Row
from omnireward.types import Preference, Sample

FILE = "rollouts.jsonl"
SHOWN = "shown"
TEXT = 16_000
"""Characters of an answer that are kept, three quarters of them from its beginning; also of a criterion and an id."""
Fault = Literal["", "empty", "cut off", "media token"]
_OTHER: Mapping[Preference, Preference] = {"a": "b", "b": "a", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class RolloutAnswer:
    """One answer to the question of its group.

    Attributes:
        swapped: whether response b of the sample was shown first; a and b of `preference` and `verdict` are as shown.
        tokens: of the answer.
        parts: what the reward is made of, by name.
        advantage: over the other answers of the group.
    """

    swapped: bool
    preference: Preference
    text: str
    tokens: int
    cut_off: bool
    fault: Fault
    verdict: Preference | None
    reward: float
    parts: Mapping[str, float]
    advantage: float

    @property
    def right(self) -> bool | None:
        """Whether the verdict is what people prefer; None without a verdict."""
        return None if self.verdict is None else self.verdict == self.preference

    @property
    def meant(self) -> Preference | None:
        """The verdict about the sample's own a and b."""
        return self.verdict if self.verdict is None or not self.swapped else _OTHER[self.verdict]

    @property
    def preferred(self) -> Preference:
        """What people prefer of the sample's own a and b."""
        return _OTHER[self.preference] if self.swapped else self.preference


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The answers to one question, in one step."""

    step: int
    id: str
    task: str
    criterion: str
    answers: tuple[RolloutAnswer, ...]

    @property
    def flat(self) -> bool:
        """Whether all rewards are equal, from which nothing is learned."""
        return len({answer.reward for answer in self.answers}) == 1


class RolloutLog:
    """Appends groups to rollouts.jsonl, and keeps their samples in ``shown/``, a folder of samples.

    Only one process of a run may have one.

    Args:
        out: the run's folder, made if it is not there.
        groups: how many of each step are kept, at most; the first to come.
    """

    def __init__(self, out: Path, groups: int) -> None:
        self.path = out / FILE
        self._groups = groups
        self._step, self._kept = -1, 0
        out.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        keep_while(self.path, lambda line: step_of(line) < math.inf)
        self._samples = ShownSamples(out / SHOWN)

    def resume(self, step: int) -> None:
        """Drop what an earlier run wrote of steps that come now, after its checkpoint at `step`.

        From step 0 a run begins anew, perhaps on other data, and nothing is taken over from ``shown/`` either.
        """
        keep_while(self.path, lambda line: step_of(line) <= step)
        self._step, self._kept = -1, 0
        if step == 0:
            self._samples.forget()

    def add(self, group: RolloutGroup, sample: Sample) -> bool:
        """Keep a group and the sample that it is about, if there is room left for the step; whether there was.

        A medium that cannot be kept is noted beside the sample. Raises OSError where the log itself cannot be written.
        """
        if group.step != self._step:
            self._step, self._kept = group.step, 0
        if self._kept >= self._groups:
            return False
        self._kept += 1
        self._samples.add(sample)  # first: a line about a sample that is not there would show nothing of it
        append(self.path, to_line(group))
        return True


def recognises(folder: Path) -> bool:
    """Whether a folder is that of a run that keeps rollouts."""
    return (folder / FILE).is_file()


def shown_id(sample_id: str) -> str:
    """How a sample is called in the log."""
    return cut(sample_id, TEXT)


def to_line(group: RolloutGroup) -> str:
    """A group as a line of JSON, ASCII only: half a surrogate pair and NUL are spelled out."""
    answers = [
        {
            "swapped": answer.swapped,
            "preference": answer.preference,
            "text": cut(answer.text, TEXT),
            "tokens": answer.tokens,
            "cut_off": answer.cut_off,
            "fault": answer.fault,
            "verdict": answer.verdict,
            "reward": _finite(answer.reward),
            "parts": {name: _finite(value) for name, value in answer.parts.items()},
            "advantage": _finite(answer.advantage),
        }
        for answer in group.answers
    ]
    fields = {
        "step": group.step,
        "id": shown_id(group.id),
        "task": group.task,
        "criterion": cut(group.criterion, TEXT),
        "answers": answers,
    }
    return json.dumps(fields, allow_nan=False, separators=(",", ":")) + "\n"


def from_line(line: bytes, number: int) -> RolloutGroup:
    """A group back from a line.

    Raises:
        BadRowError: it is not JSON, or a field is missing or something else.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Row(FILE, number, {}).bad("(row)", f"is not JSON: {error}.") from error
    row = Row(FILE, number, fields if isinstance(fields, dict) else {})
    answers = row.fields.get("answers")
    if not isinstance(answers, list):
        raise row.bad("answers", f"is {type(answers).__name__}, not a list.")
    return RolloutGroup(
        step=_whole(row, "step"),
        id=_text(row, "id"),
        task=_text(row, "task"),
        criterion=_text(row, "criterion"),
        answers=tuple(
            _answer(Row(FILE, number, answer if isinstance(answer, dict) else {"answer": answer})) for answer in answers
        ),
    )


def _answer(row: Row) -> RolloutAnswer:
    parts = row.fields.get("parts")
    if not isinstance(parts, Mapping):
        raise row.bad("parts", f"is {type(parts).__name__}, not an object.")
    preference = _one_of(row, "preference", get_args(Preference))
    return RolloutAnswer(
        swapped=_flag(row, "swapped"),
        preference=cast(Preference, preference),
        text=_text(row, "text"),
        tokens=_whole(row, "tokens"),
        cut_off=_flag(row, "cut_off"),
        fault=cast(Fault, _one_of(row, "fault", get_args(Fault))),
        verdict=cast("Preference | None", _one_of(row, "verdict", (None, *get_args(Preference)))),
        reward=_number(row, "reward", row.fields.get("reward")),
        parts={str(name): _number(row, "parts", value) for name, value in parts.items()},
        advantage=_number(row, "advantage", row.fields.get("advantage")),
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _number(row: Row, field: str, value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise row.bad(field, f"is {type(value).__name__}, not a number.")
    return float(value)


def _text(row: Row, field: str) -> str:
    """Text as it was written: half surrogate pairs are an answer's own."""
    value = row.fields.get(field)
    if not isinstance(value, str):
        raise row.bad(field, f"is {type(value).__name__}, not text.")
    return value


def _whole(row: Row, field: str) -> int:
    value = row.fields.get(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise row.bad(field, f"is {type(value).__name__}, not a whole number.")
    return value


def _flag(row: Row, field: str) -> bool:
    value = row.fields.get(field)
    if not isinstance(value, bool):
        raise row.bad(field, f"is {type(value).__name__}, not true or false.")
    return value


def _one_of(row: Row, field: str, known: tuple[str | None, ...]) -> str | None:
    value = row.fields.get(field, "(nothing)")
    if value not in known or not isinstance(value, str | None):
        raise row.bad(field, f"is {str(value)[:80]!r}. Known: {', '.join(map(repr, known))}.")
    return value
