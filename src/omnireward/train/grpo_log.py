"""What a GRPO run says while it learns: figures, sampled critiques, a page, and whether it has collapsed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from omnireward import atomic
from omnireward.errors import TrainingError
from omnireward.judge_log import Collapse, RolloutGroup, RolloutLog, write_page
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.reporting import LogLines
from omnireward.train.rollouts import Rollout, counted
from omnireward.types import Sample
from omnireward.verdict_rewards import RewardTerms

STOPPED = "stopped.json"
FRESH = 60  # media that one page decodes anew; the rest follow on later pages
# TRL's names of figures, and ours. Others of its names are left out.
_NAMES: Mapping[str, str] = {
    **{name: name for name in ("loss", "grad_norm", "learning_rate", "epoch", "reward", "reward_std", "kl", "entropy")},
    "frac_reward_zero_std": "flat_groups",
    "clip_ratio/low_mean": "clip_low",
    "clip_ratio/high_mean": "clip_high",
    "completions/mean_length": "tokens",
}
_OURS = (
    *("accuracy", "accuracy_without_ties", "format", "length", "language", "cut_off", "empty", "media_tokens"),
    *("verdict_a", "verdict_b", "verdict_tie", "no_verdict"),
)
_VERDICTS = {"verdict_a": "a", "verdict_b": "b", "verdict_tie": "tie", "no_verdict": None}
_FAULTS = {"cut_off": "cut off", "empty": "empty", "media_tokens": "media token"}


def figures_of(rollouts: Sequence[Rollout], terms: RewardTerms) -> dict[str, list[float]]:
    """What shares and means over the answers of a round are taken of, whichever process has them.

    `accuracy` counts an answer without verdict as wrong; `accuracy_without_ties` is over the samples that people did
    not tie. Verdicts are of the responses as shown, so a liking for the first place is seen in `verdict_a`.
    """
    known = [(one, one.scored) for one in rollouts if one.scored is not None]
    found = {name: [float(one.fault == fault) for one in rollouts] for name, fault in _FAULTS.items()}
    found |= {name: [float(getattr(told, name)) for _, told in known] for name in counted(terms)}
    found["accuracy_without_ties"] = [told.accuracy for one, told in known if one.asked.preference != "tie"]
    for name, verdict in _VERDICTS.items():
        found[name] = [float(told.verdict == verdict) for _, told in known]
    return {name: values for name, values in found.items() if values}


class GRPOLog(LogLines):
    """log.jsonl, rollouts.jsonl and log.html of one run."""

    def __init__(self, config: GRPOConfig, samples: Sequence[Sample]) -> None:
        super().__init__(config.out / "log.jsonl")
        self._config, self._samples = config, samples
        self._collapse = Collapse()
        self._rollouts: RolloutLog | None = None
        self.reason: str | None = None

    def note(self, step: int, rollouts: Sequence[Rollout], advantages: Sequence[float]) -> None:
        """Keep groups of a round, whose first step this is, where that step is logged."""
        config = self._config
        if (
            self._rollouts is None
            or not config.log_groups
            or not any((step + more) % config.log_every == 0 for more in range(config.updates))
        ):
            return
        for begin in range(0, len(rollouts), config.rollouts):
            group = range(begin, begin + config.rollouts)
            sample = rollouts[begin].asked.sample
            answers = tuple(rollouts[i].logged(advantages[i], config.terms) for i in group)
            told = RolloutGroup(step, sample.id, sample.task.short, sample.comparison.criterion, answers)
            if not self._rollouts.add(told, sample):
                return

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Drop what an earlier run wrote of steps that come now."""
        super().on_train_begin(args, state, control)
        if state.is_world_process_zero:
            (self._config.out / STOPPED).unlink(missing_ok=True)
            self._rollouts = RolloutLog(self._config.out, self._config.log_groups)
            self._rollouts.resume(state.global_step)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        """Append one line, and end the run where its figures say so. Figures of answers come with their first step."""
        told = logs or {}
        figures = {ours: told[theirs] for theirs, ours in _NAMES.items() if told.get(theirs) is not None}
        figures |= {name: told[name] for name in _OURS if name in told}
        if "loss" not in told:  # the last line speaks of the machine; it comes at a stop too, and a resume has none
            return
        super().on_log(args, state, control, logs={name: _rounded(value) for name, value in figures.items()})
        reason = self._collapse.saw(state.global_step, figures)
        if reason and self._config.stop_on_collapse and not self.reason:
            self.reason = reason
            control.should_training_stop = True
            if state.is_world_process_zero:
                told = {"step": state.global_step, "reason": reason}
                atomic.write_text(self._config.out / STOPPED, json.dumps(told, indent=2) + "\n")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Make the page anew: it takes a few seconds, so not at every line."""
        if state.is_world_process_zero:
            write_page(self._config.out, fresh=FRESH)

    def raise_if_collapsed(self) -> None:
        """Raise TrainingError with the reason, if there is one."""
        if self.reason:
            raise TrainingError(
                f"{self.reason} No model was written; {self._config.out / 'log.html'} shows how it came. Checkpoints "
                "from before lie beside it, if --save-every made any. To train on all the same: --no-stop-on-collapse."
            )

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the watch."""
        return self._collapse.state()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take it up."""
        self._collapse.resume(state)


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
