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
    """One thing to ask about: `truth` names the value, `more` and `less` phrase its two directions."""

    truth: str
    more: tuple[str, ...]
    less: tuple[str, ...]
    held_out: bool = False

    def wordings(self, direction: int, task: Task, wording: Wording) -> Iterator[str]:
        """Every criterion of one direction (+1 or -1).

        >>> next(FAMILIES[Task.T2A][0].wordings(+1, Task.T2A, "seen"))
        'The sound should have a higher pitch.'
        """
        for phrase in self.more if direction > 0 else self.less:
            for template in TEMPLATES[wording]:
                yield template.format(noun=NOUNS[task], phrase=phrase)


_MANNERS = (
    Family("detail", ("be longer", "say more", "give more detail"), ("be shorter", "say less", "give less detail")),
    Family("polite", ("be polite", "thank the reader", "sound courteous"), ("not be polite", "skip the courtesies")),
    Family("cautious", ("be cautious", "admit doubt", "show doubt"), ("be confident", "show no doubt")),
    Family("cheerful", ("be cheerful", "sound happy", "show joy"), ("be sober", "show no joy")),
    Family("numbers", ("use numbers", "give figures", "name numbers"), ("avoid numbers", "give no figures")),
    Family("example", ("give an example", "name an example"), ("avoid examples", "give no example"), held_out=True),
)
_REASON = Family("reason", ("give a reason", "explain why", "name the reason"), ("give no reason", "not explain why"))
_HELD_OUT_REASON = Family(_REASON.truth, _REASON.more, _REASON.less, held_out=True)
_WARM = Family("warm", ("have a warm colour", "use warm colours"), ("have a cool colour", "use cool colours"))
_SIZE = Family("size", ("show a larger shape", "have a big shape"), ("show a smaller shape", "have a small shape"))
_LIGHT = Family(
    "light",
    ("have a light background", "be bright behind the shape"),
    ("have a dark background", "be dark behind the shape"),
)
_DOTS = Family("dots", ("have more dots", "show many dots"), ("have fewer dots", "show few dots"))
_STRIPES = Family("stripes", ("be striped", "have stripes"), ("be plain", "have no stripes"))


def _facts(*names: str) -> Iterator[Family]:
    for name in names:
        more = (f"get the {name} right", f"name the true {name}")
        yield Family(name, more, (f"get the {name} wrong", f"name a false {name}"))


def _match(what: str) -> Family:
    return Family(
        "match",
        (f"have the {what} asked for", f"follow the request for the {what}"),
        (f"not have the {what} asked for", f"ignore the request for the {what}"),
    )


FAMILIES: dict[Task, tuple[Family, ...]] = {
    Task.T2T: (*_MANNERS, _REASON, *_facts("topic")),
    Task.TI2T: (*_MANNERS, _HELD_OUT_REASON, *_facts("colour", "shape")),
    Task.TV2T: (*_MANNERS, _HELD_OUT_REASON, *_facts("colour", "motion")),
    Task.TA2T: (*_MANNERS, _HELD_OUT_REASON, *_facts("pitch", "tone")),
    Task.T2I: (
        _SIZE, _LIGHT, _WARM, _DOTS, _STRIPES, _match("colour"),
        Family("right", ("have its shape on the right", "place the shape to the right"),
               ("have its shape on the left", "place the shape to the left")),
        Family("height", ("have its shape high up",), ("have its shape low down",), held_out=True),
        Family("filled", ("have a filled shape",), ("have an empty shape",), held_out=True),
    ),
    Task.TI2I: (
        _SIZE, _LIGHT, _WARM, _DOTS, _STRIPES, _match("colour"),
        Family("kept", ("keep the background", "leave the background as it was"),
               ("change the background", "replace the background")),
        Family("height", ("have its shape high up",), ("have its shape low down",), held_out=True),
    ),
    Task.T2V: (
        Family("speed", ("move faster", "be fast"), ("move slower", "be slow")),
        Family("rightwards", ("move to the right", "go right"), ("move to the left", "go left")),
        Family("flash", ("flash white", "have a white flash"), ("never flash", "have no flash")),
        _SIZE, _LIGHT, _WARM, _match("colour"),
        Family("growth", ("have a growing shape",), ("have a shrinking shape",), held_out=True),
    ),
    Task.T2A: (
        Family("pitch", ("have a higher pitch", "be high"), ("have a lower pitch", "be low")),
        Family("harsh", ("be harsh", "have a harsh tone"), ("be pure", "have a pure tone")),
        Family("beeps", ("have more beeps", "have many beeps"), ("have fewer beeps", "have few beeps")),
        Family("loudness", ("be louder", "be loud"), ("be quieter", "be quiet")),
        Family("length", ("have long beeps", "beep longer"), ("have short beeps", "beep shorter")),
        Family("hiss", ("have hiss", "have more noise"), ("have no hiss", "have less noise")),
        _match("pitch"),
        Family("glide", ("rise in pitch",), ("fall in pitch",), held_out=True),
    ),
    Task.T23D: (
        Family("tall", ("be tall", "be higher and thinner"), ("be flat", "be lower and wider")),
        Family("ball", ("have a ball on top", "carry a ball"), ("have no ball", "carry nothing")),
        Family("shade", ("have a bright colour", "be bright"), ("have a dark colour", "be dark")),
        Family("white", ("have a white side", "be partly white"), ("have one colour", "have no white side")),
        Family("plate", ("stand on a plate", "have a plate"), ("stand on nothing", "have no plate")),
        _WARM, _match("colour"),
        Family("round", ("be round",), ("have corners",), held_out=True),
    ),
}  # fmt: skip
