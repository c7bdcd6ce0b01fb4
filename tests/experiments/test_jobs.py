"""Children side by side: a failing one, a stopped parent, and one that is left alone. They load nothing heavy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from omnireward.errors import TrainingError
from omnireward.experiments import jobs
from omnireward.experiments.jobs import Job, work

Run = Callable[..., Job]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A job whose child runs a few lines of Python; `told` is what it was told."""
    begin = "import json, os, signal, sys, time\ntold = json.loads(sys.stdin.readline())\nexec(told['lines'])\n"
    monkeypatch.setattr(jobs, "CHILD", (sys.executable, "-c", begin))

    def make(name: str, lines: str) -> Job:
        return Job(name, {"lines": textwrap.dedent(lines), "out": str(tmp_path)}, tmp_path / "logs" / f"{name}.log")

    return make


def test_jobs_run_side_by_side_and_say_when_they_begin_and_end(
    job: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two that wait for each other: they would never end one after the other."""
    wait = """
        open(told['out'] + '/{}', 'w').close()
        while not os.path.exists(told['out'] + '/{}'): time.sleep(0.01)
        print('threads', os.environ['OMP_NUM_THREADS'])
    """
    ended: list[int] = []
    work(
        [job("one", wait.format("a", "b")), job("two", wait.format("b", "a")), job("three", "")],
        2,
        lambda: ended.append(1),
    )
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["one: begun", "two: begun"]
    assert said[-1].startswith("three: done in ")
    assert said[-1].endswith("; 0 left")
    assert len(ended) == 3
    assert (tmp_path / "logs" / "one.log").read_text() == "threads 1\n"


def test_one_that_fails_is_told_with_the_end_of_its_log_after_the_others_are_done(
    job: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = "print('\\n'.join(map(str, range(50)))); sys.stderr.write('error: \\x1b[2Jno room'); sys.exit(2)"
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    done = "open(told['out'] + '/done', 'w').close()"
    with pytest.raises(TrainingError) as caught:
        work([job("bad", fails), job("gone", killed), job("good", done)], 1)
    told = str(caught.value)
    assert "2 of 3 failed; all others are done" in told
    assert "bad ended with code 2. The end of" in told
    assert "\n  49\n" in told
    assert "\n  30\n" not in told
    assert "no room" in told
    assert "\x1b" not in told
    assert "gone was killed by signal 9" in told
    assert (tmp_path / "done").exists()
    assert "bad: FAILED in" in capsys.readouterr().err


def _interrupted(asked: Sequence[Job], begun: Path) -> None:
    """Work on them, and press Ctrl-C once the first has begun."""

    def interrupt() -> None:
        while not begun.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        work(asked, 1)
    thread.join()


def test_ctrl_c_stops_the_children_and_lets_them_save(job: Run, tmp_path: Path) -> None:
    """The child saves when it is told to stop; it has to be gone when `work` is."""
    saves = """
        def save(*_):
            open(told['out'] + '/saved', 'w').write(str(os.getpid()))
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        open(told['out'] + '/begun', 'w').close()
        time.sleep(60)
    """

    _interrupted([job("long", saves), job("never", "")], tmp_path / "begun")
    child = int((tmp_path / "saved").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not (tmp_path / "logs" / "never.log").exists()


def test_what_saves_nothing_is_ended_at_once(job: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A base listens to no signal while it is taught; half of one is worth nothing."""
    deaf = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open(told['out'] + '/begun', 'w').write(str(os.getpid()))
        time.sleep(60)
    """

    _interrupted([replace(job("the base", deaf), saves=False)], tmp_path / "begun")
    assert "the base: ended half-way; it is made anew next time" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a child is left on purpose
def test_ctrl_c_once_more_leaves_the_children_to_save(job: Run, tmp_path: Path) -> None:
    """The child is slow to save; nobody kills it, and it ends by itself."""
    slow = """
        def save(*_):
            open(told['out'] + '/stopping', 'w').close()
            while not os.path.exists(told['out'] + '/left'): time.sleep(0.01)
            open(told['out'] + '/saved', 'w').close()
            os._exit(0)
        signal.signal(signal.SIGTERM, save)
        open(told['out'] + '/begun', 'w').close()
        time.sleep(60)
    """

    def interrupt() -> None:
        for name in ("begun", "stopping"):
            while not (tmp_path / name).exists():
                time.sleep(0.01)
            time.sleep(0.3)  # the second comes while the parent waits
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        work([job("long", slow)], 1)
    thread.join()
    assert not (tmp_path / "saved").exists()
    (tmp_path / "left").touch()
    for _ in range(1000):
        if (tmp_path / "saved").exists():
            return
        time.sleep(0.01)
    pytest.fail("the child was killed")


def test_a_child_whose_parent_is_gone_stops() -> None:
    """The real `main`, with work that takes a minute; its stdin ends."""
    script = textwrap.dedent("""
        import sys, time
        from omnireward.experiments import child
        child.do = lambda job: time.sleep(60)
        sys.exit(child.main())
    """)
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    _, said = process.communicate(b"{}\n", timeout=30)
    assert process.returncode == 130
    assert said == b"stopped.\n"


def test_a_real_child_ends_with_an_error_that_can_be_mended(tmp_path: Path) -> None:
    """As it is begun by the runner: a base of what is no tiny model."""
    told = {
        "kind": "base",
        "flags": ["--out", "x", "--model", "some/folder"],
        "said": "x",
        "folder": str(tmp_path / "b"),
    }
    with pytest.raises(TrainingError, match=r"error: RecipeError: a base is made of --model tiny; some/folder is one"):
        work([Job("the base", told, tmp_path / "log")], 1)
