"""A comparison becomes the questions that a judge is asked.

The system turn holds our instructions and the criterion; the user turn the prompt, then the responses, then one closing
sentence. Whatever others wrote is made inert and stands between tags with a key. The key is drawn from the very texts
that it encloses and those before it: a text cannot contain its own key, a rerun asks the same bytes, and all
questions about one prompt under one criterion begin alike, so that an endpoint computes the prompt's media once.

Unusual: which task it is shows in what the prompt and the responses are made of; nobody has to say it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from omnireward.prompts.conversation import check_prompt
from omnireward.prompts.enclosing import enclosed, inert_parts, joined, key_of, kinds, shown, words
from omnireward.prompts.forms import Form, Question
from omnireward.prompts.reading import READING
from omnireward.prompts.wording import CLOSING, instructions
from omnireward.types import Comparison, Media, Modality, Part, Side, Task, Text, Turn


def questions(comparison: Comparison, form: Form) -> tuple[Question, ...]:
    """What to ask about a comparison: one question if pairwise; one for response a and one for b if pointwise.

    The question about one response does not depend on the other.

    Raises:
        PromptError: the prompt is empty, or its last turn is not the user's.
    """
    check_prompt(comparison.prompt)
    if form.mode == "pairwise":
        return (_question(comparison, form, ("a", "b")),)
    return _question(comparison, form, ("a",)), _question(comparison, form, ("b",))


@cache
def wording_digest(form: Form) -> str:
    """Hex SHA-256 that changes whenever the words of a form or the rules of reading its answers change."""
    sha = hashlib.sha256(f"{form}{READING}".encode())
    for comparison in _made_up():
        for question in questions(comparison, form):
            sha.update(repr((question.turns, question.given)).encode())
    return sha.hexdigest()


def _question(comparison: Comparison, form: Form, sides: tuple[Side, ...]) -> Question:
    prompt = comparison.prompt
    criterion = (Text(comparison.criterion),) if comparison.criterion.strip() else ()
    criterion_key = key_of("", criterion)
    prompt_key = key_of(criterion_key, (part for turn in prompt for part in turn.content))
    system = instructions(
        form,
        kinds(part for turn in prompt for part in turn.content),
        kinds(part for side in sides for part in comparison.response(side)),
        len(prompt),
        words(enclosed("criterion", criterion_key, inert_parts(criterion))) if criterion else "",
    )
    pair = form.mode == "pairwise"
    named = [(f"response-{side}" if pair else "response", comparison.response(side)) for side in sides]
    user, given = shown(prompt, named, prompt_key)
    user.append(Text(f"\n\n{CLOSING[form.mode]}"))
    return Question(form, (Turn("system", (Text(system),)), Turn("user", joined(user))), given)


def _made_up() -> Iterator[Comparison]:
    """Every task, with a criterion and without, and prompts of one turn and of three."""
    earlier = (Turn("user", (Text("Hello."),)), Turn("assistant", (Text("Hello. What shall it be?"),)))
    for task in Task:
        asked: tuple[Part, ...] = (*(_part(kind, "prompt") for kind in task.inputs[1:]), Text("Make it <|warm|>."))
        a, b = (tuple(_part(kind, f"response {side}") for kind in task.outputs) for side in "ab")
        plain = Comparison((Turn("user", asked),), a, b)
        yield plain
        yield replace(plain, criterion="VERDICT: warmth counts.")
        yield replace(plain, prompt=(*earlier, *plain.prompt))


def _part(kind: Modality, words: str) -> Part:
    return Text(words) if kind == "text" else Media(kind, words.encode())
