"""Figures in words: how numbers are written, and what the intervals say in plain sentences."""

from __future__ import annotations

from omnireward.metrics import FEW_CLUSTERS, Interval
from omnireward.report import paper
from omnireward.report.results import Report

CHANCE = 0.5
MISSING = "n/a"


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
    return [*_completeness(report), *_macro(report), *_tasks(report), *_counted(report), *_ties(report)]


def _completeness(report: Report) -> list[str]:
    said = []
    if report.samples < report.run.samples:
        said.append(
            f"Unfinished: {report.samples} of {report.run.samples} samples are in the journal. Evaluate again to go on."
        )
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
    said = [f"{start} (95 % interval {span(macro.interval)}): {against_chance(macro.interval)}."]
    few = [name for name, block in report.tasks.items() if block.prompts < FEW_CLUSTERS]
    if few:
        # A bootstrap cannot draw prompts that it has not seen.
        said.append(f"Fewer than {FEW_CLUSTERS} prompts in {', '.join(few)}: the macro intervals are too narrow.")
    return said


def _tasks(report: Report) -> list[str]:
    intervals = {name: block.without_ties.interval for name, block in report.tasks.items()}
    said = []
    above = [name for name, interval in intervals.items() if interval and interval[0] > CHANCE]
    if above and len(above) == len(intervals) and len(above) > 1:
        said.append("Every task's interval lies above 50 %.")
    elif above:
        said.append(f"Above chance: {', '.join(above)}.")
    for name, interval in intervals.items():
        if interval is None:
            said.append(f"{name} has no interval: too few prompts with a preference.")
        elif interval[0] <= CHANCE <= interval[1]:
            said.append(f"The interval of {name} ({span(interval)} %) includes 50 %: {against_chance(interval)}.")
        elif interval[1] < CHANCE:
            said.append(f"The interval of {name} ({span(interval)} %) lies below 50 %: worse than chance.")
    return said


def _counted(report: Report) -> list[str]:
    said = []
    zeros = sum(block.exact_zero_margins for block in report.tasks.values())
    if report.failures:
        said.append(f"Failed: {_count(report.failures, 'sample')}, counted as wrong.")
    if report.without_verdict:
        said.append(f"Without verdict: {_count(report.without_verdict, 'sample')}, counted as wrong.")
    if zeros:
        said.append(f"Margin of exactly 0: {_count(zeros, 'sample')}; wrong without ties, a predicted tie with them.")
    if report.run.bad_rows:
        said.append(f"Unusable: {_count(len(report.run.bad_rows), 'row')} of the benchmark, not among the samples.")
    return said


def _ties(report: Report) -> list[str]:
    fitted, crossed = report.macro.with_ties, report.macro.cross_fitted
    if not any(block.ties for block in report.tasks.values()):
        return ["People called no sample a tie, so the figures with ties measure only whether thresholds stay at 0."]
    if fitted.accuracy is None or crossed.accuracy is None or fitted.tasks != crossed.tasks:
        return []
    return [
        f"With ties, {percent(fitted.accuracy)} % at thresholds fitted on these same samples, as in the paper; "
        f"{percent(crossed.accuracy)} % at thresholds fitted on other prompts, which is the fairer figure."
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
