"""Weights and text files of a checkpoint folder: read strictly, written so that a crash leaves no half-written file.

Unusual: whether the vision encoder stops one layer early is read off the weights, because the released config.json and
the class that it configures disagree about the default.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor

from omnireward.backbones._minicpm_o_config import read_json
from omnireward.errors import CheckpointError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
# Vocabulary logits and speech output, which a reward does not need, and the head, which the reward model reads itself.
IGNORED = ("llm.lm_head.weight", "tts.", "v_head.", "value_head.")
_SHOWN = 6  # keys named in an error


class WeightFiles:
    """The tensors of a folder, not yet read.

    Attributes:
        keys: names of the tensors that belong to the backbone.
    """

    def __init__(self, folder: Path) -> None:
        self._where: dict[str, Path] = {}
        for path in _files(folder):
            with _open(path) as file:
                self._where |= dict.fromkeys(file.keys(), path)
        self.keys = {key for key in self._where if not key.startswith(IGNORED)}

    def read(self, wanted: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
        """The tensors named and shaped as `wanted`, which may live on the meta device.

        Raises:
            CheckpointError: a key is missing, left over, or of another shape.
        """
        missing, left_over = wanted.keys() - self.keys, self.keys - wanted.keys()
        if missing or left_over:
            raise CheckpointError(
                f"the weights do not fit config.json. Missing: {_some(missing)}. Left over: {_some(left_over)}."
            )
        tensors: dict[str, Tensor] = {}
        for path in sorted(set(self._where.values())):
            with _open(path) as file:
                for key in (key for key in self.keys if self._where[key] == path):
                    tensors[key] = file.get_tensor(key).to(dtype)
        wrong = {key for key, tensor in tensors.items() if tensor.shape != wanted[key].shape}
        if wrong:
            key = min(wrong)
            shapes = f"{key} is {tuple(tensors[key].shape)}, config.json makes it {tuple(wanted[key].shape)}"
            raise CheckpointError(f"{len(wrong)} weights have another shape than config.json says: {shapes}.")
        return tensors


def has_layer(keys: set[str], prefix: str, layer: int) -> bool:
    """Whether any key belongs to that layer."""
    return any(key.startswith(f"{prefix}.{layer}.") for key in keys)


def write_folder(folder: Path, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
    """Write weights (in shards of at most 5 GB) and text files, each complete or not at all; removes older shards."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        staged = Path(temporary)
        save_torch_state_dict({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, staged)
        for name, text in texts.items():
            (staged / name).write_text(text, encoding="utf-8")
        written = {path.name for path in staged.iterdir()}
        for name in sorted(written):
            os.replace(staged / name, folder / name)  # noqa: PTH105 - says that it replaces
    for path in folder.iterdir():
        if path.name not in written and re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?", path.name):
            path.unlink()


def _files(folder: Path) -> list[Path]:
    if not (folder / INDEX).exists():
        if not (folder / SINGLE).exists():
            raise CheckpointError(f"{folder} has neither {SINGLE} nor {INDEX}; only safetensors weights are read.")
        return [folder / SINGLE]
    listed = read_json(folder / INDEX).get("weight_map")
    names = set(listed.values()) if isinstance(listed, dict) else set()
    # The index comes with the weights from anywhere: it must not make us read other folders.
    strange = sorted(str(name) for name in names if not isinstance(name, str) or Path(name).name != name)
    absent = sorted(name for name in names - set(strange) if not (folder / name).exists())
    if strange or absent or not names:
        raise CheckpointError(
            f"{folder / INDEX} lists {len(names)} files; not in the folder by name: {strange}; absent: {absent}."
        )
    return [folder / name for name in sorted(names)]


def _open(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _some(keys: set[str]) -> str:
    shown = ", ".join(sorted(keys)[:_SHOWN]) or "none"
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"


def dumps(data: Mapping[str, object]) -> str:
    """JSON as checkpoint folders hold it."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
