"""The tree that the module draws is the tree that exists, and messages can be read by people."""

from __future__ import annotations

import builtins
import inspect
import pickle
import re
from itertools import pairwise

import pytest

from omnireward import errors
from omnireward.errors import BadRowError, MissingExtraError, OmniRewardError, UnknownNameError

CLASSES = {
    name: cls
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__ and issubclass(cls, Exception)
}


def _drawn() -> dict[str, tuple[str, ...]]:
    """Name -> names of its bases, read from the indentation of the drawing and the brackets beside each name."""
    found: dict[str, tuple[str, ...]] = {}
    branch: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"(?P<lines> {4}[│├└─ ]*)(?P<name>\w+Error)(?: +\((?P<builtin>\w+)\))?(?: .*)?", line)
        if match is None:
            continue
        depth = len(match["lines"])
        branch = [(d, name) for d, name in branch if d < depth]
        parent = branch[-1][1] if branch else "Exception"
        found[match["name"]] = (parent, match["builtin"]) if match["builtin"] else (parent,)
        branch.append((depth, match["name"]))
    return found


@pytest.mark.parametrize(
    "error",
    [
        BadRowError("f", 3, "id", "is empty"),
        MissingExtraError("ray", "ray"),
        *(cls("what") for cls in CLASSES.values() if cls not in (BadRowError, MissingExtraError)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_whole_from_another_process(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_the_drawing_shows_every_error_where_it_is() -> None:
    assert _drawn() == {name: tuple(base.__name__ for base in cls.__bases__) for name, cls in CLASSES.items()}


def test_builtins_that_the_drawing_names_exist() -> None:
    for bases in _drawn().values():
        for builtin in bases[1:]:
            assert issubclass(getattr(builtins, builtin), Exception)


def test_the_drawing_has_the_order_of_the_code() -> None:
    lines = [inspect.getsourcelines(CLASSES[name])[1] for name in _drawn()]
    assert all(upper < lower for upper, lower in pairwise(lines))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_says_what_it_is_for(name: str) -> None:
    assert issubclass(CLASSES[name], OmniRewardError)
    assert CLASSES[name].__doc__


def test_an_unknown_name_is_shown_without_quotes_around_the_sentence() -> None:
    """KeyError shows the repr of its argument, which would quote and escape the message."""
    assert str(UnknownNameError("unknown task 'x'.\nKnown: y.")) == "unknown task 'x'.\nKnown: y."
    assert str(UnknownNameError()) == ""


def test_a_missing_extra_says_how_to_get_it() -> None:
    with pytest.raises(ImportError, match=r"reading meshes needs .* pip install 'omnireward\[mesh\]'"):
        raise MissingExtraError("reading meshes", "mesh")


def test_a_bad_row_names_file_row_and_field() -> None:
    error = BadRowError("t2t.json", 4, "label", "is 'response3'.")
    assert str(error) == "t2t.json, row 4, field 'label': is 'response3'."
    assert (error.file, error.row, error.field, error.problem) == ("t2t.json", 4, "label", "is 'response3'.")
