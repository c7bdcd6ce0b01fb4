"""Weights and optimizer split over processes: PyTorch's FSDP2, put so that no mixture of media can hang it.

Each process must gather the same shards in the same order. So only what every batch calls equally often is gathered by
itself: the decoder's layers, and the head. All else that learns (embeddings, projectors, towers) is gathered with the
root, once in a pass, whether and how often a batch calls it. Frozen towers are not split: their outputs are made ahead,
by each process for its own media, and kept.

accelerate has a plug-in for FSDP2. It is not used: it does not know CPUs, which every change is tested on, and splits
towers by the classes of their layers, which text alone never calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from omnireward.conversation_model import ConversationModel
from omnireward.packed_stack import PACKED, packed_layer

SHARDS = "optimizer_shards"


def shard(model: ConversationModel, device: torch.device) -> None:
    """Split a model's weights over all processes, in place. Process 0's are taken.

    Args:
        model: whole, and the same in all processes but for what each drew at random.
        device: of this process; the shards go there.
    """
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    towers = model.tower_parameters() if model.features.frozen else []
    # Weights of 4 bits lie in bytes, with scales beside them: no part of one is one.
    packed = [weight for weight in model.parameters() if not weight.is_floating_point()]
    whole = {*towers, *packed}
    _alike(towers, device)
    for part in (*cast(Any, model.backbone).decoder.layers, model.head):
        _alike((weight for weight in part.parameters() if weight not in whole), device)
        fully_shard(part, mesh=mesh, ignored_params=whole)
        if part is not model.head:  # packing calls what a layer is made of, so it must say when it begins and ends
            setattr(part, PACKED, MethodType(packed_layer, part))
            register_fsdp_forward_method(part, PACKED)
    rest = [weight for weight in model.parameters() if not isinstance(weight, DTensor) and weight not in whole]
    _alike(rest, device)
    root = cast(Any, fully_shard(model, mesh=mesh, ignored_params=whole))
    # Experts, say, that no token of this process chose.
    root.set_reduce_scatter_unused_params(True)


@contextmanager
def gathered(model: nn.Module) -> Iterator[None]:
    """In process 0, a model with whole weights on the CPU, for as long as the block runs. All processes call it."""
    first, kept = dist.is_initialized() and dist.get_rank() == 0, []
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is None:
                continue
            full = weight.full_tensor().detach() if isinstance(weight, DTensor) else weight.detach()
            # DeepSpeed's weights are parts of one buffer, as gathered ones may be. safetensors refuses parts.
            if first and (isinstance(weight, DTensor) or _is_part(full)):
                kept.append((module, name, weight))
                module._parameters[name] = nn.Parameter(full.to("cpu", copy=True), weight.requires_grad)
    try:
        yield
    finally:
        for module, name, weight in kept:
            module._parameters[name] = weight


def split_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Take up a whole optimizer's state in one whose weights are split."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, kept in state["state"].items():
        weight = weights[number]
        for name, value in kept.items():
            if isinstance(weight, DTensor) and value.shape == weight.shape:
                here = value.to(weight.device)
                kept[name] = distribute_tensor(here, weight.device_mesh, weight.placements, src_data_rank=None)
    optimizer.load_state_dict(state)


def _is_part(weight: Tensor) -> bool:
    return weight.untyped_storage().nbytes() != weight.nbytes


def _alike(weights: Iterable[Tensor], device: torch.device) -> None:
    """Move weights to the device, and make all processes have those of process 0."""
    for weight in weights:
        weight.data = weight.data.to(device)
        dist.broadcast(weight.data, 0)
