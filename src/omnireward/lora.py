"""Low-rank adapters (LoRA, arXiv 2106.09685) in a backbone's linear layers, put in place by peft.

No wrapper: the backbone keeps its class and its names, and both ways of computing go through the adapters, because they
call the layers that peft replaced. The files are peft's, `adapter_model.safetensors` and `adapter_config.json`.
Unlike peft's own reading, ours refuses keys that are missing or left over, and shapes that are not the adapters'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn

from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.four_bit import dequantise, dequantised
from omnireward.tensor_files import read_exactly

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."  # of keys, as peft's wrapper would have them
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class Lora:
    """Adapters: `alpha / rank` times the product of two matrices of that rank is added to each layer.

    Attributes:
        rank: of the matrices.
        alpha: see above.
        dropout: on what an adapter reads, while training.
        layers: names of the linear layers that have one, sorted.
    """

    rank: int
    alpha: float
    dropout: float
    layers: tuple[str, ...]

    def inject(self, model: nn.Module) -> None:
        """Put fresh adapters, which change nothing yet, into a model. They are fp32 whatever the layers are."""
        inject_adapter_in_model(self._config(pattern(model, self.layers)), model)
        for parameter in parameters(model).values():
            parameter.data = parameter.data.to(torch.float32)

    def write(self, model: nn.Module, base: str, folder: Path) -> None:
        """Write the adapters of a model, and what peft must know of them."""
        tensors = {key: parameter.detach().cpu().contiguous() for key, parameter in parameters(model).items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        config = self._config(pattern(model, self.layers))
        config.base_model_name_or_path, _, revision = base.partition("@")
        config.revision, config.inference_mode = revision or None, True
        config.save_pretrained(str(folder))

    def _config(self, layers: str) -> LoraConfig:
        return LoraConfig(r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=layers)  # type: ignore[arg-type]


def linear_layers(model: nn.Module) -> list[str]:
    """Names of the layers that can have an adapter, or be kept in 4 bits; with an adapter already, too.

    Not the output layer of torch's own attention, whose weight is used without the layer being called.
    """
    found = []
    for name, module in model.named_modules():
        inside = ".base_layer" in name or ".lora_" in name  # of a layer that has an adapter
        if (type(module) is nn.Linear or isinstance(module, LoraLayer)) and not inside:
            found.append(name)
    return found


def pattern(model: nn.Module, layers: tuple[str, ...]) -> str:
    """A regular expression for the names of exactly these layers, short where all numbered layers are alike."""
    short = "|".join(sorted({_NUMBER.sub("NUMBER", name) for name in layers}))
    short = re.escape(short).replace(r"\|", "|").replace("NUMBER", r"\d+")
    matched = {name for name, _ in model.named_modules() if re.fullmatch(short, name)}
    return short if matched == set(layers) else "|".join(map(re.escape, layers))


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The adapters' matrices by the keys that peft's files have."""
    return {
        _PREFIX + name.replace(".default.", "."): parameter
        for name, parameter in model.named_parameters()
        if is_adapter(name)
    }


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name is an adapter's."""
    return ".lora_A." in name or ".lora_B." in name


def read_spec(folder: Path, layers: tuple[str, ...]) -> Lora:
    """What a folder's config says of its adapters; `layers` are those of the weights. Raises CheckpointError."""
    path = folder / CONFIG
    told = read_json(path)
    plain: dict[str, object] = {"peft_type": "LORA", "bias": "none"}
    plain |= dict.fromkeys(("use_rslora", "use_dora", "lora_bias", "fan_in_fan_out"), False)
    plain |= {"rank_pattern": {}, "alpha_pattern": {}, "modules_to_save": None}
    strange = {name: told.get(name) for name, wanted in plain.items() if told.get(name, wanted) != wanted}
    if strange:
        raise CheckpointError(f"{path} describes adapters that are not plain LoRA: {strange}. Only {plain} is read.")
    rank, alpha, dropout = told.get("r"), told.get("lora_alpha"), told.get("lora_dropout", 0.0)
    numbers = (rank, alpha, dropout)
    if not isinstance(rank, int) or rank < 1 or not all(isinstance(n, int | float) for n in numbers):
        raise CheckpointError(f"{path} must give r, lora_alpha and lora_dropout as numbers; it gives {numbers}.")
    return Lora(rank, float(alpha), float(dropout), layers)  # type: ignore[arg-type]


def load(model: nn.Module, folder: Path) -> None:
    """Read a folder's adapters into a model that has some.

    Raises:
        CheckpointError: missing, left over, of another shape (such as of another rank), or not finite.
    """
    wanted: dict[str, Tensor] = dict(parameters(model))
    for key, value in read_exactly(folder / WEIGHTS, wanted).items():
        wanted[key].data.copy_(value)


@torch.no_grad()
def merged(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A model's tensors as `merge` would leave them, by name, one at a time; the model stays as it is.

    Not for layers of 4 bits, which keep more than a weight.
    """
    for name, tensor in model.state_dict().items():
        layer, adapted, inside = name.partition(".base_layer.")
        if is_adapter(name):
            continue
        if adapted and inside == "weight":
            yield f"{layer}.{inside}", _sum(tensor, cast(LoraLayer, model.get_submodule(layer)))
        else:
            yield f"{layer}.{inside}" if adapted else name, tensor


def _sum(weight: Tensor, layer: LoraLayer) -> Tensor:
    added: Tensor = cast(Any, layer).get_delta_weight("default")
    return (weight.to(torch.float32) + added.to(torch.float32)).to(weight.dtype)


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Add the adapters to the layers' own weights, whose dtype stays; layers of 4 bits become plain ones too."""
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            plain = dequantised(module.get_base_layer())
            plain.weight.data = _sum(plain.weight, module)
            model.set_submodule(name, plain)
    dequantise(model)
    del model.peft_config
