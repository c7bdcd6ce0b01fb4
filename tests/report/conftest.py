"""A small fixed run: 24 samples in two tasks, with ties, a failure, a missing verdict and a margin of exactly 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from omnireward.report import BadRow, Record, Run, Shown, ShownPart, ShownTurn
from omnireward.types import Preference, Task

MakeRecord = Callable[..., Record]


def _record(
    index: int,
    margin: float | None,
    preference: Preference,
    *,
    task: Task = Task.T2T,
    cluster: str = "",
    groups: tuple[str, ...] = (),
    error: str = "",
    probabilities: tuple[float, float, float] | None = None,
    verdict: Preference | None = None,
    swapped: bool = False,
    repeat: int = 0,
) -> Record:
    return Record(
        key=f"{index:04x}{repeat}{'ba' if swapped else 'ab'}",
        index=index,
        id=f"sample-{index}",
        task=task,
        cluster=cluster or f"prompt-{index}",
        groups=groups,
        preference=preference,
        margin=margin,
        rewards=None if margin is None else (margin / 2, -margin / 2),
        probabilities=probabilities,
        error=error,
        verdict=verdict,
        swapped=swapped,
        repeat=repeat,
    )


@pytest.fixture
def make_record() -> MakeRecord:
    """`make_record(index, margin, preference, ...)`; each record is a prompt of its own unless `cluster` is given."""
    return _record


@pytest.fixture
def run() -> Run:
    return Run(
        judge="reward:runs/x",
        benchmark="miniature",
        command="omnireward evaluate --judge reward:runs/x --benchmark miniature --out out",
        seed=3,
        samples=24,
        bad_rows=(BadRow("text_to_text.json", 4, "criteria_preference", "is 'response3'."),),
        version="0.1.0",
    )


@pytest.fixture
def records() -> list[Record]:
    """Margins written out, so that the golden report does not hang on a random generator."""
    preferences: list[Preference] = ["a", "b", "tie", "b", "a", "a"]
    margins = [1.5, -0.75, 0.25, -2.0, 0.5, -0.25, 3.0, -1.0, -0.125, 0.5, 1.0, 2.0]
    made = []
    for index in range(24):
        made.append(
            _record(
                index,
                margins[index % 12] * (1 if index < 12 else 0.5),
                preferences[index % 6],
                task=Task.T2T if index < 12 else Task.TI2I,
                cluster=f"prompt-{index // 2}",
                groups=("wording: seen",) if index % 3 else ("wording: unseen", "shifted"),
            )
        )
    made[5] = _record(5, None, "a", cluster="prompt-2", error="UnreadableMediaError: the picture is cut off.")
    made[16] = _record(16, None, "a", task=Task.TI2I, cluster="prompt-8")
    made[21] = _record(21, 0.0, "b", task=Task.TI2I, cluster="prompt-10")
    return made


@pytest.fixture
def claiming(make_record: MakeRecord) -> list[Record]:
    """Forty samples in two tasks by a model with a tie head, in each group of ten the same four claims.

    (.7 .2 .1) four times: a three times, a tie once. (.1 .2 .7) four times: b three times, a once. (.2 .6 .2) twice:
    a tie, a. So of a's claims .7, three of four come true, and of the ties claimed .6, one of two.
    """
    rows: list[tuple[float, Preference, tuple[float, float, float]]] = [
        *[(1.5, people, (0.7, 0.2, 0.1)) for people in ("a", "a", "a", "tie")],
        *[(-1.5, people, (0.1, 0.2, 0.7)) for people in ("b", "b", "b", "a")],
        *[(0.25, people, (0.2, 0.6, 0.2)) for people in ("tie", "a")],
    ]
    tasks = (Task.T2T, Task.TI2I)
    return [
        make_record(10 * k + i, margin, people, task=tasks[k % 2], probabilities=three, groups=("all",))
        for k in range(4)
        for i, (margin, people, three) in enumerate(rows)
    ]


@pytest.fixture
def votes(make_record: MakeRecord) -> list[Record]:
    """Twelve samples judged in both orders by a judge that states verdicts; each of a prompt of its own.

    People prefer a, except b in 8 and 9 and a tie in 10 and 11. With a first the judge says a, with b first:
    a in 0 to 3 (consistent), b in 4 to 6 (the first place twice), nothing in 7, b in 8 (where it says b both times),
    b in 9, tie in 10 (where it says tie both times), failed in 11.
    """
    straight: list[Preference | None] = ["a", "a", "a", "a", "a", "a", "a", "a", "b", "a", "tie", "a"]
    turned: list[Preference | None] = ["a", "a", "a", "a", "b", "b", "b", None, "b", "b", "tie", None]
    made = []
    for index, verdicts in enumerate(zip(straight, turned, strict=True)):
        for swapped, verdict in zip((False, True), verdicts, strict=True):
            margin = None if verdict is None else {"a": 1.0, "b": -1.0, "tie": 0.0}[verdict]
            preference: Preference = "a" if index < 8 else "b" if index < 10 else "tie"
            error = "EndpointError: gone." if index == 11 and swapped else ""
            made.append(make_record(index, margin, preference, verdict=verdict, swapped=swapped, error=error))
    return [replace(record, rewards=None, rationale=f"says {record.verdict}") for record in made]


@pytest.fixture
def both(run: Run) -> Run:
    """The run of `votes`."""
    return replace(run, samples=12, settings={"order": "both", "repeats": 1, "ties": True}, skipped={"T2A": 4})


@pytest.fixture
def shown() -> Shown:
    """Sample 12, with every kind of part."""
    return Shown(
        index=12,
        criterion="Prefer the redder one.",
        prompt=(
            ShownTurn("user", (ShownPart("text", text="Make it red."), _part("image", "data:image/png;base64,QQ=="))),
        ),
        response_a=(
            _part("video", "data:image/jpeg;base64,Qg==", media="data:video/mp4;base64,Qw=="),
            _part("audio", media="data:audio/wav;base64,RA=="),
        ),
        response_b=(_part("mesh", "data:image/png;base64,RQ==", "data:image/png;base64,Rg=="),),
    )


def _part(kind: str, *pictures: str, media: str = "") -> ShownPart:
    match kind:
        case "image" | "video" | "audio" | "mesh":
            return ShownPart(kind, pictures=pictures, media=media)
        case _:
            raise AssertionError(kind)
