"""An optimizer's state on disk, split over processes: each writes the rows that it has, any number of them read.

torch's own writer for this keeps what it wrote where in a pickle, which is a program. Here each process writes one
safetensors file; the first row of each tensor is in the file's header. What is whole in every process, such as the
count of steps, process 0 writes. Rates and the like are in `groups.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.train.together import rank

GROUPS = "groups.json"


def write(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Write the rows of the optimizer's state that this process has. All processes call it."""
    tensors: dict[str, Tensor] = {}
    starts: dict[str, str] = {}
    for name, weight in _named(model, optimizer):
        for key, value in optimizer.state[weight].items():
            start, here = (_rows(value)[0], value.to_local()) if isinstance(value, DTensor) else (0, value)
            if here.numel() and (isinstance(value, DTensor) or rank() == 0):
                tensors[f"{name}/{key}"] = here.detach().to("cpu", copy=True).contiguous()
                starts[f"{name}/{key}"] = str(start)
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / f"{rank():05}.safetensors", metadata=starts)
    if rank() == 0:
        said = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
        (folder / GROUPS).write_text(json.dumps({"groups": said}, indent=1) + "\n")


def read(model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """Take up what any number of processes wrote, for a model that is whole or split over any number of them.

    Raises:
        CheckpointError: rows of a tensor are missing, or the groups are others.
    """
    said = read_json(folder / GROUPS).get("groups")
    if not isinstance(said, list) or len(said) != len(optimizer.param_groups):
        raise CheckpointError(f"{folder / GROUPS} is not of an optimizer with {len(optimizer.param_groups)} groups.")
    for group, kept in zip(optimizer.param_groups, said, strict=True):
        group |= {key: tuple(value) if isinstance(value, list) else value for key, value in kept.items()}
    pieces: dict[str, list[tuple[int, Any]]] = {}  # of each tensor: the first row, and the rows, not yet read
    for file in map(_open, sorted(folder.glob("*.safetensors"))):
        for key, start in (file.metadata() or {}).items():
            pieces.setdefault(key, []).append((int(start), file.get_slice(key)))
    kinds = sorted({key.rpartition("/")[2] for key in pieces})
    for name, weight in _named(model, optimizer):
        having = [kind for kind in kinds if f"{name}/{kind}" in pieces]
        state = {kind: _put_together(f"{name}/{kind}", pieces[f"{name}/{kind}"], weight) for kind in having}
        if state:
            optimizer.state[weight] = state


def _open(path: Path) -> Any:
    return safe_open(path, framework="pt")


def _put_together(key: str, pieces: list[tuple[int, Any]], weight: Tensor) -> Tensor:
    """The rows of a state that belong to what this process has of the weight."""
    if not pieces[0][1].get_shape():  # a count, whole everywhere
        whole: Tensor = pieces[0][1][...]
        return whole
    first, rows = _rows(weight)
    here = weight.to_local() if isinstance(weight, DTensor) else weight
    value = torch.empty(here.shape, dtype=_dtype(pieces[0][1]))
    found = 0
    for start, piece in pieces:
        low, high = max(first, start), min(first + rows, start + piece.get_shape()[0])
        if low < high:
            if tuple(piece.get_shape()[1:]) != tuple(weight.shape[1:]):
                raise CheckpointError(f"{key} of the optimizer has rows of another shape than the weight.")
            value[low - first : high - first] = piece[low - start : high - start]
            found += high - low
    if found != rows:
        raise CheckpointError(
            f"{key} of the optimizer is kept for {found} rows of {rows}; a file of a process is lost."
        )
    value = value.to(here.device)
    if not isinstance(weight, DTensor):
        return value
    return DTensor.from_local(
        value, weight.device_mesh, weight.placements, run_check=False, shape=weight.shape, stride=weight.stride()
    )


def _dtype(piece: Any) -> torch.dtype:
    dtype: torch.dtype = piece[:1].dtype
    return dtype


def _rows(value: Tensor) -> tuple[int, int]:
    """The first row that this process has, and how many."""
    if not isinstance(value, DTensor):
        return 0, value.shape[0]
    shape, offset = compute_local_shape_and_global_offset(value.shape, value.device_mesh, value.placements)
    return int(offset[0]), int(shape[0])


def _named(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """Weights that the optimizer changes, by their names in the model."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    for group in optimizer.param_groups:
        for weight in group["params"]:
            yield names[id(weight)], weight
