"""config.json of Qwen's omni models: which part of it is the thinker, and what its audio tower may be.

The published folders hold a model that also speaks: a thinker, a talker and a vocoder. A reward needs the thinker. What
is read from either layout is the thinker's own section, and that is what is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as short
from typing import Any

from omnireward.backbones._qwen_config import check_text, check_vision, require_multiple, section, whole
from omnireward.backbones._qwen_weights import Names
from omnireward.errors import CheckpointError

THINKER = "thinker_config"
AUDIO: Mapping[str, int] = {
    "num_mel_bins": 256,
    "d_model": 65_536,
    "encoder_layers": 512,
    "encoder_attention_heads": 1_024,
    "encoder_ffn_dim": 1_048_576,
    "output_dim": 65_536,
    "n_window": 15_000,  # of 20 ms
}
# Sizes that a file may leave to the class.
AUDIO_MORE: Mapping[str, int] = {
    "max_source_positions": 100_000,
    "n_window_infer": 1_000_000,
    "conv_chunksize": 1_000_000,
    "downsample_hidden_size": 65_536,
}
_ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "silu", "relu")
# Vocabulary logits and speech, which a reward does not need.
IGNORED = ("lm_head.", "thinker.lm_head.", "talker.", "token2wav.", "code2wav.")
_PARTS = ("visual.", "audio_tower.")
# The thinker by itself, the whole model, and both as transformers names the parts in memory.
LAYOUTS: tuple[Names, ...] = (
    (),
    tuple((f"thinker.{part}", part) for part in (*_PARTS, "model.")),
    (*((f"model.{part}", part) for part in _PARTS), ("model.language_model.", "model.")),
    (*((f"thinker.model.{part}", part) for part in _PARTS), ("thinker.model.language_model.", "model.")),
    (("language_model.", "model."),),
)


def thinker_of(config: Mapping[str, Any], whole_model: str, architecture: str) -> Mapping[str, Any]:
    """The thinker's section, whichever of the two layouts the file has.

    Args:
        config: the content of config.json.
        whole_model: its `model_type` in the published layout; the thinker's own is the same with `_thinker` behind it.
        architecture: transformers' class for the thinker by itself.

    Raises:
        CheckpointError: there is no such section.
    """
    if config.get("model_type") != whole_model:
        return config
    own = {"model_type": f"{whole_model}_thinker", "architectures": [architecture]}
    return dict(section(config, THINKER)) | own


def check_thinker(config: Mapping[str, Any]) -> None:
    """Check all sections before a class reads them. Raises CheckpointError."""
    text = section(config, "text_config")
    check_text(text, "text_config")
    check_vision(section(config, "vision_config"), "vision_config", text["hidden_size"])
    _check_audio(section(config, "audio_config"), text["hidden_size"])
    if config.get("position_id_per_seconds") is not None:
        whole(config, "position_id_per_seconds", 1_000, "config.json")


def _check_audio(data: Mapping[str, Any], hidden: int) -> None:
    where = "audio_config"
    for name, most in AUDIO.items():
        whole(data, name, most, where)
    for name, most in AUDIO_MORE.items():
        if data.get(name) is not None:
            whole(data, name, most, where)
    require_multiple(where, "d_model", data["d_model"], data["encoder_attention_heads"])
    if data["d_model"] % 2 or data["d_model"] < 4:  # half sines, half cosines, of several frequencies
        raise CheckpointError(f"{where}: d_model must be even and at least 4; it is {data['d_model']}.")
    if data["output_dim"] != hidden:
        raise CheckpointError(
            f"{where}: output_dim {data['output_dim']} is not the language model's hidden_size, {hidden}."
        )
    if (data.get("max_source_positions") or 1500) < data["n_window"]:
        raise CheckpointError(f"{where}: max_source_positions is less than a window, {data['n_window']}.")
    if (activation := data.get("activation_function", "gelu")) not in _ACTIVATIONS:
        raise CheckpointError(
            f"{where}: activation_function must be one of {', '.join(_ACTIVATIONS)}; it is {short(activation)}."
        )
