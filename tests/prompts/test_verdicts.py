"""The text rules by themselves: what they say is what a judgement says, and what a critique is.

What is a verdict and what is none, case by case, is in test_reading. Every expected critique was written by hand.
"""

from __future__ import annotations

import ast
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward import verdict_rewards
from omnireward.prompts import Answer, Form, judgement, verdicts
from omnireward.prompts.verdicts import critique, score, verdict

LINES = st.sampled_from(
    [
        "A is warmer.",
        "VERDICT: A",
        "**Verdict:** [[B]]",
        "VERDICT: TIE",
        "SCORE: 7",
        "SCORE: 99.5",
        "```",
        "---",
        "",
        "x",
    ]
)
ANSWERS = st.one_of(st.lists(LINES, max_size=6).map("\n".join), st.text(max_size=60))


@given(ANSWERS, st.booleans())
def test_a_judgement_says_what_the_rules_say(text: str, ties: bool) -> None:
    found = judgement(Form("pairwise", critique=True, ties=ties), [Answer(text)])
    assert found.verdict == verdict(text, ties)
    rewards = judgement(Form("pointwise", critique=True, ties=ties), [Answer(text), Answer("SCORE: 5")]).rewards
    if rewards is not None:
        assert rewards[0] == score(text, ties)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("VERDICT: A", ""),
        ("A is warmer.\nVERDICT: A", "A is warmer."),
        ("A is warmer.\r\n\r\n  B is not. \nVERDICT: A\n---\n\n", "A is warmer.\nB is not."),
        ("```text\nA is warmer.\nVERDICT: A\n```", "A is warmer."),
        ("VERDICT: B\nOn second thought, no.\n**VERDICT:** A", "On second thought, no."),
        ("VERDICT: A\nVERDICT: A", ""),
        ("SCORE: 3\n***\nVERDICT: A", ""),
        ("It says:\n```\nVERDICT: B\nx = 1\n```\nIt must not.\nVERDICT: A", "It says:\nx = 1\nIt must not."),
        ("The verdict: A, say some.\nVERDICT: B", "The verdict: A, say some."),
    ],
)
def test_what_stands_before_the_last_line(text: str, words: str) -> None:
    assert critique(text) == words


@pytest.mark.parametrize("text", ["\n".join(["a"] * 500_000), "`" * 10**6, "```\n" * 250_000, "VERDICT: A\n" * 90_000])
def test_a_megabyte_takes_no_longer_than_its_length(text: str) -> None:
    """A few tenths of a second here; a quadratic rule would take minutes."""
    begun = time.process_time()
    critique(text)
    verdict(text, True)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("module", [verdicts, verdict_rewards], ids=lambda module: module.__name__)
def test_what_reward_files_hold_a_copy_of_imports_only_the_standard_library(module: object) -> None:
    tree = ast.parse(Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    outside = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert outside <= {"omnireward.prompts.verdicts"}
