"""Names of weights: the published ones, those of newer transformers, and ours.

transformers has renamed the parts of these models more than once, and its loader takes weights that it cannot place for
no reason to stop: they stay random, and a reward from random weights looks like any other. So names are mapped here,
and every weight must find its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from omnireward.backbones._weights import WeightFiles

# (prefix in a file, prefix here), the first that fits counts.
Names = Sequence[tuple[str, str]]
IGNORED = ("lm_head.",)  # vocabulary logits, which a reward does not need


def published(ours: str, names: Names) -> str:
    """A parameter's name in a file.

    >>> published("visual.merger.mlp.0.bias", [("model.visual.", "visual."), ("model.language_model.", "model.")])
    'model.visual.merger.mlp.0.bias'
    """
    for theirs, prefix in names:
        if ours.startswith(prefix):
            return theirs + ours.removeprefix(prefix)
    return ours


def read_weights(
    files: WeightFiles, wanted: Mapping[str, Tensor], layouts: Sequence[Names], dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """The tensors that a model wants, by our names.

    Args:
        files: of a checkpoint folder.
        wanted: a state dict, which may live on the meta device.
        layouts: ways of naming, the usual one first; the one that most names in the files fit is taken.
        dtype: of the result; as stored when None.

    Raises:
        CheckpointError: a weight is missing, left over, of another shape, or not of floating point.
    """
    ways = [{published(name, names): name for name in wanted} for names in layouts]
    way = max(ways, key=lambda known: len(known.keys() & files.keys))
    found = files.read({theirs: wanted[ours] for theirs, ours in way.items()}, dtype)
    return {way[theirs]: tensor for theirs, tensor in found.items()}


def fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model made on the meta device its weights. What no file holds, such as frequencies, is computed again."""
    model.load_state_dict(dict(tensors), assign=True)
    for module in list(model.modules()):
        for name, table in list(module.named_children()):
            if any(buffer.is_meta for buffer in table.buffers(recurse=False)):
                setattr(module, name, _again(table))


def _again(table: Any) -> nn.Module:
    """The same table of rotary frequencies, or of positions of sound, computed anew."""
    kind = type(table)
    if not (hasattr(table, "config") or hasattr(table, "length")):
        return cast(nn.Module, table)  # weights without numbers, of a folder that was opened for its shapes alone
    given = (table.config,) if hasattr(table, "config") else (table.length, table.channels, table.max_timescale)
    return cast(nn.Module, kind(*given))
