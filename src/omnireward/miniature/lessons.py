"""Lessons: content with labels, for teaching a model to see, hear and read before it meets any preference.

A lesson says what is there: the colour of a drawn shape, the pitch of a beep, the manner of a text, what a prompt asks
for and what a criterion is about. It also says how much there is of what the criterion names (how warm the colours are,
how true the answer is), as a chat model could be asked. It never says that more of it is better: two responses are
never compared, and the value is the same whether the criterion wants more or less. Lessons are made of the scenes of
the training split, so each medium is made and decoded once for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from omnireward.miniature.families import FAMILIES
from omnireward.miniature.items import Item, one_of
from omnireward.miniature.scenes import Scene
from omnireward.miniature.world import World, exchanges, scenes, turns_of
from omnireward.types import PAPER_TASKS, Comparison, Media, Task, Turn

LESSONS = 3  # about each response


@dataclass(frozen=True, slots=True)
class Lesson:
    """A comparison, of which only `response_a` is read, and what can be read from it.

    Attributes:
        labels: label -> value in [0, 1], for the whole conversation. An absent label says nothing.
        asked: how much there is of what the criterion names, in [0, 1], whichever direction it wants.
        media: such labels for each medium of prompt and response, in reading order.
    """

    comparison: Comparison
    labels: Mapping[str, float]
    asked: float
    media: tuple[Mapping[str, float], ...]


def lessons(world: World) -> Iterator[Lesson]:
    """Lessons from each response of the training split, each under a criterion in a seen wording.

    Of a world of several turns, each prompt has at most as many, and as often fewer.
    """
    for task, number, scene, _ in scenes(world, "train"):
        rng = np.random.default_rng([world.seed, 2, PAPER_TASKS.index(task), number])
        turns = 1 + number % world.turns
        before = list(exchanges(replace(world, turns=turns), task, number, "train"))
        for item in scene.responses * LESSONS:
            yield _lesson(task, before, scene, item, rng)


def _lesson(task: Task, before: Sequence[Scene], scene: Scene, item: Item, rng: np.random.Generator) -> Lesson:
    families = [family for family in FAMILIES[task] if not family.held_out]
    family = families[int(rng.integers(len(families)))]
    direction = 1 if rng.random() < 0.5 else -1
    criterion = one_of(rng, list(family.wordings(direction, task, "seen")))
    about = {f"about {other.truth}": float(other is family) for other in families}
    labels = {**item.labels, **scene.labels, **about, "more": float(direction > 0)}
    seen = [part for each in before for part in (each.shown, *each.responses)] + [scene.shown, item]
    media = tuple(each.labels for each in seen if each is not None and isinstance(each.part, Media))
    prompt = (*turns_of(before), Turn("user", scene.prompt))
    comparison = Comparison(prompt, (item.part,), (item.part,), criterion)
    return Lesson(comparison, labels, item.truth[family.truth], media)
