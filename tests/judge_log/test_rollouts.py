"""rollouts.jsonl and shown/: what is kept, what hostile answers and media do, and what a kill leaves."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from omnireward.errors import BadRowError
from omnireward.judge_log import RolloutAnswer, RolloutGroup, RolloutLog, recognises
from omnireward.judge_log.rollouts import TEXT, from_line, to_line
from omnireward.sample_rows import read_samples
from omnireward.sources import BadRows
from omnireward.types import Media, Sample


def lines(out: Path) -> list[bytes]:
    return (out / "rollouts.jsonl").read_bytes().splitlines(keepends=True)


def steps(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in lines(out)]


def test_a_group_comes_back_from_its_line(group: RolloutGroup) -> None:
    assert from_line(to_line(group).encode(), 0) == group
    assert set(json.loads(to_line(group))) == {"step", "id", "task", "criterion", "answers"}
    first, second = group.answers
    assert (first.right, first.meant, first.preferred) == (True, "a", "a")
    assert (second.right, second.meant, second.preferred) == (False, "b", "a")
    assert replace(first, verdict=None).right is None
    assert not group.flat
    assert replace(group, answers=(first, first)).flat


def test_a_reward_that_is_no_number_is_null(group: RolloutGroup, answer: RolloutAnswer) -> None:
    broken = replace(answer, reward=math.inf, advantage=math.nan, parts={"length": -math.inf})
    line = to_line(replace(group, answers=(broken,)))
    (written,) = json.loads(line)["answers"]
    assert (written["reward"], written["advantage"], written["parts"]) == (None, None, {"length": None})
    (read,) = from_line(line.encode(), 0).answers
    assert math.isnan(read.reward)
    assert math.isnan(read.parts["length"])


@pytest.mark.parametrize("text", ["\0 a \0", "half \ud800 a pair \udfff", "line\u2028sep\r\n\x85", "</script><b>"])
def test_hostile_texts_come_back_as_they_were(group: RolloutGroup, answer: RolloutAnswer, text: str) -> None:
    hostile = replace(group, id=text, task=text, criterion=text, answers=(replace(answer, text=text),))
    line = to_line(hostile)
    assert line.isascii()
    assert line.count("\n") == 1
    assert from_line(line.encode(), 0) == hostile


def test_a_long_answer_keeps_its_beginning_and_its_verdict(group: RolloutGroup, answer: RolloutAnswer) -> None:
    """A megabyte: 12,000 characters from the beginning, 4,000 from the end, and how many are left out between."""
    text = "b" * 1_000_000 + "VERDICT: A"
    (read,) = from_line(to_line(replace(group, answers=(replace(answer, text=text),))).encode(), 0).answers
    mark = f"\n[… {len(text) - TEXT:,} characters left out …]\n"
    assert read.text == "b" * 12_000 + mark + "b" * 3_990 + "VERDICT: A"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"step": 1.5}, "step"),
        ({"answers": None}, "answers"),
        ({"answers": [3]}, "parts"),
        ({"answers": [{"parts": {}, "preference": "c"}]}, "preference"),
        ({"id": 3}, "id"),
    ],
    ids=["step", "no answers", "no answer", "preference", "id"],
)
def test_a_line_of_something_else_is_a_bad_row(group: RolloutGroup, change: dict[str, object], field: str) -> None:
    with pytest.raises(BadRowError) as raised:
        from_line(json.dumps({**json.loads(to_line(group)), **change}).encode(), 4)
    assert (raised.value.row, raised.value.field) == (4, field)
    with pytest.raises(BadRowError, match="not JSON"):
        from_line(b"[" * 100_000, 0)


def test_a_step_keeps_so_many_groups_and_a_sample_is_written_once(
    group: RolloutGroup, sample: Sample, out: Path
) -> None:
    assert not recognises(out)
    log = RolloutLog(out, 2)
    assert recognises(out)
    kept = [log.add(replace(group, step=step), sample) for step in (1, 1, 1, 2, 2, 2)]
    assert kept == [True, True, False, True, True, False]
    assert steps(out) == [1, 1, 2, 2]
    RolloutLog(out, 2).add(group, sample)  # another process, later
    (read,) = read_samples(str(out / "shown"), BadRows())
    assert (read.id, read.comparison.digest()) == (sample.id, sample.comparison.digest())
    assert not RolloutLog(out, 0).add(group, sample)


def test_torn_lines_and_later_steps_go(group: RolloutGroup, sample: Sample, out: Path) -> None:
    log = RolloutLog(out, 1)
    for step in (1, 2, 3, 4):
        log.add(replace(group, step=step), sample)
    for name in ("rollouts.jsonl", "shown/samples.jsonl"):
        with (out / name).open("ab") as file:
            file.write(b'{"step": 5, "id": "tw')
    again = RolloutLog(out, 1)
    assert steps(out) == [1, 2, 3, 4]
    again.resume(2)
    assert steps(out) == [1, 2]
    assert again.add(replace(group, step=3, id="two"), replace(sample, id="two"))
    assert steps(out) == [1, 2, 3]
    assert [one.id for one in read_samples(str(out / "shown"), BadRows())] == ["one", "two"]


def test_zeros_of_a_disk_end_what_is_kept(group: RolloutGroup, sample: Sample, out: Path) -> None:
    RolloutLog(out, 1).add(group, sample)
    with (out / "rollouts.jsonl").open("ab") as file:
        file.write(b"\0" * 50 + b"\n" + to_line(group).encode())
    RolloutLog(out, 1)
    assert steps(out) == [3]


def test_a_run_from_the_beginning_takes_no_sample_over(group: RolloutGroup, sample: Sample, out: Path) -> None:
    """Another source may call another sample by the same id."""
    RolloutLog(out, 1).add(group, sample)
    log = RolloutLog(out, 1)
    log.resume(0)
    assert not lines(out)
    log.add(group, replace(sample, comparison=sample.comparison.swap()))
    (read,) = read_samples(str(out / "shown"), BadRows())
    assert read.comparison.digest() == sample.comparison.swap().digest()


def test_media_that_are_gone_are_noted(group: RolloutGroup, sample: Sample, out: Path, tmp_path: Path) -> None:
    gone = replace(sample, comparison=replace(sample.comparison, response_b=(Media("image", tmp_path / "no.png"),)))
    assert RolloutLog(out, 1).add(group, gone)
    (line,) = (out / "shown/samples.jsonl").read_bytes().splitlines()
    (kept,), (lost,) = json.loads(line)["response_a"], json.loads(line)["response_b"]
    assert "error" not in kept
    assert (out / "shown" / kept["media"][0]).is_file()
    assert "no.png" in lost["error"]
    bad_rows = BadRows(skip=True)
    assert not list(read_samples(str(out / "shown"), bad_rows))  # for others it is a bad row
