"""What training fits to its end: which comparisons, what it costs nothing to leave out, and what is written where."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from omnireward import provenance, uncertainty
from omnireward.ahead import Ahead
from omnireward.backbones.text import BACKBONE
from omnireward.cli import main
from omnireward.errors import BadRowError, CheckpointError, RecipeError
from omnireward.judges.reward import RewardJudge
from omnireward.metrics.selective import UNFAMILIAR
from omnireward.reward_model import RECORD, RewardModel
from omnireward.sources import BadRows
from omnireward.train import bradley_terry, fitting
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import mix, mixture_of
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
    monkeypatch.setattr(uncertainty, "LEAST_COUNTED", 5)
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
    alone = fitting.fit_model(model, samples, bf16=False)
    other = fitting._states(model, samples[1::2])
    monkeypatch.setattr(fitting, "world", lambda: 2)
    monkeypatch.setattr(fitting, "collected", lambda mine: [mine, other])
    together = fitting.fit_model(model, samples, bf16=False)
    assert alone is not None
    assert together is not None
    torch.testing.assert_close(together.comparisons, alone.comparisons, rtol=1e-2, atol=1e-2)


def test_weights_that_lie_split_are_not_fitted_to_and_it_is_said(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    bradley_terry.train(config)
    model = RewardModel.load(config.out)
    assert fitting.fit_model(model, mix(config.datasets, BadRows()).samples, bf16=False, split=True) is None
    assert "omnireward uncertainty OUT" in capsys.readouterr().err


def test_media_that_cannot_be_read_are_left_out(config: TrainConfig) -> None:
    bradley_terry.train(config)
    model = RewardModel.load(config.out)
    samples = list(mix(config.datasets, BadRows()).samples)
    torn = Comparison((Turn("user", (Text("Draw."),)),), (Media("image", b"torn"),), (Text("none"),))
    with_torn = [*samples, replace(samples[0], task=Task.T2I, comparison=torn)]
    assert fitting.fit_model(model, with_torn, bf16=False) is not None
    assert fitting.fit_model(model, samples, bf16=False, unusable={id(samples[3])}) is not None
    assert len(fitting._states(model, samples[:5])[3]) == 5


def test_the_verb_fits_a_checkpoint_and_says_what_is_new_to_it(
    config: TrainConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "SHARE", 0.1)
    bradley_terry.train(config)
    before = json.loads((config.out / RECORD).read_text())
    assert main(["uncertainty", str(config.out)]) == 0  # what it was trained on stands in its config
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


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("adapters", [0, 2])
def test_what_is_fitted_to_a_saved_model_changes_the_record_alone(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, adapters: int
) -> None:
    monkeypatch.setattr(fitting, "SHARE", 0.1)
    config = replace(config, lora_rank=adapters)
    bradley_terry.train(config)
    before, record = _files(config.out), json.loads((config.out / RECORD).read_text())
    model = RewardModel.load(config.out)
    asked: list[int | None] = []
    plain = model._spread
    monkeypatch.setattr(model, "_spread", lambda *args: asked.append(args[3]) or plain(*args))  # type: ignore[func-returns-value]
    fitting.fit_final(model, mix(config.datasets, BadRows()).samples, config.out, bf16=False, tokens=50)
    assert set(asked) == {50}
    after = _files(config.out)
    assert {name for name in after if after[name] != before.get(name)} == {FILE, RECORD}
    told = json.loads((config.out / RECORD).read_text())
    assert told == record | {"uncertainty": FILE, "weights": record["weights"] | {FILE: told["weights"][FILE]}}
    assert RewardModel.load(config.out).uncertainty is not None


FAULTS = [
    ValueError("numbers"),
    torch.OutOfMemoryError("memory"),
    torch.linalg.LinAlgError("no convergence"),  # type: ignore[attr-defined]
    OSError(28, "No space left on device"),
    SafetensorError("I/O error"),
    MemoryError(),
]


@pytest.mark.parametrize("error", FAULTS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["_states", "fit", "sha256_of"])
def test_a_fit_that_fails_leaves_the_model_as_it_was_saved(
    saved: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    where: str,
) -> None:
    def fails(*_: object) -> None:
        raise error

    before = _files(saved.out)
    monkeypatch.setattr(fitting, where, fails)
    model, samples = RewardModel.load(saved.out), mix(saved.datasets, BadRows()).samples
    fitting.fit_final(model, samples, saved.out, bf16=False)
    assert "note: nothing was fitted" in (said := capsys.readouterr().err)
    assert type(error).__name__ in said
    assert _files(saved.out) == before
    assert model.uncertainty is None


@pytest.fixture
def saved(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """Of a run that is not trained, and had nothing fitted."""
    torch.manual_seed(0)
    RewardModel(BACKBONE.tiny(["topic 1", "It should be 2."], 0), "text", "natural").save(config.out)
    return config


def test_others_do_not_wait_for_a_process_that_fails(
    saved: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells them None, whichever it is, and the first one fits nothing."""
    model, samples = RewardModel.load(saved.out), mix(saved.datasets, BadRows()).samples
    whole, told = fitting._states(model, samples), list[object]()

    def fails(*_: object) -> None:
        raise torch.OutOfMemoryError("memory")

    monkeypatch.setattr(fitting, "world", lambda: 2)
    monkeypatch.setattr(fitting, "collected", lambda mine: told.append(mine) or [whole, None])  # type: ignore[func-returns-value]
    fitting.fit_final(model, samples, saved.out, bf16=False)
    assert "not every process" in capsys.readouterr().err
    monkeypatch.setattr(fitting, "_states", fails)
    monkeypatch.setattr(fitting, "rank", lambda: 1)
    fitting.fit_final(model, samples, saved.out, bf16=False)
    assert told[-1] is None
    assert "process 1 of 2: OutOfMemoryError: memory" in capsys.readouterr().err
    assert not (saved.out / FILE).exists()


def test_a_short_run_says_that_nothing_is_fitted(saved: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    fitting.fit_final(RewardModel.load(saved.out), [], saved.out, bf16=False)
    assert "the run was too short" in capsys.readouterr().err


def test_a_folder_without_a_record_is_refused_before_any_work(saved: TrainConfig) -> None:
    (saved.out / RECORD).unlink()
    with pytest.raises(CheckpointError, match=r"convert .* OUT --to published"):
        fitting.fit_folder(saved.out, {"no such dataset": 1.0}, 40, None)


@pytest.mark.parametrize("broken", ["gone", "torn", "another"])
def test_a_file_that_was_lost_can_be_fitted_again(saved: TrainConfig, broken: str) -> None:
    fitting.fit_folder(saved.out, saved.datasets, 40, None)
    path = saved.out / FILE
    kept = path.read_bytes()
    if broken == "gone":
        path.unlink()
    else:
        path.write_bytes(kept[:90] if broken == "torn" else kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(CheckpointError, match=f"omnireward uncertainty {saved.out}"):
        RewardModel.load(saved.out)
    fitting.fit_folder(saved.out, saved.datasets, 40, None)
    assert path.read_bytes() == kept
    assert RewardModel.load(saved.out).uncertainty is not None


def test_what_a_run_saw_is_fitted_to_unless_other_data_are_named(
    saved: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Sample]] = []
    plain = fitting._states
    monkeypatch.setattr(fitting, "_states", lambda *args: seen.append(list(args[1])) or plain(*args))  # type: ignore[func-returns-value]
    with pytest.raises(RecipeError, match="name the data"):
        fitting.fit_folder(saved.out, {}, 40, None)
    config = replace(saved, steps=6, seed=3, limit=30)
    provenance.save_config("train", config, saved.out)
    fitting.fit_folder(saved.out, {}, 40, None)
    mixture = mixture_of(config, BadRows())
    assert seen[-1] == [mixture.samples[i] for i in mixture.order(3, 0)[:24]]  # 6 steps of 4
    with pytest.raises(RecipeError, match="no sample to train on"):
        fitting.fit_folder(saved.out, {}, 40, None, criteria="without")
    provenance.save_config("train", replace(config, steps=None), saved.out)
    fitting.fit_folder(saved.out, {"texts": 0.9}, 40, 40)
    assert len(seen[-1]) == 36


def test_paths_of_a_config_are_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "miniature").mkdir()
    assert fitting._from_here("data", tmp_path) == str(tmp_path / "data")
    assert fitting._from_here("parquet:data?x=1", tmp_path) == f"parquet:{tmp_path}/data?x=1"
    for kept in ("miniature", "miniature:turns=3", "hub:a/b@1", "/data"):
        assert fitting._from_here(kept, tmp_path) == kept
