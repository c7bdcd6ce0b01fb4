"""A text model small enough to train on one core: a Qwen2 config, a tokenizer and a ChatML template."""

from __future__ import annotations

from collections.abc import Iterable

from transformers import Qwen2Config

from omnireward.backbones._text_template import SETTINGS, TEMPLATE, TOKENIZER
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones._weights import dumps

CHATML = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def tiny_config(vocab_size: int) -> Qwen2Config:
    """Three layers of 128."""
    return Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )


def tiny_files(texts: Iterable[str]) -> dict[str, str]:
    """The files about text, by name; the tokenizer is trained on the texts."""
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    return {
        TOKENIZER: train_tokenizer(texts, ("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
        TEMPLATE: CHATML,
        SETTINGS: dumps({**special, "tokenizer_class": "PreTrainedTokenizerFast"}),
    }
