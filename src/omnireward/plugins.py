"""A folder is a registry: `datasets/rlaif_v.py` exists, so `rlaif_v` exists.

Each file of a plug-in folder defines one constant named after the folder's kind (DATASET, BENCHMARK, BACKBONE,
JUDGE, PROTOCOL). There are no decorators and no central lists: adding a plug-in touches one file. A dotted name loads a
module from outside the package, so a user's own plug-in needs no change here.
"""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches

from omnireward.errors import UnknownNameError


def names(folder: str) -> list[str]:
    """The plug-ins in a folder of the package, such as ``datasets`` or ``serve.protocols``, sorted.

    >>> "miniature" in names("datasets")
    True
    """
    package = importlib.import_module(f"omnireward.{folder}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(folder: str, name: str) -> object:
    """The constant that a plug-in defines.

    Args:
        folder: the plug-in folder, such as ``datasets``.
        name: a name from `names(folder)`, or a dotted module path such as ``my_package.my_dataset``.

    Raises:
        UnknownNameError: nothing has that name (with the nearest ones), or the module lacks its constant.
            An ImportError inside the plug-in is not hidden.
    """
    constant = folder.rpartition(".")[2].removesuffix("s").upper()
    known = names(folder)
    if name in known:
        module = importlib.import_module(f"omnireward.{folder}.{name}")
    elif "." in name and "/" not in name and not name.startswith("."):  # importlib takes ".x" as relative
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise
            raise UnknownNameError(
                f"no module {name!r} to load a {constant.lower()} from; is it on PYTHONPATH?"
            ) from error
    else:
        raise UnknownNameError(f"unknown {constant.lower()} {name!r}. {suggest(name, known)}")
    if not hasattr(module, constant):
        raise UnknownNameError(f"{module.__name__} defines no {constant}; each plug-in file defines one constant.")
    return getattr(module, constant)


def suggest(name: str, known: list[str]) -> str:
    """A sentence that helps with a mistyped name.

    >>> suggest("minature", ["miniature", "omni_rewarddata"])
    'Did you mean miniature? Known: miniature, omni_rewarddata.'
    """
    close = get_close_matches(name, known, n=2)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{hint}Known: {', '.join(known)}."
