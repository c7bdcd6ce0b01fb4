"""Checkpoints by OWNER/REPO@REVISION, from a cache laid out as the Hub's: files are links to blobs. No network."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils._paths import filter_repo_objects
from tests.hub_cache import COMMIT, cache_entry

from omnireward.backbones.text import BACKBONE
from omnireward.errors import CheckpointError
from omnireward.hub import find
from omnireward.judges import open_judge
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Text, Turn

ASKED = Comparison((Turn("user", (Text("Tell me about tea."),)),), (Text("It is hot."),), (Text("It is cold."),))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    RewardModel(BACKBONE.tiny(["Tell me about tea.", "It is hot and cold."], 0), "text", "natural").save(folder)
    return folder


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_cached_repository_is_a_checkpoint(cache: Path, saved: Path, revision: str) -> None:
    snapshot = cache_entry(cache, saved, "some-lab/tea.reward")
    place = find(f"some-lab/tea.reward@{revision}")
    assert (place.folder, place.pinned) == (snapshot, f"some-lab/tea.reward@{COMMIT}")
    expected = RewardModel.load(saved).rewards([ASKED])
    assert torch.equal(RewardModel.load(f"some-lab/tea.reward@{revision}").rewards([ASKED]), expected)
    judge = open_judge(f"reward:some-lab/tea.reward@{revision}")
    assert judge([ASKED])[0].rewards == tuple(expected[0].tolist())
    assert judge.fingerprint == open_judge(f"reward:{saved}").fingerprint


def test_what_is_trained_from_a_repository_records_its_commit(cache: Path, saved: Path, tmp_path: Path) -> None:
    cache_entry(cache, saved, "some-lab/tea")
    model = RewardModel.load_or_new_head(Path("some-lab/tea@main"))
    model.save(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "omnireward.json").read_text())["base"] == f"some-lab/tea@{COMMIT}"
    RewardModel.load(tmp_path / "run").save(tmp_path / "again")  # trained on from there
    assert json.loads((tmp_path / "again" / "omnireward.json").read_text())["base"] == f"some-lab/tea@{COMMIT}"


def test_a_folder_of_that_name_wins(cache: Path, saved: Path) -> None:
    cache_entry(cache, saved, "some-lab/tea")
    Path("some-lab/tea@main").mkdir(parents=True)
    assert find("some-lab/tea@main").folder == Path("some-lab/tea@main")
    assert find("some-lab/tea@main").pinned == ""


def test_a_repository_needs_a_revision(cache: Path, saved: Path) -> None:
    cache_entry(cache, saved, "some-lab/tea")
    with pytest.raises(CheckpointError, match=r"no such folder, some-lab/tea, .*Pin one: some-lab/tea@COMMIT"):
        RewardModel.load("some-lab/tea")


@pytest.mark.parametrize("where", ["some-lab/coffee@main", f"some-lab/tea@{'f' * 40}", "some-lab/tea@v2"])
def test_what_is_not_cached_is_said_so(cache: Path, saved: Path, where: str) -> None:
    cache_entry(cache, saved, "some-lab/tea")
    with pytest.raises(
        CheckpointError, match=r"did not deliver .*not whole in the cache, .*cache.*hf download some-lab"
    ):
        find(where)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (RepositoryNotFoundError, "there is no such repository, or it is private"),
        (GatedRepoError, r"its authors ask for consent.*https://huggingface\.co/some-lab/tea"),
        (RevisionNotFoundError, r"it has no revision 'v2'\. Commits: "),
        (HfHubHTTPError, "HfHubHTTPError: refused Check the name"),
    ],
)
def test_what_the_hub_refuses_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, cache: Path, kind: type[HfHubHTTPError], message: str
) -> None:
    request = httpx2.Request("GET", "https://huggingface.co/api/models/some-lab/tea")

    def refuse(*_: object, **__: object) -> str:
        raise kind("refused", response=httpx2.Response(404, request=request))

    monkeypatch.setattr("omnireward.hub.snapshot_download", refuse)
    with pytest.raises(CheckpointError, match=message):
        find("some-lab/tea@v2")


@pytest.mark.parametrize("where", ["/absent/folder", "./run", "../a/b", "run", "~/run"])
def test_paths_are_not_taken_for_repositories(where: str) -> None:
    assert find(where).folder == Path(where)
    with pytest.raises(CheckpointError, match="no such folder"):
        RewardModel.load(where)


def test_only_the_files_of_a_checkpoint_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    there = ["config.json", "model-00001-of-00002.safetensors", "chat_template.jinja", "value_head.bin", "README.md"]
    there += ["pytorch_model.bin", "modeling_minicpmo.py", "original/config.json", "checkpoint-3/model.safetensors"]
    asked: list[str] = []

    def download(_: str, **given: list[str]) -> str:
        patterns = [given[name] for name in ("allow_patterns", "ignore_patterns")]
        asked.extend(filter_repo_objects(there, allow_patterns=patterns[0], ignore_patterns=patterns[1]))
        return str(tmp_path / COMMIT)

    monkeypatch.setattr("omnireward.hub.snapshot_download", download)
    assert find("some-lab/tea@v2").pinned == f"some-lab/tea@{COMMIT}"
    assert asked == there[:4]
