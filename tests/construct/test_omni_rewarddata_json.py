"""Omni-RewardData's form: what it can express is read back equal, and what it cannot is refused with a reason."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.construct.mix_samples import asked, drawn, mixed, picture, seen

from omnireward.construct.omni_rewarddata_json import MARKED, MISREAD, SHAPE, TIE
from omnireward.sources import BadRows, read_place
from omnireward.types import Comparison, Media, Part, Sample, Task, Text, Turn


def made(task: Task, prompt: tuple[Part, ...], a: Part, b: Part, **more: Any) -> Sample:
    comparison = Comparison((Turn("user", prompt),), (a,), (b,), "The better one is better.")
    return replace(Sample(task.short, task, comparison, "a", "c"), **more)


def frames(*names: str) -> Media:
    return Media("video", tuple(b"\x89PNG" + name.encode() for name in names))


def clip(name: str) -> Media:
    return Media("video", b"\x00\x00\x00 ftyp" + name.encode())


def sound(name: str) -> Media:
    return Media("audio", b"RIFF....WAVE" + name.encode())


def render(name: str) -> Media:
    return Media("mesh", (b"\x89PNG" + name.encode(),))


WORDS = Text("A red cube.")
EXPRESSIBLE = [
    asked("What is it?"),
    asked("And with a literal <b>tag</b>?", ("x\n", " y"), id="spaced"),
    seen("What is this?", ["one"]),
    seen("What are these?", ["one", "two", "three"], id="three pictures"),
    made(Task.TV2T, (clip("asked"), Text("What happens?")), Text("It moves."), Text("It rests.")),
    made(Task.TA2T, (Text("Before "), sound("asked"), Text(" after")), Text("A horn."), Text("A cat.")),
    drawn("A blue ball.", ("ball", "cube")),
    made(Task.T2V, (WORDS,), clip("red"), clip("blue")),
    made(Task.T2V, (WORDS,), frames("1", "2", "3"), frames("4", "5", "6"), id="frames"),
    made(Task.T2A, (WORDS,), sound("loud"), sound("soft")),
    made(Task.T23D, (WORDS,), render("good"), render("bad")),
    made(Task.TI2I, (picture("source"), Text("Make it red.")), picture("red"), picture("green")),
    replace(
        asked("last"),
        id="turns",
        comparison=Comparison(
            (
                Turn("user", (Text("Hi."),)),
                Turn("assistant", (Text("Hello."),)),
                Turn("user", (Text("Name a river."),)),
            ),
            (Text("The Nile."),),
            (Text("The Moon."),),
            "It should be right.",
        ),
    ),
]


def back(out: Path) -> list[Sample]:
    return list(read_place("datasets", f"omni_rewarddata:{out}", BadRows()))


def test_what_it_can_express_is_read_back_equal(tmp_path: Path) -> None:
    found = mixed(tmp_path, EXPRESSIBLE, form="omni-rewarddata")
    assert dict(found.reasons()) == {}
    expected = Counter((one.task, one.comparison.digest()) for one in EXPRESSIBLE)
    read = back(tmp_path / "out")
    assert Counter((one.task, one.comparison.digest()) for one in read) == expected
    assert {one.preference for one in read} == {"a"}
    assert sum(portion.a for portion in found.portions) == len(EXPRESSIBLE)


def test_the_preferred_response_is_chosen_whichever_side_it_is_on(tmp_path: Path) -> None:
    one = asked("Q", ("worse", "better"), "b")
    mixed(tmp_path, [one], form="omni-rewarddata")
    (read,) = back(tmp_path / "out")
    assert (read.comparison, read.preference) == (one.comparison.swap(), "a")


REFUSED = {
    TIE: [asked("tie", said="tie")],
    MARKED: [asked("What does <image> mean?"), asked("Q", ("<video>", "no")), seen("<audio>", ["one"])],
    MISREAD: [
        seen("Which is better?", ["one", "two"]),  # would be one response each
        made(Task.T2V, (WORDS,), frames("1"), frames("2")),  # would be two pictures
        made(Task.T2V, (WORDS,), frames("1", "2"), frames("1", "3")),  # would be an edit of frame 1
        made(Task.T2V, (WORDS,), frames("1", "2", "3"), frames("4", "5", "6", "7", "8")),
        made(Task.TI2T, (Text("no words"), Text(" between")), Text("x"), Text("y")),  # would be one text
        made(Task.TA2A, (sound("asked"), WORDS), sound("x"), sound("y")),
    ],
    SHAPE: [
        made(Task.TI2I, (Text("Make it red."), picture("source")), picture("red"), picture("green")),  # words first
        made(Task.T23D, (WORDS,), Media("mesh", b"glTF good"), Media("mesh", b"glTF bad")),
        made(Task.TI2T, (picture("one"), clip("two"), WORDS), Text("x"), Text("y")),
        made(Task.TV2T, (frames("1", "2"), WORDS), Text("x"), Text("y")),
        made(Task.TI2TI, (WORDS,), Text("x"), picture("y")),
        replace(
            asked("system"),
            comparison=Comparison(
                (Turn("system", (Text("Be brief."),)), Turn("user", (WORDS,))), (Text("x"),), (Text("y"),)
            ),
        ),
    ],
}


@pytest.mark.parametrize("reason", REFUSED, ids=["tie", "marked", "misread", "shape"])
def test_what_it_cannot_express_is_refused_with_a_reason(tmp_path: Path, reason: str) -> None:
    bad = [replace(one, id=f"bad {number}") for number, one in enumerate(REFUSED[reason])]
    found = mixed(tmp_path, [*bad, asked("fine")], form="omni-rewarddata")
    assert dict(found.reasons()) == {reason: len(bad)}
    assert len(back(tmp_path / "out")) == found.samples == 1


def test_the_files_that_llama_factory_looks_for(tmp_path: Path) -> None:
    found = mixed(tmp_path, EXPRESSIBLE, form="omni-rewarddata", splits={"train": 0.7, "test": 0.3})
    index = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    assert {entry["file_name"] for entry in index.values()} == set(found.files) - {"dataset_info.json"}
    rows = 0
    for entry in index.values():
        table = json.loads((tmp_path / "out" / entry["file_name"]).read_text())
        rows += len(table)
        for row in table:
            assert set(entry["columns"].values()) == row.keys() - {"id"}
            for column in ("images", "videos", "audios"):
                assert all((tmp_path / "out" / name).is_file() for name in row.get(column, ()))
    assert rows == found.samples == len(EXPRESSIBLE)


def test_real_rows_come_through(tmp_path: Path) -> None:
    real = Path(__file__).resolve().parents[2] / ".." / "shared" / "real" / "omni_rewarddata_sample"
    if not real.is_dir():
        pytest.skip("needs ../shared/real/omni_rewarddata_sample")
    from omnireward.construct.mix import mix
    from omnireward.construct.mix_config import MixConfig

    place = f"omni_rewarddata:{real}"
    found = mix(MixConfig(sources={place: 1.0}, out=tmp_path / "out", form="omni-rewarddata"))
    left = sum(found.reasons().values())
    assert found.samples + left == found.read[place] == 300
    expected = {one.comparison.digest() for one in read_place("datasets", place, BadRows())}
    assert {one.comparison.digest() for one in back(tmp_path / "out")} <= expected
