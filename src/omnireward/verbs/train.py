"""omnireward train: a reward model from preferences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from omnireward.verbs import parse, require_torch

if TYPE_CHECKING:
    from omnireward.train.dry_run import DryRun


def run(words: list[str]) -> None:
    """Train a reward model on preferences.

    --recipe NAME_OR_FILE takes flags from a YAML file; those typed override it.

    Examples:
      omnireward train --recipe miniature --out out/run
      omnireward train --recipe miniature --out out/short --steps 20
      omnireward train --recipe paper_bt --out out/bt --dry-run
    """
    from omnireward.train.config import TrainConfig

    config = parse("train", run, TrainConfig, words)
    require_torch("training")
    if config.dry_run:
        from omnireward.train.dry_run import dry_run

        show(dry_run(config))
        return
    from omnireward.train.bradley_terry import train
    from omnireward.train.together import leave, rank

    folder = train(config)
    leave()
    if rank() == 0:
        print(f"The reward model is in {folder}. Judge with it: --judge reward:{folder}")


def show(found: DryRun) -> None:
    """What a run would be, in three tables."""
    mixture = found.mixture
    table = Table(show_header=False, box=None, pad_edge=False)
    for place, weight, where in mixture.parts:
        table.add_row(place, f"{len(where):,} pairs, weight {weight:g}")
    if mixture.unwanted:
        table.add_row("of other tasks or criteria, left out", f"{mixture.unwanted:,}")
    tied = sum(sample.preference == "tie" for sample in mixture.samples)
    if tied:
        table.add_row("ties", f"{tied:,}")
    table.add_row("ties, left out", f"{mixture.ties:,}")
    table.add_row("bad rows", f"{found.bad_rows:,}")
    table.add_row("pairs of a step", f"{found.pairs_per_step:,}")
    table.add_row("steps", f"{found.steps:,} ({found.steps_per_epoch:,} an epoch)")
    if found.tokens:
        said = f"median {found.median_tokens:,.0f}, most {max(found.tokens):,} (of {found.sampled} pairs)"
        table.add_row("tokens of a response with its prompt", said)
    if found.unusable:
        table.add_row("sampled pairs that cannot be used", f"{found.unusable:,}")
    Console().print(table, end="\n\n")
    counted = Table("parameters", "all", "trained", box=None, pad_edge=False)
    for part in found.parts:
        counted.add_row(part.name, f"{part.numbers:,}", f"{part.trained:,}")
    total, trained = (sum(getattr(part, name) for part in found.parts) for name in ("numbers", "trained"))
    counted.add_row("total", f"{total:,}", f"{trained:,}")
    Console().print(counted, end="\n\n")
    _show_memory(found)
    print("Nothing was trained. Leave out --dry-run to begin.")


def _show_memory(found: DryRun) -> None:
    memory, one = found.memory, found.one
    if memory is None or one is None:
        print("No sampled pair can be used, so the memory of a step cannot be told.")
        return
    table = Table("memory on each device", "", box=None, pad_edge=False)
    rows = {
        "weights": memory.weights,
        "their copies in bfloat16": memory.casts,
        "gradients": memory.gradients,
        "AdamW's moments": memory.moments,
        f"kept for the backward pass, {one.tokens:,} tokens": memory.activations,
        "of the layer at work": memory.working,
        "the process itself": memory.constant,
        "estimated peak": memory.total,
        "where a pair is as long as is allowed": max(found.longest.total, memory.total),
    }
    for name, size in rows.items():
        if size:
            table.add_row(name, _said(size))
    Console().print(table)
    device, fits = found.device, max(memory.total, found.longest.total) <= found.device.memory
    print(
        f"{device.name} has {_said(device.memory)}: it {'fits' if fits else 'does not fit'}."
        + ("" if fits else " Smaller: --tokens-per-pass, --gradient-checkpointing, --lora-rank, more devices.")
    )


def _said(size: int) -> str:
    """Bytes in words."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
