"""The exported reward runs without the package and says what the package says."""

from __future__ import annotations

import ast
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from omnireward.questions.config import Trainer
from omnireward.questions.easyr1_reward import compute_score as easyr1_score
from omnireward.questions.reward_file import reward_file
from omnireward.questions.truths import truth_of
from omnireward.verdict_rewards import RewardTerms, scored

ANSWERS = 1000
CUT_AT = 64  # tokens

# EasyR1 enters the module among the imported ones before it runs it; verl does not.
BARE = """
import importlib.util, json, sys
reward, given, how = sys.argv[1:]
spec = importlib.util.spec_from_file_location("custom_reward", reward)
module = importlib.util.module_from_spec(spec)
if how == "easyr1":
    sys.modules["custom_reward"] = module
spec.loader.exec_module(module)
rows = json.load(open(given))
if how == "easyr1":
    assert module.REWARD_TYPE == "batch" and module.REWARD_NAME
    inputs = [dict(response=a, response_length=n, ground_truth=t) for a, n, t in rows]
    found = module.compute_score(inputs, max_response_length=64)
else:
    found = [module.compute_score("miniature", a, t, extra_info={"index": 0}, more=1) for a, n, t in rows]
assert not [name for name in sys.modules if name.startswith("omnireward")], sys.path
json.dump(found, sys.stdout)
"""

PROSE = [
    "A is warmer.",
    "B更清晰。",
    "Теплее",
    "<think>",
    "</think>",
    "```",
    "```text",
    "---",
    "",
    "\x00",
    "\ud800",
    "7 : 3",
]
PROSE += [
    "VERDICT: A",
    "VERDICT: B",
    "SCORE: 7",
    "> VERDICT: A",
    "どちらも",
    "x" * 90,
    "\u202eA :TCIDREV",
    "<|im_end|>",
    "é" * 40,
]
ENDS = [
    "VERDICT: A",
    "VERDICT: B",
    "VERDICT: TIE",
    "**Verdict:** [[A]]",
    r"VERDICT: $\boxed{B}$.",
    "verdict：b",
    "A",
    "",
]
ENDS += [
    "VERDICT: A or B",
    "VERDICT: AB",
    "Final verdict: A",
    "VERDICT: \u0410",
    "VERDICT: A\nVERDICT: B",
    "```\nVERDICT: A\n```",
]
TERMS = [
    RewardTerms(),
    RewardTerms(accuracy=0.5, format=0.5),
    RewardTerms(accuracy=0.6, format=0.1, length=0.2, language=0.1, shortest=3, longest=9),
    RewardTerms(accuracy=0.8, format=0.1, language=0.1, script="cyrillic"),
]


class Case(tuple[str, int, str]):
    """An answer, its length in tokens, and the truth; `expected` is what the package's own reward says."""

    expected: dict[str, float]
    uncut: dict[str, float]


def _cases() -> list[Case]:
    draw = random.Random(7)
    cases = []
    for number in range(ANSWERS):
        lines = [draw.choice(PROSE) for _ in range(draw.randrange(6))] + [draw.choice(ENDS if number % 2 else ENDS[:6])]
        if number % 5 == 0:
            lines = ["".join(chr(draw.randrange(0x3100)) for _ in range(draw.randrange(200))), *lines]
        if number % 200 == 0:
            lines = [draw.choice(["a ", "<", "VERDICT: A\n", "```\n", "漢", "\x00", "(" * 9]) * 100_000, *lines]
        answer, length = "\n".join(lines), draw.choice([1] * 6 + [CUT_AT - 1, CUT_AT])
        ties, terms = draw.random() < 0.7, draw.choice(TERMS)
        critique = bool(terms.length or terms.language) or draw.random() < 0.7
        preference = draw.choice(["a", "b", *["tie"] * ties])
        criterion = draw.choice(["", "Which is warmer?", "哪一个更好？", "\ud800"])
        case = Case(
            (answer, length, truth_of(preference, ties=ties, critique=critique, terms=terms, criterion=criterion))
        )
        for cut_off in (False, True):
            found = scored(
                answer,
                preference,
                ties=ties,
                critique=critique,
                cut_off=cut_off and length >= CUT_AT,
                terms=terms,
                criterion=criterion,
            )
            said = {"reward": found.reward, "format": found.format, "accuracy": found.accuracy}
            said |= {"length": found.length} if terms.length else {}
            said |= {"language": found.language} if terms.language else {}
            if cut_off:
                case.expected = said
            else:
                case.uncut = said
        cases.append(case)
    return cases


@pytest.mark.parametrize("trainer", ["easyr1", "verl"])
def test_a_bare_interpreter_gives_the_same_rewards(trainer: Trainer, tmp_path: Path) -> None:
    cases = _cases()
    (tmp_path / "reward.py").write_text(reward_file(trainer), encoding="utf-8")
    (tmp_path / "given.json").write_text(json.dumps(cases), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BARE, str(tmp_path / "reward.py"), str(tmp_path / "given.json"), trainer],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, float]] = json.loads(done.stdout)
    if trainer == "easyr1":
        assert found == [_named(case.expected, "overall") for case in cases]
    else:
        assert found == [{**_named(case.uncut, "score"), "acc": case.uncut["accuracy"]} for case in cases]
    rewards = Counter(case.expected["reward"] for case in cases)
    assert len(rewards) > 20  # the answers are worth comparing
    assert rewards[0.0] < 0.6 * ANSWERS


def _named(said: dict[str, float], reward: str) -> dict[str, float]:
    return {reward: said["reward"], **{name: value for name, value in said.items() if name != "reward"}}


def test_an_answer_as_long_as_allowed_was_cut_off() -> None:
    truth = truth_of("a", ties=True, critique=False, terms=RewardTerms(), criterion="")
    asked: list[dict[str, object]] = [
        {"response": "VERDICT: A", "response_length": length, "ground_truth": truth} for length in (7, 8)
    ]
    assert [one["overall"] for one in easyr1_score(asked, max_response_length=8)] == [1.0, 0.0]
    assert [one["overall"] for one in easyr1_score(asked)] == [1.0, 1.0]


@pytest.mark.parametrize("trainer", ["easyr1", "verl"])
def test_modules_put_together_do_not_overwrite_each_others_names(trainer: Trainer) -> None:
    named: Counter[str] = Counter()
    for node in ast.parse(reward_file(trainer)).body:
        named.update(_names(node))
    assert [name for name, count in named.items() if count > 1] == []


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[Any] = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@pytest.mark.parametrize("trainer", ["easyr1", "verl"])
def test_nothing_of_this_package_is_imported(trainer: Trainer) -> None:
    for node in ast.walk(ast.parse(reward_file(trainer))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            assert all(name.partition(".")[0] in sys.stdlib_module_names - {"__future__"} for name in names)
