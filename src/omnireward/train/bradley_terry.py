"""The scalar reward model's training run: Bradley-Terry on a thin `transformers.Trainer`.

Ours are the batches and the loss; the loop, resuming, trackers and scale-out come with the Trainer. All pairs of an
optimizer step come together and are spread over passes by their tokens, counted once where rows share them; a pass
holds each distinct response once, however many pairs it is part of. A step's media are decoded while the step before it
is computed. Only the hidden state of the last token reaches the head: no vocabulary logits are computed anywhere.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from omnireward import plugins, provenance
from omnireward.ahead import Ahead, Coming, Response, response_of
from omnireward.backbones import BackboneFamily
from omnireward.encoded import Encoded
from omnireward.errors import BadRowError, MediaError, PromptError, RecipeError, TrainingError
from omnireward.miniature.lessons import lessons
from omnireward.miniature.world import World
from omnireward.progress import Progress
from omnireward.reward_model import RECORD, RewardModel
from omnireward.sources import BadRows
from omnireward.train.config import TrainConfig
from omnireward.train.losses import bradley_terry
from omnireward.train.mixing import Mixture, SeededOrder, mix, texts
from omnireward.train.passes import in_passes
from omnireward.train.reporting import LogLines, ProgressBar
from omnireward.train.teach import teach
from omnireward.types import Sample, Side

TINY_FAMILY = "minicpm_o"
CHECKPOINT = "checkpoint-"
SIDES: tuple[Side, ...] = ("a", "b")


def train(config: TrainConfig) -> Path:
    """Run one training from a config; returns the folder with the checkpoint.

    Raises:
        RecipeError: the config cannot be used.
        SourceError: rows that cannot be read (unless bad rows are skipped).
        TrainingError: the loss is no longer finite.
    """
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # two threads on two busy cores are several times slower than one
    if not config.resume and (config.out / RECORD).exists():
        raise RecipeError(f"{config.out} holds a trained model already; choose another --out, or go on with --resume.")
    config.out.mkdir(parents=True, exist_ok=True)
    provenance.save_config("train", config, config.out)
    bad_rows = BadRows(skip=config.skip_bad_rows)
    mixture = mix(config.datasets, bad_rows, config.limit)
    checkpoint = _newest(config.out) if config.resume else None
    model = _start(config, mixture, checkpoint).requires_grad_(True)
    model.features.dtype = torch.bfloat16 if config.bf16 else None
    if (config.teach_towers or config.teach_language) and checkpoint is None:
        _teach(model, config)
        model.requires_grad_(True)  # teaching froze the towers; from here on the config says what is frozen
    model.freeze(config.freeze)
    model.max_tokens = config.max_tokens
    model.packing = config.packing
    trainer = BradleyTerryTrainer(model, config, mixture, bad_rows)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        trainer.bar.close()  # or an interrupted run would leave the terminal without a cursor
        trainer.ahead.close()
    if trainer.is_world_process_zero():
        model.save(config.out)
        summary = {"pairs": len(mixture.samples), "ties_left_out": mixture.ties, "bad_rows": len(bad_rows.errors)}
        (config.out / "data.json").write_text(json.dumps(summary, indent=2) + "\n")
    return config.out


def _teach(model: RewardModel, config: TrainConfig) -> None:
    taught = list(lessons(World()))
    steps = (
        ("prepare", "decode lessons", len(taught)),
        ("towers", "teach the towers", config.teach_towers),
        ("language", "teach the language", config.teach_language),
    )
    bars = {name: Progress(title, total) for name, title, total in steps}
    with ExitStack() as stack:
        open_bars: set[str] = set()

        def tick(name: str, loss: float) -> None:
            if name not in open_bars:  # one bar at a time: the step before is over
                stack.close()
                open_bars.add(name)
                stack.enter_context(bars[name])
            bars[name].advance(f"loss {loss:.3f}" if loss else "")

        teach(model, taught, config.teach_towers, config.teach_language, config.seed, tick)


def _start(config: TrainConfig, mixture: Mixture, checkpoint: Path | None) -> RewardModel:
    torch.manual_seed(config.seed)
    if checkpoint is not None:
        return RewardModel.load(checkpoint, config.layout, config.head_dropout)
    if config.model != "tiny":
        return RewardModel.load_or_new_head(Path(config.model), config.layout, config.head_dropout)
    family = cast(BackboneFamily, plugins.load("backbones", TINY_FAMILY))
    backbone = family.tiny(texts(mixture.samples), config.seed)
    return RewardModel(backbone, TINY_FAMILY, config.layout or "natural", config.head_dropout)


def _newest(out: Path) -> Path:
    """The newest complete checkpoint to resume from."""
    complete = [p for p in out.glob(f"{CHECKPOINT}*") if (p / "trainer_state.json").is_file()]
    if not complete:
        raise RecipeError(
            f"nothing to resume in {out}: no complete {CHECKPOINT}* folder. They are written with --save-every; "
            "without one, train anew into another --out."
        )
    return max(complete, key=lambda p: int(p.name.removeprefix(CHECKPOINT)))


class BradleyTerryTrainer(Trainer):
    """A Trainer whose batches are encoded pairs and whose loss is equation 1."""

    def __init__(self, model: RewardModel, config: TrainConfig, mixture: Mixture, bad_rows: BadRows) -> None:
        self.bad_rows = bad_rows
        self.order = SeededOrder(mixture, config.seed)
        self.bar = ProgressBar()
        self.bad: set[int] = set()  # id() of samples found unusable: each counts once, however many epochs show it
        self.seen: list[
            tuple[int, int, float]
        ] = []  # pairs, right ones, sum of margins of each pass since the last log
        self.tokens_per_pass = config.tokens_per_pass if _alone() else sys.maxsize
        super().__init__(
            model=model,
            args=_arguments(config),
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

    def encoded_step(self, step: _Step) -> dict[str, Any]:
        """The passes of a step, and its number of pairs. A sample with unusable media, or too long, is a bad row."""
        rows: dict[Response, Encoded] = {}
        pairs: list[tuple[Response, Response]] = []
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
            pairs.append((chosen, rejected))
        passes = in_passes(pairs, rows, self.tokens_per_pass)
        return {"passes": passes, "pairs": len(pairs), "ids": [sample.id for sample in step.samples]}

    def _get_train_sampler(self, train_dataset: Any = None) -> SeededOrder:
        return self.order

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Gradients of a step, pass by pass; the loss is the mean over its pairs, whichever pass they are in."""
        inputs = self.encoded_step(inputs["step"])
        model.train()
        total = torch.zeros((), device=self.args.device)
        for one in inputs["passes"]:
            with self.compute_loss_context_manager():
                loss = self.compute_loss(model, {**one, "ids": inputs["ids"]}) * (len(one["chosen"]) / inputs["pairs"])
            self.accelerator.backward(loss / self.args.gradient_accumulation_steps)
            total += loss.detach()
        if not inputs["passes"]:  # every sample was a bad row: gradients of nothing, so that all processes have some
            nothing = sum(
                (p.sum() for p in model.parameters() if p.requires_grad), torch.zeros((), device=total.device)
            )
            self.accelerator.backward(nothing * 0.0)
        return total / self.args.gradient_accumulation_steps

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Equation 1 over a pass; keeps accuracy and margin for the log."""
        rewards: Tensor = model(inputs["encoded"])
        chosen, rejected = rewards[inputs["chosen"]], rewards[inputs["rejected"]]
        loss = bradley_terry(chosen, rejected)
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"the loss is {loss.item()} at step {self.state.global_step} on the samples {inputs['ids']}. "
                "A lower learning rate or a check of these samples are the first things to try."
            )
        margin = (chosen - rejected).detach()
        self.seen.append((len(margin), int((margin > 0).sum()), margin.sum().item()))
        return (loss, rewards) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what was seen since the last line."""
        if "loss" in logs and self.seen:
            pairs, right, margin = (sum(values) for values in zip(*self.seen, strict=True))
            logs |= {"accuracy": round(right / pairs, 4), "margin": round(margin / pairs, 4)}
            self.seen.clear()
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        cast(RewardModel, self.model).save(Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights were read when the model was opened from the checkpoint; the rest is the Trainer's."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The samples of a step, and their responses, which are being encoded."""

    samples: Sequence[Sample]
    coming: Coming


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


def _alone() -> bool:
    """Whether this is the only process: torchrun and accelerate say how many there are."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1


def _arguments(config: TrainConfig) -> TrainingArguments:
    alone = _alone()
    return TrainingArguments(
        output_dir=str(config.out),
        # Alone, all pairs of a step come together and are spread over passes by their tokens. Several processes must
        # run the same number of passes, so they count pairs.
        per_device_train_batch_size=config.batch_size * (config.accumulation if alone else 1),
        gradient_accumulation_steps=1 if alone else config.accumulation,
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup,
        lr_scheduler_type="cosine",
        max_grad_norm=config.max_grad_norm,
        bf16=config.bf16,
        seed=config.seed,
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps" if config.save_every else "no",
        save_steps=config.save_every or 500,
        save_total_limit=2,
        report_to=config.report_to.split(","),
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
