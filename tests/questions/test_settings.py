"""What the trainers' settings make of the rows. Sizes are worked out by hand."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from omnireward.questions.settings import Sizes, easyr1_config, verl_script
from omnireward.questions.showing import Encoded, Shown


def _shown(words: str, *sizes: tuple[int, int]) -> Shown:
    return Shown((("user", words),), tuple(Encoded(b"", "png", size) for size in sizes))


def test_a_question_has_room_for_its_words_and_pictures() -> None:
    """A token has at least 2 bytes; a picture of less than 512 x 512 pixels is scaled up to that, 335 tokens and 2."""
    sizes = Sizes()
    sizes.add(_shown("é" * 1024))
    assert (sizes.rows, sizes.tokens, sizes.pictures, sizes.prompt) == (1, 1024, 0, 2048)
    sizes.add(_shown("ab", (8, 8), (512, 512)))
    assert (sizes.rows, sizes.tokens, sizes.pictures) == (2, 1024, 2)
    sizes.add(_shown("ab" * 2000, (8, 8), (560, 560)))
    assert (sizes.tokens, sizes.prompt) == (2000 + 337 + 402, 3072)


@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (2, 2), (3, 2), (100, 64), (511, 256), (512, 512), (10_000, 512)])
def test_a_batch_is_never_larger_than_the_data(rows: int, batch: int) -> None:
    config = yaml.safe_load(easyr1_config(Sizes(rows=rows)))
    step = config["worker"]["actor"]["global_batch_size"]
    assert (config["data"]["rollout_batch_size"], step) == (batch, min(128, batch))


def test_the_papers_settings() -> None:
    config = yaml.safe_load(easyr1_config(Sizes(10_000, 12_000, 20)))
    actor, rollout = config["worker"]["actor"], config["worker"]["rollout"]
    assert actor["model"] | {"freeze_vision_tower": True} == actor["model"]
    assert (actor["optim"]["lr"], actor["optim"]["weight_decay"]) == (1e-6, 1e-2)
    assert (rollout["n"], rollout["limit_images"], config["trainer"]["total_epochs"]) == (6, 20, 2)
    assert (config["algorithm"]["kl_coef"], config["algorithm"]["kl_penalty"]) == (1e-2, "low_var_kl")
    assert (config["data"]["format_prompt"], config["data"]["max_prompt_length"]) == (None, 12 * 1024)
    assert rollout["max_num_batched_tokens"] == 14 * 1024  # EasyR1 wants room for question and answer
    assert config["worker"]["reward"]["reward_function_kwargs"] == {"max_response_length": 2048}


def test_verls_script_is_one_command() -> None:
    script = verl_script(Sizes(10_000, 12_000, 20))
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    shown = subprocess.run(
        ["bash", "-c", f"python3() {{ printf '%s\\n' \"$@\"; }}\n{script}", "run.sh", "trainer.nnodes=2"],
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    assert shown[:2] == ["-m", "verl.trainer.main_ppo"]
    values = dict(line.split("=", 1) for line in shown[2:])
    assert values["actor_rollout_ref.rollout.n"] == "6"
    assert values["actor_rollout_ref.actor.kl_loss_coef"] == "0.01"
    assert values["+actor_rollout_ref.rollout.limit_images"] == "20"
    assert values["trainer.nnodes"] == "2"
    assert "limit_images" not in verl_script(Sizes(10, 100, 0))
