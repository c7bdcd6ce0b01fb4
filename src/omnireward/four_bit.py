"""Linear layers kept in 4 bits (NF4 with double quantisation, QLoRA, arXiv 2305.14314, section 3), by bitsandbytes.

Weights in 4 bits are frozen: they hold no numbers that a gradient could move. Towers, embeddings, norms and the head
stay as they are. The same weights always give the same bits, so nothing of them is stored with adapters.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import nn

from omnireward.errors import MissingExtraError


def quantise(model: nn.Module, layers: Iterable[str], compute: torch.dtype) -> None:
    """Replace linear layers, by their names, by such of 4 bits that compute in `compute`. Raises MissingExtraError."""
    bnb = _library()
    for name in layers:
        layer = cast(nn.Linear, model.get_submodule(name))
        small = bnb.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=compute,
            compress_statistics=True,
            quant_type="nf4",
            device="meta",
        )
        small.weight = bnb.nn.Params4bit(
            layer.weight.data, requires_grad=False, compress_statistics=True, quant_type="nf4"
        )
        small.bias = layer.bias
        small.to("cuda" if torch.cuda.is_available() else "cpu")  # moving packs them; a CPU takes a minute for 10^9
        model.set_submodule(name, small.to(layer.weight.device))
    cast(Any, model).is_loaded_in_4bit = True  # what peft asks before it looks at the layers


def dequantised(layer: nn.Module) -> nn.Linear:
    """A plain linear layer with the numbers that a layer of 4 bits computes with; any other layer as it is."""
    weight = cast(Any, layer).weight
    if getattr(weight, "quant_state", None) is None:
        return cast(nn.Linear, layer)
    layer.state_dict()  # takes back the order that bitsandbytes gives weights in place for some CPUs
    weight = cast(Any, layer).weight
    values = _library().functional.dequantize_4bit(weight.data, weight.quant_state)
    plain = nn.Linear(values.shape[1], values.shape[0], bias=cast(Any, layer).bias is not None, device="meta")
    plain.weight = nn.Parameter(values.to(cast(Any, layer).compute_dtype), requires_grad=False)
    plain.bias = cast(Any, layer).bias
    return plain


def dequantise(model: nn.Module) -> None:
    """Replace all layers of 4 bits by plain ones."""
    for name, module in list(model.named_modules()):
        if getattr(getattr(module, "weight", None), "quant_state", None) is not None:
            model.set_submodule(name, dequantised(module))
    cast(Any, model).is_loaded_in_4bit = False


def _library() -> Any:
    try:
        return importlib.import_module("bitsandbytes")
    except ImportError as error:
        raise MissingExtraError("a model with weights of 4 bits", "qlora") from error
