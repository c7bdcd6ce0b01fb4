"""How well each schedule ranks, and for how many calls: Kendall's tau with the true order, from simulated judges.

    python -m perf.ranking_calls

Each response has a true strength, normal with deviation 1. A judge says that the first is better with the probability
that Bradley-Terry gives to `sharpness` times the difference of the two strengths, so 1 is a noisy judge and 4 a good
one; it never makes a mistake where it is `right`. The last judge is of sharpness 2 and adds 1 to the first place. Tau
counts pairs in the right order less pairs in the wrong one, over all pairs; a pair with equal strengths counts as
neither. Each cell is the mean over three seeds of 20 groups each.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from omnireward.ranking import Group, Ranking, RankingOptions, rank_groups
from omnireward.types import Comparison, Judgement, Text, Turn

SEEDS = (0, 1, 2)
GROUPS = 20


@dataclass(frozen=True, slots=True)
class Simulated:
    """Reads the true strengths that responses spell, and draws its verdict; the same question gets the same one."""

    sharpness: float
    first: float
    seed: int

    @property
    def fingerprint(self) -> str:
        return f"simulated:{self.sharpness}:{self.first}:{self.seed}"

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        return [Judgement(1.0 if self._first_wins(comparison) else -1.0) for comparison in comparisons]

    def _first_wins(self, comparison: Comparison) -> bool:
        a, b = (float(words(comparison.response(side)[0])) for side in ("a", "b"))
        logit = (a - b) * self.sharpness + self.first
        drawn = (
            int.from_bytes(hashlib.sha256(f"{self.seed}:{comparison.digest()}".encode()).digest()[:8], "big") / 2**64
        )
        return drawn < (1 / (1 + math.exp(-logit)) if abs(logit) < 700 else float(logit > 0))


def words(part: object) -> str:
    assert isinstance(part, Text)
    return part.text


JUDGES = {
    "right": (math.inf, 0.0),
    "sharpness 4": (4.0, 0.0),
    "2": (2.0, 0.0),
    "1": (1.0, 0.0),
    "2, first +1": (2.0, 1.0),
}


def ways(count: int) -> dict[str, RankingOptions]:
    """Schedules, each with its numbers of calls."""
    pairs = count * (count - 1) // 2
    return {
        "anchor": RankingOptions(schedule="anchor"),
        "sort": RankingOptions(schedule="sort"),
        "swiss, as long as sort": RankingOptions(schedule="swiss", calls={8: 17, 16: 49}[count]),
        "sample, as long as sort": RankingOptions(schedule="sample", calls={8: 17, 16: 49}[count]),
        "swiss, 3/4 of all": RankingOptions(schedule="swiss", calls=pairs * 3 // 4),
        "sample, 3/4 of all": RankingOptions(schedule="sample", calls=pairs * 3 // 4),
        "all": RankingOptions(schedule="all"),
        "all, both orders": RankingOptions(schedule="all", order="both"),
    }


def tau(strengths: Sequence[float], found: Sequence[float]) -> float:
    """Kendall's tau-a."""
    signs = [
        math.copysign(1, a - b) * (0 if x == y else math.copysign(1, x - y))
        for (a, x), (b, y) in itertools.combinations(zip(strengths, found, strict=True), 2)
    ]
    return statistics.fmean(signs)


def ranked(count: int, judge: tuple[float, float], options: RankingOptions, seed: int) -> tuple[float, float]:
    """Mean tau and mean number of calls of a seed's groups."""
    rng = random.Random(seed)
    sharpness, first = judge
    truth = [[rng.gauss() for _ in range(count)] for _ in range(GROUPS)]
    prompt = (Turn("user", (Text("simulated"),)),)
    groups = [Group(prompt, tuple((Text(repr(each)),) for each in one)) for one in truth]
    judge_ = Simulated(1e9 if math.isinf(sharpness) else sharpness, first, seed)
    rankings = rank_groups(judge_, groups, options)
    taus = [tau(one, numbers(ranking)) for one, ranking in zip(truth, rankings, strict=True)]
    return statistics.fmean(taus), statistics.fmean(ranking.calls for ranking in rankings)


def numbers(ranking: Ranking) -> list[float]:
    found = [round(value, 6) for value in ranking.rewards if value is not None]
    assert len(found) == len(ranking.rewards)
    return found


def main() -> None:
    for count in (8, 16):
        print(f"\n{count} responses\n\n| schedule | calls | {' | '.join(JUDGES)} |\n|---|--:|{'--:|' * len(JUDGES)}")
        for name, options in ways(count).items():
            cells, calls = [], []
            for judge in JUDGES.values():
                found = [ranked(count, judge, options, seed) for seed in SEEDS]
                cells.append(f"{statistics.fmean(value for value, _ in found):.2f}")
                calls.append(statistics.fmean(asked for _, asked in found))
            print(f"| {name} | {statistics.fmean(calls):.1f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
