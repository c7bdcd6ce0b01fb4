"""The command line: exit codes, what it says, recipes and flags, and that it starts without torch."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

import omnireward
from omnireward import cli
from omnireward.cli import VERBS, main
from omnireward.evaluate import EvaluateConfig

Run = Callable[..., tuple[int, str, str]]
SMALL = "miniature:prompts=1"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str) -> tuple[int, str, str]:
        try:
            code = main(words)
        except SystemExit as stopped:  # the flag parser's
            code = int(stopped.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_help_names_every_verb_and_the_exit_codes(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in out
    assert "Exit codes" in out
    assert run() == (2, out, "")
    assert run("--version") == (0, f"omnireward {omnireward.__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_teaches_with_an_example(run: Run, verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert f"\n  omnireward {verb}" in out


def test_starting_loads_no_torch() -> None:
    """Of all verbs with --help, and of the package; in a fresh process, because this one may have loaded it."""
    script = (
        "import contextlib, io, sys\n"
        "import omnireward\n"
        "from omnireward.cli import VERBS, main\n"
        "for verb in VERBS:\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "        main([verb, '--help'])\n"
        "print({'torch', 'transformers'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evalute"], "unknown verb 'evalute'. Did you mean evaluate?"),
        (["evaluate", "--judge", "longr", "--benchmark", SMALL, "--out", "x"], "Did you mean longer?"),
        (["evaluate", "--judge", "reward", "--benchmark", SMALL, "--out", "x"], "the judge `reward` needs"),
        (["evaluate", "--recipe", "minature"], "Did you mean miniature or"),
        (["evaluate", "--recipe", "miniature"], "is for 'omnireward train'"),
        (["evaluate", "--recipe"], "--recipe takes one name or file"),
        (["report", "/nowhere"], "/nowhere"),
        (["report", __file__], "A report is made from a folder"),
        (["data", "show", "minature"], "Did you mean miniature?"),
        (["data", "show", "miniature", "--limit", "-1"], "limit must be at least 1, not -1"),
        (["data", "export", "--benchmark", SMALL, "--out", __file__], "test_cli.py"),
        (["evaluate", "--judge", "longer", "--benchmark", SMALL, "--out", __file__], "Choose another"),
        (["evaluate", "--judge", "reward:~no-one/x", "--benchmark", SMALL, "--out", "x"], "'~no-one/x'"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_code_2(run: Run, words: list[str], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_wrong_flags_are_code_2(run: Run) -> None:
    code, out, err = run("evaluate", "--juge", "longer")
    assert (code, out) == (2, "")
    assert "--judge" in err


def test_a_bug_keeps_its_traceback_and_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(words: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.VERBS, "doctor", stop)
    assert run("doctor") == (130, "", "stopped.\n")
    monkeypatch.setitem(cli.VERBS, "doctor", lambda _words: [][0])
    with pytest.raises(IndexError):
        run("doctor")


def test_a_full_disk_is_no_bug_and_an_odd_system_error_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(number: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setitem(cli.VERBS, "doctor", lambda _words: fail(errno.ENOSPC))
    assert run("doctor") == (2, "", "error: [Errno 28] No space left on device\n")
    monkeypatch.setitem(cli.VERBS, "doctor", lambda _words: fail(errno.EBADF))
    with pytest.raises(OSError, match="Bad file descriptor"):
        run("doctor")


def test_evaluate_judges_reports_and_says_where_the_page_is(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "report"
    code, said, _ = run("evaluate", "--judge", "longer", "--benchmark", SMALL, "--out", str(out))
    assert code == 0
    assert "macro" in said
    assert str(out / "report.html") in said.replace("\n", "")
    report = json.loads((out / "report.json").read_text())
    assert report["command"] == f"omnireward evaluate --judge longer --benchmark {SMALL} --out report"
    assert set(report["tasks"]) == {"T2T", "TI2T", "TV2T", "TA2T", "T2I", "T2V", "T2A", "T23D", "TI2I"}
    page = (out / "report.html").read_bytes()

    (out / "report.html").unlink()
    code, again, _ = run("report", str(out))
    assert (code, again) == (0, said)
    assert (out / "report.html").read_bytes() == page


def test_stopping_an_evaluation_says_how_to_go_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(comparison: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("omnireward.judges.longer._judge", stop)
    code, _, err = run("evaluate", "--judge", "longer", "--benchmark", SMALL, "--out", str(tmp_path / "out"))
    assert code == 130
    assert "Run the same command again" in err


def test_failures_are_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(comparison: object) -> None:
        raise OSError("no \x1b[2J disk")

    monkeypatch.setattr("omnireward.judges.longer._judge", broken)
    words = ("evaluate", "--judge", "longer", "--benchmark", SMALL, "--limit", "2", "--out", str(tmp_path / "out"))
    code, out, _ = run(*words)
    assert code == 0
    assert "2 of 2 judgements failed" in out
    assert "OSError: no \ufffd[2J disk" in out


def test_flags_override_a_recipe_and_the_saved_config_is_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(f"verb: evaluate\njudge: longer\nbenchmark: {SMALL}\ntasks: [T2T, TI2T]\nshown: 1\n")
    assert run("evaluate", "--recipe", "mine.yaml", "--judge", "first", "--out", "out/report")[0] == 0
    config = yaml.safe_load(Path("out/report/config.yaml").read_text())
    assert set(config) == {"verb", *(field.name for field in fields(EvaluateConfig))}
    expected = {"verb": "evaluate", "judge": "first", "benchmark": SMALL, "out": "report", "seed": 0, "limit": None}
    expected |= {"tasks": ["T2T", "TI2T"], "batch_size": 16, "skip_bad_rows": False, "shown": 1, "order": "random"}
    assert {name: config[name] for name in expected} == expected
    # The saved config is a recipe: from the parent of the output folder it repeats the run, here by changing nothing.
    before = {path: path.read_bytes() for path in Path("out/report").resolve().iterdir()}
    monkeypatch.chdir("out")
    assert run("evaluate", "--recipe=report/config.yaml")[0] == 0
    assert {path: path.read_bytes() for path in Path("report").resolve().iterdir()} == before


def test_list_shows_what_there_is(run: Run) -> None:
    code, out, _ = run("list", "judges")
    assert code == 0
    assert {"longer", "random", "first"} <= set(out.split())
    assert "miniature" not in out
    assert "miniature" in run("list", "benchmarks")[1]
    assert "/get_reward" in run("list", "protocols")[1]


def test_data_show_prints_samples(run: Run) -> None:
    code, out, _ = run("data", "show", SMALL, "--limit", "2")
    assert code == 0
    assert out.count("criterion: ") == 2
    assert run("data", "show", SMALL, "--kind", "datasets", "--limit", "1")[1].count("criterion: ") == 1


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_data_export_writes_a_benchmark_that_is_judged_alike(run: Run, tmp_path: Path, form: str) -> None:
    """`longer` counts characters and bytes, so its margins agree if and only if the same media came back."""
    world, margins = tmp_path / "world", []
    code, out, _ = run("data", "export", "--benchmark", SMALL, "--form", form, "--out", str(world))
    assert (code, out) == (0, f"27 rows are in {world}.\n")
    for name, place in (("made", SMALL), ("read", str(world))):
        folder = tmp_path / name
        assert run("evaluate", "--judge", "longer", "--benchmark", place, "--shown", "0", "--out", str(folder))[0] == 0
        lines = map(json.loads, (folder / "judgements.jsonl").read_text().splitlines())
        margins.append(sorted((line["task"], line["margin"]) for line in lines))
    assert margins[0] == margins[1]
