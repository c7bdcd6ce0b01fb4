"""A bar on a terminal, a line now and then in a log file, and a terminal that is given back."""

from __future__ import annotations

import io
import sys

import pytest

from omnireward import progress
from omnireward.progress import EVERY, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """No fixture: pytest sets its own stderr between a test's fixtures and the test."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


class Clock:
    """Stands for `time.monotonic`, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_steps_are_counted_from_where_the_work_starts() -> None:
    with Progress("train", 10, done=4) as bar:
        bar.advance()
        bar.advance("a note", by=3)
    assert bar.done == 8


def test_a_title_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    with Progress("read [/b] [v1]", 2) as bar:
        bar.advance("[/note]")
    assert "read [/b] [v1]" in terminal.getvalue()
    assert "[/note]" in terminal.getvalue()


def test_a_log_file_gets_a_line_only_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten steps of 6 seconds and a line when more than 20 have passed: after steps 4 and 8."""
    with Progress("train", 10) as bar:
        for step in range(1, 11):
            clock.now += 0.3 * EVERY
            bar.advance(f"loss {step}")
    out, err = capsys.readouterr()
    assert err.splitlines() == ["train: 10 to do", "train: 4/10 loss 4", "train: 8/10 loss 8", "train: 10/10 in 60 s"]
    assert out == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = _terminal(monkeypatch)
    with Progress("train", 2) as bar:
        bar.advance("loss 0.5", by=2)
    assert "train" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()
    assert "loss 0.5" in terminal.getvalue()
    assert capsys.readouterr().out == ""  # standard output is for results


def _interrupted() -> None:
    with Progress("train", 2):
        raise KeyboardInterrupt


def test_after_an_error_the_terminal_has_its_cursor_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, hide, show = _terminal(monkeypatch), "\x1b[?25l", "\x1b[?25h"
    with pytest.raises(KeyboardInterrupt):
        _interrupted()
    assert 0 <= terminal.getvalue().rfind(hide) < terminal.getvalue().rfind(show)


def test_a_total_may_be_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("read", None) as bar:
        bar.advance(by=3)
    assert bar.done == 3
    assert capsys.readouterr().err == "read\nread: 3 in 0 s\n"


def test_a_total_may_be_unknown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    with Progress("read", None) as bar:
        bar.advance(by=3)
    assert "3/?" in terminal.getvalue()
