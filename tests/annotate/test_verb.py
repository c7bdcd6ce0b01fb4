"""What is refused before anything is begun, and the whole verb's export."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.annotate.world import SENTENCE, World, text_sample

from omnireward.annotate.config import AnnotateConfig
from omnireward.cli import main
from omnireward.errors import RecipeError


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folder": ""}, "which samples"),
        ({"annotators": ("ann", "ann", "cid")}, "name of their own"),
        ({"adjudicator": "ann"}, "name of their own"),
        ({"annotators": ("ann", "", "cid")}, "printable characters"),
        ({"annotators": ("ann", "b\x1b[2Jen", "cid")}, "printable characters"),
        ({"overlap": 4}, "there are 3"),
        ({"overlap": 0}, "overlap is 0"),
        ({"annotators": ("ann",), "overlap": 1}, "name two annotators"),
        ({"host": "0.0.0.0"}, "not encrypted"),
        ({"host": "example.org"}, "--open-to-network"),
        ({"port": 70_000}, "port"),
        ({"lease_minutes": float("nan")}, "lease_minutes"),
        ({"gold_every": 1}, "gold_every"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value),
)
def test_what_cannot_be_is_said_at_once(settings: dict[str, object], said: str) -> None:
    given = {"folder": "samples", "annotators": ("ann", "ben", "cid")} | settings
    with pytest.raises(RecipeError, match=said):
        AnnotateConfig(**given)  # type: ignore[arg-type]


def test_the_network_is_opened_on_purpose_only() -> None:
    config = AnnotateConfig(folder="x", annotators=("a", "b", "c"), host="0.0.0.0", open_to_network=True)
    assert config.writer_votes


def test_export_prints_the_yield(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(tmp_path / "in", [text_sample("one", SENTENCE)], overlap=1)
    with world.store:
        world.vote("ann", "b")
    assert main(["annotate", "--out", str(tmp_path / "in"), "--export", str(tmp_path / "out"), "--names"]) == 0
    said = capsys.readouterr().out
    assert "0.0 % were dropped without consensus. 1 (100.0 %) have a preference." in said
    assert "ann: 1 answers, 2.0 s each" in said
    assert main(["annotate", "--out", str(tmp_path / "none"), "--export", str(tmp_path / "new")]) == 2
    assert "no annotations.sqlite" in capsys.readouterr().err


def test_a_place_without_samples_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["annotate", str(tmp_path), "--annotators", "a", "b", "c", "--out", str(tmp_path / "o"), "--port", "0"]
    assert main(words) == 2
    assert "none of the datasets recognises" in capsys.readouterr().err
