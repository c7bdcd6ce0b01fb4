"""The README of a mixture: what is in it, where it comes from, what was left out and why, and how it was made.

Its front matter is what the Hub reads: licence, configurations, files of each split, and features. Names and
reasons come from whoever made the data, so the front matter is written by a YAML dumper, and elsewhere they are one
line whose marks of Markdown and HTML are spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

import pyarrow as pa
import yaml

from omnireward import __version__
from omnireward.construct.mix_counts import Mixed, Portion
from omnireward.construct.mix_form import Form
from omnireward.construct.parquet_samples import SCHEMA
from omnireward.model_card import fenced, plain

OURS = "<!-- This card is written anew by each run. Remove this line to keep it as you edit it. -->"
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_DTYPES = {pa.string(): "string", pa.binary(): "binary", pa.bool_(): "bool"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MOST_ORIGINS = 50
_HEAD = ("samples", "prefer a", "prefer b", "ties", "with criterion")


def dataset_card(mixed: Mixed, form: Form, command: str) -> str:
    """The card as Markdown.

    Args:
        mixed: what is in it.
        form: what it is written as.
        command: that repeats the run.
    """
    front = yaml.safe_dump(_front(mixed, form), sort_keys=False, allow_unicode=True)
    pieces = [
        f"---\n{front}---",
        "# Omni-modal preference data",
        OURS,
        f"{mixed.samples:,} samples: a prompt, two responses, and which of them people prefer; {_criteria(mixed)} have "
        "a criterion in plain words. Splits share neither a prompt nor a medium.",
        "## Samples",
        *(_summed(mixed, name) for name in ("split", "task", "source")),
        "By source, task and split:",
        _portions(mixed),
        "## Sources",
        _sources(mixed),
        *_origins(mixed),
        "## Left out",
        *_left_out(mixed),
        "## How it was made",
        fenced(command, "sh"),
        f"Written by omnireward {__version__}, which reads it: {form.read_as}.",
    ]
    return "\n\n".join(pieces) + "\n"


def _front(mixed: Mixed, form: Form) -> dict[str, Any]:
    """The Hub's metadata."""
    size = next((name for most, name in _SIZES if mixed.samples < most), "n>1M")
    front: dict[str, Any] = {
        "license": licence(mixed.licences.values()),
        "tags": ["preference", "reward-model", "omnireward"],
        "size_categories": [size],
    }
    configs: dict[str, list[dict[str, str]]] = {}
    for split in _by(mixed, "split"):
        for name, pattern in form.data_files(split):
            if any(fnmatch(file, pattern) for file in mixed.files):
                configs.setdefault(name, []).append({"split": split, "path": pattern})
    front["configs"] = [{"config_name": name, "data_files": files} for name, files in configs.items()]
    if any(file.endswith(".parquet") for file in mixed.files):
        # Without `splits`: the Hub takes them only with the bytes that they have once they are unpacked.
        front["dataset_info"] = {"features": [_feature(field) for field in SCHEMA]}
    return front


def licence(stated: Iterable[str]) -> str:
    """The licence that all sources state, else ``other``.

    >>> licence(["mit", "mit"]), licence(["mit", "cc-by-4.0"]), licence(["mit", ""])
    ('mit', 'other', 'other')
    """
    found = set(stated)
    only = found.pop() if len(found) == 1 else ""
    return only if _LICENCE.fullmatch(only) else "other"


def _feature(field: pa.Field) -> dict[str, Any]:
    """A column as the Hub's `dataset_info` writes it."""
    return {"name": field.name, **_type(field.type)}


def _type(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        inner = _type(kind.value_type)
        return {"list": inner.get("struct", inner.get("dtype"))}
    if pa.types.is_struct(kind):
        return {"struct": [_feature(kind.field(i)) for i in range(kind.num_fields)]}
    return {"dtype": _DTYPES[kind]}


def _criteria(mixed: Mixed) -> str:
    with_one = sum(portion.criteria for portion in mixed.portions)
    return f"{with_one:,} of them ({100 * with_one / max(mixed.samples, 1):.1f} %)"


def _summed(mixed: Mixed, name: str) -> str:
    rows = [(plain(value), *_numbers(portions)) for value, portions in _by(mixed, name).items()]
    return _table((name, *_HEAD), rows)


def _portions(mixed: Mixed) -> str:
    rows = [(plain(each.source), each.task, each.split, *_numbers([each])) for each in mixed.portions]
    return _table(("source", "task", "split", *_HEAD), rows)


def _sources(mixed: Mixed) -> str:
    taken = {source: _total(portions) for source, portions in _by(mixed, "source").items()}
    rows = [
        (
            plain(f"{source} ({mixed.homes[source]})" if source in mixed.homes else source),
            plain(mixed.licences.get(source, "")) or "not stated",
            f"{read:,}",
            f"{mixed.bad_rows.get(source, 0):,}",
            f"{taken.get(source, 0):,}",
        )
        for source, read in mixed.read.items()
    ]
    told = _table(("source", "licence", "samples read", "rows that cannot be used", "samples taken"), rows)
    note = "Their licences bind whoever uses this data; where none is stated, ask the publisher."
    if any("hub:" in name for name in (*mixed.read, *mixed.homes.values())):
        note += " What follows @ is the revision that was read."
    return f"{told}\n\n{note}"


def _origins(mixed: Mixed) -> list[str]:
    """Where samples say that they come from, if that is more than the sources."""
    if {origin.name for origin in mixed.origins} <= set(mixed.read):
        return []
    rows = [
        (plain(each.name), plain(each.licence) or "not stated", f"{each.samples:,}")
        for each in mixed.origins[:_MOST_ORIGINS]
    ]
    more = mixed.origins[_MOST_ORIGINS:]
    rows += [(f"{len(more)} others", "", f"{sum(each.samples for each in more):,}")] if more else []
    return ["Where the samples say that they come from:", _table(("origin", "licence", "samples"), rows)]


def _left_out(mixed: Mixed) -> list[str]:
    said = []
    if mixed.kept_out:
        said.append("What shares a prompt or a medium with these benchmarks:")
        said.append(_table(("benchmark", "samples"), [(plain(n), f"{count:,}") for n, count in mixed.kept_out.items()]))
    if mixed.not_compared:
        said.append(f"{mixed.not_compared:,} of these could not be read, and nothing was compared with them.")
    rows = [(plain(each.source), each.task, plain(each.reason), f"{each.samples:,}") for each in mixed.left_out]
    return [*said, _table(("source", "task", "reason", "samples"), rows) if rows else "Nothing that was read."]


def _by(mixed: Mixed, name: str) -> Mapping[str, list[Portion]]:
    found: dict[str, list[Portion]] = {}
    for portion in mixed.portions:
        found.setdefault(getattr(portion, name), []).append(portion)
    return dict(sorted(found.items()))


def _total(portions: Iterable[Portion]) -> int:
    return sum(portion.samples for portion in portions)


def _numbers(portions: Sequence[Portion]) -> tuple[str, ...]:
    sums = [sum(getattr(each, name) for each in portions) for name in ("samples", "a", "b", "ties", "criteria")]
    return tuple(f"{number:,}" for number in sums)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
