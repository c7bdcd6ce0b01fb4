"""A reward model as a judge: one failure costs one comparison, and equal responses have no winner."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from omnireward.backbones.minicpm_o import tiny
from omnireward.encoded import Encoded
from omnireward.errors import CheckpointError, RecipeError, UnknownNameError
from omnireward.judges import ForesightedJudge, Judge, open_judge, reward
from omnireward.media import encode
from omnireward.policy import Policy
from omnireward.types import Comparison, Media, Side, Text, Turn


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    torch.set_num_threads(1)
    assert reward.JUDGE.example is not None
    return open_judge(f"reward:{reward.JUDGE.example(tmp_path_factory.mktemp('tiny'))}")


def _ask(a: str, b: str) -> Comparison:
    return Comparison((Turn("user", (Text("Which drink?"),)),), (Text(a),), (Text(b),))


def test_equal_responses_have_a_margin_of_exactly_0(judge: Judge) -> None:
    """Alone too: scored as two rows, about two of three such pairs differ by a few 1e-7."""
    answers = ["tea " * n + "is a drink" for n in range(1, 13)]
    for answer in answers:
        (alone,) = judge([_ask(answer, answer)])
        assert alone.margin == 0.0
    together = judge([_ask(answer, other) for answer in answers for other in (answer, "coffee")])
    assert [judgement.margin == 0.0 for judgement in together] == [True, False] * 12


def test_a_comparison_that_fails_leaves_the_others_their_rewards(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = [_ask("tea", "coffee"), _ask("tea", "tea"), _ask("water", "tea")]
    gone = Comparison(good[0].prompt, (Text("tea"),), (Media("image", tmp_path / "gone.png"),))
    long = _ask("tea", "tea " * 3_000)
    judge.model.max_tokens = 2_000  # type: ignore[attr-defined]
    mixed = judge([gone, good[0], long, good[1], gone, good[2]])
    assert [bool(judgement.error) for judgement in mixed] == [True, False, True, False, True, False]
    assert "gone.png" in mixed[0].error
    assert "tokens long; at most 2,000 are read" in mixed[2].error
    for judgement, comparison in zip(mixed[1::2], good, strict=True):
        assert judgement.rewards == pytest.approx(judge([comparison])[0].rewards, abs=1e-5)


def _picture(colour: int) -> Media:
    return Media("image", encode.png(np.full((28, 28, 3), colour, np.uint8)))


def _show(a: Media, b: Media) -> Comparison:
    return Comparison((Turn("user", (Text("Draw tea."),)),), (a,), (b,))


@pytest.fixture
def encodings(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> list[Comparison]:
    """What the judge's model was asked to encode, once for each side."""
    model, asked = judge.model, []  # type: ignore[attr-defined]
    plain = model.encode

    def encode_and_note(comparison: Comparison, side: Side) -> Encoded:
        asked.append(comparison)
        return cast(Encoded, plain(comparison, side))

    monkeypatch.setattr(model, "encode", encode_and_note)
    return asked


def test_what_is_expected_is_judged_as_without_and_encoded_once(judge: Judge, encodings: list[Comparison]) -> None:
    broken = _show(Media("image", b"broken"), _picture(9))
    first = [_show(_picture(10), _picture(200)), broken, _ask("tea", "coffee")]
    second = [_show(_picture(30), _picture(30)), _show(_picture(10), _picture(60))]
    alone = [judge(batch) for batch in (first, second)]
    encodings.clear()
    assert isinstance(judge, ForesightedJudge)
    judge.expect(first)
    judge.expect(second)
    assert [judge(batch) for batch in (first, second)] == alone
    assert "not a readable image" in alone[0][1].error
    assert encodings.count(first[0]) == 2
    assert sum(comparison in (second[0], second[1]) for comparison in encodings) == 3  # of equal responses, one
    judge.close()


def test_a_close_forgets_what_was_expected(judge: Judge, encodings: list[Comparison]) -> None:
    asked = [_show(_picture(70), _picture(80))]
    assert isinstance(judge, ForesightedJudge)
    judge.expect(asked)
    judge.close()
    encodings.clear()
    assert judge(asked)[0].margin is not None
    assert len(encodings) == 2
    judge.close()


def test_a_folder_below_home_is_found_behind_the_colon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert reward.JUDGE.example is not None
    (tmp_path / "run").mkdir()
    reward.JUDGE.example(tmp_path / "run")
    assert open_judge("reward:~/run").fingerprint == open_judge(f"reward:{tmp_path}/run").fingerprint
    with pytest.raises(RecipeError, match="cannot tell which folder"):
        open_judge("reward:~no-one/run")


def test_a_folder_without_its_kind_is_told_how_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"reward:{tmp_path}, or generative:{tmp_path}"):
        open_judge(str(tmp_path))


def test_a_judge_that_writes_is_refused_and_how_to_judge_with_it_said(tmp_path: Path) -> None:
    Policy.new(tiny(["Tell me about tea."], 0), "minicpm_o", 0).save(tmp_path)
    with pytest.raises(CheckpointError, match=f"Judge with generative:{tmp_path}"):
        open_judge(f"reward:{tmp_path}")
