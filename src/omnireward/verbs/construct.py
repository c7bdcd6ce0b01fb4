"""omnireward construct: criteria, verification, a mixture, critiques."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from omnireward.construct.criteria_config import CriteriaConfig
from omnireward.construct.critiques_config import CritiquesConfig
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.verify_config import VerifyConfig
from omnireward.errors import UnknownNameError
from omnireward.plugins import suggest
from omnireward.sample_text import printable
from omnireward.verbs import Verb, described, parse

if TYPE_CHECKING:
    from omnireward.construct.mix_counts import Mixed
    from omnireward.construct.running import Outcome
    from omnireward.judges import Estimate

_Config = TypeVar("_Config", CriteriaConfig, CritiquesConfig, VerifyConfig)


def run(words: list[str]) -> None:
    """Make preference data with criteria: have them written (criteria), verified (verify), and mixed (mix).
    For a judge that writes, have critiques written (critiques).

    usage: omnireward construct {criteria,verify,mix,critiques} [--recipe NAME_OR_FILE] [flags]
           omnireward construct criteria --help

    Each step reads samples and writes a folder of samples, which is a dataset: the next step, `train`, `annotate` and
    `data show` read it. The same command again goes on where a run was stopped, and pays for no answer twice.

    Examples:
      omnireward construct criteria --samples ultrafeedback:data/uf --writer api:MODEL --out out/written --dry-run
      omnireward construct verify --samples out/written --verifiers api:ONE api:TWO api:THREE --out out/verified
      omnireward construct mix --sources ultrafeedback:data/uf 1 out/verified 1 --out out/mixed
      omnireward train --recipe miniature --datasets out/mixed 1 --out out/run
      omnireward construct critiques --samples out/mixed --writer api:MODEL --out out/critiques
    """
    if not words or words[0] in ("-h", "--help"):
        print(described(run))
        if not words:
            sys.exit(2)
        return
    if words[0] not in _STEPS:
        raise UnknownNameError(f"unknown step {words[0]!r} of construction. {suggest(words[0], sorted(_STEPS))}")
    _STEPS[words[0]](words[1:])


def _criteria(words: list[str]) -> None:
    """Have a model write criteria for samples: each favours one response, or neither.

    What a criterion favours is the writer's claim; `construct verify` has others judge it. Criteria that name a
    response, are vague, or fit one response only are refused, and rejected.jsonl says why.

    Examples:
      omnireward construct criteria --samples rlaif_v:data/rlaif --writer api:MODEL --ties 1 --out out/written
      omnireward construct criteria --samples data/mine --writer generative:models/Qwen --limit 50 --out out/try
    """
    config = parse("construct criteria", _criteria, CriteriaConfig, words)
    from omnireward.construct import criteria

    if config.dry_run:
        estimate = criteria.dry_run(config)
        _show_estimate({"samples": estimate.samples, "of them unreadable": estimate.unreadable}, estimate.estimate)
        return
    _show(config, _stoppable(criteria.criteria, config))


def _verify(words: list[str]) -> None:
    """Keep the samples whose claimed preference several judges find again, in both orders.

    Examples:
      omnireward construct verify --samples out/written --verifiers api:ONE api:TWO api:THREE --out out/verified
      omnireward construct verify --samples out/written --verifiers api:M reward:out/run --rule majority --out out/v
    """
    config = parse("construct verify", _verify, VerifyConfig, words)
    from omnireward.construct import verify

    if config.dry_run:
        found = verify.dry_run(config)
        counts = {"samples": found.samples, "judgements": found.votes, "of them unreadable": found.unreadable}
        _show_estimate(counts, found.estimate)
        return
    _show(config, _stoppable(verify.verify, config))


def _critiques(words: list[str]) -> None:
    """Have a model judge samples in writing, and keep the answers that come to what people preferred.

    The writer is asked as a judge is, and is not told the preference. critiques.jsonl holds what is kept, beside the
    samples; a judge that writes is taught with it.

    Examples:
      omnireward construct critiques --samples out/mixed --writer api:MODEL --most 4 --out out/critiques
      omnireward construct critiques --samples data/mine --writer generative:models/Qwen --order both --balance \
--out out/critiques
    """
    config = parse("construct critiques", _critiques, CritiquesConfig, words)
    from omnireward.construct import critiques

    if config.dry_run:
        estimate = critiques.dry_run(config)
        _show_estimate({"samples": estimate.samples, "of them unreadable": estimate.unreadable}, estimate.estimate)
        return
    _show(config, _stoppable(critiques.critiques, config))


def _mix(words: list[str]) -> None:
    """Make one dataset of several: weights and caps, splits that share nothing, no overlap with benchmarks, a card.

    Examples:
      omnireward construct mix --sources ultrafeedback:data/uf 1 out/verified 1 --out out/mixed
      omnireward construct mix --sources data/a 1 data/b 0.5 --splits train 0.98 validation 0.02 --total 50000 \
--benchmarks omni_rewardbench:data/OmniRewardBench --form parquet --out out/mixed
    """
    config = parse("construct mix", _mix, MixConfig, words)
    from omnireward.construct.mix import mix

    _show_mixture(config, mix(config))


_STEPS: dict[str, Verb] = {"criteria": _criteria, "verify": _verify, "mix": _mix, "critiques": _critiques}


def _stoppable(step: Callable[[_Config], Outcome], config: _Config) -> Outcome:
    try:
        return step(config)
    except KeyboardInterrupt:
        print(f"\nEvery answer is in {config.out}. Run the same command again to go on.", file=sys.stderr)
        raise


def _show(config: CriteriaConfig | CritiquesConfig | VerifyConfig, outcome: Outcome) -> None:
    """What a step did, and what it left for another run."""
    from omnireward.construct import criteria_report, critiques_report, pages, verify_report

    page = {
        CriteriaConfig: criteria_report.page,
        CritiquesConfig: critiques_report.page,
        VerifyConfig: verify_report.page,
    }[type(config)]
    if outcome.merged:
        Console().print(pages.render_terminal(page(criteria_report.read_report(config.out))))
        print(f"The samples are in {config.out}; the page is {config.out / 'report.html'}.")
    if outcome.spent is not None:
        print(f"Spent so far: {outcome.spent:,.2f}.")
    if outcome.failed:
        print(f"{outcome.failed} of {outcome.samples} samples failed. The first error:")
        print(printable(outcome.first_error))
        print("The same command tries them again; --settle rejects them instead.")
    elif outcome.waiting:
        _say_waiting([f"{part.index}/{part.of}" for part in outcome.waiting])


def _say_waiting(parts: list[str]) -> None:
    shown = ", ".join(parts[:8]) + (" and more" if len(parts) > 8 else "")
    print(f"Done here. Still to do elsewhere: parts {shown}. The last to end puts everything together.")


def _show_estimate(counts: Mapping[str, int], estimate: Estimate) -> None:
    """What a run would take."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, count in counts.items():
        if count or name == "samples":
            table.add_row(name, f"{count:,}")
    table.add_row("calls, at most", f"{estimate.calls:,}")
    table.add_row("prompt tokens, estimated", f"{estimate.prompt_tokens:,}")
    table.add_row("answer tokens, at most", f"{estimate.answer_tokens:,}")
    cost = "unknown: no prices were given" if estimate.cost is None else f"{estimate.cost:,.2f}"
    table.add_row("cost, at most", cost)
    Console().print(table)
    print("Nothing was asked. Leave out --dry-run to begin.")


def _show_mixture(config: MixConfig, mixed: Mixed) -> None:
    if mixed.waiting:
        _say_waiting([f"{part.index}/{part.of}" for part in mixed.waiting])
        return
    table = Table("source", "task", "split", box=None, pad_edge=False)
    for name in ("samples", "prefer a", "prefer b", "ties", "with criterion"):
        table.add_column(name, justify="right")
    for one in mixed.portions:
        figures = (one.samples, one.a, one.b, one.ties, one.criteria)
        table.add_row(Text(printable(one.source)), one.task, one.split, *(f"{figure:,}" for figure in figures))
    Console().print(table)
    if empty := [name for name in config.splits if name not in {one.split for one in mixed.portions}]:
        print(f"empty: {', '.join(empty)}. What shares a prompt or a medium is in one split, and no group fits here.")
    for reason, count in mixed.reasons().items():
        print(printable(f"left out: {count:,} ({reason})"))
    for place, count in mixed.bad_rows.items():
        print(printable(f"rows that cannot be used: {count:,} of {place}"))
    if config.dry_run:
        print(f"{mixed.samples:,} samples would be taken. Nothing was written.")
    else:
        print(f"{mixed.samples:,} samples are in {config.out}: {', '.join(mixed.files)}; the card is README.md.")
