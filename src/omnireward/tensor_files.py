"""One safetensors file that must hold exactly the tensors that are wanted, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from omnireward.backbones._weights import opened, some
from omnireward.errors import CheckpointError


def read_exactly(path: Path, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors named and shaped as `wanted`, on the CPU.

    Raises:
        CheckpointError: the file is missing or damaged, or a tensor is missing, left over, of another shape or not
            finite.
    """
    tensors: dict[str, Tensor] = {}
    with _open(path) as file:
        there = set(file.keys())
        missing, left_over = wanted.keys() - there, there - wanted.keys()
        if missing or left_over:
            raise CheckpointError(
                f"{path} does not fit. Missing: {some(missing)}. Left over: {some(left_over)}. "
                "Copy the whole folder again, or train anew."
            )
        for key, like in wanted.items():
            shape = tuple(file.get_slice(key).get_shape())
            if shape != tuple(like.shape):
                raise CheckpointError(f"{path} does not fit: {key} is {shape}, and should be {tuple(like.shape)}.")
            tensors[key] = file.get_tensor(key)
            if not tensors[key].is_floating_point() or not bool(torch.isfinite(tensors[key]).all()):
                raise CheckpointError(f"{path} holds numbers that are not finite in {key}; this training run failed.")
    return tensors


def _open(path: Path) -> safe_open:
    if not path.is_file():
        raise CheckpointError(f"{path.parent} has no {path.name}; copy the whole folder again.")
    return opened(path)
