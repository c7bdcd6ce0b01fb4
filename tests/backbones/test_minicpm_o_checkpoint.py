"""Checkpoint folders: round trip, strictness, and how a folder is written over."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.backbones._minicpm_o_config import Preprocessing
from omnireward.backbones.minicpm_o import BACKBONE, MiniCPMO, load, tiny
from omnireward.errors import CheckpointError
from omnireward.types import Text, Turn


def test_saving_and_loading_is_bit_identical(
    backbone: MiniCPMO, gallery: Any, picture: Callable[[int, int, int], NDArray[np.uint8]], tmp_path: Path
) -> None:
    backbone.save(tmp_path)
    again = load(tmp_path, decode=gallery)
    media = gallery.add("image", picture(50, 70, 0))
    results = []
    for model in (backbone, again):
        prepared = [model.prepare(media)]
        row = model.tokenize((Turn("user", (Text("été "), media)), Turn("assistant", (Text("yes"),))), prepared)
        with torch.no_grad():
            results.append(model([row], [model.encode_media(prepared)]))
    assert torch.equal(*results)
    again.save(tmp_path / "again")
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".saving")]


def test_preprocessing_is_kept_and_defaults_to_the_published(backbone: MiniCPMO, tmp_path: Path) -> None:
    backbone.save(tmp_path)
    assert (
        load(tmp_path).preprocessing
        == backbone.preprocessing
        == Preprocessing(frame_max_slices=1, views=3, view_size=40)
    )
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "MiniCPMVImageProcessor"}')
    assert load(tmp_path).preprocessing == Preprocessing(768 * 768, 256 * 256, 2, 4, 4)


def test_dtype_is_as_stored_or_as_asked(backbone: MiniCPMO, tmp_path: Path) -> None:
    backbone.to(torch.bfloat16).save(tmp_path)
    assert {p.dtype for p in load(tmp_path).parameters()} == {torch.bfloat16}
    assert {p.dtype for p in load(tmp_path, dtype=torch.float32).parameters()} == {torch.float32}


def test_bfloat16_runs(
    backbone: MiniCPMO,
    gallery: Any,
    picture: Callable[[int, int, int], NDArray[np.uint8]],
    sound: Callable[[int, int], NDArray[np.float32]],
) -> None:
    media = (gallery.add("image", picture(50, 70, 0)), gallery.add("audio", sound(20_000, 1)))
    prepared = [backbone.prepare(one) for one in media]
    row = backbone.tokenize((Turn("user", media), Turn("assistant", (Text("yes"),))), prepared)
    with torch.no_grad():
        exact = backbone([row], [backbone.encode_media(prepared)])
        backbone.to(torch.bfloat16)
        rough = backbone([row], [backbone.encode_media(prepared)])
    assert rough.dtype == torch.bfloat16
    cosine = torch.nn.functional.cosine_similarity(exact, rough.float())
    assert float(cosine) > 0.99  # bfloat16 keeps 8 bits: relative errors of some thousandths over four layers


def test_weights_that_a_reward_does_not_need_may_be_left_over(backbone: MiniCPMO, tmp_path: Path) -> None:
    backbone.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    extra = {
        "llm.lm_head.weight": torch.zeros(2),
        "tts.x.weight": torch.zeros(2),
        "v_head.summary.bias": torch.zeros(1),
    }
    save_file(weights | extra, tmp_path / "model.safetensors")
    assert torch.equal(load(tmp_path).resampler.proj, backbone.resampler.proj)


def test_missing_left_over_and_misshapen_weights_are_named(backbone: MiniCPMO, tmp_path: Path) -> None:
    backbone.save(tmp_path)
    path = tmp_path / "model.safetensors"
    weights = load_file(path)
    save_file({k: v for k, v in weights.items() if k != "resampler.proj"} | {"llm.strange": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"Missing: resampler.proj. Left over: llm.strange"):
        load(tmp_path)
    save_file(weights | {"resampler.proj": torch.zeros(3, 3)}, path)
    with pytest.raises(CheckpointError, match=r"resampler.proj is \(3, 3\), config.json makes it \(128, 128\)"):
        load(tmp_path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match="safetensors"):
        load(tmp_path)


def test_shards_are_read_and_older_ones_removed(backbone: MiniCPMO, tmp_path: Path) -> None:
    """A sharded folder, as published; saving over it leaves one file and no index that would hide it."""
    backbone.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    halves = [dict(list(weights.items())[i::2]) for i in range(2)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, tmp_path / name)
    where = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (tmp_path / "value_head.safetensors").write_bytes(b"another's")
    again = load(tmp_path)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in weights.items())
    again.save(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("*safetensors*"))] == [
        "model.safetensors",
        "value_head.safetensors",
    ]
    assert torch.equal(load(tmp_path).resampler.proj, backbone.resampler.proj)


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "/etc/passwd", "gone.safetensors"])
def test_an_index_cannot_lead_outside_or_nowhere(backbone: MiniCPMO, tmp_path: Path, name: str) -> None:
    backbone.save(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"resampler.proj": name}}))
    with pytest.raises(CheckpointError, match=name):
        load(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(backbone: MiniCPMO, tmp_path: Path, name: str) -> None:
    backbone.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load(tmp_path)


def test_a_failed_save_leaves_the_old_checkpoint(
    backbone: MiniCPMO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("omnireward.backbones._weights.save_torch_state_dict", full)
    with pytest.raises(OSError, match="no space"):
        tiny(["other words"], 1).save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(backbone: MiniCPMO, tmp_path: Path) -> None:
    backbone.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 100}))
    with pytest.raises(CheckpointError, match="vocab_size is 100"):
        load(tmp_path)


def test_the_seed_decides_the_weights_and_nothing_else() -> None:
    state = torch.get_rng_state()
    first, same, other = (tiny(["some words"], seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not torch.equal(first["resampler.proj"], other["resampler.proj"])


def test_the_family_is_a_plug_in() -> None:
    family = plugins.load("backbones", "minicpm_o")
    assert isinstance(family, BackboneFamily)
    assert family is BACKBONE
    assert family.layout == "paper"
    names = [name for name, _ in family.tiny(["words"], 0).named_parameters()]
    prefixes = tuple(prefix for tower in family.towers.values() for prefix in tower)
    assert {name.split(".")[0] for name in names if not name.startswith(prefixes)} == {"llm"}
