"""`--model tiny` and `--model tiny:FAMILY`: a family's small model with random weights, made on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from omnireward import plugins
from omnireward.backbones import Backbone, BackboneFamily

TINY = "tiny"
FAMILY = "minicpm_o"  # the paper's own


def is_tiny(model: str) -> bool:
    """Whether `--model` names one.

    >>> is_tiny("tiny"), is_tiny("tiny:qwen2_5_vl"), is_tiny("tiny-llama")
    (True, True, False)
    """
    return model.partition(":")[0] == TINY


def check(model: str) -> None:
    """Raise UnknownNameError for a family that there is not, before anything is read."""
    if is_tiny(model):
        plugins.load("backbones", _name(model))


def make(model: str, texts: Iterable[str], seed: int) -> tuple[str, Backbone]:
    """The family's name and its tiny backbone.

    Args:
        model: `tiny` or `tiny:FAMILY`.
        texts: what its tokenizer is trained on.
        seed: of its weights.

    Raises:
        UnknownNameError: no such family.
    """
    family = cast(BackboneFamily, plugins.load("backbones", _name(model)))
    return _name(model), family.tiny(texts, seed)


def _name(model: str) -> str:
    return model.partition(":")[2] or FAMILY
