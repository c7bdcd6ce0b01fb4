"""Reading a run's folder: what is accepted, and which field each refusal names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnireward.errors import BadRowError, SourceError
from omnireward.report import BadRow, ShownPart, ShownTurn, read
from omnireward.types import Task

RUN = {
    "judge": "longer",
    "benchmark": "miniature",
    "command": "omnireward evaluate",
    "seed": 0,
    "samples": 2,
    "bad_rows": [{"file": "x.json", "row": 1, "field": "prompt", "problem": "is missing"}],
    "version": "0.1.0",
}
RECORD = {
    "key": "00ff",
    "index": 0,
    "id": "one",
    "task": "TI2T",
    "cluster": "p",
    "groups": ["g"],
    "preference": "a",
    "margin": 1,
    "rewards": [1.5, 0.5],
    "probabilities": None,
    "rationale": "",
    "error": "",
}
SHOWN = {
    "index": 0,
    "criterion": "c",
    "prompt": [{"role": "user", "content": [{"kind": "text", "text": "hi\u2028there"}]}],
    "response_a": [{"kind": "image", "pictures": ["data:image/png;base64,AA=="], "media": "", "error": ""}],
    "response_b": [{"kind": "audio", "pictures": [], "media": "", "error": "empty"}],
}


def write(folder: Path, *lines: str, run: object = RUN, shown: object = SHOWN) -> Path:
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "judgements.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "shown.jsonl").write_text(json.dumps(shown, ensure_ascii=False) + "\n", encoding="utf-8")
    return folder


def line(**changes: object) -> str:
    return json.dumps({**RECORD, **changes}) + "\n"


def test_reads_everything(tmp_path: Path) -> None:
    found = read(write(tmp_path, line()))
    assert found.run.bad_rows == (BadRow("x.json", 1, "prompt", "is missing"),)
    assert found.records[0].task is Task.TI2T
    assert found.records[0].margin == 1.0
    assert found.records[0].rewards == (1.5, 0.5)
    # U+2028 is a line break to str.splitlines, but not to JSON Lines.
    assert found.shown[0].prompt == (ShownTurn("user", (ShownPart("text", text="hi\u2028there"),)),)
    assert found.shown[0].response_b == (ShownPart("audio", error="empty"),)


def test_a_later_line_supersedes_and_a_torn_last_line_never_happened(tmp_path: Path) -> None:
    folder = write(tmp_path, line(margin=None, error="timeout"), line(margin=2.0), line(key="01", index=1)[:20])
    assert [record.margin for record in read(folder).records] == [2.0]


def test_nothing_to_show_is_fine(tmp_path: Path) -> None:
    folder = write(tmp_path, line())
    (folder / "shown.jsonl").unlink()
    assert read(folder).shown == ()


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"run\.json does not exist.*omnireward evaluate"):
        read(tmp_path)
    with pytest.raises(SourceError, match=r"judgements\.jsonl, line 1: not JSON"):
        read(write(tmp_path, line(), "{oops}\n"))
    with pytest.raises(SourceError, match=r"judgements\.jsonl, line 0: expected an object, given list"):
        read(write(tmp_path, "[]\n"))
    (tmp_path / "run.json").write_bytes(b"\xff")
    with pytest.raises(SourceError, match="not UTF-8"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"margin": float("nan")}, "margin"),
        ({"margin": "1"}, "margin"),
        ({"margin": True}, "margin"),
        ({"error": "failed"}, "margin"),  # an error beside a number
        ({"task": "X2Y"}, "task"),
        ({"preference": "A"}, "preference"),
        ({"index": 0.5}, "index"),
        ({"index": True}, "index"),
        ({"groups": "g"}, "groups"),
        ({"groups": [1]}, "groups"),
        ({"rewards": [1.0]}, "rewards"),
        ({"rewards": [1.0, None]}, "rewards"),
        ({"probabilities": [0.5, 0.5]}, "probabilities"),
        ({"probabilities": [0.5, 0.5, 0.5]}, "probabilities"),
        ({"probabilities": [1.5, -0.5, 0]}, "probabilities"),
        ({"cluster": None}, "cluster"),
    ],
)
def test_a_bad_record_names_its_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(BadRowError, match=rf"judgements\.jsonl, row 1, field '{field}'") as caught:
        read(write(tmp_path, line(key="other", index=5), line(**changes)))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"prompt": "hi"}, "prompt"),
        ({"prompt": ["hi"]}, "prompt"),
        ({"response_a": [{"kind": "smell"}]}, "kind"),
        ({"response_a": [{"kind": "text"}]}, "text"),
        ({"response_a": [{"kind": "image", "pictures": [1]}]}, "pictures"),
    ],
)
def test_a_bad_shown_sample_names_its_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(BadRowError, match=rf"shown\.jsonl, row 0, field '{field}'"):
        read(write(tmp_path, line(), shown={**SHOWN, **changes}))


def test_half_a_surrogate_pair_in_any_text_does_not_cost_the_report(tmp_path: Path) -> None:
    half = "half \ud800"
    run = {**RUN, "bad_rows": [{"file": half, "row": 1, "field": half, "problem": half}]}
    changes = {"id": half, "cluster": half, "groups": [half], "rationale": half}
    write(tmp_path, line(**changes), run=run)
    (tmp_path / "shown.jsonl").write_text(json.dumps(SHOWN).replace("hi", r"\ud800") + "\n")
    found = read(tmp_path)
    assert found.run.bad_rows[0].problem == half
    assert (found.records[0].id, found.records[0].groups) == (half, (half,))
    assert found.shown[0].prompt[0].content[0].text.startswith("\ud800")


def test_a_file_is_no_folder_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="A report is made from a folder that"):
        read(tmp_path / "file")


VOTE = {
    "verdict": "tie",
    "swapped": True,
    "repeat": 2,
    "provenance": {"source": "x"},
    "criterion_words": 7,
    "media_seconds": 1,
}


def test_reads_votes_and_settings_and_does_without_them(tmp_path: Path) -> None:
    settings = {"order": "both", "repeats": 2, "frames": None, "tags": ["x"]}
    found = read(write(tmp_path, line(**VOTE), run={**RUN, "settings": settings, "skipped": {"T2A": 3}}))
    assert (found.run.settings, found.run.skipped) == (settings, {"T2A": 3})
    vote = found.records[0]
    assert (vote.verdict, vote.swapped, vote.repeat) == ("tie", True, 2)
    assert (vote.provenance, vote.criterion_words, vote.media_seconds) == ({"source": "x"}, 7, 1.0)
    old = read(write(tmp_path, line()))
    assert (old.run.settings, old.run.skipped) == ({}, {})
    vote = old.records[0]
    assert (vote.verdict, vote.swapped, vote.repeat, vote.provenance) == (None, False, 0, {})
    assert (vote.criterion_words, vote.media_seconds) == (None, None)
    nulls = {"verdict": None, "criterion_words": None, "media_seconds": None}
    assert read(write(tmp_path, line(**nulls))).records[0] == vote


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"verdict": "A"}, "verdict"),
        ({"verdict": 1}, "verdict"),
        ({"verdict": "a", "margin": None}, "verdict"),
        ({"swapped": 1}, "swapped"),
        ({"swapped": None}, "swapped"),
        ({"repeat": -1}, "repeat"),
        ({"repeat": True}, "repeat"),
        ({"repeat": 0.0}, "repeat"),
        ({"provenance": ["x"]}, "provenance"),
        ({"provenance": {"x": 1}}, "provenance"),
        ({"criterion_words": -1}, "criterion_words"),
        ({"criterion_words": 1.5}, "criterion_words"),
        ({"media_seconds": float("inf")}, "media_seconds"),
        ({"media_seconds": "1"}, "media_seconds"),
    ],
)
def test_a_bad_vote_names_its_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(BadRowError, match=rf"judgements\.jsonl, row 0, field '{field}'"):
        read(write(tmp_path, line(**changes)))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"settings": []}, "settings"),
        ({"settings": None}, "settings"),
        ({"settings": {"temperature": float("nan")}}, "settings"),
        ({"skipped": {"T2A": -1}}, "skipped"),
        ({"skipped": {"T2A": "3"}}, "skipped"),
    ],
)
def test_a_bad_run_names_its_field(tmp_path: Path, changes: dict[str, object], field: str) -> None:
    with pytest.raises(BadRowError, match=rf"run\.json, row 0, field '{field}'"):
        read(write(tmp_path, line(), run={**RUN, **changes}))
