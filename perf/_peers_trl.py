"""TRL's stock RewardTrainer on the pairs of `peers`. Runs in TRL's own environment.

    python -m perf._peers_trl FOLDER LENGTHS STEPS (default | no_checkpointing)

Its defaults, but for what decides what is learned, which is as in ours: fp32, learning rate, its cosine, weight decay,
the order of the pairs, and that none is left out for its length. The dataset holds token ids, so TRL's tokenization is
not run.
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
from transformers import AutoModelForSequenceClassification, AutoTokenizer

trl: Any = importlib.import_module("trl")  # neither of them is in this project's environment
datasets: Any = importlib.import_module("datasets")


def main(folder: Path, lengths: str, steps: int, way: str) -> None:
    torch.set_num_threads(1)
    shared = json.loads((folder / "shared.json").read_text())
    pairs = json.loads((folder / f"{lengths}.json").read_text())
    rows = [{f"{side}_ids": pair["prompt"] + pair[side] for side in ("chosen", "rejected")} for pair in pairs]
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        given = {} if way == "default" else {"gradient_checkpointing": False}
        config = trl.RewardConfig(
            output_dir=out,
            per_device_train_batch_size=shared["pairs"],
            max_steps=steps,
            max_length=shared["longest"],
            learning_rate=shared["learning_rate"],
            weight_decay=shared["weight_decay"],
            lr_scheduler_type="cosine",
            train_sampling_strategy="sequential",
            bf16=False,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **given,
        )
        model = AutoModelForSequenceClassification.from_pretrained(folder / "classifier", num_labels=1)
        trainer = trl.RewardTrainer(
            model=model,
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(folder / "classifier"),
            callbacks=[clock],
        )
        trainer.train()
    clock.report()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
