"""What decides a kept feature besides the medium's bytes, as one name: features made otherwise never meet.

Among it is the source of everything that prepares and encodes media. A version number that somebody must remember to
raise would one day be forgotten, and old features would then pass for new ones.

What is written to frozen weights by way of `.data` is not noticed: their features would be those of the weights before.
Write under `torch.no_grad()`, or load a state.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, nn

from omnireward import backbones, media
from omnireward.backbones import Backbone
from omnireward.feature_shards import FORMAT

# Their versions can change what a decoder or a tower gives, if only in the last bits.
_LIBRARIES = ("av", "embreex", "numpy", "pillow", "scipy", "torch", "transformers", "trimesh")
_PIECE = 2**26  # bytes that are hashed at once, copied from the device before


def inputs_space(backbone: Backbone) -> str | None:
    """The name for what towers read; no weights decide it. None where the backbone's settings cannot be told."""
    settings, code = backbone.settings(), _code(type(backbone))
    return None if settings is None or code is None else _name("inputs", settings, code, _libraries())


def embeddings_space(backbone: Backbone, towers: tuple[str, ...], dtype: torch.dtype | None) -> str | None:
    """The name for what towers give. Hashes their weights, at about a gigabyte a second.

    None where the backbone's settings cannot be told, or its weights are not whole in this process.

    Args:
        backbone: with its weights where they will be used.
        towers: prefixes of parameter names.
        dtype: what the towers compute in; None: as their parameters are stored.
    """
    prepared = inputs_space(backbone)
    tensors = [
        (name, tensor)
        for named in (backbone.named_parameters(), backbone.named_buffers())
        for name, tensor in named
        if name.startswith(towers)
    ]
    if prepared is None or not tensors or not all(_whole(tensor) for _, tensor in tensors):
        return None
    weights = hashlib.sha256()
    for name, tensor in tensors:
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        for start in range(0, len(flat), _PIECE):
            weights.update(flat[start : start + _PIECE].cpu().numpy().data)
    devices = {_device(tensor.device) for _, tensor in tensors}
    return _name("embeddings", prepared, weights.hexdigest(), str(dtype), *sorted(devices))


def tower_tensors(module: nn.Module, towers: tuple[str, ...], path: str = "") -> Iterator[Tensor]:
    """Parameters and buffers whose names start with a prefix; several times faster than asking for all names."""
    inside = path.startswith(towers)
    for name, tensor in (*module._parameters.items(), *module._buffers.items()):
        if tensor is not None and (inside or (path + name).startswith(towers)):
            yield tensor
    for name, child in module._modules.items():
        there = f"{path}{name}."
        if child is not None and (inside or any(there.startswith(p) or p.startswith(there) for p in towers)):
            yield from tower_tensors(child, towers, there)


def stamp(tensors: Iterable[Tensor]) -> tuple[tuple[int, int], ...]:
    """What changes when tensors are moved, replaced or written to (but not by way of `.data`)."""
    return tuple(
        (
            tensor.data_ptr() if type(tensor) in (nn.Parameter, Tensor) else id(tensor),
            0 if tensor.is_inference() else tensor._version,
        )
        for tensor in tensors
    )


def _name(*ingredients: str) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *ingredients]).encode()).hexdigest()


def _whole(tensor: Tensor) -> bool:
    """Whether this process holds all of a tensor, in the plain form: not a shard of it, not packed into fewer bits."""
    return type(tensor) in (nn.Parameter, Tensor) and not (tensor.is_meta or hasattr(tensor, "_fsdp_flattened"))


def _device(device: torch.device) -> str:
    """Kernels differ in the last bits between machines, and on a CPU between numbers of threads."""
    if device.type == "cuda":
        told = (torch.cuda.get_device_name(device), str(torch.version.cuda), torch.get_float32_matmul_precision())
        return " ".join(told)
    return f"{device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"


@cache
def _code(kind: type[Backbone]) -> str | None:
    """Digest of the source files of decoding and of the backbones; None where they cannot be read."""
    folders = [Path(package.__file__ or ".").parent for package in (media, backbones)]
    try:
        paths = {Path(inspect.getfile(each)) for each in kind.__mro__ if issubclass(each, Backbone)}
        paths = paths.union(*(folder.glob("*.py") for folder in folders))
        # Not by the whole path, which is another elsewhere; and in an order, or the name would change with each run.
        told = sorted((path.parent.name, path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)
    except (OSError, TypeError):  # a zip file, or a class that was typed into a prompt
        return None
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@cache
def _libraries() -> str:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return json.dumps(found, sort_keys=True)
