"""What a checkpoint folder says of itself, before any of its weights are read."""

from __future__ import annotations

import json
from pathlib import Path
from reprlib import repr as short
from typing import cast

from omnireward import plugins
from omnireward.backbones import Backbone, BackboneFamily
from omnireward.errors import CheckpointError
from omnireward.types import Layout

MOST_JSON_BYTES = 256 * 2**20


def load_backbone(folder: Path) -> tuple[str, Backbone]:
    """The family's plug-in name and the backbone in a folder; a head beside it is not looked at.

    Raises:
        CheckpointError: no config.json, or a model type that no family answers for.
    """
    path = folder / "config.json"
    if not path.exists():
        there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else "no such folder"
        raise CheckpointError(f"{folder} holds no config.json, so it is no checkpoint. There: {there}.")
    model_type = _field(path, "model_type")
    known: list[str] = []
    for name in plugins.names("backbones"):
        family = cast(BackboneFamily, plugins.load("backbones", name))
        if model_type in family.model_types:
            return name, family.load(folder)
        known += family.model_types
    raise CheckpointError(f"{folder} has model_type {short(model_type)}; known: {', '.join(sorted(known))}.")


def recorded_layout(record: Path, default: Layout) -> Layout:
    """The layout that a checkpoint was trained with; the default where there is no record. Raises CheckpointError."""
    if not record.exists():
        return default
    layout = _field(record, "layout")
    if layout not in ("paper", "natural"):
        raise CheckpointError(f"{record} records the layout {short(layout)}; known: paper, natural.")
    return layout


def _field(path: Path, key: str) -> object:
    """One field of a JSON object, None when it has none. Raises CheckpointError for whatever else the path may be."""
    if not path.is_file() or path.stat().st_size > MOST_JSON_BYTES:  # reading a pipe would wait forever
        raise CheckpointError(f"{path} is not an ordinary file of at most {MOST_JSON_BYTES:,} bytes.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a JSON object: {error}.") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is not a JSON object.")
    return found.get(key)
