"""A card says what is known, with intervals, and no name that it shows can change what it is."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from omnireward.model_card import OURS, Figure, Line, Made, Results, model_card, plain

HOSTILE = "a | b\n---\nlicense: mit\n```\n<script>alert(1)</script> [x](javascript:y) ![](//e.vil) {{ x }} \u202e `"
FIGURES = Results(
    "omni_rewardbench",
    "omnireward evaluate --judge reward:run",
    (
        Line("T2T", 417, Figure(0.80123, (0.76, 0.84)), Figure(0.753, (0.71, 0.795))),
        Line("macro", 3725, Figure(0.7368, (0.72, 0.75)), Figure(0.6536, None)),
    ),
    failed=3,
)
MADE = Made(
    command="omnireward train --recipe paper_bt --out run",
    recipe="model: MiniCPM-o-2_6\n",
    model="openbmb/MiniCPM-o-2_6",
    datasets={"omni_rewarddata:hub:jinzhuoran/OmniRewardData@abc": 1.0, "mine": 0.5},
    counts={"pairs used": 1234, "ties left out": 5},
    versions={"torch": "2.13.0"},
)


def _front(card: str) -> dict[str, object]:
    """Read as the Hub's own client reads it."""
    data: Any = ModelCard(card, ignore_metadata_errors=False).data
    return dict(data.to_dict())


def test_a_card_has_the_recipe_the_data_and_the_figures_with_their_intervals() -> None:
    card = model_card("minicpm_o", "paper", 8_000_000_000, "openbmb/MiniCPM-o-2_6@abc", MADE, [FIGURES], "apache-2.0")
    front = _front(card)
    assert front["base_model"] == "openbmb/MiniCPM-o-2_6"
    assert front["datasets"] == ["jinzhuoran/OmniRewardData"]
    assert front["license"] == "apache-2.0"
    assert "| T2T | 417 | 80.1 | 76.0–84.0 | 75.3 | 71.0–79.5 |" in card
    assert "| macro | 3,725 | 73.7 | 72.0–75.0 | 65.4 | – |" in card
    assert "3 samples could not be judged" in card
    assert "| pairs used | 1,234 |" in card
    assert "```sh\nomnireward train --recipe paper_bt --out run\n```" in card
    assert "```yaml\nmodel: MiniCPM-o-2_6\n```" in card


def test_what_is_not_known_is_left_to_the_author() -> None:
    card = model_card("text", "natural", 10)
    front = _front(card)
    assert front == {
        "library_name": "omnireward",
        "pipeline_tag": "text-classification",
        "tags": ["reward-model", "preference", "text"],
    }
    assert "training data and their licences, results with intervals" in card
    assert OURS in card


def test_hostile_names_are_shown_and_nothing_else() -> None:
    made = Made(HOSTILE, HOSTILE, HOSTILE, {HOSTILE: 1.0, f"hub:{HOSTILE}": 1.0}, {HOSTILE: 1}, {HOSTILE: HOSTILE})
    line = Line(HOSTILE, 1, Figure(0.5, None), Figure(0.5, None))
    card = model_card(HOSTILE, "paper", 1, HOSTILE, made, [Results(HOSTILE, HOSTILE, (line,))], HOSTILE)
    front = yaml.safe_load(card.split("\n---\n")[0].removeprefix("---\n"))
    assert front["license"] == HOSTILE
    assert "base_model" not in front
    assert "datasets" not in front
    body = card.split("\n---\n", 1)[1]
    fences = re.findall(r"^(`{3,})(\w*)$", body, re.MULTILINE)
    assert [language for _, language in fences if language] == ["python", "sh", "yaml", "sh"]
    outside = re.sub(r"^(`{3,})\w+\n.*?\n\1$", "", body, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside
    assert "](" not in outside
    rows = [row for row in outside.splitlines() if row.startswith("|")]
    assert {row.count("|") for row in rows} == {3, 7}


@given(st.text())
def test_any_text_is_one_line_without_marks(text: str) -> None:
    shown = plain(text)
    assert len(shown.splitlines()) <= 1
    assert not set(shown) & set("|<>`*_[]\\")


@pytest.mark.parametrize("text", ["", "MiniCPM-o-2.6", "a (b), c: d"])
def test_usual_names_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
