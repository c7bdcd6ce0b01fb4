"""Warm starts, trainings and judgements of the made-up world's judge, each made once and read again after that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnireward import recipes, report
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.metrics.intervals import cluster_interval
from omnireward.policy import holds_judge
from omnireward.report.records import Record
from omnireward.train.grpo import grpo
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.sft import sft
from omnireward.train.sft_config import SFTConfig

MOST_WORDS = 40  # tokens of an answer, when it is judged
TASKS = ("T2T", "T2I", "T2A")
BENCHMARK = "miniature:tasks=T2T+T2I+T2A,asks=polite+light+loudness,directions=more"


@dataclass(frozen=True)
class Figures:
    """Of one judge on the test split, every sample asked about in both orders.

    Attributes:
        tasks: accuracy of single answers without ties by task, in percent, and its 95 % interval, clustered by prompt.
        mean: likewise over all answers.
        with_ties: likewise with the tied ones, where TIE is right.
        verdicts: share of answers that have one, in percent.
        bias: first-slot bias in [-1, 1], and its 95 % interval.
    """

    tasks: dict[str, tuple[float, float, float]]
    mean: tuple[float, float, float]
    with_ties: float
    verdicts: float
    bias: tuple[float, float, float]


def warm(out: Path) -> Path:
    """The judge after the warm start of the recipe `miniature_sft`."""
    if not holds_judge(out):
        sft(SFTConfig(out=out, **recipes.load("miniature_sft", SFTConfig)))
    return out


def trained(out: Path, model: Path, **changed: Any) -> Path:
    """The judge after the recipe `miniature_r1`, with some of its values changed."""
    if not holds_judge(out):
        values = {**recipes.load("miniature_r1", GRPOConfig), "model": str(model), **changed}
        grpo(GRPOConfig(out=out, **values))
    return out


def judged(judge: Path) -> Figures:
    """What a judge is worth; the report lies in its folder."""
    out = judge / "report"
    if not (out / "report.json").is_file():
        evaluate(
            EvaluateConfig(
                judge=f"generative:{judge}",
                benchmark=BENCHMARK,
                out=out,
                order="both",
                batch_size=48,
                max_tokens=MOST_WORDS,
            )
        )
        found = report.read(out)
        report.write(report.build(found.run, found.records), found.shown, out)
    told = json.loads((out / "report.json").read_text(encoding="utf-8"))
    votes = report.read(out).records
    untied = [vote for vote in votes if vote.preference != "tie"]
    bias = told["order"]["overall"]["both_orders"]["first_slot_bias"]
    return Figures(
        tasks={task: _accuracy([vote for vote in untied if vote.task.short == task]) for task in TASKS},
        mean=_accuracy(untied),
        with_ties=_accuracy(votes)[0],
        verdicts=100 * sum(vote.margin is not None for vote in votes) / len(votes),
        bias=(bias["value"], *(bias["interval"] or (bias["value"],) * 2)),
    )


def _accuracy(votes: Sequence[Record]) -> tuple[float, float, float]:
    right = np.array([vote.verdict == vote.preference for vote in votes], float)
    interval = cluster_interval(right, [vote.cluster for vote in votes])
    low, high = interval or (right.mean(), right.mean())
    return 100 * float(right.mean()), 100 * low, 100 * high
