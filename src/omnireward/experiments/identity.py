"""What a name on this disk means now: a digest is of the weights and the files behind it, not of the name alone.

Weights are hashed. Of data, which may be large, names, sizes and times of change are enough: data that are copied anew
are trained on anew, and whoever changes a row is never given the old result.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from omnireward import plugins
from omnireward.errors import RecipeError

MOST_FILES = 5_000_000
_PINNED = re.compile(r"[\w-][\w.-]*/[\w.-]+@[0-9a-f]{40}")


def of_model(model: str) -> tuple[str, str]:
    """Where a model that is there lies, and what it is: OWNER/REPO@COMMIT, or a digest of a folder's weights.

    A tag or a branch of the Hub is looked up (and downloaded), for it may mean another commit tomorrow.

    Raises:
        RecipeError: it is neither a folder with weights nor a repository on the Hub.
        CheckpointError: the Hub does not deliver it.
    """
    if not Path(model).exists() and _PINNED.fullmatch(model):
        return model, model
    from omnireward.checkpoint import tokenizer_digest, weight_digests  # loads torch
    from omnireward.hub import find

    place = find(model)
    if place.pinned:
        return place.pinned, place.pinned
    digests = weight_digests(place.folder) if place.folder.is_dir() else {}
    if not digests:
        raise RecipeError(
            f"{model} is no folder that holds weights (*.safetensors), and no repository on the Hub. Give a model's "
            "folder, or OWNER/REPO@REVISION; without --model a tiny one is made and taught."
        )
    more = [(name, place.folder / name) for name in ("config.json", "omnireward.json", "adapter_config.json")]
    told = [*digests.items(), ("tokenizer", tokenizer_digest(place.folder))]
    told += [(name, hashlib.sha256(path.read_bytes()).hexdigest()) for name, path in more if path.is_file()]
    return model, hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def of_data(folder: str, places: Iterable[str]) -> dict[str, str]:
    """For each place that means a folder or a file on this disk a digest of names, sizes and times of change.

    Args:
        folder: of plug-ins, `datasets` or `benchmarks`; their names are no folders.
        places: as `sources.open_place` takes them.

    Raises:
        RecipeError: a folder holds more than MOST_FILES files.
    """
    known = plugins.names(folder)
    found = {place: _on_disk(place) for place in places if place not in known}
    return {place: _digest(path) for place, path in found.items() if path is not None}


def _on_disk(place: str) -> Path | None:
    """The folder or file that PLACE, NAME:PLACE or either with settings behind a question mark means."""
    for location in (place, place.partition(":")[2]):
        for where in (location, location.rpartition("?")[0]):
            try:
                path = Path(where).expanduser()
                if where and path.exists():
                    return path
            except (OSError, RuntimeError, ValueError):  # a name too long, ~nobody, a NUL: whoever opens it says so
                continue
    return None


def _digest(path: Path) -> str:
    lines = []
    for name, one in _files(path):
        lines.append(f"{name}\0{one.st_size}\0{one.st_mtime_ns}")
        if len(lines) > MOST_FILES:
            raise RecipeError(f"{path} holds more than {MOST_FILES:,} files; name a folder of the data alone.")
    told = "\n".join(sorted(lines)).encode("utf-8", "surrogateescape")
    return hashlib.sha256(told).hexdigest()[:16]


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    if not path.is_dir():
        yield path.name, path.stat()
        return
    for folder, _, names in os.walk(path):
        for name in names:
            one = Path(folder) / name
            try:
                yield str(one.relative_to(path)), one.stat()
            except OSError:  # a link to nothing: its name alone
                yield str(one.relative_to(path)), one.lstat()
