"""omnireward convert: a checkpoint for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from omnireward.verbs import parse, require_torch


@dataclass(frozen=True)
class ConvertConfig:
    """Which checkpoint, and what to make of it."""

    model: tyro.conf.Positional[str]
    """A checkpoint folder, also one with adapters, or OWNER/REPO@REVISION on the Hub."""
    out: tyro.conf.Positional[Path]
    """Folder to write; it must not exist, or be empty."""
    to: Literal["sequence-classification", "published"] = "sequence-classification"
    """What transformers' AutoModelForSequenceClassification loads (text families), or the plain folder, adapters
    merged."""


def run(words: list[str]) -> None:
    """Write a checkpoint for other programs, and check that they give its rewards.

    Examples:
      omnireward convert out/run out/classifier
      omnireward convert out/lora out/merged --to published
    """
    config = parse("convert", run, ConvertConfig, words)
    require_torch("converting")
    from omnireward.convert import convert

    done = convert(config.model, config.out, config.to)
    print(f"{config.out} holds {done.what}.")
    if done.left_out:
        print(done.left_out)
    if done.rows:
        print(f"Checked: {done.rows} rewards agree with the model's within {done.error:.1e}.")
    if done.bias:
        print(f"Its head has no bias, so rewards are {done.bias:+.6g} less than the model's; margins are the same.")
