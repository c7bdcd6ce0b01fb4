"""One process at a time, and what an earlier one has left."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.construct.mix_samples import asked, drawn, everything, folder, mixed

from omnireward.cli import main
from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.mix_folder import STATE, WORK, at_work
from omnireward.construct.parts import Part
from omnireward.errors import JournalError

TWO = """
import sys, time
from pathlib import Path
from omnireward.construct import mix, mix_config, mix_parts

def slow(sample):
    (Path(sys.argv[2]).parent / "reading").touch()
    time.sleep(0.05)
    return usual(sample)

usual, mix_parts.keys_of = mix_parts.keys_of, slow
mix.mix(mix_config.MixConfig(sources={sys.argv[1]: 1.0}, out=Path(sys.argv[2])))
"""


def test_the_same_command_twice_at_once_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    """The second comes while the first reads; it would write the same files."""
    samples = [asked(f"Question {n}?") for n in range(40)]
    place = folder(tmp_path / "s0", samples)
    with subprocess.Popen([sys.executable, "-c", TWO, place, str(tmp_path / "out")]) as first:
        while not (tmp_path / "reading").exists():
            assert first.poll() is None
        with pytest.raises(JournalError, match="another process is at work"):
            mixed(tmp_path, samples)
    assert first.returncode == 0
    before = everything(tmp_path / "out")
    mixed(tmp_path, samples)
    assert everything(tmp_path / "out") == before
    assert not (tmp_path / "out" / WORK).exists()


def test_other_shards_may_be_at_work(tmp_path: Path) -> None:
    config = MixConfig(sources={"miniature": 1.0}, out=tmp_path / "out")
    with at_work(config, Part(0, 2)), at_work(config, Part(1, 2)):
        assert json.loads((tmp_path / "out" / STATE).read_text())["settings"]["seed"] == 0
        with pytest.raises(JournalError, match="shard 0/2"), at_work(config, Part(0, 1)):
            pass


def test_a_lock_of_a_folder_that_was_cleared_meanwhile_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process removes the folder between this one's opening of the file and its lock."""

    def late(descriptor: int, operation: int) -> None:
        for path in (tmp_path / "out" / WORK).rglob(".lock"):
            path.unlink()
        flock(descriptor, operation)

    flock = fcntl.flock
    monkeypatch.setattr("omnireward.construct.claims.fcntl.flock", late)
    with pytest.raises(JournalError, match="has just ended"):
        mixed(tmp_path, [asked("Q")])


def test_what_was_killed_while_it_claimed_the_folder_does_not_block_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f".{STATE}.new").write_text('{"sett')
    assert mixed(tmp_path, [asked("Q")]).samples == 1


def test_media_that_no_sample_shows_any_more_go(tmp_path: Path) -> None:
    """A source has lost samples, and a killed process has left half a file."""
    samples = [drawn(f"Draw {n}", (f"{n}", f"{n}'")) for n in range(4)]
    mixed(tmp_path, samples)
    (tmp_path / "out" / "media" / "00").mkdir(exist_ok=True)
    (tmp_path / "out" / "media" / "00" / ".123-half.png").write_bytes(b"\x89PN")
    mixed(tmp_path, samples[:2])
    mixed(tmp_path, samples[:2], out="fresh")
    found = [{name for name in everything(tmp_path / out) if "media" in name} for out in ("out", "fresh")]
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_no_file_outside_is_removed_whatever_the_folder_says_of_itself(tmp_path: Path) -> None:
    mixed(tmp_path, [asked("Q")])
    (tmp_path / "precious").write_text("mine")
    state = json.loads((tmp_path / "out" / STATE).read_text())
    state["files"] += ["../precious", str(tmp_path / "precious"), "samples-old.jsonl", 3]
    (tmp_path / "out" / STATE).write_text(json.dumps(state))
    (tmp_path / "out" / "samples-old.jsonl").write_text("{}\n")
    mixed(tmp_path, [asked("Q")])
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "out" / "samples-old.jsonl").exists()


def test_parts_that_overlap_are_not_read_twice(tmp_path: Path) -> None:
    """Such as parts of several divisions that were copied into one folder."""
    samples = [asked(f"Question {n}?") for n in range(9)]
    mixed(tmp_path, samples, out="a", shard="0/2")
    mixed(tmp_path, samples, out="b", shard="0/4")
    (tmp_path / "b" / WORK / "parts" / "0-of-4").rename(tmp_path / "a" / WORK / "parts" / "0-of-4")
    with pytest.raises(JournalError, match="overlap"):
        mixed(tmp_path, samples, out="a", shard="1/2")


def test_a_source_that_says_something_else_to_a_later_shard_is_noticed(tmp_path: Path) -> None:
    """As many samples with the same ids, of which one was edited."""
    samples = [asked(f"Question {n}?", id=str(n)) for n in range(9)]
    mixed(tmp_path, samples, shard="0/2")
    with pytest.raises(JournalError, match="did not read the same"):
        mixed(tmp_path, [*samples[:8], asked("Another question?", id="8")], shard="1/2")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints, and that the config it leaves is a recipe for the same."""
    folder(tmp_path / "s[b]?", [asked(f"Q{n}", said="tie" if n == 0 else "a") for n in range(5)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    words = f"--sources samples:s[b]? 1 {tmp_path}/s[b]??split= 0.5 --out out --splits train 1 test 0.01".split()
    assert main(["construct", "mix", *words, "--dry-run"]) == 0
    assert "5 samples would be taken. Nothing was written." in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main(["construct", "mix", *words]) == 0
    said = capsys.readouterr().out
    assert any(line.split() == ["s[b]??split=", "T2T", "train", "5", "2", "2", "1", "0"] for line in said.splitlines())
    for line in (
        "empty: test.",
        "left out: 5 (the same comparison stands elsewhere)",
        "5 samples are in out: samples-train.jsonl; the card is README.md.",
    ):
        assert line in said
    before = everything(tmp_path / "out")
    assert str(tmp_path).encode() not in b"".join(before.values())
    assert main(["construct", "mix", "--recipe", "out/config.yaml"]) == 0
    assert everything(tmp_path / "out") == before
    assert main(["construct", "mix", *words, "--seed", "1"]) == 2
    assert "another mixture" in capsys.readouterr().err


def test_a_mixture_of_a_mixture_reads_what_was_written(tmp_path: Path) -> None:
    """Sides are swapped and swapped back: `swapped` says how they stand to the first source."""
    samples = [asked(f"Question {n}?", id=str(n)) for n in range(40)]
    mixed(tmp_path, samples)
    found = mix(MixConfig(sources={f"samples:{tmp_path / 'out'}": 1.0}, out=tmp_path / "again", seed=5))
    assert found.samples == 40
    again = [json.loads(line) for line in (tmp_path / "again" / "samples-train.jsonl").read_text().splitlines()]
    assert all(("swapped" in row["provenance"]) == (row["preference"] == "b") for row in again)
