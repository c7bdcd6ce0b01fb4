"""The examples run, against a server on loopback, and learn what they are rewarded for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples import grpo_text
from examples.grpo_text import Settings
from safetensors.torch import load_file
from tests.serve.running import serving

from omnireward.ahead import Ahead
from omnireward.backbones.minicpm_o import tiny
from omnireward.judges.reward import RewardJudge
from omnireward.reward_model import RewardModel
from omnireward.serve.asking import Scored
from omnireward.serve.scoring import Row
from omnireward.types import Part, Text

pytestmark = [
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning"),  # TRL's own
]
TRUE_VALUE = grpo_text.true_value  # also where a test makes the example watch something else
POLITE, NOT_POLITE = "The answer should be polite.", "The answer should not be polite."


@pytest.fixture(scope="module")
def model() -> RewardModel:
    """A tiny one, whose rewards mean nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = RewardModel(tiny(["Tell me about tea. Thank you. This is about tea."] * 9, 0), "minicpm_o", "natural")
    made.requires_grad_(False)
    return made.eval()


@pytest.fixture(scope="module")
def url(model: RewardModel) -> Iterator[str]:
    with serving(RewardJudge(model, "made-up-revision", Ahead(model))) as running:
        yield f"http://127.0.0.1:{running.port}"


@dataclass(frozen=True)
class TruthWorker:
    """In place of a model: the reward of an answer is its true politeness, or the lack of it if the criterion says not.

    It is what a reward model would give that never errs.
    """

    model: object

    def prepare(self, item: Row) -> Row:
        return item

    def weight(self, ready: Row) -> int:
        return 1

    def work(self, ready: Sequence[Row]) -> list[Scored]:
        return [
            Scored(
                (-1.0 if " not " in row.criterion else 1.0)
                * TRUE_VALUE("polite", _words(row.prompt[-1].content), _words(row.response))
            )
            for row in ready
        ]

    def stop(self) -> None:
        """It holds nothing."""


def _words(parts: Sequence[Part]) -> str:
    return " ".join(part.text for part in parts if isinstance(part, Text))


def test_truths_read_from_the_words_are_those_of_the_world() -> None:
    """All eight, of 500 answers; the world says what it wrote, the example reads it."""
    for number in range(500):
        prompt, answer, truth = grpo_text.drawn(np.random.default_rng([1, number]))
        read = {name: grpo_text.true_value(name, prompt, answer) for name in grpo_text.TRUTHS}
        assert read == {name: truth[name] for name in grpo_text.TRUTHS}, (prompt, answer)


def test_truths_of_words_that_the_world_never_says() -> None:
    """By hand: a policy says what it likes."""
    for truth in grpo_text.TRUTHS:
        assert grpo_text.true_value(truth, "Tell me about rain.", "") == 0.0
    assert grpo_text.true_value("true", "Tell me about rain.", "On rain: This is about tea.") == 0.5
    assert grpo_text.true_value("true", "Tell me about trains.", "On rain:") == 0.0
    assert grpo_text.true_value("polite", "What is tea?", "Thank you. Thank you.") == 1.0
    assert grpo_text.true_value("numbers", "What is tea?", "There are many.") == 0.0


def test_a_sentence_that_is_said_twice_is_a_repetition() -> None:
    assert not grpo_text.repeats("Thank you. On tea: There are 3.")
    assert grpo_text.repeats("There are 3. Thank you. There are 41.")
    assert grpo_text.repeats("What joy! What joy!")


def test_all_topics_and_ways_to_ask_are_prompts() -> None:
    """8 topics, 3 ways to ask."""
    assert len(grpo_text.PROMPTS) == 24


def test_a_mean_has_students_interval() -> None:
    """Of 1, 2, 3: deviation 1, and t = 4.303 for two degrees of freedom, so 4.303 / sqrt(3) = 2.48."""
    assert grpo_text.mean([1.0, 2.0, 3.0]) == "2.00 ± 2.48"
    assert grpo_text.mean([1.0]) == "1.00"


def _small(rewards: str, out: Path, **more: Any) -> Settings:
    return Settings(
        **{"rewards": rewards, "out": out, "steps": 2, "lessons": 2, "prompts": 2, "group": 4, "tokens": 8, **more}
    )


def test_a_short_run_leaves_its_table_its_picture_and_its_policies(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grpo_text.main(_small(url, tmp_path, criterion=(POLITE, NOT_POLITE)))
    assert (tmp_path / "table.md").read_text(encoding="utf-8") in capsys.readouterr().out
    assert (tmp_path / "steps.png").read_bytes()[:4] == b"\x89PNG"
    runs = json.loads((tmp_path / "runs.json").read_text(encoding="utf-8"))
    assert [(run["criterion"], run["seed"]) for run in runs] == [(POLITE, 0), (NOT_POLITE, 0)]
    for run in runs:
        assert [row["step"] for row in run["rows"]] == [1, 2]
        assert set(run["rows"][0]) >= {"reward", "kl", "entropy", "tokens", *grpo_text.TRUTHS}
    start, after = (load_file(tmp_path / name / "model.safetensors") for name in ("start-0", "criterion-0-seed-0"))
    assert any(not torch.equal(start[name], after[name]) for name in start)


def test_what_is_watched_changes_nothing_that_is_learned(
    model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Truths have weight 0: the policy is the same to the bit where other values are watched.

    A real model's rewards differ in the last bits by what is scored together, so these are the truth itself.
    """
    monkeypatch.setattr("omnireward.serve.service.RewardWorker", TruthWorker)
    with serving(RewardJudge(model, "made-up-revision", Ahead(model))) as running:
        settings = _small(f"http://127.0.0.1:{running.port}", tmp_path)
        grpo_text.warm_start(tmp_path / "start", 0, 2)
        grpo_text.grpo(tmp_path / "start", tmp_path / "watched", POLITE, 0, settings)
        monkeypatch.setattr(grpo_text, "true_value", lambda _truth, _prompt, answer: -1000.0 * len(answer))
        grpo_text.grpo(tmp_path / "start", tmp_path / "made-up", POLITE, 0, settings)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("watched", "made-up"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_the_truth_that_is_rewarded_rises_and_under_the_opposite_criterion_it_falls(
    model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rewards that are the truth itself. A third of the drawn answers are polite (0.35).

    The margins: of 240 answers, a share has a standard error of 0.03, so 0.2 is six of them, and no chance.
    """
    monkeypatch.setattr("omnireward.serve.service.RewardWorker", TruthWorker)
    with serving(RewardJudge(model, "made-up-revision", Ahead(model))) as running:
        url = f"http://127.0.0.1:{running.port}"
        grpo_text.main(
            Settings(rewards=url, out=tmp_path, criterion=(POLITE, NOT_POLITE), steps=20, lessons=200, tokens=48)
        )
    more, less = json.loads((tmp_path / "runs.json").read_text(encoding="utf-8"))
    assert 0.2 < more["before"]["polite"] < 0.5
    assert more["before"]["reward"] == pytest.approx(more["before"]["polite"])  # the server's, and the example's own
    assert less["before"]["reward"] == pytest.approx(-less["before"]["polite"])
    assert more["after"]["polite"] > more["before"]["polite"] + 0.2
    assert less["after"]["polite"] < less["before"]["polite"] - 0.2
