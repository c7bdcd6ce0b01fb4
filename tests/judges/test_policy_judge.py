"""Our own judges as judges: who answers which folder, how they are asked, and that what fails, fails alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.hub_cache import COMMIT, cache_entry

from omnireward.backbones.minicpm_o import tiny
from omnireward.encoded import Encoded
from omnireward.errors import CheckpointError, PromptError, RecipeError
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.judges import ForesightedJudge, JudgeOptions, RepeatingJudge, open_judge
from omnireward.judges._policy_judge import PolicyJudge, Speaker
from omnireward.media import encode
from omnireward.policy import Policy
from omnireward.prompts import Answer, Form, questions
from omnireward.types import Comparison, Media, Text, Turn

TRAINED = Form("pairwise", critique=True, ties=True)


def _saved(folder: Path, form: Form | None = TRAINED) -> Path:
    words = ["Tell me of tea. Here is a picture."] * 9
    Policy.new(tiny(words, 0), "minicpm_o", 0, form).save(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _saved(tmp_path_factory.mktemp("judge"))


def _open(folder: Path | str, **options: Any) -> PolicyJudge:
    judge = open_judge(f"generative:{folder}", JudgeOptions(**{"max_tokens": 8, **options}))
    assert isinstance(judge, PolicyJudge)
    return judge


def _picture(colour: int) -> Media:
    return Media("image", encode.png(np.full((28, 28, 3), colour, np.uint8)))


def _words(a: str, b: str) -> Comparison:
    return Comparison((Turn("user", (Text("Tell me of tea."),)),), (Text(a),), (Text(b),))


def _shown(a: Media, b: Media) -> Comparison:
    return Comparison((Turn("user", (Text("Here is a picture."),)),), (a,), (b,))


BROKEN = _shown(Media("image", b"broken"), _picture(9))
GOOD = [_words("hot", "cold"), _shown(_picture(10), _picture(200)), _words("green", "black and sweet")]


class Scripted:
    """A writer that always says the first place, of so many questions at once and so many tokens of each."""

    def __init__(self, room: int = 99, longest: int = 10**6) -> None:
        self.room, self.longest, self.batches, self.seeds = room, longest, list[int](), list[int]()

    def answers(self, batch: Sequence[Encoded], *, seeds: Sequence[int], **_: object) -> list[Answer]:
        self.batches.append(len(batch))
        if max(len(one.row.ids) for one in batch) > self.longest:
            raise PromptError("a question is too long.")
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seeds += seeds
        return [Answer("It is good.\nVERDICT: A") for _ in batch]


def test_a_judge_that_was_trained_here_writes_with_its_own_model(folder: Path) -> None:
    judge = _open(folder)
    found = judge(GOOD)
    assert [bool(one.rationale) for one in found] == [True] * 3
    assert all((one.margin, one.error) == (None, "") for one in found)  # nobody taught it the form
    assert [one.rationale for one in found] == [judge([each])[0].rationale for each in GOOD]
    judge.close()


def test_a_published_checkpoint_of_a_family_that_transformers_lacks_is_ours_and_bound_to_no_form(
    tmp_path: Path,
) -> None:
    _saved(tmp_path, None)
    plain = _open(tmp_path).fingerprint
    (tmp_path / "omnireward.json").unlink()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "minicpmo"
    judge = _open(tmp_path, mode="pointwise", critique=False)
    (found,) = judge(GOOD[:1])
    assert found.rationale.startswith("Response A:\n")
    assert judge.fingerprint != plain
    letters = _open(tmp_path, logprobs=True)(GOOD[:1])
    assert "the letters hold" in letters[0].rationale


def test_from_the_hub_too(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cache_entry(tmp_path, folder, "owner/judge")
    there, here = _open(f"owner/judge@{COMMIT}"), _open(folder)
    assert there.fingerprint == here.fingerprint
    assert there(GOOD[:1]) == here(GOOD[:1])


def test_a_judge_that_was_not_written_to_its_end_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    with pytest.raises(CheckpointError, match="not written to its end"):
        _open(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"critique": False}, "after a critique: leave out --no-critique"),
        ({"mode": "pointwise"}, "leave out --mode pointwise"),
        ({"logprobs": True}, "leave out --logprobs"),
        ({"frames": 3}, "does not read --frames"),
        ({"picture_side": 100}, "does not read --picture-side"),
    ],
)
def test_another_form_than_it_was_trained_in_is_refused(folder: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        _open(folder, **options)


def test_one_that_was_trained_without_a_critique_says_which_flag_is_missing(tmp_path: Path) -> None:
    _saved(tmp_path, Form("pairwise", critique=False, ties=True))
    with pytest.raises(RecipeError, match="a verdict alone: add --no-critique"):
        _open(tmp_path)
    assert _open(tmp_path, critique=False).form.critique is False


def test_ties_may_be_asked_for_otherwise_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "omnireward"):
        _open(folder)
        assert caplog.messages == []
        assert _open(folder, ties=False).form.ties is False
    assert "was trained with verdicts of a tie allowed, and is now asked with them not allowed" in caplog.text


def test_what_fails_fails_alone_and_batches_that_do_not_fit_are_halved(folder: Path) -> None:
    judge = _open(folder)
    long = _words("hot " * 400, "cold")
    (question,) = questions(GOOD[1], TRAINED)
    longest = len(judge.model.ask(question).row.ids) + 100
    writer = Scripted(room=2, longest=longest)
    found = replace(judge, writer=writer)([GOOD[0], BROKEN, GOOD[1], long, GOOD[2]])
    assert [one.verdict for one in found] == ["a", None, "a", None, "a"]
    assert "not a readable image" in found[1].error
    assert found[3].error == "PromptError: a question is too long."
    assert writer.batches == [4, 2, 2, 1, 1]
    judge.close()


def test_a_batch_that_is_expected_is_read_once_and_judged_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = replace(_open(folder, samples=4, swap_half=True, temperature=1.0), writer=Scripted())
    assert isinstance(judge, ForesightedJudge)
    plain, asked = type(judge.model).ask, []

    def noted(model: Policy, question: Any) -> Encoded:
        asked.append(question)
        return plain(model, question)

    monkeypatch.setattr(type(judge.model), "ask", noted)
    first, second = [GOOD[1], BROKEN], [_shown(_picture(30), _picture(60)), GOOD[0]]
    judge.expect(first)
    judge.expect(second)
    found = [judge(first), judge(second)]
    assert len(asked) == len(set(asked)) == 8  # each of the four in both orders
    assert found == [judge(first), judge(second)]
    assert found[0][0].probabilities == (0.5, 0.0, 0.5)  # always the first place
    judge.close()
    assert judge(first) == found[0]
    judge.close()


def test_votes_and_samples_draw_with_seeds_of_their_own(folder: Path) -> None:
    writer = Scripted()
    judge = replace(_open(folder, samples=3, temperature=1.0, seed=5), writer=writer)
    assert isinstance(judge, RepeatingJudge)
    judge.repeat(GOOD[:1] * 2, [0, 1])
    assert writer.seeds == [5, 6, 7, 8, 9, 10]


def test_a_question_is_read_once_for_all_its_answers_and_a_seed_draws_apart_for_each(folder: Path) -> None:
    policy = Policy.load(folder)
    asked = [policy.ask(questions(one, TRAINED)[0]) for one in GOOD[:2]]
    speaker = Speaker(policy)
    drawing = {"temperature": 1.0, "max_tokens": 8, "letter": False}
    found = speaker.answers([asked[0], asked[1], asked[0]], seeds=[3, 3, 4], **drawing)  # type: ignore[arg-type]
    alone = [
        speaker.answers([one], seeds=[seed], **drawing)[0].text  # type: ignore[arg-type]
        for one, seed in ((asked[0], 3), (asked[1], 3), (asked[0], 4))
    ]
    assert [one.text for one in found] == alone
    assert len(set(alone)) == 3


def test_the_fingerprint_is_of_what_judgements_depend_on(folder: Path, tmp_path: Path) -> None:
    changed: list[dict[str, Any]] = [
        {"ties": False},
        {"max_tokens": 9},
        {"temperature": 0.5},
        {"temperature": 0.5, "seed": 1},
        {"temperature": 0.5, "samples": 2},
    ]
    found = [_open(folder).fingerprint, *(_open(folder, **options).fingerprint for options in changed)]
    assert len(set(found)) == len(found)
    assert _open(folder, seed=1).fingerprint == found[0]  # nothing is drawn
    assert _open(_saved(tmp_path / "moved")).fingerprint == found[0]


def test_evaluation_says_only_how_it_was_asked(folder: Path, tmp_path: Path) -> None:
    """The backbone says what it is shown: a number of frames that it did not get must not stand in the report."""
    evaluate(
        EvaluateConfig(
            judge=f"generative:{folder}", benchmark="miniature", tasks=("T2I",), limit=2, out=tmp_path, max_tokens=4
        )
    )
    settings = json.loads((tmp_path / "run.json").read_text())["settings"]
    assert settings["max_tokens"] == 4
    assert settings.keys().isdisjoint({"frames", "views", "picture_side"})
