"""The content of tokenizer.json, also where a folder holds it in parts.

Qwen3-Omni is published without the file. What stands for it are vocab.json, merges.txt and the added tokens in
tokenizer_config.json. How text is cut into words is in none of them: it is as in all of Qwen's models since Qwen2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

from omnireward.backbones._tiny_tokenizer import without_words
from omnireward.checkpoint_json import read_json, read_text
from omnireward.errors import CheckpointError

TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE, MERGES_FILE, ADDED_FILE = "vocab.json", "merges.txt", "tokenizer_config.json"
_DIGITS = 10  # of an id, fewer than
_HOW = ("single_word", "lstrip", "rstrip", "normalized", "special")


def tokenizer_json(folder: Path) -> str:
    """The content of tokenizer.json, read or put together. Raises CheckpointError."""
    if (folder / TOKENIZER_FILE).exists() or not (folder / VOCABULARY_FILE).exists():
        return read_text(folder / TOKENIZER_FILE)
    content: dict[str, Any] = json.loads(without_words().to_str())
    content["model"] |= {"vocab": read_json(folder / VOCABULARY_FILE), "merges": _merges(folder)}
    # In the order of their ids: the tokenizer library counts, whatever the file says.
    content["added_tokens"] = sorted(_added(read_json(folder / ADDED_FILE)), key=lambda token: token["id"])
    return json.dumps(content, ensure_ascii=False)


def _merges(folder: Path) -> list[str]:
    lines = read_text(folder / MERGES_FILE).split("\n")
    return [line for line in lines[lines[0].startswith("#version") :] if line]


def _added(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = config.get("added_tokens_decoder")
    if not isinstance(given, dict):
        raise CheckpointError(f"{ADDED_FILE}: added_tokens_decoder must be an object; it is {short(given)}.")
    found = []
    for number, token in given.items():
        counted = number.isdecimal() and len(number) < _DIGITS
        if not counted or not isinstance(token, dict) or not isinstance(token.get("content"), str):
            raise CheckpointError(f"{ADDED_FILE}: no added token is made of {short(number)} and {short(token)}.")
        how = {name: token.get(name) is True for name in _HOW}
        found.append({"id": int(number), "content": token["content"]} | how)
    return found
