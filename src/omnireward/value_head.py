"""The scalar head: written in the published layout, read from wherever projects put theirs.

Written: `value_head.safetensors`, two keys, nothing else, as LLaMA-Factory and TRL do. Read as well: `value_head.bin`,
as tensors only; and, among the backbone's weights, `score.weight` of sequence-classification checkpoints, the head that
OpenRLHF's config.json names as `value_head_prefix`, and `v_head.summary.*`. A head without a bias has bias 0, or the
one that `omnireward convert` noted in config.json.

A head that is missing, twice there, damaged, or of another shape is an error: a reward from a random head looks like
any other number. What OpenRLHF's config.json says about normalised rewards is folded into the head.
"""

from __future__ import annotations

import struct
from math import isfinite
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnireward.backbones._weights import BIAS, INDEX, SINGLE, WeightFiles, head_prefixes
from omnireward.checkpoint_json import read_json
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
    """The head's `weight`, (1, hidden), and `bias`, (1,), fp32, from the one place that has a head.

    Raises:
        CheckpointError: there is no head, or more than one, or it cannot be read, does not fit `hidden`, has several
            labels, or is not finite.
    """
    files = [folder / name for name in (HEAD, OLD_HEAD) if (folder / name).is_file()]
    inside = _inside(folder)
    named = [str(path.name) for path in files] + sorted({prefix for prefix, _ in inside})
    if not named:
        raise CheckpointError(
            f"{folder} has no {HEAD}, and no head among its weights. Without its head a reward model gives random "
            f"numbers, so it is refused. Copy the head beside the weights, or train one with: omnireward train --model "
            f"{folder}"
        )
    if len(named) > 1:
        raise CheckpointError(f"{folder} has {len(named)} heads: {', '.join(named)}. Keep the one that you mean.")
    head = _from_file(files[0], hidden) if files else _from_weights(folder, inside, hidden)
    where = files[0] if files else f"{folder}: {named[0]}"
    if not all(bool(value.isfinite().all()) for value in head.values()):
        raise CheckpointError(f"{where} holds NaN or infinity, so every reward would too. Was its training cut short?")
    return _normalised(head, folder)


def expects_head(folder: Path) -> bool:
    """Whether a folder has a head, or says that it is a reward model, so that a new head would hide a lost one.

    Raises:
        CheckpointError: its config or the list of its weights cannot be read.
    """
    if any((folder / name).exists() for name in (HEAD, OLD_HEAD)):
        return True
    path = folder / "config.json"
    config: dict[str, Any] = read_json(path) if path.exists() else {}
    classes = config.get("architectures")
    classified = isinstance(classes, list) and any(str(one).endswith("ForSequenceClassification") for one in classes)
    return classified or "value_head_prefix" in config or bool(_inside(folder))


def _from_file(path: Path, hidden: int) -> dict[str, Tensor]:
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
    return {name.removeprefix("v_head.summary."): value.to(torch.float32) for name, value in found.items()}


def _inside(folder: Path) -> list[tuple[str, str]]:
    """Heads among the backbone's weights: (prefix, key)."""
    if not any((folder / name).exists() for name in (SINGLE, INDEX)):
        return []
    prefixes = head_prefixes(folder)
    keys = sorted(WeightFiles(folder, ()).heads)
    return [(next(prefix for prefix in prefixes if key.startswith(prefix)).rstrip("."), key) for key in keys]


def _from_weights(folder: Path, inside: list[tuple[str, str]], hidden: int) -> dict[str, Tensor]:
    prefix, keys = inside[0][0], {key for _, key in inside}
    stem = f"{prefix}.summary" if prefix == "v_head" else prefix
    wanted = {f"{stem}.weight", f"{stem}.bias"}
    least = wanted if prefix == "v_head" else {f"{stem}.weight"}  # score layers have no bias
    if not least <= keys <= wanted:
        raise CheckpointError(
            f"{folder} has a head {prefix!r} of {sorted(keys)}; one linear layer is read, {sorted(wanted)}. "
            "A head of several layers, or of several rewards, cannot be used."
        )
    weights = WeightFiles(folder, ())
    weight = weights.tensor(f"{stem}.weight")
    bias = weights.tensor(f"{stem}.bias") if f"{stem}.bias" in keys else _noted_bias(folder).expand(weight.shape[:1])
    if weight.ndim == 2 and weight.shape[0] != 1 and weight.shape[1] == hidden:
        raise CheckpointError(
            f"{folder} classifies into {weight.shape[0]} labels ({stem}.weight is {tuple(weight.shape)}); a reward is "
            "one number. Give a checkpoint with num_labels = 1, or train a head of your own on its chat model."
        )
    if weight.shape != (1, hidden) or bias.shape != (1,):
        shapes = {f"{stem}.weight": tuple(weight.shape), f"{stem}.bias": tuple(bias.shape)}
        raise CheckpointError(f"{folder} has a head that does not fit a backbone of hidden size {hidden}: {shapes}.")
    return {"weight": weight.to(torch.float32), "bias": bias.to(torch.float32)}


def _noted_bias(folder: Path) -> Tensor:
    """(1,) float32."""
    path = folder / "config.json"
    noted = read_json(path).get(BIAS, 0.0) if path.exists() else 0.0
    bias = _number(noted)
    if bias is None:
        raise CheckpointError(f"{path} gives the {BIAS} {noted!r}; it must be a number.")
    return torch.tensor([bias], dtype=torch.float32)


def _normalised(head: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """OpenRLHF's models give (reward - mean) / std where config.json says `normalize_reward`: the same, in the head."""
    path = folder / "config.json"
    config: dict[str, Any] = read_json(path) if path.exists() else {}
    if config.get("normalize_reward") is not True or not {"mean", "std"} & config.keys():
        return head
    mean, std = _number(config.get("mean")), _number(config.get("std"))
    if mean is None or std is None or std <= 0:
        given = f"mean {config.get('mean')!r} and std {config.get('std')!r}"
        raise CheckpointError(f"{path} asks for normalised rewards, but gives {given}.")
    return {"weight": head["weight"] / std, "bias": (head["bias"] - mean) / std}


def _number(value: object) -> float | None:
    return float(value) if type(value) in (int, float) and isfinite(value) else None  # type: ignore[arg-type]
