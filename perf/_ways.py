"""A model to measure with, and the ways to run it that ours is compared with; for comparison only.

The language model has Qwen2's shape: hidden 512, 6 layers, MLPs of 2,752. With a vocabulary of 4,768 an LM head is as
large beside it as at 7 B (8 % of a forward pass), with the published 151,700 it is larger than the model itself. The
vision tower costs as much beside it as at 7 B: a view of 448 x 448 pixels about as much as 70 tokens.
"""

from __future__ import annotations

import ctypes
import gc
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireward.backbones import Row, pad
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._minicpm_o_config import (
    AudioConfig,
    LanguageConfig,
    MiniCPMOConfig,
    SliceConfig,
    VisionConfig,
)
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS
from omnireward.backbones._minicpm_o_tiny import tiny_preprocessing
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.encoded import Encoded
from omnireward.media import decode
from omnireward.reward_model import RewardModel

HEAD_SHARE_OF_7B, PUBLISHED = 4_768, 151_700  # vocabularies
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of malloc.h
WORDS = ("Which answer is better?", "A short answer.", "A longer answer about tea, and rain, and bread.")


def small_config(vocabulary: int) -> MiniCPMOConfig:
    """The model described above."""
    return MiniCPMOConfig(
        language=LanguageConfig(
            vocab_size=vocabulary,
            hidden_size=512,
            intermediate_size=2_752,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=2,
            rope_theta=1_000_000.0,
        ),
        vision=VisionConfig(hidden_size=192, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4),
        audio=AudioConfig(d_model=64, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=256),
        slices=SliceConfig(max_slice_nums=1, scale_resolution=448),
        query_num=64,
        drop_vision_last_layer=False,
    )


def new_model(config: MiniCPMOConfig, device: str = "cpu", dtype: torch.dtype = torch.float32) -> RewardModel:
    """Random weights, always the same on a device, made there; the head in fp32, as always; towers frozen.

    Media are decoded in this process.
    """
    preprocessing = tiny_preprocessing()
    tokenizer = ChatTokenizer(train_tokenizer(WORDS * 20, SPECIAL_TOKENS), SPECIAL_TOKENS)
    torch.manual_seed(0)
    # Not `.to(dtype)` afterwards: that would round the frequencies of the rotary embedding too.
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            backbone = MiniCPMO(config, tokenizer, preprocessing, partial(decode, options=preprocessing.decoding()))
            model = RewardModel(backbone, "minicpm_o", "natural")
    finally:
        torch.set_default_dtype(torch.float32)
    model.freeze(["vision", "audio"])
    return model


def backbone_of(model: RewardModel) -> MiniCPMO:
    """The backbone, typed."""
    assert isinstance(model.backbone, MiniCPMO)
    return model.backbone


def new_lm_head(model: RewardModel) -> nn.Linear:
    """What the reference way multiplies every token's state with."""
    embeddings = backbone_of(model).decoder.embed_tokens.weight
    like = {"device": embeddings.device, "dtype": embeddings.dtype}
    return nn.Linear(embeddings.shape[1], embeddings.shape[0], bias=False, **like).requires_grad_(False)


def draw_row(length: int, generator: torch.Generator) -> Tensor:
    """Random words: (length,) int64."""
    return torch.randint(300, 1_000, (length,), generator=generator)


def text(ids: Tensor) -> Encoded:
    """A row of words alone."""
    return Encoded(Row(ids, ()), (), ())


def reference(model: RewardModel, lm_head: nn.Linear, encoded: Sequence[Encoded]) -> Tensor:
    """As the published trainer does: rows whole and padded, media encoded for each row, states of all layers kept,
    logits of all tokens in fp32 and a language model's loss that nobody reads, the value head on all tokens.

    Returns (rows,) rewards.
    """
    states, kept, rows = _states(model, encoded, every_layer=True)
    logits = lm_head(states).float()
    ids, mask = (each.to(states.device) for each in pad(rows))
    _unread = F.cross_entropy(logits[:, :-1].flatten(0, 1).contiguous(), ids[:, 1:].flatten())
    values = model.head(states.float()).squeeze(-1)
    rewards: Tensor = values.gather(1, mask.sum(1, keepdim=True) - 1).squeeze(1)
    del kept
    return rewards


def whole(model: RewardModel, encoded: Sequence[Encoded]) -> Tensor:
    """As a sequence classifier does: rows whole and padded, media encoded for each row, no logits. (rows,) rewards."""
    states, _, rows = _states(model, encoded, every_layer=False)
    last = torch.tensor([len(row.ids) - 1 for row in rows])
    rewards: Tensor = model.head(states[torch.arange(len(rows)), last].float()).squeeze(-1)
    return rewards


def ours(model: RewardModel, encoded: Sequence[Encoded]) -> Tensor:
    """Packed; each medium encoded once. (rows,) rewards."""
    model.features.embeddings.clear()
    rewards: Tensor = model(encoded)
    return rewards


def one_by_one(way: Callable[[Sequence[Encoded]], Tensor], encoded: Sequence[Encoded]) -> Tensor:
    """Each row alone: (rows,) rewards."""
    return torch.cat([way([one]) for one in encoded])


def _states(model: RewardModel, encoded: Sequence[Encoded], *, every_layer: bool) -> tuple[Tensor, object, list[Row]]:
    """States of all tokens after the final norm (rows, longest, hidden), and of all layers where they are kept.

    transformers' own forward of the decoder, with the mask of padding that its trainers pass.
    """
    backbone = backbone_of(model)
    rows = [one.row for one in encoded]
    ids, mask = (each.to(model.head.weight.device) for each in pad(rows))
    embeds = backbone.decoder.embed_tokens(ids)
    with torch.no_grad():  # the towers are frozen; each row's media are encoded for it
        media = [backbone.encode_media(list(one.media)) for one in encoded]
    at = [(i, place) for i, row in enumerate(rows) for start, stop in row.spans for place in range(start, stop)]
    if at:
        index = tuple(torch.tensor(axis, device=ids.device) for axis in zip(*at, strict=True))
        embeds = embeds.index_put(index, torch.cat([each.to(embeds) for embeddings in media for each in embeddings]))
    out = backbone.decoder(
        inputs_embeds=embeds, attention_mask=mask.long(), use_cache=False, output_hidden_states=every_layer
    )
    return out.last_hidden_state, out.hidden_states, rows


def peak_mib(run: Callable[[], object]) -> float:
    """MiB that a run adds to the process's memory at its highest, beyond what it starts with. Linux with glibc only.

    Meanwhile tensors are mapped one by one, so that what is freed is gone at once, as on a GPU; otherwise the C library
    keeps it for later, and the sum of all that was ever needed would count.
    """
    libc = ctypes.CDLL("libc.so.6")
    gc.collect()
    libc.malloc_trim(0)  # or memory freed before would be used without being seen
    libc.mallopt(_MMAP_THRESHOLD, 2**16)
    Path("/proc/self/clear_refs").write_text("5")  # sets the high-water mark to what is resident now
    before = _status("VmRSS")
    run()
    peak = _status("VmHWM")
    libc.mallopt(_MMAP_THRESHOLD, 2**25)  # where it ends by itself in a program of large tensors
    return (peak - before) / 1024


def _status(name: str) -> int:
    """KiB of this process, by /proc/self/status."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, name
    return int(found[1])
