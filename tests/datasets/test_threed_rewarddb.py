"""3DRewardDB: the shapes of reward.json and prompt.json that are read, and all others refused by what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnireward.datasets.threed_rewarddb import DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn


def _write(root: Path, rewards: object, pictures: int = 3, folder: str = "0", prompts: object = ("A lamp.",)) -> Path:
    home = root / "data" / folder
    home.mkdir(parents=True, exist_ok=True)
    for number in range(pictures):
        (home / f"{number}.png").write_bytes(f"{folder}/{number}".encode())
    (home / "camera.json").write_text("[]")
    (home / "reward.json").write_text(rewards if isinstance(rewards, str) else json.dumps(rewards))
    (root / "prompt.json").write_text(prompts if isinstance(prompts, str) else json.dumps(prompts))
    return root


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _pairs(samples: list[Sample]) -> list[tuple[str, str]]:
    return [(sample.id, sample.preference) for sample in samples]


def test_objects_become_pairs(tmp_path: Path) -> None:
    samples = _read(_write(tmp_path, [0.4, 1.3, 0.4]))
    assert _pairs(samples) == [("data/0/0-1", "b"), ("data/0/0-2", "tie"), ("data/0/1-2", "a")]
    sample = samples[0]
    assert (sample.task, sample.comparison.criterion) == (Task.T23D, "")
    assert sample.comparison.prompt == (Turn("user", (Text("A lamp."),)),)
    assert sample.comparison.response_a == (Media("mesh", (tmp_path / "data/0/0.png",)),)
    assert sample.comparison.response_b == (Media("mesh", (tmp_path / "data/0/1.png",)),)
    assert (sample.provenance["score_a"], sample.provenance["score_b"]) == ("0.4", "1.3")
    assert len({sample.cluster for sample in samples}) == 1


@pytest.mark.parametrize(
    "rewards",
    [{"0": 0.4, "1": 1.3, "2": 0.4}, {"2.png": 0.4, "0.png": 0.4, "1.png": 1.3}],
    ids=["numbers", "file-names"],
)
def test_rewards_by_name(tmp_path: Path, rewards: object) -> None:
    assert _pairs(_read(_write(tmp_path, rewards))) == [
        ("data/0/0-1", "b"),
        ("data/0/0-2", "tie"),
        ("data/0/1-2", "a"),
    ]


def test_ten_objects_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Where 10.png came before 2.png, the rewards of a list would go to other objects."""
    samples = _read(_write(tmp_path, [float(n) / 4 for n in range(11)], pictures=11), "?pairs=best")
    assert [sample.id for sample in samples] == [f"data/0/{n}-10" for n in range(10)]
    assert {sample.preference for sample in samples} == {"b"}


def test_rule_for_pairs(tmp_path: Path) -> None:
    _write(tmp_path, [0.4, 1.3, 0.9])
    assert [p for _, p in _pairs(_read(tmp_path, "?margin=0.5"))] == ["b", "b", "tie"]
    assert [p for _, p in _pairs(_read(tmp_path, "?margin=0.5&ties=no"))] == ["b", "b"]
    assert [p for _, p in _pairs(_read(tmp_path, "?better=lower"))] == ["a", "a", "b"]


@pytest.mark.parametrize("rewards", [[2, 1, 3], [1, 0, 2], [1.0, 2.0, 3.0], [1, 3, 3], [3, 1, 1]])
def test_what_may_be_ranks_needs_a_word(tmp_path: Path, rewards: list[float]) -> None:
    _write(tmp_path, rewards)
    with pytest.raises(BadRowError, match=r"may be ranks.*better=lower"):
        _read(tmp_path)
    higher, lower = (_pairs(_read(tmp_path, f"?better={better}")) for better in ("higher", "lower"))
    assert higher != lower
    assert ("data/0/0-1", "a" if rewards[0] > rewards[1] else "b") in higher


@pytest.mark.parametrize("rewards", [[7, 5, 1], [-1, 0, 1], [1, 2, 2.5]])
def test_what_cannot_be_ranks_is_read(tmp_path: Path, rewards: list[float]) -> None:
    first = dict(_pairs(_read(_write(tmp_path, rewards))))["data/0/0-1"]
    assert first == ("a" if rewards[0] > rewards[1] else "b")


def test_prompts_by_folder(tmp_path: Path) -> None:
    _write(tmp_path, [0.1, 0.2], 2, folder="10")
    _write(tmp_path, [0.1, 0.2], 2, folder="9", prompts={"9": "A chair.", "10": "A lamp."})
    (tmp_path / "data" / "notes").mkdir()  # no number
    samples = _read(tmp_path)
    assert [sample.id for sample in samples] == ["data/9/0-1", "data/10/0-1"]
    assert [sample.comparison.prompt[0].content for sample in samples] == [(Text("A chair."),), (Text("A lamp."),)]


@pytest.mark.parametrize(
    ("rewards", "found"),
    [
        ([0.4, 1.3], "a list of 2"),
        ([0.4, 1.3, 0.2, 0.1], "a list of 4"),
        ({"0": 0.4, "1": 1.3}, "an object of 2"),
        ({"0": 0.4, "1": 1.3, "3": 0.1}, "an object of 3"),
        ({"reward": [0.4, 1.3, 0.2]}, r"\{'reward': \[0\.4"),
        ([[0.4], [1.3], [0.2]], r"\[0\.4\] where a finite number belongs"),
        ([0.4, None, 0.2], "None where"),
        ([0.4, "1.3", 0.2], "'1.3' where"),
        ([True, False, True], "True where"),
        ("[0.4, NaN, 0.2]", "nan where"),
        ("[0.4, 1e999, 0.2]", "inf where"),
        ('{"0": 1.5, "0": 0.2, "1": 0.1, "2": 0.3}', "a name comes twice"),
        (0.4, "is 0.4"),
        ("[0.4, 1.3", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("", "not valid JSON"),
        ("[" + "0.25, " * 200_000 + "1]", "has over 1048576 bytes"),
    ],
)
def test_rewards_that_are_refused(tmp_path: Path, rewards: object, found: str) -> None:
    _write(tmp_path, [0.5, 0.6], 2, folder="1")
    _write(tmp_path, rewards, prompts=["A lamp.", "A chair."])
    with pytest.raises(BadRowError, match=rf"data/0, .*reward\.json.*{found}"):
        _read(tmp_path)
    bad_rows = BadRows(skip=True)
    assert [sample.id for sample in _read(tmp_path, "", bad_rows)] == ["data/1/0-1"]
    assert [error.file for error in bad_rows.errors] == ["data/0"]


@pytest.mark.parametrize(
    ("prompts", "found"),
    [
        ([], "nothing where the text of data/0 belongs, in a list of 0"),
        ([{"prompt": "A lamp."}], r"an object of 1, \{'prompt'"),
        ({"1": "A chair."}, "nothing where"),
        ([" "], "' ' where"),
        (["\ud800"], "not valid Unicode"),
    ],
)
def test_prompts_that_are_refused(tmp_path: Path, prompts: object, found: str) -> None:
    with pytest.raises(BadRowError, match=found):
        _read(_write(tmp_path, [0.4, 1.3, 0.2], prompts=prompts))


def test_prompts_of_another_shape_stop_everything(tmp_path: Path) -> None:
    for prompts in ('"A lamp."', "not JSON"):
        with pytest.raises(SourceError, match=r"prompt\.json is "):
            _read(_write(tmp_path, [0.4, 1.3, 0.2], prompts=prompts), "", BadRows(skip=True))


def test_missing_files_and_links_out(tmp_path: Path) -> None:
    root = _write(tmp_path / "root", [0.4, 1.3, 0.2])
    (tmp_path / "secret.png").write_text("x")
    (root / "data/0/1.png").unlink()
    (root / "data/0/1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(BadRowError, match="leads out"):
        _read(root)
    (root / "data/0/reward.json").unlink()
    (root / "data/1").mkdir()
    (root / "data/1/reward.json").write_text("[]")
    with pytest.raises(BadRowError, match=r"data/0.*cannot be read"):
        _read(root)
    (root / "prompt.json").unlink()
    assert DATASET.recognises(root) is False
    with pytest.raises(SourceError, match="holds no 3DRewardDB"):
        _read(root)


@pytest.mark.parametrize("settings", ["?better=more", "?pairs=some", "?margin=-1"])
def test_settings_that_do_not_exist(tmp_path: Path, settings: str) -> None:
    with pytest.raises(RecipeError):
        _read(_write(tmp_path, [0.4, 1.3, 0.2]), settings)
