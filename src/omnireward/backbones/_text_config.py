"""config.json of a text model: checked, then read by transformers' own class, which takes any number and any setting.

Trap: a file may name how attention is computed, and that may be a repository on the Hub, whose code runs where the
package `kernels` is installed. So that is not for a file to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from omnireward.backbones._qwen_config import TEXT, TEXT_MORE, whole
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError

CONFIG = "config.json"


def checked(folder: Path) -> Mapping[str, Any]:
    """What the file says, where a causal language model can be made of it. Raises CheckpointError."""
    told = read_json(folder / CONFIG)
    if "quantization_config" in told:
        raise CheckpointError(f"{folder} has quantised weights; give the checkpoint that they were made from.")
    for name, most in {**TEXT, **TEXT_MORE}.items():
        if told.get(name) is not None:
            whole(told, name, most, CONFIG)
    if told.get("is_causal", True) is not True or told.get("use_bidirectional_attention"):
        raise CheckpointError(
            f"{folder / CONFIG} asks for attention in both directions, so a reward would depend on what stands beside "
            "its row; only causal language models are read."
        )
    return told


def read(folder: Path) -> Any:
    """The class's own reading, with the attention that transformers takes by itself."""
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config._attn_implementation = config._experts_implementation = None
    return config
