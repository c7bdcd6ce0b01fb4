"""Which numbers of a model learn, in what, and how fast: full or low-rank (LoRA), by part, with a rate for each.

Whatever is frozen, a reward's head learns; a vocabulary head learns with the language model. What learns is fp32: at
the rates of fine-tuning a step is smaller than the distance between neighbouring numbers of bfloat16, and would be
lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import Trainer

from omnireward import lora, plugins
from omnireward.atomic import synced
from omnireward.backbones import BackboneFamily
from omnireward.conversation_model import ConversationModel
from omnireward.errors import RecipeError, UnknownNameError
from omnireward.hub import find
from omnireward.lora import Lora
from omnireward.on_base import OnBase, base_of, digests, keep_in
from omnireward.parts import HEAD, LLM, PROJECTORS, Parts
from omnireward.train.learning import Learning
from omnireward.train.muon import MuonBesideAdamW
from omnireward.train.tiny import is_tiny

_OR_MERGE = "or make it a whole model first: omnireward convert {} OUT --to published"
BASE = "base"  # folder in `out` of a base that the run made itself


def tune(model: ConversationModel, config: Learning) -> None:
    """Say what of a model is trained, and put adapters in where the config wants some; changes the model in place.

    Raises:
        UnknownNameError: a part that the family has not, or a layer that no linear layer is called.
        RecipeError: settings that contradict each other, or the adapters that the model has already.
        MissingExtraError: 4 bits without bitsandbytes.
    """
    check(model, config)
    parts = parts_of(model)
    if config.lora_rank:
        _adapt(model, parts, config)
    elif model.on_base:
        raise RecipeError(
            f"{config.model} is an adapter of rank {model.on_base.lora.rank}. Train it on with --lora-rank "
            f"{model.on_base.lora.rank}, {_OR_MERGE.format(config.model)}"
        )
    else:
        keep_in(model.backbone, parts, config.frozen_weights, _learning(model, parts, config, set()))
    learning = set(model.on_base.trained if model.on_base else _learning(model, parts, config, set()))
    for name, parameter in model.backbone.named_parameters():
        parameter.requires_grad_(name in learning or lora.is_adapter(name))
    learns = model.HEAD_IS_NEW or not (config.lora_rank or LLM in config.freeze)
    if model.head.weight not in {*model.backbone.parameters()}:  # else it is the embeddings, and done
        model.head.to(torch.float32 if learns or config.frozen_weights == "fp32" else torch.bfloat16)
        model.head.requires_grad_(learns)
    if config.gradient_checkpointing:
        checkpoint_layers(model.backbone)


def check(model: ConversationModel, config: Learning) -> None:
    """Look at the names of parts and layers, before hours are spent on what comes before. Raises as `tune`."""
    parts = parts_of(model)
    parts.check(config.freeze, "freeze", "vision", "audio", PROJECTORS)  # a tower that is not there is frozen already
    parts.check(config.thaw, "thaw")
    parts.check(config.learning_rates, "learning_rates", HEAD)
    names = [parts.of(name) for name, _ in model.backbone.named_parameters()]
    for part in config.thaw:
        if not any(part in mine and set(mine) & set(config.freeze) for mine in names):
            raise RecipeError(f"thaw names {part}, of which nothing is frozen; frozen: {', '.join(config.freeze)}.")
    if config.lora_rank:
        tuple(_targets(model.backbone, parts, config))


def parts_of(model: ConversationModel) -> Parts:
    """The parts of a model's backbone."""
    return Parts.of_family(cast(BackboneFamily, plugins.load("backbones", model.family)))


def groups(model: ConversationModel, config: Learning, decayed: Iterable[str]) -> list[dict[str, Any]]:
    """Parameters that learn, by rate and decay, as an optimizer takes them; the language model's first, the head last.

    Args:
        model: already tuned.
        config: its `learning_rates`, by part; the narrower part's counts; others have `learning_rate`.
        decayed: names of parameters with weight decay.

    Raises:
        RecipeError: a rate for a part of which nothing learns.
    """
    parts, decaying = parts_of(model), set(decayed)
    found: dict[tuple[str, bool], list[nn.Parameter]] = {}
    trained: set[str] = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            mine = _parts_of_parameter(parts, name)
            trained.update(mine)
            part = next((part for part in mine if part in config.learning_rates), mine[-1])
            found.setdefault((part, name in decaying), []).append(parameter)
    idle = sorted(config.learning_rates.keys() - {part for part, _ in found})
    if idle:
        raise RecipeError(
            f"learning_rates names {', '.join(idle)}, whose rate nothing has. Trained: {', '.join(sorted(trained))}."
        )
    order = [LLM, *(name for name in parts.names if name != LLM), HEAD]
    return [
        {
            "params": parameters,
            "lr": config.learning_rates.get(part, config.learning_rate),
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (part, decays), parameters in sorted(found.items(), key=lambda one: (order.index(one[0][0]), not one[0][1]))
    ]


def optimizer_of(trainer: Trainer, model: ConversationModel, config: Learning) -> torch.optim.Optimizer | None:
    """Muon, or the Trainer's own optimizer with a rate for each part; None where the Trainer's own will do."""
    if config.optimizer == "muon":
        return MuonBesideAdamW(model, config.learning_rate, config.weight_decay)
    if not config.learning_rates:
        return None
    found = groups(model, config, trainer.get_decay_parameter_names(model))
    kind, given = trainer.get_optimizer_cls_and_kwargs(trainer.args)
    return cast(torch.optim.Optimizer, kind(found, **given))


def checkpoint_layers(backbone: nn.Module) -> None:
    """Have layers computed again in the backward pass, instead of keeping what they computed; while training only.

    transformers' layers do it when these are set, in towers too, which are not all models of their own; a packed batch
    asks the decoder's.
    """
    again = partial(checkpoint, use_reentrant=False)
    for module in backbone.modules():
        if hasattr(module, "gradient_checkpointing"):
            chosen = cast(Any, module)
            chosen.gradient_checkpointing, chosen._gradient_checkpointing_func = True, again


def _adapt(model: ConversationModel, parts: Parts, config: Learning) -> None:
    layers = tuple(sorted(_targets(model.backbone, parts, config)))
    adapted = {parts.of(name) for name in layers}
    alpha = 2.0 * config.lora_rank if config.lora_alpha is None else config.lora_alpha
    wanted = Lora(config.lora_rank, alpha, config.lora_dropout, layers)
    trained = tuple(sorted(_learning(model, parts, config, adapted)))
    there = model.on_base
    if there is None:
        place, folder = _place(model, config)
        found = digests(model.backbone, folder) if _first() else {}  # the first process alone writes them
        model.on_base = OnBase(place, found, config.frozen_weights, config.quantize, wanted, trained)
        model.on_base.build(model.backbone, parts)
        return
    for what, old, new in (
        ("rank", there.lora.rank, wanted.rank),
        ("alpha", there.lora.alpha, wanted.alpha),
        ("dropout", there.lora.dropout, wanted.dropout),
        ("layers with adapters", there.lora.layers, wanted.layers),
        ("frozen_weights", there.frozen, config.frozen_weights),
        ("quantize", there.quantize, config.quantize),
        ("parameters trained beside the adapters", there.trained, trained),
    ):
        if old != new:
            raise RecipeError(
                f"the checkpoint has adapters already, and its {what} is not what the config wants: {_brief(old)}, not "
                f"{_brief(new)}. Give the flags that it was trained with, {_OR_MERGE.format(config.model)}"
            )
    if there.place == BASE and not (config.out / BASE).is_dir():  # another run made it
        model.on_base = replace(there, place=str(base_of(find(config.model).folder, BASE).resolve()))


def _brief(value: object) -> str:
    return f"{len(value)} of them" if isinstance(value, tuple) else str(value)


def _place(model: ConversationModel, config: Learning) -> tuple[str, Path]:
    """What to record as the base, and the folder that has its files; written here where only this run has made it."""
    if not is_tiny(config.model) and not config.taught:
        place = find(config.model)
        return place.pinned or str(place.folder.resolve()), place.folder
    if _first():
        model.save_backbone(config.out / BASE)
        for path in (*(config.out / BASE).iterdir(), config.out / BASE, config.out):  # before a checkpoint needs it
            synced(path)
    return BASE, config.out / BASE


def _first() -> bool:
    """Whether this is the first of the processes that train together, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def _targets(backbone: nn.Module, parts: Parts, config: Learning) -> Iterator[str]:
    """Names of the linear layers that get adapters: those of a named part, and the language model's of a name."""
    linear = lora.linear_layers(backbone)
    names = {name.rpartition(".")[2] for name in linear if parts.whole(name) == LLM}
    parts.check(config.lora_targets, "lora_targets", *names)
    for target in config.lora_targets:
        if not any(_is_target(parts, name, target) for name in linear):
            raise UnknownNameError(f"lora_targets: {target!r} has no linear layer; leave it out.")
    for name in linear:
        if any(_is_target(parts, name, target) for target in config.lora_targets):
            if _frozen(parts, name, config):
                raise RecipeError(
                    f"lora_targets would adapt {name}, which freeze keeps as it is. Leave {parts.whole(name)} out of "
                    "one of both; beside adapters, a part's own weights stay as they are anyway."
                )
            yield name


def _is_target(parts: Parts, name: str, target: str) -> bool:
    return target in parts.of(name) or (parts.whole(name) == LLM and name.rpartition(".")[2] == target)


def _learning(model: ConversationModel, parts: Parts, config: Learning, adapted: set[tuple[str, ...]]) -> Iterator[str]:
    """Names of the backbone's own parameters that learn: of parts that are neither frozen nor have adapters."""
    for name, _ in model.backbone.named_parameters():
        own = not (lora.is_adapter(name) or ".base_layer." in name)
        if own and not _frozen(parts, name, config) and parts.of(name) not in adapted:
            yield name


def _frozen(parts: Parts, name: str, config: Learning) -> bool:
    mine = parts.of(name)
    return any(part in config.freeze for part in mine) and not any(part in config.thaw for part in mine)


def _parts_of_parameter(parts: Parts, name: str) -> tuple[str, ...]:
    inside = name.removeprefix("backbone.")
    return parts.of(inside) if inside != name else (HEAD,)
