"""A config's values as flags, and back: what a recipe becomes, and how a run is written down.

Unusual: a mapping such as ``{"miniature": 1.0}`` is typed as words, ``--datasets miniature 1.0 other 0.5``, and
replaces the default as a whole. tyro by itself would freeze the default's keys. A flag given twice counts the last
time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from omnireward.errors import RecipeError
from omnireward.plugins import suggest

Config = TypeVar("Config")


def from_flags(config_class: type[Config], words: list[str], prog: str, description: str) -> Config:
    """Read a config from flags. Wrong flags are explained on stderr and end the program with code 2; ``--help`` with 0.

    >>> from omnireward.train.config import TrainConfig
    >>> from_flags(TrainConfig, ["--out", "run", "--datasets", "a", "2", "b:c=1", "0.5"], "train", "").datasets
    {'a': 2.0, 'b:c=1': 0.5}
    """
    registry = ConstructorRegistry()
    registry.primitive_rule(_weights)
    return tyro.cli(config_class, prog=prog, description=description, args=words, registry=registry)


def to_flags(values: Mapping[str, Any], config_class: type, prefix: str = "") -> list[str]:
    """Flags for some of a config's fields.

    Args:
        values: field name to a plain value (None, bool, int, float, str, list, mapping). A nested config is a mapping.
        config_class: the dataclass that the flags are for.
        prefix: what stands before a flag's name; for nested configs.

    Raises:
        RecipeError: a key that is no field, with the nearest ones.

    >>> from omnireward.evaluate import EvaluateConfig
    >>> to_flags({"judge": "longer", "skip_bad_rows": True, "tasks": ["T2T", "T2I"]}, EvaluateConfig)
    ['--judge', 'longer', '--skip-bad-rows', '--tasks', 'T2T', 'T2I']
    """
    types = get_type_hints(config_class)
    known = [field.name for field in fields(config_class)]
    flags: list[str] = []
    for key, value in values.items():
        if key not in known:
            raise RecipeError(f"unknown key {key!r}. {suggest(key, known)}")
        name = key.replace("_", "-")
        nested = types[key]
        if isinstance(nested, type) and is_dataclass(nested):
            if not isinstance(value, Mapping):
                raise RecipeError(f"{key!r} holds several settings, so it is a mapping, not {value!r}.")
            flags += to_flags(value, nested, f"{prefix}{name}.")
        elif isinstance(value, bool):
            flags.append(f"--{prefix}{name}" if value else f"--{prefix}no-{name}")
        else:
            flags += [f"--{prefix}{name}", *_words(value)]
    return flags


def _words(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [word for key, item in value.items() for word in (str(key), *_words(item))]
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [str(value)]


def _weights(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[dict[str, float]] | None:
    """How tyro reads a ``dict[str, float]``."""
    if get_origin(info.type) is not dict or get_args(info.type) != (str, float):
        return None
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME NUMBER ...]",
        instance_from_str=_pairs,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=_words,
    )


def _pairs(words: list[str]) -> dict[str, float]:
    if len(words) % 2:
        raise ValueError(f"names and numbers alternate, but there are {len(words)} words: {' '.join(words)}")
    return {name: float(number) for name, number in zip(words[::2], words[1::2], strict=True)}
