"""A training step of one pair: packed (ours) against rows whole and padded, with vocabulary logits and without.

Run from the project's root:  OMP_NUM_THREADS=1 python -m perf.train_pairs

Two references. `reference` is the published trainer's way: both rows whole, logits of all tokens in fp32, all hidden
states kept. `whole` is that of a sequence classifier: the same rows without logits. No way uses gradient checkpointing.
Forward and backward in fp32 on one thread, frozen towers, weights and pairs made up here. Rewards and gradients must
agree before anything is timed. Media are decoded beforehand and their embeddings are not kept from step to step: each
way runs the vision tower as often as it needs in one step. What keeping them brings is in perf.feature_cache.

Memory is the process's own at its highest in a step, less what it holds before; gradients are there already, as in all
steps but the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from perf._ways import (
    HEAD_SHARE_OF_7B,
    PUBLISHED,
    backbone_of,
    draw_row,
    new_lm_head,
    new_model,
    ours,
    peak_mib,
    reference,
    small_config,
    text,
    whole,
)
from perf.rounds import Times, interleaved, last_line
from torch import Tensor

from omnireward.encoded import Encoded
from omnireward.media import encode
from omnireward.reward_model import RewardModel
from omnireward.train.losses import bradley_terry
from omnireward.types import Media, Part, Text, Turn

ROUNDS = {HEAD_SHARE_OF_7B: 5, PUBLISHED: 2}
RESPONSE = 128  # tokens
RATIOS = {"1:1": 128, "4:1": 512, "10:1": 1_280}  # tokens of the prompt to those of each response


@dataclass(frozen=True, slots=True)
class Pair:
    """The chosen and the rejected row; `name` is that of its ratios."""

    name: str
    rows: tuple[Encoded, Encoded]

    @property
    def tokens(self) -> int:
        return sum(len(one.row.ids) for one in self.rows)


def texts() -> list[Pair]:
    """A prompt with two responses, in random words."""
    draw = torch.Generator().manual_seed(0)
    pairs = []
    for name, length in RATIOS.items():
        prompt = draw_row(length, draw)
        a, b = (text(torch.cat([prompt, draw_row(RESPONSE, draw)])) for _ in range(2))
        pairs.append(Pair(name, (a, b)))
    return pairs


def with_media(model: RewardModel) -> list[Pair]:
    """A picture or ten frames in the prompt with two answers in words, and two pictures as responses."""
    draw = torch.Generator().manual_seed(1)
    asked, a, b = (Text(" ".join(str(int(number)) for number in draw_row(count, draw))) for count in (30, 30, 30))
    drawn = np.random.default_rng(0).integers(0, 256, (12, 14, 14, 3), dtype=np.uint8)
    big = np.kron(drawn, np.ones((1, 32, 32, 1), np.uint8))  # 448 x 448: one view
    first, second = Media("image", encode.png(big[0])), Media("image", encode.png(big[1]))
    clip = Media("video", tuple(encode.png(frame) for frame in big[2:]))
    cases: list[tuple[str, tuple[Part, ...], tuple[Part, ...], tuple[Part, ...]]] = [
        ("TI2T", (first, asked), (a,), (b,)),
        ("TV2T", (clip, asked), (a,), (b,)),
        ("T2I", (asked,), (first,), (second,)),
    ]
    pairs = []
    for name, prompt, *responses in cases:
        one, other = (_encoded(model, (Turn("user", prompt), Turn("assistant", response))) for response in responses)
        pairs.append(Pair(name, (one, other)))
    return pairs


def _encoded(model: RewardModel, turns: Sequence[Turn]) -> Encoded:
    """A row whose media are decoded, and not encoded."""
    backbone = backbone_of(model)
    media = [part for turn in turns for part in turn.content if isinstance(part, Media)]
    prepared = tuple(backbone.prepare(medium) for medium in media)
    return Encoded(backbone.tokenize(turns, prepared), prepared, tuple(medium.digest() for medium in media))


def step(way: Callable[[Sequence[Encoded]], Tensor], pair: Pair) -> None:
    """Forward, and the gradients of equation 1 in the parameters."""
    rewards = way(pair.rows)
    torch.autograd.backward(bradley_terry(rewards[:1], rewards[1:]))


def check(model: RewardModel, ways: Mapping[str, Callable[[Sequence[Encoded]], Tensor]], pair: Pair) -> None:
    """Every way gives ours' rewards within 1e-5, and its gradients within 1e-5 of their norm.

    Gradients of a sum with unequal weights: those of a difference of like rewards are themselves differences of like
    numbers, and what fp32 leaves of them is farther off than that in every way.
    """
    found = {}
    for name, way in ways.items():
        model.zero_grad()
        rewards = way(pair.rows)
        torch.autograd.backward(rewards[0] + 0.5 * rewards[1])
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found[name] = rewards.detach(), gradient
    rewards, gradient = found.pop("ours")
    for name, (others, other) in found.items():
        off, turned = float((others - rewards).abs().max()), float((other - gradient).norm() / gradient.norm())
        assert off <= 1e-5, (name, off)
        assert turned <= 1e-5, (name, turned)


def measure(model: RewardModel, pairs: Sequence[Pair], vocabulary: int) -> dict[str, float | None]:
    """Print a line for each pair; ratios by name."""
    lm_head = new_lm_head(model)
    ratios: dict[str, float | None] = {}
    for pair in pairs:
        forward: dict[str, Callable[[Sequence[Encoded]], Tensor]] = {
            "ours": partial(ours, model),
            "whole": partial(whole, model),
            "reference": partial(reference, model, lm_head),
        }
        check(model, forward, pair)  # leaves gradients: they are there in all steps but the first
        ways = {name: partial(step, way, pair) for name, way in forward.items()}
        peaks = {name: peak_mib(run) for name, run in ways.items()}
        times = interleaved(ways, ROUNDS[vocabulary])
        name = f"{pair.name}, vocabulary {vocabulary:,}"
        ratios |= {
            f"{name}, {'time' if what == 'cpu' else what}, {way}": ratio
            for way in ("reference", "whole")
            for what, ratio in (("cpu", times[way].cpu / times["ours"].cpu), ("memory", peaks[way] / peaks["ours"]))
        }
        print(_line(f"{name}: {pair.tokens:,} tokens in whole rows", times, peaks))
    return ratios


def _line(what: str, times: dict[str, Times], peaks: dict[str, float]) -> str:
    order = ("ours", "whole", "reference")
    taken = " | ".join(f"{times[way].cpu:.3f}" for way in order)
    gains = " | ".join(f"{times[way].cpu / times['ours'].cpu:.2f}" for way in order[1:])
    walls = f"{times['reference'].wall / times['ours'].wall:.2f}"
    memory = " | ".join(f"{peaks[way]:,.0f}" for way in order)
    return f"| {what} | {taken} | {gains} | {walls} | {memory} |"


def main() -> None:
    torch.set_num_threads(1)
    ratios: dict[str, float | None] = {}
    print(
        "| pair | ours, CPU s | whole | reference | whole / ours | reference / ours | (wall) "
        "| ours, peak MiB | whole | reference |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for vocabulary in (HEAD_SHARE_OF_7B, PUBLISHED):
        model = new_model(small_config(vocabulary))
        pairs = texts() + (with_media(model) if vocabulary == HEAD_SHARE_OF_7B else [])
        ratios |= measure(model, pairs, vocabulary)
    print(last_line(ratios))


if __name__ == "__main__":
    main()
