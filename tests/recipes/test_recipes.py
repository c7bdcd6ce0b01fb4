"""Every shipped recipe fits its config, and a recipe that does not fit says why."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from omnireward import recipes
from omnireward.errors import RecipeError
from omnireward.evaluate import EvaluateConfig
from omnireward.flags import from_flags
from omnireward.quickstart import QuickstartConfig
from omnireward.train.config import TrainConfig
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.sft_config import SFTConfig

CONFIGS: dict[str, type] = {
    "evaluate": EvaluateConfig,
    "grpo": GRPOConfig,
    "quickstart": QuickstartConfig,
    "sft": SFTConfig,
    "train": TrainConfig,
}
REQUIRED = {
    "evaluate": ["judge", "benchmark", "out"],
    "grpo": ["model", "out"],
    "quickstart": [],
    "sft": ["out"],
    "train": ["out"],
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize("name", recipes.names())
def test_a_shipped_recipe_sets_what_it_says(name: str) -> None:
    """Parsed by the command line's parser, with a placeholder for each required flag that it leaves open."""
    verb, values = recipes.read(name)
    config_class = CONFIGS[verb]
    open_flags = [word for key in REQUIRED[verb] if key not in values for word in (f"--{key}", "somewhere")]
    config: object = from_flags(config_class, [*recipes.flags(name, verb, config_class), *open_flags], "test", "")
    loaded = recipes.load(name, config_class)
    assert set(loaded) == set(values)
    for field in fields(config_class):
        if field.name in loaded:
            assert getattr(config, field.name) == loaded[field.name]


def test_the_offline_recipe_is_shipped() -> None:
    assert "miniature" in recipes.names()


def test_a_file_is_read_and_lists_become_tuples(recipe: Path) -> None:
    recipe.write_text("verb: evaluate\njudge: longer\ntasks: [T2T, T2I]\nlimit: null\nskip_bad_rows: true\n")
    assert recipes.flags(str(recipe), "evaluate", EvaluateConfig) == [
        *("--judge", "longer", "--tasks", "T2T", "T2I", "--limit", "None", "--skip-bad-rows")
    ]
    assert recipes.load(str(recipe), EvaluateConfig)["tasks"] == ("T2T", "T2I")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("verb: evaluate\njugde: longer\n", "unknown key 'jugde'. Did you mean judge"),
        ("verb: train\n", "is for 'omnireward train', not for 'omnireward evaluate'"),
        ("judge: longer\n", "no 'verb'"),
        ("- judge\n", "a recipe is a mapping"),
        ("1: 2\n", "a recipe is a mapping"),
        ("verb: [\n", "not YAML"),
        ("verb: !!python/object/apply:os.getcwd []\n", "not YAML"),
        ("", "a recipe is a mapping"),
    ],
)
def test_a_recipe_that_cannot_be_used_says_why(recipe: Path, text: str, message: str) -> None:
    recipe.write_text(text)
    with pytest.raises(RecipeError, match=message) as raised:
        recipes.flags(str(recipe), "evaluate", EvaluateConfig)
    assert "mine.yaml" in str(raised.value)


def test_an_unknown_recipe_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="Did you mean miniature"):
        recipes.read("minature")
    with pytest.raises(RecipeError, match="cannot be read"):
        recipes.read(str(tmp_path / "gone.yaml"))
