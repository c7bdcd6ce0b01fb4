"""Text that holds a whole exchange becomes a prompt and a response.

Clients of text-only servers apply the chat template themselves. Theirs is nearly always ChatML, so ChatML is read back
into turns: the model then sees what it would see had the turns been sent as such. Where the prompt is known apart,
only the prompt is read so; what follows it is the response, and stays text whatever it spells. Text in any other form
is taken as words.

What is unusual:

* Whole text without a prompt apart can spell turns of its own. Nothing can tell those from the client's; the last turn
  is the response. Where responses are not trusted, use a shape that has the prompt apart.
* A prompt may end inside the assistant's turn, as after ``<think>``. That beginning belongs to the response: to each of
  them, where one prompt has several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from omnireward.serve.asking import Ask, RequestError
from omnireward.types import Part, Role, Text, Turn

_TURN = re.compile(r"<\|im_start\|>(system|user|assistant)\n(.*?)(?:<\|im_end\|>\s*|\Z)", re.DOTALL)
WHOLE = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nRed.<|im_end|>\n"
"""An exchange as clients send it, for examples."""

_ENDS = ("<|im_end|>", "<|endoftext|>")
_MOST_REPEATED = 1 << 22  # characters: a short body must not become a long list of long texts


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and what was answered."""

    prompt: tuple[Turn, ...]
    response: str

    def ask(self, criterion: str, media: tuple[Part, ...] = ()) -> Ask:
        """What to ask; media come before the words of the prompt's last turn."""
        *before, last = self.prompt
        shown = Turn(last.role, (*media, *last.content))
        return Ask((*before, shown), ((Text(self.response),),), criterion)


def continued(prompt: str, whole: str, field: str) -> Exchange:
    """An exchange from its prompt and the whole text, which begins with the prompt.

    Raises:
        RequestError: the text does not begin with the prompt, and holds no ChatML that ends with an answer.

    >>> continued("Name a colour.", "Name a colour. Red", "query[0]").response
    ' Red'
    """
    if whole.startswith(prompt):
        return answered(prompt, whole[len(prompt) :])
    turns = _chatml(whole)
    if turns is not None and turns[-1].role == "assistant" and len(turns) > 1:
        return exchange(whole)
    raise RequestError(
        "must begin with the prompt of the same item, so that the rest of it is the response; or be ChatML whose last "
        "turn is the assistant's.",
        field=field,
    )


def answered(prompt: str, response: str) -> Exchange:
    r"""An exchange from its two halves.

    >>> answered("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "hello<|im_end|>")
    Exchange(prompt=(Turn(role='user', content=(Text(text='hi'),)),), response='hello')
    """
    opening = _opening(prompt)
    return Exchange(opening.prompt, opening.followed_by(response))


def asked(prompt: str, responses: Sequence[tuple[Part, ...]], criterion: str) -> Ask:
    r"""What to ask of one prompt and several responses: of each alone what `answered` makes of it.

    A response with media is in parts, which no template has been applied to: it has no mark of its end.

    Raises:
        RequestError: what the prompt begins of the answer is too much to be repeated for each response.

    >>> prompt = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<b>"
    >>> asked(prompt, [(Text("hello</b><|im_end|>"),)], "").responses
    ((Text(text='<b>hello</b>'),),)
    """
    opening = _opening(prompt)
    if len(opening.begun) * len(responses) > _MOST_REPEATED:
        raise RequestError(
            f"the prompt begins the answer with {len(opening.begun):,} characters, which are a part of each of "
            f"{len(responses):,} responses; that is more than {_MOST_REPEATED:,} together.",
            status=413,
        )
    return Ask(opening.prompt, tuple(map(opening.before, responses)), criterion)


def exchange(whole: str) -> Exchange:
    r"""An exchange from its whole text. Words without turns are a response to nothing.

    >>> exchange("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n").response
    'hello'
    >>> exchange("I like you.").prompt
    (Turn(role='user', content=(Text(text=''),)),)
    """
    turns = _chatml(whole)
    if turns is None or turns[-1].role != "assistant" or len(turns) == 1:
        return Exchange((_user(""),), whole)
    return Exchange(turns[:-1], _without_end(_words(turns[-1])))


@dataclass(frozen=True, slots=True)
class _Opening:
    """A prompt that was read: its turns, and what it begins of the answer. `chat` says that it is ChatML."""

    prompt: tuple[Turn, ...]
    begun: str
    chat: bool

    def followed_by(self, words: str) -> str:
        return self.begun + _without_end(words) if self.chat else words

    def before(self, response: tuple[Part, ...]) -> tuple[Part, ...]:
        match response:
            case (Text(words),):
                return (Text(self.followed_by(words)),)
            case (Text(words), *rest) if self.begun:
                return (Text(self.begun + words), *rest)
        return (Text(self.begun), *response) if self.begun else response


def _opening(prompt: str) -> _Opening:
    turns = _chatml(prompt)
    if turns is None:
        return _Opening((_user(prompt),), "", chat=False)
    if turns[-1].role == "assistant" and len(turns) > 1:
        return _Opening(turns[:-1], _words(turns[-1]), chat=True)
    return _Opening(turns, "", chat=True)


def _chatml(whole: str) -> tuple[Turn, ...] | None:
    """The turns of text that is ChatML from its beginning to its end."""
    turns, at = [], 0
    while at < len(whole):
        match = _TURN.match(whole, at)
        if match is None:
            return None
        turns.append(Turn(cast(Role, match[1]), (Text(match[2]),)))
        at = match.end()
    return tuple(turns) or None


def _without_end(response: str) -> str:
    """The response without the mark that ends its turn, which a server's own template adds again."""
    bare = response.rstrip()
    for end in _ENDS:
        if bare.endswith(end):
            return bare.removesuffix(end)
    return response


def _words(turn: Turn) -> str:
    return "".join(part.text for part in turn.content if isinstance(part, Text))


def _user(words: str) -> Turn:
    return Turn("user", (Text(words),))
