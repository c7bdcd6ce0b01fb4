"""A judge that compares gives each framework strengths, and never compares responses to different prompts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.ranking.judges import Reading
from tests.serve.running import KEY, serving

from omnireward.adapters import easyr1, flow_grpo, ms_swift, trl, verl
from omnireward.adapters.pairwise import Pairwise, PairwiseRewards
from omnireward.adapters.source import NoRewardError, rewarder
from omnireward.client import CallLimits
from omnireward.errors import CallError, RecipeError, UnknownNameError
from omnireward.generation.tiny import write_tiny_chat_model
from omnireward.judges import JudgeOptions, open_judge
from omnireward.ranking import RankingOptions, rank_responses
from omnireward.serve.asking import Ask
from omnireward.types import Judgement, Text, Turn

TWO = Pairwise(group=2)
PROMPTS = ["one", "two", "one", "two"]
SAID = ["1", "40", "3", "20"]


def test_trl_gets_strengths_of_each_prompts_own_completions() -> None:
    """Rollouts of two prompts stand mixed. Of two, one wins: the same strengths in each group, whatever the numbers."""
    judge = Reading()
    found = trl.reward_func(judge, pairwise=TWO)(PROMPTS, SAID)
    assert {frozenset(pair) for pair in judge.asked} == {frozenset((1.0, 3.0)), frozenset((40.0, 20.0))}
    for batch in judge.batches:
        for one in batch:
            answers = {one.response_a, one.response_b}
            wanted = {"one": {"1", "3"}, "two": {"40", "20"}}[one.prompt[0].content[0].text]  # type: ignore[union-attr]
            assert answers == {(Text(words),) for words in wanted}
    low, high, again_high, again_low = found[0], found[1], found[2], found[3]
    assert (low, high) == pytest.approx((again_low, again_high))
    assert low is not None
    assert high is not None
    assert low < 0 < high
    assert low + high == pytest.approx(0)


def test_prompts_that_differ_in_a_picture_or_the_criterion_do_not_meet() -> None:
    red, blue = (np.full((1, 8, 8, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    judge = Reading()
    function = trl.reward_func(judge, pairwise=TWO)
    function(["what?"] * 4, ["1", "2", "3", "4"], images=[red, blue, red, blue])
    assert {frozenset(pair) for pair in judge.asked} == {frozenset((1.0, 3.0)), frozenset((2.0, 4.0))}
    judge.batches.clear()
    function(["what?"] * 4, ["1", "2", "3", "4"], criterion=["short", "long", "long", "short"])
    assert {frozenset(pair) for pair in judge.asked} == {frozenset((1.0, 4.0)), frozenset((2.0, 3.0))}
    assert [one.criterion for batch in judge.batches for one in batch] == ["short", "long"]


def test_parts_of_groups_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    """A trainer that spreads a prompt over processes. Completions that cannot be read explain what is missing."""
    judge = Reading()
    function = trl.reward_func(judge, pairwise=Pairwise(group=4), on_problem="none")
    with pytest.raises(RecipeError, match=r"with 2, 4 responses to each, but pairwise\.group is 4"):
        function(["one", "two"] * 2 + ["two"] * 2, ["1", "2", "3", "4", "5", "6"])
    assert judge.asked == []
    unread: list[Any] = [[{"role": "narrator", "content": "4"}]]
    found = function(["one"] * 4, ["1", "2", "3", *unread])
    assert [reward is None for reward in found] == [False, False, False, True]
    assert "has the role 'narrator'" in caplog.text
    with pytest.raises(RecipeError, match="with 1 responses to each"):  # one unread does not explain nine
        function(["one"] * 4, ["1", "2", "3", *unread], criterion=["a", "b", "c", "d"])


def test_what_is_not_known_is_no_number_and_calls_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    judge = Reading(lambda a, b: Judgement(None) if 7 in (a, b) else Judgement(a - b))
    with caplog.at_level(logging.INFO):
        found = trl.reward_func(judge, pairwise=Pairwise(group=3), on_problem="none")(["one"] * 3, ["7", "1", "2"])
    assert found[0] is None
    assert found[1:] != [None, None]
    assert "ranked 1 prompts: 3 comparisons, 2 of them without a verdict and 0 failed" in caplog.text
    with pytest.raises(NoRewardError, match="none of its 2 comparisons has a verdict"):
        trl.reward_func(judge, pairwise=Pairwise(group=3))(["one"] * 3, ["7", "1", "2"])


def test_every_framework_gets_the_same_strengths() -> None:
    """By `longer`: which words are longer."""
    words = ["aaaa", "a", "aaa", "aa"]
    expected = list(rank_responses(open_judge("longer"), "ask", words).rewards)
    four = Pairwise(group=4)
    chat = [{"role": "user", "content": "ask"}]
    swift = ms_swift.orm("longer", pairwise=four)()
    assert swift(words, messages=[chat] * 4) == expected
    rows = [{"response": said, "ground_truth": {"prompt": "ask"}} for said in words]
    easy = easyr1.compute_score(rows, where="longer", pairwise={"group": 4})
    assert [one["overall"] for one in easy] == expected
    infos = [{"question": "ask"}] * 4
    assert verl.compute_scores(["data"] * 4, words, [""] * 4, infos, where="longer", pairwise={"group": 4}) == expected
    assert trl.reward_func("longer", pairwise=four)(["ask"] * 4, words) == expected


def test_flow_grpo_ranks_pictures_of_a_prompt() -> None:
    """By `random`, which compares anything; pictures of another prompt are another group."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    scores, info = flow_grpo.scorer("random", pairwise=TWO)(pixels, ["x", "y", "y", "x"], {})
    assert scores[0] == pytest.approx(-scores[3])
    assert scores[1] == pytest.approx(-scores[2])
    assert info["errors"] == [None] * 4
    with pytest.raises(RecipeError, match="responses to each"):
        flow_grpo.scorer("random", pairwise=TWO)(pixels, ["x", "y", "y", "y"], {})


def test_verls_batch_without_pairwise_is_that_of_its_single_responses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verl, "rewarder", lambda *_: lambda asks: [[0.5] * len(ask.responses) for ask in asks])
    assert verl.compute_scores(["d"] * 2, ["a", "b"], ["", ""], [{"question": "x"}] * 2, where="http://x") == [0.5, 0.5]
    with pytest.raises(RecipeError, match="has no 'question'"):
        verl.compute_scores(["d"], ["a"], [""], [None], where="http://x")


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    write_tiny_chat_model(folder)
    return folder


def test_a_generative_judge_by_name_gives_rewards_as_it_would_alone(chat_model: Path) -> None:
    """With the options of `judge`. What it says of the pairs is its own affair; the numbers are those of ranking."""
    options = JudgeOptions(max_tokens=64, critique=False)
    where, words = f"generative:{chat_model}", ["red", "a long green answer", "blue", "red"]
    found = trl.reward_func(where, pairwise=Pairwise(group=4, judge=options), on_problem="none")(["name it"] * 4, words)
    alone = rank_responses(open_judge(where, options), "name it", words)
    assert found == list(alone.rewards)
    assert alone.calls in (2, 3)
    assert found[0] == found[3]
    assert found[0] is not None


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, serving(open_judge("longer"), (KEY,), "longer") as running:
        patch.setenv("OMNIREWARD_API_KEY", KEY)
        yield f"http://127.0.0.1:{running.port}"


def test_a_servers_judge_ranks_as_it_does_here(url: str) -> None:
    words = ["aaaa", "a", "aaa", "aa"]
    here = trl.reward_func("longer", pairwise=Pairwise(group=4))(["ask"] * 4, words)
    assert trl.reward_func(url, pairwise=Pairwise(group=4))(["ask"] * 4, words) == here
    with pytest.raises(CallError):
        trl.reward_func(url)(["ask"], ["a"])  # it gives no rewards by itself


def test_a_server_that_is_gone_raises_and_makes_no_number() -> None:
    function = trl.reward_func("http://127.0.0.1:9", pairwise=TWO, limits=CallLimits(tries=1), on_problem="none")
    with pytest.raises(CallError):
        function(["ask"] * 2, ["a", "b"])


def test_threads_share_a_judge_and_do_not_ask_it_at_once() -> None:
    under_way: list[int] = []

    class Watched(Reading):
        def __call__(self, comparisons: Any) -> list[Judgement]:
            under_way.append(1)
            assert len(under_way) == 1
            found = super().__call__(comparisons)
            under_way.pop()
            return found

    source = rewarder(Watched(), None, TWO)
    ask = Ask((Turn("user", (Text("x"),)),), ((Text("1"),), (Text("2"),)))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: source([ask]), range(50)))
    assert found == [found[0]] * 50


def test_the_same_arguments_are_the_same_judge() -> None:
    first, again = rewarder("longer", None, TWO), rewarder("longer", None, Pairwise(group=2))
    assert first is again
    assert isinstance(first, PairwiseRewards)
    assert rewarder("longer", None, Pairwise(group=3)) is not first


def test_a_mapping_is_read_and_what_it_should_not_hold_is_refused() -> None:
    """As trainers' configurations hold it."""
    nested = {"group": 8, "ranking": {"schedule": "swiss", "calls": 20}, "judge": {"max_tokens": 9, "calls": "a.jsonl"}}
    assert Pairwise.of(nested) == Pairwise(
        group=8,
        ranking=RankingOptions(schedule="swiss", calls=20),
        judge=JudgeOptions(max_tokens=9, calls=Path("a.jsonl")),
    )
    assert Pairwise.of(None) is None
    assert Pairwise.of(TWO) is TWO
    for given, message in (
        ({}, "needs `group`"),
        ({"group": 8, "schedul": "all"}, "pairwise has no 'schedul'"),
        ({"group": 8, "ranking": {"schedul": "all"}}, "Did you mean schedule"),
        ({"group": 8, "judge": {"max_token": 1}}, "Did you mean max_tokens"),
        ({"group": "8"}, "group of pairwise must be a whole number of at least 2, not '8'"),
        ({"group": 1}, "at least 2"),
        ({"group": 8, "batch_size": 0}, "at least 1"),
        (8, "a mapping such as"),
    ):
        with pytest.raises(RecipeError, match=message):
            Pairwise.of(given)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown schedule"):
        Pairwise.of({"group": 8, "ranking": {"schedule": "bubble"}})


def test_a_judge_that_compares_needs_pairwise_and_a_name_needs_a_judge() -> None:
    with pytest.raises(RecipeError, match="needs `pairwise`"):
        rewarder("generative:x")
    with pytest.raises(RecipeError, match=r"Pairwise\(group=8\)"):
        rewarder(Reading())
    with pytest.raises(UnknownNameError, match="unknown judge 'longe'"):
        rewarder("longe", None, TWO)
