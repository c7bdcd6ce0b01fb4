"""How time and memory of packed passes grow: with short responses to a prompt, with pairs, with the length of a row.

Run from the project's root:  OMP_NUM_THREADS=1 python -m perf.scaling

Each series doubles one size and fits time = constant x size^exponent by least squares on logarithms; the size is the
number of tokens that are computed. 1 is linear. One row alone is the series that cannot be linear: its attention grows
with the square. The language model has Qwen2's shape: hidden 512, 6 layers; fp32, one thread; `step` is forward and
backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from perf._ways import HEAD_SHARE_OF_7B, draw_row, new_model, ours, peak_mib, small_config, text
from perf.rounds import interleaved, last_line

from omnireward.encoded import Encoded, keys_of
from omnireward.packing import plan
from omnireward.reward_model import RewardModel

ROUNDS = 3
PROMPT, RESPONSE = 256, 64  # tokens, of the series with short responses


def responses(count: int) -> list[Encoded]:
    """Short responses to one prompt."""
    draw = torch.Generator().manual_seed(count)
    prompt = draw_row(PROMPT, draw)
    return [text(torch.cat([prompt, draw_row(RESPONSE, draw)])) for _ in range(count)]


def pairs(count: int) -> list[Encoded]:
    """Pairs, each with a prompt of its own."""
    draw = torch.Generator().manual_seed(count)
    prompts = [draw_row(PROMPT, draw) for _ in range(count)]
    return [text(torch.cat([prompt, draw_row(RESPONSE, draw)])) for prompt in prompts for _ in range(2)]


def alone(length: int) -> list[Encoded]:
    """One long row."""
    return [text(draw_row(length, torch.Generator().manual_seed(length)))]


def score(model: RewardModel, rows: Sequence[Encoded]) -> None:
    """Forward only."""
    with torch.no_grad():
        ours(model, rows)


def step(model: RewardModel, rows: Sequence[Encoded]) -> None:
    """Forward and backward."""
    torch.autograd.backward(ours(model, rows).sum())


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log(value) over log(size)."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def main() -> None:
    torch.set_num_threads(1)
    model = new_model(small_config(HEAD_SHARE_OF_7B))
    counts = (8, 16, 32, 64, 128)  # of 64 tokens: up to 8,192 and the prompt
    series: list[tuple[str, Callable[[RewardModel, Sequence[Encoded]], None], list[list[Encoded]]]] = [
        ("score N responses", score, [responses(n) for n in counts]),
        ("step of N responses", step, [responses(n) for n in counts[:4]]),
        ("step of N pairs", step, [pairs(n) for n in (2, 4, 8, 16)]),
        ("score one row", score, [alone(n) for n in (1_024, 2_048, 4_096, 8_192)]),
    ]
    ratios: dict[str, float | None] = {}
    print("| series | tokens | CPU s | peak MiB | exponent of time | of memory |\n|---|---|---|---|--:|--:|")
    for name, run, rows in series:
        sizes = [len(plan(keys_of(each)).rows) for each in rows]
        ways = {str(size): partial(run, model, each) for size, each in zip(sizes, rows, strict=True)}
        model.zero_grad(set_to_none=False)
        peaks = [peak_mib(way) for way in ways.values()]  # each runs once, which warms up too
        taken = [times.cpu for times in interleaved(ways, ROUNDS).values()]
        time, memory = exponent(sizes, taken), exponent(sizes, peaks)
        ratios |= {f"{name}, time": time, f"{name}, memory": memory}
        said = (
            ", ".join(f"{value:{form}}" for value in values)
            for values, form in ((sizes, ","), (taken, ".2f"), (peaks, ",.0f"))
        )
        print(f"| {name} | {' | '.join(said)} | {time:.2f} | {memory:.2f} |")
    print(last_line(ratios))


if __name__ == "__main__":
    main()
