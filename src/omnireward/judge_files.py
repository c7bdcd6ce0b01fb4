"""What a judge's folder says and holds besides its backbone and its vocabulary head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Any

from omnireward.errors import CheckpointError
from omnireward.on_base import PLACE
from omnireward.prompts import Form

HEAD = "head"  # of a record: the digest of the vocabulary head of the base that adapters are on
# What other programs read beside weights and tokenizer. Ours is not asked, so it comes along as it was.
_BESIDE = (
    *("chat_template.jinja", "chat_template.json", "processor_config.json", "tokenizer_config.json", "vocab.json"),
    *("merges.txt", "special_tokens_map.json", "added_tokens.json"),
)
_BESIDE_BYTES = 64 * 2**20  # of one of them


def recorded_form(told: Mapping[str, Any], record: Path) -> Form | None:
    """The form that a record says a judge was trained to answer in; None: it does not say. Raises CheckpointError."""
    form = told.get("form")
    if form is None:
        return None
    if not (isinstance(form, dict) and all(isinstance(form.get(name), bool) for name in ("critique", "ties"))):
        raise CheckpointError(f"{record} records the form {short(form)}; it has critique and ties, each true or false.")
    return Form("pairwise", form["critique"], form["ties"])


def check_head(folder: Path, told: Mapping[str, Any], now: str) -> None:
    """Refuse another vocabulary head than adapters were trained beside: `now` is its digest. Raises CheckpointError."""
    if told.get(HEAD, "") != now:
        raise CheckpointError(
            f"{folder} was trained on a base with another vocabulary head, so its answers would be of no meaning. Set "
            f"{PLACE} to the base that it was trained on."
        )


def read_beside(folder: Path) -> dict[str, bytes]:
    """Files that other programs read, as they are."""
    files = (folder / name for name in _BESIDE)
    return {path.name: path.read_bytes() for path in files if path.is_file() and path.stat().st_size <= _BESIDE_BYTES}
