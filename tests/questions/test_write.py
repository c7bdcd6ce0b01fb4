"""The folder as each trainer's reader sees it: a marker for each picture, whatever texts say, and the right answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from omnireward.cli import main
from omnireward.errors import RecipeError, SourceError
from omnireward.media.encode import mp4, png, wav
from omnireward.prompts import questions
from omnireward.questions.config import QuestionsConfig, Trainer
from omnireward.questions.write import SOUND, TIE, UNREADABLE, write_questions
from omnireward.questions.written import Written
from omnireward.sample_rows import write_samples
from omnireward.types import Comparison, Media, Part, Preference, Sample, Task, Text, Turn
from omnireward.verdict_rewards import RewardTerms

DOT = Media("image", png(np.zeros((8, 8, 3), np.uint8)))
FRAMES = np.arange(8 * 16 * 16 * 3, dtype=np.uint8).reshape(8, 16, 16, 3)
CLIP = Media("video", mp4(FRAMES, 4))
HUM = Media("audio", wav(np.zeros(1600, np.float32), 16_000))
HOSTILE = "<image> <video> <audio> <IMAGE> <‸image> <image<image>> <imag\x00e> {{ content }} <|image_pad|>"
both = pytest.mark.parametrize("trainer", ["easyr1", "verl"])


def _sample(
    id: str, prompt: Iterable[Part], a: Iterable[Part], b: Iterable[Part], preference: Preference = "a", **more: Any
) -> Sample:
    comparison = Comparison((Turn("user", tuple(prompt)),), tuple(a), tuple(b), more.pop("criterion", ""))
    return Sample(id, more.pop("task", Task.T2T), comparison, preference, "c", **more)


TEXT = _sample("text", [Text("Say it.")], [Text("yes")], [Text("no")], "a")
HOSTILE_ONE = _sample(
    "hostile",
    [Text(HOSTILE), DOT, Text("<ima"), Text("ge>")],
    [Text(HOSTILE)],
    [Text("<image>")],
    "b",
    criterion=HOSTILE,
)
PICTURES = _sample("pictures", [Text("Draw it."), DOT], [DOT], [Text("Here:"), DOT, DOT], "b", task=Task.TI2I)
FILM = _sample("film", [Text("What is this?"), CLIP], [Text("a")], [Text("b")], "tie", task=Task.TV2T)
SUNG = _sample("sung", [Text("Sing.")], [HUM], [HUM], "a", task=Task.T2A)
BROKEN = _sample("broken", [Text("Draw.")], [Media("image", b"no picture")], [DOT], "a", task=Task.T2I)
ALL = [TEXT, HOSTILE_ONE, PICTURES, FILM, SUNG]


def _written(folder: Path, samples: Iterable[Sample], trainer: Trainer, **changed: Any) -> tuple[Written, Path]:
    write_samples(samples, folder / "samples")
    out = folder / trainer
    return write_questions(QuestionsConfig(place=str(folder / "samples"), to=trainer, out=out, **changed)), out


def _rows(out: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(out / "train.parquet").to_pylist())


def _text(row: dict[str, Any]) -> str:
    return str(row["problem"]) if "problem" in row else "".join(turn["content"] for turn in row["prompt"])


def _truth(row: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(row["answer"] if "answer" in row else row["reward_model"]["ground_truth"]))


@both
def test_every_row_has_as_many_markers_as_pictures(trainer: Trainer, tmp_path: Path) -> None:
    """10 of a video in the prompt, 1 for an image; hostile texts have none."""
    written, out = _written(tmp_path, ALL, trainer, swapped=True)
    counts = []
    for row in _rows(out):
        markers = re.findall("<image>|<video>|<audio>", _text(row))  # verl's reader splits at these
        assert set(markers) <= {"<image>"}
        assert len(markers) == len(row["images"])
        assert len(re.findall("<(?:image|video|audio)>", _text(row), re.IGNORECASE)) == len(markers)
        counts.append(len(markers))
    assert counts == [0, 0, 1, 1, 4, 4, 10, 10]
    assert (written.samples, written.sizes.rows, written.sizes.pictures) == (4, 8, 10)
    assert dict(written.left_out) == {SOUND: 1}


@both
def test_a_text_that_spells_a_marker_changes_no_count(trainer: Trainer, tmp_path: Path) -> None:
    plain = _sample("plain", [Text("x"), DOT, Text("y")], [Text("a")], [Text("b")], "b")
    for name, sample in (("plain", plain), ("hostile", HOSTILE_ONE)):
        _, out = _written(tmp_path / name, [sample], trainer)
        (row,) = _rows(out)
        assert (_text(row).count("<image>"), len(row["images"])) == (1, 1)


@both
def test_what_is_asked_is_what_judges_ask(trainer: Trainer, tmp_path: Path) -> None:
    _, out = _written(tmp_path, [TEXT], trainer, critique=False)
    (row,) = _rows(out)
    config = QuestionsConfig(place="x", to=trainer, out=out, critique=False)
    (question,) = questions(TEXT.comparison, config.form)
    system, user = ("".join(part.text for part in turn.content if isinstance(part, Text)) for turn in question.turns)
    if trainer == "easyr1":
        assert row["problem"] == f"{system}\n\n{user}"
    else:
        assert row["prompt"] == [{"role": "system", "content": system}, {"role": "user", "content": user}]


@both
def test_swapped_rows_have_the_other_preference_and_order(trainer: Trainer, tmp_path: Path) -> None:
    written, out = _written(tmp_path, [TEXT, HOSTILE_ONE, FILM], trainer, swapped=True)
    rows = _rows(out)
    assert [_truth(row)["preference"] for row in rows] == ["a", "b", "b", "a", "tie", "tie"]
    extra = [row if trainer == "easyr1" else row["extra_info"] for row in rows]
    assert [(row["id"], row["swapped"]) for row in extra[:4]] == [
        ("text", False),
        ("text", True),
        ("hostile", False),
        ("hostile", True),
    ]
    first, second = (re.search(r">\n(yes|no)\n<(?s:.*)>\n(yes|no)\n<", _text(row)) for row in rows[:2])
    assert first is not None
    assert second is not None
    assert (first.groups(), second.groups()) == (("yes", "no"), ("no", "yes"))
    assert written.shown == {"a": 2, "b": 2, "tie": 2}
    if trainer == "verl":
        assert [row["extra_info"]["index"] for row in rows] == list(range(6))


@both
def test_pictures_are_those_that_were_shown(trainer: Trainer, tmp_path: Path) -> None:
    red = Media("image", png(np.full((8, 8, 3), (255, 0, 0), np.uint8)))
    sample = _sample("red", [Text("Draw."), DOT], [red], [DOT], task=Task.TI2I)
    _, out = _written(tmp_path, [sample], trainer)
    (row,) = _rows(out)
    if trainer == "easyr1":
        assert all(not Path(name).is_absolute() and ".." not in name for name in row["images"])
        pixels = [np.asarray(Image.open(out / name)) for name in row["images"]]
        assert len(list((out / "images").rglob("*.*"))) == 2  # by content
    else:
        pixels = [np.asarray(Image.open(_io(cell["bytes"]))) for cell in row["images"]]
    assert [tuple(picture[0, 0]) for picture in pixels] == [(0, 0, 0), (255, 0, 0), (0, 0, 0)]


def _io(data: bytes) -> Any:
    from io import BytesIO

    return BytesIO(data)


def test_the_hubs_reader_gives_verl_pictures_and_easyr1_texts(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for trainer in ("easyr1", "verl"):
        _, out = _written(tmp_path / trainer, ALL, trainer)
        read = datasets.load_dataset(
            "parquet", data_files=str(out / "train.parquet"), split="train", cache_dir=str(tmp_path / "cache")
        )
        row = read[2]
        assert len(row["images"]) == 4
        if trainer == "easyr1":
            assert all((out / name).is_file() for name in row["images"])
        else:
            assert [picture.size for picture in row["images"]] == [(8, 8)] * 4
            assert row["reward_model"]["style"] == "rule"


def test_a_text_dataset_has_no_images_column_for_easyr1(tmp_path: Path) -> None:
    """Its reader asks for a processor, which text models do not have, wherever there is one."""
    made = [replace(TEXT, id=str(number)) for number in range(1203)]
    _, out = _written(tmp_path, made, "easyr1")
    rows = _rows(out)
    assert [row["id"] for row in rows] == [one.id for one in made]
    assert "images" not in rows[0]
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.yaml", "reward.py", "train.parquet"]


@both
def test_ties_are_left_out_where_they_are_no_verdict(trainer: Trainer, tmp_path: Path) -> None:
    written, out = _written(tmp_path, [TEXT, FILM], trainer, ties=False)
    assert dict(written.left_out) == {TIE: 1}
    (row,) = _rows(out)
    assert "TIE" not in _text(row)
    assert _truth(row)["ties"] is False


@both
def test_limit_and_terms(trainer: Trainer, tmp_path: Path) -> None:
    terms = RewardTerms(accuracy=0.8, format=0.1, language=0.1)
    written, out = _written(tmp_path, ALL, trainer, limit=2, reward=terms)
    assert written.samples == 2
    truths = [_truth(row) for row in _rows(out)]
    assert [truth["terms"]["language"] for truth in truths] == [0.1, 0.1]
    assert [truth["criterion"] for truth in truths] == ["", HOSTILE]
    assert [_truth(row)["criterion"] for row in _rows(_written(tmp_path / "plain", ALL, trainer)[1])] == [""] * 4


@both
def test_media_that_cannot_be_read_stop_or_are_counted(trainer: Trainer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"broken.*--skip-bad-rows"):
        _written(tmp_path / "stop", [TEXT, BROKEN], trainer)
    assert sorted(path.name for path in (tmp_path / "stop").iterdir()) == ["samples"]  # nothing half done
    written, out = _written(tmp_path / "skip", [TEXT, BROKEN], trainer, skip_bad_rows=True)
    assert (written.samples, dict(written.left_out)) == (1, {UNREADABLE: 1})
    assert f"1 with {UNREADABLE}" in (out / "README.md").read_text(encoding="utf-8")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    _, out = _written(tmp_path, [TEXT], "easyr1")
    before = (out / "train.parquet").read_bytes()
    with pytest.raises(SourceError, match="not empty"):
        write_questions(QuestionsConfig(place=str(tmp_path / "samples"), to="verl", out=out))
    assert (out / "train.parquet").read_bytes() == before


def test_nothing_to_ask_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no question is left of .*: 1 with sound"):
        _written(tmp_path, [SUNG], "easyr1")
    assert not (tmp_path / "easyr1").exists()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"limit": 0}, "limit"),
        ({"views": 0}, "views"),
        ({"frames": 0}, "frames"),
        ({"picture_side": 0}, "picture_side"),
    ],
    ids=["limit", "views", "frames", "picture_side"],
)
def test_numbers_below_one_are_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        QuestionsConfig(place="x", to="verl", out=Path("x"), **changed)


def test_a_critique_that_counts_is_asked_for() -> None:
    terms = RewardTerms(accuracy=0.8, format=0.1, language=0.1)
    with pytest.raises(RecipeError, match="none is asked for"):
        QuestionsConfig(place="x", to="verl", out=Path("x"), critique=False, reward=terms)


def test_the_verb_and_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write_samples([replace(TEXT, provenance={"source": "a|<b>"}), SUNG], tmp_path / "samples")
    words = ["data", "questions", "samples:samples", "--to", "easyr1", "--swapped", "--out", "out/e"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "2 questions about 1 samples are in out/e." in said
    assert f"Left out: 1 with {SOUND}." in said
    text = Path("out/e/README.md").read_text(encoding="utf-8")
    assert "Licence as its publisher states it: none stated" in text
    assert "1 from a&#124;&lt;b&gt;" in text
    assert "Right verdicts: 1 A, 1 B, 0 TIE" in text
    assert main(words) == 2
    assert "not empty" in capsys.readouterr().err
    repeated = re.search(r"^omnireward (data questions .*)$", text, re.M)
    assert repeated is not None
    assert "--swapped" in repeated[1]


def test_the_written_reward_and_rows_fit_together(tmp_path: Path) -> None:
    _, out = _written(tmp_path, [TEXT, FILM], "easyr1")
    asked = [
        {"response": "It is.\nVERDICT: A", "response_length": 9, "ground_truth": row["answer"]} for row in _rows(out)
    ]
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    code = "import json, reward; print(json.dumps(reward.compute_score(json.load(open('../asked.json')))))"
    done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True)
    assert [one["overall"] for one in json.loads(done.stdout)] == [1.0, 0.1]
