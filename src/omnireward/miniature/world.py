"""Samples of the made-up world: scenes, criteria about their responses, and the preference that the truth gives.

Each scene is asked about under several criteria, among them both directions of one family, and sometimes under none
(the *general* preference). A sample whose criterion wants what the general preference wants is *invariant*; one that
wants the opposite is *shifted* (paper section 5). Two items tie where their truths differ by no more than TOLERANCE.
A training prompt has four responses, and each two of them make a sample; a test prompt has two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import combinations

import numpy as np

from omnireward.errors import RecipeError
from omnireward.miniature.families import FAMILIES, Family, Wording
from omnireward.miniature.items import Item, Split, one_of
from omnireward.miniature.scenes import Scene, draw_scene
from omnireward.plugins import suggest
from omnireward.types import PAPER_TASKS, Comparison, Preference, Sample, Task, Turn

TOLERANCE = 0.1  # in units of truth, whose range is [0, 1]
RESPONSES: dict[Split, int] = {"train": 4, "test": 2}
ROUNDS: dict[Split, int] = {"train": 2, "test": 1}
GENERAL = "general"  # the truth that counts where nothing is asked about
_WORDS = ("families", "tasks", "asks", "directions", "only")  # settings that are no numbers
MOST_TURNS = 16
TIE_SHARE = 0.12  # of the criteria asked; Omni-RewardBench has 441 ties in 3,725 samples


@dataclass(frozen=True, slots=True)
class World:
    """Which part of the world to make.

    Attributes:
        prompts: for each task; each is asked about under three criteria, for training under six.
        seed: another seed is another world of the same kind.
        families: ``trained`` asks about the families that training uses, ``unseen`` about those held out from it.
        tasks: short names joined with ``+``; empty: all nine. What a task's samples are does not depend on it.
        asks: what is asked about, as families' names joined with ``+``, and never in general; empty: all, and in
            general too. A task that has none of them is asked about all that it has.
        directions: ``both``, or ``more``: then every criterion wants more of something.
        turns: requests of a prompt. Those before the last are of other scenes, each with a reply to it; what is asked
            last, its responses and what is true of them do not depend on it.
        conflicts: of each hundred samples whose criterion wants the opposite of the general preference, how many are
            made; fewer than all make a world in which criteria seldom contradict what is liked anyway.
        only: ``criteria`` leaves out samples without one, ``general`` all others; empty: both are made.
    """

    prompts: int = 125
    seed: int = 0
    families: str = "trained"
    tasks: str = ""
    asks: str = ""
    directions: str = "both"
    turns: int = 1
    conflicts: int = 100
    only: str = ""

    @classmethod
    def parse(cls, settings: str, default: World) -> World:
        """Read settings such as ``prompts=9,seed=3``; what is not named is as in `default`.

        Raises:
            RecipeError: a setting that does not exist, or a value that cannot be read.
            UnknownNameError: no such task.

        >>> World.parse("prompts=9,families=unseen", World()).prompts
        9
        """
        values = {f.name: getattr(default, f.name) for f in fields(cls)}
        for setting in filter(None, settings.split(",")):
            name, _, value = setting.partition("=")
            if name not in values:
                raise RecipeError(f"the miniature world has no setting {name!r}. {suggest(name, list(values))}")
            if name not in _WORDS and not value.isdecimal():
                raise RecipeError(f"the miniature world's setting {name!r} is a whole number; got {value!r}.")
            values[name] = value if name in _WORDS else int(value)
        for name, choices in (
            ("families", ("trained", "unseen")),
            ("directions", ("both", "more")),
            ("only", ("", "criteria", "general")),
        ):
            if values[name] not in choices:
                raise RecipeError(f"{name} is {' or '.join(map(repr, filter(None, choices)))}; got {values[name]!r}.")
        world = cls(**values)
        if world.conflicts > 100:
            raise RecipeError(f"conflicts is at most 100; got {world.conflicts}.")
        if not 1 <= world.turns <= MOST_TURNS:
            raise RecipeError(f"turns is 1 to {MOST_TURNS}; got {world.turns}.")
        for name in filter(None, world.tasks.split("+")):
            Task.parse(name)  # raises, with the known names
        known = sorted({family.truth for families in FAMILIES.values() for family in families})
        for name in filter(None, world.asks.split("+")):
            if name not in known:
                raise RecipeError(f"the miniature world asks about no {name!r}. {suggest(name, known)}")
        return world

    def has(self, task: Task) -> bool:
        """Whether a task is made."""
        return not self.tasks or task in map(Task.parse, self.tasks.split("+"))


def scenes(world: World, split: Split) -> Iterator[tuple[Task, int, Scene, np.random.Generator]]:
    """Task, number, scene, and the generator that goes on from it; task after task in turn."""
    wanted = [(index, task) for index, task in enumerate(PAPER_TASKS) if world.has(task)]
    for number in range(world.prompts):
        for index, task in wanted:
            rng = np.random.default_rng([world.seed, 0 if split == "train" else 1, index, number])
            yield task, number, draw_scene(task, split, rng, RESPONSES[split]), rng


def samples(world: World, split: Split) -> Iterator[Sample]:
    """The samples of one split, task after task in turn.

    Training uses the seen wordings only; the test split uses seen and unseen ones in equal shares.
    """
    return (known.sample for known in known_samples(world, split))


@dataclass(frozen=True, slots=True)
class Known:
    """A sample and what is known of it.

    Attributes:
        truth: the name of the value that is asked about; GENERAL where nothing is.
        direction: whether more of it is wanted (+1) or less (-1).
    """

    sample: Sample
    truth: str
    direction: int
    a: Item
    b: Item


def known_samples(world: World, split: Split) -> Iterator[Known]:
    """The same samples with what is known of them."""
    for task, number, scene, rng in scenes(world, split):
        asked = [_question(task, ask, rng, split) for ask in _asks(world, task, scene, rng, ROUNDS[split])]
        prompt = (*turns_of(exchanges(world, task, number, split)), Turn("user", scene.prompt))
        for ask, question in enumerate(asked):
            if world.only and (world.only == "general") == bool(question.criterion):
                continue
            for a, b in combinations(range(len(scene.responses)), 2):
                pair = f"-{a}{b}" if len(scene.responses) > 2 else ""
                sample = _sample(task, prompt, scene, question, a, b, f"{task.short}-{number}", f"-{ask}{pair}")
                if "shifted" in sample.groups and _chance(sample.id) >= world.conflicts / 100:
                    continue
                yield Known(sample, question.truth, question.direction, scene.responses[a], scene.responses[b])


def exchanges(world: World, task: Task, number: int, split: Split) -> Iterator[Scene]:
    """What was asked before, in the order of a conversation: scenes with one response each."""
    rng = np.random.default_rng([world.seed, 3 if split == "train" else 4, PAPER_TASKS.index(task), number])
    for _ in range(world.turns - 1):
        yield draw_scene(task, split, rng, 1)


def turns_of(before: Iterable[Scene]) -> Iterator[Turn]:
    """Their requests and replies, in turn."""
    for scene in before:
        yield from (Turn("user", scene.prompt), Turn("assistant", (scene.responses[0].part,)))


@dataclass(frozen=True, slots=True)
class _Question:
    """A criterion in words, the truth that it wants more (+1) or less (-1) of, and the groups that it belongs to."""

    criterion: str
    truth: str
    direction: int
    groups: tuple[str, ...]


def _asks(
    world: World, task: Task, scene: Scene, rng: np.random.Generator, rounds: int
) -> Iterator[tuple[Family | None, int]]:
    """In each round both directions of one family, then another one or, in two cases of five, no criterion at all."""
    for _ in range(rounds):
        first, second = _family(world, task, scene, rng), _family(world, task, scene, rng)
        yield first, 1
        yield first, -1 if world.directions == "both" else 1
        general = world.families == "trained" and rng.random() < 0.4 and not world.asks
        yield (None, 1) if general else (second, 1 if rng.random() < 0.5 or world.directions == "more" else -1)


def _question(task: Task, ask: tuple[Family | None, int], rng: np.random.Generator, split: Split) -> _Question:
    family, direction = ask
    if family is None:
        return _Question("", GENERAL, 1, (GENERAL,))
    wording: Wording = "seen" if split == "train" or rng.random() < 0.5 else "unseen"
    criterion = one_of(rng, list(family.wordings(direction, task, wording)))
    return _Question(criterion, family.truth, direction, (f"{wording} wording", f"family {family.truth}"))


def _sample(
    task: Task, prompt: tuple[Turn, ...], scene: Scene, question: _Question, a: int, b: int, cluster: str, ending: str
) -> Sample:
    first, second = scene.responses[a], scene.responses[b]
    gap = question.direction * (first.truth[question.truth] - second.truth[question.truth])
    general = first.truth[GENERAL] - second.truth[GENERAL]
    return Sample(
        id=cluster + ending,
        task=task,
        comparison=Comparison(prompt, (first.part,), (second.part,), question.criterion),
        preference=_preference(gap),
        cluster=cluster,
        groups=question.groups if question.truth == GENERAL else (*question.groups, *_shift(general, gap)),
        provenance={"source": "miniature"},
    )


def _family(world: World, task: Task, scene: Scene, rng: np.random.Generator) -> Family:
    """A family to ask about: one in which the items tie with probability TIE_SHARE, where the scene allows it."""
    families = [f for f in FAMILIES[task] if f.held_out == (world.families == "unseen")]
    families = [f for f in families if f.truth in world.asks.split("+")] or families
    ties = [f for f in families if _spread(scene, f) <= TOLERANCE]
    others = [f for f in families if f not in ties]
    wanted = ties if rng.random() < TIE_SHARE else others
    pool = wanted or families
    return pool[int(rng.integers(len(pool)))]


def _spread(scene: Scene, family: Family) -> float:
    values = [item.truth[family.truth] for item in scene.responses]
    return max(values) - min(values)


def _preference(gap: float) -> Preference:
    if abs(gap) <= TOLERANCE:
        return "tie"
    return "a" if gap > 0 else "b"


def _shift(general: float, gap: float) -> tuple[str, ...]:
    if abs(general) <= TOLERANCE or abs(gap) <= TOLERANCE:
        return ()
    return ("invariant",) if (general > 0) == (gap > 0) else ("shifted",)


def _chance(name: str) -> float:
    """A number in [0, 1) that hangs on a name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48
