"""Servers for all tests that leave them as they are: of a tiny reward model, and of a judge that compares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.serve.running import Running, serving

from omnireward.ahead import Ahead
from omnireward.backbones.minicpm_o import tiny
from omnireward.judges import open_judge
from omnireward.judges.reward import RewardJudge
from omnireward.reward_model import RewardModel


@pytest.fixture(scope="session")
def judge() -> RewardJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RewardModel(tiny(["Which drink? Tea is a drink."] * 9, 0), "minicpm_o", "natural")
    model.requires_grad_(False)
    model.eval()
    return RewardJudge(model, "made-up-revision", Ahead(model))


@pytest.fixture(scope="session")
def running(judge: RewardJudge) -> Iterator[Running]:
    with serving(judge) as one:
        yield one


@pytest.fixture(scope="session")
def longer() -> Iterator[Running]:
    """A server of a judge that compares: the longer response is preferred."""
    with serving(open_judge("longer"), name="longer", max_comparisons=40, max_responses=12, max_chars=5_000) as one:
        yield one
