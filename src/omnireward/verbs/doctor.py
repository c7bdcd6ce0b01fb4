"""omnireward doctor: what is installed here, what works, and what to do about the rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from omnireward.doctor import Finding, State, broken, examine
from omnireward.sample_text import printable
from omnireward.verbs import parse

MARKS: dict[State, str] = {"ok": "ok", "note": "note", "missing": "missing", "problem": "PROBLEM"}


@dataclass(frozen=True)
class DoctorConfig:
    """How to say it."""

    json: bool = False
    """For programs: one JSON object."""


def run(words: list[str]) -> None:
    """Say what is installed here, which device there is, which backbones and extras work, and how to mend the rest.

    Exit code 0 where what is installed works, though extras be missing; 1 where something is broken.

    Examples:
      omnireward doctor
      omnireward doctor --json
    """
    config = parse("doctor", run, DoctorConfig, words)
    findings = examine()
    problems = broken(findings)
    if config.json:
        print(json.dumps({"works": not problems, "findings": [asdict(each) for each in findings]}, indent=1))
    else:
        _show(findings)
    if problems:
        sys.exit(1)


def _show(findings: Sequence[Finding]) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    area = ""
    for each in findings:
        mend = f"\n→ {each.mend}" if each.mend else ""
        heading = each.area if each.area != area else ""
        table.add_row(heading, MARKS[each.state], printable(each.name), printable(each.says) + mend)
        area = each.area
    Console(markup=False, highlight=False).print(table)
    problems = broken(findings)
    if problems:
        print(f"\nBroken: {', '.join(each.name for each in problems)}.", end=" ")
        print(f"Lines marked {MARKS['problem']} say how to mend it.")
    else:
        missing = [each.name for each in findings if each.state == "missing" and each.area == "extras"]
        print("\nWhat is installed works." + (f" Not installed: {', '.join(missing)}." if missing else ""))
