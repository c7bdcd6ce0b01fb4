"""Request shapes that other software speaks: one file each, with the constant `PROTOCOL`, a `Shape`.

Two shapes may have one path, as ``/score`` of vLLM and of UniRL: the keys of the body say which is meant. Where a shape
has no place for a criterion, each of ours reads an optional key ``criterion``. Keys that a shape doesn't read are
ignored, as they are by the servers that it stands in for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnireward import plugins
from omnireward.errors import UnknownNameError
from omnireward.serve.asking import RequestError, Route, Shape


def shapes() -> dict[str, Shape]:
    """Every shape by name.

    Raises:
        UnknownNameError: a file's PROTOCOL is of another type.
    """
    return {name: shape(name) for name in plugins.names("serve.protocols")}


def shape(name: str) -> Shape:
    """One shape by name, or by the dotted path of a module outside the package.

    Raises:
        UnknownNameError: nothing has that name, or what it names is no shape.

    >>> shape("openrlhf").routes[0].path
    '/get_reward'
    """
    found = plugins.load("serve.protocols", name)
    if not isinstance(found, Shape):
        raise UnknownNameError(f"PROTOCOL of {name!r} is a {type(found).__name__}; a protocol plug-in defines a Shape.")
    return found


def by_path(found: Mapping[str, Shape]) -> dict[tuple[str, str], dict[str, Route]]:
    """The routes at each method and path, by the name of their shape. Several are told apart by `choose`."""
    paths: dict[tuple[str, str], dict[str, Route]] = {}
    for name, each in found.items():
        for route in each.routes:
            paths.setdefault((route.method, route.path), {})[name] = route
    return paths


def choose(routes: Mapping[str, Route], body: Mapping[str, Any]) -> str:
    """Of the shapes that have one path, the name of the one that a body is of.

    Raises:
        RequestError: it has the keys of none of them, or of several.
    """
    if len(routes) == 1:
        return next(iter(routes))
    meant = [name for name, route in routes.items() if route.keys & body.keys()]
    if len(meant) == 1:
        return meant[0]
    known = "; ".join(f"{', '.join(sorted(route.keys))} ({name})" for name, route in routes.items())
    got = "keys of several of them" if meant else "none of them"
    raise RequestError(f"this path tells several shapes apart by these keys: {known}. The body has {got}.")
