"""What stops a run: a loss that nothing good can come of saves nothing, and a signal saves everything."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from omnireward.errors import BadRowError, StoppedError, TrainingError
from omnireward.reward_model import RewardModel, holds_model
from omnireward.sources import BadRows
from omnireward.train import bradley_terry, checkpoints, losses
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import mix
from omnireward.train.stops import Watch, check_weights
from omnireward.types import Media, Sample

Places = dict[str, list[Sample | BadRowError]]


def _step(watch: Watch, number: int, loss: float, norm: float = 1.0) -> None:
    watch.saw(torch.tensor(loss), [f"sample {number}"])
    watch.step(number, norm)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_told_with_the_samples(loss: float) -> None:
    watch = Watch()
    watch.saw(torch.tensor(0.5), ["one"])
    watch.saw(torch.tensor(loss), ["two"])
    with pytest.raises(TrainingError, match=rf"the loss is {loss} at step 7 on the samples \['one', 'two'\]\. Nothing"):
        watch.step(7, 1.0)


def test_gradients_that_are_not_finite_are_told_though_the_loss_is() -> None:
    with pytest.raises(TrainingError, match=r"the norm of the gradients is inf at step 7 on the samples \['sample 7'"):
        _step(Watch(), 7, 0.5, math.inf)


def test_a_loss_has_exploded_in_the_third_step_in_a_row_over_ten_medians_and_five() -> None:
    watch = Watch()
    for number in range(10):
        _step(watch, number, 0.7)
    for number in (10, 11):
        _step(watch, number, 7.1)
        assert watch.suspect
    with pytest.raises(TrainingError, match=r"of the last 50 steps \(0\.7\) and over 5: 7\.1 at step 10 on the sa"):
        _step(watch, 12, 7.1)


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ([0.7] * 10, [7.1, 7.1, 0.7, 7.1, 7.1]),  # never three in a row
        ([0.7] * 10, [6.9] * 9),  # under ten medians
        ([0.01] * 10, [4.9] * 9),  # under 5
        ([0.7] * 9, [7.1]),  # not enough steps to take a median of
        ([90.0] * 60, []),  # as high from the start: nothing has exploded
    ],
)
def test_a_loss_that_is_high_has_not_always_exploded(before: list[float], then: list[float]) -> None:
    watch = Watch()
    for number, loss in enumerate([*before, *then]):
        _step(watch, number, loss)


def test_the_watch_goes_on_where_a_checkpoint_left_it() -> None:
    """A median of 50 steps, not of those since the resume."""
    watch, resumed = Watch(), Watch()
    for number in range(70):
        _step(watch, number, 0.01 * number)
    resumed.resume(json.loads(json.dumps(watch.state())))
    assert resumed.state() == watch.state() == pytest.approx([0.01 * number for number in range(20, 70)])


def test_weights_that_are_not_finite_are_not_saved() -> None:
    model = nn.Linear(2, 1)
    check_weights(model, 3)
    model.bias.data[0] = math.inf
    with pytest.raises(TrainingError, match=r"after step 3, weights are NaN or infinite: bias \(1 in all\)"):
        check_weights(model, 3)


@pytest.fixture
def config(tmp_path: Path, places: Places, make_sample: Callable[..., Sample]) -> TrainConfig:
    places["texts"] = [make_sample(f"topic {n}", "ab"[n % 2], criterion=f"It should be {n}.") for n in range(4)]
    return TrainConfig(
        out=tmp_path / "run",
        datasets={"texts": 1.0},
        steps=5,
        epochs=9.0,
        batch_size=1,
        accumulation=1,
        learning_rate=1e-3,
        log_every=1,
    )


Loss = Callable[[Tensor, Tensor], Tensor]


def _from_step(monkeypatch: pytest.MonkeyPatch, step: int, loss: Loss) -> None:
    """Another loss from this step on, counted from 1. Every step is one pass."""
    calls = 0

    def changed(chosen: Tensor, rejected: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return (loss if calls >= step else losses.bradley_terry)(chosen, rejected)

    monkeypatch.setattr(bradley_terry, "bradley_terry", changed)


def _no_gradient(chosen: Tensor, rejected: Tensor) -> Tensor:
    """A loss of 0 whose gradient is NaN: infinite of the root, times 0."""
    return ((chosen - rejected) * 0.0).sum().sqrt()


@pytest.mark.parametrize(
    ("loss", "says"),
    [(lambda a, b: (a - b).sum() * torch.nan, "the loss is nan"), (_no_gradient, "the norm of the gradients is nan")],
    ids=["loss", "gradients"],
)
def test_the_last_good_checkpoint_stays_and_nothing_is_saved_after_it(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, loss: Loss, says: str
) -> None:
    _from_step(monkeypatch, 3, loss)
    with pytest.raises(TrainingError, match=rf"{says} at step 2 on the samples \['topic \d'\]"):
        bradley_terry.train(replace(config, save_every=1))
    assert checkpoints.newest(config.out) == config.out / "checkpoint-2"
    assert not holds_model(config.out)


def test_nothing_is_saved_while_a_loss_may_be_exploding(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten healthy steps, then a thousand times the loss: the third such step ends the run."""
    _from_step(monkeypatch, 11, lambda chosen, rejected: 1e3 * losses.bradley_terry(chosen, rejected))
    with pytest.raises(TrainingError, match=r"exploded: for 3 steps .* at step 10 .* at step 11 .* at step 12 on the"):
        bradley_terry.train(replace(config, steps=20, save_every=1, learning_rate=1e-5))
    assert checkpoints.newest(config.out) == config.out / "checkpoint-10"


def _sent(*numbers: int) -> Loss:
    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        for number in numbers:
            os.kill(os.getpid(), number)
        return losses.bradley_terry(chosen, rejected)

    return loss


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_step_with_a_checkpoint_that_goes_on_to_the_same_bytes(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    bradley_terry.train(replace(config, out=config.out.with_name("straight")))
    before = signal.getsignal(number)
    with monkeypatch.context() as sending:
        _from_step(sending, 2, _sent(number))
        with pytest.raises(StoppedError, match=r"step 2, as asked\. The last .*: .*checkpoint-2\n.*\n  cd .* --resume"):
            bradley_terry.train(config)
    assert signal.getsignal(number) is before
    assert not holds_model(config.out)
    bradley_terry.train(replace(config, resume=True))
    for name in ("model.safetensors", "value_head.safetensors"):
        assert (config.out / name).read_bytes() == (config.out.with_name("straight") / name).read_bytes()


def test_a_second_interrupt_does_not_wait(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    _from_step(monkeypatch, 2, _sent(signal.SIGINT, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        bradley_terry.train(config)
    assert not list(config.out.glob("*checkpoint*"))


def test_a_signal_in_the_last_step_lets_the_run_end(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    _from_step(monkeypatch, 5, _sent(signal.SIGTERM))
    assert bradley_terry.train(config) == config.out
    assert holds_model(config.out)


def test_a_bad_row_that_was_met_before_the_stop_is_counted_once_after_it(
    config: TrainConfig, places: Places, make_sample: Callable[..., Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch shows each of five samples once: the broken one in step 2. The run stops after the next one."""
    broken = make_sample("cat")
    comparison = replace(broken.comparison, response_a=(Media("image", b"broken"),))
    places["texts"].append(replace(broken, comparison=comparison))
    mixture = mix(config.datasets, BadRows())
    assert mixture.samples[mixture.order(config.seed, 0)[1]].id == "cat"
    skipping = replace(config, skip_bad_rows=True, epochs=1.0, steps=None)
    with monkeypatch.context() as sending:
        _from_step(sending, 2, _sent(signal.SIGTERM))  # the second loss is that of step 3
        with pytest.raises(StoppedError, match="after step 3"):
            bradley_terry.train(skipping)
    bradley_terry.train(replace(skipping, resume=True))
    data = json.loads((config.out / "data.json").read_text())
    assert (data["pairs"], data["bad_rows"]) == (5, 1)


def test_a_bad_row_is_counted_too_where_only_the_final_save_was_interrupted(
    config: TrainConfig, places: Places, make_sample: Callable[..., Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start that follows trains no step, so it meets no row."""
    broken = make_sample("cat")
    places["texts"].append(replace(broken, comparison=replace(broken.comparison, response_a=(Media("image", b"no"),))))
    skipping = replace(config, skip_bad_rows=True, save_every=5)
    with monkeypatch.context() as interrupting:
        interrupting.setattr(RewardModel, "save", _interrupted(RewardModel.save, config.out))
        with pytest.raises(KeyboardInterrupt):
            bradley_terry.train(skipping)
    assert not holds_model(config.out)
    bradley_terry.train(replace(skipping, resume=True))
    assert json.loads((config.out / "data.json").read_text())["bad_rows"] == 1


def _interrupted(save: Callable[[RewardModel, Path], None], where: Path) -> Callable[[RewardModel, Path], None]:
    def saved(model: RewardModel, folder: Path) -> None:
        if folder == where:
            raise KeyboardInterrupt
        save(model, folder)

    return saved
