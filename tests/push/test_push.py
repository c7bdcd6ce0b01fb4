"""A push sends the model and nothing else, to a repository that is its own, or says why not and sends nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from tests.push.fake_hub import TOKEN, Hub, Repository, running

from omnireward import push
from omnireward.backbones.minicpm_o import tiny
from omnireward.errors import CheckpointError, HubError, SourceError
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Text, Turn
from omnireward.verbs import push as verb

SENT = {
    *("README.md", "config.json", "model.safetensors", "omnireward.json", "preprocessor_config.json"),
    *("tokenizer.json", "value_head.safetensors"),
}
REPORT = {
    "judge": "reward:run",
    "benchmark": "miniature",
    "command": "omnireward evaluate --judge reward:/home/me/run --benchmark miniature",
    "samples": 9,
    "failures": 0,
    "macro": {
        "without_ties": {"accuracy": 0.8, "interval": [0.7, 0.9]},
        "with_ties": {"accuracy": 0.7, "interval": None},
    },
    "tasks": {
        "T2T": {
            "samples": 9,
            "without_ties": {"accuracy": 0.8, "interval": [0.7, 0.9]},
            "with_ties": {"accuracy": 0.7, "interval": None},
        }
    },
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running() as found:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", found.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model as training leaves it, with a checkpoint, a log and paths of the machine beside it."""
    out = tmp_path / "run"
    RewardModel(tiny(["a river"], 0), "minicpm_o", "natural").save(out)
    config: dict[str, object] = {"verb": "train", "out": "/home/me/run", "model": "/home/me/secret/base"}
    config |= {"datasets": {"omni_rewarddata:/home/me/secret/data": 1.0}}
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    (out / "data.json").write_text(json.dumps({"pairs": 7, "ties_left_out": 2, "bad_rows": 1}))
    (out / "log.jsonl").write_text("{}\n")
    (out / "checkpoint-2").mkdir()
    (out / "checkpoint-2" / "optimizer.pt").write_bytes(b"states")
    (out / "report").mkdir()
    (out / "report" / "report.json").write_text(json.dumps(REPORT))
    return out


def test_the_model_arrives_whole_with_its_card_and_nothing_else(
    hub: Hub, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What arrived loads, and gives the same reward."""
    verb.run([str(folder), "me/model", "--private", "--license", "apache-2.0"])
    there = hub.repositories["me/model"]
    assert there.private
    assert set(there.files) == SENT | {".gitattributes"}
    assert there.commits == 1
    card = there.files["README.md"].decode()
    assert "| T2T | 9 | 80.0 | 70.0–90.0 | 70.0 | – |" in card
    assert "| pairs used | 7 |" in card
    assert "license: apache-2.0" in card
    assert "secret" not in card
    assert "/home" not in card
    said = capsys.readouterr().out
    assert "It is there: " in said
    for name, data in there.files.items():
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(data)
    asked = [Comparison((Turn("user", (Text("Hi"),)),), (Text("a"),), (Text("b"),))]
    assert RewardModel.load(tmp_path / "copy").rewards(asked).equal(RewardModel.load(folder).rewards(asked))


def test_a_dry_run_says_what_would_be_sent_and_changes_nothing(
    hub: Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (folder / "README.md").read_bytes()
    verb.run([str(folder), "me/model", "--dry-run"])
    said = capsys.readouterr().out
    assert {line.split()[-1] for line in said.splitlines()[: len(SENT)]} == SENT
    assert f"{(folder / 'model.safetensors').stat().st_size:,}  model.safetensors" in said
    assert "Nothing was sent." in said
    assert hub.repositories == {}
    assert (folder / "README.md").read_bytes() == before


def test_a_card_that_its_author_edited_is_sent_as_it_is(hub: Hub, folder: Path) -> None:
    (folder / "README.md").write_text("# Mine\n")
    push.send(push.prepare(folder, "me/model"), private=False, revision=None, message="x")
    assert hub.repositories["me/model"].files["README.md"] == b"# Mine\n"


def test_a_second_push_replaces_the_first_and_removes_its_leftovers(hub: Hub, folder: Path) -> None:
    ready = push.prepare(folder, "me/model")
    push.send(ready, private=False, revision=None, message="x")
    there = hub.repositories["me/model"]
    there.files |= {"model-00001-of-00002.safetensors": b"", "value_head.bin": b"", "notes.md": b"mine"}
    push.send(ready, private=False, revision="v2", message="x")
    assert set(there.files) == SENT | {".gitattributes", "notes.md"}
    assert there.branches == ["v2"]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("value_head.safetensors", "no value_head.safetensors"),
        ("model.safetensors", "its weights are missing"),
        ("omnireward.json", "is no reward model"),
        ("tokenizer.json", "has no tokenizer.json"),
        ("config.json", "holds no config.json"),
    ],
)
def test_half_a_model_is_refused(hub: Hub, folder: Path, lost: str, message: str) -> None:
    (folder / lost).unlink()
    with pytest.raises(CheckpointError, match=message):
        push.prepare(folder, "me/model")
    assert hub.repositories == {}


def test_a_tie_head_and_every_file_of_weights_must_be_there(folder: Path) -> None:
    record = json.loads((folder / "omnireward.json").read_text())
    (folder / "omnireward.json").write_text(json.dumps(record | {"ties": "davidson"}))
    with pytest.raises(CheckpointError, match=r"tie_head\.safetensors cannot be read"):
        push.check(folder)
    lost = {"weights": record["weights"] | {"model-00002-of-00002.safetensors": "0"}}
    (folder / "omnireward.json").write_text(json.dumps(record | lost))
    with pytest.raises(CheckpointError, match=r"has no model-00002-of-00002\.safetensors, which"):
        push.check(folder)
    (folder / "omnireward.json").write_text(json.dumps(record | {"uncertainty": "uncertainty.safetensors"}))
    with pytest.raises(CheckpointError, match="omnireward uncertainty"):
        push.check(folder)


def test_adapters_that_nobody_else_could_load_are_refused(folder: Path) -> None:
    record = json.loads((folder / "omnireward.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8}))
    told = {"frozen": "fp32", "quantize": "none", "digests": {}, "layers": ["llm.a"], "trained": ["llm.b"]}
    (folder / "omnireward.json").write_text(json.dumps(record | {"adapts": told | {"place": "/home/me/base"}}))
    with pytest.raises(CheckpointError, match=r"nobody else could load them.*convert .* OUT --to published"):
        push.check(folder)
    (folder / "omnireward.json").write_text(json.dumps(record | {"adapts": told | {"place": "a/b@0123abc"}}))
    for name in ("adapter_model.safetensors", "trained.safetensors"):
        with pytest.raises(CheckpointError, match=f"has no {name}"):
            push.check(folder)
        save_file({}, folder / name)
    push.check(folder)
    (folder / "value_head.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no value_head\.safetensors"):
        push.check(folder)


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "tokenizer.json"])
def test_a_link_to_a_file_elsewhere_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    kept = (folder / name).read_bytes() if (folder / name).exists() else b"a key"
    (tmp_path / "elsewhere").write_bytes(kept)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=f"links to files elsewhere, which are not sent: {name}"):
        push.prepare(folder, "me/model")


def test_a_model_that_no_loader_would_take_is_refused(folder: Path) -> None:
    tokenizer = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(tokenizer + b" ")
    with pytest.raises(CheckpointError, match="trained with another tokenizer"):
        push.check(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    save_file(load_file(folder / "model.safetensors") | {"more": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"Left over: more\."):
        push.check(folder)


def test_a_report_about_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no report of 'omnireward evaluate'"):
        push.prepare(folder, "me/model", (tmp_path,))
    (tmp_path / "report.json").write_text(json.dumps(REPORT | {"judge": "longer"}))
    with pytest.raises(SourceError, match="about the judge longer"):
        push.prepare(folder, "me/model", (tmp_path,))


def test_what_the_hub_refuses_is_said(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's repository, a public one where a private was asked for, no permission, a bad name, tokens, no net."""

    def refused(repo: str, *, private: bool = False) -> str:
        with pytest.raises(HubError) as raised:
            push.send(push.Push(folder, repo, ready.files, ready.card), private=private, revision=None, message="x")
        return str(raised.value)

    ready = push.prepare(folder, "me/model")
    hub.repositories["me/other"] = Repository(False, {"train.csv": b""})
    hub.refused.add("them")
    assert "holds something else already: train.csv" in refused("me/other")
    assert "is there already, and public" in refused("me/other", private=True)
    assert "may not write for them" in refused("them/model")
    assert "OWNER/NAME" in refused("a b/c/d")
    monkeypatch.setenv("HF_TOKEN", "another")
    assert "does not know the token" in refused("me/model")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    assert "there is no token" in refused("me/model")
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: TOKEN)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "no answer from the Hub" in refused("me/model")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused("me/model")
    assert hub.repositories["me/other"].files == {"train.csv": b""}
    assert set(hub.repositories) == {"me/other"}
    assert load_file(folder / "value_head.safetensors")
