"""What is particular to Qwen3-Omni; what it shares with Qwen2.5-Omni is in test_qwen_omni.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.backbones.conftest import WORDS
from tokenizers import Tokenizer

from omnireward.backbones import Prepared
from omnireward.backbones._qwen_pictures import video_pattern
from omnireward.backbones.qwen3_omni import Qwen3Omni, tiny
from omnireward.errors import CheckpointError
from omnireward.types import Media, Text, Turn


@pytest.fixture(scope="module")
def model() -> Qwen3Omni:
    return tiny(WORDS * 40, 0)


@pytest.fixture(scope="module")
def folder(model: Qwen3Omni, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder


def test_a_conversation_is_written_as_the_published_template_writes_it(model: Qwen3Omni) -> None:
    """By hand from the template: no system unless there is one, each medium between its own two tokens."""
    media = [
        Prepared("vision", None, ((4, 2),), (2,), "image"),
        Prepared("vision", None, ((2, 2),) * 2, (1, 1), video_pattern(4, 1.0)),
        Prepared("audio", None, ((90, 12),), (12,), ""),
    ]
    parts = (Text("see "), Media("image", b""), Media("video", b""), Text(" and "), Media("audio", b""))
    row = model.tokenize((Turn("user", parts), Turn("assistant", (Text("yes"),))), media)
    expected = (
        "<|im_start|>user\n"
        "see <|vision_start|><|image_pad|><|image_pad|><|vision_end|>"
        "<|vision_start|><|video_pad|><|video_pad|><|vision_end|> and "
        f"<|audio_start|>{'<|audio_pad|>' * 12}<|audio_end|><|im_end|>\n"
        "<|im_start|>assistant\nyes<|im_end|>\n"
    )
    spelled = Tokenizer.from_str(model._tokenizer.json).decode(row.ids.tolist(), skip_special_tokens=False)
    assert spelled == expected


def test_a_file_holds_one_tensor_for_each_expert(model: Qwen3Omni, folder: Path) -> None:
    """As published: gate and up projection apart. In memory an expert's gate stands above its up projection."""
    weights = load_file(folder / "model.safetensors")
    fused = model.state_dict()["model.layers.1.mlp.experts.gate_up_proj"]
    assert fused.shape == (4, 128, 128)
    for expert in range(4):
        name = f"model.layers.1.mlp.experts.{expert}"
        assert torch.equal(weights[f"{name}.gate_proj.weight"], fused[expert, :64])
        assert torch.equal(weights[f"{name}.up_proj.weight"], fused[expert, 64:])
        down = model.state_dict()["model.layers.1.mlp.experts.down_proj"][expert]
        assert torch.equal(weights[f"{name}.down_proj.weight"], down)
    assert not [name for name in weights if name.endswith(("gate_up_proj", "experts.down_proj"))]


@pytest.mark.parametrize("fault", ["missing", "left over", "another shape"])
def test_a_fault_in_one_expert_is_named(folder: Path, tmp_path: Path, fault: str) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.2.mlp.experts.3.up_proj.weight"
    if fault == "missing":
        del weights[name]
    elif fault == "left over":
        name = "model.layers.2.mlp.experts.4.up_proj.weight"
        weights[name] = torch.zeros(64, 128)
    else:
        weights[name] = torch.zeros(64, 127)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=name):
        Qwen3Omni.load(tmp_path)


def test_layers_without_experts_are_read_too(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"mlp_only_layers": [1]}
    plain = Qwen3Omni(config, tiny(WORDS * 40, 0)._tokenizer, tiny(WORDS * 40, 0).preprocessing)
    plain.save(tmp_path)
    wanted = plain.state_dict()
    assert "model.layers.1.mlp.gate_proj.weight" in wanted
    loaded = Qwen3Omni.load(tmp_path).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.items())


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("text_config", {"num_experts": 0}, "num_experts"),
        ("text_config", {"num_experts_per_tok": 5}, "between 1 and 4"),
        ("text_config", {"moe_intermediate_size": None}, "moe_intermediate_size"),
        ("text_config", {"num_experts": 4_096, "num_hidden_layers": 17}, "65,536"),
        ("text_config", {"mlp_only_layers": [3]}, "below 3"),
        ("audio_config", {"n_window": 100}, "n_window must be 50"),
        ("audio_config", {"n_window_infer": 99}, "n_window_infer at least 100"),
        ("vision_config", {"deepstack_visual_indexes": [0, 1, 2]}, "nothing is added behind its last"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(
    model: Qwen3Omni, folder: Path, section: str, change: dict[str, object], words: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config[section] |= change
    with pytest.raises(CheckpointError, match=words):
        model.check(config)


def test_experts_compute_in_every_type_of_number() -> None:
    """Multiplied all at once in float32 and bfloat16; torch cannot do that in float64."""
    model = tiny(WORDS, 0)
    row = model.tokenize((Turn("user", (Text("see"),)), Turn("assistant", (Text("yes"),))), [])
    found: dict[torch.dtype, torch.Tensor] = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        with torch.no_grad():
            found[dtype] = model.to(dtype)([row], [[]])
        assert found[dtype].dtype == dtype
        how = cast(Any, model.model.config)._experts_implementation
        assert how == ("eager" if dtype == torch.float64 else "grouped_mm")
    torch.testing.assert_close(found[torch.float32].double(), found[torch.float64], rtol=0, atol=1e-4)
