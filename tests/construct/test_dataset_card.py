"""The card says what is in the files, and nothing in it comes alive."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from tests.construct.mix_samples import asked, drawn, folder, mixed, written

from omnireward.construct.dataset_card import OURS, licence
from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.sources import SampleSource

HOSTILE = "</td><script>alert(1)</script>\n# Title | x | [a](javascript:b) ![c](https://d) `e` ---\n- f"


def tables(card: str) -> dict[str, list[list[str]]]:
    """Each table's rows, by its head."""
    found: dict[str, list[list[str]]] = {}
    for block in card.split("\n\n"):
        lines = block.splitlines()
        if len(lines) > 2 and all(line.startswith("| ") for line in lines):
            head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
            found[" ".join(head)] = rows
    return found


def test_counts_are_those_of_the_files(tmp_path: Path) -> None:
    first = [asked(f"Q{n}", said="tie" if n % 4 == 0 else "b") for n in range(40)]
    second = [drawn(f"D{n}", (f"{n}", f"{n}'")) for n in range(20)]
    found = mixed(tmp_path, first, [*second, second[0]], splits={"train": 0.75, "test": 0.25}, total=50)
    card = (tmp_path / "out" / "README.md").read_text()
    head = "samples prefer a prefer b ties with criterion"
    samples = {split: written(tmp_path / "out", split) for split in ("test", "train")}
    for split, *numbers in tables(card)[f"split {head}"]:
        sides = Counter(one.preference for one in samples[split])
        criteria = sum(bool(one.comparison.criterion) for one in samples[split])
        assert list(map(int, numbers)) == [len(samples[split]), sides["a"], sides["b"], sides["tie"], criteria]
    cells = Counter(
        (one.provenance["place"].replace(":", ":"), one.task.short, split)
        for split, ones in samples.items()
        for one in ones
    )
    told = {tuple(row[:3]): int(row[3]) for row in tables(card)[f"source task split {head}"]}
    assert told == dict(cells)
    left = {tuple(row[:3]): int(row[3]) for row in tables(card)["source task reason samples"]}
    assert sum(left.values()) + found.samples == 61
    assert left["samples:s1", "T2I", "the same comparison stands elsewhere"] == 1
    rows = {
        row[0]: row[1:] for row in tables(card)["source licence samples read rows that cannot be used samples taken"]
    }
    assert {name: (row[1], row[2]) for name, row in rows.items()} == {
        "samples:s0": ("40", "0"),
        "samples:s1": ("21", "0"),
    }
    assert "omnireward construct mix --sources samples:s0 1.0 samples:s1 1.0 --out out --total 50" in card


def test_nothing_from_a_source_comes_alive(tmp_path: Path) -> None:
    one = asked(HOSTILE, id=HOSTILE, cluster=HOSTILE, provenance={"source": HOSTILE, HOSTILE: HOSTILE})
    place = folder(tmp_path / "a|b <i>#[c](d)", [one])
    mix(MixConfig(sources={place: 1.0}, out=tmp_path / "out"))
    card = (tmp_path / "out" / "README.md").read_text()
    outside = re.sub(r"```sh\n.*?\n```", "", card.replace(OURS, ""), flags=re.DOTALL)
    for alive in ("<script", "</td>", "<i>", "](", "\n# Title", "\n- f"):
        assert alive not in outside
    assert all(len(row) == 8 for row in tables(card)["source task split samples prefer a prefer b ties with criterion"])
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "other"


def test_licences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source states its own; a sample's origin is looked up by its name, and no place in a sample is opened."""
    from omnireward.datasets import omni_rewarddata, samples

    known = {samples: "mit", omni_rewarddata: "cc-by-nc-4.0"}
    for module, terms in known.items():
        source = module.DATASET
        monkeypatch.setattr(
            module, "DATASET", SampleSource(source.summary, source.read, source.recognises, licence=terms)
        )
    named = [
        asked("Q1", provenance={"source": "omni_rewarddata:hub:a/b@c"}),
        asked("Q2", provenance={"source": "hub:a/b@c"}),
    ]
    found = mixed(tmp_path, named)
    assert dict(found.licences) == {"samples:s0": "mit"}
    assert {origin.name: origin.licence for origin in found.origins} == {
        "omni_rewarddata:hub:a/b@c": "cc-by-nc-4.0",
        "hub:a/b@c": "",
    }
    assert yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])["license"] == "mit"
    assert licence(["MIT; drop table"]) == "other"


def test_an_edited_card_stays(tmp_path: Path) -> None:
    mixed(tmp_path, [asked("Q")])
    card = tmp_path / "out" / "README.md"
    card.write_bytes(b"# Mine\n\xff")  # in whatever letters
    mixed(tmp_path, [asked("Q")])
    assert card.read_bytes() == b"# Mine\n\xff"
