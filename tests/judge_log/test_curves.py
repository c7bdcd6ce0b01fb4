"""log.jsonl becomes curves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from omnireward.judge_log import curves
from omnireward.judge_log.curves import Curve, read_log


def write(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lines_of_a_step_are_one_and_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "log.jsonl",
        [
            {"step": 10, "reward": 0.5, "note": "text", "flag": True},
            {"step": 10, "held_out": 0.25},
            {"step": 20, "reward": float("nan"), "kl": 10**400},
            {"step": None, "reward": 1},
            {"reward": 9.0},
            [1],
            "step",
            {"step": 30, "reward": 0.75},
        ],
    )
    with path.open("a") as file:
        file.write('{"step": 40, "rew')
    log = read_log(path)
    assert (log.count, log.last) == (3, 30.0)
    assert set(log.curves) == {"reward", "held_out"}
    assert (log.curves["reward"].steps, log.curves["reward"].means) == ([10.0, 30.0], [0.5, 0.75])


def test_no_log_has_no_curves(tmp_path: Path) -> None:
    assert (read_log(tmp_path / "log.jsonl").count, read_log(tmp_path / "log.jsonl").curves) == (0, {})


def test_many_steps_are_told_in_stretches(tmp_path: Path) -> None:
    """1,000 steps in 400 stretches of 2 or 3, which together hold all of them: one spike is some stretch's highest."""
    path = write(tmp_path / "log.jsonl", ({"step": i, "kl": 9.0 if i == 777 else 1.0} for i in range(1000)))
    curve = read_log(path).curves["kl"]
    assert {len(values) for values in (curve.steps, curve.means, curve.lows, curve.highs)} == {curves.POINTS}
    assert max(curve.highs) == 9.0
    assert max(curve.means) in (5.0, 11 / 3)
    assert max(curve.lows) == 1.0
    assert curve.steps == sorted(curve.steps)


def test_running_means_by_hand() -> None:
    """80 points reach 2 to each side: at place 0 (0 + 1 + 2) / 3, inside the point itself, at the end 78."""
    line = [float(i) for i in range(80)]
    smooth = Curve(line, line, line, line).smooth()
    assert (smooth[0], smooth[40], smooth[-1]) == (1.0, 40.0, 78.0)
    assert Curve(line, line, line, line).ends() == (3.5, 75.5)  # of 0 to 7, and of 72 to 79
    assert Curve(line[:9], line[:9], line[:9], line[:9]).smooth() == line[:9]
