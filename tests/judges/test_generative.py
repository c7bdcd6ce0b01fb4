"""A local chat model as a judge: what fails, fails alone; what is asked decides; what identifies it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from omnireward import report
from omnireward.errors import CheckpointError, MissingExtraError, RecipeError
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.generation import ChatModel
from omnireward.generation.tiny import write_tiny_chat_model
from omnireward.judges import JudgeOptions, RepeatingJudge, generative, open_judge, reward
from omnireward.judges.generative import GenerativeJudge
from omnireward.miniature.world import World, samples
from omnireward.presentation import Message
from omnireward.prompts import Answer
from omnireward.types import Comparison, Media, Task, Text, Turn


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("chat")
    write_tiny_chat_model(made)
    return made


def _open(folder: Path, **options: Any) -> GenerativeJudge:
    judge = open_judge(f"generative:{folder}", JudgeOptions(**options))
    assert isinstance(judge, GenerativeJudge)
    return judge


def _asked(*names: str) -> list[Comparison]:
    return [Comparison((Turn("user", (Text(f"Tell me of {n}."),)),), (Text(n),), (Text(f"no {n}"),)) for n in names]


GOOD = _asked("tea", "coffee", "water", "milk", "a long walk by the sea")
BROKEN = replace(GOOD[0], response_b=(Media("image", Path("/nowhere/gone.png")),))


def test_every_task_without_sound_is_judged_and_sound_is_refused(folder: Path) -> None:
    shown = {sample.task: sample.comparison for sample in samples(World(prompts=1), "test")}
    judgements = dict(zip(shown, _open(folder)(list(shown.values())), strict=True))
    for task, judgement in judgements.items():
        if "audio" in (*task.inputs, *task.outputs):
            assert "takes no sound; it takes text and pictures" in judgement.error
            assert judgement.margin is None
        else:
            assert judgement.error == ""
            assert judgement.margin == {"a": 1, "b": -1, "tie": 0}[str(judgement.verdict)]
            assert judgement.rationale.startswith("VERDICT: ")
    assert {Task.T2T, Task.TI2T, Task.T2I, Task.TI2I, Task.T2V, Task.TV2T, Task.T23D} <= set(judgements)


def test_what_fails_fails_alone(folder: Path) -> None:
    judge = _open(folder)
    long = replace(GOOD[0], response_a=(Text("long " * 4_000),))
    judgements = judge([GOOD[0], BROKEN, GOOD[1], long, GOOD[2]])
    assert [bool(judgement.error) for judgement in judgements] == [False, True, False, True, False]
    assert "gone.png" in judgements[1].error
    assert "16,384" in judgements[3].error
    assert [judgements[i] for i in (0, 2, 4)] == judge(GOOD[:3])
    assert all(judgement.margin is None for judgement in judgements if judgement.error)


class _SmallMemory:
    """A model that answers what is shown, a few at a time, and says so as torch does."""

    def __init__(self, room: int, too_large: str = "") -> None:
        self.room, self.too_large, self.batches = room, too_large, list[int]()

    def answers(self, batch: Sequence[Sequence[Message]], **_: object) -> list[Answer]:
        self.batches.append(len(batch))
        texts = [str(messages[-1].items[0]) for messages in batch]
        if len(batch) > self.room or (self.too_large and any(self.too_large in text for text in texts)):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [Answer(f"{text}\nVERDICT: A") for text in texts]


def test_a_batch_that_does_not_fit_is_halved_until_it_does(folder: Path) -> None:
    memory = _SmallMemory(room=2)
    judgements = replace(_open(folder), model=memory)(GOOD)  # type: ignore[arg-type]
    assert memory.batches == [5, 2, 3, 1, 2]
    assert [judgement.verdict for judgement in judgements] == ["a"] * 5
    for judgement, comparison in zip(judgements, GOOD, strict=True):  # in order
        (response,) = comparison.response_a
        assert isinstance(response, Text)
        assert f"Tell me of {response.text}." in judgement.rationale


def test_a_question_that_never_fits_is_that_comparison_s_error(folder: Path) -> None:
    memory = _SmallMemory(room=9, too_large="Tell me of water.")
    judgements = replace(_open(folder), model=memory)(GOOD)  # type: ignore[arg-type]
    assert [bool(judgement.error) for judgement in judgements] == [False, False, True, False, False]
    assert "memory does not hold" in judgements[2].error


def test_pointwise_asks_of_each_response_and_compares_the_scores(tmp_path: Path) -> None:
    write_tiny_chat_model(tmp_path, lines=("SCORE: 2", "SCORE: 5", "SCORE: 9"))
    judgements = _open(tmp_path, mode="pointwise")([*GOOD, *(comparison.swap() for comparison in GOOD)])
    for there, back in zip(judgements[:5], judgements[5:], strict=True):
        assert there.rewards is not None
        assert set(there.rewards) <= {2.0, 5.0, 9.0}
        assert there.margin == there.rewards[0] - there.rewards[1]
        assert there.swap().rewards == back.rewards
    equal = replace(GOOD[0], response_b=GOOD[0].response_a)
    assert _open(tmp_path, mode="pointwise")([equal])[0].verdict == "tie"


def test_pointwise_one_broken_response_is_one_failed_comparison(tmp_path: Path) -> None:
    write_tiny_chat_model(tmp_path, lines=("SCORE: 2", "SCORE: 5"))
    judgements = _open(tmp_path, mode="pointwise")([GOOD[0], BROKEN, GOOD[1]])
    assert [bool(judgement.error) for judgement in judgements] == [False, True, False]


def test_log_probabilities_give_all_three_chances(tmp_path: Path) -> None:
    write_tiny_chat_model(tmp_path, lines=("A", "B", "C"))
    for ties in (True, False):
        for judgement in _open(tmp_path, logprobs=True, ties=ties)(GOOD):
            assert judgement.probabilities is not None
            a, tie, b = judgement.probabilities
            assert a + tie + b == pytest.approx(1)
            assert (tie > 0) == ties
            assert judgement.margin == pytest.approx(a - b)


def test_an_answer_that_is_cut_off_has_no_verdict_and_is_no_error(folder: Path) -> None:
    """'VERDICT: A' and its end are four tokens."""
    for judgement in _open(folder, max_tokens=3)(GOOD):
        assert (judgement.margin, judgement.verdict, judgement.error) == (None, None, "")
        assert judgement.rationale


def test_a_verdict_that_is_not_allowed_is_none(tmp_path: Path) -> None:
    write_tiny_chat_model(tmp_path, lines=("VERDICT: TIE",))
    assert [judgement.verdict for judgement in _open(tmp_path)(GOOD)] == ["tie"] * 5
    assert [judgement.margin for judgement in _open(tmp_path, ties=False)(GOOD)] == [None] * 5


def test_the_fingerprint_changes_with_everything_that_judgements_depend_on(folder: Path, tmp_path: Path) -> None:
    plain = _open(folder).fingerprint
    changed: list[dict[str, Any]] = [
        {"mode": "pointwise"},
        {"critique": False},
        {"ties": False},
        {"logprobs": True},
        {"max_tokens": 7},
        {"temperature": 0.5},
        {"temperature": 0.5, "seed": 1},
        {"temperature": 0.5, "samples": 2},
        {"temperature": 0.5, "samples": 2, "swap_half": True},
        {"frames": 3},
        {"views": 2},
        {"picture_side": 100},
    ]
    write_tiny_chat_model(tmp_path, lines=("VERDICT: A",))
    found = [plain, _open(tmp_path).fingerprint, *(_open(folder, **options).fingerprint for options in changed)]
    assert len(set(found)) == len(found)
    assert _open(folder, seed=1).fingerprint == plain  # nothing is drawn


def test_an_option_that_it_does_not_read_is_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match="does not read --base-url"):
        open_judge(f"generative:{folder}", JudgeOptions(base_url="http://127.0.0.1:1/v1"))


def test_a_repository_needs_a_revision() -> None:
    with pytest.raises(RecipeError, match="owner/repo@COMMIT"):
        open_judge("generative:owner/repo")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "omnireward.generation", None)
    with pytest.raises(MissingExtraError, match=r"omnireward\[train\]"):
        open_judge("generative:somewhere")


def test_listing_judges_loads_no_torch() -> None:
    code = "import sys, omnireward.judges.generative; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_example_is_the_same_each_time(tmp_path: Path) -> None:
    assert generative.JUDGE.example is not None
    first, second = (generative.JUDGE.example(tmp_path / name) for name in ("first", "second"))
    assert ChatModel.load(first).digest == ChatModel.load(second).digest


def test_votes_of_several_numbers_are_drawn_apart_and_the_same_number_says_the_same(folder: Path) -> None:
    judge = _open(folder, temperature=3.0)
    assert isinstance(judge, RepeatingJudge)
    asked = [GOOD[0]] * 12
    first = judge.repeat(asked, range(12))
    assert len({judgement.rationale for judgement in first}) > 1
    assert judge.repeat(asked[:5], range(5)) == first[:5]
    assert judge(asked[:2]) == [first[0]] * 2


def test_samples_of_one_comparison_are_the_votes_that_it_would_get_one_by_one(folder: Path) -> None:
    """The second vote of two samples is the votes 2 and 3 of one."""
    alone = _open(folder, temperature=3.0).repeat([one for one in GOOD[:3] for _ in "ab"], [2, 3] * 3)
    several = _open(folder, temperature=3.0, samples=2).repeat(GOOD[:3], [1] * 3)
    for place, judgement in enumerate(several):
        verdicts = [one.verdict for one in alone[2 * place : 2 * place + 2]]
        assert judgement.probabilities == tuple(verdicts.count(side) / 2 for side in ("a", "tie", "b"))
        assert judgement.margin == (verdicts.count("a") - verdicts.count("b")) / 2
    assert len({judgement.probabilities for judgement in several}) > 1


def test_with_half_of_the_samples_swapped_exchanging_the_responses_exchanges_the_judgement(folder: Path) -> None:
    judge = _open(folder, temperature=3.0, samples=4, swap_half=True)
    asked = GOOD[:2]
    there, back = judge(asked), judge([comparison.swap() for comparison in asked])
    assert [one.probabilities for one in there] == [one.swap().probabilities for one in back]
    assert [one.margin for one in there] == [one.swap().margin for one in back]
    assert any(one.margin for one in there)


def test_many_samples_of_few_comparisons_are_answered_some_at_a_time(folder: Path) -> None:
    memory = _SmallMemory(room=99)
    judgements = replace(_open(folder, temperature=1.0, samples=20), model=memory)(GOOD[:2])  # type: ignore[arg-type]
    assert memory.batches == [16, 16, 8]
    assert [judgement.probabilities for judgement in judgements] == [(1.0, 0.0, 0.0)] * 2


def test_a_sample_that_fails_is_counted_and_the_others_vote(folder: Path) -> None:
    class Forgetful:
        def answers(self, batch: Sequence[Sequence[Message]], *, seeds: Sequence[int], **_: object) -> list[Answer]:
            if 2 in seeds:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return [Answer("VERDICT: A") for _ in batch]

    judge = replace(_open(folder, temperature=1.0, samples=4), model=Forgetful())  # type: ignore[arg-type]
    (judgement,) = judge(GOOD[:1])
    assert (judgement.verdict, judgement.error) == ("a", "")
    assert judgement.rationale.endswith("(Of 4 answers: 3 A, 0 TIE, 0 B, 1 failed.)")
    (broken,) = judge([BROKEN])
    assert (broken.probabilities, broken.margin) == (None, None)
    assert "gone.png" in broken.error


def test_a_reward_model_is_refused_and_its_judge_named(tmp_path: Path) -> None:
    assert reward.JUDGE.example is not None
    reward.JUDGE.example(tmp_path)
    with pytest.raises(CheckpointError, match=f"holds a reward model.*reward:{tmp_path}"):
        open_judge(f"generative:{tmp_path}")
    (tmp_path / "omnireward.json").unlink()  # as others publish them
    with pytest.raises(CheckpointError, match=f"holds a reward model.*reward:{tmp_path}"):
        open_judge(f"generative:{tmp_path}")


def test_the_shares_of_samples_are_what_the_report_holds_against_what_people_said(folder: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(
        judge=f"generative:{folder}",
        benchmark="miniature",
        tasks=("T2T",),
        limit=6,
        out=tmp_path,
        temperature=3.0,
        samples=3,
    )
    evaluate(config)
    found = report.read(tmp_path)
    assert (found.run.settings["samples"], found.run.settings["swap_half"]) == (3, False)
    claims = []
    for record in found.records:
        assert record.probabilities is not None
        assert all(share * 3 == pytest.approx(round(share * 3)) for share in record.probabilities)
        a, _, b = record.probabilities
        if record.preference != "tie" and a + b:
            claims.append(a / (a + b))
    held = report.build(found.run, found.records).reliability
    assert held is not None
    assert held.samples == len(claims) > 2
    assert sum(one.samples * one.claimed for one in held.bins) == pytest.approx(sum(claims))
