"""A scalar reward model as a judge: ``reward:FOLDER``. The margin is reward(a) - reward(b).

Each comparison is encoded on its own first, so that one with broken media fails alone; what is left is scored together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnireward.errors import MediaError, MissingExtraError, PromptError, RecipeError
from omnireward.judges import Judge, JudgeKind
from omnireward.types import Comparison, Judgement

if TYPE_CHECKING:
    from omnireward.reward_model import Encoded, RewardModel


@dataclass(frozen=True, slots=True)
class RewardJudge:
    """A loaded reward model; `fingerprint` is the digest of its weights, tokenizer and settings."""

    model: RewardModel
    fingerprint: str

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison; MediaError and PromptError become that comparison's `error`."""
        import torch

        judgements: list[Judgement | None] = []
        encoded: list[Encoded] = []
        for comparison in comparisons:
            try:
                encoded += [self.model.encode(comparison, "a"), self.model.encode(comparison, "b")]
                judgements.append(None)
            except (MediaError, PromptError) as error:
                del encoded[2 * judgements.count(None) :]  # side a may have been added already
                judgements.append(Judgement(None, error=f"{type(error).__name__}: {error}"))
        self.model.eval()
        with torch.no_grad():
            rewards = self.model(encoded).tolist() if encoded else []
        pairs = iter(zip(rewards[::2], rewards[1::2], strict=True))
        return [judgement or _judgement(*next(pairs)) for judgement in judgements]


def _judgement(a: float, b: float) -> Judgement:
    if not (abs(a) < float("inf") and abs(b) < float("inf")):  # false for NaN too
        return Judgement(None, error=f"the model's rewards are not finite: {a}, {b}")
    return Judgement(a - b, rewards=(a, b))


def _open(argument: str, _seed: int) -> Judge:
    if not argument:
        raise RecipeError("the judge `reward` needs a checkpoint folder: reward:runs/quickstart")
    try:
        from omnireward.reward_model import RewardModel
    except ImportError as error:
        raise MissingExtraError("the judge `reward`", "train") from error
    folder = Path(argument)
    model = RewardModel.load(folder)
    model.requires_grad_(False)
    return RewardJudge(model, _fingerprint(folder))


def _fingerprint(folder: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".bin") and path.is_file():
            sha.update(f"{path.name}:{path.stat().st_size}:".encode())
            with path.open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()


def _example(folder: Path) -> str:
    """A tiny model with random weights."""
    from omnireward.backbones.minicpm_o import BACKBONE
    from omnireward.reward_model import RewardModel

    backbone = BACKBONE.tiny(["Tell me about tea.", "It is a drink."], 0)
    RewardModel(backbone, "minicpm_o", "natural").save(folder)
    return str(folder)


JUDGE = JudgeKind(summary="a scalar reward model: reward:CHECKPOINT_FOLDER", open=_open, example=_example)
