"""Yields by hand, and what was exported read back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.annotate.world import SENTENCE, World, text_sample

from omnireward.annotate.export import export
from omnireward.errors import RecipeError, SourceError
from omnireward.sources import BadRows, read_place
from omnireward.types import Preference

PEOPLE = ("ann", "ben", "cid")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten samples of two criteria. Of the twenty: 3 vague, 1 over-specific, 1 other; 3 without majority (one of them
    adjudicated), 11 with one, 1 whose votes are not all in.
    """
    out = tmp_path_factory.mktemp("annotations")
    samples, gold = [text_sample(f"s{i}") for i in range(10)], [text_sample("g", "", "b")]
    world = World(out, samples, adjudicator="dan", gold=gold, gold_every=2)
    with world.store:
        for i in range(10):
            world.write("ann", f"First sentence {i}.", f"Second sentence {i}.")
        for verdict in ["vague", "vague", "vague", "specific", "other"] + ["ok"] * 15:
            world.check("ben", verdict)
        said: dict[str, tuple[Preference, Preference, Preference]] = {}
        split: tuple[Preference, Preference, Preference] = ("a", "b", "tie")
        plans = [split] * 3 + [("a", "a", "b"), ("tie", "tie", "tie")] + [("b", "b", "b")] * 9 + [("a", "a", "a")]
        for place, name in enumerate(PEOPLE):
            while (handed := world.next(name)) is not None:
                if world.rows("SELECT gold FROM item WHERE id = ?", handed.id) == [(1,)]:
                    world.vote(name, "b" if name != "cid" else "tie")
                    continue
                plan = said.setdefault(handed.criterion, plans[len(said)] if len(said) < 15 else split)
                if name == "cid" and list(said).index(handed.criterion) == 14:
                    break
                world.vote(name, plan[place])
        world.vote("dan", "tie")
        world.undo("cid")  # the ninth of the unanimous ones ...
        world.vote("cid", "b")  # ... and there it is again
    return out


def test_the_yield_by_hand(folder: Path, tmp_path: Path) -> None:
    report = export(folder, tmp_path / "out", names=True)
    assert report["yield"] == {
        "criteria": 20,
        "valid": 15,
        "agreed": 12,
        "dropped": {"vague": 3, "specific": 1, "other": 1, "no consensus": 2},
    }
    assert report["said"].splitlines() == [
        "Of 20 criteria, 25.0 % were dropped as vague, over-specific or otherwise invalid.",
        "10.0 % were dropped without consensus. 12 (60.0 %) have a preference.",
    ]
    assert report["fates"]["voting"] == 1
    people = {person["name"]: person for person in report["people"]}
    assert (people["ann"]["done"], people["ben"]["done"], people["cid"]["done"]) == (10 + 15 + 1, 20 + 15 + 1, 14 + 1)
    assert [(people[name]["gold_right"], people[name]["gold"]) for name in PEOPLE] == [(1, 1), (1, 1), (0, 1)]
    assert people["ann"]["median_seconds"] == 2.0
    # ann and ben differ in the three splits of fifteen.
    assert report["pairs"][0] == {"who": ["ann", "ben"], "same": 12, "both": 15}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report


def test_samples_come_back_as_a_dataset(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "out", names=True)
    found = list(read_place("datasets", str(tmp_path / "out"), BadRows()))
    assert Counter(sample.preference for sample in found) == {"a": 1, "b": 9, "tie": 2}
    (adjudicated,) = [sample for sample in found if sample.provenance["annotated"] == "adjudicated"]
    assert adjudicated.preference == "tie"
    assert adjudicated.provenance == {
        "source": "made up",
        "annotated": "adjudicated",
        "votes": "a 1, b 1, tie 1",
        "annotators": "ann, ben, cid",
        "writer": "ann",
        "checker": "ben",
        "adjudicator": "dan",
    }
    # s0 and s1 lost all four, s2 its first: so the first that is left is s2's second.
    assert adjudicated.id == "s2#2"
    original = text_sample("s2").comparison
    assert adjudicated.comparison.criterion == "Second sentence 2."
    assert (adjudicated.comparison.prompt, adjudicated.comparison.response_a) == (original.prompt, original.response_a)
    assert (adjudicated.cluster, adjudicated.groups) == ("cluster of s2", ("rivers",))
    assert len({sample.id for sample in found}) == len(found) == 12


def test_all_votes_come_raw_in_two_forms(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "out", names=True)
    lines = [json.loads(line) for line in (tmp_path / "out" / "votes.jsonl").read_text().splitlines()]
    assert len(lines) == 15 + 15 + 14 + 3 + 1 + 1  # three people, a gold vote each, the adjudicator, one taken back
    assert Counter(line["person"] for line in lines) == {"ann": 16, "ben": 16, "cid": 16, "dan": 1}
    gone = [line for line in lines if line["taken_back_at"] is not None]
    assert [(line["person"], line["choice"]) for line in gone] == [("cid", "b")]
    assert sum(line["gold"] for line in lines) == 3
    assert {line["left"] for line in lines} == {"a", "b"}
    table = pq.read_table(tmp_path / "out" / "votes.parquet").to_pylist()
    assert [row["choice"] for row in table] == [line["choice"] for line in lines]
    assert [row["at"].isoformat(timespec="milliseconds") for row in table] == [line["at"] for line in lines]


def test_names_stay_here_unless_asked_for(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "out", names=False)
    for path in (tmp_path / "out").glob("*.json*"):
        said = path.read_text()
        assert not any(f'"{name}"' in said or f"{name}, " in said for name in (*PEOPLE, "dan")), path.name
    assert "person-1, person-2, person-3" in (tmp_path / "out" / "samples.jsonl").read_text()


def test_criteria_say_what_became_of_them(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "out", names=True)
    lines = [json.loads(line) for line in (tmp_path / "out" / "criteria.jsonl").read_text().splitlines()]
    assert [line["fate"] for line in lines[:6]] == ["vague"] * 3 + ["specific", "other", "adjudicated"]
    assert {line["writer"] for line in lines} == {"ann"}
    assert lines[5]["preference"] == "tie"


def test_a_criterion_that_came_along_keeps_its_samples_id(tmp_path: Path) -> None:
    world = World(tmp_path / "in", [text_sample("one", SENTENCE)], overlap=1)
    with world.store:
        world.vote("ann", "b")
        export(tmp_path / "in", tmp_path / "out", names=False)  # also while the server runs
    (sample,) = read_place("datasets", str(tmp_path / "out"), BadRows())
    assert (sample.id, sample.preference, sample.comparison.criterion) == ("one", "b", SENTENCE)


def test_an_export_never_overwrites_and_needs_annotations(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RecipeError, match="not empty"):
        export(folder, tmp_path, names=False)
    with pytest.raises(SourceError, match=r"no annotations\.sqlite"):
        export(tmp_path, tmp_path / "new", names=False)
