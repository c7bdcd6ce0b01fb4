"""Skywork-Reward-Preference: dialogues of several turns, system turns, the two versions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.skywork_reward import DATASET, VERSIONS
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Sample, Task, Text, Turn

TURN = pa.struct([("content", pa.string()), ("role", pa.string())])
SCHEMA = pa.schema([("chosen", pa.list_(TURN)), ("rejected", pa.list_(TURN)), ("source", pa.string())])


def _turns(*said: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"role": role, "content": text} for role, text in said]


def _row(**change: Any) -> dict[str, Any]:
    asked = ("user", "Name a colour.")
    answers = {
        "chosen": _turns(asked, ("assistant", "Green.")),
        "rejected": _turns(asked, ("assistant", "A table.")),
    }
    return {**answers, "source": "magpie_pro", **change}


def _write(root: Path, *table: dict[str, Any], name: str = "train-00000-of-00001", schema: pa.Schema = SCHEMA) -> Path:
    (root / "data").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(table), schema), root / "data" / f"{name}.parquet")
    return root


def _read(root: Path, bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(str(root), bad_rows or BadRows()))


def test_row_becomes_sample(tmp_path: Path) -> None:
    (sample,) = _read(_write(tmp_path, _row()))
    assert (sample.id, sample.task, sample.preference) == ("data/train-00000-of-00001.parquet:0", Task.T2T, "a")
    assert sample.comparison.prompt == (Turn("user", (Text("Name a colour."),)),)
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("Green."),), (Text("A table."),))
    assert sample.comparison.criterion == ""
    assert sample.groups == ("magpie_pro",)
    assert sample.provenance == {
        "source": "magpie_pro",
        "version": "",
        "system": "",
        "file": "data/train-00000-of-00001.parquet",
        "row": "0",
    }


def test_several_turns(tmp_path: Path) -> None:
    before = (("user", "Hi."), ("assistant", "Hello."), ("user", "A colour?"))
    row = _row(chosen=_turns(*before, ("assistant", "Red.")), rejected=_turns(*before, ("assistant", "Tea.")))
    first, second = _read(_write(tmp_path, row, _row()))
    assert [(turn.role, turn.content) for turn in first.comparison.prompt] == [
        (role, (Text(text),)) for role, text in before
    ]
    assert first.cluster != second.cluster


def test_system_turn_is_said_before_the_first_user_turn(tmp_path: Path) -> None:
    before = (("system", "Be brief."), ("user", "A colour?"))
    row = _row(chosen=_turns(*before, ("assistant", "Red.")), rejected=_turns(*before, ("assistant", "Tea.")))
    (sample,) = _read(_write(tmp_path, row))
    assert sample.comparison.prompt == (Turn("user", (Text("Be brief.\n\nA colour?"),)),)
    assert sample.provenance["system"] == "Be brief."


def test_an_empty_system_turn_says_nothing(tmp_path: Path) -> None:
    before = (("system", ""), ("user", "A colour?"))
    row = _row(chosen=_turns(*before, ("assistant", "Red.")), rejected=_turns(*before, ("assistant", "Tea.")))
    (sample,) = _read(_write(tmp_path, row))
    assert sample.comparison.prompt == (Turn("user", (Text("A colour?"),)),)


def test_struct_of_lists(tmp_path: Path) -> None:
    """What older Parquet writers made of a list of structs."""
    columns = pa.struct([("content", pa.list_(pa.string())), ("role", pa.list_(pa.string()))])
    schema = pa.schema([("chosen", columns), ("rejected", columns), ("source", pa.string())])
    row = {
        "chosen": {"content": ["Q", "good"], "role": ["user", "assistant"]},
        "rejected": {"content": ["Q", "bad"], "role": ["user", "assistant"]},
        "source": None,
    }
    (sample,) = _read(_write(tmp_path, row, schema=schema))
    assert sample.comparison.response_b == (Text("bad"),)
    assert sample.groups == ()


def test_rows_that_come_twice_have_ids_of_their_own(tmp_path: Path) -> None:
    samples = _read(_write(_write(tmp_path, _row(), _row()), _row(), name="train-00001-of-00001"))
    assert len({sample.id for sample in samples}) == 3
    assert len({sample.cluster for sample in samples}) == 1


def _hollow(root: Path, count: int, name: str) -> None:
    """A file with the number of rows that a version has, all null but the first."""
    table = pa.Table.from_pylist([_row()], SCHEMA)
    nulls = pa.table({field.name: pa.nulls(count - 1, field.type) for field in SCHEMA}, SCHEMA)
    (root / "data").mkdir(exist_ok=True)
    pq.write_table(pa.concat_tables([table, nulls]), root / "data" / f"{name}.parquet")


@pytest.mark.parametrize(("count", "version"), [(81_973, "v0.1"), (77_016, "v0.2"), (77_015, "")])
def test_the_number_of_rows_says_the_version(tmp_path: Path, count: int, version: str) -> None:
    """The published numbers of rows; that of neither says nothing."""
    _hollow(tmp_path, count, "train")
    assert next(DATASET.read(str(tmp_path), BadRows())).provenance["version"] == version


def test_both_versions_at_once_are_refused(tmp_path: Path) -> None:
    for count, version in VERSIONS.items():
        _hollow(tmp_path, count, version)
    with pytest.raises(SourceError, match=r"two versions.*v0\.1.*v0\.2"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rejected": _turns(("user", "Another?"), ("assistant", "Tea."))}, "rejected"),
        ({"rejected": _turns(("user", "Name a colour."), ("user", "?"), ("assistant", "Tea."))}, "rejected"),
        ({"rejected": _row()["chosen"]}, "rejected"),  # says the same
        ({"rejected": None}, "rejected"),
        ({"chosen": []}, "chosen"),
        ({"chosen": _turns(("assistant", "Green."))}, "chosen"),
        ({"chosen": _turns(("user", "Name a colour."), ("user", "Green."))}, "chosen"),
        ({"chosen": _turns(("user", "Name a colour."), ("tool", "Green."))}, "chosen"),
        ({"chosen": _turns(("user", "Name a colour."), ("assistant", None))}, "chosen"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    root = _write(tmp_path, _row(), _row(**change), _row())
    with pytest.raises(BadRowError, match=rf"parquet, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert [sample.provenance["row"] for sample in _read(root, bad_rows)] == ["0", "2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize(
    "asked",
    [
        (("user", "Q"), ("system", "S")),
        (("system", "S"), ("system", "S"), ("user", "Q")),
        (("system", "S"),),
        (("assistant", "A"), ("user", "Q")),
        (("user", "Q"), ("user", "Q")),
        (("user", "Q"), ("assistant", "A")),
    ],
    ids=lambda asked: "-".join(role for role, _ in asked),
)
def test_turns_that_do_not_alternate_are_refused(tmp_path: Path, asked: tuple[tuple[str, str], ...]) -> None:
    row = _row(chosen=_turns(*asked, ("assistant", "x")), rejected=_turns(*asked, ("assistant", "y")))
    with pytest.raises(BadRowError, match="field 'chosen'"):
        _read(_write(tmp_path, row))


@pytest.mark.parametrize("more", ["prompt", "score_chosen"])
def test_other_sets_of_dialogues_are_not_recognised(tmp_path: Path, more: str) -> None:
    """chosen, rejected and source are common names; Skywork's files have these three alone."""
    _write(tmp_path, _row(), schema=SCHEMA.append(pa.field(more, pa.string())))
    assert not DATASET.recognises(tmp_path)
    with pytest.raises(SourceError, match="holds no Skywork"):
        _read(tmp_path)


def test_a_file_alone(tmp_path: Path) -> None:
    path = _write(tmp_path, _row()) / "data" / "train-00000-of-00001.parquet"
    assert [sample.id for sample in _read(path)] == ["train-00000-of-00001.parquet:0"]
