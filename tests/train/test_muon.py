"""Muon by a second implementation, beside torch's AdamW: stepped together, under one schedule, and taken up again."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from omnireward.train.muon import OVER_ADAMW, Muon, MuonBesideAdamW

RATE, DECAY = 1e-2, 0.1


class _Net(nn.Module):
    """Matrices of layers, an embedding, a norm and a bias; one matrix does not learn."""

    def __init__(self, only_layers: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(6, 4, bias=not only_layers), nn.Linear(4, 4, bias=False)])
        if not only_layers:
            self.embed = nn.Embedding(5, 6)
            self.norm = nn.LayerNorm(4)
            self.frozen = nn.Linear(4, 4)
            self.frozen.requires_grad_(False)

    def loss(self, step: int) -> Tensor:
        draw = torch.Generator().manual_seed(step)
        here = torch.randn(3, 6, generator=draw)
        if hasattr(self, "embed"):
            here = here + self.embed(torch.tensor([0, 2, step % 5]))
        for layer in self.layers:
            here = torch.tanh(layer(here))
        return (self.norm(here) if hasattr(self, "norm") else here).pow(3).sum()


def _step(net: _Net, optimizer: Any, step: int) -> None:
    net.zero_grad()
    torch.autograd.backward(net.loss(step))
    optimizer.step()


class _Outer(nn.Module):
    """So that names have `.layers.` in them, as those of a backbone have."""

    def __init__(self, net: _Net) -> None:
        super().__init__()
        self.decoder = net


class _ByHand:
    """Muon after its description: the iteration moves singular values only, so it is done on them, in float64."""

    def __init__(self, matrices: list[Tensor]) -> None:
        self.matrices, self.kept = matrices, [torch.zeros_like(matrix, dtype=torch.float64) for matrix in matrices]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        for matrix, kept in zip(self.matrices, self.kept, strict=True):
            assert matrix.grad is not None
            gradient = matrix.grad.double()
            kept.mul_(0.95).add_(gradient, alpha=0.05)
            left, values, right = torch.linalg.svd(0.05 * gradient + 0.95 * kept, full_matrices=False)
            values = values / values.norm()
            for _ in range(5):
                values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
            rows, columns = matrix.shape
            update = (left * values) @ right * math.sqrt(max(1.0, rows / columns))
            matrix.sub_((rate * update).float())


def test_steps_are_those_of_muon_by_hand_and_of_torchs_adamw() -> None:
    """Over five steps, with a schedule over both."""
    one, two = _Net(), _Net()
    both = MuonBesideAdamW(_Outer(one), RATE, DECAY)
    by_hand = _ByHand([two.layers[0].weight, two.layers[1].weight])  # type: ignore[list-item]
    plain = [two.layers[0].bias, two.norm.weight, two.norm.bias]
    adamw = torch.optim.AdamW(
        [
            {"params": [two.embed.weight], "weight_decay": DECAY},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=RATE,
    )
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, lambda n: 1 / (1 + n)) for each in (both, adamw)]
    for step in range(5):
        _step(one, both, step)
        two.zero_grad()
        torch.autograd.backward(two.loss(step))
        by_hand.step(10 * RATE / (1 + step))
        adamw.step()
        for schedule in schedules:
            schedule.step()
    wanted, start = dict(two.named_parameters()), dict(_Net().named_parameters())
    for name, value in one.named_parameters():
        torch.testing.assert_close(value, wanted[name], rtol=0, atol=2e-6, msg=name)
        assert torch.equal(value, start[name]) == name.startswith("frozen"), name
    assert both.param_groups[0]["lr"] == pytest.approx(OVER_ADAMW * RATE / 6)
    assert [group["lr"] for group in both.param_groups[1:]] == pytest.approx([RATE / 6] * 2)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)], ids=str)
def test_a_step_is_that_of_torchs_muon_which_rounds_to_bfloat16(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.zeros(shape)) for _ in range(2))
    one, two = Muon([ours], 0.1), torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0)
    for _ in range(3):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        one.step()
        two.step()  # type: ignore[no-untyped-call]
    assert float(ours.detach().abs().mean()) > 0.05
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02)


def test_a_gradient_of_zeros_moves_nothing() -> None:
    weight = nn.Parameter(torch.ones(3, 4))
    weight.grad = torch.zeros(3, 4)
    Muon([weight], 0.1).step()
    assert torch.equal(weight, torch.ones(3, 4))


def test_taken_up_again_it_goes_on_to_the_same_numbers() -> None:
    straight, stopped = _Net(), _Net()
    optimizer = MuonBesideAdamW(_Outer(straight), RATE, DECAY)
    for step in range(4):
        _step(straight, optimizer, step)
    first = MuonBesideAdamW(_Outer(stopped), RATE, DECAY)
    for step in range(2):
        _step(stopped, first, step)
    kept = first.state_dict()
    fresh = _Net()
    fresh.load_state_dict(stopped.state_dict())
    again = MuonBesideAdamW(_Outer(fresh), RATE, DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(again, lambda _: 1.0)
    again.load_state_dict(kept)
    for step in range(2, 4):
        _step(fresh, again, step)
        schedule.step()
    wanted = dict(straight.named_parameters())
    assert all(torch.equal(value, wanted[name]) for name, value in fresh.named_parameters())
    assert len(again.param_groups) == 3


def test_a_state_of_another_optimizer_is_refused() -> None:
    net = _Net()
    optimizer = MuonBesideAdamW(_Outer(net), RATE, DECAY)
    with pytest.raises((KeyError, ValueError)):
        optimizer.load_state_dict(torch.optim.AdamW(net.parameters()).state_dict())


def test_matrices_alone_are_enough_as_adapters_are() -> None:
    net = _Net(only_layers=True)
    before = [weight.clone() for weight in net.parameters()]
    _step(net, MuonBesideAdamW(_Outer(net), RATE, DECAY), 0)
    assert not any(torch.equal(one, two) for one, two in zip(before, net.parameters(), strict=True))
