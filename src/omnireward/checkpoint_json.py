"""JSON files of a checkpoint folder, read within bounds: a checkpoint comes from anyone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from omnireward.errors import CheckpointError

MOST_BYTES = 256 * 2**20  # of a file; tokenizer.json, the largest, has about ten million
MOST_LEVELS = 32  # of nested JSON; what is read is written back later, by a writer that recurses


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises CheckpointError when it is missing or is something else."""
    return parse_json(read_text(path), str(path))


def read_text(path: Path) -> str:
    """A file of a checkpoint folder. Raises CheckpointError when it is missing, is no ordinary file, or is not text."""
    try:
        if not path.exists():
            raise CheckpointError(f"{path.parent} has no {path.name}; is it a checkpoint folder?")
        if not path.is_file():  # reading a pipe would wait forever
            raise CheckpointError(f"{path} is not an ordinary file.")
        if path.stat().st_size > MOST_BYTES:
            raise CheckpointError(f"{path} has {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def parse_json(content: str, name: str) -> dict[str, Any]:
    """A JSON object from text; `name` is for messages. Raises CheckpointError when it is something else."""
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is not a JSON object: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{name} is not a JSON object but a {type(data).__name__}.")
    level: list[Any] = [data]
    for _ in range(MOST_LEVELS):
        inner = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [each for some in inner for each in some]
    if level:
        raise CheckpointError(f"{name} is nested more than {MOST_LEVELS} levels deep.")
    return data
