"""Fields of a JSON body, each read as one type or refused with its name. A wrong type never becomes a default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnireward.serve.asking import RequestError

_NAMES: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def refused(field: str, wanted: str, got: object) -> RequestError:
    """What to raise for a value of another type."""
    return RequestError(f"must be {wanted}, not {_NAMES.get(type(got), type(got).__name__)}.", field=field)


def required(body: Mapping[str, Any], key: str, within: str = "") -> Any:
    """The value of a key that must be there."""
    if key not in body or body[key] is None:
        raise RequestError("is missing.", field=within + key)
    return body[key]


def text(value: object, field: str) -> str:
    """A string."""
    if not isinstance(value, str):
        raise refused(field, "a string", value)
    return value


def texts(value: object, field: str) -> list[str]:
    """A list of strings; at least one."""
    return [text(each, f"{field}[{index}]") for index, each in enumerate(items(value, field))]


def one_or_more(value: object, field: str) -> list[str]:
    """A string, as a list of one, or a list of strings."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise refused(field, "a string or a list of strings", value)
    return texts(value, field)


def items(value: object, field: str) -> list[Any]:
    """A list; at least one item."""
    if not isinstance(value, list):
        raise refused(field, "a list", value)
    if not value:
        raise RequestError("is empty; there is nothing to give a reward to.", field=field)
    return value


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise refused(field, "an object", value)
    return value


def flag(body: Mapping[str, Any], key: str) -> bool | None:
    """True, false, or None where the key is absent or null."""
    value = body.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise refused(key, "true or false", value)


def criteria(body: Mapping[str, Any], count: int) -> list[str]:
    """One criterion for each of `count` items, from the optional key ``criterion``: a string for all, or a list."""
    value = body.get("criterion")
    if value is None:
        return [""] * count
    if isinstance(value, str):
        return [value] * count
    return as_many(texts(value, "criterion"), count, "criterion")


def as_many(values: list[Any], count: int, field: str) -> list[Any]:
    """The values, of which there must be `count`."""
    if len(values) != count:
        raise RequestError(f"has {len(values)} items where {count} are needed, one for each.", field=field)
    return values
