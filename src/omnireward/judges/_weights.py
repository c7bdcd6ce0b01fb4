"""Weights of scorers: read as tensors only, and filled into a model so that each is used once.

A scorer with one weight left at random gives numbers that look like any others, so missing and left-over weights are
errors. Files of torch are read with its restricted reader: nothing in them is run.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError

Model = TypeVar("Model", bound=nn.Module)
Found = TypeVar("Found")
# Readers believe what they read, so damaged or hostile files raise errors of their code too.
MISREAD = (
    *(SafetensorError, StrictDataclassError, OSError, EOFError, UnpicklingError, struct.error, zipfile.BadZipFile),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, ImportError),
)
# Counters and tables of positions. Some files have them and some don't; a model makes its own.
_MADE = re.compile(r"(^|\.)(position_ids|token_type_ids|relative_position_index|num_batches_tracked|attn_mask)$")
_SHOWN = 6  # keys named in an error
# How somebody ran the model, or whose code ran it: neither is for a file to decide.
_NOT_READ = ("attn_implementation", "_attn_implementation", "auto_map", "quantization_config", "dtype", "torch_dtype")


def read_tensors(files: Iterable[Path]) -> dict[str, Tensor]:
    """The named tensors of one or more files; where a file of torch wraps them as ``state_dict``, what is wrapped.

    Raises:
        CheckpointError: a file is damaged, or holds anything but named tensors.
    """
    tensors: dict[str, Tensor] = {}
    for path in files:
        found = guarded(f"{path} cannot be read as tensors", partial(_load, path))
        if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
            found = found["state_dict"]
        if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
            raise CheckpointError(f"{path} must hold named tensors; it holds a {type(found).__name__}.")
        if twice := tensors.keys() & found.keys():
            raise CheckpointError(f"{path} holds weights that another file holds too: {some(twice)}.")
        tensors |= found
    return tensors


def read_config(path: Path) -> dict[str, Any]:
    """A JSON object that describes a model, without what it says of how to run it.

    Raises:
        CheckpointError: it is no JSON object, or far too large for one.
    """
    return {
        name: {key: each for key, each in value.items() if key not in _NOT_READ} if isinstance(value, dict) else value
        for name, value in read_json(path).items()
        if name not in _NOT_READ
    }


def guarded(what: str, read: Callable[[], Found]) -> Found:
    """What `read` returns. Whatever a library raises over a bad file becomes a CheckpointError that says `what`."""
    try:
        return read()
    except CheckpointError:
        raise
    except MISREAD as error:
        raise CheckpointError(f"{what}: {type(error).__name__}: {error}") from error


def filled(make: Callable[[], Model], tensors: Mapping[str, Tensor], source: str) -> Model:
    """A model with these weights, in fp32, ready to judge.

    Args:
        make: builds it with whatever numbers.
        tensors: by the model's own names.
        source: where they come from, for messages.

    Raises:
        CheckpointError: it cannot be built; a weight is missing, left over, of another shape, or no plain numbers.
    """
    with no_init_weights():  # random numbers for a billion weights take long, and are thrown away
        model = guarded(f"{source} describes a model that cannot be built", make)
    wanted = {name: value for name, value in model.state_dict().items() if not _MADE.search(name)}
    given = {name: value for name, value in tensors.items() if not _MADE.search(name)}
    missing, left_over = wanted.keys() - given.keys(), given.keys() - wanted.keys()
    if missing or left_over:
        raise CheckpointError(
            f"the weights of {source} do not fit its config. Missing: {some(missing)}. Left over: {some(left_over)}."
        )
    for name, value in given.items():
        _check(name, value, tuple(wanted[name].shape), source)
    # Copied: where in memory a file's numbers lie decides the last bits of products with them.
    numbers = {name: value.to(torch.float32, copy=True) for name, value in given.items()}
    model.load_state_dict(numbers, strict=False, assign=True)
    model.requires_grad_(False)
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def some(names: Iterable[str]) -> str:
    """A few of the names, for a message."""
    shown = sorted(map(str, names))
    return ", ".join(shown[:_SHOWN]) + (f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else "") or "none"


def _load(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _check(name: str, value: Tensor, shape: tuple[int, ...], source: str) -> None:
    if tuple(value.shape) != shape:
        raise CheckpointError(f"{source}: the weight {name} is {tuple(value.shape)}, its config makes it {shape}.")
    # A tensor of a torch file can be sparse, or on the meta device, where it has no numbers.
    if not value.is_floating_point() or value.layout != torch.strided or value.device.type != "cpu":
        raise CheckpointError(f"{source}: the weight {name} must be dense and of floating point, not {value.dtype}.")
