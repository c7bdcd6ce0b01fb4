"""What was run, written so that the same run in another folder has the same bytes.

Paths inside the parent of the output folder are written relative to that parent; all else is written as it was typed.
``--judge reward:/tmp/A/run --out /tmp/A/report`` so becomes ``--judge reward:run --out report``, which repeats the run
from inside ``/tmp/A``.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from omnireward import atomic
from omnireward.flags import to_flags

CONFIG = "config.yaml"
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def portable(text: str, out: Path) -> str:
    """A path, or a name such as ``reward:PATH``, relative to the parent of `out` where it lies inside it.

    Text that names nothing on the disk is left as typed, so a plug-in's name is never mistaken for a path.
    """
    kind, colon, argument = text.partition(":")
    if colon and "/" not in kind:
        return f"{kind}:{_relative(argument, out)}"
    return _relative(text, out)


def plain(value: object, out: Path) -> Plain:
    """A config's value as YAML and JSON know it, with portable paths.

    Raises:
        TypeError: a type that a recipe cannot hold.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return portable(value, out)
    if isinstance(value, Path):
        # An output folder need not exist yet, so a Path is not asked whether it does.
        return _inside(value, out) or str(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, tuple | list):
        return [plain(item, out) for item in value]
    if isinstance(value, Mapping):
        return {portable(str(key), out): plain(item, out) for key, item in value.items()}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name), out) for field in fields(value)}
    raise TypeError(f"a config cannot hold a {type(value).__name__}: {value!r}")


def save_config(verb: str, config: object, out: Path) -> None:
    """Write ``config.yaml`` into `out`: every resolved field, sorted. It is a recipe, so ``--recipe`` takes it."""
    values = plain(config, out)
    if not isinstance(values, dict):
        raise TypeError(f"a config is a dataclass, not {config!r}")
    atomic.write_text(out / CONFIG, yaml.safe_dump({"verb": verb, **values}, sort_keys=True, allow_unicode=True))


def command(verb: str, config: object, out: Path) -> str:
    """The shell command that repeats a run: every flag that differs from its default."""
    return shlex.join(["omnireward", verb, *to_flags(_changed(config, out), type(config))])


def _changed(config: object, out: Path) -> dict[str, Plain]:
    if not is_dataclass(config):
        raise TypeError(f"a config is a dataclass, not {config!r}")
    changed: dict[str, Plain] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if value != _default(field):
            changed[field.name] = _changed(value, out) if is_dataclass(value) else plain(value, out)
    return changed


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _relative(text: str, out: Path) -> str:
    path = Path(text).expanduser()
    if text and path.exists():
        return _inside(path, out) or text
    where, mark, settings = text.rpartition("?")  # a place with settings
    return f"{_relative(where, out)}?{settings}" if mark else text


def _inside(path: Path, out: Path) -> str | None:
    parent, full = out.resolve().parent, path.resolve()
    return full.relative_to(parent).as_posix() if full.is_relative_to(parent) else None
