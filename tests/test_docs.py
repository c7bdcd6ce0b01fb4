"""The documents say what the software does: examples, help texts, links, limits and recipes are checked against it.

In every document a ``console`` block is run: a line that begins with ``$ `` is a command, the rest what it prints. A
block below ``<!-- file: NAME -->`` is written to that file first; a ``pycon`` block is a doctest. All blocks of one
document share a folder and run in order. UPDATE_GOLDEN=1 writes what commands print into the documents: read the diff.

What is compared is words: where lines break and how boxes are drawn belongs to the installed tyro and rich.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from omnireward import conversation_model, mesh_files, recipes, rows
from omnireward.archives import UnpackLimits
from omnireward.cli import VERBS, main
from omnireward.media import Limits
from omnireward.serve.config import ServeConfig
from omnireward.serve.protocols import shapes

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
REFERENCE = ROOT / "docs" / "reference.md"
ADD_A_FILE = ROOT / "docs" / "add-a-file.md"
SERVE = ROOT / "docs" / "how-to" / "serve.md"
HELPED = (
    *VERBS,
    "data show",
    "data inspect",
    "data export",
    "data questions",
    *(f"construct {step}" for step in ("criteria", "verify", "mix", "critiques")),
)

_BLOCK = re.compile(r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
_LINK = re.compile(r"(?<!`)\]\((?!https?:)(?P<file>[^)#\s]*)(?:#(?P<heading>[^)\s]+))?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_DRAWN = re.compile(r"[\u2500-\u257f]")  # boxes and rules

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


@dataclass(frozen=True)
class Block:
    file: str | None
    kind: str
    text: str
    span: tuple[int, int]


def _blocks(document: Path) -> list[Block]:
    found = _BLOCK.finditer(document.read_text(encoding="utf-8"))
    return [Block(m["file"], m["kind"], m["text"], m.span("text")) for m in found]


def _commands(text: str) -> list[tuple[str, str]]:
    """Each command of a console block, and what the block says it prints."""
    _, *parts = re.split(r"^\$ (.+)\n", text, flags=re.M)
    return list(zip(parts[::2], parts[1::2], strict=True))


def _arguments(command: str) -> list[str]:
    """What follows the program's name; the PYTHONPATH before it is set by the test."""
    words = [word for word in shlex.split(command) if not word.startswith("PYTHONPATH=")]
    assert words[0].rpartition("/")[2] == "omnireward", command
    return words[1:]


def _words(text: str) -> list[str]:
    return _DRAWN.sub(" ", text).split()


def _printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    try:
        code = main(_arguments(command))
    except SystemExit as stopped:  # --help
        code = int(stopped.code or 0)
    captured = capsys.readouterr()
    said = captured.out if code == 0 else captured.err
    return "".join(f"{line.rstrip()}\n" for line in said.rstrip().splitlines())


@each_document
def test_examples_run_and_print_what_the_document_says(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    source, moved, names = document.read_text(encoding="utf-8"), 0, dict[str, Any]()
    for block in _blocks(document):
        if block.file:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "pycon":
            test = doctest.DocTestParser().get_doctest(block.text, names, document.name, str(document), 0)
            assert test.examples
            said: list[str] = []
            assert doctest.DocTestRunner().run(test, out=said.append, clear_globs=False).failed == 0, "".join(said)
            names = test.globs
        elif block.kind == "console":
            stated = _commands(block.text)
            assert stated, f"a console block without a command: {block.text}"
            found = [(command, _printed(command, capsys)) for command, _ in stated]
            if os.environ.get("UPDATE_GOLDEN") == "1":
                fresh = "".join(f"$ {command}\n{said}" for command, said in found)
                source = source[: block.span[0] + moved] + fresh + source[block.span[1] + moved :]
                moved += len(fresh) - len(block.text)
                document.write_text(source, encoding="utf-8")
            else:
                assert [(c, _words(said)) for c, said in found] == [(c, _words(said)) for c, said in stated]


def test_the_reference_has_the_help_of_every_verb() -> None:
    shown = [command for block in _blocks(REFERENCE) for command, _ in _commands(block.text)]
    assert {"omnireward --help", *(f"omnireward {verb} --help" for verb in HELPED)} <= set(shown)


@each_document
def test_commands_to_type_have_verbs_and_flags_that_exist(
    document: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for line in _lines_to_type(document):
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            assert set(words[1:]) - {word for word in words if "=" in word} <= set(targets), line
        elif any(word.rpartition("/")[2] == "omnireward" for word in words[:2]):
            verb, *flags = words[1 + (words[0].startswith("PYTHONPATH=")) :]
            name = " ".join([verb, *flags[: verb in ("data", "construct")]])
            known = set(_words(_printed(f"omnireward {name} --help", capsys).replace(",", " ")))
            typed = {flag.partition("=")[0] for flag in flags if flag.startswith("--")}
            assert typed - {"--recipe"} <= known, line


def _lines_to_type(document: Path) -> Iterator[str]:
    for block in _blocks(document):
        if block.kind == "sh":
            yield from block.text.replace("\\\n", " ").splitlines()


@each_document
def test_relative_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.finditer(document.read_text(encoding="utf-8")):
        target = document.parent / link["file"] if link["file"] else document
        assert target.exists(), link[0]
        if link["heading"]:
            headings = _HEADING.findall(target.read_text(encoding="utf-8"))
            assert link["heading"] in {_slug(heading) for heading in headings}, link[0]


def _slug(heading: str) -> str:
    """A heading's name in links: lower case, punctuation dropped, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_document
def test_recipes_that_are_named_exist(document: Path) -> None:
    named = re.findall(r"--recipe[ =]([a-z][\w./-]*)|recipes/(\w+)\.yaml", document.read_text(encoding="utf-8"))
    assert {flag or file for flag, file in named if not flag.endswith(".yaml")} <= set(recipes.names())


def test_the_paper_map_places_every_recipe() -> None:
    text = (ROOT / "docs" / "paper-map.md").read_text(encoding="utf-8")
    assert [name for name in recipes.names() if f"`{name}`" not in text] == []


def test_the_limits_in_the_security_document_are_the_defaults() -> None:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows_of_the_table = re.findall(r"^\| `(\S+)` \| ([\d,.]+) ", text, re.M)
    stated = {name: float(number.replace(",", "")) for name, number in rows_of_the_table}
    assert stated == {
        **{f"Limits.{field.name}": float(getattr(Limits(), field.name)) for field in fields(Limits)},
        **{f"UnpackLimits.{field.name}": float(getattr(UnpackLimits(), field.name)) for field in fields(UnpackLimits)},
        "conversation_model.MOST_TOKENS": float(conversation_model.MOST_TOKENS),
        "rows.MAX_ROW_CHARACTERS": float(rows.MAX_ROW_CHARACTERS),
        "mesh_files.MOST_NAMES": float(mesh_files.MOST_NAMES),
        "mesh_files.MOST_BYTES": float(mesh_files.MOST_BYTES),
        "rows.MAX_ROW_GROUP_BYTES": float(rows.MAX_ROW_GROUP_BYTES),
    }


def test_the_serve_document_has_every_path_of_every_protocol_and_the_servers_limits() -> None:
    text = SERVE.read_text(encoding="utf-8")
    paths = {route.path for shape in shapes().values() for route in shape.routes}
    assert {path for path in paths if f"`{path}`" not in text} == set()
    rows_of_the_table = re.findall(r"^\| `--([a-z-]+)` \| (\d+) ", text, re.M)
    defaults = vars(ServeConfig(judge="longer"))
    assert {name: float(number) for name, number in rows_of_the_table} == {
        name: float(defaults[name.replace("-", "_")]) for name, _ in rows_of_the_table
    }
    assert {name for name, _ in rows_of_the_table} >= {n.replace("_", "-") for n in defaults if n.startswith("max_")}


def test_files_added_as_the_document_says_pass_the_contract_tests(tmp_path: Path) -> None:
    """In a copy of the tree; the contract tests there must find each new file by its name alone."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "contracts", tmp_path / "tests" / "contracts")
    shutil.copytree(ROOT / "tests" / "serve" / "protocols", tmp_path / "tests" / "serve" / "protocols")
    (tmp_path / "tests" / "calls").mkdir()
    shutil.copy(ROOT / "tests" / "calls" / "scripted.py", tmp_path / "tests" / "calls")  # judges behind an API ask it
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    added = [block for block in _blocks(ADD_A_FILE) if block.file and block.file.endswith(".py")]
    assert [block.file for block in added] == ["mine/stars.py", "mine/mentions.py", "mine/grades.py"]
    for block, folder in zip(added, ("datasets", "judges", "serve/protocols"), strict=True):
        target = tmp_path / "src" / "omnireward" / folder / Path(block.file or "").name
        target.write_text(block.text, encoding="utf-8")
    chosen = ("-k", "stars or mentions or grades")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/contracts", "-vp", "no:cacheprovider", *chosen],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_ids_are_unique[datasets-stars] PASSED" in done.stdout
    assert "test_order_and_batch_mates_change_nothing[mentions] PASSED" in done.stdout
    assert "test_a_response_without_a_reward_has_no_number[grades/grades] PASSED" in done.stdout
