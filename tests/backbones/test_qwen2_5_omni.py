"""What is particular to Qwen2.5-Omni; what it shares with Qwen3-Omni is in test_qwen_omni.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.backbones.conftest import WORDS
from tokenizers import Tokenizer

from omnireward.backbones import Prepared
from omnireward.backbones._qwen_pictures import video_pattern
from omnireward.backbones.qwen2_5_omni import Qwen25Omni, tiny
from omnireward.errors import CheckpointError
from omnireward.types import Media, Text, Turn


@pytest.fixture(scope="module")
def model() -> Qwen25Omni:
    return tiny(WORDS * 40, 0)


@pytest.fixture(scope="module")
def folder(model: Qwen25Omni, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    return folder


def test_a_conversation_is_written_as_the_published_template_writes_it(model: Qwen25Omni) -> None:
    """By hand from the template: the default system, each medium between its own tokens; a mesh as pictures."""
    media = [
        Prepared("vision", None, ((4, 2),), (2,), "image"),
        Prepared("vision", None, ((2, 2),) * 2, (1, 1), video_pattern(4, 1.0)),
        Prepared("audio", None, ((100, 25),), (25,), ""),
        Prepared("vision", None, ((2, 2),) * 2, (1, 1), "mesh"),
    ]
    seen = (Text("see "), Media("image", b""), Media("video", b""))
    heard = (Text(" and "), Media("audio", b""), Media("mesh", b""))
    row = model.tokenize((Turn("user", (*seen, *heard)), Turn("assistant", (Text("yes"),))), media)
    view = "<|vision_bos|><|IMAGE|><|vision_eos|>"
    expected = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
        "see <|vision_bos|><|IMAGE|><|IMAGE|><|vision_eos|><|vision_bos|><|VIDEO|><|VIDEO|><|vision_eos|> and "
        f"<|audio_bos|>{'<|AUDIO|>' * 25}<|audio_eos|>{view}{view}<|im_end|>\n"
        "<|im_start|>assistant\nyes<|im_end|>\n"
    )
    spelled = Tokenizer.from_str(model._tokenizer.json).decode(row.ids.tolist(), skip_special_tokens=False)
    assert spelled == expected


def test_a_weight_that_nothing_reads_is_kept_but_never_learns(model: Qwen25Omni, folder: Path) -> None:
    """It would get no gradient, and processes that learn together wait for every parameter's."""
    name = "audio_tower.audio_bos_eos_token.weight"
    assert name not in dict(model.named_parameters())
    assert torch.equal(load_file(folder / "model.safetensors")[name], model.state_dict()[name])
    loaded = Qwen25Omni.load(folder)
    assert name not in dict(loaded.named_parameters())
    assert torch.equal(loaded.state_dict()[name], model.state_dict()[name])


@pytest.mark.parametrize(
    ("change", "words"), [({"window_size": 20}, "less than 28, a token"), ({"fullatt_block_indexes": [2]}, "below 2")]
)
def test_windows_that_cannot_be_are_refused(
    model: Qwen25Omni, folder: Path, change: dict[str, object], words: str
) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] |= change
    with pytest.raises(CheckpointError, match=words):
        model.check(config)
