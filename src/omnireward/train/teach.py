"""Teaching a model to see, hear and read before it meets any preference.

A model trained from nothing on preferences alone hardly learns to see: a reward says which of two pictures is better,
never what is in them. The paper's base model had been taught on captions and text before; this stage stands in for
that, in two steps: the towers name the attributes of drawn pictures, clips, objects and sounds; then, with the towers
frozen, the language model names what is in a whole conversation, its criterion included. Linear probes read the labels
and are thrown away. Lessons never say which response is better (see `miniature.lessons`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireward.miniature.lessons import Lesson
from omnireward.reward_model import Encoded, RewardModel

Tick = Callable[[str, float], None]
ASKED = "asked"
BATCH = 32  # lessons, or media, in a step
TOWERS_PEAK, LANGUAGE_PEAK = 2e-3, 2e-3  # learning rates


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
    encoded: list[Encoded] = []
    for lesson in lessons:
        encoded.append(model.encode(lesson.comparison, "a"))
        tick("prepare", 0.0)
    media = [one for each in encoded for one in each.media]
    about_media = [labels for lesson in lessons for labels in lesson.media]

    def see(picked: Sequence[int]) -> Tensor:
        return torch.stack([each.mean(0) for each in model.backbone.encode_media([media[i] for i in picked])])

    def read(picked: Sequence[int]) -> Tensor:
        return model.hidden([encoded[i] for i in picked])

    _fit(model, see, Labels.of(about_media), towers, TOWERS_PEAK, seed, lambda loss: tick("towers", loss))
    model.freeze(model.towers)
    about_all = [{**lesson.labels, ASKED: lesson.asked} for lesson in lessons]
    _fit(model, read, Labels.of(about_all), language, LANGUAGE_PEAK, seed, lambda loss: tick("language", loss))


def _fit(
    model: RewardModel,
    read: Callable[[Sequence[int]], Tensor],
    labels: Labels,
    steps: int,
    peak: float,
    seed: int,
    tick: Callable[[float], None],
) -> None:
    """Minimise the binary cross-entropy of the labels known of each lesson, read by a linear probe."""
    torch.manual_seed(seed)
    probe = nn.Linear(model.backbone.hidden_size, labels.wanted.shape[1])
    learning = [p for p in model.backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW([*learning, *probe.parameters()], lr=peak, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps + 1, pct_start=0.1)
    model.train()
    for step in range(steps):
        picked = torch.randint(len(labels.wanted), (BATCH,))
        loss = _loss(probe(read(picked.tolist())), labels, picked, step / steps)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        tick(loss.item())


def _loss(said: Tensor, labels: Labels, picked: Tensor, progress: float) -> Tensor:
    """Mean cross-entropy of all labels but the asked one, plus the asked one's, whose weight rises from 0 to 1.

    How much there is of what a criterion names cannot be learned before criterion and content are read at all.
    """
    wanted, known = labels.wanted[picked], labels.known[picked]
    if ASKED not in labels.names:
        return F.binary_cross_entropy_with_logits(said[known], wanted[known])
    asked = labels.names.index(ASKED)
    others = known.clone()
    others[:, asked] = False
    loss = F.binary_cross_entropy_with_logits(said[others], wanted[others])
    weight = 0.0 * progress
    return loss + weight * F.binary_cross_entropy_with_logits(said[:, asked], wanted[:, asked])
