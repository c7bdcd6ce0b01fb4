"""Figures in words: how numbers are written, and what the intervals say in plain sentences."""

from __future__ import annotations

from omnireward.metrics import FEW_CLUSTERS, Interval
from omnireward.metrics.order import OrderEffects, Share, SwapEffects
from omnireward.report import paper
from omnireward.report.results import OrderFigures, Report

CHANCE = 0.5
MISSING = "n/a"
OWN_WORDS = {
    "stated": "the verdicts as stated by the judge",
    "likeliest": "the likeliest of the judge's own P(a), P(tie) and P(b)",
    "mixed": "the judge's own word, a verdict or the likeliest of its probabilities",
}
"""What counts with ties, by `Report.own_word`."""


def percent(fraction: float | None) -> str:
    """A fraction as percent without the sign.

    >>> percent(0.9312), percent(None)
    ('93.1', 'n/a')
    """
    return MISSING if fraction is None else f"{100 * fraction:.1f}"


def span(interval: Interval | None) -> str:
    """An interval of fractions as percent.

    >>> span((0.5, 0.731))
    '50.0 to 73.1'
    """
    return MISSING if interval is None else f"{percent(interval[0])} to {percent(interval[1])}"


def signed(number: float | None) -> str:
    """A margin with its sign; the minus is a real one, as long as the plus.

    >>> signed(0.51234), signed(-12.0), signed(163000.0), signed(0.0)
    ('+0.512', '−12', '+163,000', '0')
    """
    if number is None:
        return MISSING
    if number == 0:
        return "0"
    return (f"{number:+,.0f}" if abs(number) >= 100 else f"{number:+.3g}").replace("-", "−")


def points(difference: float | None) -> str:
    """A difference of fractions in points, with its sign.

    >>> points(0.1251), points(-0.02), points(0.0)
    ('+12.5', '−2.0', '0.0')
    """
    if difference is None:
        return MISSING
    shown = f"{100 * difference:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", "−")


def points_span(interval: Interval | None) -> str:
    """An interval of a difference, in points.

    >>> points_span((-0.021, 0.083))
    '−2.1 to +8.3'
    """
    return MISSING if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def against_chance(interval: Interval) -> str:
    """What an interval of the accuracy without ties says about guessing.

    >>> against_chance((0.48, 0.57))
    'indistinguishable from chance'
    """
    if interval[0] > CHANCE:
        return "above chance"
    return "below chance" if interval[1] < CHANCE else "indistinguishable from chance"


def sentences(report: Report) -> list[str]:
    """What the report says, most important first."""
    return [
        *_completeness(report),
        *_macro(report),
        *_tasks(report),
        *_order(report),
        *_official(report),
        *_counted(report),
        *_ties(report),
        *_calibration(report),
        *_certainty(report),
    ]


def _completeness(report: Report) -> list[str]:
    said = []
    if report.samples < report.run.samples:
        said.append(
            f"Unfinished: {report.samples} of {report.run.samples} samples are in the journal. Evaluate again to go on."
        )
    if report.run.skipped:
        skipped = ", ".join(f"{number} of {task}" for task, number in report.run.skipped.items())
        total = _count(sum(report.run.skipped.values()), "sample")
        said.append(f"Skipped: {total} ({skipped}), which this kind of judge cannot judge. No figure holds them.")
    if paper.comparable(report.run.benchmark) and report.samples < paper.BENCHMARK_SAMPLES:
        said.append(
            f"These are {report.samples} samples where the paper has {paper.BENCHMARK_SAMPLES}: "
            "its figures stand beside ours for orientation only."
        )
    return said


def _macro(report: Report) -> list[str]:
    macro = report.macro.without_ties
    if macro.accuracy is None:
        return ["People called every sample a tie: there is no accuracy without ties."]
    over = f"{len(macro.tasks)} tasks" if len(macro.tasks) > 1 else f"{macro.tasks[0]} alone"
    start = f"Over {over}, accuracy without ties is {percent(macro.accuracy)} %"
    if macro.interval is None:
        return [f"{start}. It has no interval, because a task has a single prompt."]
    if report.abstains:
        said = [f"{start} (95 % interval {span(macro.interval)}); a verdict of a tie is wrong there."]
        decided = report.macro.decided
        if decided.interval is not None:
            said.append(
                f"Where the judge names a winner, it is right in {percent(decided.accuracy)} % "
                f"(95 % interval {span(decided.interval)}): {against_chance(decided.interval)}."
            )
    else:
        said = [f"{start} (95 % interval {span(macro.interval)}): {against_chance(macro.interval)}."]
    few = [name for name, block in report.tasks.items() if block.prompts < FEW_CLUSTERS]
    if few:
        # A bootstrap cannot draw prompts that it has not seen.
        said.append(f"Fewer than {FEW_CLUSTERS} prompts in {', '.join(few)}: the macro intervals are too narrow.")
    return said


def _tasks(report: Report) -> list[str]:
    # Guessing is right half of the time only where a winner is named.
    of, where = ("of the winners named in ", " where a winner is named") if report.abstains else ("of ", "")
    scores = {name: block.decided if report.abstains else block.without_ties for name, block in report.tasks.items()}
    intervals = {name: score.interval for name, score in scores.items()}
    said = []
    above = [name for name, interval in intervals.items() if interval and interval[0] > CHANCE]
    if above and len(above) == len(intervals) and len(above) > 1:
        said.append(f"Every task's interval{where} lies above 50 %.")
    elif above:
        said.append(f"Above chance{where}: {', '.join(above)}.")
    for name, interval in intervals.items():
        if interval is None:
            said.append(f"{name} has no interval: too few prompts with a preference.")
        elif interval[0] <= CHANCE <= interval[1]:
            said.append(f"The interval {of}{name} ({span(interval)} %) includes 50 %: {against_chance(interval)}.")
        elif interval[1] < CHANCE:
            said.append(f"The interval {of}{name} ({span(interval)} %) lies below 50 %: worse than chance.")
    return said


def _order(report: Report) -> list[str]:
    if report.order is None:
        return []
    found = report.order.overall
    said = _place(report.order, found) if found.swap is None else _swap(report, found.swap)
    if found.stability is not None:
        said.append(
            f"Asked again in the same order, {percent(found.stability.value)} % of the votes agree with the most "
            f"frequent one (95 % interval {span(found.stability.interval)})."
        )
    return said


def _swap(report: Report, swap: SwapEffects) -> list[str]:
    said = [
        f"Shown both orders, the judge kept to its choice in {percent(swap.consistency.value)} % of "
        f"{_count(swap.pairs, 'pair')} of votes (95 % interval {span(swap.consistency.interval)})."
    ]
    # Only verdicts make a tie of a disagreement; margins and probabilities are averaged.
    pairs_alone = all(len(outcome.votes) <= 2 for outcome in report.outcomes)
    stated = any(outcome.record.verdict and not outcome.record.probabilities for outcome in report.outcomes)
    if swap.inconsistent and stated and pairs_alone:
        said.append(
            f"Where the two orders disagree ({_count(swap.inconsistent, 'sample')}) the verdict counts as a tie: wrong "
            "without ties."
        )
    bias = swap.first_slot_bias
    measured = f"{points(bias.value)} points for the first (95 % interval {points_span(bias.interval)})"
    if bias.value is None or bias.interval is None or bias.interval[0] <= 0 <= bias.interval[1]:
        return [*said, f"No preference for a place is shown: {measured}."]
    place, low, high = "first", *bias.interval
    if bias.value < 0:
        place, low, high = "second", -high, -low
    return [
        *said,
        f"The judge prefers the {place} place by {percent(abs(bias.value))} points "
        f"(95 % interval {span((low, high))}): whatever response stands there.",
    ]


def _place(order: OrderFigures, found: OrderEffects) -> list[str]:
    first = found.first_slot
    if first.value is None:
        return []
    named = f"the judge names the first place in {percent(first.value)} % of its choices"
    right = (
        f" It is right in {_share(found.preferred_first)} where people's choice stands first, and in "
        f"{_share(found.preferred_second)} where it stands second."
    )
    if order.order == "fixed":
        asked = found.preferred_first.count + found.preferred_second.count
        people = percent(found.preferred_first.count / asked if asked else None)
        return [f"With response a always first, {named}, people in {people} %.{right}"]
    if first.interval is None:
        return [f"In an order that was drawn, {named}.{right}"]
    if first.interval[0] <= CHANCE <= first.interval[1]:
        verdict = "no preference for a place is shown"
    else:
        verdict = f"it prefers the {'first' if first.value > CHANCE else 'second'} place"
    return [f"In an order that was drawn, {named} (95 % interval {span(first.interval)}): {verdict}.{right}"]


def _share(share: Share) -> str:
    return f"{percent(share.value)} %"


def _official(report: Report) -> list[str]:
    if report.official is None or not report.official.figures:
        return []
    name, figure = next(iter(report.official.figures.items()))
    said = f"By the benchmark's own count, {name} is {percent(figure)} %"
    if name in report.official.corrected:
        return [f"{said}; counted as it should be, {percent(report.official.corrected[name])} %."]
    return [f"{said}."]


def _counted(report: Report) -> list[str]:
    said = []
    zeros = sum(block.exact_zero_margins for block in report.tasks.values())
    tie_verdicts = sum(block.tie_verdicts for block in report.tasks.values())
    if report.failures:
        said.append(f"Failed: {_count(report.failures, 'sample')}, counted as wrong.")
    if report.without_verdict:
        said.append(f"Without verdict: {_count(report.without_verdict, 'sample')}, counted as wrong.")
    likeliest = sum(block.likeliest for block in report.tasks.values())
    likeliest_ties = sum(block.likeliest_ties for block in report.tasks.values())
    if zeros:
        tied = "" if likeliest else ", a predicted tie with them"
        said.append(f"Margin of exactly 0: {_count(zeros, 'sample')}; wrong without ties{tied}.")
    if tie_verdicts:
        said.append(f"Verdict of a tie: {_count(tie_verdicts, 'sample')}; wrong without ties.")
    if likeliest_ties:
        said.append(f"A tie is likeliest: {_count(likeliest_ties, 'sample')}; without ties the margin's sign counts.")
    if report.run.bad_rows:
        said.append(f"Unusable: {_count(len(report.run.bad_rows), 'row')} of the benchmark, not among the samples.")
    return said


def _ties(report: Report) -> list[str]:
    fitted, crossed = report.macro.with_ties, report.macro.cross_fitted
    if report.own_word is not None:
        oracle = report.macro.with_ties_oracle
        said = f"With ties, {percent(fitted.accuracy)} %: {OWN_WORDS[report.own_word]}, so no threshold was fitted."
        if oracle is not None and report.own_word == "likeliest":
            said += (
                f" Thresholds for its margins, fitted on these same samples, would give {percent(oracle.accuracy)} %."
            )
        return [said]
    if not any(block.ties for block in report.tasks.values()):
        return ["People called no sample a tie, so the figures with ties measure only whether thresholds stay at 0."]
    if fitted.accuracy is None or crossed.accuracy is None or fitted.tasks != crossed.tasks:
        return []
    return [
        f"With ties, {percent(fitted.accuracy)} % at thresholds fitted on these same samples, as in the paper; "
        f"{percent(crossed.accuracy)} % at thresholds fitted on other prompts, which is the fairer figure."
    ]


def _calibration(report: Report) -> list[str]:
    """Of the judge's own claims alone: what was fitted for it, it did not say."""
    found = report.calibration
    if found is None or found.cross_fitted or found.overall is None:
        return []
    error = found.overall.classwise
    shown = "they are miscalibrated" if error.value > error.limit else "no miscalibration is shown"
    within = "" if error.interval is None else f" (95 % interval {span(error.interval)})"
    return [
        f"The judge's P(a), P(tie) and P(b) are off by {percent(error.value)} points on average{within}; a perfectly "
        f"calibrated judge with such claims would be by {percent(error.calibrated)}, by chance: {shown}."
    ]


def _certainty(report: Report) -> list[str]:
    found = report.certainty
    if found is None:
        return []
    said = []
    area, covered = found.selective.area, found.selective.covered
    if area is not None and area.interval is not None:  # of too few samples nothing is said
        half = next((one for one in covered if one.share >= 0.5), covered[-1])
        plain = found.margin_alone
        alone = "" if plain is None else f"; {percent(plain.value)} by the margin's size alone"
        said.append(
            f"A right judgement is more certain than a wrong one in {percent(area.value)} % of cases (95 % "
            f"interval {span(area.interval)}){alone}. Over "
            f"the most certain {percent(half.share)} % of the samples it is right in {percent(half.accuracy)} %."
        )
    familiar, unfamiliar = found.familiar, found.unfamiliar
    if unfamiliar is not None and unfamiliar.samples:
        beside = f", and {percent(familiar.accuracy)} % of the others" if familiar and familiar.samples else ""
        said.append(
            f"Unlike what it was trained on: {_count(unfamiliar.samples, 'sample')}, of which "
            f"{percent(unfamiliar.accuracy)} % are judged right{beside}."
        )
    return said


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
