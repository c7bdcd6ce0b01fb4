"""What GRPO computes most: log-probabilities with their gradients, and writing, of 8 questions x 6 answers.

Run from the project's root:  OMP_NUM_THREADS=1 python -m perf.grpo_pass

Three ways of the log-probabilities, of the same Qwen2.5-VL with random weights. `ours` packs: instructions, question
and media are computed once for all answers, and each picture is encoded once. `padded` is the same policy with packing
off: whole rows, padded; pictures still once. `reference` is TRL's way with transformers' own class: questions padded
on the left and answers on the right, rows and their pixels repeated for each answer, logits of answers' tokens alone.
All must agree within 1e-4, and their gradients within 1e-4 of their norm, before anything is timed. Nothing is kept of
pictures from step to step, the vision tower is frozen, fp32, one thread, no way uses gradient checkpointing.

Writing draws 6 answers of 48 tokens to each question. `ours` reads each question once; `reference` is `generate()` with
rows and pixels repeated. What they write without chance must be the same before anything is timed.

Questions are the judge's own, in words of which each is a token or a few, as in published vocabularies. The vocabulary
itself is small, so the head, whose work is the same in all ways, weighs less than in a published model.
Ratios are medians over rounds in which each way runs once; beside them the smallest and the largest. Memory is the
process's own at its highest, less what it holds before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from perf._ways import peak_mib
from perf.rounds import Times, interleaved, last_line
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import Qwen2_5_VLForConditionalGeneration

from omnireward.backbones._qwen_pictures import patches
from omnireward.backbones._qwen_preprocessing import CLIP_MEAN, CLIP_STD, Pixels, VisionPreprocessing
from omnireward.backbones._qwen_tiny import TEXT_2_5, VISION_2_5
from omnireward.backbones.qwen2_5_vl import Qwen25VL
from omnireward.encoded import Encoded
from omnireward.media import encode
from omnireward.policy import Policy
from omnireward.prompts import Form, questions
from omnireward.speaking import speak
from omnireward.types import Comparison, Media, Text, Turn

QUESTIONS, ANSWERS, WRITTEN = 8, 6, 48
ROUNDS, ROUNDS_OF_WRITING = 3, 3
FORM = Form("pairwise", critique=True, ties=True)
IMAGE = "<|image_pad|>"


def new_policy() -> Policy:
    """Hidden 128 and 3 layers, a vision tower of hidden 64 and 2 layers; pictures of 64 embeddings."""
    config = TEXT_2_5 | {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "intermediate_size": 512,
        "model_type": "qwen2_5_vl",
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "tie_word_embeddings": False,
        "vision_config": VISION_2_5 | {"model_type": "qwen2_5_vl", "tokens_per_second": 2},
    }
    square = 28 * 28
    small = VisionPreprocessing(
        image=Pixels(4 * square, 64 * square),
        video=Pixels(square, 4 * square),
        mean=CLIP_MEAN,
        std=CLIP_STD,
        patch_size=14,
        frames=4,
        views=3,
        view_size=56,
    )
    parts = (part for one in comparisons() for turn in asked_turns(one) for part in turn.content)
    words = [f" {word}" for part in parts if isinstance(part, Text) for word in part.text.split()]
    backbone = Qwen25VL.made(words, 0, config, small)  # of whole texts, lines that they share would become tokens
    return Policy.new(backbone, "qwen2_5_vl", 0, FORM).eval()


def comparisons() -> list[Comparison]:
    """Two pictures to a wish, under a criterion."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(QUESTIONS):
        a, b = (Media("image", encode.png(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8))) for _ in range(2))
        wish = Text(f"A red dot on a white sheet, number {number}." + " It should be large." * (number % 4))
        made.append(Comparison((Turn("user", (wish,)),), (a,), (b,), "The dot should be round."))
    return made


def asked_turns(comparison: Comparison) -> tuple[Turn, ...]:
    """What the judge is asked."""
    return questions(comparison, FORM)[0].turns


@dataclass(frozen=True, slots=True)
class Step:
    """Rows of a step: each question as often as it has answers, and how much each log-probability counts."""

    asked: list[Encoded]
    answers: list[Tensor]
    weights: Tensor


def new_step(policy: Policy) -> Step:
    """Random answers of 40 to 100 tokens. Encoded while the tower is not frozen, so that pixels are not dropped."""
    draw = torch.Generator().manual_seed(0)
    each = [policy.ask_turns(asked_turns(one)) for one in comparisons()]
    policy.freeze(policy.towers)
    lengths = torch.randint(40, 101, (QUESTIONS * ANSWERS,), generator=draw).tolist()
    most = policy.backbone.tokenizer.vocab_size - 20  # words come before special tokens
    answers = [torch.randint(0, most, (length,), generator=draw) for length in lengths]
    asked = [one for one in each for _ in range(ANSWERS)]
    return Step(asked, answers, torch.randn(sum(lengths), generator=draw))


def ours(policy: Policy, step: Step, packing: bool) -> Tensor:
    """(tokens,) log-probabilities."""
    policy.features.embeddings.clear()
    policy.packing = packing
    logps: Tensor = policy(step.asked, step.answers).logps
    return logps


def reference(model: Any, policy: Policy, step: Step) -> Tensor:
    """The same by transformers' class, as TRL calls it."""
    longest = max(map(len, step.answers))
    given = repeated(policy, step.asked)
    ids = torch.cat((given["input_ids"], pad_sequence(step.answers, batch_first=True)), dim=1)
    said = torch.stack([torch.arange(longest) < len(answer) for answer in step.answers])
    given |= {"input_ids": ids, "attention_mask": torch.cat((given["attention_mask"], said.long()), dim=1)}
    given["mm_token_type_ids"] = torch.nn.functional.pad(given["mm_token_type_ids"], (0, longest))
    logits = model(**given, logits_to_keep=longest + 1).logits[:, :-1].float()
    every = torch.log_softmax(logits.index_fill(-1, policy.silent, -1e30), dim=-1)
    return every.gather(-1, ids[:, -longest:].unsqueeze(-1)).squeeze(-1)[said]


def repeated(policy: Policy, asked: Sequence[Encoded]) -> dict[str, Tensor]:
    """Questions as transformers' class takes them: padded on the left, pixels for each row."""
    rows = [one.row.ids for one in asked]
    ids = pad_sequence([row.flip(0) for row in rows], batch_first=True, padding_value=policy.end).flip(1)
    mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True).flip(1)
    backbone = cast(Qwen25VL, policy.backbone)
    shown = [medium for one in asked for medium in one.media]
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "mm_token_type_ids": (ids == policy.backbone.tokenizer.control[IMAGE]).int(),
        "pixel_values": torch.cat([patches(each, backbone.preprocessing) for m in shown for each in m.inputs or ()]),
        "image_grid_thw": torch.tensor([(1, *medium.sizes[0]) for medium in shown]),
    }


def learn(way: Callable[[], Tensor], weights: Tensor) -> None:
    """Forward, and gradients of a weighted sum."""
    torch.autograd.backward((way() * weights).sum())


def write_ours(policy: Policy, asked: Sequence[Encoded], temperature: float) -> list[list[int]]:
    """Ids of all answers."""
    policy.features.embeddings.clear()
    which = [number for number in range(len(asked)) for _ in range(ANSWERS)]
    said = speak(policy, asked, which, range(len(which)), temperature=temperature, max_tokens=WRITTEN)
    return [list(one.ids) for one in said]


def write_reference(model: Any, policy: Policy, asked: Sequence[Encoded], temperature: float) -> list[list[int]]:
    """The same by generate()."""
    given = repeated(policy, [one for one in asked for _ in range(ANSWERS)])
    chance = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    written = model.generate(
        **given,
        **chance,
        min_new_tokens=WRITTEN,
        max_new_tokens=WRITTEN,
        suppress_tokens=policy.silent.tolist(),
        eos_token_id=None,
        pad_token_id=policy.end,
    )
    return cast("list[list[int]]", written[:, given["input_ids"].shape[1] :].tolist())


def check(policy: Policy, model: Any, ways: Mapping[str, Callable[[], Tensor]], weights: Tensor) -> None:
    """All ways give the same log-probabilities and the same gradients of the layers."""
    found = {}
    for name, way in ways.items():
        policy.zero_grad()
        model.zero_grad()
        logps = way()
        torch.autograd.backward((logps * weights).sum())
        layers = cast(Any, policy.backbone.decoder).layers if name != "reference" else model.model.language_model.layers
        found[name] = logps.detach(), torch.cat([p.grad.flatten() for p in layers.parameters() if p.grad is not None])
    logps, gradient = found.pop("ours")
    for name, (others, other) in found.items():
        off, turned = float((others - logps).abs().max()), float((other - gradient).norm() / gradient.norm())
        assert off <= 1e-4, (name, off)
        assert turned <= 1e-4, (name, turned)


def compared(what: str, ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float | None]:
    """Print a line for each way but ours; ratios by name."""
    peaks = {name: peak_mib(run) for name, run in ways.items()}
    names = list(ways)
    taken: list[dict[str, Times]] = []
    for number in range(rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        taken.append(interleaved({name: ways[name] for name in order}, 1))
    found: dict[str, float | None] = {}
    for way in names[1:]:
        ratios = [one[way].cpu / one["ours"].cpu for one in taken]
        wall = median(one[way].wall / one["ours"].wall for one in taken)
        seconds = (median(one[name].cpu for one in taken) for name in ("ours", way))
        print(
            f"| {what}, {way} | {' | '.join(f'{each:.2f}' for each in seconds)} | **{median(ratios):.2f}** "
            f"| {min(ratios):.2f} to {max(ratios):.2f} | {wall:.2f} | {peaks['ours']:,.0f} | {peaks[way]:,.0f} |"
        )
        found |= {f"{what}, time, {way}": median(ratios), f"{what}, memory, {way}": peaks[way] / peaks["ours"]}
    return found


def main() -> None:
    torch.set_num_threads(1)
    policy = new_policy()
    with TemporaryDirectory() as folder:
        policy.save(Path(folder))
        model: Any = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.train(False)
    model.model.visual.requires_grad_(False)
    step = new_step(policy)
    ways = {
        "ours": partial(ours, policy, step, packing=True),
        "padded": partial(ours, policy, step, packing=False),
        "reference": partial(reference, model, policy, step),
    }
    check(policy, model, ways, step.weights)  # leaves gradients: they are there in all steps but the first
    asked = step.asked[::ANSWERS]
    policy.ends = ()  # all write as much
    assert write_ours(policy, asked, 0.0) == write_reference(model, policy, asked, 0.0)
    tokens = sum(len(one.row.ids) + len(answer) for one, answer in zip(step.asked, step.answers, strict=True))
    print(f"Questions of {len(asked[0].row.ids):,} tokens and more; {tokens:,} tokens in whole rows.\n")
    print(
        "| what, against which way | ours, CPU s | the other, CPU s | ratio (CPU) | smallest to largest | (wall) "
        "| ours, peak MiB | the other |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    learning = {name: partial(learn, way, step.weights) for name, way in ways.items()}
    ratios = compared("log-probabilities and gradients", learning, ROUNDS)
    writing = {
        "ours": partial(write_ours, policy, asked, 1.0),
        "reference": partial(write_reference, model, policy, asked, 1.0),
    }
    ratios |= compared("writing", writing, ROUNDS_OF_WRITING)
    print(last_line(ratios))


if __name__ == "__main__":
    main()
