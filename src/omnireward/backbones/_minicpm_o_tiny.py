"""A MiniCPM-o small enough to train on one core: config and tokenizer, made in under a second."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from omnireward.backbones._minicpm_o_config import (
    AudioConfig,
    LanguageConfig,
    MiniCPMOConfig,
    Preprocessing,
    SliceConfig,
    VisionConfig,
)
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS

VOCABULARY = 1500
# How Qwen's tokenizer cuts text before merging: contractions, words, single digits, punctuation, line ends, blanks.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
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


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> str:
    """A byte-level BPE tokenizer with Qwen's word pattern and the special tokens: the content of tokenizer.json."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # The special tokens come after training, so that, as in the published file, merging cannot yield them.
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    content: str = tokenizer.to_str()
    return content
