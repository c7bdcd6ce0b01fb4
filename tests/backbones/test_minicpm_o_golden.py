"""Against values that the published code computed: random weights, float32, CPU (the golden folder has a README)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireward.backbones import Prepared, Row
from omnireward.backbones._minicpm_o_slicing import cut, strip
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS, picture_pattern
from omnireward.backbones._minicpm_o_vision import normalise
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO, load

TOLERANCE = 1e-5  # max abs; the golden folder's README promises about this much


@pytest.fixture
def recorded(golden: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((golden / "minicpm_o_tiny.json").read_text())
    return data


@pytest.fixture
def tensors(golden: Path) -> dict[str, Tensor]:
    return load_file(golden / "minicpm_o_tiny_io.safetensors")


@pytest.fixture
def model(golden: Path, recorded: dict[str, Any], tmp_path: Path) -> MiniCPMO:
    """The golden weights in a checkpoint folder, vocabulary logits (the one left-over key) included."""
    config = recorded["config"]
    flat = {key: value for key, value in config.items() if key not in ("text", "vision", "audio")} | config["text"]
    flat |= {"model_type": "minicpmo", "vision_config": config["vision"], "audio_config": config["audio"]}
    (tmp_path / "config.json").write_text(json.dumps(flat))
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(["a few words"], SPECIAL_TOKENS, vocabulary=600))
    (tmp_path / "model.safetensors").symlink_to(golden / "minicpm_o_tiny_weights.safetensors")
    return load(tmp_path).eval()


def _worst(got: Tensor, expected: Tensor) -> float:
    assert got.shape == expected.shape
    return float((got - expected).abs().max())


def _encode(model: MiniCPMO, recorded: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Embeddings of the four views and the three clips of the golden rows."""
    sizes = [size for row in recorded["slice_sizes_hw_patches"] for size in row]
    strips = [tensors[f"pixel_strip.{i}"] for i in range(4)]
    features, mask = model.vpm(strips, sizes)
    views = list(model.resampler(features, sizes, mask).unbind())
    lengths = [length for row in recorded["mel_lengths"] for length in row]
    mels = [tensors["audio_features"][i, :, :length] for i, length in enumerate(lengths)]
    tokens = [len(tensors[f"expected.audio.{i}"]) for i in range(3)]
    clips = [
        Prepared("audio", (mel,), ((mel.shape[-1], count),), (count,), "")
        for mel, count in zip(mels, tokens, strict=True)
    ]
    return views, model.encode_media(clips)


@torch.no_grad()
def test_vision_matches(model: MiniCPMO, recorded: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Four views of different shapes in one padded batch: expected.vision.row0 (3, 64, 256) and row1 (1, 64, 256)."""
    views, _ = _encode(model, recorded, tensors)
    expected = torch.cat([tensors["expected.vision.row0"], tensors["expected.vision.row1"]])
    assert _worst(torch.stack(views), expected) < TOLERANCE


@torch.no_grad()
def test_audio_matches_when_masked_as_published(
    model: MiniCPMO, recorded: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    model.apm.published = True
    _, clips = _encode(model, recorded, tensors)
    for i, clip in enumerate(clips):
        assert _worst(clip, tensors[f"expected.audio.{i}"]) < TOLERANCE


@torch.no_grad()
def test_by_default_only_the_longest_clip_matches(
    model: MiniCPMO, recorded: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    """The published values of the two shorter clips depend on the longest one beside them; ours must not."""
    _, clips = _encode(model, recorded, tensors)
    worst = [_worst(clip, tensors[f"expected.audio.{i}"]) for i, clip in enumerate(clips)]
    assert worst[0] < TOLERANCE
    assert min(worst[1:]) > 0.01


@torch.no_grad()
def test_fused_rows_match(model: MiniCPMO, recorded: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Two rows of 420 tokens with three views and one clip, one view and two clips: expected.last_hidden_state."""
    model.apm.published = True
    views, clips = _encode(model, recorded, tensors)
    spans = [(*map(tuple, recorded["image_spans"][i]), *map(tuple, recorded["audio_spans"][i])) for i in range(2)]
    rows = [Row(ids, spans[i]) for i, ids in enumerate(tensors["input_ids"])]
    media = [[*views[:3], clips[0]], [views[3], clips[1], clips[2]]]
    hidden = model.hidden_states(rows, media)
    assert _worst(hidden, tensors["expected.last_hidden_state"]) < TOLERANCE
    assert torch.equal(model(rows, media), hidden[:, -1])


@torch.no_grad()
def test_text_only_rows_match(model: MiniCPMO, tensors: dict[str, Tensor]) -> None:
    rows = [Row(ids, ()) for ids in tensors["input_ids"]]
    hidden = model.hidden_states(rows, [[], []])
    assert _worst(hidden, tensors["expected.last_hidden_state_text_only"]) < TOLERANCE


@torch.no_grad()
def test_a_dropped_last_vision_layer_is_read_off_the_weights(model: MiniCPMO, golden: Path, tmp_path: Path) -> None:
    """config.json may say 3 layers and not dropped: without layer 2 in the weights there are 2."""
    weights = load_file(golden / "minicpm_o_tiny_weights.safetensors")
    (tmp_path / "model.safetensors").unlink()
    save_file({k: v for k, v in weights.items() if "vpm.encoder.layers.2." not in k}, tmp_path / "model.safetensors")
    shorter = load(tmp_path)
    assert shorter.config.drop_vision_last_layer
    assert len(shorter.vpm.encoder.layers) == 2
    shorter.save(tmp_path / "again")
    assert len(load(tmp_path / "again").vpm.encoder.layers) == 2


def _cases(golden: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((golden / "minicpm_o_slicing.json").read_text())
    assert len(cases) == 96
    return cases


def test_slicing_matches(golden: Path) -> None:
    """96 (width, height, most slices): sizes of the views, shapes of their strips, and the placeholder text."""
    names = {"#": "<image_id>3</image_id>", "v": "<image><64></image>", "c": "<slice><64></slice>", "\n": "\n"}
    for case in _cases(golden):
        image = Image.new("RGB", (case["width"], case["height"]))
        views = cut(image, case["max_slices"], resolution=448, patch=14)
        assert [[v.height // 14, v.width // 14] for v in views.images] == case["slice_sizes_hw_patches"]
        assert [list(strip(v, 14).shape) for v in views.images] == case["strip_shapes"]
        text = "".join(names[mark] for mark in picture_pattern(views.grid, numbered=True))
        assert text == case["placeholder"]


def test_pixels_match(golden: Path) -> None:
    """Six images that are recorded: the sums of all strips (three decimals), and 28 columns of the last, exactly."""
    cases = _cases(golden)
    found = sorted(golden.glob("slicing_case_*.png"))
    assert len(found) == 6
    for path in found:
        number = int(path.stem.rsplit("_", 1)[1])
        case = cases[number]
        views = cut(Image.open(path).convert("RGB"), case["max_slices"], resolution=448, patch=14)
        strips = [normalise(torch.from_numpy(strip(view, 14))).numpy() for view in views.images]
        expected = np.load(golden / f"slicing_case_{number:02d}_last_strip_first28.npy")
        assert np.array_equal(strips[-1][:, :, :28], expected)
        assert [float(s.astype(np.float64).sum()) for s in strips] == pytest.approx(case["strip_sums"], abs=6e-4)
