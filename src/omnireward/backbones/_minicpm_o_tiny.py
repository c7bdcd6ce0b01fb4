"""A MiniCPM-o small enough to train on one core."""

from __future__ import annotations

from omnireward.backbones._minicpm_o_config import (
    AudioConfig,
    LanguageConfig,
    MiniCPMOConfig,
    Preprocessing,
    SliceConfig,
    VisionConfig,
)


def tiny_config(vocab_size: int) -> MiniCPMOConfig:
    """56-pixel views of 4 embeddings, 10 embeddings for a second of sound, 3 decoder layers of 128."""
    return MiniCPMOConfig(
        language=LanguageConfig(
            vocab_size=vocab_size,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            rope_theta=1_000_000.0,
            max_position_embeddings=4096,
        ),
        vision=VisionConfig(hidden_size=64, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4),
        audio=AudioConfig(d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=256),
        slices=SliceConfig(max_slice_nums=1, scale_resolution=56),
        query_num=4,
        audio_pool_step=5,
        drop_vision_last_layer=False,
    )


def tiny_preprocessing() -> Preprocessing:
    """The published limits, but a frame of a video is one view, and meshes are seen from three sides, small."""
    return Preprocessing(frame_max_slices=1, views=3, view_size=40)
