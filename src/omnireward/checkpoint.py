"""What a checkpoint folder says of itself, before any of its weights are read."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from reprlib import repr as short
from typing import cast

from omnireward import plugins
from omnireward.backbones import Backbone, BackboneFamily
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.types import Layout

# What makes words into token ids; the last two where there is no tokenizer.json.
READING = ("tokenizer.json", "chat_template.jinja", "tokenizer_config.json", "vocab.json", "merges.txt")
HOLDS, JUDGE = "holds", "judge"  # what a record says of a folder that holds no reward model
HASHED_AT_ONCE = 4  # files; hashing leaves Python's lock


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


def check_no_judge(folder: Path, record: Path) -> None:
    """Refuse a judge that writes, where a reward model is wanted. Raises CheckpointError."""
    if record.exists() and read_json(record).get(HOLDS) == JUDGE:
        raise CheckpointError(
            f"{folder} holds a judge that writes, which gives no rewards. Judge with generative:{folder}, or train a "
            "reward model from the chat model that the judge came from."
        )


def recorded_layout(record: Path, default: Layout) -> Layout:
    """The layout that a checkpoint was trained with; the default where there is no record. Raises CheckpointError."""
    if not record.exists():
        return default
    layout: object = read_json(record).get("layout")
    if layout not in ("paper", "natural"):
        raise CheckpointError(f"{record} records the layout {short(layout)}; known: paper, natural.")
    return layout


def recorded_base(record: Path) -> str:
    """The repository and commit on the Hub that a checkpoint was trained from; empty: none. Raises CheckpointError."""
    base: object = read_json(record).get("base", "") if record.exists() else ""
    if not isinstance(base, str):
        raise CheckpointError(f"{record} records the base {short(base)}; it must be OWNER/REPO@COMMIT.")
    return base


def tokenizer_digest(folder: Path) -> str:
    """Hex SHA-256 of the files that decide how words become token ids."""
    sha = hashlib.sha256()
    for path in (folder / name for name in READING):
        if path.is_file():
            sha.update(f"{path.name}:{path.stat().st_size}:".encode())
            sha.update(path.read_bytes())
    return sha.hexdigest()


def check_tokenizer(folder: Path, record: Path) -> None:
    """Refuse a tokenizer or chat template other than the checkpoint was trained with, where it recorded its own.

    Ids of another vocabulary often fit the embeddings, so nothing else would fail.

    Raises:
        CheckpointError: they differ.
    """
    recorded: object = read_json(record).get("tokenizer") if record.exists() else None
    if recorded is not None and recorded != tokenizer_digest(folder):
        raise CheckpointError(
            f"{folder} was trained with another tokenizer or chat template than it holds now ({', '.join(READING)}), "
            "so its rewards would be of no meaning. Put back the files that it was saved with."
        )


def weight_digests(folder: Path) -> dict[str, str]:
    """Hex SHA-256 of each file of weights in a folder, by its name."""
    files = sorted(path for path in folder.glob("*.safetensors") if path.is_file())
    with ThreadPoolExecutor(HASHED_AT_ONCE, "hash") as pool:
        return dict(zip((path.name for path in files), pool.map(sha256_of, files), strict=True))


def recorded_weights(record: Path) -> dict[str, object]:
    """The digests that a checkpoint recorded, by file name; none where it did not. Raises CheckpointError."""
    recorded: object = read_json(record).get("weights") if record.exists() else None
    if recorded is None:
        return {}
    if not isinstance(recorded, dict):
        raise CheckpointError(f"{record} records the weights as {short(recorded)}; they are digests by file name.")
    return recorded


def check_weights(folder: Path, record: Path, apart_from: str = "") -> None:
    """Refuse weights other than the checkpoint was saved with, where it recorded their digests.

    A bit that a disk or a copy flipped leaves a file that loads, and a model whose rewards are somehow wrong.

    Args:
        folder: of the checkpoint.
        record: in it.
        apart_from: a file that rewards do not hang on, which whoever reads it checks.

    Raises:
        CheckpointError: one differs, or the record is not understood.
    """
    recorded = recorded_weights(record)
    if not recorded:
        return
    there = weight_digests(folder)
    changed = sorted(name for name, digest in recorded.items() if name != apart_from and there.get(name) != digest)
    if changed:
        raise CheckpointError(
            f"{folder} no longer holds the weights that it was saved with: {', '.join(changed[:3])} is not the same "
            f"file. Copy it again. If it was changed on purpose, remove `weights` from {record.name}."
        )


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
