"""Places, Hub locations and bad rows. Hub downloads are read from a cache folder made here, in the Hub's own layout."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from omnireward import parquet_files
from omnireward.datasets import hpdv2, rlaif_v
from omnireward.errors import BadRowError, MissingExtraError, RecipeError, SourceError, UnknownNameError
from omnireward.scores import PairRule
from omnireward.sources import BadRows, SampleSource, local_root, open_place, prompt_cluster, read_place, with_settings
from omnireward.types import Task

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def benchmark_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "text_to_text_preferences.json").write_text(
        '[{"id": 1, "prompt": "p", "response1": "x", "response2": "y", "criteria": "c", "criteria_preference": "tie"}]'
    )
    return folder


def test_name_alone_reads_from_home() -> None:
    name, source, location = open_place("benchmarks", "omni_rewardbench")
    assert (name, location) == ("omni_rewardbench", "")
    assert source.home == "hub:HongbangYuan/OmniRewardBench"


def test_name_with_location(benchmark_folder: Path) -> None:
    (sample,) = read_place("benchmarks", f"omni_rewardbench:{benchmark_folder}", BadRows())
    assert sample.preference == "tie"


def test_location_may_hold_colons() -> None:
    name, _, location = open_place("datasets", "omni_rewarddata:hub:a/b@main")
    assert (name, location) == ("omni_rewarddata", "hub:a/b@main")


def test_settings_are_a_location() -> None:
    assert open_place("datasets", "miniature:seed=3")[2] == "seed=3"


def test_settings_may_follow_whatever_a_place_is(tmp_path: Path) -> None:
    hpdv2._example(tmp_path)
    for place in (f"{tmp_path}?split=test", f"hpdv2:{tmp_path}?split=test"):
        name, _, location = open_place("datasets", place)
        assert (name, location) == ("hpdv2", f"{tmp_path}?split=test")
        assert next(read_place("datasets", place, BadRows())).groups == ("test",)
    assert open_place("datasets", "hpdv2?split=test")[::2] == ("hpdv2", "?split=test")
    odd = tmp_path.rename(tmp_path.with_name("what?"))
    assert open_place("datasets", str(odd))[2] == str(odd)


@pytest.mark.parametrize("written", ["margin=1&margin=2", "ties", "pairs", "pairs=best&ties=no&pairs=all"])
def test_a_setting_is_said_once_and_with_its_value(written: str) -> None:
    with pytest.raises(RecipeError, match="a setting is said once, as"):
        with_settings(f"data?{written}", PairRule())


def test_a_folder_is_walked_once_however_many_sources_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of half a million pictures are recognised in seconds."""
    rlaif_v._example(tmp_path)
    walked = Counter[Path]()
    walk = parquet_files._walk

    def counted(folder: Path) -> tuple[Path, ...]:
        walked[folder] += 1
        return walk(folder)

    monkeypatch.setattr(parquet_files, "_walk", counted)
    assert open_place("datasets", str(tmp_path))[0] == "rlaif_v"
    assert walked == {tmp_path: 1}
    assert parquet_files.parquet_files(tmp_path) == tuple(tmp_path.glob("*.parquet"))
    assert walked == {tmp_path: 2}  # nothing is remembered afterwards


def test_folder_alone_is_recognised(benchmark_folder: Path) -> None:
    name, _, location = open_place("benchmarks", str(benchmark_folder))
    assert (name, location) == ("omni_rewardbench", str(benchmark_folder))


def test_existing_folder_with_a_colon_wins(benchmark_folder: Path) -> None:
    odd = benchmark_folder.rename(benchmark_folder.parent / "run:12")
    assert open_place("benchmarks", str(odd))[0] == "omni_rewardbench"


def test_exact_name_wins_over_folder_of_that_name(benchmark_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark_folder.rename(benchmark_folder.parent / "miniature")
    monkeypatch.chdir(benchmark_folder.parent)
    assert open_place("benchmarks", "miniature")[0] == "miniature"
    assert open_place("benchmarks", "./miniature")[0] == "omni_rewardbench"


def test_dotted_name_loads_a_module_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards").mkdir()
    (tmp_path / "my_rewards" / "cats.py").write_text(
        "from omnireward.sources import SampleSource\n"
        "DATASET = SampleSource('cats', lambda location, bad_rows: iter(()), lambda folder: False)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name, source, location = open_place("datasets", "my_rewards.cats:some/folder")
    assert (name, source.summary, location) == ("my_rewards.cats", "cats", "some/folder")


@pytest.mark.parametrize("place", ["omni_rewardbensh", "omni_rewardbensh:/tmp"])
def test_mistyped_name_is_answered_with_the_nearest(place: str) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean omni_rewardbench"):
        open_place("benchmarks", place)


@pytest.mark.parametrize(
    "place", ["./nowhere", "/nowhere/at/all", "~/no such folder", "C:\\data", "C:/data", "a/b", ""]
)
def test_missing_folder_is_not_mistaken_for_a_name(place: str) -> None:
    with pytest.raises(SourceError, match=r"Known names: .*miniature"):
        open_place("benchmarks", place)


def test_file_alone_needs_a_reader(benchmark_folder: Path) -> None:
    file = benchmark_folder / "text_to_text_preferences.json"
    with pytest.raises(SourceError, match="Say who reads it"):
        open_place("benchmarks", str(file))


def test_file_in_the_working_folder_is_no_dotted_module(
    benchmark_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(benchmark_folder)
    with pytest.raises(SourceError, match="Say who reads it"):
        open_place("benchmarks", "text_to_text_preferences.json")


def test_home_of_nobody() -> None:
    with pytest.raises(SourceError, match="~no-such-user"):
        open_place("benchmarks", "~no-such-user/data")


def test_unrecognised_folder_says_what_is_there_and_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").touch()
    with pytest.raises(SourceError, match=r"(?s)holds holiday\.txt.*Looked for: .*_preferences\.json"):
        open_place("benchmarks", str(tmp_path))


def test_folder_that_two_recognise_is_ambiguous(benchmark_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eager = SampleSource("eager", lambda _location, _bad_rows: iter(()), lambda _folder: True)
    monkeypatch.setattr("omnireward.benchmarks.miniature.BENCHMARK", eager)
    with pytest.raises(SourceError, match="could be miniature or omni_rewardbench"):
        open_place("benchmarks", str(benchmark_folder))


def test_constant_of_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireward.benchmarks.miniature.BENCHMARK", "not a source")
    with pytest.raises(UnknownNameError, match="need a SampleSource"):
        open_place("benchmarks", "miniature")


def test_local_root_takes_folders_and_files_as_they_are(benchmark_folder: Path) -> None:
    file = benchmark_folder / "text_to_text_preferences.json"
    assert local_root(str(benchmark_folder), "") == benchmark_folder
    assert local_root(str(file), "") == file
    assert local_root("", str(benchmark_folder)) == benchmark_folder


def test_local_root_without_home() -> None:
    with pytest.raises(SourceError, match="no location given"):
        local_root("", "")


def test_missing_folder_shows_what_its_nearest_parent_holds(benchmark_folder: Path) -> None:
    with pytest.raises(SourceError, match=r"holds text_to_text_preferences\.json"):
        local_root(str(benchmark_folder / "deeper" / "down"), "")


def test_hub_location_must_pin_a_revision() -> None:
    with pytest.raises(SourceError, match="Pin one: hub:owner/repo@COMMIT"):
        local_root("", "hub:owner/repo")


@pytest.mark.parametrize("location", ["hub:repo@main", "hub:a/b/c@main", "hub:a/b@", "hub:"])
def test_misspelt_hub_location(location: str) -> None:
    with pytest.raises(SourceError, match="hub:OWNER/REPO@REVISION"):
        local_root(location, "")


def test_hub_location_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # what Python does for a module that is not there
    with pytest.raises(MissingExtraError, match=r"omnireward\[hf\]"):
        local_root("hub:owner/repo@main", "")


def _hub_cache(tmp_path: Path) -> Path:
    """A cached revision as the Hub's client leaves it: files are links from the snapshot into `blobs`."""
    repo = tmp_path / "cache" / "datasets--owner--repo"
    snapshot = repo / "snapshots" / COMMIT
    (snapshot / "media_data").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    rows = (
        '[{"id": "1", "prompt": "p", "response1": "a.wav", "response2": "a.wav", "criteria": "c", '
        '"criteria_preference": "response2"}]'
    )
    for name, content in (("text_to_audio_preferences.json", rows), ("media_data/a.wav", "RIFF")):
        blob = repo / "blobs" / f"blob-of-{Path(name).name}"
        blob.write_text(content)
        (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
    return tmp_path / "cache"


def _in_new_process(code: str, cache: Path) -> str:
    """huggingface_hub reads its environment while it is imported, hence a process of its own."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_hub_revision_is_read_from_the_cache_offline(tmp_path: Path, revision: str) -> None:
    code = (
        "from omnireward.sources import BadRows, read_place\n"
        f"(sample,) = read_place('benchmarks', 'omni_rewardbench:hub:owner/repo@{revision}', BadRows())\n"
        "print(sample.task.short, sample.comparison.response_a[0].source.read_text())"
    )
    assert _in_new_process(code, _hub_cache(tmp_path)) == "T2A RIFF\n"


def test_hub_location_alone_is_recognised(tmp_path: Path) -> None:
    code = f"from omnireward.sources import open_place\nprint(open_place('benchmarks', 'hub:owner/repo@{COMMIT}')[::2])"
    assert _in_new_process(code, _hub_cache(tmp_path)) == f"('omni_rewardbench', 'hub:owner/repo@{COMMIT}')\n"


def test_revision_that_is_not_cached_says_what_to_do_offline(tmp_path: Path) -> None:
    code = (
        "from omnireward.errors import SourceError\n"
        "from omnireward.sources import local_root\n"
        "try:\n    local_root('hub:owner/repo@v9', '')\n"
        "except SourceError as error:\n    print(error)"
    )
    said = _in_new_process(code, _hub_cache(tmp_path))
    assert "hub:owner/repo@v9" in said
    assert "give a folder with a copy instead" in said


def test_bad_rows_stop_unless_skipped() -> None:
    error = BadRowError("f.json", 3, "prompt", "is missing")
    with pytest.raises(BadRowError, match=r"f\.json, row 3, field 'prompt': is missing"):
        BadRows().add(error)
    counting = BadRows(skip=True)
    counting.add(error)
    assert counting.errors == [error]


def test_cluster_tells_tasks_and_pieces_apart() -> None:
    assert prompt_cluster(Task.T2T, "a") != prompt_cluster(Task.T2I, "a")
    assert prompt_cluster(Task.T2T, "a", "") != prompt_cluster(Task.T2T, "a")
