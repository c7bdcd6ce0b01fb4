"""The scalar head's file, in the published layout: `value_head.safetensors`, two keys, nothing else.

A head that is missing, damaged, or of another shape is an error: a reward from a random head looks like any other
number.
"""

from __future__ import annotations

import struct
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnireward.errors import CheckpointError

HEAD = "value_head.safetensors"
OLD_HEAD = "value_head.bin"
HEAD_KEYS = {"v_head.summary.weight", "v_head.summary.bias"}
# torch's reader believes what it reads, so damaged files raise errors of its code too; these were seen.
_DAMAGED = (SafetensorError, OSError, EOFError, UnpicklingError, struct.error)
_CONFUSED = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError)


def write_head(head: nn.Linear, folder: Path) -> None:
    """Write the head's weight (1, hidden) and bias (1,)."""
    named = {f"v_head.summary.{name}": value.detach().cpu().contiguous() for name, value in head.named_parameters()}
    save_file(named, folder / HEAD, metadata={"format": "pt"})


def read_head(folder: Path, hidden: int) -> dict[str, Tensor]:
    """The head's `weight` and `bias`, fp32: from HEAD, else from OLD_HEAD (as tensors only, never unpickled objects).

    Raises:
        CheckpointError: there is no head, or it cannot be read, or does not fit `hidden`, or is not finite.
    """
    path = next((folder / name for name in (HEAD, OLD_HEAD) if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError(
            f"{folder} has no {HEAD}. Without its head a reward model gives random numbers, so it is refused. "
            f"Copy the head beside the weights, or train one with: omnireward train --model {folder}"
        )
    try:
        found = load_file(path) if path.name == HEAD else torch.load(path, map_location="cpu", weights_only=True)
    except (*_DAMAGED, *_CONFUSED) as error:
        raise CheckpointError(f"{path} cannot be read as tensors: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path} must hold named tensors; it holds a {type(found).__name__}.")
    if set(found) != HEAD_KEYS:
        raise CheckpointError(f"{path} must hold exactly {sorted(HEAD_KEYS)}; it holds {sorted(map(str, found))}.")
    if found["v_head.summary.weight"].shape != (1, hidden) or found["v_head.summary.bias"].shape != (1,):
        shapes = {name: tuple(value.shape) for name, value in found.items()}
        raise CheckpointError(f"{path} does not fit a backbone of hidden size {hidden}: {shapes}.")
    # A tensor from a .bin can be sparse, or on the meta device, where it has no numbers.
    if not all(v.is_floating_point() and v.layout == torch.strided and v.device.type == "cpu" for v in found.values()):
        raise CheckpointError(f"{path} must hold dense tensors of floating point.")
    head = {name.removeprefix("v_head.summary."): value.to(torch.float32) for name, value in found.items()}
    if not all(bool(value.isfinite().all()) for value in head.values()):
        raise CheckpointError(f"{path} holds NaN or infinity, so every reward would too. Was its training cut short?")
    return head
