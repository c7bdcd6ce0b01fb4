"""What works is told from what is missing and from what is broken; a crash in a library is a finding, not an end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from omnireward.doctor import Finding, examining, machine, packages
from omnireward.feature_store import default_store
from omnireward.verbs import doctor

REQUIRES = [
    "numpy>=2.1",
    "torch==2.13.0; extra == 'train'",
    "transformers<6,>=5.23; extra == 'train'",
    "omnireward[train]; extra == 'qlora'",
    "bitsandbytes>=0.48; extra == 'qlora'",
]


def _by_name(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder before all others on the child's path, with a torch of one file and a torchvision."""
    (tmp_path / "torchvision.py").write_text("")
    (tmp_path / "torch.py").write_text(
        "__version__ = '2.13.0+cpu'\n"
        "class version: cuda = None\n"
        "class cuda: is_available = staticmethod(lambda: False)\n"
        "get_num_threads = lambda: 3\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_core_alone_works_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It really judges, in a child, as if torch were not there."""
    monkeypatch.setattr(examining, "find_spec", lambda _name: None)
    doctor.run(["--json"])
    told = json.loads(capsys.readouterr().out)
    found = _by_name([Finding(**each) for each in told["findings"]])
    assert told["works"]
    assert found["a report"] == Finding("core", "a report", "ok", "judged 6 made-up samples and wrote the report")
    assert found["numpy"].state == found["video and audio"].state == found["pictures"].state == "ok"
    assert (found["all"].area, found["all"].state) == ("backbones", "missing")
    assert found["all"].mend == "pip install 'omnireward[train]'"


@pytest.mark.parametrize(
    ("transformers", "says"),
    [
        ("raise RuntimeError('operator torchvision::nms does not exist')", "operator torchvision::nms does not exist"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
    ],
)
def test_what_breaks_transformers_is_named_and_the_exit_code_is_1(
    stand_ins: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    transformers: str,
    says: str,
) -> None:
    (stand_ins / "transformers.py").write_text(transformers)
    start = examining._start
    monkeypatch.setattr(examining, "_start", lambda _probe: start("torch"))  # the core has a test of its own
    with pytest.raises(SystemExit) as ended:
        doctor.run([])
    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert says in said
    assert "3 threads" in said  # what was known before the crash is kept
    assert "pip uninstall torchvision" in said
    assert said.endswith("say how to mend it.")


@pytest.mark.parametrize(
    ("installed", "core", "train", "qlora"),
    [
        ({"numpy": "2.4.6"}, "ok", "missing", "missing"),
        ({"numpy": "1.26.4"}, "problem", "missing", "missing"),
        ({"numpy": "2.4.6", "torch": "2.13.0+cu128", "transformers": "5.24.0"}, "ok", "ok", "missing"),
        ({"numpy": "2.4.6", "torch": "2.13.0", "transformers": "4.57.1"}, "ok", "problem", "missing"),
        ({"torch": "2.13.0", "transformers": "5.23", "bitsandbytes": "0.48"}, "problem", "ok", "ok"),
    ],
)
def test_a_missing_extra_is_no_problem_and_a_wrong_version_is(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], core: str, train: str, qlora: str
) -> None:
    """Versions compared by hand with the requirements above; +cu128 is a build of 2.13.0."""

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    class Told:
        @staticmethod
        def get_all(_name: str) -> list[str]:
            return ["train", "qlora", "all", "dev"]

    monkeypatch.setattr(metadata, "requires", lambda _name: REQUIRES)
    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "metadata", lambda _name: Told)
    found = _by_name(list(packages.findings()))
    assert set(found) == {"numpy", "train", "qlora"}
    assert (found["numpy"].state, found["train"].state, found["qlora"].state) == (core, train, qlora)
    assert found["qlora"].mend == ("" if qlora == "ok" else "pip install 'omnireward[qlora]'")


def test_more_threads_than_processors_and_no_hub_are_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = _by_name(list(machine.findings()))
    assert found["processors"].state == found["Hugging Face Hub"].state == "note"
    assert found["processors"].mend.startswith("export OMP_NUM_THREADS=")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    found = _by_name(list(machine.findings()))
    assert found["processors"].state == found["Hugging Face Hub"].state == "ok"


def test_the_cache_is_where_features_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told without torch, and the same as what the store itself decides; of a user without a home too."""

    def nobodys_home(path: Path) -> Path:
        raise RuntimeError(f"could not determine home directory of {path}")

    monkeypatch.setenv("OMNIREWARD_CACHE_GB", "7")
    for name, value in (("OMNIREWARD_CACHE", str(tmp_path)), ("XDG_CACHE_HOME", str(tmp_path / "xdg"))):
        monkeypatch.delenv("OMNIREWARD_CACHE", raising=False)
        monkeypatch.setenv(name, value)
        store = default_store()
        assert store is not None
        assert machine.cache() == (store.folder, store.limit / 1e9)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "expanduser", nobodys_home)
    assert machine.cache() == (None, 7.0)
    assert default_store() is None
    assert "none are kept: there is no home folder" in _by_name(list(machine.findings()))["kept features"].says
