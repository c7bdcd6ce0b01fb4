"""The machine and the environment: processors, threads, disk, caches, the Hub. Loads no torch."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import omnireward
from omnireward.doctor.findings import Finding
from omnireward.doctor.packages import installed

GB = 1e9
LITTLE = 10 * GB  # free disk: less than a small model's weights
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
# Their wheels load libraries of one build of torch, and transformers imports them when they are there.
BESIDE_TORCH = ("torchvision", "torchaudio", "torchcodec")


def findings() -> Iterator[Finding]:
    """Everything that can be told without importing what may crash."""
    told = f"{omnireward.__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield Finding("core", "omnireward", "ok", told)
    yield _threads()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("device", "memory", "ok", f"{memory / GB:.0f} GB")
    yield from _disk()
    offline = [name for name in OFFLINE if os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")]
    if offline:
        says = f"off: {', '.join(offline)} is set, so only what is in its cache can be used"
        yield Finding("hub", "Hugging Face Hub", "note", says, f"unset {' '.join(offline)}")
    else:
        says = f"asked when a repository is named, at {os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}"
        yield Finding("hub", "Hugging Face Hub", "ok", says)


def traps(torch_ok: bool) -> Iterator[Finding]:
    """Packages beside torch that break it, once it is known whether transformers can be imported."""
    there = [name for name in BESIDE_TORCH if find_spec(name) is not None]
    if not there or find_spec("torch") is None:
        return
    named = ", ".join(f"{name} {installed(name) or ''}".strip() for name in there)
    if torch_ok:
        says = f"{named} beside torch {installed('torch')}: they agree; omnireward does not use them"
        yield Finding("device", "beside torch", "note", says)
    else:
        says = f"{named} beside torch {installed('torch')}: packages built for another torch break transformers"
        yield Finding("device", "beside torch", "problem", says, f"pip uninstall {' '.join(there)}")


def _threads() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    says = f"{cores} processors, OMP_NUM_THREADS {given or 'not set'}"
    if given.isdigit() and int(given) > cores:
        return Finding(
            "device",
            "processors",
            "note",
            f"{says}: more threads than processors are slow",
            f"export OMP_NUM_THREADS={cores}",
        )
    return Finding("device", "processors", "ok", says)


def _disk() -> Iterator[Finding]:
    folder, limit = cache()
    if folder is None or limit <= 0:
        why = "OMNIREWARD_CACHE_GB is 0" if limit <= 0 else "there is no home folder; OMNIREWARD_CACHE may name another"
        yield Finding("disk", "kept features", "ok", f"none are kept: {why}")
    else:
        says = f"{_size(folder) / GB:.2f} GB of at most {limit:g} GB in {folder}"
        yield Finding("disk", "kept features", "ok", says)
    for name, place in (("here", Path.cwd()), ("kept features", folder)):
        if place is None:
            continue
        there = next(each for each in (place, *place.parents) if os.path.isdir(each))  # noqa: PTH112 - never raises
        free = shutil.disk_usage(there).free
        little = free < LITTLE
        mend = "checkpoints and weights may not fit; choose another disk" if little else ""
        yield Finding("disk", f"free, {name}", "note" if little else "ok", f"{free / GB:.1f} GB", mend)


def _size(folder: Path) -> int:
    """Bytes of its files; of those that can be seen, and are still there when they are asked."""
    size = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += Path(path, name).stat().st_size
    return size


def cache() -> tuple[Path | None, float]:
    """Where features are kept, and how many gigabytes of them at most: as `feature_store` decides, without torch."""
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    place = os.environ.get("OMNIREWARD_CACHE", "").strip()
    try:
        limit = float(os.environ.get("OMNIREWARD_CACHE_GB", "").strip() or 20)
    except ValueError:
        limit = 0.0
    try:
        folder = Path(place).expanduser() if place else Path(base if base.startswith("/") else "~/.cache").expanduser()
    except RuntimeError:  # nobody's home
        return None, limit
    return (folder if place else folder / "omnireward").absolute() / "features", limit
