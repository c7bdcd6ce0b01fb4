"""Checkpoint folders that anyone may have made, or that broke on the way: CheckpointError, and never another error."""

from __future__ import annotations

import json
import os
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._minicpm_o_config import (
    AudioConfig,
    LanguageConfig,
    MiniCPMOConfig,
    Preprocessing,
    SliceConfig,
    VisionConfig,
)
from omnireward.backbones._minicpm_o_json import CHOICES, LARGEST
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS
from omnireward.backbones._minicpm_o_tiny import tiny_config, tiny_preprocessing
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO, load
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError

# Where the fields of a dataclass stand: at the top of config.json, or in a section.
STANDS: tuple[tuple[type[Any], str], ...] = (
    (LanguageConfig, ""),
    (MiniCPMOConfig, ""),
    (VisionConfig, "vision_config"),
    (AudioConfig, "audio_config"),
    (SliceConfig, "slice_config"),
    (Preprocessing, "preprocessing"),
)
FIELDS = [
    (str(field.type), section, field.name)
    for kind, section in STANDS
    for field in fields(kind)
    if field.type in ("int", "float", "bool", "str")
]


def _read(config: dict[str, Any], folder: Path) -> None:
    """Read a config.json and a preprocessor_config.json that were written as these say."""
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps({"preprocessing": config["preprocessing"]}))
    MiniCPMOConfig.from_json(read_json(folder / "config.json"))
    Preprocessing.load(folder)


def _tiny_json() -> dict[str, Any]:
    """A config.json that can be used, with the preprocessing beside the rest."""
    content: dict[str, Any] = json.loads(json.dumps(tiny_config(500).to_json() | tiny_preprocessing().to_json()))
    return content


def test_every_number_of_a_config_has_a_largest_value() -> None:
    assert {name for kind, _, name in FIELDS if kind in ("int", "float")} == set(LARGEST)
    assert {name for kind, _, name in FIELDS if kind == "str"} == set(CHOICES)


@pytest.mark.parametrize(("kind", "section", "name"), FIELDS)
def test_a_value_that_is_not_allowed_names_its_field(kind: str, section: str, name: str, tmp_path: Path) -> None:
    _read(_tiny_json(), tmp_path)
    wrong = [0, -1, LARGEST.get(name, 1) + 1, 10**400, -0.5, float("nan"), float("inf"), "7", None, [], {"a": 1}]
    for value in [*wrong, 2 if kind == "bool" else True]:
        config = _tiny_json()
        (config[section] if section else config)[name] = value
        with pytest.raises(CheckpointError, match=f"{name} must be"):
            _read(config, tmp_path)


@pytest.mark.parametrize(
    ("section", "change", "message"),
    [
        ("", {"num_attention_heads": 3}, "not a multiple of 6, 2 x num_attention_heads"),
        ("", {"num_attention_heads": 128}, "not a multiple of 256, 2 x num_attention_heads"),
        ("", {"num_key_value_heads": 3}, "not a multiple of 3, num_key_value_heads"),
        ("vision_config", {"num_attention_heads": 7}, "vision_config: hidden_size 64 is not a multiple of 7"),
        ("vision_config", {"image_size": 13}, "image_size 13 is less than patch_size 14"),
        ("audio_config", {"encoder_attention_heads": 5}, "audio_config: d_model 64 is not a multiple of 5"),
        ("audio_config", {"encoder_ffn_dim": 64}, "not 4 times d_model"),
        ("audio_config", {"max_source_positions": 1499}, "less than 1500"),
        ("", {"audio_chunk_length": 0.09}, "holds no embedding"),  # the pool step of 5 takes 0.1 s
        ("slice_config", {"scale_resolution": 4096}, "85,598 patches"),  # (4096 / 14)^2 = 85,598.04
        ("", {"slice_config": [1]}, "slice_config must be an object"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(
    section: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = _tiny_json()
    (config[section] if section else config).update(change)
    with pytest.raises(CheckpointError, match=message):
        _read(config, tmp_path)


@pytest.mark.parametrize("depth", [40, 900, 100_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_deep_nesting_is_refused(backbone: MiniCPMO, tmp_path: Path, name: str, depth: int) -> None:
    """40 levels are read by Python, but too deep to be written back with every frame of a program around; the others
    end its recursion when they are shown, or already when they are read.
    """
    backbone.save(tmp_path)
    whole = (tmp_path / name).read_text().lstrip()
    (tmp_path / name).write_text('{"x": ' + "[" * depth + "]" * depth + "," + whole[1:])
    with pytest.raises(CheckpointError, match=f"{name} is (nested|not a JSON object)"):
        load(tmp_path)


def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(backbone: MiniCPMO, tmp_path: Path) -> None:
    """Reading a pipe that nobody writes to would wait forever."""
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"):
        for make in (os.mkdir, os.mkfifo):
            folder = tmp_path / name / make.__name__
            backbone.save(folder)
            (folder / name).unlink()
            make(folder / name)
            with pytest.raises(CheckpointError, match=name):
                load(folder)


@pytest.mark.parametrize(
    "listed", [{}, [], None, {"a": []}, {"a": {}}, {"a": ""}, {"a": "."}, {"a": "x" * 300}, {"a": 1}]
)
def test_an_index_that_lists_no_files_is_refused(backbone: MiniCPMO, tmp_path: Path, listed: object) -> None:
    backbone.save(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json"):
        load(tmp_path)


def test_weights_that_are_whole_numbers_are_refused(backbone: MiniCPMO, tmp_path: Path) -> None:
    backbone.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(weights | {"resampler.proj": weights["resampler.proj"].int()}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"resampler\.proj is of torch\.int32"):
        load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {}},
        {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "gone"}},
        {"model": {"type": "BPE", "vocab": {"a": "b"}, "merges": []}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}},
        {"model": {"type": "BPE", "vocab": {"a": 0, "bc": 1}, "merges": [["bc", "bc"]]}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [[0, "a"]]}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": 7}},
        {"model": {"type": "BPE", "vocab": {"abc": 0}, "merges": ["abc abc"], "continuing_subword_prefix": "####"}},
        {"added_tokens": [{"id": -1}]},
        {"added_tokens": None},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": ""}]}},
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}},
        {"pre_tokenizer": {"type": ["x"]}},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_a_broken_tokenizer_is_refused(change: dict[str, Any]) -> None:
    """Each of these either raises an error of no narrower type than Exception in the library, or ends the process."""
    content = json.loads(train_tokenizer(["some words"], SPECIAL_TOKENS))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        ChatTokenizer(json.dumps(content | change), SPECIAL_TOKENS)


@pytest.mark.parametrize("content", ["", "{}", "[]", "7", "null", '{"model": null}', '{"model": []}', "\ud800"])
def test_what_is_no_tokenizer_is_refused(content: str) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        ChatTokenizer(content, SPECIAL_TOKENS)


def test_a_tokenizer_that_draws_lots_is_read_without() -> None:
    """With all merges dropped at random, the same text would get other ids, and so another reward, each time."""
    content = json.loads(train_tokenizer(["some words"] * 20, SPECIAL_TOKENS))
    expected = ChatTokenizer(json.dumps(content), SPECIAL_TOKENS).text("some words")
    content["model"]["dropout"] = 1.0
    assert ChatTokenizer(json.dumps(content), SPECIAL_TOKENS).text("some words") == expected


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_damage_anywhere_is_refused_or_harmless(backbone: MiniCPMO, tmp_path: Path, name: str) -> None:
    """A few characters of a file are replaced; nothing but CheckpointError may come out."""
    backbone.save(tmp_path)
    whole = (tmp_path / name).read_text()
    rng = random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = list(whole)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.choice('{}[]",:-019eE.tx \\é')
        (tmp_path / name).write_text("".join(damaged), encoding="utf-8")
        try:
            load(tmp_path)
        except CheckpointError:
            refused += 1
    assert refused > 75


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "preprocessor_config.json"])
def test_a_file_that_is_not_text_is_refused(backbone: MiniCPMO, tmp_path: Path, name: str) -> None:
    backbone.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\xff")
    with pytest.raises(CheckpointError, match=f"{name} cannot be read"):
        load(tmp_path)
