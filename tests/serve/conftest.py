"""One tiny reward model and one server of it, for all tests that leave both as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.serve.running import Running, serving

from omnireward.ahead import Ahead
from omnireward.backbones.minicpm_o import tiny
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
