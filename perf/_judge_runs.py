"""Warm starts, trainings and judgements of the made-up world's judge, each made once and read again after that."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnireward import recipes, report
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.policy import holds_judge
from omnireward.train.grpo import grpo
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.sft import sft
from omnireward.train.sft_config import SFTConfig

MOST_WORDS = 100  # tokens of an answer, when it is judged


@dataclass(frozen=True)
class Figures:
    """Of one judge on the test split, every sample asked about in both orders.

    Attributes:
        tasks: accuracy without ties by task, in percent, and its 95 % interval, clustered by prompt.
        mean: over the tasks, with its interval.
        with_ties: accuracy with ties, over the tasks.
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


def judged(judge: Path, tasks: tuple[str, ...]) -> Figures:
    """What a judge is worth; the report lies in its folder."""
    out = judge / "report"
    if not (out / "report.json").is_file():
        evaluate(
            EvaluateConfig(
                judge=f"generative:{judge}",
                benchmark=f"miniature:tasks={'+'.join(tasks)}",
                out=out,
                order="both",
                batch_size=48,
                max_tokens=MOST_WORDS,
            )
        )
        found = report.read(out)
        report.write(report.build(found.run, found.records), found.shown, out)
    told = json.loads((out / "report.json").read_text(encoding="utf-8"))
    records = report.read(out).records
    by_task = {name: _share(block["without_ties"]) for name, block in told["tasks"].items()}
    bias = told["order"]["overall"]["both_orders"]["first_slot_bias"]
    return Figures(
        tasks=by_task,
        mean=_share(told["macro"]["without_ties"]),
        with_ties=100 * told["macro"]["with_ties"]["accuracy"],
        verdicts=100 * sum(record.margin is not None for record in records) / len(records),
        bias=(bias["value"], *(bias["interval"] or (bias["value"],) * 2)),
    )


def _share(told: dict[str, Any]) -> tuple[float, float, float]:
    low, high = told["interval"] or (told["accuracy"], told["accuracy"])
    return 100 * told["accuracy"], 100 * low, 100 * high
