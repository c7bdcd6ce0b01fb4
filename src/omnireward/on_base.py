"""A backbone kept as what differs from its base: adapters, and the parts that were trained beside them.

Such a folder holds no tokenizer and no weights of the base. It records where the base was, and a digest of all that
decides what the base computes, so that other weights of the same shapes are refused: with them, every reward would be a
number of no meaning. It records too how the base was kept, because a base in 4 bits gives other rewards.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from omnireward import lora, plugins
from omnireward.backbones import Backbone, BackboneFamily
from omnireward.checkpoint import load_backbone
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.four_bit import quantise
from omnireward.hub import find
from omnireward.lora import Lora
from omnireward.parts import LLM, Parts
from omnireward.tensor_files import read_exactly

Frozen = Literal["fp32", "bf16"]
Quantize = Literal["none", "4bit"]
RECORDED = "adapts"  # the key of omnireward.json
TRAINED = "trained.safetensors"
PLACE = "OMNIREWARD_BASE"  # a folder or OWNER/REPO@REVISION, for bases that have moved
_FILES = (  # those that are there
    "chat_template.jinja",
    "config.json",
    "merges.txt",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "video_preprocessor_config.json",
    "vocab.json",
)
_SAMPLED = 1024  # numbers of a tensor
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class OnBase:
    """What is put on a base, and which base.

    Attributes:
        place: a folder, OWNER/REPO@COMMIT, or a name inside the run's own folder.
        digests: of the base: see `digests`.
        frozen: what weights that are not trained are kept in.
        quantize: whether the language model's linear layers are kept in 4 bits.
        lora: the adapters.
        trained: names of the backbone's parameters that are trained beside the adapters, sorted.
    """

    place: str
    digests: dict[str, str]
    frozen: Frozen
    quantize: Quantize
    lora: Lora
    trained: tuple[str, ...]

    def build(self, backbone: Backbone, parts: Parts) -> None:
        """Make the base of this: cast, quantise, and put fresh adapters in."""
        keep_in(backbone, parts, self.frozen, self.trained)
        if self.quantize == "4bit":
            compute = torch.bfloat16 if self.frozen == "bf16" else torch.float32
            quantise(backbone, quantised_layers(backbone, parts), compute)
        self.lora.inject(backbone)

    def keep(self, head: nn.Module) -> None:
        """Keep a head that is the base's, and is not trained, in what the base is kept in."""
        head.to(torch.bfloat16 if self.frozen == "bf16" else torch.float32)

    def save(self, backbone: Backbone, folder: Path) -> dict[str, Any]:
        """Write adapters and trained parts; returns what the folder's record must say."""
        self.lora.write(backbone, self.place, folder)
        if self.trained:
            tensors = {name: value.detach().cpu().contiguous() for name, value in self._trained(backbone).items()}
            save_file(tensors, folder / TRAINED, metadata={"format": "pt"})
        kept = asdict(self)
        del kept["lora"]  # peft's files say it, but for the layers, of which they have a pattern
        return {RECORDED: {**kept, "layers": list(self.lora.layers), "trained": list(self.trained)}}

    def load(self, backbone: Backbone, folder: Path) -> None:
        """Read into a backbone that was built so. Raises CheckpointError."""
        lora.load(backbone, folder)
        if self.trained:
            wanted = self._trained(backbone)
            for name, value in read_exactly(folder / TRAINED, wanted).items():
                wanted[name].data.copy_(value)

    def _trained(self, backbone: Backbone) -> dict[str, Tensor]:
        parameters: dict[str, Tensor] = dict(backbone.named_parameters())
        missing = [name for name in self.trained if name not in parameters]
        if missing:
            raise CheckpointError(f"the base has no parameters {short(missing)}, which were trained.")
        return {name: parameters[name] for name in self.trained}


def keep_in(backbone: nn.Module, parts: Parts, frozen: Frozen, trained: Iterable[str]) -> None:
    """Cast parameters: trained ones to fp32, others as told. Buffers, such as rotary frequencies, stay as they are.

    A tower of which a part is trained is fp32 as a whole: its layers are called one after the other, and a layer of
    fp32 reads no bfloat16.
    """
    learning = {parts.whole(name) for name in trained}
    for name, parameter in backbone.named_parameters():
        small = frozen == "bf16" and parts.whole(name) not in learning
        parameter.data = parameter.data.to(torch.bfloat16 if small else torch.float32)


def quantised_layers(backbone: nn.Module, parts: Parts) -> list[str]:
    """Names of the language model's linear layers."""
    return [name for name in lora.linear_layers(backbone) if parts.whole(name) == LLM]


def digests(backbone: nn.Module, folder: Path) -> dict[str, str]:
    """SHA-256 of a base's weights, as they were read, and of the files that say how media and words are read.

    Of each tensor: name, type, shape, the sum of its bits as integers, and a sample of its numbers. A change of one
    number shows in the sum; to hash every byte would take several times as long as reading them.
    """
    if any(tensor.is_meta for tensor in backbone.state_dict().values()):
        return {}  # opened for its shapes alone
    sha = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        bits = tensor.detach().cpu().contiguous().reshape(-1).view(_INTEGERS[tensor.element_size()])
        sample = bits[:: max(1, len(bits) // _SAMPLED)]
        told = (name, str(tensor.dtype), tuple(tensor.shape), int(bits.sum(dtype=torch.int64)))
        sha.update(repr(told).encode())
        sha.update(sample.contiguous().numpy().tobytes())
    files = {name: folder / name for name in _FILES if (folder / name).is_file()}
    return {"weights": sha.hexdigest()} | {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def is_on_base(folder: Path, record: Path) -> bool:
    """Whether a folder holds adapters, or should by its record, and no whole model. Raises CheckpointError."""
    return (folder / lora.WEIGHTS).exists() or (record.exists() and RECORDED in read_json(record))


def load_on_base(folder: Path, record: Path) -> tuple[str, Backbone, OnBase]:
    """The family's name, the backbone with its adapters, and what was put on it.

    Raises:
        CheckpointError: the base is not found or is another one; adapters or trained parts are missing, left over, or
            do not fit.
    """
    found = recorded(folder, record)
    base = base_of(folder, found.place)
    if is_on_base(base, base / record.name):
        raise CheckpointError(
            f"{base} holds adapters itself, so it cannot be the base of {folder}: set {PLACE} to theirs."
        )
    family, backbone = load_backbone(base)
    now = digests(backbone, base)
    other = sorted(name for name in {*now, *found.digests} if now.get(name) != found.digests.get(name))
    if other:
        raise CheckpointError(
            f"{folder} was trained on another base than {base}: {', '.join(other)} differ. Its rewards would be of no "
            f"meaning. Set {PLACE} to the base that it was trained on; it was at {found.place}."
        )
    lost = sorted({*found.lora.layers} - {*lora.linear_layers(backbone)})
    if lost or not found.lora.layers:
        raise CheckpointError(f"{record} names layers with adapters that {base} has not: {short(lost)}.")
    found.build(backbone, Parts.of_family(cast(BackboneFamily, plugins.load("backbones", family))))
    found.load(backbone, folder)
    return family, backbone, found


def recorded(folder: Path, record: Path) -> OnBase:
    """What a folder says of its adapters and of their base, which is not looked for. Raises CheckpointError."""
    told = read_json(record).get(RECORDED)
    if not isinstance(told, dict):
        raise CheckpointError(
            f"{folder} holds adapters, but {record.name} does not record which base they were trained on."
        )
    place, frozen, quantize = told.get("place"), told.get("frozen"), told.get("quantize")
    digests_, layers, trained = told.get("digests"), told.get("layers"), told.get("trained")
    fits = isinstance(place, str) and frozen in ("fp32", "bf16") and quantize in ("none", "4bit")
    if not (fits and isinstance(digests_, dict) and isinstance(layers, list) and isinstance(trained, list)):
        raise CheckpointError(f"{record} does not record a base as omnireward writes it: {short(told)}.")
    spec = lora.read_spec(folder, tuple(map(str, layers)))
    return OnBase(
        cast(str, place), digests_, cast(Frozen, frozen), cast(Quantize, quantize), spec, tuple(map(str, trained))
    )


def base_of(folder: Path, place: str) -> Path:
    """Where a folder's base is now: as told by the environment, in the run's folder, or where it was.

    Raises:
        CheckpointError: it is not there.
    """
    told = os.environ.get(PLACE)
    if told:
        return find(told).folder
    near = [folder / place, folder.parent / place]  # a checkpoint lies in the run's folder
    base = next((path for path in near if path.is_dir()), None) or find(place).folder
    if not base.is_dir():
        was = place if Path(place).is_absolute() or "/" in place else near[0]
        raise CheckpointError(
            f"{folder} needs its base, which was at {was} and is not there. Set {PLACE} to where it is now."
        )
    return base
