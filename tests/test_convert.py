"""`omnireward convert`: what other programs read gives the model's rewards, or nothing is written."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from omnireward.backbones import minicpm_o, text
from omnireward.cli import main
from omnireward.convert import convert
from omnireward.errors import CheckpointError, RecipeError
from omnireward.reward_model import RewardModel
from omnireward.tie_head import TieHead
from omnireward.types import Comparison, Text, Turn

WORDS = ["Tell me about tea.", "The answer should be polite.", "It is hot and cold."] * 10
ASKED = Comparison((Turn("user", (Text("About tea?"),)),), (Text("It is hot."),), (Text("It is cold.\n"),), "polite")
BIAS = 0.25


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    model = RewardModel(text.BACKBONE.tiny(WORDS, 0), "text", "natural")
    torch.nn.init.constant_(model.head.bias, BIAS)
    model.save(folder)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(saved, tmp_path / "copy"))
    (folder / "omnireward.json").unlink()  # its files may be changed then
    return folder


def _classified(folder: Path) -> torch.Tensor:
    """Rewards of ASKED by transformers alone, both rows padded in one batch."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    said = [
        [
            {"role": "system", "content": "polite"},
            {"role": "user", "content": "About tea?"},
            {"role": "assistant", "content": answer},
        ]
        for answer in ("It is hot.", "It is cold.\n")
    ]
    given = tokenizer.apply_chat_template(said, tokenize=True, return_dict=True, return_tensors="pt", padding=True)
    assert not given["attention_mask"].all()
    with torch.no_grad():
        rewards: torch.Tensor = model(**given).logits[:, 0]
    return rewards


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_transformers_gives_the_rewards_less_the_bias(saved: Path, tmp_path: Path, dtype: torch.dtype) -> None:
    model = RewardModel.load(saved)
    model.backbone.to(dtype)
    model.save(tmp_path / "ours")
    done = convert(str(tmp_path / "ours"), tmp_path / "out", "sequence-classification")
    assert (done.what, done.bias, done.rows) == ("a Qwen2ForSequenceClassification of transformers", BIAS, 12)
    assert done.error < 1e-5
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights["model.norm.weight"].dtype == dtype
    assert torch.equal(weights["score.weight"], load_file(saved / "value_head.safetensors")["v_head.summary.weight"])
    expected = model.to(torch.float32).rewards([ASKED])[0]
    torch.testing.assert_close(_classified(tmp_path / "out"), expected - BIAS, rtol=0, atol=1e-5)
    for name in ("tokenizer.json", "chat_template.jinja", "tokenizer_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (saved / name).read_bytes()


def test_what_was_converted_is_a_checkpoint_with_the_whole_reward(saved: Path, tmp_path: Path) -> None:
    """The bias is read back from config.json. Back in our layout, only the token that pads is known besides."""
    convert(str(saved), tmp_path / "out", "sequence-classification")
    back = RewardModel.load(tmp_path / "out")
    assert torch.equal(back.rewards([ASKED]), RewardModel.load(saved).rewards([ASKED]))
    convert(str(tmp_path / "out"), tmp_path / "back", "published")
    first, again = (json.loads((folder / "config.json").read_text()) for folder in (saved, tmp_path / "back"))
    padding = json.loads((saved / "tokenizer.json").read_text())["added_tokens"][0]
    assert padding["content"] == "<|endoftext|>"
    assert again == first | {"pad_token_id": padding["id"]}
    for name in {path.name for path in saved.iterdir()} - {"config.json"}:
        assert (tmp_path / "back" / name).read_bytes() == (saved / name).read_bytes(), name


def test_the_example_in_its_card_runs(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(str(saved), tmp_path / "out", "sequence-classification")
    monkeypatch.chdir(tmp_path / "out")
    card = Path("README.md").read_text()
    assert "rewards of transformers agree" in card
    exec(card.split("```python\n")[1].split("```")[0], {})
    assert capsys.readouterr().out.startswith("tensor(")


def test_a_family_without_such_a_class_says_what_can_be_done(tmp_path: Path) -> None:
    RewardModel(minicpm_o.BACKBONE.tiny(WORDS, 0), "minicpm_o", "natural").save(tmp_path / "ours")
    with pytest.raises(CheckpointError, match=r"no sequence-classification class for .*'minicpm_o'.*--to published"):
        convert(str(tmp_path / "ours"), tmp_path / "out", "sequence-classification")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]
    convert(str(tmp_path / "ours"), tmp_path / "out", "published")
    ours, out = (load_file(tmp_path / name / "model.safetensors") for name in ("ours", "out"))
    assert ours.keys() == out.keys()


def _settings(folder: Path, **changes: Any) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_row_that_ends_with_padding_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    _settings(copy, pad_token="<|im_end|>")
    with pytest.raises(CheckpointError, match=r"pads with <\|im_end\|>, with which every row of this model ends"):
        convert(str(copy), tmp_path / "out", "sequence-classification")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"extra_special_tokens": {"article": "the"}}, "makes other token ids"), ({"tokenizer_class": "Nobody"}, "")],
)
def test_what_transformers_reads_otherwise_is_not_kept(
    copy: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    _settings(copy, **changes)
    if not message:  # a class that transformers lacks is none of its errors: it takes the one of the model
        assert convert(str(copy), tmp_path / "out", "sequence-classification").rows == 12
        return
    with pytest.raises(CheckpointError, match=message):
        convert(str(copy), tmp_path / "out", "sequence-classification")
    assert not (tmp_path / "out").exists()


def test_other_rewards_are_not_kept(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = text.TextModel.save_classifier

    def wrong(self: text.TextModel, folder: Path, score: torch.Tensor, bias: float) -> None:
        plain(self, folder, score * 1.001, bias)

    monkeypatch.setattr(text.TextModel, "save_classifier", wrong)
    with pytest.raises(CheckpointError, match="gives other rewards than the model"):
        convert(str(saved), tmp_path / "out", "sequence-classification")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: libraries are told of both in the same way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(CheckpointError, match=r"cannot be written: .*Is the disk full"):
            convert(str(saved), tmp_path / "out", "published")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_left_alone(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RecipeError, match="exists already and is not an empty folder"):
        convert(str(saved), tmp_path, "published")


def test_the_verb_says_what_it_did(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(saved), str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"{tmp_path} holds a Qwen2ForSequenceClassification of transformers.\nChecked: 12 rewards agree" in out
    assert "rewards are +0.25 less than the model's; margins are the same" in out
    assert main(["convert", str(saved), str(tmp_path)]) == 2
    assert "choose another" in capsys.readouterr().err


def test_parts_of_the_model_that_the_class_has_no_place_for_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = RewardModel(text.BACKBONE.tiny(WORDS, 0), "text", "natural")
    model.ties = TieHead(model.backbone.hidden_size, "davidson")
    model.save(tmp_path / "tied")
    assert main(["convert", str(tmp_path / "tied"), str(tmp_path / "out")]) == 0
    said = "Of the model, its tie head is not in it."
    assert said in capsys.readouterr().out
    assert said in (tmp_path / "out" / "README.md").read_text()
