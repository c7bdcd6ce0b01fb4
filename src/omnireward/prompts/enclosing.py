"""What others wrote, made inert and put between tags with a key, ready to stand in a question.

A key is drawn from the very texts that it encloses and those before it: a text cannot contain its own key, and a rerun
asks the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from itertools import groupby

from omnireward.prompts.forms import Given
from omnireward.prompts.markers import inert
from omnireward.types import Media, Modality, Part, Text, Turn

_LONE = re.compile("[\ud800-\udfff]")  # halves of surrogate pairs: no encoding of a request can carry them
_KEY = 12  # hex digits: 48 bits


def key_of(before: str, parts: Iterable[Part]) -> str:
    """A key for these parts, after those of another key."""
    sha = hashlib.sha256(before.encode())
    for part in parts:
        data = part.text.encode("utf-8", "surrogatepass") if isinstance(part, Text) else part.kind.encode()
        sha.update(len(data).to_bytes(8, "big"))  # or "ab", "c" would equal "a", "bc"
        sha.update(data)
    return sha.hexdigest()[:_KEY]


def kinds(parts: Iterable[Part]) -> frozenset[Modality]:
    """What parts are made of; text where there is nothing."""
    found: set[Modality] = {"text" if isinstance(part, Text) else part.kind for part in parts}
    return frozenset(found or {"text"})


def enclosed(name: str, key: str, content: Iterable[Part]) -> list[Part]:
    """Parts between a pair of tags."""
    return [Text(f"<{name}-{key}>\n"), *content, Text(f"\n</{name}-{key}>")]


def shown(
    prompt: tuple[Turn, ...], responses: Iterable[tuple[str, tuple[Part, ...]]], prompt_key: str
) -> tuple[list[Part], tuple[Given, ...]]:
    """A prompt and responses under the names of their tags; and where each of the media comes from, in that order."""
    parts = enclosed("prompt", prompt_key, transcript(prompt, prompt_key))
    given: list[Given] = ["prompt" for part in parts if isinstance(part, Media)]
    for name, response in responses:
        parts += [Text("\n\n"), *enclosed(name, key_of(prompt_key, response), inert_parts(response))]
        given += ["response" for part in response if isinstance(part, Media)]
    return parts, tuple(given)


def transcript(prompt: tuple[Turn, ...], key: str) -> list[Part]:
    """A single turn as it is; of several, each between tags that say whose it is."""
    if len(prompt) == 1:
        return inert_parts(prompt[0].content)
    shown: list[Part] = []
    for number, turn in enumerate(prompt, 1):
        shown += enclosed(f"turn-{number}-{turn.role}", key, inert_parts(turn.content))
        shown.append(Text("\n"))
    return shown[:-1]


def inert_parts(parts: Iterable[Part]) -> list[Part]:
    """Neighbouring texts become one, on lines of their own: no marker may come into being where two of them meet."""
    shown: list[Part] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part, Text)):
        run = list(group)
        shown += [Text(inert(_LONE.sub("\N{REPLACEMENT CHARACTER}", words(run, "\n"))))] if is_text else run
    return shown


def joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The same with one text between media."""
    whole: list[Part] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part, Text)):
        run = list(group)
        whole += [Text(words(run))] if is_text else run
    return tuple(whole)


def words(parts: Iterable[Part], between: str = "") -> str:
    """The text of parts."""
    return between.join(part.text for part in parts if isinstance(part, Text))
