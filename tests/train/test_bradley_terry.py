"""Training end to end on a tiny model: what is learned, what is written, what resumes, and what stops a run."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor
from transformers import TrainerControl, TrainerState

from omnireward import plugins
from omnireward.backbones import BackboneFamily, Prepared, Row
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.encoded import Encoded
from omnireward.errors import BadRowError, CheckpointError, RecipeError, TrainingError, UnknownNameError
from omnireward.media import encode
from omnireward.miniature.world import World, samples
from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.train import bradley_terry, losses
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import mix
from omnireward.train.passes import in_passes
from omnireward.train.reporting import LogLines
from omnireward.types import PAPER_TASKS, Comparison, Media, Sample, Task, Text, Turn

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
WEIGHTS = ("model.safetensors", "value_head.safetensors")
TIES = "tie_head.safetensors"


@pytest.fixture
def config(tmp_path: Path, places: Places, make_sample: MakeSample) -> TrainConfig:
    """Two steps on four pairs of texts."""
    places["texts"] = [make_sample(f"topic {n}", "ab"[n % 2], criterion=f"It should be {n}.") for n in range(4)]
    return TrainConfig(
        out=tmp_path / "run",
        datasets={"texts": 1.0},
        steps=2,
        epochs=1.0,
        batch_size=2,
        accumulation=1,
        learning_rate=1e-3,
        log_every=1,
    )


def _log(out: Path) -> list[dict[str, float]]:
    """The lines of steps, without the last one, which tells how long the run took."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def _weights(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in WEIGHTS]


def _picture(data: bytes, sample: Sample, **provenance: str) -> Sample:
    comparison = Comparison((Turn("user", (Text("Draw."),)),), (Media("image", data),), (Text("none"),))
    return replace(sample, task=Task.T2I, comparison=comparison, provenance=provenance)


def test_one_pair_is_overfitted(config: TrainConfig, places: Places, make_sample: MakeSample) -> None:
    """From about log 2 to under 0.05, and the reward of the preferred response is the higher one."""
    sample = make_sample("tea", "b", a="a cup of rain", b="leaves in hot water", criterion="It should be true.")
    places["texts"] = [sample]
    bradley_terry.train(replace(config, steps=30, epochs=30.0, batch_size=1, learning_rate=2e-3))
    losses = [line["loss"] for line in _log(config.out)]
    assert len(losses) == 30
    assert 0.3 < losses[0] < 1.5
    assert losses[-1] < 0.05
    a, b = RewardModel.load(config.out).rewards([sample.comparison])[0].tolist()
    assert b - a > 3.0  # -log sigmoid(3) = 0.0486


def test_the_made_up_world_is_trained_on_end_to_end(tmp_path: Path) -> None:
    """By hand: nine tasks, six criteria for each prompt, six pairs of its four responses: 324 samples."""
    config = TrainConfig(
        out=tmp_path / "run", datasets={"miniature:prompts=1": 1.0}, steps=4, batch_size=7, accumulation=1, log_every=2
    )
    assert bradley_terry.train(config) == config.out
    log = _log(config.out)
    assert [line["step"] for line in log] == [2, 4]
    for line in log:
        assert {"loss", "accuracy", "margin", "learning_rate", "grad_norm", "epoch"} <= set(line)
        assert 0.0 < line["loss"] < 3.0
        assert 0.0 <= line["accuracy"] <= 1.0
        assert line["grad_norm"] > 0.0
    data = json.loads((config.out / "data.json").read_text())
    assert data["pairs"] + data["ties_left_out"] == 324
    assert data["bad_rows"] == 0
    assert RewardModel.load(config.out).layout == "natural"


def test_frozen_towers_stay_as_they_were_and_the_rest_moves(config: TrainConfig) -> None:
    """Compared with the same run of no step at all, which a learning rate of 0 is."""
    bradley_terry.train(config)
    still = replace(config, out=config.out.with_name("still"), learning_rate=0.0, weight_decay=0.0)
    bradley_terry.train(still)
    before, after = (load_file(folder / "model.safetensors") for folder in (still.out, config.out))
    model = RewardModel.load(config.out)
    model.freeze(config.freeze)
    for name, parameter in model.backbone.named_parameters():
        if not parameter.requires_grad:
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(
        before["llm.model.layers.0.mlp.up_proj.weight"], after["llm.model.layers.0.mlp.up_proj.weight"]
    )
    assert _weights(config.out)[1] != _weights(still.out)[1]


def test_the_resolved_config_is_saved_as_a_recipe(config: TrainConfig) -> None:
    bradley_terry.train(config)
    saved = yaml.safe_load((config.out / "config.yaml").read_text())
    assert saved["verb"] == "train"
    assert saved["out"] == "run"
    assert saved["datasets"] == {"texts": 1.0}
    assert (saved["steps"], saved["learning_rate"], saved["freeze"]) == (2, 1e-3, ["vision", "audio"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(config: TrainConfig) -> None:
    one, two, other = (replace(config, out=config.out.with_name(name)) for name in ("one", "two", "other"))
    for each in (one, two, replace(other, seed=1)):
        bradley_terry.train(each)
    assert _weights(one.out) == _weights(two.out)
    assert _log(one.out) == _log(two.out)
    assert _weights(one.out) != _weights(other.out)


def test_accumulated_batches_count_as_one_large_one(config: TrainConfig) -> None:
    """The mean over four pairs, at once or as two halves: same loss, same norm of the gradient in the first step."""
    large = replace(config, steps=1, batch_size=4)
    halves = replace(config, steps=1, batch_size=2, accumulation=2, out=config.out.with_name("halves"))
    for each in (large, halves):
        bradley_terry.train(each)
    (one,), (other,) = _log(large.out), _log(halves.out)
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
    assert one["accuracy"] == other["accuracy"]


def test_accuracy_and_margin_in_the_log_are_those_of_the_rewards(
    config: TrainConfig, places: Places, make_sample: MakeSample
) -> None:
    """With a learning rate of 0 every step sees the model that is saved."""
    bradley_terry.train(replace(config, steps=1, batch_size=4, learning_rate=0.0, weight_decay=0.0))
    samples = [cast(Sample, sample) for sample in places["texts"]]
    rewards = RewardModel.load(config.out).rewards([sample.comparison for sample in samples])
    signs = torch.tensor([1.0 if sample.preference == "a" else -1.0 for sample in samples])
    margins = (rewards[:, 0] - rewards[:, 1]) * signs
    (line,) = _log(config.out)
    assert line["margin"] == pytest.approx(margins.mean().item(), abs=2e-4)
    assert line["accuracy"] == pytest.approx((margins > 0).float().mean().item())
    assert line["loss"] == pytest.approx(-torch.nn.functional.logsigmoid(margins).mean().item(), abs=1e-4)


def _stopped_at_3(config: TrainConfig, out: Path) -> TrainConfig:
    """The run as a crash would leave it: its checkpoint of step 3, and a log that went on, its last line cut off."""
    shutil.copytree(config.out / "checkpoint-3", out / "checkpoint-3")
    lines = (config.out / "log.jsonl").read_text().splitlines(keepends=True)
    (out / "log.jsonl").write_text("".join(lines[:4]) + lines[4][:20])
    (out / "checkpoint-4").mkdir()  # begun, not finished
    return replace(config, out=out, resume=True)


def test_resuming_is_bit_identical_with_ties(config: TrainConfig, places: Places, make_sample: MakeSample) -> None:
    places["texts"] += [make_sample(f"tied {n}", "tie", criterion="It should be red.") for n in range(2)]
    straight = replace(config, steps=6, epochs=9.0, batch_size=1, save_every=3, tie_share=0.5)
    bradley_terry.train(straight)
    resumed = _stopped_at_3(straight, config.out.with_name("resumed"))
    bradley_terry.train(resumed)
    assert _weights(resumed.out) == _weights(straight.out)
    assert (resumed.out / TIES).read_bytes() == (straight.out / TIES).read_bytes()
    assert _log(resumed.out) == _log(straight.out)


@pytest.mark.parametrize("dropout", [0.0, 0.2], ids=["plain", "dropout"])
def test_resuming_is_bit_identical(config: TrainConfig, dropout: float) -> None:
    """Six steps straight against three, a stop, and three; an epoch has four pairs, so one ends after the stop."""
    straight = replace(config, steps=6, epochs=9.0, batch_size=1, save_every=3, head_dropout=dropout)
    bradley_terry.train(straight)
    resumed = _stopped_at_3(straight, config.out.with_name("resumed"))
    bradley_terry.train(resumed)
    assert _weights(resumed.out) == _weights(straight.out)
    assert _log(resumed.out) == _log(straight.out)
    assert [line["step"] for line in _log(resumed.out)] == [1, 2, 3, 4, 5, 6]


def test_resuming_is_bit_identical_with_media_across_an_epoch(tmp_path: Path, places: Places) -> None:
    """Media come from the cache in the straight run and from the towers, in other company, in the resumed one.

    Two samples of each task, so an epoch of batches of four ends with step 5.
    """
    made = [sample for sample in samples(World(prompts=1), "train") if sample.preference != "tie"]
    places["media"] = [sample for task in PAPER_TASKS for sample in [one for one in made if one.task is task][:2]]
    straight = TrainConfig(
        out=tmp_path / "straight",
        datasets={"media": 1.0},
        steps=6,
        batch_size=4,
        accumulation=1,
        learning_rate=1e-3,
        save_every=3,
        log_every=1,
    )
    bradley_terry.train(straight)
    epochs = [line["epoch"] for line in _log(straight.out)]
    assert epochs[2] < 1.0 < epochs[-1]
    resumed = _stopped_at_3(straight, tmp_path / "resumed")
    bradley_terry.train(resumed)
    assert _weights(resumed.out) == _weights(straight.out)
    assert _log(resumed.out) == _log(straight.out)


def test_what_teaching_freezes_is_trained_unless_the_config_freezes_it(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run is not taught, and must have the same parameters to train."""

    def teach(model: RewardModel, *_: object) -> None:
        model.freeze(model.towers)

    monkeypatch.setattr("omnireward.train.base.teach", teach)
    straight = replace(config, steps=6, epochs=9.0, batch_size=1, save_every=3, teach_towers=1, freeze=("audio",))
    bradley_terry.train(straight)
    resumed = _stopped_at_3(straight, config.out.with_name("resumed"))
    bradley_terry.train(resumed)
    assert _weights(resumed.out) == _weights(straight.out)


def test_there_must_be_something_to_resume(config: TrainConfig) -> None:
    (config.out / "checkpoint-3").mkdir(parents=True)  # begun, not finished
    with pytest.raises(RecipeError, match=r"nothing to resume in .*train anew into another --out"):
        bradley_terry.train(replace(config, resume=True))


def test_a_finished_model_is_not_trained_over(config: TrainConfig) -> None:
    bradley_terry.train(config)
    before = _weights(config.out)
    with pytest.raises(RecipeError, match=r"run holds a trained model already; choose another --out"):
        bradley_terry.train(replace(config, seed=1))
    assert _weights(config.out) == before


def test_a_fresh_run_where_one_was_stopped_starts_a_fresh_log(config: TrainConfig) -> None:
    config.out.mkdir()
    (config.out / "log.jsonl").write_text('{"step": 1, "loss": 0.7}\n{"step": 2, "loss": 0.7}\n{"step": 3, "lo')
    bradley_terry.train(config)
    assert [line["step"] for line in _log(config.out)] == [1, 2]


def test_lines_that_a_disk_spoiled_are_dropped_with_all_that_follow(config: TrainConfig) -> None:
    """Without power, a file can keep its length and lose its last bytes, which are zeros then, or anything."""
    log = LogLines(config.out / "log.jsonl")
    config.out.mkdir()
    log.path.write_bytes(b'{"step": 1}\n{"step": 2}\n\0\0\xff\n{"step": 3}\n')
    log.on_train_begin(cast(Any, None), TrainerState(global_step=9), TrainerControl())
    assert log.path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize("data", [b"\x89PNG broken", None], ids=["broken", "gone"])
def test_a_sample_with_unusable_media_stops_the_run(
    config: TrainConfig, places: Places, make_sample: MakeSample, tmp_path: Path, data: bytes | None
) -> None:
    broken = _picture(data or b"", make_sample("cat"), file="t2i.json", row="7")
    if data is None:
        gone = replace(broken.comparison, response_a=(Media("image", tmp_path / "gone.png"),))
        broken = replace(broken, comparison=gone)
    places["texts"].append(broken)
    with pytest.raises(BadRowError, match=r"t2i\.json, row 7, field 'cat': ") as raised:
        bradley_terry.train(replace(config, steps=3))
    assert raised.value.row == 7
    assert not (config.out / "model.safetensors").exists()


def test_a_skipped_sample_counts_once_however_many_epochs_show_it(
    config: TrainConfig, places: Places, make_sample: MakeSample
) -> None:
    """Two epochs of five pairs, one of them broken and alone in its batch."""
    places["texts"].append(_picture(b"broken", make_sample("cat")))
    bradley_terry.train(replace(config, steps=10, epochs=2.0, batch_size=1, skip_bad_rows=True))
    told = json.loads((config.out / "data.json").read_text())
    assert (told["pairs"], told["ties_left_out"], told["bad_rows"]) == (5, 0, 1)
    assert len(_log(config.out)) == 10


def test_a_skipped_sample_leaves_its_batch_mates_as_they_are(
    config: TrainConfig, places: Places, make_sample: MakeSample
) -> None:
    bradley_terry.train(replace(config, steps=1, batch_size=4))
    places["texts"].append(_picture(b"broken", make_sample("cat")))
    other = replace(config, steps=1, batch_size=5, skip_bad_rows=True, out=config.out.with_name("other"))
    bradley_terry.train(other)
    (one,), (two,) = _log(config.out), _log(other.out)
    assert one["accuracy"] == two["accuracy"]
    assert one["loss"] == pytest.approx(two["loss"], rel=0.1)  # the tokenizer saw one prompt more


def _pictures(make_sample: MakeSample, count: int) -> list[Sample | BadRowError]:
    """Pairs of a picture of its own and a text."""
    return [
        _picture(encode.png(np.full((28, 28, 3), 9 * n, np.uint8)), make_sample(f"picture {n}")) for n in range(count)
    ]


def test_the_next_step_is_begun_before_the_one_at_hand_is_trained_on(
    config: TrainConfig, places: Places, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    places["texts"] = _pictures(make_sample, 3)
    done: list[str] = []

    def noted(name: str) -> None:
        plain = getattr(bradley_terry.BradleyTerryTrainer, name)

        def method(self: Any, *given: Any) -> Any:
            done.append(name)
            return plain(self, *given)

        monkeypatch.setattr(bradley_terry.BradleyTerryTrainer, name, method)

    noted("begin_step")
    noted("encoded_step")
    bradley_terry.train(replace(config, steps=3, batch_size=1))
    begin, encoded = "begin_step", "encoded_step"
    assert done == [begin, begin, encoded, begin, encoded, encoded]


def test_a_step_is_computed_while_the_next_one_is_encoded(
    config: TrainConfig, places: Places, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step's loss waits until both pictures are decoded, its own and the next step's."""
    places["texts"] = _pictures(make_sample, 2)
    steps: list[int] = []
    decoded, plain = threading.Semaphore(0), MiniCPMO.prepare

    def prepare(self: MiniCPMO, media: Media) -> Prepared:
        made = plain(self, media)
        decoded.release()
        return made

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        if not steps:
            assert [decoded.acquire(timeout=20) for _ in range(2)] == [True, True]
        steps.append(1)
        return losses.bradley_terry(chosen, rejected)

    monkeypatch.setattr(MiniCPMO, "prepare", prepare)
    monkeypatch.setattr(bradley_terry, "bradley_terry", loss)
    bradley_terry.train(replace(config, batch_size=1))
    assert len(steps) == 2


def test_bad_rows_are_found_in_the_order_of_the_samples(
    config: TrainConfig, places: Places, make_sample: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of five pictures are broken, and those that come first take longest to decode."""
    rows = cast(list[Sample], _pictures(make_sample, 5))
    for n in (0, 2, 4):
        rows[n] = _picture(b"broken" + bytes([n]), rows[n])
    places["texts"] = list(rows)
    trainer = _trainer(config)
    trainer.bad_rows.skip = True
    model, plain = cast(RewardModel, trainer.model), MiniCPMO.prepare
    turn = [threading.Event() for _ in rows]
    monkeypatch.setattr("omnireward.ahead.processors", lambda: len(rows))

    def last_first(self: MiniCPMO, media: Media) -> Prepared:
        n = next(n for n, row in enumerate(rows) if row.comparison.response_a == (media,))
        assert n == 4 or turn[n + 1].wait(20)
        try:
            return plain(self, media)
        finally:
            turn[n].set()

    monkeypatch.setattr(MiniCPMO, "prepare", last_first)
    step = trainer.begin_step(rows)["step"]
    found = trainer.encoded_step(step)
    assert [error.field for error in trainer.bad_rows.errors] == ["picture 0", "picture 2", "picture 4"]
    assert found.pairs == 2
    expected = [model.encode(rows[n].comparison, "a").digests for n in (1, 3)]
    (one,) = found.passes
    assert [one["encoded"][n].digests for n in one["chosen"]] == expected
    trainer.ahead.close()
    trainer.bar.close()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, TrainingError])
def test_no_thread_outlives_a_run(
    config: TrainConfig,
    places: Places,
    make_sample: MakeSample,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException] | None,
) -> None:
    places["texts"] = _pictures(make_sample, 4)
    seen: set[str] = set()

    def loss(chosen: Tensor, rejected: Tensor) -> Tensor:
        seen.update(thread.name for thread in threading.enumerate())
        if error:
            raise error
        return losses.bradley_terry(chosen, rejected)

    monkeypatch.setattr(bradley_terry, "bradley_terry", loss)
    with pytest.raises(error) if error else nullcontext():
        bradley_terry.train(config)
    assert any(name.startswith("encode") for name in seen)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("encode")]


def _trainer(config: TrainConfig) -> bradley_terry.BradleyTerryTrainer:
    config.out.mkdir()
    torch.manual_seed(0)
    family = cast(BackboneFamily, plugins.load("backbones", "minicpm_o"))
    model = RewardModel(family.tiny(["It should be true.", "Write about tea."] * 9, 0), "minicpm_o", "natural")
    return bradley_terry.BradleyTerryTrainer(model, config, mix(config.datasets, BadRows()), BadRows(), {})


def _of_one_prompt(make_sample: MakeSample) -> list[Sample]:
    """Each two of four answers, under two criteria: the chosen one comes first in the alphabet, then last."""
    answers = ("ant", "bee and bee", "cat", "dog")
    return [
        replace(make_sample("tea", preference, a, b, criterion), id=f"{criterion} {a} {b}")
        for criterion, preference in (("It should be true.", "a"), ("It should be short.", "b"))
        for a, b in combinations(answers, 2)
    ]


@pytest.mark.parametrize("budget", [1, 60, 10**6])
def test_a_response_of_several_pairs_is_computed_once_in_a_pass_and_the_loss_is_the_same(
    config: TrainConfig, places: Places, make_sample: MakeSample, budget: int
) -> None:
    """Four answers under two criteria are eight rows, not the 24 of twelve pairs; each pair finds its own two.

    However the pairs are spread over passes, the step's loss and gradients are those of the mean over all pairs.
    """
    places["texts"] = list(_of_one_prompt(make_sample))
    trainer = _trainer(replace(config, tokens_per_pass=budget))
    model = cast(RewardModel, trainer.model)
    pairs = mix(config.datasets, BadRows()).samples
    batch = trainer.encoded_step(trainer.begin_step(pairs)["step"])
    passes = batch.passes
    assert (batch.pairs, sum(len(one["chosen"]) for one in passes)) == (12, 12)
    assert len(passes) == {1: 12, 10**6: 1}.get(budget, len(passes))
    assert budget != 60 or 1 < len(passes) < 12
    assert budget != 10**6 or len(passes[0]["encoded"]) == 8
    sides: dict[str, list[Encoded]] = {
        "chosen": [model.encode(sample.comparison, "a") for sample in pairs],
        "rejected": [model.encode(sample.comparison, "b") for sample in pairs],
    }
    for name, expected in sides.items():
        found = [one["encoded"][n].row.ids.tolist() for one in passes for n in one[name]]
        assert found == [one.row.ids.tolist() for one in expected]
    alone = [(model(sides["chosen"][n : n + 1]) - model(sides["rejected"][n : n + 1])).squeeze(0) for n in range(12)]
    expected_loss = -torch.nn.functional.logsigmoid(torch.stack(alone)).mean()
    weight = model.backbone.get_parameter("llm.model.layers.0.mlp.up_proj.weight")
    wanted = torch.autograd.grad(expected_loss, weight)[0]
    model.zero_grad()
    torch.testing.assert_close(trainer.training_step(model, trainer.begin_step(pairs)), expected_loss.detach())
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, wanted, rtol=1e-3, atol=1e-6)
    trainer.bar.close()


def test_passes_keep_to_their_budget_of_tokens_that_are_not_shared() -> None:
    """Rows of 10 tokens of which 7 are shared: a pair adds 13 tokens, or 6 after a pair of its own prompt."""

    def row(prompt: int, answer: int) -> Encoded:
        return Encoded(Row(torch.tensor([prompt] * 7 + [answer] * 3), ()), (), ())

    rows: dict[tuple[object, ...], Encoded] = {(p, a): row(p, a) for p in (1, 2) for a in (3, 4, 5, 6)}
    pairs = [((p, a), (p, b)) for p in (1, 2) for a, b in ((3, 4), (5, 6), (3, 5))]
    assert [len(one["chosen"]) for one in in_passes(pairs, rows, 10**6)] == [6]
    assert [len(one["chosen"]) for one in in_passes(pairs, rows, 19)] == [3, 3]
    assert [len(one["chosen"]) for one in in_passes(pairs, rows, 18)] == [1, 2, 1, 2]
    assert [len(one["chosen"]) for one in in_passes(pairs, rows, 1)] == [1] * 6
    first, *_ = in_passes(pairs, rows, 19)
    assert (first["chosen"], first["rejected"]) == ([0, 2, 0], [1, 3, 2])


def test_a_step_without_a_usable_pair_has_gradients_of_nothing(config: TrainConfig, places: Places) -> None:
    trainer = _trainer(config)
    model = cast(RewardModel, trainer.model)
    assert trainer.training_step(model, trainer.begin_step([])).item() == 0.0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters() if p.requires_grad)
    trainer.bar.close()


def test_equal_answers_to_other_prompts_or_criteria_are_other_rows(
    config: TrainConfig, places: Places, make_sample: MakeSample
) -> None:
    places["texts"] = [make_sample("tea"), make_sample("rain"), make_sample("tea", criterion="It should be true.")]
    trainer = _trainer(config)
    step = trainer.begin_step(mix(config.datasets, BadRows()).samples)["step"]
    (one,) = trainer.encoded_step(step).passes
    assert len(one["encoded"]) == 6
    trainer.bar.close()


class Closed:
    """Counts how often the terminal was given back."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: Any) -> None:
        self.count += 1


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_samples(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = Closed()
    monkeypatch.setattr("omnireward.progress.Progress.__exit__", closed)
    monkeypatch.setattr(bradley_terry, "bradley_terry", lambda chosen, rejected: (chosen - rejected).sum() * torch.nan)
    with pytest.raises(TrainingError, match=r"the loss is nan at step 0 on the samples \['topic \d', 'topic \d'\]"):
        bradley_terry.train(config)
    assert closed.count == 1
    assert not (config.out / "model.safetensors").exists()


@pytest.mark.parametrize("layout", ["paper", "natural"])
def test_a_checkpoint_is_trained_on_in_its_own_layout_only(config: TrainConfig, layout: Any) -> None:
    bradley_terry.train(replace(config, layout=layout))
    again = replace(config, model=str(config.out), out=config.out.with_name("again"))
    bradley_terry.train(again)
    assert RewardModel.load(again.out).layout == layout
    other = replace(again, layout="natural" if layout == "paper" else "paper", out=config.out.with_name("other"))
    with pytest.raises(CheckpointError, match=f"trained with the '{layout}' layout"):
        bradley_terry.train(other)


def test_training_on_starts_from_the_checkpoint(config: TrainConfig) -> None:
    bradley_terry.train(config)
    again = replace(
        config, model=str(config.out), out=config.out.with_name("again"), learning_rate=0.0, weight_decay=0.0
    )
    bradley_terry.train(again)
    assert _weights(again.out) == _weights(config.out)


def test_an_unknown_tower_is_refused(config: TrainConfig) -> None:
    with pytest.raises(UnknownNameError, match="freeze: there is no part 'eyes'"):
        bradley_terry.train(replace(config, freeze=("eyes",)))
