"""The README beside the questions: how to start, what is asked and rewarded, and where the data came from."""

from __future__ import annotations

import shlex

from omnireward import __version__
from omnireward.model_card import fenced, plain
from omnireward.provenance import command, portable
from omnireward.questions.config import QuestionsConfig
from omnireward.questions.settings import ANSWERS, EASYR1, EPOCHS, GPUS, MODEL, VERL
from omnireward.questions.written import Written
from omnireward.verdict_rewards import RewardTerms

_ORIGINS = 50  # that are named
_START = {
    "easyr1": (
        "With [EasyR1](https://github.com/hiyouga/EasyR1) installed, in this folder, because the paths in "
        "`config.yaml` are relative to it:",
        "python3 -m verl.trainer.main config=config.yaml",
        f"The layout and the names of the settings are those of {EASYR1}. `format_prompt` is empty because the "
        "question is complete.",
    ),
    "verl": (
        "With [verl](https://github.com/verl-project/verl) and vLLM installed:",
        "bash run.sh",
        f"The layout and the names of the settings are those of verl {VERL}. What is typed after `run.sh` overrides: "
        "`bash run.sh trainer.n_gpus_per_node=8`.",
    ),
}


def readme(config: QuestionsConfig, name: str, licence: str, written: Written) -> str:
    """Markdown.

    Args:
        config: what was asked for.
        name: of the source's reader.
        licence: as the source's publisher states it; empty where it states none.
        written: what became of the samples.
    """
    sizes = written.sizes
    before, start, after = _START[config.to]
    twice = ", each in both orders" if config.swapped else ""
    about = [f"{count:,} {what}" for what, count in written.tasks.items()]
    sides = [f"{written.shown[side]:,} {said}" for side, said in (("a", "A"), ("b", "B"), ("tie", "TIE"))]
    gone = [f"* {count:,} with {plain(reason)}" for reason, count in written.left_out.items()]
    pieces = [
        "# Questions for a judge",
        f"{sizes.rows:,} questions about {written.samples:,} samples{twice}: which of two responses is better. "
        f"By task: {', '.join(about)}. Right verdicts: {', '.join(sides)}.",
        "## Start",
        before,
        fenced(start, "sh"),
        after,
        f"The settings are the paper's for R1 ({MODEL}, vision tower frozen, {ANSWERS} answers a question, learning "
        f"rate 1e-6, weight decay 1e-2, {EPOCHS} epochs, {GPUS} GPUs; arXiv 2510.23451); what it does not give is "
        f"EasyR1's default. A question may be {sizes.prompt:,} tokens long, more than any here needs; the most "
        f"pictures in one are {sizes.pictures}. Validation is off: the same file stands in for the one that both "
        "trainers want.",
        "## Reward",
        _reward(config.reward, critique=config.critique),
        "Neither trainer lets two rows share a group, so the two orders of a sample are two groups."
        if config.swapped
        else "",
        "## Source",
        f"Read by {plain(name)} from {plain(portable(config.place, config.out))}. Licence as its publisher states it: "
        f"{plain(licence) or 'none stated'}. Media and texts stay under the terms of their source.",
        _origins(name, written),
        "Left out:\n\n" + "\n".join(gone) if gone else "Nothing was left out.",
        fenced(_command(config), "sh"),
        f"Written by omnireward {__version__}.",
    ]
    return "\n\n".join(filter(None, pieces)) + "\n"


def _origins(name: str, written: Written) -> str:
    """Where the samples themselves say that they come from, if that is more than the source."""
    if set(written.origins) <= {name}:
        return ""
    told = [f"* {count:,} from {plain(origin)}" for origin, count in written.origins.most_common(_ORIGINS)]
    others = len(written.origins) - len(told)
    told += [f"* {others:,} more origins"] if others else []
    return "Where the samples say that they come from:\n\n" + "\n".join(told)


def _command(config: QuestionsConfig) -> str:
    """The place is typed without a flag."""
    words = shlex.split(command("data", config, config.out))
    at = words.index("--place")
    return shlex.join(["omnireward", "data", "questions", words[at + 1], *words[2:at], *words[at + 2 :]])


def _reward(terms: RewardTerms, *, critique: bool) -> str:
    weights = {"accuracy": terms.accuracy, "format": terms.format, "length": terms.length, "language": terms.language}
    what = {
        "accuracy": "the verdict equals the preference, ties too",
        "format": "there is a verdict, with words of critique before it" if critique else "there is a verdict",
        "length": f"words of critique, {terms.shortest:,} to {terms.longest:,}"
        if terms.longest
        else f"words of critique, at least {terms.shortest:,}",
        "language": f"share of the critique's letters that are {terms.script or 'of the script of the criterion'}",
    }
    lines = [f"* {weight:g} x {name}: {what[name]}" for name, weight in weights.items() if weight]
    return "An answer earns from 0 to 1 (`reward.py`):\n\n" + "\n".join(lines)
