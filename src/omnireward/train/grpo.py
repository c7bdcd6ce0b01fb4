"""R1, the paper's generative judge, trained by GRPO (arXiv 2402.03300; paper section 4.3) on TRL's GRPOTrainer.

TRL brings the loop, groups, advantages, clipping, the KL term and the loss. Ours are what it cannot do for video and
sound, and what it would do many times over: questions are written by the backbones, answers by `speaking`, and
log-probabilities are taken over a packed batch, in which a question is there once, whatever the number of answers.

Unusual: what TRL takes for a prompt's token ids is one number, which names a sample and an order of its responses. So
TRL may shuffle, pad and cut as it likes, and media need no columns of their own.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.data_loader import prepare_data_loader  # type: ignore[import-untyped]
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import GenerationConfig
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import GRPOTrainer

from datasets import Dataset
from omnireward import provenance
from omnireward.ahead import Threads
from omnireward.encoded import Encoded
from omnireward.errors import BadRowError, MediaError, PromptError, RecipeError
from omnireward.judge_log import write_page
from omnireward.policy import Policy
from omnireward.prompts import Form, questions
from omnireward.sources import BadRows
from omnireward.speaking import Said, speak
from omnireward.train import made, resuming
from omnireward.train.grpo_arguments import grpo_arguments, placeholder
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.grpo_log import GRPOLog, figures_of
from omnireward.train.mixing import Mixture, SeededOrder, Wanted, mix
from omnireward.train.reporting import ProgressBar
from omnireward.train.resuming import Identity
from omnireward.train.rollouts import Asked, Rollout, earned, seed_of, swapped, unusable
from omnireward.train.rounds import Groups, check_enough, share_of
from omnireward.train.start import started
from omnireward.train.stops import Stops
from omnireward.train.surviving import SurvivingTrainer
from omnireward.train.together import rank, union, world
from omnireward.train.tuning import optimizer_of, tune
from omnireward.train.vllm_speaking import VLLMSpeaker
from omnireward.types import Text, Turn

ANSWERS_AT_ONCE = 96  # that are written side by side
ROUND = "round-{rank}.pt"  # of a checkpoint: what is left to learn of the answers at hand


def grpo(config: GRPOConfig) -> Path:
    """Run one training from a config; returns the folder with the checkpoint.

    Raises:
        RecipeError: the config cannot be used.
        SourceError: rows that cannot be read (unless bad rows are skipped).
        TrainingError: training has collapsed, the loss is no longer finite, or the disk is full.
        StoppedError: a signal asked the run to stop, and it did.
    """
    return started(config, _grpo)


def _grpo(config: GRPOConfig) -> None:
    bad_rows = BadRows(skip=config.skip_bad_rows)
    wanted = replace(Wanted.of(config.tasks, config.criteria), share=config.share, ties=config.ties)
    mixture = mix(config.datasets, bad_rows, config.limit, wanted, as_given=True, tie_share=config.tie_share)
    check_enough(config, mixture)
    run = resuming.identity(config, mixture.samples, mixture.order(config.seed, 0))
    checkpoint = resuming.checkpoint(config, run)
    if rank() == 0:
        provenance.save_config(config.VERB, replace(config, resume=False), config.out)
    torch.manual_seed(config.seed)
    policy = Policy.load(checkpoint or config.model)
    policy.form = Form("pairwise", config.critique, config.ties)
    policy.features.dtype = torch.bfloat16 if config.bf16 else None
    policy.max_tokens = config.max_tokens
    tune(policy, config)
    with Stops() as stops:
        trainer = JudgeTrainer(policy, config, mixture, bad_rows, run)
        trainer.add_callback(stops)
        try:
            trainer.train_from(checkpoint)
        finally:
            trainer.bar.close()
            trainer.threads.close()
            if trainer.is_world_process_zero():
                write_page(config.out)
        trainer.log_of_run.raise_if_collapsed()
        if stops.asked and trainer.state.global_step < trainer.state.max_steps:
            raise resuming.stopped(config, trainer.state.global_step)
        told = {"samples": len(mixture.samples), "bad_rows": trainer.unusable(), "left_out": mixture.unwanted}
        if trainer.is_world_process_zero():
            (config.out / "data.json").write_text(json.dumps(told | {"versions": made.versions()}, indent=2) + "\n")
        trainer.save_final()


class JudgeTrainer(SurvivingTrainer, GRPOTrainer):
    """TRL's trainer, whose questions, answers and log-probabilities are ours."""

    def __init__(self, policy: Policy, config: GRPOConfig, mixture: Mixture, bad_rows: BadRows, run: Identity) -> None:
        self.config, self.mixture, self.bad_rows, self.bad = config, mixture, bad_rows, set[int]()
        self.unread = len(bad_rows.errors)  # those that reading met are met by every start
        self.threads = Threads(policy.backbone)
        self.bar = ProgressBar("learn by trying", ("reward", "accuracy", "format"))
        self.log_of_run = GRPOLog(config, mixture.samples)
        self.asked_now: dict[int, Encoded] = {}  # questions of the round at hand
        self.round: list[Rollout] = []
        self._filler: Encoded | None = None
        logging.getLogger(GRPOTrainer.__module__).addFilter(_said)
        vllm = VLLMSpeaker(policy, config) if config.engine == "vllm" else None  # it sets seeds, as TRL does after it
        self.speaker, self.at_once = (vllm.speak, sys.maxsize) if vllm else (speak, ANSWERS_AT_ONCE)
        reference = _reference(policy, config)
        told = cast(Any, policy)
        told.config = deepcopy(cast(Any, policy.backbone.decoder).config)
        told.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        nobody = placeholder()
        for names in (told.config, told.generation_config):  # or the Trainer would write the placeholder's over them
            names.bos_token_id, names.eos_token_id, names.pad_token_id = None, nobody.eos_token_id, nobody.pad_token_id
        told.warnings_issued, told.add_model_tags, told.is_gradient_checkpointing = {}, lambda _: None, False
        whole = policy.forward
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*rollout_func", UserWarning)  # an experiment of TRL's, which is pinned
            super().__init__(
                config.out,
                run,
                model=policy,
                reward_funcs=self.rewards,
                args=grpo_arguments(config),
                train_dataset=Dataset.from_dict({"prompt": [str(number) for number in range(len(mixture.samples))]}),
                processing_class=nobody,
                callbacks=[self.log_of_run, self.bar],
                rollout_func=self.rollouts,
            )
        policy.forward = whole  # type: ignore[method-assign] # TRL has put its own head before it
        self.eos_token_ids = list(policy.ends)
        if vllm:  # TRL then has it take new weights, and corrects for what its kernels do otherwise
            self.use_vllm, self.vllm_generation, self._last_loaded_step = True, cast(Any, vllm), -1
        self.beta = config.kl
        self.ref_model = cast(Any, reference and reference.to(self.accelerator.device))
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    # What is asked, and what is answered -----------------------------------------------------------------------------

    def rollouts(self, prompts: Sequence[str], trainer: object) -> dict[str, Any]:
        """Answers to questions, for TRL: a prompt is a sample's number, and stands there once for each answer."""
        places = [
            number * self.config.rollouts + answer
            for number in share_of(self.config, rank(), world())
            for answer in range(self.config.rollouts)
        ]
        numbers = [int(prompt) for prompt in prompts]
        samples = self.mixture.samples
        asked = [
            Asked(number, samples[number], swapped(self.config, samples[number], place))
            for number, place in zip(numbers, places, strict=True)
        ]
        self.asked_now = self._encoded({each.key: each for each in asked})
        found: dict[int, Rollout] = {}
        written: dict[int, Said] = {}
        usable = [i for i, each in enumerate(asked) if each.key in self.asked_now]
        step = self.state.global_step
        for some in (usable[i : i + self.at_once] for i in range(0, len(usable), self.at_once)):
            wanted = list(dict.fromkeys(asked[i].key for i in some))
            policy = self._policy()
            with self._autocast():
                said = self.speaker(
                    policy,
                    [self.asked_now[key] for key in wanted],
                    [wanted.index(asked[i].key) for i in some],
                    [seed_of(self.config, step, asked[i], places[i]) for i in some],
                    temperature=self.config.temperature,
                    max_tokens=self.config.max_answer,
                )
            written |= zip(some, said, strict=True)
            found |= {i: earned(policy, asked[i], one, self.config) for i, one in zip(some, said, strict=True)}
        self.round = [found.get(i) or unusable(self._policy(), each) for i, each in enumerate(asked)]
        return {
            "prompt_ids": [[each.key] for each in asked],
            "completion_ids": [list(one.ids) for one in self.round],
            "logprobs": [_drawn(one, written.get(i)) for i, one in enumerate(self.round)] if self.use_vllm else None,
            "env_mask": [[int(learned) for learned in one.learned] for one in self.round],
            "rollout": self.round,
        }

    def _encoded(self, asked: Mapping[int, Asked]) -> dict[int, Encoded]:
        """Questions by key, media decoded side by side. A sample with unusable media, or too long, is a bad row."""
        coming = {
            key: self.threads.begin(partial(self._question, each))
            for key, each in asked.items()
            if each.number not in self.bad
        }
        found: dict[int, Encoded] = {}
        for key, future in coming.items():
            try:
                found[key] = future.result()
            except (MediaError, PromptError) as error:
                self._refuse(asked[key], error)
        return {key: one for key, one in found.items() if asked[key].number not in self.bad}

    def _question(self, asked: Asked) -> Encoded:
        policy = self._policy()
        encoded = policy.ask(questions(asked.shown, cast(Form, policy.form))[0])
        if len(encoded.row.ids) + self.config.max_answer > policy.most:
            raise PromptError(
                f"a question of {len(encoded.row.ids):,} tokens and an answer of up to {self.config.max_answer:,} are "
                f"more than the {policy.most:,} that the model was made for. Lower --max-answer."
            )
        return encoded

    def _refuse(self, asked: Asked, error: Exception) -> None:
        if asked.number in self.bad:
            return
        self.bad.add(asked.number)
        told = asked.sample.provenance
        where, row = told.get("file", told.get("source", "dataset")), int(told.get("row", -1))
        self.bad_rows.add(BadRowError(where, row, asked.sample.id, str(error)))

    def rewards(self, *, rollout: Sequence[Rollout], log_metric: Any, **_: Any) -> list[float | None]:
        """For TRL: what each answer earned; None where nothing is to be learned from it."""
        for name, values in figures_of(rollout, self.config.terms).items():
            for value in values:  # TRL takes means over those of all processes
                log_metric(name, value)
        return [None if one.scored is None else one.scored.reward for one in rollout]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        output = super()._generate_and_score_completions(inputs)
        self.log_of_run.note(self.state.global_step + 1, self.round, output["advantages"].tolist())
        return output

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """A part of the round at hand, or of a new one. As TRL does it, but whole groups stay together and in order."""
        if not self._policy().training:
            return super()._prepare_inputs(generation_batch)
        parts = self._parts()
        if self._step % parts == 0 or self._buffered_inputs is None:
            fresh = self._generate_and_score_completions(generation_batch)
            self._buffered_inputs = cast(Any, _parts_of(fresh, parts))
        return cast(Any, self._buffered_inputs)[self._step % parts]

    # What answers are worth ------------------------------------------------------------------------------------------

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """Log-probabilities and entropies, each (answers, logits_to_keep), 0 on padding; a few answers at a time."""
        mask = attention_mask[:, -logits_to_keep:].bool()
        size = len(input_ids) if torch.is_grad_enabled() else batch_size or len(input_ids)
        found = [
            self._spoken(model, input_ids[i : i + size], mask[i : i + size]) for i in range(0, len(input_ids), size)
        ]
        logps, entropies = (torch.cat(each) for each in zip(*found, strict=True))
        return logps, entropies if compute_entropy else None, None

    def _spoken(self, model: Any, input_ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        keys, ids = input_ids[:, 0].tolist(), input_ids[:, -mask.shape[1] :]
        lost = {key: Asked.of(key, self.mixture.samples) for key in keys if key not in self.asked_now}
        if lost:  # after a resume
            self.asked_now |= self._encoded(lost)
        known = [i for i, key in enumerate(keys) if key in self.asked_now]
        here = torch.zeros_like(mask)
        here[known] = mask[known]
        zero = torch.zeros(mask.shape, device=mask.device)
        if not known:  # the model is called all the same, or other processes would wait for its gradients
            with self._autocast():
                spoken = model([self._nothing()], [torch.tensor([self._policy().end])])
            return zero + spoken.logps.sum() * 0.0, zero
        with self._autocast():
            spoken = model(
                [self.asked_now[keys[i]] for i in known],
                [ids[i][mask[i]].cpu() for i in known],
                self.config.temperature,
            )
        return zero.masked_scatter(here, spoken.logps), zero.masked_scatter(here, spoken.entropies)

    def _nothing(self) -> Encoded:
        if self._filler is None:
            self._filler = self._policy().ask_turns((Turn("user", (Text("."),)),))
        return self._filler

    def _compute_loss(self, model: Any, inputs: Any) -> Any:
        loss = super()._compute_loss(model, inputs)  # type: ignore[no-untyped-call]
        self.watch.saw(loss.detach(), ())
        return loss

    # The rest of a run -----------------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader[Any]:
        """A process's share of each round. accelerate's own split would lose the number of the epoch at a resume."""
        groups = Groups(SeededOrder(self.mixture, self.config.seed), self.config, rank(), world())
        loader = DataLoader(cast(Any, self.train_dataset), batch_sampler=groups, collate_fn=self.data_collator)
        return cast("DataLoader[Any]", prepare_data_loader(loader, num_processes=1, process_index=0))

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """AdamW, with a rate for each part where the config has some; or Muon for the layers' matrices beside it."""
        if self.optimizer is None:
            self.optimizer = optimizer_of(self, cast(Policy, self.model), self.config)
        return super().create_optimizer(model)

    def _parts(self) -> int:
        """In how many parts a round is learned from."""
        return cast(int, cast(Any, self.args).steps_per_generation)

    def _autocast(self) -> Any:
        return torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _policy(self) -> Policy:
        """The model without what the Trainer wrapped it in."""
        return cast(Policy, self.accelerator.unwrap_model(self.model))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            self._policy().save(Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights were read when the model was opened from the checkpoint; the rest is the Trainer's."""

    def _send_telemetry(self) -> None:
        """Nobody is told."""

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self._step % self._parts():  # in the middle of a round
            torch.save(self._buffered_inputs, Path(output_dir) / ROUND.format(rank=rank()))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        self._step = self.state.global_step * self.args.gradient_accumulation_steps
        if checkpoint is not None and self._step % self._parts():
            kept = sorted(Path(checkpoint).glob(ROUND.format(rank="*")))
            if len(kept) != world():
                raise RecipeError(
                    f"{checkpoint} was made between two updates on the same answers, which {len(kept)} processes "
                    f"share. Go on with as many, not {world()}."
                )
            self._buffered_inputs = torch.load(Path(checkpoint) / ROUND.format(rank=rank()), weights_only=True)

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """TRL's card knows nothing of the model; `made` writes ours."""

    def unlogged(self) -> Mapping[str, Any]:
        """Figures since the last line, and samples found unusable."""
        rows = [(error.file, error.row, error.field, error.problem) for error in self.bad_rows.errors[self.unread :]]
        told = {"bad": sorted(self.bad), "bad_rows": rows, "metrics": self._metrics["train"]}
        return told | {"collapse": self.log_of_run.state()}

    def take_up(self, unlogged: Mapping[str, Any]) -> None:
        """Add them."""
        self.bad |= set(unlogged["bad"])
        self.bad_rows.errors += [BadRowError(*row) for row in unlogged["bad_rows"]]
        for name, values in unlogged["metrics"].items():
            self._metrics["train"][name] += values

    def _take_up(self, checkpoint: Path) -> dict[str, Any]:
        kept = super()._take_up(checkpoint)
        self.log_of_run.resume(kept["collapse"])  # the same for all processes: they stop together
        return kept

    def unusable(self) -> int:
        """How many rows could not be used: in reading, and by any process in training."""
        return self.unread + len(union(self.bad))


def _drawn(rollout: Rollout, said: Said | None) -> list[float]:
    """Log-probabilities of a rollout's tokens as they were drawn; 0 where the loss says nothing of them."""
    return list(said.logps) if said and all(rollout.learned) else [0.0] * len(rollout.ids)


def _reference(policy: Policy, config: GRPOConfig) -> Policy | None:
    """The judge that the run began with, for the KL term."""
    if not config.kl:
        return None
    first = Policy.load(config.model)
    tune(first, config)  # kept in the same numbers, so that it differs by what is learned alone
    first.form, first.max_tokens = policy.form, policy.max_tokens
    if policy.features.frozen:  # the towers are the same
        first.features = policy.features
    return first.requires_grad_(False)


def _said(record: logging.LogRecord) -> bool:
    """Not that an answer has no reward: that is counted, and TRL would show all that it knows of one."""
    return "returned None" not in record.getMessage()


def _parts_of(batch: Mapping[str, Any], parts: int) -> list[dict[str, Any]]:
    """A round cut into equal parts; single numbers go to each."""
    size = len(batch["prompt_ids"]) // parts
    return [
        {
            name: value[i * size : (i + 1) * size] if isinstance(value, Tensor) and value.ndim else value
            for name, value in batch.items()
        }
        for i in range(parts)
    ]
