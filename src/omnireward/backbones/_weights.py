"""Weights and text files of a checkpoint folder: read strictly, written so that a crash leaves no half-written file.

Within `shapes_only` a folder's weights are not read and need not be there: tensors stay on the meta device, for whoever
only counts them. Where they are there, their names are checked all the same.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor

from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Where projects put a reward head among the weights: sequence classification, TRL, OpenRLHF. The reward model reads it.
_HEADS = ("score.", "v_head.", "value_head.")
BIAS = "reward_bias"  # in config.json: of a head whose layer has none
_SHOWN = 6  # keys named in an error
_STORED = {"BF16": torch.bfloat16, "F16": torch.float16, "bfloat16": torch.bfloat16, "float16": torch.float16}
_shapes: ContextVar[bool] = ContextVar("shapes", default=False)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Open folders without their weights: each tensor has a shape and a type, and no numbers."""
    token = _shapes.set(True)
    try:
        yield
    finally:
        _shapes.reset(token)


class WeightFiles:
    """The tensors of a folder, not yet read.

    Args:
        folder: with safetensors weights, whole or in shards with an index.
        ignored: prefixes of names that belong to something else, such as vocabulary logits.

    Attributes:
        keys: names of the tensors that belong to the backbone.
        heads: names of those that belong to a reward head.
    """

    def __init__(self, folder: Path, ignored: tuple[str, ...]) -> None:
        self._where: dict[str, Path] = {}
        self._folder = folder
        for path in [] if _shapes.get() and not _has_weights(folder) else _files(folder):
            with opened(path) as file:
                self._where |= dict.fromkeys(file.keys(), path)
        heads = head_prefixes(folder)
        self.heads = {key for key in self._where if key.startswith(heads)}
        self.keys = {key for key in self._where.keys() - self.heads if not key.startswith(ignored)}

    def read(self, wanted: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
        """The tensors named and shaped as `wanted`, which may live on the meta device.

        Raises:
            CheckpointError: a key is missing, left over, of another shape, or not of floating point.
        """
        missing, left_over = wanted.keys() - self.keys, self.keys - wanted.keys()
        there = self._where or not _shapes.get()
        if there and (missing or left_over):
            raise CheckpointError(
                f"the weights do not fit config.json. Missing: {some(missing)}. Left over: {some(left_over)}."
            )
        if _shapes.get():
            stored = dtype or self._stored()
            return {key: torch.empty(tensor.shape, dtype=stored, device="meta") for key, tensor in wanted.items()}
        tensors: dict[str, Tensor] = {}
        for path in sorted(set(self._where.values())):
            with opened(path) as file:
                for key in sorted(key for key in self.keys if self._where[key] == path):
                    _check_shape(key, tuple(file.get_slice(key).get_shape()), tuple(wanted[key].shape))
                    # A copy: where numbers lie in a file is any multiple of 8 bytes, and kernels that read 64 at once
                    # give other last bits there than in memory of their own, so a resumed run would differ.
                    tensors[key] = _floating(key, file.get_tensor(key)).to(dtype, copy=True)
        return tensors

    def tensor(self, key: str) -> Tensor:
        """One tensor, whosever it is. Raises CheckpointError where it is not of floating point."""
        with opened(self._where[key]) as file:
            return _floating(key, file.get_tensor(key)).clone()  # as in `read`

    def _stored(self) -> torch.dtype:
        """What most weights are stored as: by the first of them, or by config.json where there are none."""
        for path in sorted(set(self._where.values())):
            with opened(path) as file:
                key = next(key for key in file.keys() if self._where[key] == path)  # noqa: SIM118 - no dictionary
                return _STORED.get(file.get_slice(key).get_dtype(), torch.float32)
        config = read_json(self._folder / "config.json")
        return _STORED.get(str(config.get("dtype", config.get("torch_dtype"))), torch.float32)


def head_prefixes(folder: Path) -> tuple[str, ...]:
    """Beginnings of names of a reward head's weights; OpenRLHF's config.json may name one more."""
    path = folder / "config.json"
    named = read_json(path).get("value_head_prefix") if path.exists() else None
    return (*_HEADS, f"{named}.") if isinstance(named, str) and named else _HEADS


def has_layer(keys: set[str], prefix: str, layer: int) -> bool:
    """Whether any key belongs to that layer."""
    return any(key.startswith(f"{prefix}.{layer}.") for key in keys)


def write_folder(folder: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write weights (in shards of at most 5 GB) and text files, each complete or not at all; removes older shards.

    Raises:
        CheckpointError: the weights cannot be written, such as onto a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        staged = Path(temporary)
        try:
            save_torch_state_dict({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, staged)
        except SafetensorError as error:  # a full disk is none of its OSErrors
            raise CheckpointError(f"{folder} cannot be written: {error}. Is the disk full?") from error
        for name, text in texts.items():
            (staged / name).write_text(text, encoding="utf-8")
        written = {path.name for path in staged.iterdir()}
        for name in sorted(written):
            os.replace(staged / name, folder / name)  # noqa: PTH105 - says that it replaces
    for path in folder.iterdir():
        if path.name not in written and re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?", path.name):
            path.unlink()


def _has_weights(folder: Path) -> bool:
    """Whether the weights that a folder names are in it."""
    if not (folder / INDEX).exists():
        return (folder / SINGLE).is_file()
    return any(folder.glob("*.safetensors"))


def _files(folder: Path) -> list[Path]:
    if not (folder / INDEX).exists():
        if not (folder / SINGLE).is_file():
            raise CheckpointError(f"{folder} has neither {SINGLE} nor {INDEX}; only safetensors weights are read.")
        return [folder / SINGLE]
    listed = read_json(folder / INDEX).get("weight_map")
    values = list(listed.values()) if isinstance(listed, dict) else []
    there = {path.name for path in folder.iterdir() if path.is_file()}
    # The index comes with the weights from anywhere: it names files of this folder, and must not lead out of it.
    strange = {str(value) for value in values if not isinstance(value, str) or value not in there}
    if strange or not values:
        raise CheckpointError(
            f"{folder / INDEX} lists {len(values)} weights. Not files of its folder: {some(strange)}."
        )
    return [folder / name for name in sorted(set(values))]


def _check_shape(key: str, given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if given != wanted:
        raise CheckpointError(
            f"a weight has another shape than it should: {key} is {given}, config.json makes it {wanted}."
        )


def _floating(key: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise CheckpointError(f"the weight {key} is of {tensor.dtype}; only floating point can be used.")
    return tensor


def opened(path: Path) -> safe_open:
    """A safetensors file. Raises CheckpointError."""
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def some(keys: set[str]) -> str:
    """A few names, for an error."""
    shown = ", ".join(sorted(keys)[:_SHOWN]) or "none"
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"


def dumps(data: Mapping[str, object]) -> str:
    """JSON as checkpoint folders hold it."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
