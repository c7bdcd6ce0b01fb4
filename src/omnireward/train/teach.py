"""Teaching the towers before any preference is seen: name the attributes of made-up media.

A model trained from nothing on preferences alone hardly learns to see: the reward says which of two pictures is better,
never what is in them. The paper's base model had been taught on captions before; this stage stands in for that. Linear
probes read the attributes (`Item.labels`) from the mean of a medium's embeddings and from the backbone's last hidden
state; the probes are thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnireward.miniature.items import Item
from omnireward.miniature.world import items
from omnireward.reward_model import Encoded, RewardModel
from omnireward.types import Text, Turn

POOL = 1200  # items; each is seen several times
BATCH = 32  # items a step
PEAK = 2e-3  # learning rate


def teach(model: RewardModel, steps: int, seed: int, tick: Callable[[float], None] = lambda _loss: None) -> float:
    """Train towers and backbone on attributes for a number of steps.

    Args:
        model: its towers must not be frozen yet.
        steps: optimizer steps of BATCH items.
        seed: decides items, probes and order.
        tick: called after each step with the loss.

    Returns:
        The mean loss of the last tenth of the steps: binary cross-entropy in nats for each attribute.
    """
    pool = list(islice(items("train", seed, POOL), POOL))
    names = sorted({name for item in pool for name in item.labels})
    encoded = [model.encode_turns((Turn("user", (item.part,)), Turn("assistant", (Text("?"),)))) for item in pool]
    wanted, known = _targets(pool, names)
    torch.manual_seed(seed)
    probes = nn.ModuleList(nn.Linear(model.backbone.hidden_size, len(names)) for _ in range(2))
    optimizer = torch.optim.AdamW([*model.backbone.parameters(), *probes.parameters()], lr=PEAK, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=steps + 1, pct_start=0.1)
    losses: list[float] = []
    model.train()
    for _ in range(steps):
        picked = torch.randint(len(pool), (BATCH,))
        loss = _loss(model, probes, [encoded[i] for i in picked.tolist()], wanted[picked], known[picked])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.backbone.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        tick(losses[-1])
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


def _targets(pool: Sequence[Item], names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Labels (items, names) float32, and which of them each item has (items, names) bool."""
    wanted = torch.tensor([[item.labels.get(name, 0.0) for name in names] for item in pool])
    known = torch.tensor([[name in item.labels for name in names] for item in pool])
    return wanted, known


def _loss(
    model: RewardModel, probes: nn.ModuleList, encoded: Sequence[Encoded], wanted: Tensor, known: Tensor
) -> Tensor:
    media = model.backbone.encode_media([one.media[0] for one in encoded])
    pooled = torch.stack([embeddings.mean(0) for embeddings in media])
    hidden = model.backbone([one.row for one in encoded], [[m] for m in media])
    loss = torch.zeros(())
    for probe, read in zip(probes, (pooled, hidden), strict=True):
        loss = loss + F.binary_cross_entropy_with_logits(probe(read)[known], wanted[known])
    return loss / 2
