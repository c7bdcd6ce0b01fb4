"""Folders of checkpoints that judges are opened from: where they are, what is in them, and what identifies them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from omnireward.errors import CheckpointError, RecipeError

if TYPE_CHECKING:
    from omnireward.backbones import BackboneFamily
    from omnireward.generation.places import Place


def folder_of(argument: str) -> Path:
    """What follows the colon, as a path. Raises RecipeError."""
    try:
        return Path(argument).expanduser()  # no shell does it behind the colon
    except RuntimeError as error:  # ~nobody
        raise RecipeError(f"cannot tell which folder {argument!r} is: {error}") from error


def fingerprint(folder: Path) -> str:
    """Hex SHA-256 of weights, tokenizer and settings."""
    sha = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".jinja", ".safetensors", ".bin") and path.is_file():
            sha.update(f"{path.name}:{path.stat().st_size}:".encode())
            with path.open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()


def is_ours(place: Place) -> bool:
    """Whether our own classes write: those of a judge that was trained here, or of a family that transformers lacks.

    Raises:
        CheckpointError: a reward model is there, or a judge that was not written to its end; a file is damaged.
    """
    from omnireward.policy import HOLDS, JUDGE, LAST
    from omnireward.reward_model import RECORD

    record = _json(place, RECORD)
    if record is None and not _has_head(place):
        return _lacks(place)
    if record is None or record.get(HOLDS) != JUDGE:
        raise CheckpointError(f"{place} holds a reward model, which writes no text. Judge with reward:{place}")
    if place.revision is None and not Path(place.name, LAST).is_file():
        raise CheckpointError(f"{place} has no {LAST}: the judge in it was not written to its end. Save it again.")
    return True


def _has_head(place: Place) -> bool:
    from omnireward.value_head import expects_head

    return place.revision is None and expects_head(Path(place.name))


def _lacks(place: Place) -> bool:
    """Whether the model is of a family that `backbones` has and transformers lacks."""
    from transformers import CONFIG_MAPPING

    from omnireward import plugins

    kind = (_json(place, "config.json") or {}).get("model_type")
    families = [cast("BackboneFamily", plugins.load("backbones", name)) for name in plugins.names("backbones")]
    return any(kind in family.model_types for family in families) and kind not in CONFIG_MAPPING


def _json(place: Place, name: str) -> dict[str, Any] | None:
    """A file of a place; None where it has none, or the Hub gives none: whoever loads the whole says why."""
    from httpx2 import HTTPError  # what huggingface_hub speaks through; a broken connection surfaces as this
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    from omnireward.checkpoint_json import read_json

    if place.revision is None:
        path = Path(place.name, name)
        return read_json(path) if path.exists() else None
    try:
        found = hf_hub_download(place.name, name, revision=place.revision)
    except (HTTPError, HFValidationError, OSError):
        return None
    return read_json(Path(found))
