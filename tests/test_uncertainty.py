"""Distances against the dense formula, familiarity against its meaning, the file, and a model that has it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireward import uncertainty
from omnireward.ahead import Ahead
from omnireward.backbones.text import BACKBONE
from omnireward.errors import CheckpointError
from omnireward.judges.reward import RewardJudge
from omnireward.metrics.selective import UNFAMILIAR
from omnireward.reward_model import RECORD, SIDES, RewardModel
from omnireward.types import Comparison, Text, Turn
from omnireward.uncertainty import FILE, LEAST, Uncertainty, fit, read_uncertainty

HIDDEN = 6


def _made_up(count: int, hidden: int = HIDDEN, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """Correlated rows: what a response and its criterion have in common moves both."""
    draw = torch.Generator().manual_seed(seed)
    both = torch.randn(count, 1, hidden, generator=draw)
    turn = torch.randn(hidden, hidden, generator=torch.Generator().manual_seed(99))
    hidden_states = (both + 0.3 * torch.randn(count, 2, hidden, generator=draw)) @ turn + 3
    criteria = both.squeeze(1) @ turn.T + 0.1 * torch.randn(count, hidden, generator=draw)
    return hidden_states, criteria, torch.randn(count, generator=draw), [f"prompt {i // 2}" for i in range(count)]


def _fitted(count: int = 400, hidden: int = HIDDEN, seed: int = 0) -> Uncertainty:
    found = fit(*_made_up(count, hidden, seed))
    assert found is not None
    return found


def _rows(hidden: Tensor, criteria: Tensor) -> np.ndarray:
    return torch.cat([hidden, criteria.unsqueeze(1).expand_as(hidden)], -1).double().numpy()


@pytest.mark.parametrize("hidden", [6, 200], ids=["more rows than dims", "more dims than rows"])
def test_a_distance_is_mahalanobis_with_each_variance_raised(hidden: int) -> None:
    """The inverse of the whole covariance, by numpy, of the rows that were not held out; 12 and 400 dims."""
    states, criteria, margins, names = _made_up(120, hidden)
    found = fit(states, criteria, margins, names)
    assert found is not None
    held_out = uncertainty._held_out(names).numpy()
    fitted = _rows(states, criteria)[~held_out].reshape(-1, 2 * hidden)
    away = fitted - fitted.mean(0)
    covariance = away.T @ away / len(away)
    covariance += 1e-3 * np.trace(covariance) / (2 * hidden) * np.eye(2 * hidden)
    asked = _rows(states, criteria)[held_out].reshape(-1, 2 * hidden) - fitted.mean(0)
    expected = np.einsum("ij,jk,ik->i", asked, np.linalg.inv(covariance), asked)
    got = found.distances(states[held_out].flatten(0, 1), criteria[held_out].repeat_interleave(2, 0))
    np.testing.assert_allclose(got.numpy(), expected, rtol=2e-3)
    np.testing.assert_allclose(found.responses.numpy(), np.sort(got.numpy()), rtol=1e-6)
    np.testing.assert_allclose(found.comparisons.numpy(), np.sort(got.view(-1, 2).amax(-1).numpy()), rtol=1e-6)


def test_directions_beyond_the_most_share_what_variance_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the mean distance of the rows that were fitted is still nearly the number of dims."""
    monkeypatch.setattr(uncertainty, "_MOST_AXES", 3)
    states, criteria, margins, names = _made_up(400)
    found = fit(states, criteria, margins, names)
    assert found is not None
    assert found.axes.shape == (3, 2 * HIDDEN)
    kept = ~uncertainty._held_out(names)
    away = found.distances(states[kept].flatten(0, 1), criteria[kept].repeat_interleave(2, 0))
    assert away.mean().item() == pytest.approx(2 * HIDDEN, rel=0.05)


@pytest.mark.parametrize("hidden", [6, 200])
def test_familiarity_of_what_is_like_training_is_even(hidden: int) -> None:
    """Of 600 fresh comparisons about 5 % have a familiarity below 0.05, also where dims are more than rows; counted on
    the rows that were fitted, nearly all would have in the second case. Bounds: 100 counted ones, 3 sigma of either.
    """
    known = _fitted(400, hidden)
    states, criteria, _, _ = _made_up(600, hidden, seed=5)
    away = known.distances(states.flatten(0, 1), criteria.repeat_interleave(2, 0)).view(-1, 2).tolist()
    below = sum(known.of_comparison(a, b).familiarity < UNFAMILIAR for a, b in away) / 600
    assert abs(below - UNFAMILIAR) < 3 * math.sqrt(UNFAMILIAR * (1 - UNFAMILIAR) * (1 / 100 + 1 / 600))


def test_another_criterion_is_far_out_though_its_responses_are_not() -> None:
    known = _fitted()
    states, criteria, _, _ = _made_up(50, seed=7)
    near = known.distances(states[:, 0], criteria)
    moved = known.distances(states[:, 0], criteria.roll(1, 0))  # each row's own parts are as in training
    assert moved.median() > 5 * near.median()


def test_doubt_by_hand() -> None:
    known = replace(_fitted(), responses=torch.arange(1.0, 101), comparisons=torch.arange(1.0, 101), spread=4.0)
    assert known.of_comparison(0.5, 0.2) == (1.0, 0.0)
    assert known.of_comparison(51.0, 2.0) == known.of_comparison(2.0, 51.0) == (0.5, 0.0)  # as far out counts
    assert known.of_comparison(96.0, 0.0) == (0.05, 0.0)
    familiarity, deviation = known.of_comparison(98.5, 0.0)  # 2 of 100: a correlation of 0.4 is left
    assert familiarity == 0.02
    assert deviation == pytest.approx(4 * math.sqrt(1 - 0.16))
    assert known.of_comparison(1e30, 0.0) == (0.0, 4.0)
    assert known.of_response(1e30).deviation == pytest.approx(4 / math.sqrt(2))
    assert known.of_response(math.nan).familiarity == 0.0
    assert known.of_comparison(math.nan, 0.5) == known.of_comparison(0.5, math.nan) == (0.0, 4.0)


def test_the_order_of_the_comparisons_changes_nothing_and_too_few_tell_nothing() -> None:
    states, criteria, margins, names = _made_up(200)
    turned = fit(states.flip(0), criteria.flip(0), margins.flip(0), names[::-1])
    found = fit(states, criteria, margins, names)
    assert found is not None
    assert turned is not None
    torch.testing.assert_close(found.comparisons, turned.comparisons, rtol=1e-4, atol=1e-4)
    few = LEAST - 1
    assert fit(states[:few], criteria[:few], margins[:few], names[:few]) is None
    assert fit(states, criteria, margins, ["one prompt"] * 200) is None
    assert fit(torch.ones(200, 2, 3), torch.ones(200, 3), margins, names) is None
    crowded = sorted({*names})[0]  # nearly all are of one prompt: it is held out, or hardly another is
    for kept in (LEAST // 2 - 1, uncertainty.LEAST_COUNTED - 1):
        some = [name if number < kept else crowded for number, name in enumerate(names)]
        assert fit(states, criteria, margins, some) is None


@pytest.mark.parametrize("broken", ["length", "number"])
def test_what_cannot_be_fitted_is_refused(broken: str) -> None:
    states, criteria, margins, names = _made_up(200)
    if broken == "number":
        states[3, 0, 0] = math.nan
    with pytest.raises(ValueError, match=r"as many|finite"):
        fit(states, criteria, margins, names[:-1] if broken == "length" else names)


def test_the_file_gives_it_back(tmp_path: Path) -> None:
    known = _fitted()
    known.write(tmp_path)
    again = read_uncertainty(tmp_path, HIDDEN)
    for name in ("mean", "axes", "precision", "responses", "comparisons"):
        assert torch.equal(getattr(again, name), getattr(known, name))
    assert (again.rest, again.spread) == pytest.approx((known.rest, known.spread))


@pytest.mark.parametrize(
    ("broken", "said"),
    [("gone", "be read"), ("torn", "be read"), ("other", "hidden size"), ("nan", "NaN"), ("empty", "fit")],
)
def test_a_file_that_does_not_belong_is_refused(tmp_path: Path, broken: str, said: str) -> None:
    known = _fitted()
    known.write(tmp_path)
    path = tmp_path / FILE
    tensors = load_file(path)
    if broken == "gone":
        path.unlink()
    elif broken == "torn":
        path.write_bytes(path.read_bytes()[:100])
    elif broken in ("nan", "empty"):
        name, size = ("mean", 2 * HIDDEN) if broken == "nan" else ("responses", 0)
        tensors[name] = torch.full((size,), math.nan)
        save_file(tensors, path)
    with pytest.raises(CheckpointError, match=said):
        read_uncertainty(tmp_path, HIDDEN + (broken == "other"))


PROMPT = (Turn("user", (Text("Tell me about tea."),)),)
WORDS = ("hot", "cold", "sweet", "green", "black", "long")


def _asked(number: int, criterion: str = "") -> Comparison:
    a, b, c = (WORDS[(number // 6**k) % 6] for k in range(3))
    return Comparison(PROMPT, (Text(f"It is {a}."),), (Text(f"It is {b} {b}."),), criterion or f"It should be {c}.")


@pytest.fixture(scope="module")
def model() -> RewardModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = RewardModel(BACKBONE.tiny(["Tell me about tea.", "It should be hot."], 0), "text", "natural").eval()
    asked = [_asked(number) for number in range(216)]
    rows = model.states([model.encode(one, side) for one in asked for side in SIDES]).view(216, 2, -1)
    criteria = model.states_of_criteria([one.criterion for one in asked])
    model.uncertainty = fit(rows, criteria, torch.ones(216), [str(number % 40) for number in range(216)])
    assert model.uncertainty is not None
    return model


def test_rewards_are_those_without_and_states_give_them(model: RewardModel) -> None:
    asked = [_asked(number) for number in (0, 7, 0, 100)]
    rows = [model.encode(one, "a") for one in asked]
    rewards, leeways, distances = model.score_all(rows)
    torch.testing.assert_close(rewards, model.score(rows), rtol=0, atol=1e-6)
    assert leeways is None
    assert distances is not None
    assert distances[0] == distances[2]
    assert rewards[0] == rewards[2]
    torch.testing.assert_close(model.head(model.states(rows)).squeeze(-1), rewards, rtol=0, atol=1e-6)
    assert model.states([]).shape == (0, model.backbone.hidden_size)
    assert [None if one is None else len(one) for one in model.score_all([])] == [0, None, 0]


def test_few_states_of_criteria_are_kept(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireward.reward_model.KEPT_CRITERIA", 3)
    asked = [_asked(number, f"It is {number}.") for number in range(5)]
    rows = [model.encode(one, "a") for one in asked]
    first = model.score_all(rows)[2]
    assert list(model._criteria) == ["It is 2.", "It is 3.", "It is 4."]
    encoded: list[str] = []
    plain = model.states_of_criteria
    monkeypatch.setattr(model, "states_of_criteria", lambda some: encoded.extend(some) or plain(some))  # type: ignore[func-returns-value]
    again = model.score_all(rows)[2]
    assert encoded == ["It is 0.", "It is 1."]
    assert first is not None
    assert again is not None
    torch.testing.assert_close(first, again, rtol=1e-3, atol=1e-3)


def test_a_judge_says_what_is_unlike_training_and_a_swap_changes_nothing_of_it(model: RewardModel) -> None:
    judge = RewardJudge(model, "made up", Ahead(model))
    usual, odd = judge([_asked(3), _asked(3, "zq xv jjw 9 9 9 kp qqq zzz")])
    assert usual.familiarity is not None
    assert odd.familiarity is not None
    assert odd.familiarity < UNFAMILIAR <= usual.familiarity
    assert usual.deviation == 0.0
    assert odd.deviation is not None
    assert odd.deviation > 0
    (swapped,) = judge([_asked(3, "zq xv jjw 9 9 9 kp qqq zzz").swap()])
    assert (swapped.familiarity, swapped.deviation) == (odd.familiarity, odd.deviation)


def test_numbers_that_are_not_finite_are_failed_judgements(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tensor | None] = [torch.ones(6), None, torch.tensor([1.0, math.nan, math.inf, 1.0, 1.0, 1.0])]
    monkeypatch.setattr(model, "score_all", lambda _: made)
    judge = RewardJudge(model, "made up", Ahead(model))
    asked = [_asked(number) for number in range(3)]
    one, two, three = judge(asked)
    assert "trained on is not finite: 1.0, nan" in one.error
    assert "trained on is not finite: inf, 1.0" in two.error
    assert one.margin is two.margin is None
    assert three.familiarity is not None
    made[1:] = [torch.tensor([1.0, math.inf] * 3), None]
    assert "tie head says is not finite: 1.0, inf" in judge(asked)[0].error


def test_a_model_without_it_says_none(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "uncertainty", None)
    (said,) = RewardJudge(model, "made up", Ahead(model))([_asked(3)])
    assert said.margin is not None
    assert said.deviation is None
    assert said.familiarity is None


def test_it_is_saved_and_only_read_where_the_record_names_it(model: RewardModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["uncertainty"] == FILE
    assert FILE in record["weights"]
    again = RewardModel.load(tmp_path)
    assert again.uncertainty is not None
    assert model.uncertainty is not None
    assert torch.equal(again.uncertainty.axes, model.uncertainty.axes)
    del record["uncertainty"]
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert RewardModel.load(tmp_path).uncertainty is None
    plain = RewardModel.load(tmp_path)
    plain.save(tmp_path)  # the old file goes
    assert not (tmp_path / FILE).exists()
