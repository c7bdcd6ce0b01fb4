"""A judge's folder: what is written is read to the last bit, and what is damaged, or something else, is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.speakers import FAMILIES, FORM, Speaker, drawn, made, media, question, speaker
from torch import Tensor

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.errors import CheckpointError
from omnireward.policy import LAST, Policy, holds_judge
from omnireward.prompts import Form
from omnireward.reward_model import RECORD, RewardModel, holds_model
from omnireward.speaking import speak
from omnireward.train.sft_config import SFTConfig
from omnireward.train.tuning import tune
from omnireward.types import Text
from omnireward.value_head import HEAD
from omnireward.vocabulary_head import is_tied

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module", params=FAMILIES)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    name = str(request.param)
    return speaker(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return speaker("text", tmp_path_factory.mktemp("text"))


@pytest.fixture
def folder(text: Speaker, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(text.folder, tmp_path / "judge"))


@torch.no_grad()
def _logps(policy: Policy, name: str) -> Tensor:
    found: Tensor = policy([policy.ask(question(*media(name), Text("One.")))], drawn(policy, [9])).logps
    return found


def _edited(folder: Path, name: str, **changes: object) -> None:
    told = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps(told))


def _without(folder: Path, *names: str) -> None:
    """Weights are left out, and the record does not miss them."""
    save_file({key: t for key, t in load_file(folder / WEIGHTS).items() if key not in names}, folder / WEIGHTS)
    told = json.loads((folder / RECORD).read_text())
    del told["weights"]
    (folder / RECORD).write_text(json.dumps(told))


def test_saved_and_loaded_is_the_same_to_the_last_bit(each: Speaker, tmp_path: Path) -> None:
    loaded = Policy.load(each.folder)
    assert torch.equal(_logps(loaded, each.name), _logps(each.policy, each.name))
    assert loaded.form == FORM
    assert (loaded.family, loaded.end) == (each.name, each.policy.end)
    assert not loaded.training
    assert not any(weight.requires_grad for weight in loaded.tower_parameters())
    assert loaded.head.weight.requires_grad
    assert holds_judge(each.folder)
    assert not holds_model(each.folder)
    loaded.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in each.folder.iterdir()
    }


def test_the_head_is_where_the_family_has_it(each: Speaker) -> None:
    name = "llm.lm_head.weight" if each.name == "minicpm_o" else "lm_head.weight"
    weights = load_file(each.folder / WEIGHTS)
    assert torch.equal(weights[name], each.policy.head.weight)
    assert len([key for key in weights if "head.weight" in key]) == 1
    assert json.loads((each.folder / LAST).read_text()) == {"eos_token_id": [each.policy.end]}


def test_a_head_that_is_the_embeddings_stays_so_and_is_not_written_twice(text: Speaker, tmp_path: Path) -> None:
    Path(shutil.copytree(text.folder, tmp_path / "tied"))
    _without(tmp_path / "tied", "lm_head.weight")
    _edited(tmp_path / "tied", "config.json", tie_word_embeddings=True)
    for place in ("tied", "again"):
        policy = Policy.load(tmp_path / place)
        assert is_tied(policy.head, policy.backbone)
        policy.save(tmp_path / "again")
        assert "lm_head.weight" not in load_file(tmp_path / "again" / WEIGHTS)
        config = json.loads((tmp_path / "again/config.json").read_text())
        assert config["architectures"] == ["Qwen2ForCausalLM"]
        assert config["tie_word_embeddings"] is True
    embeddings = policy.backbone.get_parameter("model.embed_tokens.weight")
    with torch.no_grad():
        embeddings.add_(1.0)
    assert torch.equal(policy.head.weight, embeddings)


def test_a_head_of_its_own_beside_a_config_that_says_tied_is_kept_and_the_config_mended(folder: Path) -> None:
    """Whoever believes the config would put the embeddings in its place."""
    wanted = _logps(Policy.load(folder), "text")
    _edited(folder, "config.json", tie_word_embeddings=True)
    policy = Policy.load(folder)
    assert not is_tied(policy.head, policy.backbone)
    policy.save(folder.parent / "again")
    assert json.loads((folder.parent / "again/config.json").read_text())["tie_word_embeddings"] is False
    assert torch.equal(_logps(Policy.load(folder.parent / "again"), "text"), wanted)


@pytest.mark.parametrize("said", [False, None])
def test_a_head_that_was_lost_is_refused(folder: Path, said: bool | None) -> None:
    """Qwen2's heads are apart where config.json does not say it."""
    _without(folder, "lm_head.weight")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "tie_word_embeddings"}))
    if said is not None:
        _edited(folder, "config.json", tie_word_embeddings=said)
    with pytest.raises(CheckpointError, match="has no vocabulary head"):
        Policy.load(folder)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_backbone_that_was_saved_for_a_reward_has_no_head(name: str, tmp_path: Path) -> None:
    """In no family's folder are embeddings taken for a head that is not there."""
    family = plugins.load("backbones", name)
    assert isinstance(family, BackboneFamily)
    family.tiny(["a few words"], 0).save(tmp_path)
    with pytest.raises(CheckpointError, match="has no vocabulary head"):
        Policy.load(tmp_path)


def test_a_reward_model_is_no_judge_and_a_judge_is_no_reward_model(text: Speaker, tmp_path: Path) -> None:
    RewardModel(text.policy.backbone, "text", "natural").save(tmp_path)
    with pytest.raises(CheckpointError, match=f"reward model, which writes no text. Judge with reward:{tmp_path}"):
        Policy.load(tmp_path)
    assert not holds_judge(tmp_path)
    for load in (RewardModel.load, RewardModel.load_or_new_head):
        with pytest.raises(CheckpointError, match=f"gives no rewards. Judge with generative:{text.folder}"):
            load(text.folder)


def test_each_may_take_the_others_place(text: Speaker, tmp_path: Path) -> None:
    """Nothing of the one is left for the other to be taken for."""
    RewardModel(text.policy.backbone, "text", "natural").save(tmp_path)
    text.policy.save(tmp_path)
    assert holds_judge(tmp_path)
    assert not (tmp_path / HEAD).exists()
    assert torch.equal(_logps(Policy.load(tmp_path), "text"), _logps(text.policy, "text"))
    RewardModel(text.policy.backbone, "text", "natural").save(tmp_path)
    assert not holds_judge(tmp_path)
    RewardModel.load(tmp_path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("a bit", "no longer holds the weights that it was saved with"),
        ("a head of another size", "lm_head.weight is"),
        ("the tokenizer", "another tokenizer or chat template"),
        ("the template", "another tokenizer or chat template"),
        ("half", "cannot be read as safetensors"),
        ("a weight", "Missing: model.norm.weight"),
        ("form", "records the form 'poem'; it has critique and ties"),
        ("form of words", "records the form"),
        ("config", "holds no config.json"),
    ],
)
def test_what_is_damaged_is_refused(folder: Path, damage: str, words: str) -> None:
    data = (folder / WEIGHTS).read_bytes()
    if damage == "a bit":
        (folder / WEIGHTS).write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    elif damage == "a head of another size":
        save_file(load_file(folder / WEIGHTS) | {"lm_head.weight": torch.zeros(4, 128)}, folder / WEIGHTS)
    elif damage == "half":
        (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    elif damage == "a weight":
        _without(folder, "model.norm.weight")
    elif damage == "the tokenizer":
        (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + "\n")
    elif damage == "the template":
        (folder / "chat_template.jinja").unlink()
        _edited(folder, "tokenizer_config.json", chat_template="{{ messages }}")
    elif damage == "config":
        (folder / "config.json").unlink()
    else:
        _edited(folder, RECORD, form="poem" if damage == "form" else {"critique": "yes", "ties": False})
    with pytest.raises(CheckpointError, match=words):
        Policy.load(folder)


def test_a_folder_that_was_not_written_to_its_end_holds_no_judge(folder: Path) -> None:
    (folder / LAST).unlink()
    assert not holds_judge(folder)


def test_what_lies_beside_a_base_comes_along(text: Speaker, folder: Path) -> None:
    """Of a chat model that is not ours: templates and settings that other programs read."""
    (folder / RECORD).unlink()
    beside = {"special_tokens_map.json": '{"eos_token": "<|im_end|>"}', "processor_config.json": "{}\n"}
    for name, content in beside.items():
        (folder / name).write_text(content)
    (folder / "notes.txt").write_text("not for others")
    policy = Policy.load(folder)
    assert policy.form is None
    policy.form = Form("pairwise", critique=False, ties=False)
    policy.save(folder.parent / "again")
    again = folder.parent / "again"
    for name in (*beside, "chat_template.jinja", "tokenizer_config.json", "tokenizer.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert not (again / "notes.txt").exists()
    loaded = Policy.load(again)
    assert loaded.form == policy.form
    assert torch.equal(_logps(loaded, "text"), _logps(text.policy, "text"))


def _tuned(chat: Path, out: Path, **changes: Any) -> Policy:
    """A judge with adapters that were trained: their numbers are random."""
    policy = Policy.load(chat)
    tune(policy, SFTConfig(out=out, model=str(chat), critiques={}, lora_rank=2, **changes))
    for name, weight in policy.named_parameters():
        if ".lora_" in name:
            weight.data.normal_(std=0.3, generator=torch.Generator().manual_seed(len(name)))
    policy.form = FORM
    return policy.eval()


@pytest.mark.parametrize("frozen", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["text", "minicpm_o", "qwen2_5_vl"])
def test_adapters_are_saved_alone_and_find_the_head_of_their_base(name: str, frozen: str, tmp_path: Path) -> None:
    chat = speaker(name, tmp_path / "chat")
    policy = _tuned(chat.folder, tmp_path / "run", frozen_weights=frozen)
    wanted = _logps(policy, name)
    assert not torch.equal(wanted, _logps(chat.policy, name))
    policy.save(tmp_path / "run")
    there = {path.name for path in (tmp_path / "run").iterdir()}
    assert there == {"adapter_config.json", "adapter_model.safetensors", RECORD, LAST}
    loaded = Policy.load(tmp_path / "run")
    assert holds_judge(tmp_path / "run")
    assert loaded.form == FORM
    assert torch.equal(_logps(loaded, name), wanted)
    assert loaded.head.weight.dtype == (torch.float32 if frozen == "fp32" else torch.bfloat16)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / RECORD).read_bytes() == (tmp_path / "run" / RECORD).read_bytes()


def test_adapters_on_another_head_are_refused(text: Speaker, folder: Path) -> None:
    """The rest of the base is the same, so only the head's digest tells."""
    _tuned(folder, folder.parent / "run").save(folder.parent / "run")
    weights = load_file(folder / WEIGHTS)
    weights["lm_head.weight"][3, 3] += 0.01
    save_file(weights, folder / WEIGHTS)
    told = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({k: v for k, v in told.items() if k != "weights"}))
    Policy.load(folder)
    with pytest.raises(CheckpointError, match="a base with another vocabulary head"):
        Policy.load(folder.parent / "run")


def test_adapters_of_a_tied_head_find_it(text: Speaker, folder: Path) -> None:
    _without(folder, "lm_head.weight")
    _edited(folder, "config.json", tie_word_embeddings=True)
    policy = _tuned(folder, folder.parent / "run", frozen_weights="bf16")
    policy.save(folder.parent / "run")
    loaded = Policy.load(folder.parent / "run")
    assert is_tied(loaded.head, loaded.backbone)
    assert torch.equal(_logps(loaded, "text"), _logps(policy, "text"))


def test_adapters_on_a_base_that_the_run_made_itself(tmp_path: Path) -> None:
    policy = made("text")
    tune(policy, SFTConfig(out=tmp_path / "run", model="tiny:text", critiques={}, lora_rank=2))
    policy.eval().save(tmp_path / "run")
    assert (tmp_path / "run/base" / WEIGHTS).is_file()
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert torch.equal(_logps(Policy.load(tmp_path / "moved"), "text"), _logps(policy, "text"))


def test_a_head_trained_in_full_is_written(folder: Path) -> None:
    policy = Policy.load(folder)
    with torch.no_grad():
        policy.head.weight[:, 0] += 1.0
    policy.save(folder)
    assert torch.equal(Policy.load(folder).head.weight, policy.head.weight)


def test_the_published_layout_of_minicpm_o_speaks(tmp_path: Path) -> None:
    """Weights in the published names, vocabulary head included. By hand: states after the norm times the head."""
    golden = Path(__file__).resolve().parents[1] / "../shared/golden"
    if not golden.exists():
        pytest.skip("the golden values are not beside this checkout")
    recorded = json.loads((golden / "minicpm_o_tiny.json").read_text())["config"]
    flat = {key: value for key, value in recorded.items() if key not in ("text", "vision", "audio")} | recorded["text"]
    flat |= {"model_type": "minicpmo", "vision_config": recorded["vision"], "audio_config": recorded["audio"]}
    (tmp_path / "config.json").write_text(json.dumps(flat))
    (tmp_path / "tokenizer.json").write_text(train_tokenizer(["a few words"], SPECIAL_TOKENS, vocabulary=600))
    (tmp_path / WEIGHTS).symlink_to(golden / "minicpm_o_tiny_weights.safetensors")
    policy = Policy.load(tmp_path)
    assert isinstance(policy.backbone, MiniCPMO)
    assert not is_tied(policy.head, policy.backbone)
    head = load_file(golden / "minicpm_o_tiny_weights.safetensors")["llm.lm_head.weight"]
    asked, answer = policy.ask(question(Text("One."))), drawn(policy, [3])[0]
    with torch.no_grad():
        row = torch.cat((asked.row.ids, answer))
        states = policy.backbone.decoder(input_ids=row[None]).last_hidden_state[0, len(asked.row.ids) - 1 : -1]
        logits = (states @ head.float().T).index_fill(-1, policy.silent, -torch.inf)
        wanted = torch.log_softmax(logits, -1).gather(-1, answer[:, None]).squeeze(-1)
        torch.testing.assert_close(policy([asked], [answer]).logps, wanted, rtol=1e-5, atol=1e-5)
    assert len(policy.silent) >= head.shape[0] - policy.backbone.tokenizer.vocab_size
    said = speak(policy, [asked], [0], [0], temperature=1.0, max_tokens=5)[0]
    assert max(said.ids) < policy.backbone.tokenizer.vocab_size
    policy.save(tmp_path / "again")
    assert torch.equal(load_file(tmp_path / "again" / WEIGHTS)["llm.lm_head.weight"], head)
