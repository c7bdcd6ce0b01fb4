"""Whether a decoder's layers may be run packed (see packed_stack): told by its settings, and by trying.

Dropout or another order of norms is told by settings and names. What a model does besides, such as scaling its states,
has no common name, so two rows of a few tokens are computed both ways. A window of attention changes nothing for rows
that fit into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from omnireward.backbones import Row
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.packing import Plan, plan

_LAYER = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
_ATTENTION = {"q_proj", "k_proj", "v_proj", "o_proj"}
_NORMS = {"q_norm", "k_norm"}
_SHARED, _OWN = 8, 4  # tokens
Packed = Callable[[Sequence[Row], Sequence[Sequence[Tensor]], Plan], Tensor]


def packs(backbone: DecoderBackbone, packed: Packed) -> bool:
    """Whether `packed` gives the states of a padded pass, of rows that fit into the window."""
    return _named_so(backbone) and _alike(backbone, packed)


def _named_so(backbone: DecoderBackbone) -> bool:
    decoder = cast(Any, backbone.decoder)
    config = decoder.config
    if getattr(config, "attention_dropout", 0.0) or getattr(config, "attn_logit_softcapping", None):
        return False
    for layer in decoder.layers:
        inner = {name for name, _ in layer.self_attn.named_children()}
        if {name for name, _ in layer.named_children()} != _LAYER or inner - _NORMS != _ATTENTION:
            return False
    return True


@torch.no_grad()
def _alike(backbone: DecoderBackbone, packed: Packed) -> bool:
    decoder = backbone.decoder
    training = decoder.training
    ids = torch.arange(_SHARED + 2 * _OWN) % cast(Any, decoder).config.vocab_size
    rows = [Row(ids[: _SHARED + _OWN], ()), Row(torch.cat((ids[:_SHARED], ids[_SHARED + _OWN :])), ())]
    try:
        decoder.eval()
        with torch.autocast(backbone.device.type, enabled=False):
            padded = backbone(rows, [[], []]).to(torch.float32)
            both = packed(rows, [[], []], plan([np.asarray(row.ids) for row in rows])).to(torch.float32)
    finally:
        decoder.train(training)
    tolerance = 1e-4 if cast(Any, decoder).norm.weight.dtype in (torch.float32, torch.float64) else 3e-2
    return bool((both - padded).norm() <= tolerance * padded.norm())
