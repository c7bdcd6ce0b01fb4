"""omnireward grpo: a judge that writes, trained by trying."""

from __future__ import annotations

from importlib.util import find_spec

from omnireward.errors import MissingExtraError
from omnireward.verbs import parse, require_torch


def run(words: list[str]) -> None:
    """Train a judge that writes (R1): it tries answers, and learns which of them are right (GRPO).

    --recipe NAME_OR_FILE takes flags from a YAML file; those typed override it. Needs the extra `rl`.

    Examples:
      omnireward grpo --recipe miniature_r1 --model out/warm --out out/judge
      omnireward grpo --recipe paper_r1 --model Qwen2.5-VL-7B-Instruct --datasets OmniRewardData 1 --out out/r1
      omnireward report out/judge
    """
    from omnireward.train.grpo_config import GRPOConfig

    config = parse("grpo", run, GRPOConfig, words)
    require_torch("training a judge")
    if find_spec("trl") is None:
        raise MissingExtraError("training a judge by GRPO", "rl")
    from omnireward.train.grpo import grpo
    from omnireward.train.together import leave, rank

    folder = grpo(config)
    leave()
    if rank() == 0:
        print(f"The judge is in {folder}, and how it learned in {folder}/log.html.")
        print(f"Judge with it: --judge generative:{folder}")
