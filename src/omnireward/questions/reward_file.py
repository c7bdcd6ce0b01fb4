"""A reward function in one file that runs without this package: put together from the modules that are used here.

Unusual: the postponed evaluation of annotations is left out, because trainers run the file without entering it among
the imported modules, where dataclasses would look for the names in such annotations.
"""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

from omnireward import __version__, verdict_rewards
from omnireward.prompts import verdicts
from omnireward.questions import easyr1_reward, truths, verl_reward
from omnireward.questions.config import Trainer

_TAILS = {"easyr1": easyr1_reward, "verl": verl_reward}
_HEAD = '''"""The reward of a judge's answers: needs Python 3.10 or later and nothing else.

Put together by omnireward {version} (Apache-2.0) from its own modules. What counts for how much is in the data.
"""
'''


def reward_file(trainer: Trainer) -> str:
    """The file's text."""
    modules = (verdicts, verdict_rewards, truths, _TAILS[trainer])
    return "\n\n".join([_HEAD.format(version=__version__), *map(_alone, modules)])


def _alone(module: ModuleType) -> str:
    """A module's text without its docstring and without imports of this package; names that it gave them stay."""
    text = inspect.getsource(module)
    lines = text.splitlines()
    renamed = []
    for number, node in enumerate(ast.parse(text).body):
        docstring = number == 0 and isinstance(node, ast.Expr)
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in (
            "__future__",
            "omnireward",
        )
        if docstring or ours:
            lines[node.lineno - 1 : node.end_lineno] = [""] * (1 + (node.end_lineno or node.lineno) - node.lineno)
        if ours and isinstance(node, ast.ImportFrom):
            renamed += [f"{name.asname} = {name.name}" for name in node.names if name.asname]
    title = f"# {module.__name__}"
    return "\n".join([title, *renamed, "\n".join(lines).strip("\n")]) + "\n"
