"""The same bytes however often, in whatever parts, and after whatever end."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.construct.mix_samples import (
    everything,
    folder,
    mixed,
    numbered,
    random_world,
)

from omnireward.construct import mix_writing
from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.parts import Part
from omnireward.errors import JournalError, SourceError


def test_same_command_and_other_order_give_the_same_bytes(tmp_path: Path) -> None:
    worlds = [random_world(seed, 30) for seed in (1, 2)]
    places = [folder(tmp_path / f"s{seed}", world) for seed, world in enumerate(worlds)]
    config = MixConfig(
        sources=dict.fromkeys(places, 1.0), out=tmp_path / "out", splits={"train": 0.8, "test": 0.2}, total=40
    )
    mix(config)
    before = everything(tmp_path / "out")
    mix(config)
    assert everything(tmp_path / "out") == before
    (tmp_path / "out").rename(tmp_path / "first")
    backwards: dict[str, Any] = {"sources": dict.fromkeys(reversed(places), 1.0), "splits": {"test": 0.2, "train": 0.8}}
    mix(replace(config, **backwards, workers=2))
    assert everything(tmp_path / "out") == before


def test_parquet_has_the_same_bytes_twice(tmp_path: Path) -> None:
    mixed(tmp_path, random_world(1, 30), form="parquet")
    before = everything(tmp_path / "out")
    mixed(tmp_path, random_world(1, 30), form="parquet")
    assert everything(tmp_path / "out") == before
    assert not (tmp_path / "out" / "media").exists()


def test_shards_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    mixed(tmp_path, random_world(1, 40), out="whole")
    first = mixed(tmp_path, random_world(1, 40), out="shards", shard="1/2")
    assert first.waiting == (Part(0, 2),)
    assert (first.samples, [path.name for path in (tmp_path / "shards").glob("*.jsonl")]) == (0, [])
    mixed(tmp_path, random_world(1, 40), out="shards", shard="0/2")
    left = {name: data for name, data in everything(tmp_path / "shards").items() if not name.startswith(".mixing/")}
    whole = everything(tmp_path / "whole")
    for name in ("README.md", "config.yaml"):  # they name the folder
        left[name] = left[name].replace(b"shards", b"whole")
    assert left == whole


def test_a_changed_source_between_shards_is_noticed(tmp_path: Path) -> None:
    mixed(tmp_path, numbered(10), shard="0/2")
    with pytest.raises(JournalError, match="did not read the same"):
        mixed(tmp_path, numbered(11), shard="1/2")


def test_a_source_that_changes_between_the_passes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(*arguments: Any, **named: Any) -> Any:
        folder(tmp_path / "s0", list(reversed(numbered(10))))
        return write(*arguments, **named)

    write = mix_writing.write
    monkeypatch.setattr("omnireward.construct.mix.write", meanwhile)
    with pytest.raises(SourceError, match="changed while it was being mixed"):
        mixed(tmp_path, numbered(10))


KILLED = """
import os, signal, sys
from pathlib import Path
from omnireward.construct import mix, mix_config, mix_index, mix_parts, mix_writing

def run(out):
    shares = {"train": 0.9, "test": 0.1}
    mix.mix(mix_config.MixConfig(sources={sys.argv[1]: 1.0}, out=Path(out), splits=shares))

def dies(module, name, calls):
    usual = getattr(module, name)
    def instead(*arguments, **named):
        nonlocal calls
        calls -= 1
        if not calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*arguments, **named)
    setattr(module, name, instead)

for moment in [(mix_parts, "keys_of", 50), (mix_parts, "finish", 1), (mix_index, "join", 1),
               (mix_writing, "_final", 50), (mix, "dataset_card", 1), (mix, "save", 1)]:
    child = os.fork()
    if not child:
        dies(*moment)
        run(sys.argv[2])
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
run(sys.argv[2])
"""


def test_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    """SIGKILL in either pass, and while files are put in their place; the next run gives the usual bytes."""
    mixed(tmp_path, random_world(1, 100), splits={"train": 0.9, "test": 0.1})
    whole = everything(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "whole")
    words = [sys.executable, "-c", KILLED, f"samples:{tmp_path / 's0'}", str(tmp_path / "out")]
    subprocess.run(words, check=True)
    assert everything(tmp_path / "out") == whole
