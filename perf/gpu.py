"""A GPU in bfloat16, the published 7 B shape with random weights: Bradley-Terry steps and scoring, three ways.

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.gpu

`ours` packs all pairs of a pass. `whole` pads their rows, without logits. `reference` is the published trainer's way:
one pair at a time, logits of every token in fp32. No way uses gradient checkpointing. A step is forward and backward;
the optimizer's part is the same for all and left out, because its state does not fit beside the weights on one card.

Before that, rewards and gradients of a tiny model in bfloat16 are held against those of the same weights in fp32 on the
CPU: packed ones must not be farther off than those of whole rows.

A share of peak is 6 (a step) or 2 (scoring) operations for each parameter of the decoder's layers and each token that
differs, over the rate of a plain matrix product measured here. It counts the same work for all ways: what a way
computes twice or for nobody does not raise its share. Takes about 70 GiB of GPU memory and five minutes. Without a CUDA
device it says so and measures nothing.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
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
    reference,
    small_config,
    text,
    whole,
)
from perf.rounds import Times, interleaved, last_line
from torch import Tensor, nn

from omnireward.backbones._minicpm_o_config import AudioConfig, LanguageConfig, MiniCPMOConfig, VisionConfig
from omnireward.encoded import Encoded, keys_of
from omnireward.media import encode
from omnireward.packing import plan
from omnireward.reward_model import RewardModel
from omnireward.train.losses import bradley_terry
from omnireward.types import Media, Text, Turn

ROUNDS = 5
Way = Callable[[Sequence[Encoded]], Tensor]


@dataclass(frozen=True, slots=True)
class Load:
    """Pairs of rows that a step takes, or responses to one prompt that are scored."""

    name: str
    rows: list[Encoded]
    train: bool

    @property
    def different(self) -> int:
        """Tokens that differ: what packing computes."""
        return len(plan(keys_of(self.rows)).rows)


def published_config() -> MiniCPMOConfig:
    """MiniCPM-o-2.6: 28 layers of 3,584, SigLIP with 26 layers of 1,152, Whisper-medium's encoder."""
    return MiniCPMOConfig(
        language=LanguageConfig(
            vocab_size=PUBLISHED,
            hidden_size=3_584,
            intermediate_size=18_944,
            num_hidden_layers=28,
            num_attention_heads=28,
            num_key_value_heads=4,
            rope_theta=1_000_000.0,
        ),
        vision=VisionConfig(hidden_size=1_152, intermediate_size=4_304, num_hidden_layers=27, num_attention_heads=16),
        audio=AudioConfig(d_model=1_024, encoder_layers=24, encoder_attention_heads=16, encoder_ffn_dim=4_096),
        drop_vision_last_layer=True,
    )


def loads(model: RewardModel) -> list[Load]:
    """Four pairs of texts at three ratios of prompt to response, four of pictures, and 16 answers to a long prompt."""
    draw = torch.Generator().manual_seed(0)

    def rows(count: int, prompt: int, response: int) -> list[Encoded]:
        shared = draw_row(prompt, draw)
        return [text(torch.cat([shared, draw_row(response, draw)])) for _ in range(count)]

    made = [
        Load(f"step, 4 pairs of texts, {p:,} + 2 x {r}", [row for _ in range(4) for row in rows(2, p, r)], train=True)
        for p, r in ((200, 400), (512, 128), (1_280, 128))
    ]
    pictures = [row for number in range(4) for row in _about_a_picture(model, number)]
    made.append(Load("step, 4 pairs of texts about a picture", pictures, train=True))
    made += [Load(f"score {n} responses, 1,280 + {n} x 128", rows(n, 1_280, 128), train=False) for n in (2, 16)]
    return made


def _about_a_picture(model: RewardModel, number: int) -> list[Encoded]:
    """Two answers of about 200 tokens about a picture of 448 x 448 pixels, which is decoded and not encoded."""
    drawn = np.random.default_rng(number).integers(0, 256, (14, 14, 3), dtype=np.uint8)
    picture = Media("image", encode.png(np.kron(drawn, np.ones((32, 32, 1), np.uint8))))
    draw = torch.Generator().manual_seed(number)
    backbone = backbone_of(model)
    prepared = (backbone.prepare(picture),)
    made = []
    for _ in range(2):
        answer = Text(" ".join(str(int(word)) for word in draw_row(50, draw)))
        turns = (Turn("user", (picture, Text("What do you see?"))), Turn("assistant", (answer,)))
        made.append(Encoded(backbone.tokenize(turns, prepared), prepared, (picture.digest(),)))
    return made


def run(model: RewardModel, way: Way, at_once: int, load: Load) -> Tensor:
    """Rewards of a load, `at_once` rows in a pass, with the gradients of equation 1 where it is a step.

    Waits for the device.
    """
    passes = [load.rows[start : start + at_once] for start in range(0, len(load.rows), at_once)]
    found = []
    with torch.set_grad_enabled(load.train):
        for rows in passes:
            rewards = way(rows)
            if load.train:
                torch.autograd.backward(bradley_terry(rewards[::2], rewards[1::2]) / len(passes))
            found.append(rewards.detach())
    if model.head.weight.is_cuda:
        torch.cuda.synchronize(model.head.weight.device)
    return torch.cat(found)


def measure(model: RewardModel, lm_head: nn.Linear, load: Load, peak: float) -> dict[str, float | None]:
    """Print a line for each way; ratios of the load."""
    ways: dict[str, Callable[[], Tensor]] = {
        "ours": partial(run, model, partial(ours, model), len(load.rows), load),
        "whole": partial(run, model, partial(whole, model), len(load.rows), load),
        "reference": partial(run, model, partial(reference, model, lm_head), 2 if load.train else 1, load),
    }
    model.zero_grad(set_to_none=False)
    memory = {name: _memory(way) for name, way in ways.items()}  # warms up too
    times = interleaved(ways, ROUNDS)
    decoder = backbone_of(model).decoder.layers
    operations = (6 if load.train else 2) * sum(p.numel() for p in decoder.parameters()) * load.different
    for name, taken in times.items():
        print(_line(load, name, taken, operations / taken.wall / peak, memory[name]))
    return {f"{load.name}, {way}": times[way].wall / times["ours"].wall for way in ("whole", "reference")}


def _line(load: Load, way: str, taken: Times, share: float, memory: float) -> str:
    what, count = ("pairs", len(load.rows) // 2) if load.train else ("responses", len(load.rows))
    rates = f"{count / taken.wall:.2f} {what} | {load.different / taken.wall:,.0f}"
    return f"| {load.name} | {way} | {taken.wall:.3f} | {rates} | {share:.2f} | {memory:.1f} |"


def _memory(once: Callable[[], object]) -> float:
    """GiB that were allocated at most in one run, weights and gradients included; 0 where there is no CUDA device."""
    if not torch.cuda.is_available():
        once()
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    once()
    return torch.cuda.max_memory_allocated() / 2**30


def matrix_rate(device: str, size: int) -> float:
    """Operations a second of a product of square matrices in bfloat16."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for repeats in (3, 20):  # the first is to warm up
        start = time.perf_counter()
        for _ in range(repeats):
            torch.mm(one, other)
        if device == "cuda":
            torch.cuda.synchronize()
    return 20 * 2 * size**3 / (time.perf_counter() - start)


def rounding(device: str) -> dict[str, float]:
    """How far rewards and gradients in bfloat16 are from those of the same weights in fp32 on the CPU, as a share."""
    rounded = new_model(small_config(HEAD_SHARE_OF_7B), device, torch.bfloat16)
    exact = copy.deepcopy(rounded).cpu().float()
    load = Load("", [row for number in range(2) for row in _about_a_picture(exact, number)], train=True)

    def both(model: RewardModel, way: Callable[[RewardModel, Sequence[Encoded]], Tensor]) -> tuple[Tensor, Tensor]:
        rewards = run(model, partial(way, model), len(load.rows), load).cpu()
        gradient = torch.cat([p.grad.float().flatten().cpu() for p in model.parameters() if p.grad is not None])
        model.zero_grad()
        return rewards, gradient

    truth = both(exact, whole)
    off = {}
    for name, way in (("packed", ours), ("whole rows", whole)):
        found = both(rounded, way)
        for what, one, other in zip(("rewards", "gradients"), found, truth, strict=True):
            assert one.isfinite().all(), (name, what)
            off[f"{what}, {name}"] = float((one - other).norm() / other.norm())
    return off


def everything(device: str, config: MiniCPMOConfig, size: int) -> None:
    """Print all tables. Arguments other than the published ones are for trying the script where there is no GPU."""
    off = rounding(device)
    print("distance from fp32, as a share: " + "; ".join(f"{what} {share:.4f}" for what, share in off.items()))
    assert off["gradients, packed"] <= 1.1 * off["gradients, whole rows"], off
    peak = matrix_rate(device, size)
    print(f"a product of matrices of {size:,}: {peak / 1e12:,.1f} TFLOP/s\n")
    model = new_model(config, device, torch.bfloat16)
    lm_head = new_lm_head(model)
    print("| load | way | s | a second | tokens that differ, a second | share of peak | peak GiB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    ratios: dict[str, float | None] = {}
    for load in loads(model):
        ratios |= measure(model, lm_head, load, peak)
    print(last_line(ratios))


def main() -> None:
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        print("no CUDA device: not measured")
        print(last_line({}))
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bfloat16\n")
    everything("cuda", published_config(), 8_192)


if __name__ == "__main__":
    main()
