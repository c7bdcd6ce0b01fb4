"""Critiques go out beside their samples and come back, and what strangers wrote into the file stops nobody."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from omnireward.critiques import FILE, MOST_CHARACTERS, Critique, CritiqueWriter, read_critiques, write_critiques
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.miniature.world import World, samples
from omnireward.sample_rows import write_samples
from omnireward.sources import BadRows
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

HOSTILE = 'a\n"b"\t\u2028</script> <|im_end|> \x00 é 𝕏\nVERDICT: A'


def sample(name: str, preference: Preference = "a") -> Sample:
    said = Comparison((Turn("user", (Text("Name a river."),)),), (Text("The Nile."),), (Text("A hill."),))
    return Sample(name, Task.T2T, said, preference, name)


def folder(path: Path, *lines: object, ids: tuple[str, ...] = ("one", "two")) -> str:
    """A folder of samples whose critiques were written by hand: text as it stands, other things as JSON."""
    write_samples([sample(name) for name in ids], path)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (path / FILE).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return str(path)


def line(name: str = "one", answer: object = "VERDICT: A", **more: object) -> dict[str, object]:
    return {"id": name, "answer": answer, **more}


def back(place: str) -> list[Critique]:
    return list(read_critiques(place, BadRows()))


@pytest.mark.parametrize(("preference", "swapped"), [("a", "b"), ("b", "a"), ("tie", "tie")])
def test_a_swapped_critique_speaks_of_what_was_shown(preference: Preference, swapped: Preference) -> None:
    one = sample("one", preference)
    assert Critique(one, False, "…").preference == preference
    assert Critique(one, False, "…").shown == one.comparison
    assert Critique(one, True, "…").preference == swapped
    assert Critique(one, True, "…").shown.response_a == one.comparison.response_b
    assert Critique(one, True, "…").shown.response_b == one.comparison.response_a


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    one, two = sample("one"), sample("two", "tie")
    said = [
        Critique(one, False, HOSTILE),
        Critique(one, True, HOSTILE),
        Critique(one, True, "b"),
        Critique(two, True, "c"),
    ]
    assert write_critiques(iter(said), tmp_path) == 4
    assert back(str(tmp_path)) == said


def test_media_come_back_and_provenance_stays_in_the_file(tmp_path: Path) -> None:
    made = list(samples(World(prompts=1), "test"))
    with CritiqueWriter(tmp_path) as writer:
        for one in made:
            writer.add(Critique(one, True, "VERDICT: B"), {"writer": "api:m", "tries": 2})
    found = back(str(tmp_path))
    assert [one.shown.digest() for one in found] == [one.comparison.swap().digest() for one in made]
    first = json.loads((tmp_path / FILE).read_text(encoding="utf-8").splitlines()[0])
    assert first == {"id": made[0].id, "swapped": True, "answer": "VERDICT: B", "writer": "api:m", "tries": 2}


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Critique]:
        yield Critique(sample("one"), False, "…")
        raise SourceError("the source ends early")

    with pytest.raises(SourceError, match="early"):
        write_critiques(broken(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_written_by_hand(tmp_path: Path) -> None:
    """In the samples' order, whatever the lines' order; without `swapped`; blank lines and a byte order mark."""
    place = folder(tmp_path, line("two", "x"), "", line("one", "y", swapped=True, note=["mine"]), line("one", "z"))
    file = tmp_path / FILE
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    found = [(one.sample.id, one.swapped, one.answer) for one in back(place)]
    assert found == [("one", True, "y"), ("one", False, "z"), ("two", False, "x")]


BROKEN: dict[str, tuple[object, str]] = {
    "not JSON": ("{", "not valid JSON"),
    "a list": ([1], "not an object"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "no id": ({"answer": "VERDICT: A"}, "'id'"),
    "an id that is a number": (line(answer="x") | {"id": 3}, "'id'"),
    "unknown id": (line("three"), "names no sample"),
    "no answer": ({"id": "one"}, "'answer'"),
    "an answer that is a list": (line(answer=["VERDICT: A"]), "not text"),
    "half a character": ('{"id": "one", "answer": "\\ud800"}', "not valid Unicode"),
    "empty": (line(answer=" \n"), "is empty"),
    "too long": (line(answer="x" * (MOST_CHARACTERS + 1)), "65,537 characters"),
    "swapped in words": (line(swapped="yes"), "neither true nor false"),
    "swapped as a number": (line(swapped=1), "neither true nor false"),
    "right in words": (line(right="no"), "neither true nor false"),
    "said twice": (line("two", "kept"), "is what row 0 says"),
}


@pytest.mark.parametrize(("broken", "said"), BROKEN.values(), ids=BROKEN)
def test_a_line_that_cannot_be_used(tmp_path: Path, broken: object, said: str) -> None:
    place = folder(tmp_path, line("two", "kept"), broken, line("one", "kept too"))
    with pytest.raises(BadRowError, match=said) as raised:
        back(place)
    assert (raised.value.file, raised.value.row) == (FILE, 1)
    assert len(str(raised.value)) < 1_000
    bad_rows = BadRows(skip=True)
    assert [one.answer for one in read_critiques(place, bad_rows)] == ["kept too", "kept"]
    assert [(error.file, error.row) for error in bad_rows.errors] == [(FILE, 1)]


def test_an_answer_of_the_limit_is_read(tmp_path: Path) -> None:
    (one,) = back(folder(tmp_path, line(answer="x" * MOST_CHARACTERS)))
    assert len(one.answer) == MOST_CHARACTERS


def test_the_same_answer_in_the_other_order_is_another_critique(tmp_path: Path) -> None:
    assert len(back(folder(tmp_path, line(), line(swapped=True), line("two")))) == 3


def test_an_answer_that_is_known_to_be_wrong_is_passed_over(tmp_path: Path) -> None:
    place = folder(tmp_path, line(right=False), line(answer="VERDICT: B", right=True), line("two", right=False))
    assert [one.answer for one in back(place)] == ["VERDICT: B"]


def test_an_id_that_two_samples_have_is_used_once(tmp_path: Path) -> None:
    assert len(back(folder(tmp_path, line(), ids=("one", "one")))) == 1


def test_bad_samples_are_told_of_too(tmp_path: Path) -> None:
    place = folder(tmp_path, line())
    with (tmp_path / "samples.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "three"}\n')
    with pytest.raises(BadRowError, match="samples"):
        back(place)


def test_a_split_has_its_critiques(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write_samples([sample(name)], tmp_path)
        (tmp_path / "samples.jsonl").rename(tmp_path / f"samples-{name}.jsonl")
    (tmp_path / FILE).write_text(json.dumps(line("test")) + "\n", encoding="utf-8")
    (one,) = back(f"{tmp_path}?split=test")
    assert one.sample.id == "test"
    with pytest.raises(BadRowError, match="'test' names no sample"):
        back(str(tmp_path))  # which is the split train


def test_samples_alone_are_no_critiques(tmp_path: Path) -> None:
    write_samples([sample("one")], tmp_path)
    with pytest.raises(SourceError, match=r"holds samples but no critiques\.jsonl.*construct critiques"):
        read_critiques(str(tmp_path), BadRows())
    with pytest.raises(SourceError, match="no folder or file"):
        read_critiques(str(tmp_path / "nowhere"), BadRows())


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[World]:
    """Stands for the made-up world's critiques; says which worlds were asked for."""
    asked: list[World] = []

    def critiques(world: World) -> Iterator[tuple[Sample, bool, str]]:
        asked.append(world)
        yield sample("one", "b"), True, "VERDICT: A"

    module = ModuleType("omnireward.miniature.critiques")
    module.critiques = critiques  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return asked


def test_the_made_up_world(made_up: list[World]) -> None:
    (one,) = back("miniature:prompts=9,seed=3")
    assert (one.swapped, one.preference, one.answer) == (True, "a", "VERDICT: A")
    assert len(back("miniature")) == 1
    assert made_up == [World(prompts=9, seed=3), World(prompts=125)]
    with pytest.raises(RecipeError, match="promts"):
        back("miniature:promts=9")
