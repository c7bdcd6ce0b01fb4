"""LLaMA-Factory's own `stage: rm` on the pairs of `peers`. Runs in LLaMA-Factory's own environment.

    python -m perf._peers_llamafactory FOLDER LENGTHS STEPS default

Its defaults, but for what decides what is learned, which is as in ours. Its `empty` template adds nothing to a text, so
the end token is written out.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from perf._peers_clock import Clock

END = "</s>"
# Imported where sounds are read, which is never here. The wheel on the index is built for CUDA and fails to load.
sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
tuner: Any = importlib.import_module("llamafactory.train.tuner")  # not in this project's environment


def main(folder: Path, lengths: str, steps: int) -> None:
    torch.set_num_threads(1)
    shared = json.loads((folder / "shared.json").read_text())
    pairs = json.loads((folder / f"{lengths}_texts.json").read_text())
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        rows = [
            {
                "instruction": pair["prompt"],
                "input": "",
                "chosen": pair["chosen"] + END,
                "rejected": pair["rejected"] + END,
            }
            for pair in pairs
        ]
        (out / "pairs.json").write_text(json.dumps(rows))
        columns = {"prompt": "instruction", "query": "input", "chosen": "chosen", "rejected": "rejected"}
        known = {"pairs": {"file_name": "pairs.json", "ranking": True, "columns": columns}}
        (out / "dataset_info.json").write_text(json.dumps(known))
        given = {
            "model_name_or_path": str(folder / "causal"),
            "stage": "rm",
            "do_train": True,
            "finetuning_type": "full",
            "dataset": "pairs",
            "dataset_dir": name,
            "template": "empty",
            "disable_shuffling": True,
            "output_dir": str(out / "run"),
            "per_device_train_batch_size": shared["pairs"],
            "max_steps": steps,
            "learning_rate": shared["learning_rate"],
            "weight_decay": shared["weight_decay"],
            "lr_scheduler_type": "cosine",
            "use_cpu": True,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
        }
        tuner.run_exp(given, [clock])
    clock.report()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
