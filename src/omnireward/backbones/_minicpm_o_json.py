"""Which values the fields of a checkpoint's JSON may have.

A checkpoint comes from anyone. A size of 0 or of ten billion would end in a division by zero, or take the machine's
memory, far from the file that caused it; so every number has a largest value here, well above that of any known model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from reprlib import repr as short
from typing import Any

from omnireward.errors import CheckpointError

LARGEST: Mapping[str, int] = {
    # sizes of the language model and of the towers
    "vocab_size": 10_000_000,
    "hidden_size": 65_536,
    "d_model": 65_536,
    "intermediate_size": 1_048_576,
    "encoder_ffn_dim": 1_048_576,
    "num_hidden_layers": 512,
    "encoder_layers": 512,
    "num_attention_heads": 1_024,
    "num_key_value_heads": 1_024,
    "encoder_attention_heads": 1_024,
    "max_position_embeddings": 100_000_000,
    "rope_theta": 1_000_000_000_000,
    "rms_norm_eps": 1,
    "layer_norm_eps": 1,
    # what the towers read and give
    "image_size": 16_384,  # pixels
    "patch_size": 256,  # pixels
    "num_mel_bins": 128,
    "max_source_positions": 100_000,  # of 20 ms
    "query_num": 4_096,
    "audio_pool_step": 1_500,  # of 20 ms: 30 s, the longest piece that is encoded
    "audio_chunk_length": 3_600,  # seconds
    # how media are made small
    "max_slice_nums": 100,
    "frame_max_slices": 100,
    "scale_resolution": 4_096,  # pixels
    "image_max_pixels": 32_000_000,  # as the decoder's own limit
    "frame_max_pixels": 32_000_000,
    "frames": 1_024,
    "views": 64,
    "view_size": 2_048,  # pixels
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "hidden_act": ("gelu_pytorch_tanh", "gelu", "gelu_new", "quick_gelu", "relu", "silu"),
}


def checked(kind: type[Any], data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of `data` that the dataclass `kind` declares as a number, a choice or a switch.

    Args:
        kind: names and kinds of the fields, and which may be missing.
        data: a JSON object.
        where: what to call it in a message.

    Raises:
        CheckpointError: a field is missing, or its value is not allowed.
    """
    given: dict[str, Any] = {}
    for declared in fields(kind):
        if declared.type not in ("int", "float", "bool", "str"):
            continue  # a section, which is read by itself
        if declared.name in data:
            given[declared.name] = _value(declared.name, declared.type, data[declared.name], where)
        elif declared.default is MISSING:
            raise CheckpointError(f"{where} lacks {declared.name!r}; it has {short(sorted(data))}.")
    return given


def _value(name: str, kind: str, value: object, where: str) -> int | float | str:
    if kind == "bool":
        allowed = "true or false"
        if isinstance(value, bool):
            return value
    elif kind == "str":
        allowed = f"one of {', '.join(CHOICES[name])}"
        if isinstance(value, str) and value in CHOICES[name]:
            return value
    elif kind == "int":
        allowed = f"a whole number between 1 and {LARGEST[name]:,}"
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST[name]:
            return value
    else:
        allowed = f"a number above 0, up to {LARGEST[name]:,}"
        # JSON as Python reads it has NaN and Infinity too; neither passes.
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST[name]:
            return float(value)
    raise CheckpointError(f"{where}: {name} must be {allowed}; it is {short(value)}.")


def require_multiple(name: str, value: int, of: str, divisor: int) -> None:
    """Check that one size can be cut into another. Raises CheckpointError."""
    if value % divisor:
        raise CheckpointError(f"{name} {value} is not a multiple of {divisor}, {of}.")
