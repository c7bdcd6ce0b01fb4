"""The sizes that `memory.estimate` takes, read off a model, which may be on the meta device, and off rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from omnireward import lora, plugins
from omnireward.backbones import BackboneFamily
from omnireward.encoded import Encoded, keys_of
from omnireward.errors import TrainingError
from omnireward.on_base import Quantize, quantised_layers
from omnireward.packing import plan
from omnireward.parts import HEAD, LLM, Parts
from omnireward.reward_model import RewardModel
from omnireward.tiling import Tile
from omnireward.train.memory import Layers, Pass, Trained, Weights

ADAPTERS = "adapters"


@dataclass(frozen=True, slots=True)
class Part:
    """Parameters of a tower, the joints, the language model, adapters or the head: how many, and how many learn."""

    name: str
    numbers: int
    trained: int


def parts(model: RewardModel) -> list[Part]:
    """What a model consists of: its towers in the family's order, then joints, language model, adapters and head."""
    known = _parts(model)
    counted = {name: [0, 0] for name in (*known.names, ADAPTERS, HEAD)}
    for name, parameter in model.named_parameters():
        inside = name.removeprefix("backbone.")
        which = HEAD if inside == name else ADAPTERS if lora.is_adapter(inside) else known.of(inside)[0]
        counted[which][0] += parameter.numel()
        counted[which][1] += parameter.numel() * parameter.requires_grad
    return [Part(name, *numbers) for name, numbers in counted.items() if numbers[0]]


def weights(model: RewardModel, quantize: Quantize = "none") -> Weights:
    """How many parameters learn, and what all take as they are stored.

    Args:
        model: tuned, and not in 4 bits yet.
        quantize: whether the language model's linear layers will be.
    """
    known = _parts(model)
    named = {name.removeprefix("backbone."): parameter for name, parameter in model.named_parameters()}
    small = set(quantised_layers(model.backbone, known)) if quantize == "4bit" else set()
    packed = {name for name in named if name.replace(".base_layer", "").removesuffix(".weight") in small}
    learn = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
    layers = {id(parameter) for parameter in cast(Any, decoder(model)).layers.parameters()}
    language = {id(parameter) for parameter in decoder(model).parameters()}
    matrices = [
        parameter
        for name, parameter in named.items()
        if parameter.ndim > 1 and (id(parameter) in layers or (name in learn and id(parameter) not in language))
        if name not in packed
    ]
    frozen = {name: _stored(p, name in packed) for name, p in named.items() if name not in learn}
    return Weights(
        trained=sum(p.numel() for p in learn.values()),
        trained_bytes=sum(p.nbytes for p in learn.values()),
        frozen_bytes=sum(frozen.values()),
        cast=sum(p.numel() for p in matrices if p.dtype == torch.float32),
        largest=max((p.numel() for p in learn.values() if id(p) in layers), default=0),
        unsplit_bytes=sum(size for name, size in frozen.items() if known.whole(name) != LLM),
    )


def layers(model: RewardModel) -> Layers:
    """The language model's layers.

    Raises:
        TrainingError: a backbone without a stack of layers that is configured as transformers' are.
    """
    stack = decoder(model)
    config = cast(Any, stack).config
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    found = Layers(
        number=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", 0),
        queries=heads * size,
        keys=config.num_key_value_heads * size,
        heads=heads,
        norms_heads=any(name.endswith("q_norm.weight") for name, _ in stack.named_parameters()),
        residual=next(iter(stack.parameters())).element_size(),
    )
    experts = getattr(config, "num_experts_per_tok", None)
    return replace(found, intermediate=experts * config.moe_intermediate_size) if experts else found


def trained(model: RewardModel) -> Trained:
    """What learns in the language model. With trained towers alone, gradients pass through it as through adapters."""
    names = [name for name, p in decoder(model).named_parameters() if p.requires_grad]
    if any(not lora.is_adapter(name) for name in names):
        return "all"
    return "adapters" if any(p.requires_grad for p in model.backbone.parameters()) else "nothing"


def a_pass(encoded: Sequence[Encoded]) -> Pass:
    """What a packed pass over rows holds."""
    packed = plan(keys_of(encoded))
    return Pass(
        tokens=len(packed.rows),
        rows=len(packed.last),
        asked=_total(tile.queries for tile in packed.tiles),
        seen=_total(tile.keys for tile in packed.tiles),
        masked=_total(_masks(packed.tiles)),
        seen_last=_total(tile.keys for tile in packed.last_tiles),
    )


def grown(one: Pass, tokens: int) -> Pass:
    """A pass of more rows of the same kind, up to so many tokens."""
    by = tokens / one.tokens
    return Pass(*(round(getattr(one, name) * by) for name in Pass.__slots__))


def decoder(model: RewardModel) -> nn.Module:
    """The language model. Raises TrainingError where the backbone shows none."""
    found = getattr(model.backbone, "decoder", None)
    if not isinstance(found, nn.Module) or not hasattr(found, "config"):
        raise TrainingError(f"the memory of {type(model.backbone).__name__} cannot be told: it shows no `decoder`.")
    return found


def _masks(tiles: Iterable[Tile]) -> Iterable[Tensor]:
    return (tile.mask for tile in tiles if tile.mask is not None)


def _total(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def _parts(model: RewardModel) -> Parts:
    return Parts.of_family(cast(BackboneFamily, plugins.load("backbones", model.family)))


def _stored(parameter: Tensor, packed: bool) -> int:
    """Bytes. In 4 bits: half a byte each, a byte for each 64, and four bytes for each 256 of those."""
    return round(parameter.numel() * (0.5 + 1 / 64 + 4 / (64 * 256))) if packed else parameter.nbytes
