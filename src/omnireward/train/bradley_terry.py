"""The scalar reward model's training run: Bradley-Terry on a thin `transformers.Trainer`.

Ours are the batches and the loss; the loop, resuming, trackers and scale-out come with the Trainer. All pairs of an
optimizer step come together and are spread over passes by their tokens, counted once where rows share them; a pass
holds each distinct response once, however many pairs it is part of. A step's media are decoded while the step before it
is computed. Only the hidden state of the last token reaches the head: no vocabulary logits are computed anywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from omnireward import provenance
from omnireward.ahead import Ahead, Coming, Response, response_of
from omnireward.encoded import Encoded
from omnireward.errors import BadRowError, MediaError, OmniRewardError, PromptError, RecipeError
from omnireward.reward_model import NOTHING, RewardModel
from omnireward.sources import BadRows
from omnireward.tie_head import TieHead, TieKind
from omnireward.train import made, resuming
from omnireward.train.base import teach_first
from omnireward.train.config import TrainConfig
from omnireward.train.fitting import fit_final, trained_on
from omnireward.train.losses import bradley_terry, with_ties
from omnireward.train.mixing import Mixture, SeededOrder, mixture_of, texts
from omnireward.train.passes import in_passes
from omnireward.train.reporting import LogLines, ProgressBar
from omnireward.train.resuming import Identity
from omnireward.train.sharing import SharingTrainer
from omnireward.train.start import started
from omnireward.train.stops import Stops
from omnireward.train.tiny import is_tiny, make
from omnireward.train.together import rank, tell, union
from omnireward.train.tuning import check as check_parts
from omnireward.train.tuning import optimizer_of, tune
from omnireward.types import Sample, Side

SIDES: tuple[Side, ...] = ("a", "b")
VIDEOALIGN = math.log(4)  # softplus of it is log 5: theta of Rao and Kupper's model is 5 in VideoAlign (2501.13918)


def train(config: TrainConfig) -> Path:
    """Run one training from a config; returns the folder with the checkpoint.

    Raises:
        RecipeError: the config cannot be used.
        SourceError: rows that cannot be read (unless bad rows are skipped).
        TrainingError: the loss is no longer finite or has exploded, or the disk is full.
        StoppedError: a signal asked the run to stop, and it did.
    """
    return started(config, _train)


def _train(config: TrainConfig) -> None:
    bad_rows = BadRows(skip=config.skip_bad_rows)
    mixture = mixture_of(config, bad_rows)
    run = resuming.identity(config, mixture.samples, mixture.order(config.seed, 0))
    checkpoint = resuming.checkpoint(config, run)
    if rank() == 0:
        provenance.save_config(config.VERB, replace(config, resume=False), config.out)  # the run, not this start of it
    model = _start(config, mixture, checkpoint)
    model.features.dtype = torch.bfloat16 if config.bf16 else None
    if config.taught and checkpoint is None:
        check_parts(model, config)
        teach_first(model, config)
    set_ties(model, config, mixture)
    model.uncertainty = None  # of what it was before
    tune(model, config)
    model.max_tokens = config.max_tokens
    model.packing = config.packing
    with Stops() as stops:
        trainer = BradleyTerryTrainer(model, config, mixture, bad_rows, run)
        trainer.add_callback(stops)
        try:
            trainer.train_from(checkpoint)
        finally:
            trainer.bar.close()  # or an interrupted run would leave the terminal without a cursor
            trainer.ahead.close()
        if stops.asked and trainer.state.global_step < trainer.state.max_steps:
            raise resuming.stopped(config, trainer.state.global_step)
        tied = sum(sample.preference == "tie" for sample in mixture.samples)
        summary = {"pairs": len(mixture.samples), "ties": tied, "ties_left_out": mixture.ties}
        summary |= {"bad_rows": trainer.unusable()}
        if trainer.is_world_process_zero():
            told = summary | {"left_out": mixture.unwanted, "versions": made.versions()}
            (config.out / "data.json").write_text(json.dumps(told, indent=2) + "\n")
        trainer.save_final()
        shown = trained_on(mixture, config.seed, trainer.state.max_steps * config.per_step)
        split = config.sharding == "fsdp"
        fit_final(model, shown, config.out, config.bf16, config.tokens_per_pass, trainer.bad, split)
        if trainer.is_world_process_zero():
            made.write_card(config.out)


def set_ties(model: RewardModel, config: TrainConfig, mixture: Mixture) -> None:
    """Give the model the tie head that the config wants, unless it has it already; `drop` takes away what there is.

    Raises:
        RecipeError: it has another, or the data have no tie to train it with: it would no longer fit the rewards.
    """
    if config.ties == "drop":
        model.ties = None
        return
    kind: TieKind = "davidson" if config.ties == "davidson" else "rao_kupper"
    each = config.tie_threshold == "each" and config.ties != "videoalign"
    there, tied = model.ties, any(sample.preference == "tie" for sample in mixture.samples)
    if there is not None:
        _check_ties(there, config, kind, each, tied)
    elif not tied:
        return
    else:
        model.ties = there = TieHead(model.backbone.hidden_size, kind, each)
    there.weight.requires_grad_(each)
    if config.ties == "videoalign":
        there.set_bias(VIDEOALIGN)
        there.pace.requires_grad_(False)


def _check_ties(there: TieHead, config: TrainConfig, kind: TieKind, each: bool, tied: bool) -> None:
    fault = ""
    if there.kind != kind:
        fault = f"it learned ties with {there.kind}, and --ties {config.ties} is another model of them"
    elif not each and bool(there.weight.any()):
        fault = f"each response has a threshold of its own there, and --ties {config.ties} was to have one for all"
    elif not tied:
        fault = "the data have no ties, and it would learn that there are none"
    if fault:
        raise RecipeError(
            f"{config.model} has a tie head: {fault}. Train it on with data and flags of the same kind, or take the "
            "head away with --ties drop."
        )


def _start(config: TrainConfig, mixture: Mixture, checkpoint: Path | None) -> RewardModel:
    torch.manual_seed(config.seed)
    if checkpoint is not None:
        return RewardModel.load(checkpoint, config.layout, config.head_dropout)
    if not is_tiny(config.model):
        return RewardModel.load_or_new_head(Path(config.model), config.layout, config.head_dropout)
    family, backbone = make(config.model, texts(mixture.samples), config.seed)
    return RewardModel(backbone, family, config.layout or "natural", config.head_dropout)


class BradleyTerryTrainer(SharingTrainer):
    """A Trainer whose batches are encoded pairs and whose loss is equation 1."""

    def __init__(
        self, model: RewardModel, config: TrainConfig, mixture: Mixture, bad_rows: BadRows, run: Identity
    ) -> None:
        self.bad_rows, self.unread = bad_rows, len(bad_rows.errors)  # those that reading met are met by every start
        self.samples = mixture.samples
        self.bar = ProgressBar("train on preferences")
        self._filler: Encoded | None = None
        self.bad: set[int] = set()  # id() of samples found unusable: each counts once, however many epochs show it
        self.seen: list[
            tuple[int, int, float]
        ] = []  # pairs, right ones, sum of margins of each pass since the last log
        super().__init__(
            model,
            config,
            SeededOrder(mixture, config.seed),
            run,
            data_collator=self.begin_step,
            train_dataset=_Samples(mixture.samples),
            callbacks=[LogLines(config.out / "log.jsonl"), self.bar],
        )
        self.ahead = Ahead(model)
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    def begin_step(self, samples: Sequence[Sample]) -> dict[str, Any]:
        """Begin to encode the pairs of a step. The loop calls this for a step before it trains on the one before."""
        usable = [sample.comparison for sample in samples if id(sample) not in self.bad]
        return {"step": _Step(samples, self.ahead.begin((asked, side) for asked in usable for side in SIDES))}

    def encoded_step(self, step: _Step) -> _Encoded:
        """The passes of a step, and its number of pairs. A sample with unusable media, or too long, is a bad row."""
        rows: dict[Response, Encoded] = {}
        pairs: list[tuple[Response, Response]] = []
        tied: set[int] = set()
        for sample in step.samples:
            if id(sample) in self.bad:
                continue
            try:
                chosen, rejected = (_response(rows, step.coming, sample, side) for side in SIDES)
            except (MediaError, PromptError) as error:
                where = sample.provenance.get("file", sample.provenance.get("source", "dataset"))
                self.bad_rows.add(BadRowError(where, int(sample.provenance.get("row", -1)), sample.id, str(error)))
                self.bad.add(id(sample))
                continue
            if sample.preference == "tie":
                tied.add(len(pairs))
            pairs.append((chosen, rejected))
        return _Encoded(in_passes(pairs, rows, self.config.tokens_per_pass, tied), len(pairs))

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Gradients of a step; the loss is the mean over its pairs, whichever pass and process they are in."""
        step, error = _Encoded([], 0), None
        try:
            step = self.encoded_step(inputs["step"])
        except OmniRewardError as raised:
            error = raised
        loss = self.gradients(model, step.passes, error)
        self.watch.saw(loss, (sample.id for sample in inputs["step"].samples))
        return loss

    def nothing(self) -> dict[str, Any]:
        """A pass without a pair."""
        if self._filler is None:
            self._filler = cast(RewardModel, self.model).encode(NOTHING, "a")
        return {"encoded": [self._filler], "chosen": [], "rejected": [], "tied": [], "count": 0}

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Equation 1 over a pass, or the likelihood with ties; keeps accuracy and margin of what is no tie."""
        ties = cast(RewardModel, self.model).ties
        found: Tensor = model(inputs["encoded"], leeways=ties is not None)
        if not inputs["chosen"]:
            return found.sum() * 0.0
        chosen, rejected = found[inputs["chosen"]], found[inputs["rejected"]]
        if ties is None:
            loss, margin = bradley_terry(chosen, rejected), (chosen - rejected).detach()
        else:
            margins, leeways = chosen[:, 0] - rejected[:, 0], (chosen[:, 1] + rejected[:, 1]) / 2
            tied = torch.tensor(inputs["tied"], device=found.device)
            loss, margin = with_ties(ties.log_probabilities(margins, leeways), tied), margins.detach()[~tied]
        self.seen.append((len(margin), int((margin > 0).sum()), margin.sum().item()))
        return (loss, found) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what all processes saw since the last line."""
        if "loss" in logs:
            seen = [sum(values) for values in zip(*self.seen, strict=True)] or [0, 0, 0.0]
            pairs, right, margin = tell(seen).sum(0).tolist()
            if pairs:
                logs |= {"accuracy": round(right / pairs, 4), "margin": round(margin / pairs, 4)}
            self.seen.clear()
        super().log(logs, start_time)

    def unlogged(self) -> Mapping[str, Any]:
        """What the next line of the log needs of the steps so far, and the samples found unusable."""
        rows = [(error.file, error.row, error.field, error.problem) for error in self.bad_rows.errors[self.unread :]]
        return {"seen": self.seen, "bad": self._bad(), "bad_rows": rows}

    def take_up(self, unlogged: Mapping[str, Any]) -> None:
        """Add it."""
        self.seen += [(pairs, right, margin) for pairs, right, margin in unlogged["seen"]]
        self.bad |= {id(self.samples[index]) for index in unlogged["bad"]}
        self.bad_rows.errors += [BadRowError(*row) for row in unlogged["bad_rows"]]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW, with a rate for each part where the config has some; or Muon for the layers' matrices beside it."""
        if self.optimizer is None:
            self.optimizer = optimizer_of(self, cast(RewardModel, self.model), self.config)
        return super().create_optimizer(model)

    def unusable(self) -> int:
        """How many rows could not be used: in reading, and by any process in training."""
        return self.unread + len(union(set(self._bad())))

    def _bad(self) -> list[int]:
        return [index for index, sample in enumerate(self.samples) if id(sample) in self.bad]


@dataclass(frozen=True, slots=True)
class _Step:
    """The samples of a step, and their responses, which are being encoded."""

    samples: Sequence[Sample]
    coming: Coming


@dataclass(frozen=True, slots=True)
class _Encoded:
    """What a process computes of a step: its passes, and the number of pairs in them."""

    passes: Sequence[dict[str, Any]]
    pairs: int


def _response(rows: dict[Response, Encoded], coming: Coming, sample: Sample, side: Side) -> Response:
    """The key of one response in `rows`, to which it is added unless an equal one is there."""
    key = response_of(sample.comparison, side)
    if key not in rows:
        rows[key] = coming.encoded(sample.comparison, side)
    return key


class _Samples(Dataset[Sample]):
    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]

    def __len__(self) -> int:
        return len(self.samples)
