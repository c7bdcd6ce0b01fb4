"""omnireward sft: the warm start of a judge that writes."""

from __future__ import annotations

from omnireward.verbs import parse, require_torch


def run(words: list[str]) -> None:
    """Teach a judge that writes with critiques: the warm start before GRPO.

    --recipe NAME_OR_FILE takes flags from a YAML file; those typed override it.

    Examples:
      omnireward sft --recipe miniature_sft --out out/warm
      omnireward sft --model Qwen2.5-VL-7B-Instruct --critiques out/critiques 1 --lora-rank 64 --out out/warm
    """
    from omnireward.train.sft_config import SFTConfig

    config = parse("sft", run, SFTConfig, words)
    require_torch("the warm start")
    from omnireward.train.sft import sft
    from omnireward.train.together import leave, rank

    folder = sft(config)
    leave()
    if rank() == 0:
        print(f"The judge is in {folder}. Train it on: omnireward grpo --model {folder}, or judge with it: ", end="")
        print(f"--judge generative:{folder}")
