"""Runs a decoder's layers over a packed batch (see packing): exact, without padding, and no further than is read.

transformers' own attention has no word for a shared prefix: with positions that restart and no mask it takes the rows
of a packed batch for one row, without a warning. So the layers' own modules are called here in their own order, and
attention is computed over the plan's tiles. Where only the rows' last tokens are read, only they are queries in the
last layer, and only they go through its MLP.

Known are pre-norm layers with projections `q_proj`, `k_proj`, `v_proj`, `o_proj`, with or without norms of queries and
keys, and with an MLP or a mixture of experts. While the decoder's `gradient_checkpointing` is on and it is training,
what a layer computes is not kept but computed again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omnireward.packing import Plan
from omnireward.tiling import Tile

PACKED = "packed_forward"  # of a layer: see `_called`


def last_states(
    decoder: nn.Module,
    embeds: Tensor,
    rotary: tuple[Tensor, Tensor],
    plan: Plan,
    deep: Sequence[tuple[Tensor, Tensor]] = (),
) -> Tensor:
    """States of the rows' last tokens after the final norm: (rows, hidden).

    Args:
        decoder: a stack of pre-norm layers named as in transformers' Qwen2Model.
        embeds: (T, hidden), the plan's tokens.
        rotary: cosines and sines of the tokens' positions, each (T, head size). Positions are those that a token has in
            its whole row: where they have several axes, take them from whole rows too.
        plan: on any device.
        deep: for each of the first layers, what is added to the states behind it: places, (n,) int64, and (n, hidden).
    """
    stack, plan = cast(Any, decoder), plan.to(embeds.device)
    states, (cos, sin) = _before_last(stack, embeds, rotary, plan, deep)
    turned = cos[plan.last], sin[plan.last]
    ends = _called(stack.layers[-1], states, states[plan.last], (cos, sin), turned, (plan.last_tiles, plan.last_order))
    return cast(Tensor, stack.norm(ends))


def all_states(
    decoder: nn.Module,
    embeds: Tensor,
    rotary: tuple[Tensor, Tensor],
    plan: Plan,
    deep: Sequence[tuple[Tensor, Tensor]] = (),
    before_last: bool = False,
) -> Tensor:
    """States of all tokens after the final norm: (T, hidden). Arguments as for `last_states`.

    With `before_last`, what goes into the last layer instead: all of a token that the tokens behind it can see.
    """
    stack, plan = cast(Any, decoder), plan.to(embeds.device)
    states, turned = _before_last(stack, embeds, rotary, plan, deep)
    return cast(Tensor, stack.norm(states if before_last else _layer(stack, -1, states, turned, plan)))


def _before_last(
    stack: Any,
    embeds: Tensor,
    rotary: tuple[Tensor, Tensor],
    plan: Plan,
    deep: Sequence[tuple[Tensor, Tensor]],
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What goes into the last layer, (T, hidden), and the cosines and sines as layers take them."""
    cos, sin = (each.to(embeds.device).unsqueeze(1) for each in rotary)
    states = embeds
    for number in range(len(stack.layers) - 1):
        states = _layer(stack, number, states, (cos, sin), plan)
        if number < len(deep):
            places, added = deep[number]
            states = states.index_add(0, places.to(states.device), added.to(states))
    return states, (cos, sin)


def _layer(stack: Any, number: int, states: Tensor, turned: tuple[Tensor, Tensor], plan: Plan) -> Tensor:
    """One layer for all tokens, computed again in the backward pass where that is on."""
    again = bool(getattr(stack, "gradient_checkpointing", False)) and stack.training and torch.is_grad_enabled()
    given = (stack.layers[number], states, None, turned, turned, (plan.tiles, plan.order))
    return cast(Tensor, checkpoint(_called, *given, use_reentrant=False)) if again else _called(*given)


def _called(layer: Any, *given: Any) -> Tensor:
    """A layer's packed forward, by the layer's own method where whoever split its weights gave it one."""
    own = getattr(layer, PACKED, None)
    return cast(Tensor, own(*given)) if own else packed_layer(layer, *given)


def packed_layer(
    layer: Any,
    states: Tensor,
    asking: Tensor | None,
    all_turned: tuple[Tensor, Tensor],
    turned: tuple[Tensor, Tensor],
    where: tuple[Sequence[Tile], Tensor],
) -> Tensor:
    """One layer for the tokens that ask, (queries, hidden), which see `states`, (T, hidden); None: all of them ask."""
    attention = layer.self_attn
    normed = layer.input_layernorm(states)
    questions = normed if asking is None else layer.input_layernorm(asking)
    heads = (-1, attention.head_dim)
    norm_keys, norm_queries = getattr(attention, "k_norm", _as_is), getattr(attention, "q_norm", _as_is)
    keys = _turn(norm_keys(attention.k_proj(normed).unflatten(-1, heads)), *all_turned)
    values = attention.v_proj(normed).unflatten(-1, heads)
    queries = _turn(norm_queries(attention.q_proj(questions).unflatten(-1, heads)), *turned)
    seen = _attend(queries, keys, values, attention.scaling, *where)
    states = (states if asking is None else asking) + attention.o_proj(seen.flatten(-2))
    # A mixture of experts insists on rows and columns.
    return states + cast(Tensor, layer.mlp(layer.post_attention_layernorm(states).unsqueeze(0))).squeeze(0)


def _as_is(vectors: Tensor) -> Tensor:
    return vectors


def _turn(vectors: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on (tokens, heads, size)."""
    half = vectors.shape[-1] // 2
    turned = torch.cat((-vectors[..., half:], vectors[..., :half]), dim=-1)
    return vectors * cos + turned * sin


def _attend(
    queries: Tensor, keys: Tensor, values: Tensor, scale: float, tiles: Sequence[Tile], order: Tensor
) -> Tensor:
    """Attention of (queries, heads, size) over (T, key heads, size), tile by tile."""
    outputs = []
    repeats = queries.shape[1] // keys.shape[1]
    for tile in tiles:
        q, k, v = (
            each[places].transpose(1, 2)
            for each, places in ((queries, tile.queries), (keys, tile.keys), (values, tile.keys))
        )
        # On a GPU, the kernels that take a mask don't let heads share keys.
        shared = repeats > 1 and (tile.mask is None or not q.is_cuda)
        if repeats > 1 and not shared:
            k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
        seen = F.scaled_dot_product_attention(
            q, k, v, attn_mask=tile.mask, is_causal=tile.mask is None, scale=scale, enable_gqa=shared
        ).transpose(1, 2)
        outputs.append(seen.flatten(0, 1))
    return torch.cat(outputs)[order]
