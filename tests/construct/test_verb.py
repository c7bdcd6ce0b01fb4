"""`omnireward construct` on the command line: what is printed, and that a step's config is a recipe for the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.construct.mix_samples import asked, everything, folder

from omnireward.cli import main


def test_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The judge of lengths finds two of three claims again."""
    said = [("long answer", "no", "a"), ("no", "long answer", "b"), ("no", "long answer", "a")]
    folder(tmp_path / "s", [asked(f"Q{n}", (a, b), "a" if side == "a" else "b") for n, (a, b, side) in enumerate(said)])
    monkeypatch.chdir(tmp_path)
    words = ["construct", "verify", "--samples", "samples:s", "--verifiers", "longer", "--out", "out"]
    assert main(words) == 0
    assert "The samples are in out; the page is out/report.html." in capsys.readouterr().out
    assert len((tmp_path / "out" / "samples.jsonl").read_text().splitlines()) == 2
    before = everything(tmp_path / "out")
    assert main(["construct", "verify", "--recipe", "out/config.yaml"]) == 0
    assert everything(tmp_path / "out") == before
