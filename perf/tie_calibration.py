"""The best tie threshold: sorted prefix sums (ours, n log n) against trying each threshold (the definition, n squared).

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.tie_calibration

The reference counts the right answers anew for each candidate, with numpy over all samples at once. Both must find the
same threshold and accuracy. 3,725 is the size of Omni-RewardBench.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt
from perf.rounds import interleaved, last_line, table_head, table_row

from omnireward.metrics import TieCalibration, calibrate_ties

ROUNDS = {400: 9, 3_725: 7, 20_000: 3}  # samples -> rounds
NAMES = np.array(["b", "tie", "a"])


def made_up(count: int) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Margins, and preferences that mostly follow them; about an eighth are ties."""
    rng = np.random.default_rng(count)
    margins = rng.normal(size=count)
    noisy = margins + rng.normal(scale=0.5, size=count)
    return margins, NAMES[(np.sign(noisy) * (np.abs(noisy) > 0.17)).astype(int) + 1].tolist()


def try_each(margins: npt.NDArray[np.float64], preferences: list[str]) -> TieCalibration:
    """0.0 and each |margin| as the threshold, from small to large; the first of the best."""
    sizes, signs = np.abs(margins), np.sign(margins)
    truth = np.array([{"a": 1.0, "b": -1.0, "tie": 0.0}[preference] for preference in preferences])
    best = TieCalibration(0.0, -1.0)
    for threshold in np.unique(np.concatenate(([0.0], sizes))):
        right = int(np.count_nonzero(np.where(sizes <= threshold, 0.0, signs) == truth))
        if right / len(margins) > best.accuracy:
            best = TieCalibration(float(threshold), right / len(margins))
    return best


def main() -> None:
    ratios: dict[str, float | None] = {}
    print(table_head())
    for count, rounds in ROUNDS.items():
        margins, preferences = made_up(count)
        assert calibrate_ties(margins, preferences) == try_each(margins, preferences)
        ways = {
            "ours": partial(calibrate_ties, margins, preferences),
            "reference": partial(try_each, margins, preferences),
        }
        times = interleaved(ways, rounds)
        print(table_row(f"tie threshold of {count:,} samples", times["ours"], times["reference"]))
        ratios[f"{count}_samples"] = times["reference"].cpu / times["ours"].cpu
    print(last_line(ratios))


if __name__ == "__main__":
    main()
