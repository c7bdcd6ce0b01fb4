"""tokenizer.json put together from its parts, against transformers, which reads the parts too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen2Tokenizer

from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._qwen_tokenizer import tokenizer_json
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.errors import CheckpointError

SPECIAL = ("<|im_start|>", "<|im_end|>", "<|audio_pad|>")
TEXT = "été # 1234\n\n  it's <|im_end|> 你好 \N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}"


@pytest.fixture
def whole() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(train_tokenizer(["# # a red dot", "it's # # été"] * 40, SPECIAL, 300))
    return content


@pytest.fixture
def folder(whole: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "vocab.json").write_text(json.dumps(whole["model"]["vocab"]), encoding="utf-8")
    merges = ["#version: 0.2", *(" ".join(pair) for pair in whole["model"]["merges"]), ""]
    (tmp_path / "merges.txt").write_text("\n".join(merges), encoding="utf-8")
    added = {str(token.pop("id")): token for token in reversed(whole["added_tokens"])}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}), encoding="utf-8")
    return tmp_path


def test_a_tokenizer_in_parts_gives_the_ids_of_transformers(folder: Path, whole: dict[str, Any]) -> None:
    ours = ChatTokenizer(tokenizer_json(folder), SPECIAL)
    theirs: Any = Qwen2Tokenizer.from_pretrained(folder)
    assert ours.text(TEXT.replace("<|im_end|>", "")) == theirs(TEXT.replace("<|im_end|>", "")).input_ids
    first = len(whole["model"]["vocab"])
    assert [ours.special(token) for token in SPECIAL] == list(range(first, first + 3))
    assert [ours.special(token) for token in SPECIAL] == theirs.convert_tokens_to_ids(list(SPECIAL))
    assert ours.special("<|im_end|>") not in ours.text(TEXT)


def test_the_whole_file_goes_first(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    assert tokenizer_json(folder) == "{}"


@pytest.mark.parametrize("added", [None, {"x": {"content": "a"}}, {"1" * 5_000: {"content": "a"}}, {"1": {}}, {"1": 2}])
def test_added_tokens_that_are_none_are_refused(folder: Path, added: object) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json"):
        tokenizer_json(folder)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt", "tokenizer_config.json"])
def test_a_missing_part_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match="tokenizer.json" if name == "vocab.json" else name):
        tokenizer_json(folder)
