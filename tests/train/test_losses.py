"""Equation 1 by hand: values, gradient, and rewards far apart."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omnireward.train.losses import bradley_terry


@pytest.mark.parametrize("reward", [0.0, -3.5, 1000.0])
def test_equal_rewards_cost_log_2(reward: float) -> None:
    assert bradley_terry(torch.tensor([reward]), torch.tensor([reward])).item() == pytest.approx(math.log(2))


def test_by_hand() -> None:
    """-log(1 / (1 + e^-1)) = 0.313262 and -log(1 / (1 + e^2)) = 2.126928; their mean is 1.220095."""
    loss = bradley_terry(torch.tensor([1.5, -1.0]), torch.tensor([0.5, 1.0]))
    assert loss.item() == pytest.approx(1.220095, abs=1e-6)


def test_gradient_by_hand() -> None:
    """By chosen, -sigmoid(rejected - chosen) / pairs: for margins 0 and log 3 of two pairs, -1/2 / 2 and -1/4 / 2."""
    chosen = torch.tensor([2.0, math.log(3.0)], requires_grad=True)
    rejected = torch.tensor([2.0, 0.0], requires_grad=True)
    by_chosen, by_rejected = torch.autograd.grad(bradley_terry(chosen, rejected), [chosen, rejected])
    assert by_chosen.tolist() == pytest.approx([-0.25, -0.125])
    assert by_rejected.tolist() == pytest.approx([0.25, 0.125])


@pytest.mark.parametrize(("margin", "loss"), [(500.0, 0.0), (-500.0, 500.0)])
def test_rewards_far_apart_stay_finite(margin: float, loss: float) -> None:
    """log(sigmoid(-500)) computed in two steps would be log 0."""
    chosen = torch.tensor([margin], requires_grad=True)
    found = bradley_terry(chosen, torch.zeros(1))
    assert found.item() == pytest.approx(loss)
    assert torch.autograd.grad(found, chosen)[0].isfinite().all()


def test_it_is_computed_in_fp32() -> None:
    """Both rewards are exact in bfloat16, the loss is not: log(1 + e^-0.25) = 0.575939."""
    loss = bradley_terry(torch.tensor([0.5], dtype=torch.bfloat16), torch.tensor([0.25], dtype=torch.bfloat16))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.575939, abs=1e-6)


_rewards = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=1, max_size=5)


@given(_rewards, st.floats(-5, 5))
def test_only_margins_count_and_swapping_costs_the_margin(pairs: list[tuple[float, float]], shift: float) -> None:
    """As log sigmoid(x) - log sigmoid(-x) = x, loss(rejected, chosen) - loss(chosen, rejected) is the mean margin."""
    chosen, rejected = torch.tensor(pairs).unbind(1)
    loss = bradley_terry(chosen, rejected).item()
    assert bradley_terry(chosen + shift, rejected + shift).item() == pytest.approx(loss, abs=1e-4)
    margin = (chosen - rejected).mean().item()
    assert bradley_terry(rejected, chosen).item() - loss == pytest.approx(margin, abs=1e-4)
