"""A judge and responses become numbers: the right order for few calls, and no number where nothing is known."""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from scipy.stats import kendalltau  # type: ignore[import-untyped]
from tests.ranking.judges import Reading, by_margin

from omnireward import plugins
from omnireward.errors import RecipeError, UnknownNameError
from omnireward.judges import Estimate, open_judge
from omnireward.ranking import Group, Ranking, RankingOptions, Strength, most_calls, rank_groups, rank_responses
from omnireward.ranking.shares import error_of, share_of
from omnireward.types import Comparison, Judgement, Media, Part, Text, Turn

NAMES = plugins.names("ranking.schedules")
WORDS = ["3", "1", "4", "1.5", "5", "9", "2", "6"]


def _ranked(judge: Reading, words: Sequence[str], schedule: str = "sort", **rest: object) -> Ranking:
    return rank_responses(judge, "x", words, options=RankingOptions(schedule=schedule, **rest))  # type: ignore[arg-type]


def _numbers(ranking: Ranking) -> list[float]:
    assert None not in ranking.rewards
    return [reward for reward in ranking.rewards if reward is not None]


def _group(words: Sequence[str], prompt: str = "x", criterion: str = "") -> Group:
    return Group((Turn("user", (Text(prompt),)),), tuple((Text(word),) for word in words), criterion)


def test_the_true_order_of_8_takes_at_most_17_calls() -> None:
    """150 drawn orders; tau is scipy's. The issue asks for 0.95 and 20."""
    rng = random.Random(0)
    for _ in range(150):
        truth = rng.sample(range(100), 8)
        judge = Reading()
        ranking = _ranked(judge, [str(each) for each in truth])
        assert kendalltau(truth, _numbers(ranking)).statistic == pytest.approx(1)
        assert ranking.calls == len(judge.asked) <= most_calls(8) == 17


def test_ties_of_a_right_judge_never_turn_an_order_round() -> None:
    rng = random.Random(1)
    for _ in range(200):
        truth = [rng.randint(0, 3) for _ in range(rng.randint(2, 12))]
        ranking = _ranked(Reading(), [f"{each} no {place}" for place, each in enumerate(truth)])
        found = list(zip(truth, _numbers(ranking), strict=True))
        assert all(x > y for (a, x), (b, y) in itertools.permutations(found, 2) if a > b)


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_says_its_calls_and_has_mean_0(name: str) -> None:
    judge = Reading()
    ranking = _ranked(judge, WORDS, name)
    numbers = _numbers(ranking)
    assert sum(numbers) == pytest.approx(0, abs=1e-9)
    assert max(numbers) == pytest.approx(numbers[5])
    assert ranking.calls == len(judge.asked) == len(ranking.compared) <= most_calls(8, RankingOptions(schedule=name))
    assert (ranking.failed, ranking.without_verdict, ranking.reference) == (0, 0, None)
    assert all(one is not None and one.interval[0] < one.value < one.interval[1] for one in ranking.strengths)
    shown = [(float(WORDS[one.first]), float(WORDS[one.second])) for one in ranking.compared]
    assert shown == judge.asked


@pytest.mark.parametrize("name", NAMES)
def test_results_depend_on_the_seed_and_the_responses_and_on_nothing_else(name: str) -> None:
    """Neither on the responses' order nor on the groups beside them nor on the size of batches."""
    options = RankingOptions(schedule=name, seed=3)
    alone = rank_responses(Reading(), "x", WORDS, options=options)
    turned = rank_responses(Reading(), "x", WORDS[::-1], options=options)
    beside = rank_groups(Reading(), [_group(["7", "8"]), _group(WORDS), _group([])], options, batch_size=1)
    assert alone == beside[1]
    assert alone.rewards == turned.rewards[::-1]
    assert name == "all" or alone.compared != rank_responses(Reading(), "x", WORDS).compared


def test_groups_never_meet_and_share_batches() -> None:
    groups = [_group([f"{n}{m}" for m in range(4)], f"prompt {n}", f"criterion {n}") for n in range(1, 5)]
    judge = Reading()
    rankings = rank_groups(judge, groups, batch_size=3)
    for one in itertools.chain(*judge.batches):
        prompts = {group.prompt for group in groups if {one.response_a, one.response_b} <= set(group.responses)}
        assert prompts == {one.prompt}
        assert one.criterion == one.prompt[0].content[0].text.replace("prompt", "criterion")  # type: ignore[union-attr]
    assert len(judge.asked) == sum(ranking.calls for ranking in rankings)
    assert max(map(len, judge.batches)) == 3
    assert [len(batch) for batch in judge.batches[:3]] == [3, 3, 2]  # two pairs of each group at once


def test_identical_responses_are_asked_once_and_share_the_number(tmp_path: Path) -> None:
    """By what they hold: bytes in memory and a file of the same bytes are one."""
    judge = Reading()
    ranking = _ranked(judge, ["1", "2", "1", "2", "2"])
    assert ranking.calls == 1
    one, two, *_ = numbers = _numbers(ranking)
    assert numbers == [one, two, one, two, two]
    assert sum(numbers) == pytest.approx(0)
    assert two > one

    file = tmp_path / "one.png"
    file.write_bytes(b"same")
    pictures = [[Media("image", b"same")], [Media("image", file)]]
    same = rank_responses(Reading(), "x", pictures)
    assert same.strengths == (Strength(0.0, 0.0), Strength(0.0, 0.0))
    assert same.calls == 0


def test_nothing_to_compare_is_no_number() -> None:
    assert rank_responses(Reading(), "x", []) == Ranking((), (), None, ())
    alone = rank_responses(Reading(), "x", ["1"])
    assert alone.rewards == (None,)
    assert "no other response" in alone.reasons[0]
    assert alone.calls == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_judge_without_verdicts_gives_none_and_is_counted(name: str) -> None:
    ranking = _ranked(Reading(lambda *_: Judgement(None, rationale="well")), ["1", "2", "3", "4"], name)
    assert ranking.rewards == (None,) * 4
    assert ranking.without_verdict == ranking.calls > 0
    assert ranking.failed == 0
    assert all("has a verdict: the judge gave no verdict" in reason for reason in ranking.reasons)


@pytest.mark.parametrize("name", NAMES)
def test_a_judge_that_only_fails_is_given_up(name: str) -> None:
    """After as many calls as there are responses; a round that is under way is finished."""
    judge = Reading(lambda *_: Judgement(None, error="CallFailedError: gone"))
    ranking = _ranked(judge, [str(each) for each in range(16)], name)
    assert ranking.failed == ranking.calls
    assert ranking.calls <= {"all": 120, "sample": 32, "anchor": 30}.get(name, 24)
    assert set(ranking.rewards) == {None}
    assert "CallFailedError: gone" in ranking.reasons[3]


@pytest.mark.parametrize("name", ["all", "sort", "sample", "swiss"])
def test_one_broken_response_has_no_number_and_the_others_have(name: str) -> None:
    def verdict(a: float, b: float) -> Judgement:
        return Judgement(None, error="MediaError: broken") if 5 in (a, b) else by_margin(a, b)

    ranking = _ranked(Reading(verdict), WORDS, name)
    assert [place for place, reward in enumerate(ranking.rewards) if reward is None] == [4]
    assert "MediaError: broken" in ranking.reasons[4]
    assert ranking.failed >= 1
    rest = [(float(word), reward) for word, reward in zip(WORDS, ranking.rewards, strict=True) if reward is not None]
    assert sum(reward for _, reward in rest) == pytest.approx(0, abs=1e-9)
    if name == "all":
        assert sorted(rest) == sorted(rest, key=lambda one: one[1])


def test_failures_here_and_there_leave_nobody_out_for_few_more_calls() -> None:
    """One call in ten has no verdict. Who was cut off is asked about again, unless a number of calls is kept to."""
    none = more = kept = 0
    for seed in range(100):
        rng = random.Random(seed)
        judge = Reading(lambda a, b, rng=rng: Judgement(None) if rng.random() < 0.1 else by_margin(a, b))  # type: ignore[misc]
        ranking = _ranked(judge, WORDS, seed=seed)
        none += ranking.rewards.count(None)
        more += ranking.calls > 17
        kept += _ranked(judge, WORDS, "sample", calls=8).calls == 8
        assert ranking.calls <= 17 + 2 * 7
    assert (none, kept) == (0, 100)
    assert more < 20


def test_an_anchor_that_cannot_be_judged_does_not_take_all_with_it() -> None:
    for broken in range(1, 5):

        def verdict(a: float, b: float, broken: int = broken) -> Judgement:
            return Judgement(None) if broken in (a, b) else by_margin(a, b)

        ranking = rank_responses(
            Reading(verdict), "x", ["1", "2", "3", "4"], options=RankingOptions(schedule="anchor", seed=broken)
        )
        assert [place for place, reward in enumerate(ranking.rewards) if reward is None] == [broken - 1]


def test_what_no_verdict_connects_is_not_compared() -> None:
    """Responses below and above 10 fail with each other. The larger part has numbers, of equal ones the first."""

    def verdict(a: float, b: float) -> Judgement:
        return by_margin(a, b) if (a < 10) == (b < 10) else Judgement(None)

    larger = _ranked(Reading(verdict), ["1", "11", "12", "13", "2"], "all")
    assert [reward is None for reward in larger.rewards] == [True, False, False, False, True]
    assert "no chain of verdicts" in larger.reasons[0]
    equal = _ranked(Reading(verdict), ["11", "1", "2", "12"], "all")
    assert [reward is None for reward in equal.rewards] == [False, True, True, False]


def test_media_that_cannot_be_read_cost_no_call(tmp_path: Path) -> None:
    missing: list[Part] = [Media("image", tmp_path / "none.png")]
    ranking = rank_responses(Reading(), "x", ["1", missing, "2"])
    assert [reward is None for reward in ranking.rewards] == [False, True, False]
    assert "none.png" in ranking.reasons[1]
    assert ranking.calls == 1
    broken = rank_responses(Reading(), [Turn("user", tuple(missing))], ["1", "2"])
    assert broken.rewards == (None, None)
    assert broken.calls == 0
    assert broken.reasons[0].startswith("the prompt: ")


def test_a_reference_takes_part_without_being_ranked() -> None:
    options = RankingOptions(schedule="anchor")
    judge = Reading()
    ranking = rank_responses(judge, "x", ["1", "2", "9"], options=options, reference="5")
    assert ranking.calls == 3
    assert all(5 in pair for pair in judge.asked)
    numbers = _numbers(ranking)
    assert sum(numbers) == pytest.approx(0, abs=1e-9)
    assert ranking.reference is not None
    assert numbers[0] == pytest.approx(numbers[1])
    assert numbers[1] < ranking.reference.value < numbers[2]
    same = rank_responses(Reading(), "x", ["5", "6"], options=options, reference="5")
    assert same.reference == same.strengths[0]
    assert same.calls == 1
    assert rank_responses(Reading(), "x", [], reference="5").reference is None


def test_what_the_judge_has_for_the_first_place_cancels() -> None:
    """A judge that always says the first: every response is first about as often as second, so none is far from 0."""
    judge = Reading(lambda *_: Judgement(1.0, verdict="a"))
    for name, seed in itertools.product(("all", "sample", "swiss"), range(5)):
        judge.batches.clear()
        ranking = _ranked(judge, [str(each) for each in range(9)], name, seed=seed)
        lead = Counter(a for a, _ in judge.asked)
        lead.subtract(Counter(b for _, b in judge.asked))
        assert max(map(abs, lead.values())) <= 2
        assert name == "swiss" or max(map(abs, _numbers(ranking))) < 1.5
    judge.batches.clear()
    both = _ranked(judge, WORDS, "sample", order="both", calls=33)
    assert both.calls == 32
    assert _numbers(both) == pytest.approx([0] * 8, abs=1e-9)
    assert Counter(judge.asked) == Counter((b, a) for a, b in judge.asked)


def test_both_orders_steer_a_sort_by_their_mean() -> None:
    """A judge that says the first unless the other is better by 2 or more is right about the rest in neither order."""
    judge = Reading(lambda a, b: Judgement(1.0 if a > b - 2 else -1.0))
    ranking = _ranked(judge, ["1", "2", "4", "8"], order="both")
    numbers = _numbers(ranking)
    assert ranking.calls % 2 == 0
    assert ranking.calls <= most_calls(4, RankingOptions(order="both")) == 10
    assert numbers[0] == pytest.approx(numbers[1], abs=0.8)  # a tie of both orders
    assert numbers[1] < numbers[2] < numbers[3]


def test_probabilities_are_soft_counts() -> None:
    """Of two responses whose P(a) + P(tie) / 2 is 0.75, the prior is one half of a drawn game each.

    By symmetry they are at d / 2 and -d / 2, where sigmoid(d) + sigmoid(d / 2) / 2 = 0.75 + 0.25.
    """
    judge = Reading(
        lambda a, b: Judgement(0.5, verdict="a", probabilities=(0.6, 0.3, 0.1) if a > b else (0.1, 0.3, 0.6))
    )
    ranking = _ranked(judge, ["2", "1"])
    ((high, low), share) = _numbers(ranking), ranking.compared[0].share
    assert share == pytest.approx(0.75 if ranking.compared[0].first == 0 else 0.25)
    d = high - low
    assert 1 / (1 + math.exp(-d)) + 0.5 / (1 + math.exp(-d / 2)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("judgement", "share"),
    [
        (Judgement(0.0, verdict="tie"), 0.5),
        (Judgement(-1.0, verdict="b"), 0.0),
        (Judgement(1e-9), 1.0),
        (Judgement(0.0), 0.5),
        (Judgement(-1.0, verdict="a"), 1.0),
        (Judgement(0.0, probabilities=(0.5, 0.0, 0.5)), 0.5),
        (Judgement(None, probabilities=(1.0, 0.0, 0.0)), None),
        (Judgement(1.0, error="broken"), None),
        (Judgement(math.nan), None),
        (Judgement(math.inf, verdict="a"), None),
        (Judgement(1.0, probabilities=(math.nan, 0.0, 0.0)), None),
        (Judgement(1.0, probabilities=(1.5, 0.0, -0.5)), None),
        (Judgement(1.0, probabilities=(0.0, 0.0, 0.0)), None),
    ],
)
def test_a_judgement_has_a_share_or_none(judgement: Judgement, share: float | None) -> None:
    assert share_of(judgement) == share
    assert bool(error_of(judgement)) == (share is None and judgement.margin is not None)


def test_a_judge_that_waits_gets_a_round_at_once() -> None:
    class Waiting(Reading):
        window = 4

        def submit(self, comparison: Comparison, repeat: int = 0) -> Future[Judgement]:
            raise AssertionError

        def estimate(self, comparison: Comparison, repeat: int = 0) -> Estimate:
            raise AssertionError

        def close(self) -> None:
            raise AssertionError

    judge = Waiting()
    rank_responses(judge, "x", WORDS, options=RankingOptions(schedule="all"), batch_size=2)
    assert [len(batch) for batch in judge.batches] == [28]


def test_judges_of_the_package_rank() -> None:
    """`longer` is right about length; `first` knows nothing."""
    ranking = rank_responses(open_judge("longer"), "x", ["aaa", "a", "aa", ""])
    assert sorted(_numbers(ranking), reverse=True) == [_numbers(ranking)[place] for place in (0, 2, 1, 3)]


def test_a_judge_that_gives_too_few_is_a_bug() -> None:
    class Short(Reading):
        def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
            return []

    with pytest.raises(RuntimeError, match="gave 0 judgements for 1 comparisons"):
        rank_responses(Short(), "x", ["1", "2"])


def test_what_cannot_be_done_is_refused_before_anything_is_asked() -> None:
    judge = Reading()
    many = [str(each) for each in range(129)]
    with pytest.raises(RecipeError, match=r"129 responses .* at most 128"):
        rank_groups(judge, [_group(["1", "2"]), _group(many)])
    with pytest.raises(RecipeError, match="at most 128"):
        rank_responses(judge, "x", many[:128], reference="1")
    with pytest.raises(RecipeError, match="cannot connect 8 different responses; they need at least 7"):
        rank_groups(judge, [_group(["1", "2"]), _group(WORDS)], RankingOptions(schedule="sample", calls=6))
    with pytest.raises(RecipeError, match="batch_size must be at least 1"):
        rank_groups(judge, [], batch_size=0)
    assert judge.asked == []
    assert len(_numbers(rank_responses(judge, "x", many[:128], options=RankingOptions(schedule="anchor")))) == 128


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown schedule 'bubble'"):
        RankingOptions(schedule="bubble")
    with pytest.raises(RecipeError, match="order is 'fixed'; known are 'balanced' and 'both'"):
        RankingOptions(order="fixed")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="'sort' reads no `calls`"):
        RankingOptions(calls=20)
    for calls in (0, "20"):
        with pytest.raises(RecipeError, match="whole number of at least 1"):
            RankingOptions(schedule="swiss", calls=calls)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="need at least 14"):
        most_calls(8, RankingOptions(schedule="swiss", calls=13, order="both"))
    assert [most_calls(count) for count in (0, 1, 2)] == [0, 0, 1]


def test_ranking_loads_no_torch() -> None:
    code = (
        "import sys; from omnireward.judges import open_judge; from omnireward.ranking import rank_responses; "
        "rank_responses(open_judge('longer'), 'x', ['a', 'bb']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
