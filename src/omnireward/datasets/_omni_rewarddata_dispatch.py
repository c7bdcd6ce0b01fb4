"""What was asked, and what was answered: a `Dialogue` becomes a prompt and two responses.

Which media are responses is not written in a row. The authors' code decides by counts, in this order
(OmniReward-Factory, processors/pairwise.py and collator.py):

1. exactly two media: one for each response;
2. more than two images and equal texts: the first half are chosen's, the second half rejected's;
3. otherwise all media belong to the prompt, and the texts are the responses.

The same order is followed here, and its traps are errors: a question about two images looks like a pair of images, so
two media with different texts are refused; so are equal texts without a pair of media, which compare nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from omnireward.datasets._omni_rewarddata_rows import Dialogue, Medium
from omnireward.rows import Row
from omnireward.types import Media, Part, Task, Text, Turn

_PAIR_TASKS = {"image": Task.T2I, "video": Task.T2V, "audio": Task.T2A}
_PROMPT_TASKS = {"image": Task.TI2T, "video": Task.TV2T, "audio": Task.TA2T}
_RENDERS = re.compile(r"t23d|text_to_3d", re.IGNORECASE)  # nothing inside a row tells a mesh's render from a picture


@dataclass(frozen=True, slots=True)
class Interpreted:
    """The task, the prompt's turns, and the two responses."""

    task: Task
    prompt: tuple[Turn, ...]
    chosen: tuple[Part, ...]
    rejected: tuple[Part, ...]


def interpret(row: Row, said: Dialogue, *, tie: bool) -> Interpreted:
    """Decide what the media are.

    Args:
        row: for messages, and for its file's name, which alone says that pictures are renders of meshes.
        said: the row, checked.
        tie: people found the responses equal, so equal texts are no contradiction.

    Raises:
        BadRowError: the row is ambiguous, contradicts itself, or compares nothing.
    """
    sides = _sides(row, said)
    if sides is not None:
        return _media_responses(row, said, *sides)
    if said.chosen == said.rejected and not tie:
        raise row.bad("chosen", "equals rejected, and there is no pair of media: nothing is compared.")
    task = Task.T2T if said.kind is None else _PROMPT_TASKS[said.kind]
    return Interpreted(task, _prompt(row, said), (Text(said.chosen),), (Text(said.rejected),))


def _sides(row: Row, said: Dialogue) -> tuple[tuple[Medium, ...], tuple[Medium, ...]] | None:
    """Media of chosen and of rejected, or None when all belong to the prompt."""
    if said.sides is not None:
        return said.sides
    count, same = len(said.media), said.chosen == said.rejected
    if count == 2:
        return said.media[:1], said.media[1:]
    if said.kind == "image" and count > 2 and same:
        if count % 2:
            raise row.bad(said.column, f"holds {count} images for two equal texts; an odd number has no halves.")
        return said.media[: count // 2], said.media[count // 2 :]
    return None


def _media_responses(row: Row, said: Dialogue, left: tuple[Medium, ...], right: tuple[Medium, ...]) -> Interpreted:
    """Rows in the paper's layout: the media are the responses, the text that both sides repeat is the prompt."""
    if said.chosen != said.rejected:
        raise row.bad(
            said.column,
            f"holds one {said.kind} for each response, or {len(left) + len(right)} for a question with two answers; "
            "nobody can tell which. Media responses need equal texts; a question about two media has no form here.",
        )
    if len(left) != len(right):
        raise row.bad(said.column, f"holds {len(left)} for chosen and {len(right)} for rejected; they must be as many.")
    if len(said.turns) != 1:
        raise row.bad("conversations", f"has {len(said.turns)} turns; with media responses it must have one.")
    words = said.turns[0][1]
    _check_placeholders(row, said, words.count(said.placeholder), len(left))
    if words.replace(said.placeholder, "").strip():
        raise row.bad(
            "conversations", f"has words beside {said.placeholder}, though the prompt is the responses' text."
        )
    task, shown, chosen, rejected = _roles(row, said, left, right)
    return Interpreted(task, (Turn("user", (*shown, Text(said.chosen))),), (chosen,), (rejected,))


def _roles(
    row: Row, said: Dialogue, left: tuple[Medium, ...], right: tuple[Medium, ...]
) -> tuple[Task, tuple[Part, ...], Media, Media]:
    """The task, the prompt's media, and the response of each side."""
    if len(left) == 1 and said.kind is not None:
        if said.kind == "image" and _RENDERS.search(row.file):
            return Task.T23D, (), Media("mesh", left), Media("mesh", right)
        return _PAIR_TASKS[said.kind], (), Media(said.kind, left[0]), Media(said.kind, right[0])
    if said.kind != "image":
        raise row.bad(said.column, f"holds {len(left)} for each response; a response is one {said.kind}.")
    if len(left) == 2 and left[0] == right[0]:  # source and edit, twice; clips have different first frames
        return Task.TI2I, (Media("image", left[0]),), Media("image", left[1]), Media("image", right[1])
    return Task.T2V, (), Media("video", left), Media("video", right)


def _prompt(row: Row, said: Dialogue) -> tuple[Turn, ...]:
    """The turns, each placeholder of a user turn replaced by its medium. Without media, text is left alone."""
    kind = said.kind
    if kind is None:
        return tuple(Turn(role, (Text(text),)) for role, text in said.turns)
    found = sum(text.count(said.placeholder) for role, text in said.turns if role == "user")
    _check_placeholders(row, said, found, len(said.media))
    waiting = [Media(kind, medium) for medium in said.media]
    turns = []
    for role, text in said.turns:
        content: list[Part] = []
        if not found:  # media without placeholders stand before the first words
            content, waiting = [*content, *waiting], []
        pieces = text.split(said.placeholder) if role == "user" and found else [text]
        for i, piece in enumerate(pieces):
            if i:
                content.append(waiting.pop(0))
            if piece or len(pieces) == 1:
                content.append(Text(piece))
        turns.append(Turn(role, tuple(content)))
    return tuple(turns)


def _check_placeholders(row: Row, said: Dialogue, found: int, media: int) -> None:
    if found not in (0, media):
        raise row.bad(
            "conversations",
            f"has {found} {said.placeholder} for {media} in {said.column}; they must be as many, or none.",
        )
