"""A folder is a registry, dotted names load from outside, and a mistyped name is answered with the nearest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from omnireward import plugins
from omnireward.errors import UnknownNameError

FOLDERS = ["backbones", "benchmarks", "datasets", "judges"]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `elsewhere` on the path, outside of omnireward; forgotten after the test."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "elsewhere"]:
        del sys.modules[name]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_file_of_a_folder_is_a_plug_in(folder: str) -> None:
    """Compared with the folder on the disk; files with an underscore are a plug-in's own parts."""
    files = Path(plugins.__file__).with_name(folder).glob("[!_]*.py")
    assert plugins.names(folder) == sorted(path.stem for path in files)
    assert plugins.names(folder)


@pytest.mark.parametrize(("folder", "name"), [(f, n) for f in FOLDERS for n in plugins.names(f)])
def test_each_plug_in_defines_its_constant(folder: str, name: str) -> None:
    assert plugins.load(folder, name) is plugins.load(folder, f"omnireward.{folder}.{name}")


def test_a_dotted_name_loads_a_module_from_outside(outside: Path) -> None:
    (outside / "mine.py").write_text("DATASET = 'my dataset'\n")
    assert plugins.load("datasets", "elsewhere.mine") == "my dataset"


def test_a_module_without_the_constant_is_refused(outside: Path) -> None:
    (outside / "bare.py").write_text("DATASET = 1\n")
    with pytest.raises(UnknownNameError, match=r"elsewhere\.bare defines no BENCHMARK"):
        plugins.load("benchmarks", "elsewhere.bare")


@pytest.mark.parametrize("name", ["minature", "miniatures", "Miniature"])
def test_a_mistyped_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown dataset '{name}'. Did you mean miniature"):
        plugins.load("datasets", name)


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UnknownNameError) as raised:
        plugins.load("judges", "zzz")
    assert "Did you mean" not in str(raised.value)
    assert all(name in str(raised.value) for name in plugins.names("judges"))


@pytest.mark.parametrize(
    "name",
    [
        "elsewhere.absent",
        "absent.package",
        "elsewhere.mine.deeper",
        "elsewhere..mine",
        "elsewhere.",
        ".mine",
        "..",
        ".",
    ],
)
def test_a_dotted_name_that_leads_nowhere_is_unknown(outside: Path, name: str) -> None:
    (outside / "mine.py").write_text("DATASET = 1\n")
    with pytest.raises(UnknownNameError):
        plugins.load("datasets", name)


@pytest.mark.parametrize("name", ["../datasets/miniature", "datasets/miniature.py", "/tmp/x.py"])
def test_a_path_is_no_name(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown dataset"):
        plugins.load("datasets", name)


def test_a_part_with_an_underscore_is_no_plug_in() -> None:
    with pytest.raises(UnknownNameError):
        plugins.load("backbones", "_minicpm_o_config")


@pytest.mark.parametrize("missing", ["not_installed_anywhere", "elsewhere.gone"])
def test_an_import_error_inside_a_plug_in_is_not_hidden(outside: Path, missing: str) -> None:
    """Else a user with a missing dependency would look for a typing error in the name."""
    (outside / "needy.py").write_text(f"import {missing}\nDATASET = 1\n")
    with pytest.raises(ModuleNotFoundError, match=missing):
        plugins.load("datasets", "elsewhere.needy")


def test_a_nested_folder_names_its_constant_by_its_last_part(outside: Path) -> None:
    assert "openrlhf" in plugins.names("serve.protocols")
    (outside / "mine.py").write_text("PROTOCOL = 'my shape'\n")
    assert plugins.load("serve.protocols", "elsewhere.mine") == "my shape"
    with pytest.raises(UnknownNameError, match=r"unknown protocol 'openrlfh'. Did you mean openrlhf"):
        plugins.load("serve.protocols", "openrlfh")
