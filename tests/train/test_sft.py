"""The warm start: its loss by hand, what changes nothing, what resumes, bad critiques, and words that are learned."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.train.scripted import log
from torch import Tensor

from omnireward.critiques import Critique, write_critiques
from omnireward.errors import BadRowError, OmniRewardError, PromptError, RecipeError, StoppedError
from omnireward.media import encode
from omnireward.policy import Policy, holds_judge
from omnireward.prompts import Form
from omnireward.speaking import speak
from omnireward.train.sft import CritiqueTrainer, question_of, sft
from omnireward.train.sft_config import SFTConfig
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

MakeSample = Callable[..., Sample]
FORM = Form("pairwise", critique=True, ties=True)
WEIGHTS = "model.safetensors"
SAID = ("It is good.\nVERDICT: A", "Both are alike, and long.\nVERDICT: TIE", "No.\nVERDICT: B")


def _critiques(make_sample: MakeSample, count: int = 6) -> list[Critique]:
    return [Critique(make_sample(f"topic {n % 4}"), n >= 4, SAID[n % 3]) for n in range(count)]


def _picture(name: str, data: bytes) -> Sample:
    shown = Comparison((Turn("user", (Text("Draw."),)),), (Media("image", data),), (Media("image", _png(9)),))
    return Sample(name, Task.T2I, shown, "a", name, (), {"file": "rows.jsonl", "row": "7"})


def _png(seed: int) -> bytes:
    return encode.png(np.random.default_rng(seed).integers(0, 256, (30, 30, 3), dtype=np.uint8))


@pytest.fixture
def config(tmp_path: Path, make_sample: MakeSample) -> SFTConfig:
    """Six critiques of four samples in steps of three, with a tiny judge of texts."""
    write_critiques(_critiques(make_sample), tmp_path / "critiques")
    return SFTConfig(
        out=tmp_path / "run",
        model="tiny:text",
        critiques={str(tmp_path / "critiques"): 1.0},
        steps=4,
        epochs=99.0,
        batch_size=3,
        accumulation=1,
        learning_rate=1e-3,
        warmup=0.0,
        log_every=1,
    )


def _lines(out: Path) -> list[dict[str, float]]:
    return [line for line in log(out) if "loss" in line]


def _spied(monkeypatch: pytest.MonkeyPatch) -> list[list[Critique]]:
    """The critiques of each step."""
    steps: list[list[Critique]] = []
    plain = CritiqueTrainer.training_step

    def spy(self: CritiqueTrainer, model: Any, inputs: dict[str, Any], count: Any = None) -> Tensor:
        steps.append([self.given[number] for number in inputs["step"].numbers])
        return plain(self, model, inputs, count)

    monkeypatch.setattr(CritiqueTrainer, "training_step", spy)
    return steps


def test_the_loss_is_the_mean_over_all_tokens_of_a_step_and_orders_are_as_said(
    config: SFTConfig, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answer by answer with the policy's own log-probabilities, summed and divided by all their tokens, ends included.

    A run with a rate of 0 keeps the judge that it began with; no two answers have as many tokens.
    """
    steps = _spied(monkeypatch)
    still = replace(config, learning_rate=0.0)
    sft(still)
    policy, told = Policy.load(still.out), _critiques(make_sample)
    assert policy.form == FORM
    for critiques, line in zip(steps, _lines(still.out), strict=True):
        total, tokens = 0.0, 0
        for critique in critiques:
            question, answer = policy.tell(question_of(critique, FORM), critique.answer)
            with torch.no_grad():
                total -= float(policy([question], [answer]).logps.sum())
            tokens += len(answer)
            assert int(answer[-1]) == policy.end
        assert line["loss"] == pytest.approx(total / tokens, rel=1e-5)
    wanted = sorted((critique.sample.id, critique.swapped, critique.answer) for critique in told)
    for epoch in (steps[:2], steps[2:]):
        shown = [(one.sample.id, one.swapped, one.answer) for step in epoch for one in step]
        assert sorted(shown) == wanted
    first = question_of(told[4], FORM).turns[1].content[0]
    assert isinstance(first, Text)
    assert first.text.index("bad") < first.text.index("good")  # swapped


@pytest.mark.parametrize("changes", [{"tokens_per_pass": 1}, {"batch_size": 1, "accumulation": 3}], ids=str)
def test_how_a_step_is_spread_over_passes_changes_nothing(config: SFTConfig, changes: dict[str, Any]) -> None:
    other = replace(config, out=config.out.with_name("other"), **changes)
    for each in (config, other):
        sft(each)
    for one, two in zip(_lines(config.out), _lines(other.out), strict=True):
        assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(two["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_told_to_stop_and_resumed_a_run_ends_with_the_same_bytes(
    config: SFTConfig, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch, optimizer: Any
) -> None:
    """In the middle of an epoch, with lines of the log that span the stop, and with a critique that cannot be used."""
    told = [*_critiques(make_sample), Critique(_picture("picture", b"no picture"), False, SAID[0])]
    write_critiques(told, config.out.with_name("critiques"))
    config = replace(config, optimizer=optimizer, steps=5, log_every=2, skip_bad_rows=True, learning_rate=1e-4)
    straight = replace(config, out=config.out.with_name("straight"))
    sft(straight)
    steps = _spied(monkeypatch)
    plain = CritiqueTrainer.compute_loss

    def stopping(self: CritiqueTrainer, *given: Any, **more: Any) -> Any:
        if len(steps) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(self, *given, **more)

    monkeypatch.setattr(CritiqueTrainer, "compute_loss", stopping)
    with pytest.raises(StoppedError, match=r"stopped after step 4, as asked\.(?s:.*)sft .*--resume"):
        sft(config)
    assert not holds_judge(config.out)
    monkeypatch.setattr(CritiqueTrainer, "compute_loss", plain)
    with pytest.raises(RecipeError, match=r"learning_rate is 0.5"):
        sft(replace(config, resume=True, learning_rate=0.5))
    sft(replace(config, resume=True))
    for name in (WEIGHTS, "data.json", "tokenizer.json", "omnireward.json"):
        assert (config.out / name).read_bytes() == (straight.out / name).read_bytes(), name
    assert _lines(config.out) == _lines(straight.out)
    assert json.loads((config.out / "data.json").read_text())["bad_rows"] == 1


def test_other_orders_of_the_same_words_are_other_critiques(config: SFTConfig, make_sample: MakeSample) -> None:
    """A run is not gone on with when what its critiques speak of has been turned round."""
    stopped = replace(config, save_every=1)
    sft(stopped)
    for path in (stopped.out / WEIGHTS, stopped.out / "omnireward.json"):
        path.unlink()
    told = [replace(critique, swapped=not critique.swapped) for critique in _critiques(make_sample)]
    write_critiques(told, config.out.with_name("critiques"))
    with pytest.raises(RecipeError, match="the data are not those"):
        sft(replace(stopped, resume=True))


@pytest.mark.parametrize("place", [0, 3], ids=["the first one", "another one"])
def test_critiques_that_cannot_be_used_are_counted_once_or_stop_the_run(
    config: SFTConfig, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Each epoch shows each twice, in steps of one, so one step has nothing that can be used."""
    told = _critiques(make_sample, 3)
    told.insert(place, Critique(_picture("broken", b"no picture"), False, SAID[0]))
    write_critiques(told, config.out.with_name("critiques"))
    (where,) = config.critiques
    config = replace(config, critiques={where: 2.0}, batch_size=1, steps=10)
    with pytest.raises(BadRowError, match="broken"):
        sft(config)
    again = replace(config, out=config.out.with_name("again"), skip_bad_rows=True)
    sft(again)
    data = json.loads((again.out / "data.json").read_text())
    assert (data["critiques"], data["bad_rows"]) == (4, 1)
    losses = [line["loss"] for line in _lines(again.out)]
    assert losses.count(0.0) >= 1  # of the step that had nothing
    assert len([loss for loss in losses if loss > 0]) >= 7
    assert holds_judge(again.out)


def test_two_that_are_bad_in_one_step_and_lines_that_cannot_be_read_are_counted(
    config: SFTConfig, make_sample: MakeSample
) -> None:
    told = [*_critiques(make_sample, 3), Critique(_picture("broken", b"no picture"), False, SAID[0])]
    folder = config.out.with_name("critiques")
    write_critiques(told, folder)
    with (folder / "critiques.jsonl").open("a") as file:
        file.write('{"id": "topic 0", "answer": ""}\n{"id": "nobody", "answer": "VERDICT: A"}\n')
    config = replace(config, critiques={str(folder): 2.0}, batch_size=8, steps=2, skip_bad_rows=True)
    sft(config)
    data = json.loads((config.out / "data.json").read_text())
    assert (data["critiques"], data["bad_rows"]) == (4, 3)


def test_pictures_are_seen_and_a_finished_folder_is_left_alone(
    config: SFTConfig, make_sample: MakeSample, capfd: pytest.CaptureFixture[str]
) -> None:
    """A judge of all media; it is read with its form, and a second run into its folder is refused."""
    told = [*_critiques(make_sample, 2), Critique(_picture("whole", _png(0)), False, SAID[0])]
    write_critiques(told, config.out.with_name("critiques"))
    config = replace(config, model="tiny", ties=False, critique=True, steps=2, optimizer="muon")
    sft(config)
    judge = Policy.load(config.out)
    assert judge.form == Form("pairwise", critique=True, ties=False)
    assert judge.family == "minicpm_o"
    before = (config.out / WEIGHTS).read_bytes()
    with pytest.raises(RecipeError, match="holds a trained model already; choose another --out"):
        sft(config)
    capfd.readouterr()
    sft(replace(config, resume=True))
    assert "nothing to resume" in capfd.readouterr().err
    assert (config.out / WEIGHTS).read_bytes() == before
    further = replace(config, model=str(config.out), out=config.out.with_name("further"), steps=1, critique=False)
    sft(further)
    assert Policy.load(further.out).form == Form("pairwise", critique=False, ties=False)


def test_parts_may_have_rates_of_their_own(config: SFTConfig) -> None:
    still = replace(config, learning_rate=0.0, steps=1)
    sft(still)
    sft(replace(still, out=config.out.with_name("head"), learning_rates={"head": 1e-3}))
    start, end = (load_file(config.out.with_name(name) / WEIGHTS) for name in ("run", "head"))
    assert {name for name, value in start.items() if not torch.equal(value, end[name])} == {"lm_head.weight"}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_adapters_learn_alone(config: SFTConfig, optimizer: Any) -> None:
    sft(replace(config, lora_rank=2, optimizer=optimizer, learning_rate=1e-2 if optimizer == "adamw" else 1e-4))
    assert not (config.out / WEIGHTS).exists()
    adapters = load_file(config.out / "adapter_model.safetensors")
    assert all((value != 0).any() for value in adapters.values())
    assert Policy.load(config.out).form == FORM
    first, *_, last = [line["loss"] for line in _lines(config.out)]
    assert last < first


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "muon's rates": ({"optimizer": "muon", "learning_rates": {"head": 1e-3}}, "learning_rates are AdamW's"),
    "muon in parts": ({"optimizer": "muon", "sharding": "fsdp"}, "muon takes whole matrices, so sharding is none"),
    "no limit": ({"limit": 0}, "the limit must be at least 1"),
    "no place": ({"critiques": {}}, "no place was given"),
    "weight": ({"critiques": {"miniature": 0.0}}, "must be positive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_configs_that_cannot_be_used_say_what_to_do(config: SFTConfig, name: str) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(OmniRewardError, match=said):
        sft(replace(config, **changes))


def test_a_place_without_critiques_is_refused(config: SFTConfig) -> None:
    (where,) = config.critiques
    (Path(where) / "critiques.jsonl").write_text("")
    with pytest.raises(RecipeError, match="gives no critique to learn from: 0, weight 1"):
        sft(config)


def test_questions_that_cannot_be_asked_are_bad_rows(config: SFTConfig, make_sample: MakeSample) -> None:
    """Not an end of the run before it began, where the words of all questions are looked at."""
    plain = make_sample("odd")
    odd = replace(plain, comparison=replace(plain.comparison, prompt=(Turn("assistant", (Text("Hello."),)),)))
    with pytest.raises(PromptError):
        question_of(Critique(odd, False, SAID[0]), FORM)
    told: Sequence[Critique] = [*_critiques(make_sample), Critique(odd, False, SAID[0])]
    write_critiques(told, config.out.with_name("critiques"))
    sft(replace(config, skip_bad_rows=True))
    assert json.loads((config.out / "data.json").read_text())["bad_rows"] == 1


def test_one_critique_is_learned_word_by_word(config: SFTConfig, make_sample: MakeSample) -> None:
    """And written without chance, to the question in its order alone."""
    told = [Critique(make_sample("topic 0"), True, "B is the good one, A is not.\nVERDICT: B")]
    write_critiques(told, config.out.with_name("critiques"))
    sft(replace(config, batch_size=1, steps=60, learning_rate=3e-3))
    assert _lines(config.out)[-1]["loss"] < 0.1
    judge = Policy.load(config.out)
    asked = judge.ask(question_of(told[0], judge.form or FORM))
    (said,) = speak(judge, [asked], [0], [0], temperature=0, max_tokens=40)
    assert judge.words(said.ids) == told[0].answer
    assert said.ended
