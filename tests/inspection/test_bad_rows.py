from __future__ import annotations

from pathlib import Path

import pytest

from omnireward.errors import BadRowError
from omnireward.inspection.bad_rows import SHOWN, CountedBadRows, reason_of
from omnireward.media_files import MediaFiles
from omnireward.rows import Row


def test_reasons_are_counted_and_few_rows_kept() -> None:
    bad = CountedBadRows()
    for number in range(1_000):
        bad.add(BadRowError("f", number, "label", f"is {number}; known are 1 and 0."))
        bad.add(BadRowError("f", number, f"field {number}", "x" * 5_000))
    assert bad.total == 2_000
    assert bad.by_reason["label", "is …; known are … and …"] == 1_000
    assert len(bad.by_reason) <= 201
    assert sum(bad.by_reason.values()) == 2_000
    assert len(bad.first) == SHOWN
    assert max(len(row.problem) for row in bad.first) <= 1_000
    assert bad.errors == []


def test_a_missing_file_is_known_by_what_media_files_say(tmp_path: Path) -> None:
    """Through `MediaFiles` itself, so that other words there are noticed here."""
    bad = CountedBadRows()
    row = Row("rows.json", 3, {"images": "a/it's.png"})
    for name in ("a/it's.png", "../out.png"):
        with pytest.raises(BadRowError) as caught:
            MediaFiles((tmp_path,)).source(row, "images", name)
        bad.add(caught.value)
    assert bad.missing == {"images": 1}
    assert bad.total == 2


def test_reasons_of_hostile_problems_take_no_time() -> None:
    assert len(reason_of("'" * 500 + "/" * 500)) <= 100
    assert reason_of("") == ""
