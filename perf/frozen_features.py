"""An epoch of Bradley-Terry training on media: embeddings of frozen towers kept (ours) against encoding them each time.

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.frozen_features

The tiny model, in fp32, on one thread. 24 pairs of pictures, sounds and clips, made up here, each asked about under
three criteria: 72 samples, one pair in a pass, an optimizer step for each. Both ways decode in this process, so that
decoding counts. The reference way forgets the embeddings before each step, as a trainer does that decodes and encodes
inside its forward pass. Only the first epoch fills the cache; with three criteria for a pair it gains too. Both ways
must give the same loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from perf.rounds import interleaved, table_head, table_row

from omnireward.backbones.minicpm_o import tiny
from omnireward.media import decode, encode
from omnireward.reward_model import RewardModel
from omnireward.train.losses import bradley_terry
from omnireward.types import Comparison, Media, Text, Turn

ROUNDS = 3
CRITERIA = ("", "Prefer what is brighter or louder.", "Prefer what is calmer.")
PAIRS_OF_A_KIND = 8


def medium(kind: str, seed: int) -> Media:
    """A picture of 512 x 384 pixels, two seconds of sound, or two seconds of 256 x 192 pixels at 12 fps."""
    rng = np.random.default_rng(seed)
    if kind == "image":
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        return Media("image", encode.png(np.kron(coarse, np.ones((32, 32, 1), np.uint8))))
    if kind == "audio":
        return Media("audio", encode.wav((0.1 * rng.standard_normal(32_000)).astype(np.float32), 16_000))
    coarse = rng.integers(0, 256, (24, 6, 8, 3), dtype=np.uint8)
    return Media("video", encode.mp4(np.kron(coarse, np.ones((1, 32, 32, 1), np.uint8)), 12))


def comparisons() -> list[Comparison]:
    """Each pair under each criterion; the first response is the preferred one."""
    pairs = [
        (medium(kind, 2 * number), medium(kind, 2 * number + 1))
        for kind in ("image", "audio", "video")
        for number in range(PAIRS_OF_A_KIND)
    ]
    prompt = (Turn("user", (Text("Make something."),)),)
    return [Comparison(prompt, (a,), (b,), criterion) for criterion in CRITERIA for a, b in pairs]


def new_model() -> RewardModel:
    """Always the same weights; towers frozen; media decoded in this process."""
    torch.manual_seed(0)
    backbone = tiny(["Make something.", *CRITERIA], seed=0)
    backbone.decode = partial(decode, options=backbone.preprocessing.decoding())
    model = RewardModel(backbone, "minicpm_o", "natural")
    model.freeze(["vision", "audio"])
    return model


def epoch(model: RewardModel, samples: list[Comparison], *, keep: bool) -> float:
    """One step for each sample; the mean loss."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    losses = []
    for sample in samples:
        if not keep:
            model.features.clear()
        rewards = model([model.encode(sample, "a"), model.encode(sample, "b")])
        loss = bradley_terry(rewards[:1], rewards[1:])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def first_epoch(model: RewardModel, samples: list[Comparison]) -> float:
    """From an empty cache."""
    model.features.clear()
    return epoch(model, samples, keep=True)


def main() -> None:
    torch.set_num_threads(1)
    samples = comparisons()
    first, later, anew = new_model(), new_model(), new_model()
    losses = {epoch(first, samples, keep=True), epoch(later, samples, keep=True), epoch(anew, samples, keep=False)}
    assert max(losses) - min(losses) < 1e-6, losses
    ways: dict[str, Callable[[], object]] = {
        "first": partial(first_epoch, first, samples),
        "later": partial(epoch, later, samples, keep=True),
        "anew": partial(epoch, anew, samples, keep=False),
    }
    times = interleaved(ways, ROUNDS)
    print(table_head())
    print(table_row(f"first epoch over {len(samples)} media samples, tiny model", times["first"], times["anew"]))
    print(table_row("a later epoch", times["later"], times["anew"]))


if __name__ == "__main__":
    main()
