"""What training fits to its end: which comparisons, what it costs nothing to leave out, and what is written where."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from omnireward import uncertainty
from omnireward.ahead import Ahead
from omnireward.cli import main
from omnireward.errors import BadRowError, RecipeError
from omnireward.judges.reward import RewardJudge
from omnireward.metrics.selective import UNFAMILIAR
from omnireward.reward_model import RECORD, RewardModel
from omnireward.sources import BadRows
from omnireward.train import bradley_terry, fitting
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import mix
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn
from omnireward.uncertainty import FILE

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
NUMBERS = 40


@pytest.fixture
def config(tmp_path: Path, places: Places, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """Ten steps on forty pairs of texts, all of which are fitted to."""
    for module in (uncertainty, fitting):
        monkeypatch.setattr(module, "LEAST", 20)
    monkeypatch.setattr(fitting, "SHARE", 1.0)
    places["texts"] = [
        make_sample(f"topic {n}", "ab"[n % 2], criterion=f"It should be {n % 7}.") for n in range(NUMBERS)
    ]
    return TrainConfig(
        out=tmp_path / "run",
        datasets={"texts": 1.0},
        epochs=1.0,
        batch_size=4,
        accumulation=1,
        learning_rate=1e-3,
        head_dropout=0.5,
    )


def test_a_run_ends_with_what_it_does_not_know_and_its_weights_are_as_without(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bradley_terry.train(config)
    model = RewardModel.load(config.out)
    assert model.uncertainty is not None
    assert len(model.uncertainty.comparisons) == 10  # a quarter of the prompts
    monkeypatch.setattr(fitting, "SHARE", 0.1)
    without = replace(config, out=config.out.with_name("without"))
    bradley_terry.train(without)
    assert not (without.out / FILE).exists()
    assert RewardModel.load(without.out).uncertainty is None
    for name in ("model.safetensors", "value_head.safetensors"):
        assert (config.out / name).read_bytes() == (without.out / name).read_bytes()


def test_training_on_forgets_what_was_fitted_to_another_model(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    bradley_terry.train(config)
    monkeypatch.setattr(fitting, "SHARE", 0.1)
    again = replace(config, model=str(config.out), out=config.out.with_name("again"))
    bradley_terry.train(again)
    assert RewardModel.load(again.out).uncertainty is None


def test_those_fitted_to_are_spread_evenly_over_what_was_shown(config: TrainConfig) -> None:
    mixture = mix(config.datasets, BadRows())
    order = mixture.order(0, 0)
    assert fitting.trained_on(mixture, 0, trained=19) == []  # fewer than the least
    assert fitting.trained_on(mixture, 0, trained=30) == [mixture.samples[i] for i in order[:30]]
    assert fitting.trained_on(mixture, 0, trained=400) == [mixture.samples[i] for i in order]  # ten epochs: each once
    half = fitting.spread(mixture, order, 20)
    assert half == [mixture.samples[i] for i in order[::2]]


def test_several_processes_fit_to_what_one_would(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each computes its share; the first has all of them. Here the second one's share was computed before."""
    bradley_terry.train(config)
    model = RewardModel.load(config.out)
    samples = list(mix(config.datasets, BadRows()).samples)
    fitting.fit_model(model, samples, bf16=False)
    alone = model.uncertainty
    other = fitting._states(model, samples[1::2])
    monkeypatch.setattr(fitting, "world", lambda: 2)
    monkeypatch.setattr(fitting, "collected", lambda mine: [mine, other])
    fitting.fit_model(model, samples, bf16=False)
    assert alone is not None
    assert model.uncertainty is not None
    torch.testing.assert_close(model.uncertainty.comparisons, alone.comparisons, rtol=1e-2, atol=1e-2)


def test_weights_that_lie_split_are_not_fitted_to_and_it_is_said(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    bradley_terry.train(config)
    model = RewardModel.load(config.out)
    fitting.fit_model(model, mix(config.datasets, BadRows()).samples, bf16=False, split=True)
    assert model.uncertainty is None
    assert "omnireward uncertainty OUT" in capsys.readouterr().err


def test_media_that_cannot_be_read_are_left_out(config: TrainConfig) -> None:
    bradley_terry.train(config)
    model = RewardModel.load(config.out)
    samples = list(mix(config.datasets, BadRows()).samples)
    torn = Comparison((Turn("user", (Text("Draw."),)),), (Media("image", b"torn"),), (Text("none"),))
    fitting.fit_model(model, [*samples, replace(samples[0], task=Task.T2I, comparison=torn)], bf16=False)
    with_torn = model.uncertainty
    fitting.fit_model(model, samples, bf16=False, unusable={id(samples[3])})
    assert with_torn is not None
    assert model.uncertainty is not None
    assert len(fitting._states(model, samples[:5])[3]) == 5


def test_the_verb_fits_a_checkpoint_and_says_what_is_new_to_it(
    config: TrainConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SHARE", 0.1)
    bradley_terry.train(config)
    before = json.loads((config.out / RECORD).read_text())
    assert main(["uncertainty", str(config.out), "--datasets", "texts", "1"]) == 0
    assert "counted on 10" in capsys.readouterr().out
    record = json.loads((config.out / RECORD).read_text())
    assert record == before | {"uncertainty": FILE, "weights": before["weights"] | {FILE: record["weights"][FILE]}}
    model = RewardModel.load(config.out)
    assert main(["uncertainty", str(config.out), "--datasets", "texts", "1"]) == 0  # again, to the same bytes
    assert json.loads((config.out / RECORD).read_text()) == record
    usual = mix(config.datasets, BadRows()).samples[0].comparison
    told = RewardJudge(model, "x", Ahead(model))([usual, replace(usual, criterion="zz qq xx ww zz qq")])
    assert told[1].familiarity is not None
    assert told[1].familiarity < UNFAMILIAR


def test_a_fit_that_is_killed_leaves_a_model_without_it(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    bradley_terry.train(config)

    def killed(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "sha256_of", killed)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit_folder(config.out, config.datasets, 40, None)
    assert (config.out / FILE).exists()
    assert RewardModel.load(config.out).uncertainty is None


def test_too_few_comparisons_are_refused(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    bradley_terry.train(config)
    kept = load_file(config.out / FILE)
    with pytest.raises(RecipeError, match="too few"):
        fitting.fit_folder(config.out, config.datasets, 40, limit=5)
    assert torch.equal(load_file(config.out / FILE)["axes"], kept["axes"])
    capsys.readouterr()
