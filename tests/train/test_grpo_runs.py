"""Runs of GRPO: stopped and resumed ones, with broken media, with adapters; and one that learns what is right."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.train import scripted
from tests.train.scripted import BARE_A, FORM, LOST, RIGHT_A, RIGHT_B, Script

from omnireward.critiques import Critique
from omnireward.errors import BadRowError, CheckpointError, RecipeError, StoppedError
from omnireward.media import encode
from omnireward.policy import Policy, holds_judge
from omnireward.prompts import Form
from omnireward.train import sft
from omnireward.train.grpo import grpo
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.sft_config import SFTConfig
from omnireward.types import Media, Sample, Task

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
Play = Callable[..., Script]
LEFT = ("model.safetensors", "log.jsonl", "rollouts.jsonl", "data.json", "omnireward.json", "tokenizer.json")


def _by_seed(_: str, __: int, seed: int) -> str:
    return (RIGHT_A, RIGHT_B, LOST, BARE_A)[seed % 4]


def _picture(sample: Sample, data: bytes) -> Sample:
    shown = replace(sample.comparison, response_a=(Media("image", data),), response_b=(Media("image", _png(1)),))
    return replace(sample, task=Task.T2I, comparison=shown)


def _png(seed: int) -> bytes:
    return encode.png(np.random.default_rng(seed).integers(0, 256, (30, 30, 3), dtype=np.uint8))


def _stopping(*rounds: int) -> Callable[[int], None]:
    def before(number: int) -> None:
        if number in rounds:
            os.kill(os.getpid(), signal.SIGTERM)

    return before


@pytest.mark.parametrize(("updates", "accumulation"), [(1, 2), (2, 1)], ids=["one update", "two updates"])
def test_told_to_stop_and_resumed_twice_a_run_ends_with_the_same_bytes(
    grpo_config: GRPOConfig,
    play: Play,
    places: Places,
    make_sample: MakeSample,
    capfd: pytest.CaptureFixture[str],
    updates: int,
    accumulation: int,
) -> None:
    """An epoch has two rounds of five samples' four; with two updates, stops are between updates on one round.

    Lines of the log span the stops, and one sample is bad: a judge of texts is asked about pictures.
    """
    places["texts"].append(_picture(make_sample("picture"), _png(0)))
    config = replace(grpo_config, batch_size=1, accumulation=accumulation, updates=updates, orders="both")
    config = replace(config, steps=6, log_every=2, kl=0.1, skip_bad_rows=True, weight_decay=0.1)
    straight = replace(config, out=config.out.with_name("straight"))
    play(_by_seed)
    grpo(straight)
    at, rounds = ((3, 5), (2, 1)) if updates == 2 else ((3, 5), (3, 2))
    for resume, step, stop in ((False, at[0], rounds[0]), (True, at[1], rounds[1])):
        play(_by_seed, before=_stopping(stop))
        with pytest.raises(StoppedError, match=rf"stopped after step {step}, as asked\.(?s:.*)grpo .*--resume"):
            grpo(replace(config, resume=resume))
        assert not holds_judge(config.out)
        assert "SIGTERM: the run stops after this step." in capfd.readouterr().err
        there = sorted(path.name for path in (config.out / f"checkpoint-{step}").glob("round-*"))
        assert there == (["round-0.pt"] if updates == 2 else [])
    play(_by_seed)
    grpo(replace(config, resume=True))
    for name in LEFT:
        assert (config.out / name).read_bytes() == (straight.out / name).read_bytes(), name
    lines = scripted.log(config.out)
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert len({line["loss"] for line in lines}) == 3
    assert json.loads((config.out / "data.json").read_text())["bad_rows"] == 1


def test_a_resumed_run_wants_the_same_config_and_a_finished_one_is_left_alone(
    grpo_config: GRPOConfig, play: Play, capfd: pytest.CaptureFixture[str]
) -> None:
    config = replace(grpo_config, save_every=1)
    play(_by_seed, before=_stopping(1))
    with pytest.raises(StoppedError):
        grpo(config)
    with pytest.raises(RecipeError, match=r"clip_high is 0.5, and .* was trained with 0.3"):
        grpo(replace(config, resume=True, clip_high=0.5))
    with pytest.raises(RecipeError, match="go on with --resume"):
        grpo(config)
    play(_by_seed)
    grpo(replace(config, resume=True))
    before = (config.out / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(RecipeError, match="holds a trained model already"):
        grpo(config)
    capfd.readouterr()
    grpo(replace(config, resume=True))
    assert "holds the finished model: nothing to resume" in capfd.readouterr().err
    assert (config.out / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("skip", [True, False], ids=["skipped", "not skipped"])
def test_broken_media_are_a_bad_row(
    tmp_path: Path, grpo_config: GRPOConfig, places: Places, make_sample: MakeSample, skip: bool
) -> None:
    """Real answers of a judge that sees; its page, with the pictures, is drawn. A group of a bad row has no reward."""
    whole, broken = _picture(make_sample("whole"), _png(0)), _picture(make_sample("broken"), b"no picture")
    places["texts"] = [whole, broken, _picture(make_sample("other"), _png(2))]
    model = scripted.judge(tmp_path / "judge", "minicpm_o")
    config = replace(grpo_config, model=str(model), batch_size=3, orders="both", max_answer=4, skip_bad_rows=skip)
    if not skip:
        with pytest.raises(BadRowError, match="broken"):
            grpo(config)
        return
    grpo(replace(config, temperature=0.8))
    assert json.loads((config.out / "data.json").read_text())["bad_rows"] == 1
    told = scripted.groups(config.out)
    assert len(told) == 6
    for group in told:
        for answer in group["answers"]:
            assert (answer["reward"] is None) == (group["id"] == "broken")
            assert answer["tokens"] <= 4
            assert answer["advantage"] == 0.0 or group["id"] != "broken"
    page = (config.out / "log.html").read_text()
    assert "data:image/" in page
    for line in scripted.log(config.out):
        assert np.isfinite(line["loss"])
        assert line["cut_off"] + line["empty"] <= 8 / 12 + 1e-5
    assert Policy.load(config.out).form == FORM


def test_a_question_that_leaves_no_room_for_its_answer_is_a_bad_row(grpo_config: GRPOConfig, play: Play) -> None:
    """A tiny model was made for 4,096 tokens."""
    play(_by_seed)
    with pytest.raises(BadRowError, match=r"an answer of up to 4,050 are more than the 4,096 .* Lower --max-answer"):
        grpo(replace(grpo_config, max_answer=4050))


@pytest.mark.parametrize("kept", ["fp32", "bf16"])
def test_adapters_alone_learn_and_are_saved_and_the_drift_is_from_the_start(
    grpo_config: GRPOConfig, play: Play, kept: Any
) -> None:
    """Also where the weights below them are kept in bfloat16: the judge at the start is kept so too."""
    play(_by_seed)
    config = replace(grpo_config, lora_rank=2, frozen_weights=kept, kl=0.1, learning_rate=1e-2, steps=3)
    before = (Path(config.model) / "model.safetensors").read_bytes()
    grpo(config)
    drift = [line["kl"] for line in scripted.log(config.out)]
    assert drift[0] == 0.0
    assert min(drift[1:]) > 1e-4
    assert (Path(config.model) / "model.safetensors").read_bytes() == before
    assert not (config.out / "model.safetensors").exists()
    adapters = load_file(config.out / "adapter_model.safetensors")
    assert all((value != 0).any() for value in adapters.values())
    assert {key.rpartition(".lora_")[2] for key in adapters} == {"A.weight", "B.weight"}
    again = replace(config, model=str(config.out), out=config.out.with_name("again"), steps=1)
    grpo(again)
    assert scripted.log(again.out)[0]["kl"] == 0.0  # from where it began, which is not the base


def test_what_is_no_judge_is_refused(grpo_config: GRPOConfig, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "omnireward.json").write_text('{"family": "text"}')
    with pytest.raises(CheckpointError, match="holds a reward model, which writes no text"):
        grpo(replace(grpo_config, model=str(tmp_path / "model")))


@pytest.mark.slow
def test_a_judge_that_guesses_learns_what_is_right(
    grpo_config: GRPOConfig,
    tmp_path: Path,
    make_sample: MakeSample,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Real answers to one question. It is taught to say A and B alike, and then finds out which is right."""
    for place in ("grpo", "grpo_log"):
        monkeypatch.setattr(f"omnireward.train.{place}.write_page", lambda *_, **__: None)
    sample = make_sample("topic 0", "b")
    told = [Critique(sample, False, f"VERDICT: {letter}") for letter in "AB"]

    def read(*_: object) -> Iterator[Critique]:
        return iter(told)

    monkeypatch.setattr(sft, "read_critiques", read)
    warm = SFTConfig(out=tmp_path / "warm", model="tiny:text", critique=False, steps=40, epochs=99.0)
    sft.sft(replace(warm, batch_size=2, accumulation=1, learning_rate=3e-3, critiques={"x": 1.0}))
    places["texts"] = [sample]
    config = replace(grpo_config, model=str(warm.out), critique=False, batch_size=1, rollouts=12)
    grpo(replace(config, steps=30, learning_rate=6e-4, max_answer=8, kl=1e-3))
    rewards = [line["reward"] for line in scripted.log(config.out)]
    assert float(np.mean(rewards[-10:])) > float(np.mean(rewards[:5])) + 0.1
    before, after = (_how_likely(folder, told[1]) for folder in (warm.out, config.out))
    assert 0.3 < before < 0.6
    assert after > 0.75


def _how_likely(folder: Path, told: Critique) -> float:
    judge = Policy.load(folder)
    asked, answer = judge.tell(sft.question_of(told, Form("pairwise", False, True)), told.answer)
    with torch.no_grad():
        return float(judge([asked], [answer]).logps.sum().exp())
