"""The paper's figures for its Bradley-Terry model on Omni-RewardBench, to stand beside ours. Percent.

Source: arXiv 2510.23451, the main results tables, row Omni-RewardModel-BT. Known errors: the w/ ties figures of scalar
models come from a calibration that never tries "no ties" and that scores states inside a group of equal margins, so
they can be off by up to about a point. Overall is the mean over the nine tasks.
"""

from __future__ import annotations

MODEL = "Omni-RewardModel-BT"
BENCHMARK = "omni_rewardbench"
BENCHMARK_SAMPLES = 3725
WITH_TIES = {
    "T2T": 75.30,
    "TI2T": 60.23,
    "TV2T": 68.85,
    "TA2T": 70.59,
    "T2I": 58.35,
    "T2V": 64.08,
    "T2A": 63.99,
    "T23D": 67.88,
    "TI2I": 58.95,
}
OVERALL_WITH_TIES = 65.36
OVERALL_WITHOUT_TIES = 73.68


def comparable(benchmark: str) -> bool:
    """Whether figures on this benchmark may stand beside the paper's.

    >>> comparable("omni_rewardbench:data/bench"), comparable("miniature")
    (True, False)
    """
    return benchmark.partition(":")[0] == BENCHMARK
