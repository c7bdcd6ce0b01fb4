"""The tie head: its probabilities against the plain ones, its gradients, its file, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireward.backbones.text import BACKBONE
from omnireward.errors import CheckpointError
from omnireward.judges.reward import RewardJudge
from omnireward.metrics.probabilities import davidson_probabilities, pair_probabilities
from omnireward.reward_model import RewardModel
from omnireward.tie_head import FILE, TieHead, TieKind, log_probabilities, read_tie_head
from omnireward.types import Comparison, Text, Turn

KINDS: tuple[TieKind, ...] = ("rao_kupper", "davidson")
MARGINS = (-40.0, -3.0, -0.5, 0.0, 0.5, 3.0, 40.0)


def _asked(a: str, b: str) -> Comparison:
    return Comparison((Turn("user", (Text("Tell me about tea."),)),), (Text(a),), (Text(b),), "It should be hot.")


def _model(kind: TieKind) -> RewardModel:
    torch.manual_seed(0)
    model = RewardModel(BACKBONE.tiny(["Tell me about tea.", "It is hot and cold."], 0), "text", "natural")
    model.ties = TieHead(model.backbone.hidden_size, kind)
    torch.nn.init.normal_(model.ties.weight, std=0.02)
    return model.eval()


@pytest.fixture(params=KINDS)
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[RewardModel, Path]:
    model = _model(request.param)
    model.save(tmp_path / "saved")
    return model, tmp_path / "saved"


def _judge(model: RewardModel) -> RewardJudge:
    from omnireward.ahead import Ahead

    return RewardJudge(model, "made up", Ahead(model))


@pytest.mark.parametrize("parameter", [0.01, 0.7, 5.0])
@pytest.mark.parametrize("kind", KINDS)
def test_what_training_computes_is_what_reports_compute(kind: TieKind, parameter: float) -> None:
    """Two implementations: tensors with gradients here, floats in `metrics.probabilities`."""
    plain = pair_probabilities if kind == "rao_kupper" else davidson_probabilities
    found = log_probabilities(
        kind, torch.tensor(MARGINS, dtype=torch.float64), torch.tensor(parameter, dtype=torch.float64)
    )
    for row, margin in zip(found.exp(), MARGINS, strict=True):
        assert row.tolist() == pytest.approx(list(plain(margin, parameter)), rel=1e-9, abs=1e-30)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_finite_differences(kind: TieKind) -> None:
    margins = torch.tensor([-2.0, 0.1, 3.0], dtype=torch.float64, requires_grad=True)
    parameter = torch.tensor([0.3, 0.9, 2.0], dtype=torch.float64, requires_grad=True)

    def computed(margins: Tensor, parameter: Tensor) -> Tensor:
        return log_probabilities(kind, margins, parameter)

    assert torch.autograd.gradcheck(computed, (margins, parameter))


@pytest.mark.parametrize("kind", KINDS)
def test_far_margins_and_thresholds_have_finite_gradients(kind: TieKind) -> None:
    margins = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    leeways = torch.tensor([-200.0, 200.0, -200.0], requires_grad=True)
    torch.autograd.backward(TieHead(4, kind).log_probabilities(margins, leeways).clamp(min=-1e6).sum())
    assert margins.grad is not None
    assert leeways.grad is not None
    assert margins.grad.isfinite().all()
    assert leeways.grad.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_swap_swaps_the_probabilities(kind: TieKind) -> None:
    head = TieHead(4, kind)
    a, tie, b = head.probabilities(0.7, 0.2, -1.1)
    assert tuple(head.probabilities(-0.7, -1.1, 0.2)) == pytest.approx((b, tie, a))
    assert a + tie + b == pytest.approx(1)


def test_a_tie_is_one_in_four_before_anything_is_learned() -> None:
    """Rao and Kupper with d = 0.5 at a margin of 0: 1 - 2 sigmoid(-0.5) = 0.2449."""
    head = TieHead(4, "rao_kupper")
    leeway = head(torch.randn(1, 4)).item()
    assert head.probabilities(0.0, leeway, leeway).tie == pytest.approx(1 - 2 / (1 + math.exp(0.5)), rel=1e-5)


def test_saved_and_loaded_it_says_the_same(saved: tuple[RewardModel, Path]) -> None:
    model, folder = saved
    asked = [_asked("It is hot.", "It is cold."), _asked("It is cold.", "It is cold.")]
    before, after = (_judge(each)(asked) for each in (model, RewardModel.load(folder)))
    assert before == after
    first, second = (judgement.probabilities for judgement in before)
    assert first is not None
    assert second is not None
    assert sum(first) == pytest.approx(1)
    assert second[0] == second[2]  # equal responses
    assert before[0].verdict is None


def test_rewards_are_those_without_it(saved: tuple[RewardModel, Path]) -> None:
    model, _ = saved
    encoded = [model.encode(_asked("It is hot.", "It is cold."), side) for side in ("a", "b")]
    rewards, leeways = model.score_both(encoded)
    assert leeways is not None
    torch.testing.assert_close(rewards, model(encoded))
    torch.testing.assert_close(rewards, model.score(encoded), rtol=0, atol=0)
    model.ties = None
    again, none = model.score_both(encoded)
    assert none is None
    torch.testing.assert_close(again, rewards, rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_saved_is_read_to_the_last_bit(tmp_path: Path, seed: int) -> None:
    """A resumed run goes on from the same numbers: a hundred biases of any size."""
    for bias in torch.randn(100, generator=torch.Generator().manual_seed(seed)).mul(3).tolist():
        head = TieHead(4, "rao_kupper")
        torch.nn.init.constant_(head.pace, bias / 100)
        head.write(tmp_path)
        found = read_tie_head(tmp_path, "rao_kupper", 4)
        assert found is not None
        assert torch.equal(found.pace, head.pace)


def test_it_has_a_file_of_its_own(saved: tuple[RewardModel, Path]) -> None:
    model, folder = saved
    assert model.ties is not None
    assert {name: tuple(value.shape) for name, value in load_file(folder / FILE).items()} == {
        "tie_head.weight": (1, model.backbone.hidden_size),
        "tie_head.bias": (1,),
    }
    assert set(load_file(folder / "value_head.safetensors")) == {"v_head.summary.weight", "v_head.summary.bias"}
    assert json.loads((folder / "omnireward.json").read_text())["ties"] == model.ties.kind


def test_a_model_without_one_leaves_none_behind(saved: tuple[RewardModel, Path]) -> None:
    model, folder = saved
    model.ties = None
    model.save(folder)
    assert not (folder / FILE).exists()
    assert RewardModel.load(folder).ties is None


def _rewritten(folder: Path, change: Callable[[Tensor], Tensor]) -> None:
    save_file({name: change(value) for name, value in load_file(folder / FILE).items()}, folder / FILE)


def _unrecorded(folder: Path, name: str, value: object) -> None:
    record = json.loads((folder / "omnireward.json").read_text())
    record.pop("weights")
    (folder / "omnireward.json").write_text(json.dumps(record | {name: value}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / FILE).unlink(), "nothing says what a tie is"),
        (lambda folder: (folder / FILE).write_bytes(b"\x80"), "cannot be read"),
        (lambda folder: _rewritten(folder, lambda value: value[..., :1].clone()[:0]), "does not fit"),
        (lambda folder: _rewritten(folder, lambda value: value * math.nan), "NaN"),
        (lambda folder: _unrecorded(folder, "ties", "guess"), "known: rao_kupper, davidson"),
        (lambda folder: _unrecorded(folder, "ties", ["davidson"]), "known: rao_kupper, davidson"),
        (lambda folder: _unrecorded(folder, "ties", None), "names no kind"),
        (lambda folder: _rewritten(folder, lambda value: value + 1), "no longer holds the weights"),
    ],
    ids=["gone", "noise", "shape", "nan", "kind", "list", "unnamed", "changed"],
)
def test_what_does_not_belong_together_is_refused(
    saved: tuple[RewardModel, Path], spoil: Callable[[Path], object], said: str
) -> None:
    _, folder = saved
    spoil(folder)
    with pytest.raises(CheckpointError, match=said):
        RewardModel.load(folder)
