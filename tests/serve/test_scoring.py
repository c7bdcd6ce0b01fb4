"""What a batch of rows of several requests becomes: like rows side by side, equal ones once, no number that is none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from omnireward.encoded import Encoded
from omnireward.judges.reward import RewardJudge
from omnireward.packing import in_common
from omnireward.serve.asking import Ask, Problem, Scored
from omnireward.serve.scoring import RewardWorker, rows_of
from omnireward.types import Text, Turn

PROMPTS = ("Which drink is hot and has leaves in it?", "What is the name of the tallest mountain?", "Say something.")


def _encoded(judge: RewardJudge) -> list[Encoded]:
    """Three prompts in turn, as if six requests with two responses each had come at once; the last repeat the first."""
    asks = [
        Ask((Turn("user", (Text(prompt),)),), ((Text(f"tea {i % 4}"),), (Text("coffee"),)))
        for i in range(2)
        for prompt in PROMPTS
    ]
    worker = RewardWorker(judge.model)
    return [worker.prepare(row) for row in rows_of(asks)]


def test_rows_of_one_prompt_come_together_equal_ones_once_and_rewards_go_back_to_their_places(
    judge: RewardJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 rows, of which the three "coffee" are there twice: 9 are scored, in 3 runs that begin alike."""
    rows, seen, score = _encoded(judge), list[Encoded](), judge.model.score_both
    alone = [score([row])[0].item() for row in rows]

    def scored(encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor | None]:
        seen.extend(encoded)
        return score(encoded)

    monkeypatch.setattr(judge.model, "score_both", scored)
    results = RewardWorker(judge.model).work(rows)
    assert [one.reward for one in results if isinstance(one, Scored)] == pytest.approx(alone, abs=1e-5)
    assert all(isinstance(one, Scored) and one.leeway is None for one in results)
    assert len(seen) == 9
    ids = [one.row.ids.numpy() for one in seen]
    shared = [in_common(a, b) for a, b in pairwise(ids)]
    whole = in_common(rows[0].row.ids.numpy(), rows[1].row.ids.numpy())  # of two rows of the first prompt
    other = in_common(rows[0].row.ids.numpy(), rows[2].row.ids.numpy())  # of two prompts: the chat's own beginning
    assert other < whole
    assert sum(one <= other for one in shared) == len(PROMPTS) - 1


def test_a_reward_that_is_not_finite_is_a_problem(judge: RewardJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _encoded(judge)[:3]
    made = torch.tensor([1.0, float("nan"), float("-inf")])
    monkeypatch.setattr(judge.model, "score_both", lambda _encoded: (made, None))
    results = RewardWorker(judge.model).work(rows)
    assert sum(isinstance(one, Problem) and "reward is not finite" in one.message for one in results) == 2
    assert Scored(1.0) in results


def test_a_leeway_that_is_not_finite_is_a_problem(judge: RewardJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _encoded(judge)[:3]
    made = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, float("inf"), float("nan")])
    monkeypatch.setattr(judge.model, "score_both", lambda _encoded: made)
    results = RewardWorker(judge.model).work(rows)
    assert sum(isinstance(one, Problem) and "tie head says is not finite" in one.message for one in results) == 2
    assert Scored(1.0, 0.5) in results


def test_a_distance_that_is_not_finite_is_a_problem(judge: RewardJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _encoded(judge)[:3]
    made = torch.tensor([1.0, 2.0, 3.0]), None, torch.tensor([0.5, float("inf"), float("nan")])
    monkeypatch.setattr(judge.model, "score_all", lambda _encoded: made)
    results = RewardWorker(judge.model).work(rows)
    assert sum(isinstance(one, Problem) and "trained on is not finite" in one.message for one in results) == 2
    assert Scored(1.0, None, 0.5) in results
