"""ms-swift's own `swift rlhf --rlhf_type rm` on the pairs of `peers`. Runs in ms-swift's own environment.

    python -m perf._peers_ms_swift FOLDER LENGTHS STEPS default

Its defaults, but for what decides what is learned, which is as in ours, and full training where it would take LoRA. The
chat template made here adds nothing but the end token.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from perf._peers_clock import Clock

rlhf: Any = importlib.import_module("swift.pipelines.train.rlhf")  # not in this project's environment
template: Any = importlib.import_module("swift.template")

BARE = template.TemplateMeta("bare", prefix=[], prompt=["{{QUERY}}"], chat_sep=None)


def row(pair: dict[str, str]) -> dict[str, Any]:
    """A pair as ms-swift reads it."""
    said = [("user", pair["prompt"]), ("assistant", pair["chosen"])]
    messages = [{"role": role, "content": content} for role, content in said]
    return {"messages": messages, "rejected_response": pair["rejected"]}


def main(folder: Path, lengths: str, steps: int) -> None:
    torch.set_num_threads(1)
    shared = json.loads((folder / "shared.json").read_text())
    pairs = json.loads((folder / f"{lengths}_texts.json").read_text())
    clock = Clock()

    class Timed(rlhf.SwiftRLHF):  # type: ignore[misc] # its class is not known here
        def train(self, trainer: Any) -> Any:
            trainer.add_callback(clock)
            return super().train(trainer)

    template.register_template(BARE)
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "pairs.jsonl"
        data.write_text("".join(json.dumps(row(pair)) + "\n" for pair in pairs))
        given = {
            "rlhf_type": "rm",
            "model": folder / "classifier",
            "model_type": "qwen2",
            "template": "bare",
            "tuner_type": "full",
            "torch_dtype": "float32",
            "bf16": "false",
            "fp16": "false",
            "dataset": data,
            "dataset_shuffle": "false",
            "train_dataloader_shuffle": "false",
            "output_dir": Path(name) / "run",
            "per_device_train_batch_size": shared["pairs"],
            "gradient_accumulation_steps": 1,
            "max_steps": steps,
            "learning_rate": shared["learning_rate"],
            "weight_decay": shared["weight_decay"],
            "lr_scheduler_type": "cosine",
            "warmup_ratio": 0,
            "adam_beta2": 0.999,
            "use_cpu": "true",
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
        }
        Timed([word for key, value in given.items() for word in (f"--{key}", str(value))]).main()
    clock.report()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]))
