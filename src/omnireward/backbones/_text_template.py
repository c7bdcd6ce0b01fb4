"""A checkpoint's own chat template, asked what it writes around texts without ever seeing them.

The template is code from the checkpoint. It runs in transformers' sandbox, once for each order of roles, with marks in
place of texts; what users wrote is put in afterwards. So text can't steer the template, and whether a template trims
texts is told from blanks around the marks. Two traps. Some templates write today's date, and a reward would change
overnight: here it is always 26 Jul 2024, the date that Llama's templates fall back to. And some have no system turn or
leave it out without a word: the criterion then begins the first user turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any

from jinja2 import TemplateError
from transformers.utils.chat_template_utils import render_jinja_template

from omnireward.checkpoint_json import parse_json
from omnireward.errors import CheckpointError, PromptError
from omnireward.types import Text, Turn

TOKENIZER, TEMPLATE, SETTINGS = "tokenizer.json", "chat_template.jinja", "tokenizer_config.json"
_TOKENS = "special_tokens_map.json"
TEXTS = (TOKENIZER, TEMPLATE, SETTINGS, _TOKENS)  # of a checkpoint; all but the first may be missing
_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
_BLANKS, _EDGE = "\n" * 9, "\v"  # more line ends than any template writes itself
_PROBE = "aB  c\n\nd <e>"  # what a template that rewrites texts would change
_MARK = re.compile(f"(\v?)\ufdd0([0-9]+){re.escape(_PROBE)}\ufdd1(\v?)")
_MOST_ORDERS = 1000  # of roles, remembered
_DATE = {"%d": "26", "%e": "26", "%b": "Jul", "%B": "July", "%m": "07", "%Y": "2024", "%y": "24", "%A": "Friday"}
_DATE |= {"%a": "Fri", "%H": "00", "%M": "00", "%S": "00"}
# What a template's code may raise besides the sandbox's own errors: also a text of many gigabytes, or deep nesting.
_FAULTS = (
    *(TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RuntimeError),
    *(MemoryError, SyntaxError),
)
Trim = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the text of a turn goes, and what the template does to its blanks."""

    turn: int
    trims: tuple[Trim, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Something written: by the template, so that it may spell special tokens, or by a user."""

    text: str
    inert: bool


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """How a checkpoint writes conversations.

    Args:
        source: the template.
        special: what it may name: `bos_token`, `eos_token`, ...

    Raises:
        CheckpointError: the template cannot write a question and an answer.
    """

    source: str
    special: Mapping[str, str]
    takes_system: bool = field(init=False)
    _known: dict[tuple[str, ...], tuple[str | Slot, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self._slots(("user", "assistant"))
        except PromptError as error:
            raise CheckpointError(f"the chat template cannot be used: {error}") from error
        try:
            self._slots(("system", "user", "assistant"))
        except PromptError:
            object.__setattr__(self, "takes_system", False)
        else:
            object.__setattr__(self, "takes_system", True)

    def pieces(self, turns: Sequence[Turn]) -> list[Piece]:
        """What a conversation of texts becomes, in order.

        Raises:
            PromptError: the template refuses this order of roles, or leaves out or rewrites a turn.
        """
        roles, texts = self.said(turns)
        found = []
        for slot in self._slots(tuple(roles)):
            if isinstance(slot, str):
                found.append(Piece(slot, inert=False))
                continue
            text = texts[slot.turn]
            for trim in slot.trims:
                text = trim(text)
            found.append(Piece(text, inert=True))
        return found

    def said(self, turns: Sequence[Turn]) -> tuple[list[str], list[str]]:
        """Roles and texts as the template gets them, a criterion in the user's turn where it has to be. PromptError."""
        texts = ["".join(part.text for part in turn.content if isinstance(part, Text)) for turn in turns]
        roles: list[str] = [turn.role for turn in turns]
        if roles[0] == "system" and not self.takes_system:
            if len(roles) == 1 or roles[1] != "user":
                raise PromptError("the chat template has no system turn, and no user turn follows the criterion.")
            texts[:2], roles = [f"{texts[0]}\n\n{texts[1]}"], roles[1:]
        return roles, texts

    def _slots(self, roles: tuple[str, ...]) -> tuple[str | Slot, ...]:
        if roles not in self._known:
            if len(self._known) >= _MOST_ORDERS:  # whoever asks decides how many there are
                self._known.clear()
            self._known[roles] = tuple(self._asked(roles))
        return self._known[roles]

    def _asked(self, roles: tuple[str, ...]) -> list[str | Slot]:
        edges = _BLANKS + _EDGE, _EDGE + _BLANKS
        marked = [f"{edges[0]}\ufdd0{n}{_PROBE}\ufdd1{edges[1]}" for n in range(len(roles))]
        messages = [{"role": role, "content": text} for role, text in zip(roles, marked, strict=True)]
        try:
            written = _rendered(messages, pinned(self.source), self.special)
        except _FAULTS as error:
            raise PromptError(f"the chat template refuses the roles {list(roles)}: {short(str(error))}") from error
        around = _MARK.split(written)  # text, edge, number, edge, text, edge, number, edge, ..., text
        left_out = [role for n, role in enumerate(roles) if str(n) not in around[2::4]]
        if left_out:
            raise PromptError(f"the chat template leaves out, or rewrites, turns of {left_out} in {list(roles)}.")
        slots: list[str | Slot] = []
        before = around[0]
        for left, number, right, after in zip(around[1::4], around[2::4], around[3::4], around[4::4], strict=True):
            trims = (
                *_trims(left, before.endswith(_BLANKS), str.lstrip),
                *_trims(right, after.startswith(_BLANKS), str.rstrip),
            )
            slots += [before.removesuffix(_BLANKS) if left else before, Slot(int(number), trims)]
            before = after.removeprefix(_BLANKS) if right else after
        return [*slots, before]


def _rendered(messages: list[dict[str, str]], source: str, special: Mapping[str, Any]) -> str:
    written: str = render_jinja_template([messages], chat_template=source, **special)[0][0]
    return written


def pinned(source: str) -> str:
    """The template with its clock stopped."""
    if "strftime_now" not in source:
        return source
    replaced = "".join(f" | replace('{sign}', '{value}')" for sign, value in _DATE.items())
    return "{%- macro strftime_now(format) -%}{{- format" + replaced + " -}}{%- endmacro %}" + source


def _trims(edge: str, whole: bool, strip: Callable[..., str]) -> tuple[Trim, ...]:
    """What the template did to one side of a text, told from what is left of the blanks there."""
    if edge and whole:
        return ()
    return (lambda text: strip(text, "\n"),) if edge else (lambda text: strip(text),)


def template_of(files: Mapping[str, str]) -> ChatTemplate:
    """The chat template, from the file that has it, and the tokens that it may name."""
    settings = parse_json(files[SETTINGS], SETTINGS) if SETTINGS in files else {}
    found: object = files.get(TEMPLATE) or settings.get("chat_template")
    if isinstance(found, list):  # several, by name
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    if not isinstance(found, str) or not found:
        raise CheckpointError(
            "there is no chat template, so nobody can tell how prompt and response are to be written. Put the one that "
            f"the model was trained with into {TEMPLATE}, beside {TOKENIZER}."
        )
    known = (parse_json(files[name], name) for name in (_TOKENS, SETTINGS) if name in files)
    special: dict[str, str] = {}
    for tokens in known:
        for name in _SPECIAL:
            token = tokens.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                special[name] = token
    return ChatTemplate(found, special)
