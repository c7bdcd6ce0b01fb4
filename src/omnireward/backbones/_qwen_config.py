"""config.json of Qwen's multimodal models: checked, then read by transformers' own class.

A checkpoint comes from anyone. transformers' classes fill what a file lacks with values of some other model, take any
number, and some make lists as long as a number says. So the fields are checked first, sizes against limits well above
any known model, and a class is given those fields and no others: some obey whatever a file names, such as a kind of
attention, a type of numbers or dropout. The file's content is kept and written back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from reprlib import repr as short
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from transformers import PretrainedConfig

from omnireward.errors import CheckpointError

CONFIG_FILE = "config.json"
C = TypeVar("C", bound=PretrainedConfig)
# Sizes that a file must give, and the largest that is taken.
TEXT: Mapping[str, int] = {
    "vocab_size": 10_000_000,
    "hidden_size": 65_536,
    "intermediate_size": 1_048_576,
    "num_hidden_layers": 512,
    "num_attention_heads": 1_024,
    "num_key_value_heads": 1_024,
}
VISION: Mapping[str, int] = {
    "depth": 512,
    "hidden_size": 65_536,
    "intermediate_size": 1_048_576,
    "num_heads": 1_024,
    "out_hidden_size": 65_536,
    "patch_size": 256,
}
# Sizes that a file may leave to the class.
VISION_MORE: Mapping[str, int] = {
    "spatial_merge_size": 16,
    "temporal_patch_size": 16,
    "tokens_per_second": 1_000,
    "window_size": 65_536,
    "num_position_embeddings": 1_048_576,
}
TEXT_MORE: Mapping[str, int] = {"max_position_embeddings": 100_000_000, "head_dim": 4_096}
# What of a file reaches a class, besides the sizes: all that was checked in some family, by whatever section it is in.
SECTIONS = ("text_config", "vision_config", "audio_config")
_TOP = ("position_id_per_seconds",)
SWITCHES = ("attention_bias", "norm_topk_prob")
OTHERS = (
    "activation_function",
    "conv_chunksize",
    "d_model",
    "decoder_sparse_step",
    "deepstack_visual_indexes",
    "downsample_hidden_size",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "encoder_layers",
    "fullatt_block_indexes",
    "hidden_act",
    "initializer_range",
    "max_source_positions",
    "mlp_only_layers",
    "moe_intermediate_size",
    "n_window",
    "n_window_infer",
    "num_experts",
    "num_experts_per_tok",
    "num_mel_bins",
    "output_dim",
    "rms_norm_eps",
)
_ACTIVATIONS = ("silu", "gelu", "gelu_pytorch_tanh", "quick_gelu")


def section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A JSON object inside another. Raises CheckpointError where it is something else."""
    found = data.get(name)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{name} must be an object; it is {short(found)}.")
    return found


def whole(data: Mapping[str, Any], name: str, most: int, where: str, default: int | None = None) -> int:
    """A whole number between 1 and `most`. Raises CheckpointError for another, or where one without a default lacks."""
    if default is not None and data.get(name) is None:
        return default
    value = data.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        lacking = "" if name in data else f" It has {short(sorted(data))}."
        raise CheckpointError(
            f"{where}: {name} must be a whole number between 1 and {most:,}; it is {short(value)}.{lacking}"
        )
    return value


def check_sizes(data: Mapping[str, Any], where: str, needed: Mapping[str, int], more: Mapping[str, int]) -> None:
    """Check sizes before any class sees them. Raises CheckpointError."""
    for name, most in needed.items():
        whole(data, name, most, where)
    for name, most in more.items():
        if data.get(name) is not None:
            whole(data, name, most, where)
    activation = data.get("hidden_act", "silu")
    if activation not in _ACTIVATIONS:
        raise CheckpointError(
            f"{where}: hidden_act must be one of {', '.join(_ACTIVATIONS)}; it is {short(activation)}."
        )


def check_text(data: Mapping[str, Any], where: str) -> None:
    """Check the language model's section: sizes that fit each other, and positions with three axes."""
    check_sizes(data, where, TEXT, TEXT_MORE)
    require_multiple(where, "num_attention_heads", data["num_attention_heads"], data["num_key_value_heads"])
    if data.get("head_dim") is None:
        require_multiple(where, "hidden_size", data["hidden_size"], 2 * data["num_attention_heads"])
    head = data.get("head_dim") or data["hidden_size"] // data["num_attention_heads"]
    if data.get("use_sliding_window"):
        raise CheckpointError(f"{where}: use_sliding_window must be off; windows are not computed here.")
    rope = _rope(data)
    kinds = [kind for name in ("rope_type", "type") if (kind := rope.get(name, "mrope")) not in ("default", "mrope")]
    if kinds:
        raise CheckpointError(f"{where}: positions of the type {short(kinds)} are unknown; known: default, mrope.")
    axes = rope.get("mrope_section")
    whole_axes = isinstance(axes, list) and len(axes) == 3 and all(type(each) is int and each > 0 for each in axes)
    if not whole_axes or 2 * sum(axes or ()) != head:
        raise CheckpointError(
            f"{where}: mrope_section must be three numbers above 0 with the sum {head / 2:g}; it is {short(axes)}."
        )
    theta = _theta(data, rope)
    if not isinstance(theta, int | float) or isinstance(theta, bool) or not 0 < theta <= 1e12:
        raise CheckpointError(f"{where}: rope_theta must be a number above 0, up to 1e12; it is {short(theta)}.")
    epsilon = data.get("rms_norm_eps", 1e-6)
    if not isinstance(epsilon, float) or not 0 < epsilon < 1:
        raise CheckpointError(f"{where}: rms_norm_eps must be a number between 0 and 1; it is {short(epsilon)}.")


def check_heads(data: Mapping[str, Any], where: str) -> None:
    """Check that heads have no size of their own: Qwen2.5's share the states among them. Raises CheckpointError."""
    if data.get("head_dim") not in (None, data["hidden_size"] // data["num_attention_heads"]):
        raise CheckpointError(f"{where}: head_dim {data['head_dim']} is not hidden_size by num_attention_heads.")


def check_vision(data: Mapping[str, Any], where: str, hidden: int) -> None:
    """Check the vision tower's section; `hidden` is the language model's size, which its output must have."""
    check_sizes(data, where, VISION, VISION_MORE)
    require_multiple(where, "hidden_size", data["hidden_size"], 4 * data["num_heads"])
    for name in ("in_channels", "in_chans"):
        if data.get(name) not in (None, 3):
            raise CheckpointError(f"{where}: {name} must be 3, for three colours; it is {short(data[name])}.")
    if data["out_hidden_size"] != hidden:
        raise CheckpointError(
            f"{where}: out_hidden_size {data['out_hidden_size']} is not the language model's hidden_size, {hidden}."
        )


def check_windows(vision: Mapping[str, Any]) -> None:
    """Check how Qwen2.5's vision tower cuts its attention into windows. Raises CheckpointError."""
    where = "vision_config"
    layers(vision, "fullatt_block_indexes", where, vision["depth"])
    merged = vision["patch_size"] * whole(vision, "spatial_merge_size", 16, where, 2)
    if (vision.get("window_size") or merged) < merged:
        raise CheckpointError(f"{where}: window_size {vision['window_size']} is less than {merged}, a token.")


def check_stacked(vision: Mapping[str, Any], decoder_layers: int) -> None:
    """Check which layers' features Qwen3's vision tower hands to the decoder. Raises CheckpointError."""
    stacked = layers(vision, "deepstack_visual_indexes", "vision_config", vision["depth"])
    if len(stacked) >= decoder_layers:
        raise CheckpointError(
            f"vision_config: deepstack_visual_indexes names {len(stacked)} layers; the decoder has {decoder_layers}, "
            "and nothing is added behind its last."
        )


def layers(data: Mapping[str, Any], name: str, where: str, count: int) -> list[int]:
    """Numbers of some of `count` layers, increasing. Raises CheckpointError, for a missing list too."""
    given = data.get(name)  # classes take a missing one for that of their largest model
    if not isinstance(given, list) or not all(type(each) is int and 0 <= each < count for each in given):
        raise CheckpointError(f"{where}: {name} must be numbers of layers below {count}; it is {short(given)}.")
    if sorted(set(given)) != given:
        raise CheckpointError(f"{where}: {name} must increase; it is {short(given)}.")
    return given


def build(kind: type[C], data: Mapping[str, Any]) -> C:
    """A config of transformers from checked JSON. Raises CheckpointError for what its class refuses."""
    flat = "text_config" not in data
    known = _known({**data, "text_config": data} if flat else data)
    try:
        return kind.from_dict(deepcopy(known))
    except (StrictDataclassError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{CONFIG_FILE} cannot be used: {error}") from error


def _known(data: Mapping[str, Any], where: str = CONFIG_FILE) -> dict[str, Any]:
    """The fields that a class may see, with those of its sections."""
    if where == CONFIG_FILE:
        parts = {name: _known(section(data, name), name) for name in SECTIONS if name in data}
        return parts | {name: data[name] for name in _TOP if data.get(name) is not None}
    names = {*TEXT, *TEXT_MORE, *OTHERS, *SWITCHES} if where == "text_config" else {*VISION, *VISION_MORE, *OTHERS}
    found = {name: data[name] for name in names if data.get(name) is not None}
    for name in SWITCHES:
        if not isinstance(found.get(name, True), bool):
            raise CheckpointError(f"{where}: {name} must be true or false; it is {short(found[name])}.")
    spread = found.get("initializer_range", 0.02)
    if not isinstance(spread, int | float) or not 0 <= spread <= 1:
        raise CheckpointError(f"{where}: initializer_range must be a number from 0 to 1; it is {short(spread)}.")
    if where == "text_config":
        rope = _rope(data)
        turning = {"rope_theta": float(_theta(data, rope)), "mrope_section": rope["mrope_section"]}
        found["rope_parameters"] = {"rope_type": "default"} | turning
    return found


def _rope(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return section(data, "rope_parameters" if data.get("rope_parameters") else "rope_scaling")


def _theta(data: Mapping[str, Any], rope: Mapping[str, Any]) -> Any:
    return rope.get("rope_theta", data.get("rope_theta"))


def require_multiple(where: str, name: str, value: int, divisor: int) -> None:
    """Check that one size can be cut into another. Raises CheckpointError."""
    if value % divisor:
        raise CheckpointError(f"{where}: {name} {value} is not a multiple of {divisor}.")
