"""Sizes of the families' tiny models: what the four have in common, and what those of a generation do."""

from __future__ import annotations

from typing import Any

_BOTH_TEXTS: dict[str, Any] = {
    "hidden_act": "silu",
    "hidden_size": 128,
    "initializer_range": 0.05,
    "intermediate_size": 256,
    "max_position_embeddings": 4096,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
}
_BOTH_TOWERS: dict[str, Any] = {
    "hidden_size": 64,
    "in_channels": 3,
    "initializer_range": 0.05,
    "intermediate_size": 128,
    "num_heads": 4,
    "out_hidden_size": 128,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
TEXT_2_5 = _BOTH_TEXTS | {"rope_theta": 1_000_000.0}
TEXT_3 = _BOTH_TEXTS | {
    "head_dim": 32,
    "rope_scaling": {"mrope_interleaved": True, "mrope_section": [6, 5, 5], "rope_type": "default"},
}
VISION_2_5 = _BOTH_TOWERS | {
    "depth": 2,
    "fullatt_block_indexes": [1],
    "hidden_act": "silu",
    "patch_size": 14,
    "window_size": 56,
}
VISION_3 = _BOTH_TOWERS | {
    "deepstack_visual_indexes": [0, 1],
    "depth": 3,
    "hidden_act": "gelu_pytorch_tanh",
    "num_position_embeddings": 64,
    "patch_size": 16,
}
