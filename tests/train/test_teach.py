"""Teaching: the loss falls, the same seed teaches the same, and towers are left frozen with nothing else touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
import torch
from torch import Tensor

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.miniature.lessons import Lesson, lessons
from omnireward.miniature.world import World
from omnireward.reward_model import RewardModel
from omnireward.train.teach import Labels, teach

STEPS = 10


@pytest.fixture(scope="module")
def taught() -> list[Lesson]:
    """Three lessons from each of four responses in each of the nine tasks."""
    return list(lessons(World(prompts=1)))


def _model() -> RewardModel:
    torch.manual_seed(0)
    family = cast(BackboneFamily, plugins.load("backbones", "minicpm_o"))
    return RewardModel(
        family.tiny(["What is seen?", "A red circle.", "It should be polite."] * 9, 0), "minicpm_o", "natural"
    )


def _teach(
    taught: Sequence[Lesson], towers: int, language: int, seed: int = 0
) -> tuple[RewardModel, dict[str, list[float]]]:
    """The model, and the losses of each part."""
    model = _model()
    told: dict[str, list[float]] = {"prepare": [], "towers": [], "language": []}
    teach(model, taught, towers, language, seed, lambda part, loss: told[part].append(loss))
    return model, told


def _changed(model: RewardModel) -> set[str]:
    """Names of the parameters that are no longer as they were."""
    before = _model().state_dict()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def _of_towers(names: set[str]) -> set[str]:
    family = cast(BackboneFamily, plugins.load("backbones", "minicpm_o"))
    prefixes = tuple(f"backbone.{prefix}" for tower in family.towers.values() for prefix in tower)
    return {name for name in names if name.startswith(prefixes)}


@pytest.fixture(scope="module")
def run(taught: list[Lesson]) -> tuple[RewardModel, dict[str, list[float]]]:
    return _teach(taught, STEPS, STEPS)


def test_a_few_steps_lower_both_losses(run: tuple[RewardModel, dict[str, list[float]]]) -> None:
    """From about the loss of a coin, down by a tenth at least.

    A coin costs log 2 for each label, and for the language model log 2 again: what is asked counts as all else does.
    """
    _, told = run
    for part, coin in (("towers", 0.693), ("language", 1.386)):
        first, last = sum(told[part][:2]) / 2, sum(told[part][-2:]) / 2
        assert 0.8 * coin < first < 1.3 * coin, part
        assert last < 0.9 * first, part


def test_every_lesson_and_step_is_told(run: tuple[RewardModel, dict[str, list[float]]], taught: list[Lesson]) -> None:
    _, told = run
    assert told["prepare"] == [0.0] * len(taught)
    assert len(told["towers"]) == len(told["language"]) == STEPS


def test_the_same_seed_teaches_the_same_and_another_seed_another(taught: list[Lesson]) -> None:
    (one, told), (two, again), (other, _) = (_teach(taught, 2, 2, seed) for seed in (3, 3, 4))
    assert told == again
    weights = [model.state_dict() for model in (one, two, other)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert any(not torch.equal(value, weights[2][name]) for name, value in weights[0].items())


def test_towers_learn_first_and_are_frozen_then(taught: list[Lesson]) -> None:
    seeing, reading = (_teach(taught, towers, language)[0] for towers, language in ((2, 0), (0, 2)))
    assert seeing.features.frozen
    assert reading.features.frozen
    assert _of_towers(_changed(seeing)) == _changed(seeing) != set()
    assert _of_towers(_changed(reading)) == set() != _changed(reading)


def test_the_head_is_left_to_preferences(run: tuple[RewardModel, dict[str, list[float]]]) -> None:
    assert not any(name.startswith("head.") for name in _changed(run[0]))


def _rows(tensor: Tensor) -> list[list[float]]:
    return [[round(float(value), 3) for value in row] for row in tensor]


def test_labels_by_hand() -> None:
    """Names in order: colour blue, colour red, size. What is red is not blue; without a colour neither is known."""
    labels = Labels.of([{"colour red": 1.0, "size": 0.5}, {"colour blue": 1.0}, {"size": 1.0}])
    assert _rows(labels.wanted) == [[0.0, 1.0, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    assert labels.known.tolist() == [[True, True, True], [True, True, False], [False, False, True]]
