"""The released config.json, and the names and shapes of the full-size model that it describes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._minicpm_o_config import MiniCPMOConfig, Preprocessing
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.errors import CheckpointError

# The released config.json, as far as the architecture goes, with a few of the fields that nothing here reads.
RELEASED: dict[str, Any] = {
    "architectures": ["MiniCPMO"],
    "auto_map": {"AutoModel": "modeling_minicpmo.MiniCPMO"},
    "model_type": "minicpmo",
    "vocab_size": 151700,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "max_position_embeddings": 32768,
    "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-06,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "query_num": 64,
    "drop_vision_last_layer": False,
    "audio_pool_step": 2,
    "audio_chunk_length": 1.0,
    "chunk_input": True,
    "init_tts": True,
    "slice_config": {"max_slice_nums": 9, "patch_size": 14, "model_type": "minicpmv"},
    "vision_config": {
        "hidden_size": 1152,
        "image_size": 980,
        "intermediate_size": 4304,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 27,
        "patch_size": 14,
    },
    "audio_config": {
        "d_model": 1024,
        "encoder_attention_heads": 16,
        "encoder_ffn_dim": 4096,
        "encoder_layers": 24,
        "num_mel_bins": 80,
        "max_source_positions": 1500,
        "decoder_layers": 24,
    },
}


def _linear(name: str, out: int, into: int, *, bias: bool = True) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into)} | ({f"{name}.bias": (out,)} if bias else {})


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the released checkpoint without lm_head and tts, written down module by module."""
    shapes: dict[str, tuple[int, ...]] = {
        "llm.model.embed_tokens.weight": (151700, 3584),
        "llm.model.norm.weight": (3584,),
    }
    for n in range(28):
        layer = f"llm.model.layers.{n}"
        shapes |= {f"{layer}.{norm}_layernorm.weight": (3584,) for norm in ("input", "post_attention")}
        shapes |= _linear(f"{layer}.self_attn.q_proj", 3584, 3584)
        shapes |= _linear(f"{layer}.self_attn.k_proj", 512, 3584) | _linear(f"{layer}.self_attn.v_proj", 512, 3584)
        shapes |= _linear(f"{layer}.self_attn.o_proj", 3584, 3584, bias=False)
        shapes |= _linear(f"{layer}.mlp.gate_proj", 18944, 3584, bias=False)
        shapes |= _linear(f"{layer}.mlp.up_proj", 18944, 3584, bias=False)
        shapes |= _linear(f"{layer}.mlp.down_proj", 3584, 18944, bias=False)
    shapes |= {
        "vpm.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
        "vpm.embeddings.patch_embedding.bias": (1152,),
    }
    shapes |= {"vpm.embeddings.position_embedding.weight": (4900, 1152)} | _norm("vpm.post_layernorm", 1152)
    for n in range(27):
        layer = f"vpm.encoder.layers.{n}"
        shapes |= _norm(f"{layer}.layer_norm1", 1152) | _norm(f"{layer}.layer_norm2", 1152)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{layer}.self_attn.{name}", 1152, 1152)
        shapes |= _linear(f"{layer}.mlp.fc1", 4304, 1152) | _linear(f"{layer}.mlp.fc2", 1152, 4304)
    shapes |= {"resampler.query": (64, 3584), "resampler.proj": (3584, 3584), "resampler.kv_proj.weight": (3584, 1152)}
    shapes |= {"resampler.attn.in_proj_weight": (3 * 3584, 3584), "resampler.attn.in_proj_bias": (3 * 3584,)}
    shapes |= _linear("resampler.attn.out_proj", 3584, 3584)
    for name in ("ln_q", "ln_kv", "ln_post"):
        shapes |= _norm(f"resampler.{name}", 3584)
    shapes |= {"apm.conv1.weight": (1024, 80, 3), "apm.conv1.bias": (1024,)}
    shapes |= {"apm.conv2.weight": (1024, 1024, 3), "apm.conv2.bias": (1024,)}
    shapes |= {"apm.embed_positions.weight": (1500, 1024)} | _norm("apm.layer_norm", 1024)
    for n in range(24):
        layer = f"apm.layers.{n}"
        shapes |= _norm(f"{layer}.self_attn_layer_norm", 1024) | _norm(f"{layer}.final_layer_norm", 1024)
        for name in ("q_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{layer}.self_attn.{name}", 1024, 1024)
        shapes |= _linear(f"{layer}.self_attn.k_proj", 1024, 1024, bias=False)
        shapes |= _linear(f"{layer}.fc1", 4096, 1024) | _linear(f"{layer}.fc2", 1024, 4096)
    shapes |= _linear("audio_projection_layer.linear1", 3584, 1024)
    return shapes | _linear("audio_projection_layer.linear2", 3584, 3584)


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return ChatTokenizer(train_tokenizer(["a few words"], SPECIAL_TOKENS), SPECIAL_TOKENS)


def test_the_full_size_model_has_the_published_names_and_shapes(tokenizer: ChatTokenizer) -> None:
    """On the meta device: nothing is allocated. Totals as published: 7.07 B, 418 M, 69 M, 307 M, 16.5 M."""
    with torch.device("meta"):
        model = MiniCPMO(MiniCPMOConfig.from_json(RELEASED), tokenizer, Preprocessing())
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == _published_shapes()
    totals = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert totals == {
        "llm": pytest.approx(7.07e9, rel=1e-3),
        "vpm": pytest.approx(418e6, rel=2e-3),
        "resampler": pytest.approx(69e6, rel=1e-2),
        "apm": pytest.approx(307e6, rel=2e-3),
        "audio_projection_layer": pytest.approx(16.5e6, rel=2e-3),
    }
    assert model.config.tokens_per_chunk == 25
    assert (model.config.slices.max_slice_nums, model.config.slices.scale_resolution) == (9, 448)


def test_a_released_config_survives_a_round_trip() -> None:
    """Fields that nothing reads come back as they were, and every field that is read too."""
    again = MiniCPMOConfig.from_json(RELEASED).to_json()
    for key, value in RELEASED.items():
        kept = {k: again[key][k] for k in value} if isinstance(value, dict) else again[key]
        assert kept == value, key
    assert MiniCPMOConfig.from_json(again).to_json() == again


def test_no_slice_config_means_the_defaults() -> None:
    config = MiniCPMOConfig.from_json(RELEASED | {"slice_config": None})
    assert (config.slices.max_slice_nums, config.slices.scale_resolution) == (9, 448)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "qwen2"}, "qwen2"),
        ({"hidden_size": "3584"}, "hidden_size must be a whole number between 1 and 65,536; it is '3584'"),
        ({"hidden_size": 100}, "multiple of 128"),
        ({"query_num": True}, "query_num must be a whole number.*; it is True"),
        ({"vision_config": None}, "vision_config must be an object"),
        ({"audio_config": {}}, "audio_config lacks 'd_model'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "rope_scaling"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        MiniCPMOConfig.from_json(RELEASED | change)
