"""Teaching a model to see, hear and read before it meets any preference.

A model trained from nothing on preferences alone hardly learns to see: a reward says which of two pictures is better,
never what is in them. The paper's base model had been taught on captions and text before; this stage stands in for
that, in two steps: the towers name the attributes of drawn pictures, clips, objects and sounds; then, with the towers
frozen, the language model names what is in a whole conversation, what its criterion is about, and how much of that the
response has. Linear probes read the labels and are thrown away. No two responses are compared, and nothing says
whether more is better (see `miniature.lessons`): that is left to the preferences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireward.ahead import prepared
from omnireward.backbones import Prepared
from omnireward.miniature.lessons import Lesson
from omnireward.reward_model import RewardModel
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


def teach(model: RewardModel, lessons: Sequence[Lesson], towers: int, language: int, seed: int, tick: Tick) -> None:
    """Teach the towers for some steps, freeze them, and teach the language model for some.

    Args:
        model: changed in place; its towers stay frozen.
        lessons: what there is to learn.
        towers: optimizer steps of BATCH media.
        language: optimizer steps of BATCH lessons.
        seed: decides probes and order.
        tick: called with the step's name and the loss (nats for each label) after each step, and with `prepare` and
            0 after each lesson's media were decoded.
    """
    media, labels = _prepared(model, lessons, partial(tick, "prepare", 0.0))
    inputs = list(media.values())

    def see(picked: Sequence[int]) -> Tensor:
        seen = model.backbone.encode_media([inputs[i] for i in picked])
        return torch.stack([each[:, : model.backbone.hidden_size].mean(0) for each in seen])

    _fit(model, see, Labels.of(labels), towers, seed, partial(tick, "towers"))
    model.freeze(model.towers)
    model.features.embeddings_of(media, {})  # they are kept from here on
    media.clear()
    inputs.clear()
    encoded = [model.encode(lesson.comparison, "a") for lesson in lessons]

    def read(picked: Sequence[int]) -> Tensor:
        return model.hidden([encoded[i] for i in picked])

    labelled = Labels.of([{**lesson.labels, ASKED: lesson.asked} for lesson in lessons])
    _fit(model, read, labelled, language, seed, partial(tick, "language"))


def _prepared(
    model: RewardModel, lessons: Sequence[Lesson], tick: Callable[[], None]
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
    model: RewardModel,
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
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.0),
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
            optimizer.step()  # type: ignore[no-untyped-call]
        for schedule in schedules:
            schedule.step()
        tick(loss.item())


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: a short warm-up, then down to a twentieth in a straight line."""
    return min(1.0, (step + 1) / WARMUP) * (1.0 - 0.95 * min(1.0, step / max(1, steps)))


def _loss(said: Tensor, labels: Labels, picked: Tensor) -> Tensor:
    """Mean cross-entropy of all labels but the asked one, plus the asked one's: it counts as much as all the others."""
    wanted, known = labels.wanted[picked], labels.known[picked]
    if ASKED not in labels.names:
        return F.binary_cross_entropy_with_logits(said[known], wanted[known])
    asked = labels.names.index(ASKED)
    others = known.clone()
    others[:, asked] = False
    loss = F.binary_cross_entropy_with_logits(said[others], wanted[others])
    return loss + F.binary_cross_entropy_with_logits(said[:, asked], wanted[:, asked])
