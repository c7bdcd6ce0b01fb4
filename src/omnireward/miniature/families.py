"""What can be asked: families of criteria, their two directions, and several wordings for each.

A family asks about one truth of an item. Its two directions are opposite criteria: on one pair they want opposite
responses. A wording is a template around a phrase. Some templates are held out from training (unseen wordings), and
whole families are held out too (unseen families): those measure what no training criterion asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from omnireward.types import Task

Wording = Literal["seen", "unseen"]

TEMPLATES: dict[Wording, tuple[str, ...]] = {
    "seen": (
        "The {noun} should {phrase}.",
        "It must {phrase}.",
        "The better {noun} has to {phrase}.",
        "What counts: it should {phrase}.",
        "I want the {noun} to {phrase}.",
    ),
    "unseen": (
        "What counts: the {noun} must {phrase}.",
        "I want it to {phrase}.",
        "The better {noun} should {phrase}.",
    ),
}

NOUNS: dict[Task, str] = {
    Task.T2T: "answer",
    Task.TI2T: "answer",
    Task.TV2T: "answer",
    Task.TA2T: "answer",
    Task.T2I: "picture",
    Task.T2V: "clip",
    Task.T2A: "sound",
    Task.T23D: "object",
    Task.TI2I: "edit",
}


@dataclass(frozen=True, slots=True)
class Family:
    """One thing to ask about: `truth` names the value, `phrases` say that there should be more of it.

    The opposite criterion wants it not to be so.
    """

    truth: str
    phrases: tuple[str, ...]
    held_out: bool = False

    def wordings(self, direction: int, task: Task, wording: Wording) -> Iterator[str]:
        """Every criterion of one direction (+1 or -1).

        >>> next(FAMILIES[Task.T2A][0].wordings(-1, Task.T2A, "seen"))
        'The sound should not have a high pitch.'
        """
        for phrase in self.phrases:
            for template in TEMPLATES[wording]:
                yield template.format(noun=NOUNS[task], phrase=phrase if direction > 0 else f"not {phrase}")


_MANNERS = (
    Family("detail", ("be long", "say a lot", "give detail")),
    Family("polite", ("be polite", "thank the reader", "sound courteous")),
    Family("cautious", ("be cautious", "admit doubt", "sound unsure")),
    Family("cheerful", ("be cheerful", "sound happy", "show joy")),
    Family("numbers", ("use numbers", "give figures", "count things")),
    Family("true", ("be true", "get the facts right", "be correct")),
    Family("example", ("give an example", "name an example"), held_out=True),
    Family("reason", ("give a reason", "explain why"), held_out=True),
)
_VISUALS = (
    Family("light", ("be bright", "look bright", "be light in tone")),
    Family("warm", ("be warm", "use warm colours", "have a warm colour")),
    Family("stripes", ("be striped", "have stripes", "show stripes")),
    Family("match", ("follow the request", "have the colour asked for", "do as asked")),
)
_SIZE = Family("size", ("show a large shape", "have a big shape", "be large"))
_FILLED = Family("filled", ("have a filled shape",), held_out=True)
_HEIGHT = Family("height", ("have its shape high up", "place the shape high"), held_out=True)
_DOTS = Family("dots", ("have dots", "show many dots", "be dotted"))

FAMILIES: dict[Task, tuple[Family, ...]] = {
    Task.T2T: _MANNERS,
    Task.TI2T: _MANNERS,
    Task.TV2T: _MANNERS,
    Task.TA2T: _MANNERS,
    Task.T2I: (*_VISUALS, _SIZE, _DOTS, _FILLED, _HEIGHT),
    Task.TI2I: (*_VISUALS, _SIZE, _DOTS, _HEIGHT),
    Task.T2V: (*_VISUALS, _SIZE, _FILLED, Family("speed", ("move fast", "be quick", "have a fast shape"))),
    Task.T2A: (
        Family("pitch", ("have a high pitch", "be high", "sound high")),
        Family("harsh", ("be harsh", "have a harsh tone", "sound harsh")),
        Family("beeps", ("have many beeps", "beep often", "repeat the beep")),
        Family("loudness", ("be loud", "sound loud", "have much volume")),
        Family("hiss", ("hiss", "have a hiss", "be noisy")),
        Family("match", ("follow the request", "have the pitch asked for", "do as asked")),
        Family("glide", ("rise in pitch",), held_out=True),
    ),
    Task.T23D: (
        *_VISUALS,
        Family("tall", ("be tall", "stand high", "be high and thin")),
        Family("plate", ("stand on a plate", "have a plate", "rest on a plate")),
        Family("round", ("be round",), held_out=True),
    ),
}
