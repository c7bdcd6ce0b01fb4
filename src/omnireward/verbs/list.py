"""omnireward list: the plug-ins that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args, get_type_hints

import tyro
from rich.console import Console
from rich.table import Table

from omnireward import plugins
from omnireward.verbs import parse

_PLACES = {"protocols": "serve.protocols"}


@dataclass(frozen=True)
class ListConfig:
    """What to list."""

    folder: tyro.conf.Positional[Literal["all", "judges", "benchmarks", "datasets", "backbones", "protocols"]] = "all"
    """One kind of plug-in, or all."""


class _Described(Protocol):
    summary: str


def run(words: list[str]) -> None:
    """List the judges, benchmarks, datasets, backbones and protocols that there are.

    Example:
      omnireward list judges
    """
    chosen = parse("list", run, ListConfig, words).folder
    table = Table("kind", "name", "what it is", box=None, pad_edge=False)
    for folder in get_args(get_type_hints(ListConfig)["folder"])[1:] if chosen == "all" else (chosen,):
        try:
            place = _PLACES.get(folder, folder)
            for name in plugins.names(place):
                table.add_row(folder, name, cast(_Described, plugins.load(place, name)).summary)
        except ModuleNotFoundError as error:
            table.add_row(folder, "", f"needs {error.name}: pip install 'omnireward[train]'")
    Console().print(table)
