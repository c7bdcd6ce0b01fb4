"""Weights of a mixture of experts: one tensor for each expert in files, one for all of a layer's in memory.

transformers fuses an expert's gate and up projection, and stacks all experts of a layer. The published files hold them
one by one, and so do the files that are written here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_FUSED = re.compile(r"(.*\bmlp\.experts)\.(gate_up_proj|down_proj)")
_PARTS = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}


def split_experts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with a tensor for each expert. They are copies: a file cannot hold parts of one storage.

    >>> parts = split_experts({"mlp.experts.gate_up_proj": torch.arange(8).view(1, 4, 2)})
    >>> {name: part.tolist() for name, part in parts.items()}
    {'mlp.experts.0.gate_proj.weight': [[0, 1], [2, 3]], 'mlp.experts.0.up_proj.weight': [[4, 5], [6, 7]]}
    """
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        fused = _FUSED.fullmatch(name)
        if fused is None:
            found[name] = tensor
            continue
        parts = _PARTS[fused[2]]
        for number, expert in enumerate(tensor):
            for part, values in zip(parts, expert.chunk(len(parts)), strict=True):
                found[f"{fused[1]}.{number}.{part}.weight"] = values.clone()
    return found


def fuse_experts(parts: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that `wanted` names, from what `split_experts` makes of it.

    Args:
        parts: emptied on the way, so that a large model is not held twice.
        wanted: names, and how many experts each holds.
    """
    found: dict[str, Tensor] = {}
    for name, like in wanted.items():
        fused = _FUSED.fullmatch(name)
        if fused is None:
            found[name] = parts.pop(name)
            continue
        names = [[f"{fused[1]}.{number}.{part}.weight" for part in _PARTS[fused[2]]] for number in range(len(like))]
        found[name] = torch.stack([torch.cat([parts.pop(one) for one in expert]) for expert in names])
    return found
