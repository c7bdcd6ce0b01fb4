"""Teaching a model to see, hear and read before it meets any preference.

A model trained from nothing on preferences alone hardly learns to see: a reward says which of two pictures is better,
never what is in them. The paper's base model had been taught on captions and text before; this stage stands in for
that, in two steps: the towers name the attributes of drawn pictures, clips, objects and sounds; then, with the towers
frozen, the language model names what is in a whole conversation, what its criterion is about, and how much of that the
response has. Linear probes read the labels and are thrown away. No two responses are compared, and nothing says
whether more is better (see `miniature.lessons`): that is left to the preferences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireward.ahead import prepared
from omnireward.backbones import Prepared
from omnireward.conversation_model import ConversationModel
from omnireward.encoded import Encoded, keys_of
from omnireward.miniature.items import Item
from omnireward.miniature.lessons import Lesson
from omnireward.miniature.world import GENERAL, Known
from omnireward.packing import plan
from omnireward.policy import Policy
from omnireward.progress import Progress
from omnireward.prompts import Form, questions
from omnireward.reward_model import RewardModel
from omnireward.train.muon import Muon
from omnireward.types import Media

Tick = Callable[[str, float], None]
ASKED = "asked"
BATCH = 32  # lessons, or media, in a step
MATRIX_RATE = 2e-2  # Muon's learning rate, for the matrices of the layers
OTHER_RATE = 2e-3  # AdamW's, for embeddings, norms, biases and probes
WARMUP = 20  # steps


@dataclass(frozen=True, slots=True)
class Labels:
    """What lessons say: `wanted` (lessons, names) float32 in [0, 1], `known` (lessons, names) bool."""

    names: tuple[str, ...]
    wanted: Tensor
    known: Tensor

    @classmethod
    def of(cls, said: Sequence[Mapping[str, float]]) -> Labels:
        """Labels as tensors. A label `KIND VALUE` that others of its kind carry is false where only they are given."""
        names = sorted({name for labels in said for name in labels})
        kinds = [name.rpartition(" ")[0] for name in names]
        wanted = torch.tensor([[labels.get(name, 0.0) for name in names] for labels in said])
        given = [{name.rpartition(" ")[0] for name in labels if " " in name} for labels in said]
        known = [
            [name in labels or (bool(kind) and kind in has) for name, kind in zip(names, kinds, strict=True)]
            for labels, has in zip(said, given, strict=True)
        ]
        return cls(tuple(names), wanted, torch.tensor(known))


@contextmanager
def in_sight(lessons: int, towers: int, language: int) -> Iterator[Tick]:
    """A tick that shows a progress bar for each stage, one at a time."""
    bars = {
        "prepare": Progress("decode lessons", lessons),
        "towers": Progress("teach the towers", towers),
        "language": Progress("teach the language", language),
    }
    with ExitStack() as stack:
        begun: set[str] = set()

        def tick(name: str, loss: float) -> None:
            if name not in begun:  # the stage before is over
                stack.close()
                begun.add(name)
                stack.enter_context(bars[name])
            bars[name].advance(f"loss {loss:.3f}" if loss else "")

        yield tick


def teach(model: RewardModel, taught: Sequence[Lesson], towers: int, language: int, seed: int, tick: Tick) -> None:
    """Teach the towers for some steps, freeze them, and teach the language model for some.

    Args:
        model: changed in place; its towers stay frozen.
        taught: what there is to learn.
        towers: optimizer steps of BATCH media.
        language: optimizer steps of BATCH lessons.
        seed: decides probes and order.
        tick: called with the step's name and the loss (nats for each label) after each step, and with `prepare` and
            0 after each lesson's media were decoded.
    """
    teach_towers(model, taught, towers, seed, tick)
    encoded = [model.encode(lesson.comparison, "a") for lesson in taught]

    def read(picked: Sequence[int]) -> Tensor:
        return model.hidden([encoded[i] for i in picked])

    labelled = Labels.of([{**lesson.labels, ASKED: lesson.asked} for lesson in taught])
    _fit(model, read, labelled, language, seed, partial(tick, "language"))


def teach_towers(model: ConversationModel, taught: Sequence[Lesson], steps: int, seed: int, tick: Tick) -> None:
    """Teach the towers alone, and freeze them. Arguments as for `teach`."""
    media, labels = _prepared(model, taught, partial(tick, "prepare", 0.0))
    inputs = list(media.values())

    def see(picked: Sequence[int]) -> Tensor:
        seen = model.backbone.encode_media([inputs[i] for i in picked])
        return torch.stack([each[:, : model.backbone.hidden_size].mean(0) for each in seen])

    if media:
        _fit(model, see, Labels.of(labels), steps, seed, partial(tick, "towers"))
    model.freeze(model.towers)
    model.features.embeddings_of(media, {})  # they are kept from here on
    media.clear()
    inputs.clear()


def teach_questions(policy: Policy, known: Sequence[Known], form: Form, steps: int, seed: int, tick: Tick) -> None:
    """Teach a judge's language model to know, at the end of a question, what both responses to it are.

    That is taught before the last layer, because answers see nothing else of a token.

    Args:
        policy: changed in place; its towers are frozen already.
        known: samples of a made-up world; each is a question about both.
        form: in which the judge is asked.
        steps: optimizer steps of BATCH questions.
        seed: decides probes and order.
        tick: called with `language` and the loss after each step.
    """
    asked: dict[int, Encoded] = {}

    def read(picked: Sequence[int]) -> Tensor:
        for number in picked:
            if number not in asked:
                asked[number] = policy.ask(questions(known[number].sample.comparison, form)[0])
        rows = [asked[number] for number in picked]
        packed = plan(keys_of(rows))
        states = policy.backbone.packed_states([row.row for row in rows], policy.media_of(rows), packed, True)
        return states[packed.last]

    _fit(policy, read, Labels.of([_both(each) for each in known]), steps, seed, partial(tick, "language"))


def _both(known: Known) -> dict[str, float]:
    """What both responses are, and how much each has of what is asked about; not who wins."""
    told = {f"{side} {name}": value for side, item in _items(known) for name, value in item.labels.items()}
    told |= {f"about {known.truth}": 1.0}
    if known.truth != GENERAL:
        told |= {f"{ASKED} {side}": item.truth[known.truth] for side, item in _items(known)}
    return told


def _items(known: Known) -> tuple[tuple[str, Item], tuple[str, Item]]:
    return ("a", known.a), ("b", known.b)


def _prepared(
    model: ConversationModel, lessons: Sequence[Lesson], tick: Callable[[], None]
) -> tuple[dict[str, Prepared], list[Mapping[str, float]]]:
    """Each distinct medium by its digest, and what its first lesson says of it, in the order of the lessons."""
    named = [[(medium.digest(), medium) for medium in _media(lesson)] for lesson in lessons]
    distinct: dict[str, tuple[Media, Mapping[str, float]]] = {}
    for lesson, media in zip(lessons, named, strict=True):
        for (digest, medium), labels in zip(media, lesson.media, strict=True):
            distinct.setdefault(digest, (medium, labels))
    done: dict[str, Prepared] = {}
    with closing(prepared(model.backbone, [medium for medium, _ in distinct.values()])) as results:
        for media in named:
            for digest, _ in media:
                if digest not in done:
                    done[digest] = next(results)
            tick()
    return done, [labels for _, labels in distinct.values()]


def _media(lesson: Lesson) -> list[Media]:
    """The media of a lesson's prompt and response, in reading order."""
    parts = [part for turn in lesson.comparison.prompt for part in turn.content]
    return [part for part in (*parts, *lesson.comparison.response_a) if isinstance(part, Media)]


def _fit(
    model: ConversationModel,
    read: Callable[[Sequence[int]], Tensor],
    labels: Labels,
    steps: int,
    seed: int,
    tick: Callable[[float], None],
) -> None:
    """Minimise the binary cross-entropy of the labels known of each lesson, read by a linear probe."""
    torch.manual_seed(seed)
    probe = nn.Linear(model.backbone.hidden_size, labels.wanted.shape[1])
    learning = {name: p for name, p in model.backbone.named_parameters() if p.requires_grad}
    # Muon learns the layers' matrices in a fraction of the steps that AdamW takes on a model as small as this.
    matrices = [p for name, p in learning.items() if p.ndim == 2 and ".layers." in name]
    others = [p for name, p in learning.items() if not (p.ndim == 2 and ".layers." in name)]
    optimizers = (
        Muon(matrices, MATRIX_RATE),
        torch.optim.AdamW([*others, *probe.parameters()], lr=OTHER_RATE, weight_decay=0.01),
    )
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, partial(_rate, steps=steps)) for each in optimizers]
    model.train()
    for _ in range(steps):
        picked = torch.randint(len(labels.wanted), (BATCH,))
        loss = _loss(probe(read(picked.tolist())), labels, picked)
        model.zero_grad()
        probe.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(learning.values(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        tick(loss.item())


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short warm-up, then down to a twentieth in a straight line."""
    return min(1.0, (step + 1) / WARMUP) * (1.0 - 0.95 * min(1.0, step / max(1, steps)))


def _loss(said: Tensor, labels: Labels, picked: Tensor) -> Tensor:
    """Mean cross-entropy of all labels but the asked, plus that of the asked: they count as much as all the others."""
    wanted, known = labels.wanted[picked], labels.known[picked]
    asked = torch.tensor([name.startswith(ASKED) for name in labels.names])
    others, asked = known & ~asked, known & asked
    loss = F.binary_cross_entropy_with_logits(said[others], wanted[others])
    return loss + F.binary_cross_entropy_with_logits(said[asked], wanted[asked]) if asked.any() else loss
