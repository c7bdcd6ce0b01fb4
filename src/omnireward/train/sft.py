"""The warm start of a judge that writes: it learns critiques word by word, each as the answer to the judge's question.

Models that were not made for judging seldom find the form of an answer by trying, and GRPO learns only from what is
found. Here they learn the form, and what to look at; which verdict is right, rewards say later. The loss is the mean
negative log-probability of an answer's tokens, its end included, over all answers of a step. Questions are computed
once, however many answers there are to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from omnireward import provenance
from omnireward.ahead import Threads
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.critiques import Critique, read_critiques
from omnireward.encoded import Encoded, keys_of
from omnireward.errors import BadRowError, MediaError, OmniRewardError, PromptError, RecipeError
from omnireward.miniature.lessons import lessons
from omnireward.miniature.world import World, known_samples
from omnireward.packing import cut
from omnireward.policy import Policy, answered
from omnireward.prompts import Form, Question, questions
from omnireward.sources import BadRows
from omnireward.train import made, resuming
from omnireward.train.mixing import Mixture, SeededOrder
from omnireward.train.reporting import LogLines, ProgressBar
from omnireward.train.resuming import Identity
from omnireward.train.sft_config import SFTConfig
from omnireward.train.sharing import SharingTrainer
from omnireward.train.start import started
from omnireward.train.stops import Stops
from omnireward.train.teach import in_sight, teach_questions, teach_towers
from omnireward.train.tiny import is_tiny, make
from omnireward.train.together import rank, union
from omnireward.train.tuning import check as check_parts
from omnireward.train.tuning import optimizer_of, tune
from omnireward.types import PAPER_TASKS, Media, Text, Turn

Told = tuple[Encoded, Tensor]


def sft(config: SFTConfig) -> Path:
    """Run one warm start from a config; returns the folder with the checkpoint.

    Raises:
        RecipeError: the config cannot be used.
        SourceError: critiques that cannot be read (unless bad rows are skipped).
        TrainingError: the loss is no longer finite or has exploded, or the disk is full.
        StoppedError: a signal asked the run to stop, and it did.
    """
    return started(config, _sft)


def _sft(config: SFTConfig) -> None:
    bad_rows = BadRows(skip=config.skip_bad_rows)
    given, mixture = read(config.critiques, bad_rows, config.limit)
    answers = (f"{'ba' if critique.swapped else 'ab'} {critique.answer}" for critique in given)
    run = resuming.identity(config, mixture.samples, mixture.order(config.seed, 0), answers)
    checkpoint = resuming.checkpoint(config, run)
    if rank() == 0:
        provenance.save_config(config.VERB, replace(config, resume=False), config.out)
    policy = start(config.model, Form("pairwise", config.critique, config.ties), given, config.seed, checkpoint)
    policy.features.dtype = torch.bfloat16 if config.bf16 else None
    if config.taught and checkpoint is None:
        check_parts(policy, config)
        _teach(policy.requires_grad_(True), given, config)
    tune(policy, config)
    policy.max_tokens = config.max_tokens
    with Stops() as stops:
        trainer = CritiqueTrainer(policy, config, given, mixture, bad_rows, run)
        trainer.add_callback(stops)
        try:
            trainer.train_from(checkpoint)
        finally:
            trainer.bar.close()
            trainer.threads.close()
        if stops.asked and trainer.state.global_step < trainer.state.max_steps:
            raise resuming.stopped(config, trainer.state.global_step)
        told = {"critiques": len(given), "bad_rows": trainer.unusable(), "versions": made.versions()}
        if trainer.is_world_process_zero():
            (config.out / "data.json").write_text(json.dumps(told, indent=2) + "\n")
        trainer.save_final()


def read(places: Mapping[str, float], bad_rows: BadRows, limit: int | None) -> tuple[tuple[Critique, ...], Mixture]:
    """Critiques of all places, and their samples in the same order, as a mixture.

    Raises:
        RecipeError: no place, a weight or a limit that is not positive, or a place without a usable critique.
    """
    if limit is not None and limit < 1:
        raise RecipeError(f"the limit must be at least 1; got {limit}. Leave it out to read everything.")
    given: list[Critique] = []
    parts: list[tuple[str, float, range]] = []
    for place, weight in places.items():
        if not 0 < weight < float("inf"):
            raise RecipeError(f"the weight of {place!r} must be positive; got {weight}.")
        begin = len(given)
        given += islice(read_critiques(place, bad_rows), limit)
        if round(weight * (len(given) - begin)) < 1:
            raise RecipeError(f"{place!r} gives no critique to learn from: {len(given) - begin}, weight {weight}.")
        parts.append((place, weight, range(begin, len(given))))
    if not parts:
        raise RecipeError("no place was given; name at least one under `critiques`.")
    return tuple(given), Mixture(tuple(critique.sample for critique in given), tuple(parts), 0)


def start(model: str, form: Form, given: Sequence[Critique], seed: int, checkpoint: Path | None = None) -> Policy:
    """The judge that a run begins with, asked in a form; a tiny one reads the words of the questions and critiques."""
    torch.manual_seed(seed)
    if checkpoint is None and is_tiny(model):
        family, backbone = make(model, _texts(given, form), seed)
        policy = Policy.new(cast(DecoderBackbone, backbone), family, seed)
    else:
        policy = Policy.load(checkpoint or model)
    policy.form = form
    return policy


def question_of(critique: Critique, form: Form) -> Question:
    """What a critique answers. Raises PromptError."""
    return questions(critique.shown, form)[0]


def _texts(given: Sequence[Critique], form: Form) -> Iterable[str]:
    for critique in given[:: max(1, len(given) // _READ)]:
        try:
            question = question_of(critique, form)
        except PromptError:  # a bad row, of which training tells
            continue
        for turn in question.turns:
            yield from (part.text for part in turn.content if isinstance(part, Text))
        yield critique.answer


_READ = 2000  # questions that a tiny tokenizer is trained on


def _teach(policy: Policy, given: Sequence[Critique], config: SFTConfig) -> None:
    """Teach towers and language model about the made-up world of the critiques, or one of their tasks."""
    tasks = sorted({critique.sample.task.short for critique in given if critique.sample.task in PAPER_TASKS})
    settings = [place.partition(":")[2] for place in config.critiques if place.partition(":")[0] == "miniature"]
    world = World.parse(settings[0] if settings else "", World(tasks="+".join(tasks)))
    taught = list(lessons(world))
    with in_sight(len(taught), config.teach_towers, config.teach_language) as tick:
        teach_towers(policy, taught, config.teach_towers, config.seed, tick)
        if config.teach_language:
            known = list(known_samples(world, "train"))
            teach_questions(policy, known, cast(Form, policy.form), config.teach_language, config.seed, tick)


@dataclass(frozen=True, slots=True)
class _Step:
    """The critiques of a step by number, and what becomes of each, which is under way where it has media."""

    numbers: Sequence[int]
    coming: Mapping[int, Future[Told] | partial[Told]]


class CritiqueTrainer(SharingTrainer):
    """A Trainer whose batches are questions with their answers."""

    def __init__(
        self,
        policy: Policy,
        config: SFTConfig,
        given: Sequence[Critique],
        mixture: Mixture,
        bad_rows: BadRows,
        run: Identity,
    ) -> None:
        self.given, self.form, self.bad_rows, self.bad = given, cast(Form, policy.form), bad_rows, set[int]()
        self.unread = len(bad_rows.errors)  # those that reading met are met by every start
        self.threads = Threads(policy.backbone)
        self.bar = ProgressBar("learn critiques", ("loss",))
        self._filler: Told | None = None
        super().__init__(
            policy,
            config,
            SeededOrder(mixture, config.seed),
            run,
            data_collator=self.begin_step,
            train_dataset=_Numbers(len(given)),
            callbacks=[LogLines(config.out / "log.jsonl"), self.bar],
        )
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    def begin_step(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Begin to encode a step. The loop calls this for a step before it trains on the one before."""
        usable = [number for number in numbers if number not in self.bad]
        return {"step": _Step(usable, {number: self._begun(self.given[number]) for number in usable})}

    def _begun(self, critique: Critique) -> Future[Told] | partial[Told]:
        policy = cast(Policy, self.model)
        told = partial(_told, policy, critique, self.form)
        return self.threads.begin(told) if _has_media(critique) else told

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Gradients of a step; the loss is the mean over its tokens, whichever pass and process they are in."""
        passes, error = [], None
        try:
            passes = self.passes(inputs["step"])
        except OmniRewardError as raised:
            error = raised
        loss = self.gradients(model, passes, error)
        self.watch.saw(loss, (self.given[number].sample.id for number in inputs["step"].numbers))
        return loss

    def passes(self, step: _Step) -> list[dict[str, Any]]:
        """A step's answers, spread over passes. A critique with unusable media, or too long, is a bad row."""
        told: list[Told] = []
        for number in step.numbers:
            if number in self.bad:  # since it was begun
                continue
            coming = step.coming[number]
            try:
                told.append(coming.result() if isinstance(coming, Future) else coming())
            except (MediaError, PromptError) as error:
                sample = self.given[number].sample
                where = sample.provenance.get("file", sample.provenance.get("source", "critiques"))
                self.bad_rows.add(BadRowError(where, int(sample.provenance.get("row", -1)), sample.id, str(error)))
                self.bad.add(number)
        keys = keys_of([answered(asked, answer) for asked, answer in told])
        return [_pass([told[i] for i in some]) for some in cut(keys, self.config.tokens_per_pass)]

    def nothing(self) -> dict[str, Any]:
        """A pass that counts no token."""
        if self._filler is None:  # not of a critique, which may be bad
            policy = cast(Policy, self.model)
            self._filler = policy.ask_turns((Turn("user", (Text("."),)),)), torch.tensor([policy.end])
        return _pass([self._filler]) | {"count": 0}

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean negative log-probability of a pass's tokens."""
        spoken = model(inputs["asked"], inputs["answers"])
        loss = -spoken.logps.mean() if inputs["count"] else spoken.logps.sum() * 0.0
        return (loss, spoken) if return_outputs else loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW, with a rate for each part where the config has some; or Muon for the layers' matrices beside it."""
        if self.optimizer is None:
            self.optimizer = optimizer_of(self, cast(Policy, self.model), self.config)
        return super().create_optimizer(model)

    def unlogged(self) -> Mapping[str, Any]:
        """The critiques found unusable."""
        rows = [(error.file, error.row, error.field, error.problem) for error in self.bad_rows.errors[self.unread :]]
        return {"bad": sorted(self.bad), "bad_rows": rows}

    def take_up(self, unlogged: Mapping[str, Any]) -> None:
        """Add them."""
        self.bad |= set(unlogged["bad"])
        self.bad_rows.errors += [BadRowError(*row) for row in unlogged["bad_rows"]]

    def unusable(self) -> int:
        """How many rows could not be used: in reading, and by any process in training."""
        return self.unread + len(union(self.bad))


class _Numbers(Dataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __getitem__(self, index: int) -> int:
        return index

    def __len__(self) -> int:
        return self.count


def _told(policy: Policy, critique: Critique, form: Form) -> Told:
    return policy.tell(question_of(critique, form), critique.answer)


def _has_media(critique: Critique) -> bool:
    comparison = critique.sample.comparison
    prompt = (part for turn in comparison.prompt for part in turn.content)
    return any(isinstance(part, Media) for part in (*prompt, *comparison.response_a, *comparison.response_b))


def _pass(told: Sequence[Told]) -> dict[str, Any]:
    answers = [answer for _, answer in told]
    return {"asked": [asked for asked, _ in told], "answers": answers, "count": sum(map(len, answers))}
