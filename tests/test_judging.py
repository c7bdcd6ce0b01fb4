"""The loop around a judge: what becomes of judges that fail, miscount, or give numbers that are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from time import sleep

import pytest

from omnireward.errors import PromptError
from omnireward.journal import Journal
from omnireward.judges import Estimate, ForesightedJudge
from omnireward.judging import Outcome, judge_all
from omnireward.types import Comparison, Judgement, Sample, Task, Text, Turn
from omnireward.voting import Facts, Order, Plan, entries

AB = Plan(order="fixed")
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
    return judge_all(
        entries(_samples(*answers), judge.fingerprint, AB), judge, journal, batch_size, lambda _steps: None
    )


def test_a_batch_that_fails_as_a_whole_is_judged_one_by_one(journal: Journal) -> None:
    def judge(comparisons: Sequence[Comparison]) -> list[Judgement]:
        if any(_text(c) == "poison" for c in comparisons):
            raise PromptError("cannot say poison")
        return [Judgement(margin=1.0) for _ in comparisons]

    outcome = _run(journal, Double(judge), "x", "poison", "y")
    assert (outcome.votes, outcome.failed) == (3, 1)
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
        Judgement(margin=0.0, probabilities=(0.5, 0.5, 0.5)),
        Judgement(margin=0.0, probabilities=(1.5, -0.5, 0.0)),
        Judgement(margin=0.0, deviation=-0.1, familiarity=1.0),
        Judgement(margin=0.0, deviation=0.0, familiarity=1.1),
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
    assert _run(journal, Double(_never), "x") == Outcome(votes=1, reused=1, failed=0)


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


@dataclass(frozen=True)
class Foresighted(Double):
    """Notes what it is told, asked, and when it is closed."""

    log: list[tuple[str, list[str]]] = field(default_factory=list)

    def expect(self, comparisons: Sequence[Comparison]) -> None:
        self.log.append(("expect", [_text(c) for c in comparisons]))

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        self.log.append(("judge", [_text(c) for c in comparisons]))
        return self.judge(comparisons)

    def close(self) -> None:
        self.log.append(("close", []))


def _agree(comparisons: Sequence[Comparison]) -> list[Judgement]:
    return [Judgement(margin=float(len(_text(c)))) for c in comparisons]


def test_a_judge_that_can_prepare_is_told_of_each_batch_one_batch_before(journal: Journal) -> None:
    judge = Foresighted(_agree)
    assert isinstance(judge, ForesightedJudge)
    assert _run(journal, judge, "u", "v", "w", "x", "y", batch_size=2) == Outcome(5, 0, 0)
    assert judge.log == [
        ("expect", ["u", "v"]),
        ("expect", ["w", "x"]),
        ("judge", ["u", "v"]),
        ("expect", ["y"]),
        ("judge", ["w", "x"]),
        ("judge", ["y"]),
        ("close", []),
    ]


def test_what_is_in_the_journal_is_not_expected(journal: Journal) -> None:
    """The first run knows u, v and x; in the second w and y alone are left, and its first batch holds neither."""
    for position, answer in enumerate("uvwxy"):
        if answer in "uvx":
            numbered = [_samples(*"uvwxy")[position]]
            judge_all(entries(numbered, "double", AB), Double(_agree), journal, 1, lambda _: None)
    judge = Foresighted(_agree)
    assert _run(journal, judge, "u", "v", "w", "x", "y", batch_size=2) == Outcome(5, 3, 0)
    assert judge.log == [("expect", ["w"]), ("expect", ["y"]), ("judge", ["w"]), ("judge", ["y"]), ("close", [])]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_judge_that_prepares_is_closed_whatever_happens(journal: Journal, error: type[BaseException]) -> None:
    def judge(comparisons: Sequence[Comparison]) -> list[Judgement]:
        raise error

    foresighted = Foresighted(judge)
    with pytest.raises(error):
        _run(journal, foresighted, "u", "v", "w", batch_size=1)
    assert foresighted.log[-2:] == [("judge", ["u"]), ("close", [])]


def test_judging_ahead_writes_the_same_journal(tmp_path: Path) -> None:
    lines = []
    for name, judge in (("plain", Double(_agree)), ("ahead", Foresighted(_agree))):
        with Journal(tmp_path / name) as journal:
            _run(journal, judge, "u", "vv", "w", "x" * 9, "y", batch_size=2)
        lines.append((tmp_path / name).read_bytes())
    assert lines[0] == lines[1] != b""


class Slow:
    """A judge that waits: answers come later, from other threads, in an order of their own."""

    fingerprint = "slow"
    window = 3

    def __init__(self, judge: Callable[[Comparison], Judgement]) -> None:
        self.judge = judge
        self.most = self.under_way = 0
        self._pool = ThreadPoolExecutor(8)
        self._lock = Lock()

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        raise AssertionError("a judge that waits is not asked for batches")

    def submit(self, comparison: Comparison, repeat: int = 0) -> Future[Judgement]:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        return self._pool.submit(self._judge, comparison)

    def _judge(self, comparison: Comparison) -> Judgement:
        sleep(0.002 * (len(_text(comparison)) % 3))
        with self._lock:
            self.under_way -= 1
        return self.judge(comparison)

    def estimate(self, comparison: Comparison, repeat: int = 0) -> Estimate:
        return Estimate(calls=1, prompt_tokens=len(_text(comparison)))

    def close(self) -> None:
        self._pool.shutdown()


def test_a_judge_that_waits_has_a_window_of_votes_and_each_is_written_once(journal: Journal) -> None:
    judge = Slow(lambda c: Judgement(margin=float(len(_text(c)))))
    answers = ["x" * n for n in range(1, 31)]
    steps: list[int] = []
    try:
        outcome = judge_all(entries(_samples(*answers), "slow", AB), judge, journal, 10, steps.append)
    finally:
        judge.close()
    assert (outcome.votes, outcome.reused, outcome.failed, sum(steps)) == (30, 0, 0, 30)
    assert {record["id"]: record["margin"] for record in journal} == {f"s{n - 1}": float(n) for n in range(1, 31)}
    assert len(journal.path.read_text().splitlines()) == 30
    assert judge.most <= judge.window


def test_a_judge_that_waits_is_not_asked_again_for_what_is_known(journal: Journal) -> None:
    judge = Slow(lambda c: Judgement(margin=None, error="cut off") if _text(c) == "bad" else Judgement(margin=1.0))
    try:
        first = judge_all(entries(_samples("x", "bad", "y"), "slow", AB), judge, journal, 10, lambda _: None)
        asked: list[str] = []
        judge.judge = lambda c: asked.append(_text(c)) or Judgement(margin=-1.0)  # type: ignore[func-returns-value]
        again = judge_all(entries(_samples("x", "bad", "y"), "slow", AB), judge, journal, 10, lambda _: None)
    finally:
        judge.close()
    assert (first.failed, first.first_error) == (1, "cut off")
    assert (again.reused, again.failed, asked) == (2, 0, ["bad"])
    assert {record["id"]: record["margin"] for record in journal} == {"s0": 1.0, "s1": -1.0, "s2": 1.0}


def test_a_bug_behind_a_future_is_not_hidden(journal: Journal) -> None:
    def judge(comparison: Comparison) -> Judgement:
        raise ZeroDivisionError

    slow = Slow(judge)
    try:
        with pytest.raises(ZeroDivisionError):
            judge_all(entries(_samples("x"), "slow", AB), slow, journal, 10, lambda _: None)
    finally:
        slow.close()


def test_a_swapped_vote_is_shown_swapped_and_written_down_of_a_and_b(journal: Journal) -> None:
    """The judge likes what it is shown first; sample s0 is shown b first in the second vote: so it says b, then."""
    first = Double(lambda cs: [Judgement(1.0, rewards=(2.0, 1.0), verdict="a", rationale=_text(c)) for c in cs])
    numbered = _samples("x")
    for _ in range(2):  # the second time from the journal
        outcome = judge_all(entries(numbered, "double", Plan("both")), first, journal, 10, lambda _: None)
    assert outcome == Outcome(votes=2, reused=2, failed=0)
    assert [(r["swapped"], r["margin"], r["rewards"], r["verdict"], r["rationale"]) for r in journal] == [
        (False, 1.0, [2.0, 1.0], "a", "x"),
        (True, -1.0, [1.0, 2.0], "b", "b"),
    ]


@pytest.mark.parametrize(
    ("order", "repeats", "swaps"),
    [("fixed", 1, [False]), ("fixed", 2, [False, False]), ("both", 1, [False, True]), ("both", 2, [False, True] * 2)],
)
def test_votes_of_a_plan(order: Order, repeats: int, swaps: list[bool]) -> None:
    votes = list(entries(_samples("x"), "judge", Plan(order, repeats)))
    assert [vote.swapped for vote in votes] == swaps
    assert len({vote.key for vote in votes}) == len(votes)


def test_a_drawn_order_is_even_seeded_and_drawn_for_each_repeat() -> None:
    """2,000 fair draws: a share within 0.05 of one half is 4.5 standard errors of 0.011. The seed is fixed."""
    numbered = _samples(*(["x"] * 1000))
    swaps = [vote.swapped for vote in entries(numbered, "judge", Plan("random", repeats=2))]
    assert abs(sum(swaps) / 2000 - 0.5) < 0.05
    assert sum(one != two for one, two in zip(swaps[::2], swaps[1::2], strict=True)) > 400
    assert swaps == [vote.swapped for vote in entries(numbered, "other judge", Plan("random", repeats=2))]
    assert swaps != [vote.swapped for vote in entries(numbered, "judge", Plan("random", repeats=2, seed=1))]


def test_without_criterion_the_judge_sees_none() -> None:
    sample = replace(_samples("x")[0][1], comparison=Comparison(PROMPT, (Text("x"),), (Text("b"),), "be kind please"))
    (vote,) = entries([(0, sample)], "judge", Plan("fixed", criterion=False))
    assert vote.shown.criterion == ""
    assert vote.record(Judgement(1.0), "digest", Facts())["criterion_words"] == 3


def test_keys_differ_by_judge_task_id_and_repetition() -> None:
    (_, sample), *_ = _samples("x")
    one, again = (e.key for e in entries([(0, sample), (1, sample)], "judge", AB))
    (other,) = (e.key for e in entries([(0, sample)], "other judge", AB))
    assert len({one, again, other}) == 3
    assert [e.key for e in entries([(0, sample), (1, sample)], "judge", AB)] == [one, again]
