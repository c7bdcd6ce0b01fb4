"""A folder of samples may have splits; nobody gets one that was set apart without asking."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.construct.mix_samples import asked

from omnireward.errors import RecipeError, SourceError
from omnireward.sample_rows import FILE, SampleWriter, read_samples, recognises
from omnireward.sources import BadRows


def write(folder: Path, name: str, id_: str) -> None:
    with SampleWriter(folder, name) as writer:
        writer.add(asked("Q", id=id_))


def ids(location: str) -> list[str]:
    return [one.id for one in read_samples(location, BadRows())]


def test_a_split_is_named_or_train(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path, f"samples-{split}.jsonl", split)
    assert ids(str(tmp_path)) == ids(f"{tmp_path}?split=train") == ["train"]
    assert ids(f"{tmp_path}?split=test") == ["test"]
    assert recognises(tmp_path)
    with pytest.raises(SourceError, match=r"no split 'dev'; it has: test, train"):
        ids(f"{tmp_path}?split=dev")
    with pytest.raises(RecipeError, match="there is no setting 'spilt'"):
        ids(f"{tmp_path}?spilt=dev")


def test_without_train_a_split_must_be_named_unless_there_is_one(tmp_path: Path) -> None:
    write(tmp_path, "samples-dev.jsonl", "dev")
    assert ids(str(tmp_path)) == ["dev"]
    write(tmp_path, "samples-test.jsonl", "test")
    with pytest.raises(SourceError, match="no split 'train'; it has: dev, test"):
        ids(str(tmp_path))


def test_files_of_no_split_do_not_bring_along_what_was_set_apart(tmp_path: Path) -> None:
    columns = {name: ["x"] for name in ("id", "task", "response_a", "response_b", "criterion", "preference", "cluster")}
    for name in ("more", "test-00000-of-00001", "train-00000-of-00001"):
        pq.write_table(pa.table({**columns, "prompt": ["x"]}), tmp_path / f"{name}.parquet")
        bad_rows = BadRows(skip=True)
        assert list(read_samples(str(tmp_path), bad_rows)) == []
        read = [error.file for error in bad_rows.errors]
        assert read == ["more.parquet", "train-00000-of-00001.parquet"][: 1 + name.startswith("train")]


def test_a_folder_without_splits_has_none_to_name(tmp_path: Path) -> None:
    write(tmp_path, FILE, "one")
    assert ids(str(tmp_path)) == ["one"]
    with pytest.raises(SourceError, match="no split 'test'; it has: none"):
        ids(f"{tmp_path}?split=test")


def test_what_another_process_is_writing_is_not_read(tmp_path: Path) -> None:
    (tmp_path / ".mixing" / "data").mkdir(parents=True)
    (tmp_path / ".mixing" / "data" / "train-00000-of-00001.parquet").write_bytes(b"half")
    with pytest.raises(SourceError, match="holds no samples"):
        ids(str(tmp_path))
