"""The loop around a judge: what becomes of judges that fail, miscount, or give numbers that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from omnireward.errors import PromptError
from omnireward.journal import Journal
from omnireward.judging import Outcome, entries, judge_all
from omnireward.types import Comparison, Judgement, Sample, Task, Text, Turn

PROMPT = (Turn("user", (Text("?"),)),)


@dataclass(frozen=True)
class Double:
    """A judge made of a function."""

    judge: Callable[[Sequence[Comparison]], list[Judgement]]
    fingerprint: str = "double"

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        return self.judge(comparisons)


def _samples(*answers: str) -> list[tuple[int, Sample]]:
    return [
        (n, Sample(f"s{n}", Task.T2T, Comparison(PROMPT, (Text(answer),), (Text("b"),)), "a", "c"))
        for n, answer in enumerate(answers)
    ]


def _text(comparison: Comparison) -> str:
    (part,) = comparison.response_a
    assert isinstance(part, Text)
    return part.text


def _never(comparisons: Sequence[Comparison]) -> list[Judgement]:
    pytest.fail(f"judged {len(comparisons)} again")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "journal.jsonl") as journal:
        yield journal


def _run(journal: Journal, judge: Double, *answers: str, batch_size: int = 10) -> Outcome:
    return judge_all(entries(_samples(*answers), judge.fingerprint), judge, journal, batch_size, lambda _steps: None)


def test_a_batch_that_fails_as_a_whole_is_judged_one_by_one(journal: Journal) -> None:
    def judge(comparisons: Sequence[Comparison]) -> list[Judgement]:
        if any(_text(c) == "poison" for c in comparisons):
            raise PromptError("cannot say poison")
        return [Judgement(margin=1.0) for _ in comparisons]

    outcome = _run(journal, Double(judge), "x", "poison", "y")
    assert (outcome.samples, outcome.failed) == (3, 1)
    assert [record["margin"] for record in journal] == [1.0, None, 1.0]
    assert [record["error"] for record in journal] == ["", "PromptError: cannot say poison", ""]


def test_a_bug_in_a_judge_is_not_hidden(journal: Journal) -> None:
    def judge(comparisons: Sequence[Comparison]) -> list[Judgement]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        _run(journal, Double(judge), "x")


def test_a_judge_that_miscounts_is_a_bug(journal: Journal) -> None:
    with pytest.raises(RuntimeError, match="1 judgements for 2 comparisons"):
        _run(journal, Double(lambda _: [Judgement(margin=1.0)]), "x", "y")
    assert len(journal) == 0


@pytest.mark.parametrize(
    "judgement",
    [
        Judgement(margin=float("nan")),
        Judgement(margin=float("inf"), rewards=(float("inf"), 0.0)),
        Judgement(margin=0.0, probabilities=(float("nan"), 0.5, 0.5)),
        Judgement(margin=0.5, rewards=(1.0, 0.5), error="half done"),
    ],
)
def test_a_failure_never_has_a_number(journal: Journal, judgement: Judgement) -> None:
    outcome = _run(journal, Double(lambda _: [judgement]), "x")
    (record,) = journal
    assert outcome.failed == 1
    assert (record["margin"], record["rewards"], record["probabilities"]) == (None, None, None)
    assert record["error"]


def test_no_verdict_is_no_failure_and_is_not_asked_again(journal: Journal) -> None:
    silent = Double(lambda comparisons: [Judgement(margin=None, rationale="hm") for _ in comparisons])
    assert _run(journal, silent, "x").failed == 0
    assert _run(journal, Double(_never), "x") == Outcome(samples=1, reused=1, failed=0)


def test_all_that_a_judge_says_comes_back_from_the_journal(journal: Journal) -> None:
    said = Judgement(margin=0.1, rewards=(0.3, 0.2), probabilities=(0.5, 0.2, 0.3), rationale="because")
    _run(journal, Double(lambda _: [said]), "x")
    (first,) = journal
    _run(journal, Double(_never), "x")
    assert list(journal) == [first]
    assert (first["rewards"], first["probabilities"], first["rationale"]) == ([0.3, 0.2], [0.5, 0.2, 0.3], "because")


def test_each_batch_is_written_before_the_next_is_judged(journal: Journal) -> None:
    written: list[int] = []

    def judge(comparisons: Sequence[Comparison]) -> list[Judgement]:
        written.append(len(journal.path.read_text().splitlines()))
        return [Judgement(margin=1.0) for _ in comparisons]

    _run(journal, Double(judge), "u", "v", "w", "x", "y", batch_size=2)
    assert written == [0, 2, 4]


def test_keys_differ_by_judge_task_id_and_repetition() -> None:
    (_, sample), *_ = _samples("x")
    one, again = (e.key for e in entries([(0, sample), (1, sample)], "judge"))
    (other,) = (e.key for e in entries([(0, sample)], "other judge"))
    assert len({one, again, other}) == 3
    assert [e.key for e in entries([(0, sample), (1, sample)], "judge")] == [one, again]
