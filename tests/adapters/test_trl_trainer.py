"""TRL's own GRPOTrainer calls the reward function: what it hands over, and what it makes of a None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from PIL import Image
from tests.adapters.made_up import MadeUp
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer

from datasets import Dataset
from omnireward.adapters import source, trl
from omnireward.adapters.pairwise import Pairwise
from omnireward.generation.tiny import write_tiny_chat_model

pytestmark = [
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning"),  # TRL's own
]
WHERE = "http://127.0.0.1:8000"
LINES = ("1", "2", "4", "no", "nothing")
ASK = [{"role": "user", "content": "ask"}]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """Gives the number that a completion says, and no reward where it says none."""
    found = MadeUp()
    monkeypatch.setattr(trl, "rewarder", lambda *_args: found)
    return found


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads words, and says one of the lines."""
    folder = tmp_path_factory.mktemp("words")
    write_tiny_chat_model(folder, LINES, images=False)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that sees pictures, too."""
    folder = tmp_path_factory.mktemp("pictures")
    write_tiny_chat_model(folder, LINES)
    return folder


def _trained(policy: Path, out: Path, functions: list[Any], rows: list[dict[str, Any]], **settings: Any) -> Any:
    """One step with 16 completions for each row; `_logs` of the trainer has what it made of them."""
    chosen = {"per_device_train_batch_size": 16 * len(rows), "num_generations": 16, "max_completion_length": 4}
    trainer = GRPOTrainer(
        model=str(policy),
        reward_funcs=functions,
        train_dataset=Dataset.from_list(rows),
        args=GRPOConfig(
            output_dir=str(out),
            max_steps=1,
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **{**chosen, **settings},
        ),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer


def _said(trainer: Any) -> list[str]:
    completions = trainer._logs["completion"]
    return [each if isinstance(each, str) else each[0]["content"] for each in completions]


def _number(said: str) -> float:
    return math.nan if said in ("no", "nothing") else float(said)


def _advantages(rewards: Sequence[float]) -> list[float]:
    """Of one group, those without a reward left out: TRL divides by the deviation of the sample and 1e-4."""
    known = [reward for reward in rewards if not math.isnan(reward)]
    return [0.0 if math.isnan(r) else (r - fmean(known)) / (stdev(known) + 1e-4) for r in rewards]


def _ones(completions: Sequence[Any], **_columns: Any) -> list[float]:
    return [1.0] * len(completions)


@pytest.mark.parametrize("prompt", ["ask", ASK], ids=["plain", "conversational"])
def test_each_completion_is_asked_under_its_rows_criterion(
    made_up: MadeUp, words: Path, tmp_path: Path, prompt: Any
) -> None:
    rows = [{"prompt": prompt, "criterion": each} for each in ("Be red.", "Be blue.")]
    trainer = _trained(words, tmp_path, [trl.reward_func(WHERE, on_problem="none"), _ones], rows)
    assert {(ask, criterion): len(said) for ask, criterion, said in made_up.words} == {
        ("ask", "Be red."): 16,
        ("ask", "Be blue."): 16,
    }
    assert sorted(text for _, _, said in made_up.words for text in said) == sorted(_said(trainer))


def test_a_completion_without_its_only_reward_is_left_out(made_up: MadeUp, words: Path, tmp_path: Path) -> None:
    trainer = _trained(words, tmp_path, [trl.reward_func(WHERE, on_problem="none")], [{"prompt": ASK}])
    rewards = [_number(said) for said in _said(trainer)]
    assert any(map(math.isnan, rewards))
    assert len(set(rewards)) > 2
    assert list(trainer._logs["advantages"]) == pytest.approx(_advantages(rewards), abs=1e-4)


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_a_missing_reward_is_0_where_another_function_gives_a_number_of_any_weight(
    made_up: MadeUp, words: Path, tmp_path: Path, weight: float
) -> None:
    """Why None is not the default."""
    functions = [trl.reward_func(WHERE, on_problem="none"), _ones]
    trainer = _trained(words, tmp_path, functions, [{"prompt": ASK}], reward_weights=[1.0, weight])
    rewards = [0.0 if math.isnan(number) else number for number in map(_number, _said(trainer))]
    assert 0.0 in rewards
    assert list(trainer._logs["advantages"]) == pytest.approx(_advantages(rewards), abs=1e-4)


def test_a_completion_without_a_reward_stops_the_run_unless_told_otherwise(
    made_up: MadeUp, words: Path, tmp_path: Path
) -> None:
    with pytest.raises(source.NoRewardError, match="has no reward"):
        _trained(words, tmp_path, [trl.reward_func(WHERE)], [{"prompt": ASK}])


def test_asynchronous_functions_may_stand_beside_it(made_up: MadeUp, words: Path, tmp_path: Path) -> None:
    async def lengths(completions: Sequence[Any], **_columns: Any) -> list[float]:
        return [float(len(each[0]["content"])) for each in completions]

    trainer = _trained(words, tmp_path, [lengths, trl.reward_func(WHERE, on_problem="none")], [{"prompt": ASK}])
    said = _said(trainer)
    assert list(trainer._logs["rewards"]["lengths"]) == [float(len(each)) for each in said]
    assert list(trainer._logs["rewards"]["omnireward"]) == pytest.approx([_number(s) for s in said], nan_ok=True)


def test_a_judge_that_compares_gives_strengths_of_whole_groups(words: Path, tmp_path: Path) -> None:
    """The judge is `longer`; TRL hands over both prompts' completions together, each group whole."""
    function = trl.reward_func("longer", pairwise=Pairwise(group=16))
    trainer = _trained(words, tmp_path, [function], [{"prompt": "ask"}, {"prompt": "and"}])
    prompts, said, rewards = trainer._logs["prompt"], _said(trainer), list(trainer._logs["rewards"]["omnireward"])
    for prompt in ("ask", "and"):
        group = [(len(s), reward) for p, s, reward in zip(prompts, said, rewards, strict=True) if p == prompt]
        assert len(group) == 16
        assert len({length for length, _ in group}) > 1
        assert sum(reward for _, reward in group) == pytest.approx(0, abs=1e-4)
        assert all(x > y for a, x in group for b, y in group if a > b)


@pytest.mark.parametrize("column", ["image", "images"])
def test_a_picture_of_a_row_is_shown_once(made_up: MadeUp, pictures: Path, tmp_path: Path, column: str) -> None:
    """TRL puts it into the messages, and hands over the column as well."""
    red = Image.new("RGB", (8, 8), (200, 0, 0))
    row = {"prompt": ASK, column: [red] if column == "images" else red}
    _trained(pictures, tmp_path, [trl.reward_func(WHERE, on_problem="none"), _ones], [row])
    assert {ask for ask, _, _ in made_up.words} == {"(image) ask"}
