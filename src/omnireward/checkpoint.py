"""What a checkpoint folder says of itself, before any of its weights are read."""

from __future__ import annotations

from pathlib import Path
from reprlib import repr as short
from typing import cast

from omnireward import plugins
from omnireward.backbones import Backbone, BackboneFamily
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.types import Layout


def load_backbone(folder: Path) -> tuple[str, Backbone]:
    """The family's plug-in name and the backbone in a folder; a head beside it is not looked at.

    Raises:
        CheckpointError: no config.json, or a model type that no family answers for.
    """
    path = folder / "config.json"
    if not path.exists():
        there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else "no such folder"
        raise CheckpointError(f"{folder} holds no config.json, so it is no checkpoint. There: {there}.")
    model_type = read_json(path).get("model_type")
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
    layout: object = read_json(record).get("layout")
    if layout not in ("paper", "natural"):
        raise CheckpointError(f"{record} records the layout {short(layout)}; known: paper, natural.")
    return layout
