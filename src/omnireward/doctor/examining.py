"""Runs all checks; those that may crash in child processes, at the same time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

from omnireward.doctor import machine, packages
from omnireward.doctor.findings import Finding, broken

PATIENCE = 180  # seconds for a child
AREAS = ("core", "device", "extras", "backbones", "media", "hub", "disk")


def examine() -> list[Finding]:
    """Every finding, by area."""
    children = {"core": _start("core")}
    if find_spec("torch") is not None and find_spec("transformers") is not None:
        children["torch"] = _start("torch")
    found = [*machine.findings(), *packages.findings()]
    probed = {name: _told(name, child) for name, child in children.items()}
    found += [finding for findings in probed.values() for finding in findings]
    if "torch" in probed:
        found += machine.traps(torch_ok=not broken(probed["torch"]))
    else:
        says = "need torch and transformers, as do training, serving and reward models"
        found.append(Finding("backbones", "all", "missing", says, "pip install 'omnireward[train]'"))
    return sorted(found, key=lambda finding: AREAS.index(finding.area))


def _start(probe: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "omnireward.doctor.probe", probe],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | {"OMNIREWARD_CACHE_GB": "0"},  # it leaves nothing behind
    )


def _told(probe: str, child: subprocess.Popen[str]) -> list[Finding]:
    """What a child wrote, and how it ended if it did not end well."""
    try:
        out, errors = child.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        out, errors = child.communicate()
        errors += f"\nno end after {PATIENCE} s"
    found = [Finding(**json.loads(line)) for line in out.splitlines()]
    if child.returncode:
        area, name = ("core", "media and a report") if probe == "core" else ("device", "torch and transformers")
        found.append(Finding(area, name, "problem", f"cannot be used: {_reason(child.returncode, errors)}"))
    return found


def _reason(code: int, errors: str) -> str:
    last = next((line for line in reversed(errors.splitlines()) if line.strip()), "no word about why")
    return f"killed by {signal.Signals(-code).name}; {last}" if code < 0 else last
