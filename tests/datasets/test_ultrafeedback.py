"""UltraFeedback: pairs by each score, ratings that are text, the mistaken 10s, and what is refused."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from omnireward.datasets._checked_lists import MOST
from omnireward.datasets.ultrafeedback import ASPECTS, DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Sample, Task, Text, Turn

FINE = "fine-grained_score"


def _completion(response: str, ratings: Any = ("4", "4", "4", "4"), **more: Any) -> dict[str, Any]:
    """One rating for each aspect, in the order of ASPECTS; a revision since the correction."""
    annotations = {name: {"Rating": mark, "Rationale": "…"} for name, mark in zip(ASPECTS, ratings, strict=True)}
    told = {"model": f"m-{response}", "principle": "honesty", "custom_system_prompt": "…", "critique": "…"}
    return {**told, "response": response, "annotations": annotations, "overall_score": 7.5, FINE: 4.0, **more}


def _row(*completions: dict[str, Any], **change: Any) -> dict[str, Any]:
    models = [completion["model"] for completion in completions]
    more = {"correct_answers": ["None"], "incorrect_answers": ["None"]}
    told = {"source": "evol_instruct", "instruction": "Name a colour.", "models": models}
    return {**told, **more, "completions": list(completions), **change}


def _write(root: Path, *table: object, name: str = "evol_instruct") -> Path:
    (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    return root


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _said(samples: list[Sample]) -> list[tuple[str, str]]:
    return [(sample.id.rpartition("/")[2], sample.preference) for sample in samples]


def test_two_answers_become_a_sample(tmp_path: Path) -> None:
    """13/4 = 3.25 against 11/3, where N/A counts for nothing."""
    good = _completion("Green.", ("5", "N/A", "4", "2"), overall_score=6)
    bad = _completion("Tea.", ("4", "3", "5", "1"))
    (sample,) = _read(_write(tmp_path, _row(good, bad)))
    assert (sample.id, sample.task, sample.preference) == ("evol_instruct.jsonl:0/0-1", Task.T2T, "a")
    assert sample.comparison.prompt == (Turn("user", (Text("Name a colour."),)),)
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("Green."),), (Text("Tea."),))
    assert sample.groups == ("evol_instruct",)
    assert sample.provenance == {
        "source": "evol_instruct",
        "score": "fine",
        "model_a": "m-Green.",
        "model_b": "m-Tea.",
        "score_a": repr(11 / 3),
        "score_b": "3.25",
        "rating_helpfulness_a": "5",
        "rating_honesty_a": "N/A",
        "rating_instruction_following_a": "4",
        "rating_truthfulness_a": "2",
        "principle_a": "honesty",
        "fine_a": repr(11 / 3),
        "overall_a": "6",
        "rating_helpfulness_b": "4",
        "rating_honesty_b": "3",
        "rating_instruction_following_b": "5",
        "rating_truthfulness_b": "1",
        "principle_b": "honesty",
        "fine_b": "3.25",
        "overall_b": "7.5",
        "file": "evol_instruct.jsonl",
        "row": "0",
    }


def test_four_answers_are_six_pairs(tmp_path: Path) -> None:
    """Against brute force over the scores."""
    scores = [2.0, 4.0, 3.5, 4.0]
    row = _row(*(_completion(str(i), (str(score),) * 4) for i, score in enumerate(scores)))
    wanted = [
        (f"{a}-{b}", "a" if scores[a] > scores[b] else "b" if scores[a] < scores[b] else "tie")
        for a, b in combinations(range(4), 2)
    ]
    root = _write(tmp_path, row)
    samples = _read(root)
    assert _said(samples) == wanted
    assert len({sample.id for sample in samples}) == 6
    assert len({sample.cluster for sample in samples}) == 1
    assert _said(_read(root, "?pairs=best&ties=no&margin=1")) == [("0-1", "b")]


@pytest.mark.parametrize(
    ("score", "preference"),
    [
        ("fine", "a"),  # 13/4 against 12/4
        ("overall", "b"),
        ("helpfulness", "a"),
        ("honesty", "b"),
        ("instruction_following", "tie"),
        ("truthfulness", "a"),
    ],
)
def test_each_score(tmp_path: Path, score: str, preference: str) -> None:
    first = _completion("x", ("5", "1", "3", "4"), overall_score=4.0)
    second = _completion("y", ("3", "4", "3", "2"), overall_score=6.5)
    (sample,) = _read(_write(tmp_path, _row(first, second)), f"?score={score}")
    assert (sample.preference, sample.provenance["score"]) == (preference, score)


def test_an_answer_without_the_score_is_in_no_pair(tmp_path: Path) -> None:
    row = _row(
        _completion("a", ("N/A", "4", "4", "4")),
        _completion("b", ("3", "4", "4", "4")),
        _completion("c", ("5", "4", "4", "4")),
        _completion("d", annotations={}, overall_score=None),
    )
    root = _write(tmp_path, row)
    assert _said(_read(root, "?score=helpfulness")) == [("1-2", "b")]
    assert [pair for pair, _ in _said(_read(root))] == ["0-1", "0-2", "1-2"]  # d has no mean
    assert [pair for pair, _ in _said(_read(root, "?score=overall"))] == ["0-1", "0-2", "1-2"]


@pytest.mark.parametrize("missing", [None, float("nan"), "N/A"], ids=str)
def test_an_overall_score_that_is_missing(tmp_path: Path, missing: object) -> None:
    without = _completion("c")
    del without["overall_score"]
    row = _row(_completion("a"), _completion("b", overall_score=missing), without)
    assert _read(_write(tmp_path, row), "?score=overall") == []
    assert [sample.provenance["overall_b"] for sample in _read(tmp_path)] == ["", "", ""]


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_rows_with_fewer_answers(tmp_path: Path, answers: int) -> None:
    row = _row(*(_completion(str(i)) for i in range(answers)))
    assert len(_read(_write(tmp_path, row))) == answers * (answers - 1) // 2


def _old(completion: dict[str, Any]) -> dict[str, Any]:
    """As before the correction, which added the fine-grained score."""
    return {key: value for key, value in completion.items() if key != FINE}


@pytest.mark.parametrize(
    ("ratings", "old", "believed"),
    [
        (("1", "1", "1", "1"), True, False),
        (("4", "4", "4", "4"), True, False),  # the authors had these rated again
        (("5", "4", "4", "4"), True, True),
        (("2", "2", "2", "2"), False, False),  # the authors made 1 of these
        (("3", "2", "2", "2"), False, True),  # rated again, and 10 again
        (("5", "5", "5", "5"), False, True),
        (("N/A", "N/A", "N/A", "N/A"), True, False),
    ],
)
def test_a_ten_is_believed_where_the_authors_do(
    tmp_path: Path, ratings: tuple[str, ...], old: bool, believed: bool
) -> None:
    ten = _completion("ten", ratings, overall_score=10.0)
    row = _row(_old(ten) if old else ten, _completion("b"), _completion("c"))
    root = _write(tmp_path, row)
    bad_rows = BadRows(skip=True)
    samples = _read(root, "?score=overall", bad_rows)
    if believed:
        assert _said(samples) == [("0-1", "a"), ("0-2", "a"), ("1-2", "tie")]
        assert bad_rows.errors == []
    else:
        assert _said(samples) == [("1-2", "tie")]  # the row's other answers are used
        assert [(error.row, error.field) for error in bad_rows.errors] == [(0, "completions")]
        with pytest.raises(BadRowError, match="overall_score of 10 beside"):
            _read(root, "?score=overall")
    assert {s.provenance["overall_a"] for s in _read(root) if "0-" in s.id} <= {"10" if believed else ""}


def test_two_answers_that_say_the_same_are_no_pair(tmp_path: Path) -> None:
    row = _row(_completion("Yes."), _completion("Yes.", ("1", "1", "1", "1")), _completion("No."))
    assert [pair for pair, _ in _said(_read(_write(tmp_path, row)))] == ["0-2", "1-2"]


def test_files_are_sets_of_prompts(tmp_path: Path) -> None:
    _write(tmp_path, _row(_completion("a"), _completion("b"), source="flan_v2_niv2"), name="flan")
    _write(tmp_path, _row(_completion("a"), _completion("b")))
    _write(tmp_path, {"something": "else"}, name="other")
    samples = _read(tmp_path)
    assert [sample.id for sample in samples] == ["evol_instruct.jsonl:0/0-1", "flan.jsonl:0/0-1"]
    assert [sample.groups for sample in samples] == [("evol_instruct",), ("flan_v2_niv2",)]


def test_a_published_file_with_a_broken_first_row_is_not_passed_over(tmp_path: Path) -> None:
    _write(tmp_path, _row(_completion("a"), _completion("b")))
    (tmp_path / "flan.jsonl").write_text("{broken\n" + json.dumps(_row(_completion("a"), _completion("b"))) + "\n")
    bad_rows = BadRows(skip=True)
    assert len(_read(tmp_path, "", bad_rows)) == 2
    assert [(error.file, error.row) for error in bad_rows.errors] == [("flan.jsonl", 0)]


@pytest.mark.parametrize(
    "change",
    [
        {"instruction": None},
        {"source": 3},
        {"completions": None},
        {"completions": "none"},
        {"completions": ["text"]},
        {"completions": [_completion(str(i)) for i in range(MOST + 1)]},
        {"completions": {"response": ["a", "b"], "model": ["m"]}},
        {"completions": {}},
        {"completions": [_completion("x") | {"response": None}]},
        {"completions": [{"model": "m"}]},
        {"completions": [_completion("x", model=7)]},
        {"completions": [_completion("x", annotations=[1])]},
        {"completions": [_completion("x", ("5", "5", "5", "five"))]},
        {"completions": [_completion("x", ("5", "5", "5", "nan"))]},
        {"completions": [_completion("x", ("5", "5", "5", ""))]},
        {"completions": [_completion("x", ("5", "5", "5", True))]},
        {"completions": [_completion("x", ("5", "5", "5", ["5"]))]},
        {"completions": [_completion("x", ("5", "5", "5", "5" * 5000))]},
        {"completions": [_completion("x", overall_score="high")]},
        {"completions": [_completion("x", overall_score=[10])]},
        {"completions": [_completion("x", overall_score=float("inf"))]},
        {"completions": [_completion("\ud800")]},
    ],
    ids=lambda change: repr(change)[:60],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    good = _row(_completion("a"), _completion("b"))
    root = _write(tmp_path, good, good | change)
    (field,) = change
    with pytest.raises(BadRowError, match=rf"evol_instruct\.jsonl, row 1, field '{field}'") as caught:
        _read(root)
    assert len(str(caught.value)) < 1000
    bad_rows = BadRows(skip=True)
    assert len(_read(root, "", bad_rows)) == 1
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize("settings", ["?score=best", "?margin=-1", "?pairs=some", "?aspect=honesty"])
def test_settings_that_are_refused(tmp_path: Path, settings: str) -> None:
    with pytest.raises(RecipeError):
        _read(_write(tmp_path, _row()), settings)


def test_other_lines_are_not_ultrafeedback(tmp_path: Path) -> None:
    _write(tmp_path, {"id": "1", "prompt": "?", "completions": []}, name="rows")
    assert not DATASET.recognises(tmp_path)
    with pytest.raises(SourceError, match="holds no UltraFeedback"):
        _read(tmp_path)
