"""Rewards of N responses to one prompt: packed (ours) against one by one and against a padded batch.

Run from the project's root:  OMP_NUM_THREADS=1 python -m perf.score_candidates

A prompt of 512 or 1,280 tokens and responses of about 110, of lognormal length, in random words. Forward only, fp32,
one thread, a language model of Qwen2's shape: hidden 512, 6 layers. Neither reference computes logits: the published
way does, and would be slower still. Rewards must agree within 1e-5 before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from perf._ways import HEAD_SHARE_OF_7B, draw_row, new_model, one_by_one, peak_mib, small_config, text, whole
from perf.rounds import interleaved, last_line
from torch import Tensor

from omnireward.encoded import Encoded

# Tokens of the prompt -> responses -> rounds. 64 responses to the longer prompt take the references minutes.
CANDIDATES = {512: {2: 5, 8: 3, 16: 3, 64: 1}, 1_280: {2: 5, 8: 3, 16: 3}}
MEDIAN, SPREAD = 100, 0.4  # of the responses' tokens, and of their logarithm


def candidates(prompt: int, count: int) -> list[Encoded]:
    """Rows that begin alike."""
    draw = torch.Generator().manual_seed(count)
    shared = draw_row(prompt, draw)
    lengths = (MEDIAN * torch.exp(SPREAD * torch.randn(count, generator=draw))).int().tolist()
    return [text(torch.cat([shared, draw_row(length, draw)])) for length in lengths]


def main() -> None:
    torch.set_num_threads(1)
    model = new_model(small_config(HEAD_SHARE_OF_7B))
    model.eval()
    ratios: dict[str, float | None] = {}
    print(
        "| prompt, N responses | ours, CPU s | one by one | padded batch | one by one / ours | padded / ours "
        "| tokens in whole rows / computed | ours, peak MiB | padded |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    with torch.no_grad():
        for prompt, counts in CANDIDATES.items():
            for count, rounds in counts.items():
                rows = candidates(prompt, count)
                ways: dict[str, Callable[[], Tensor]] = {
                    "ours": partial(model.score, rows),
                    "one by one": partial(one_by_one, partial(whole, model), rows),
                    "padded": partial(whole, model, rows),
                }
                found = {name: run() for name, run in ways.items()}
                for name, rewards in found.items():
                    assert float((rewards - found["ours"]).abs().max()) <= 1e-5, name
                peaks = {name: peak_mib(ways[name]) for name in ("ours", "padded")}
                times = interleaved(ways, rounds)
                gain = {name: times[name].cpu / times["ours"].cpu for name in ("one by one", "padded")}
                tokens = sum(len(one.row.ids) for one in rows)
                share = tokens / (tokens - (count - 1) * prompt)
                print(
                    f"| {prompt:,} tokens, N = {count} | {times['ours'].cpu:.3f} | {times['one by one'].cpu:.3f} "
                    f"| {times['padded'].cpu:.3f} | {gain['one by one']:.2f} | {gain['padded']:.2f} | {share:.2f} "
                    f"| {peaks['ours']:,.0f} | {peaks['padded']:,.0f} |"
                )
                ratios |= {f"{prompt} tokens, {count} responses, {name}": ratio for name, ratio in gain.items()}
    print(last_line(ratios))


if __name__ == "__main__":
    main()
