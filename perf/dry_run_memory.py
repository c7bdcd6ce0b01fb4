"""What `omnireward train --dry-run` says of memory, beside what a run takes: `python -m perf.dry_run_memory`.

Each shape is trained in a process of its own, for two steps of several passes, by the real trainer. On a CPU the figure
is the peak of the process's resident memory, counted from the moment before the model is made, with an allocator that
gives every large block back; on a GPU it is the peak that torch's allocator reports. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from omnireward.backbones.minicpm_o import MiniCPMO, tiny
from omnireward.encoded import Encoded
from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.train import sizes
from omnireward.train.bradley_terry import BradleyTerryTrainer
from omnireward.train.config import TrainConfig
from omnireward.train.memory import Memory, Settings, estimate
from omnireward.train.mixing import Mixture
from omnireward.types import Comparison, Sample, Task, Text, Turn

LIMIT = 0.2  # how far an estimate may be off
STEADY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Shape:
    """A language model, and the tokens of a pass: `pairs` pairs that share a prompt and have words of their own."""

    hidden: int
    intermediate: int
    number: int
    heads: int
    keys: int
    pairs: int
    prompt: int
    own: int
    checkpointing: bool = False
    bf16: bool = False
    frozen: bool = False


SHAPES = {
    "256 x 6": Shape(256, 1024, 6, 4, 2, pairs=2, prompt=200, own=150),
    "512 x 4": Shape(512, 1536, 4, 8, 2, pairs=1, prompt=400, own=300),
    "768 x 6": Shape(768, 2048, 6, 12, 4, pairs=2, prompt=0, own=160),
    "512 x 6, again": Shape(512, 2048, 6, 8, 8, pairs=1, prompt=300, own=250, checkpointing=True),
}
# bfloat16 takes minutes on a CPU without instructions for it
ON_A_GPU = {
    "1024 x 16": Shape(1024, 4096, 16, 16, 4, pairs=4, prompt=600, own=500),
    "1024 x 16, bfloat16": Shape(1024, 4096, 16, 16, 4, pairs=4, prompt=600, own=500, bf16=True),
    "2048 x 16, bfloat16, again": Shape(
        2048, 6144, 16, 16, 4, pairs=4, prompt=600, own=500, checkpointing=True, bf16=True
    ),
}


def made(shape: Shape) -> RewardModel:
    """A MiniCPM-o with a language model of that shape and tiny towers, which are frozen."""
    small = tiny(["a"], 0)
    language = replace(
        small.config.language,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.number,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.keys,
    )
    backbone = MiniCPMO(replace(small.config, language=language), small._tokenizer, small.preprocessing)
    model = RewardModel(backbone, "minicpm_o", "natural")
    if torch.cuda.is_available():
        model.cuda()
    model.freeze(model.towers)
    backbone.decoder.gradient_checkpointing = shape.checkpointing
    return model


def pair(shape: Shape, number: int) -> Sample:
    """A pair of texts; each letter is about a token of the tiny tokenizer."""
    letters = "".join(chr(97 + (number * 7 + i * i) % 26) for i in range(shape.prompt)) + str(number)
    first, second = ("".join(chr(97 + (i * k) % 26) for i in range(shape.own)) for k in (3, 5))
    comparison = Comparison((Turn("user", (Text(letters),)),), (Text(f"x{first}"),), (Text(f"y{second}"),))
    return Sample(f"{number}", Task.T2T, comparison, "a", f"{number}")


def config_of(shape: Shape, out: Path, tokens: int) -> TrainConfig:
    """Two steps of three passes."""
    return TrainConfig(
        out=out, batch_size=shape.pairs * 3, accumulation=1, steps=2, tokens_per_pass=tokens, bf16=shape.bf16
    )


def predicted(model: RewardModel, rows: Sequence[Encoded], shape: Shape) -> Memory:
    """By the formula, for a pass of these rows."""
    settings = Settings(autocast=shape.bf16, checkpointing=shape.checkpointing)
    return estimate(sizes.weights(model), sizes.layers(model), sizes.a_pass(rows), settings)


def measure(name: str) -> dict[str, float]:
    """Train one shape in this process."""
    shape = (SHAPES | ON_A_GPU)[name]
    torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    samples = tuple(pair(shape, n) for n in range(shape.pairs * 3))
    with TemporaryDirectory() as folder:
        small = Shape(128, 256, 2, 4, 2, 1, 8, 8, shape.checkpointing, shape.bf16)
        run(small, samples[:1], Path(folder), 10_000)  # loads what is loaded late
        before = now(cuda)
        model = made(shape)
        rows = [model.encode(one.comparison, side) for one in samples[: shape.pairs] for side in ("a", "b")]
        told = predicted(model, rows, shape)
        tokens = sizes.a_pass(rows).tokens
        forget_peak(cuda)
        run(shape, samples, Path(folder), tokens + shape.pairs * 8, model)
        took = peak(cuda) - before
    return {"tokens": tokens, "predicted": told.total, "measured": took, "ratio": told.total / took, **asdict(told)}


def run(shape: Shape, samples: tuple[Sample, ...], out: Path, tokens: int, model: RewardModel | None = None) -> None:
    """Two steps of the real trainer."""
    mixture = Mixture(samples, (("made up", 1.0, range(len(samples))),), 0)
    trainer = BradleyTerryTrainer(model or made(shape), config_of(shape, out, tokens), mixture, BadRows(), {})
    try:
        trainer.train()
    finally:
        trainer.bar.close()
        trainer.ahead.close()


def now(cuda: bool) -> int:
    """Bytes in use."""
    return torch.cuda.memory_allocated() if cuda else _status("VmRSS")


def peak(cuda: bool) -> int:
    """Most bytes since the peak was forgotten."""
    return torch.cuda.max_memory_allocated() if cuda else _status("VmHWM")


def forget_peak(cuda: bool) -> None:
    """Start the peak anew."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: sets the mark of the highest water to the present level


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


def main() -> None:
    """One process for each shape."""
    results: dict[str, dict[str, float]] = {}
    chosen = sys.argv[1:] or [*SHAPES, *(ON_A_GPU if torch.cuda.is_available() else ())]
    for name in chosen:
        told = subprocess.run(
            [sys.executable, "-m", "perf.dry_run_memory", "--one", name],
            env=os.environ | STEADY,
            capture_output=True,
            check=False,
            text=True,
        )
        if told.returncode:
            sys.exit(told.stderr)
        results[name] = one = json.loads(told.stdout.splitlines()[-1])
        print(
            f"{name:<20} {one['tokens']:>6,.0f} tokens  predicted {one['predicted'] / 1e6:8.1f} MB  "
            f"measured {one['measured'] / 1e6:8.1f} MB  ratio {one['ratio']:.3f}"
        )
    print(json.dumps({"device": device(), "ratios": {name: round(one["ratio"], 3) for name, one in results.items()}}))
    off = [name for name, one in results.items() if abs(one["ratio"] - 1) > LIMIT]
    if off:
        sys.exit(f"off by more than {LIMIT:.0%}: {', '.join(off)}")


def device() -> str:
    """What it ran on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main()
