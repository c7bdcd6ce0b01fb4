"""The folder of a run that was never run: figures by formulas, critiques of the miniature world, media and all.

``python -m tests.judge_log.made_run FOLDER [steps]`` makes one to look at, with its page.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from omnireward.judge_log import RolloutAnswer, RolloutGroup, RolloutLog, write_page
from omnireward.judge_log.rollouts import Fault
from omnireward.miniature.critiques import critiques
from omnireward.miniature.world import World
from omnireward.types import Preference, Sample

_OTHER: Mapping[Preference, Preference] = {"a": "b", "b": "a", "tie": "tie"}
_VERDICTS: tuple[Preference, ...] = ("a", "b", "tie")


def figures(step: int, steps: int, rng: random.Random) -> dict[str, float]:
    """A healthy run's: it learns, with noise."""
    done = step / steps
    learned = 1 / (1 + math.exp(-8 * (done - 0.35)))

    def noisy(value: float, noise: float) -> float:
        return min(1.0, max(0.0, rng.gauss(value, noise)))

    accuracy, written = noisy(0.38 + 0.45 * learned, 0.06), noisy(0.72 + 0.27 * learned, 0.03)
    none, tie = noisy(0.2 * (1 - learned), 0.01), noisy(0.1, 0.02)
    first = (1 - none - tie) * (0.75 - 0.25 * learned)
    return {
        "step": step,
        "epoch": 2 * done,
        "loss": rng.gauss(0, 0.02),
        "grad_norm": abs(rng.gauss(0.9, 0.2)),
        "learning_rate": 1e-6 * (1 - done),
        "reward": 0.9 * accuracy + 0.1 * written,
        "reward_std": 0.42 - 0.2 * learned,
        "accuracy": accuracy,
        "accuracy_without_ties": noisy(accuracy + 0.04, 0.01),
        "format": written,
        "tokens": rng.gauss(60 - 18 * learned, 3),
        "kl": 0.12 * learned * abs(rng.gauss(1, 0.3)),
        "clip_low": noisy(0.004, 0.002),
        "clip_high": noisy(0.01, 0.004),
        "entropy": 0.9 - 0.6 * learned + rng.gauss(0, 0.02),
        "flat_groups": noisy(0.2 + 0.4 * learned, 0.07),
        "cut_off": noisy(0.08 * (1 - learned), 0.01),
        "empty": noisy(0.01, 0.01),
        "media_tokens": noisy(0.01 * (1 - learned), 0.004),
        "verdict_a": first,
        "verdict_b": 1 - none - tie - first,
        "verdict_tie": tie,
        "no_verdict": none,
    }


def make(out: Path, steps: int = 120, groups: int = 2, prompts: int = 3, every: int = 1) -> Path:
    """Write all files of a run but its page; a group is kept at each `every`-th step."""
    rng = random.Random(7)
    out.mkdir(parents=True, exist_ok=True)
    settings = "model: tiny\nsource: miniature?prompts=3\nrollouts: 4\nlearning_rate: 1.0e-06\ntemperature: 1.0\n"
    (out / "config.yaml").write_text(settings)
    told = list(critiques(World(prompts=prompts)))
    rng.shuffle(told)
    log = RolloutLog(out, groups)
    lines = []
    for step in range(1, steps + 1):
        seen = figures(step, steps, rng)
        lines.append(json.dumps(seen) + "\n")
        if step % every == 0:
            for _ in range(groups):
                sample, _, critique = rng.choice(told)
                log.add(group(step, sample, critique, seen["accuracy"], rng), sample)
    (out / "log.jsonl").write_text("".join(lines))
    return out


def group(step: int, sample: Sample, critique: str, accuracy: float, rng: random.Random) -> RolloutGroup:
    """Four answers, two of them to the swapped question."""
    answers = list(_answers(sample, critique, accuracy, rng))
    mean = sum(reward for *_, reward in answers) / len(answers)
    return RolloutGroup(
        step,
        sample.id,
        sample.task.short,
        sample.comparison.criterion,
        tuple(
            RolloutAnswer(
                swapped=swapped,
                preference=_OTHER[sample.preference] if swapped else sample.preference,
                text=text,
                tokens=len(text.split()),
                cut_off=fault == "cut off",
                fault=fault,
                verdict=verdict,
                reward=reward,
                parts={"accuracy": float(reward > 0.5), "format": float(reward > 0)},
                advantage=reward - mean,
            )
            for swapped, text, fault, verdict, reward in answers
        ),
    )


def _answers(
    sample: Sample, critique: str, accuracy: float, rng: random.Random
) -> Iterator[tuple[bool, str, Fault, Preference | None, float]]:
    words = critique.rsplit("VERDICT", 1)[0].strip()
    for number in range(4):
        swapped = number % 2 == 1
        if rng.random() < 0.06:
            yield swapped, " ".join([words] * 3), "cut off", None, 0.0
        elif rng.random() < 0.03:
            yield swapped, "", "empty", None, 0.0
        else:
            wanted = _OTHER[sample.preference] if swapped else sample.preference
            verdict = wanted if rng.random() < accuracy else rng.choice([v for v in _VERDICTS if v != wanted])
            yield swapped, f"{words}\nVERDICT: {verdict.upper()}", "", verdict, 1.0 if verdict == wanted else 0.1


if __name__ == "__main__":
    write_page(make(Path(sys.argv[1]), *map(int, sys.argv[2:])))
