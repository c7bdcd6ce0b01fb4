"""recipes: one YAML file per row of the paper and per offline run.

A recipe is a way of typing flags. Its keys are the flags' names with underscores, ``verb`` says which command it is
for, and nested keys stand for dotted flags::

    verb: train
    out: out/run
    data: [miniature]
    optimizer: {learning_rate: 1.0e-3}

Because a recipe becomes flags, one parser knows every type and every choice, and a flag typed after it overrides it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from omnireward.errors import RecipeError
from omnireward.flags import to_flags
from omnireward.plugins import suggest

SHIPPED = Path(__file__).parent


def names() -> list[str]:
    """The shipped recipes, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read(name_or_path: str) -> tuple[str, dict[str, Any]]:
    """A recipe's verb and its values.

    Args:
        name_or_path: the name of a shipped recipe, or a file ending in ``.yaml`` or ``.yml``.

    Raises:
        RecipeError: no such recipe, or the file is not a YAML mapping with a ``verb``.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = SHIPPED / f"{name_or_path}.yaml"
        if name_or_path not in names():
            raise RecipeError(
                f"unknown recipe {name_or_path!r}. {suggest(name_or_path, names())} Or give a .yaml file."
            )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"the recipe {name_or_path!r} cannot be read: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not YAML: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise RecipeError(f"{path}: a recipe is a mapping from flag names to values.")
    verb = values.pop("verb", None)
    if not isinstance(verb, str):
        raise RecipeError(f"{path}: no 'verb'. A recipe says which command it is for, such as 'verb: evaluate'.")
    return verb, values


def flags(name_or_path: str, verb: str, config_class: type) -> list[str]:
    """A recipe as the flags of a command, its keys checked against the command's config.

    Raises:
        RecipeError: as `read`; the recipe is for another verb; or a key is no field of the config.
    """
    found, values = read(name_or_path)
    if found != verb:
        raise RecipeError(f"the recipe {name_or_path!r} is for 'omnireward {found}', not for 'omnireward {verb}'.")
    try:
        return to_flags(values, config_class)
    except RecipeError as error:
        raise RecipeError(f"the recipe {name_or_path!r}: {error}") from error


def load(name_or_path: str, config_class: type) -> dict[str, Any]:
    """A recipe as keyword arguments for a flat config class, for use in code: lists become tuples.

    Raises:
        RecipeError: as `read`; or a key is no field of the config.
    """
    verb, values = read(name_or_path)
    flags(name_or_path, verb, config_class)  # refuses unknown keys
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
