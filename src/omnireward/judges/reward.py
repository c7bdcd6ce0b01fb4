"""A scalar reward model as a judge: ``reward:FOLDER``, or ``reward:OWNER/REPO@REVISION`` on the Hub.

The margin is reward(a) - reward(b). A model with a tie head says how likely a win, a tie and a loss are; one that knows
where its training's comparisons lie, how familiar a comparison is, and by how much the margin could be off.

Each response is encoded on its own first, in the background where it has media, so that a comparison with broken media
fails alone; what is left is scored together. What is expected next is encoded while this batch is scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omnireward.errors import CheckpointError, MediaError, MissingExtraError, PromptError, RecipeError
from omnireward.judges import Judge, JudgeKind, JudgeOptions
from omnireward.judges._folders import fingerprint, folder_of
from omnireward.types import Comparison, Judgement, Side

SIDES: tuple[Side, ...] = ("a", "b")

if TYPE_CHECKING:
    from omnireward.ahead import Ahead, Coming
    from omnireward.encoded import Encoded
    from omnireward.reward_model import RewardModel
    from omnireward.tie_head import TieHead
    from omnireward.uncertainty import Uncertainty


@dataclass(frozen=True, slots=True)
class RewardJudge:
    """A loaded reward model; `fingerprint` is the digest of its weights, tokenizer and settings."""

    model: RewardModel
    fingerprint: str
    ahead: Ahead
    _expected: dict[tuple[Comparison, ...], Coming] = field(default_factory=dict)

    def expect(self, comparisons: Sequence[Comparison]) -> None:
        """Begin to encode a batch."""
        self._expected[tuple(comparisons)] = self._begin(comparisons)

    def _begin(self, comparisons: Sequence[Comparison]) -> Coming:
        return self.ahead.begin((comparison, side) for comparison in comparisons for side in SIDES)

    def close(self) -> None:
        """Stop encoding."""
        self._expected.clear()
        self.ahead.close()

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison; MediaError and PromptError become that comparison's `error`."""
        coming = self._expected.pop(tuple(comparisons), None) or self._begin(comparisons)
        judgements: list[Judgement | None] = []
        encoded: list[Encoded] = []
        for comparison in comparisons:
            try:
                pair = [coming.encoded(comparison, side) for side in SIDES]
            except (MediaError, PromptError) as error:
                judgements.append(Judgement(None, error=f"{type(error).__name__}: {error}"))
            else:
                encoded += pair
                judgements.append(None)
        rewards, leeways, distances = self.model.score_all(encoded)
        found = _judgements(self.model.ties, rewards.tolist(), None if leeways is None else leeways.tolist())
        if (known := self.model.uncertainty) is not None and distances is not None:
            found = _doubted(found, known, distances.tolist())
        scored = iter(found)
        return [judgement or next(scored) for judgement in judgements]


def _doubted(judgements: Iterable[Judgement], known: Uncertainty, distances: list[float]) -> Iterator[Judgement]:
    """The same, and how familiar each comparison is."""
    for judgement, a, b in zip(judgements, distances[::2], distances[1::2], strict=True):
        if judgement.error:
            yield judgement
        elif not (math.isfinite(a) and math.isfinite(b)):
            yield Judgement(None, error=f"how far it lies from what the model was trained on is not finite: {a}, {b}")
        else:
            doubt = known.of_comparison(a, b)
            yield replace(judgement, deviation=doubt.deviation, familiarity=doubt.familiarity)


def _judgements(ties: TieHead | None, rewards: list[float], leeways: list[float] | None) -> Iterator[Judgement]:
    """Of rows two by two. With a tie head, each says how likely a tie is."""
    for place in range(0, len(rewards), 2):
        a, b = rewards[place : place + 2]
        more = [] if leeways is None else leeways[place : place + 2]
        if not (math.isfinite(a) and math.isfinite(b)):
            yield Judgement(None, error=f"the model's rewards are not finite: {a}, {b}")
        elif not all(map(math.isfinite, more)):
            said = ", ".join(map(str, more))
            yield Judgement(None, error=f"what the model's tie head says is not finite: {said}")
        elif ties is None:
            yield Judgement(a - b, rewards=(a, b))
        else:
            yield Judgement(a - b, rewards=(a, b), probabilities=ties.probabilities(a - b, *more))


def _open(argument: str, _options: JudgeOptions) -> Judge:
    if not argument:
        raise RecipeError("the judge `reward` needs a checkpoint: reward:FOLDER, or reward:OWNER/REPO@REVISION")
    try:
        import torch

        from omnireward.ahead import Ahead
        from omnireward.hub import find
        from omnireward.policy import holds_judge
        from omnireward.reward_model import RewardModel
    except ImportError as error:
        raise MissingExtraError("the judge `reward`", "train") from error
    folder = find(folder_of(argument)).folder
    if holds_judge(folder):
        raise CheckpointError(
            f"{argument} holds a judge that writes its verdicts, and has no rewards. Judge with generative:{argument}"
        )
    model = RewardModel.load(folder)
    model.requires_grad_(False)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    model.eval()  # before anything is encoded ahead
    return RewardJudge(model, fingerprint(folder), Ahead(model))


def _example(folder: Path) -> str:
    """A tiny model with random weights."""
    import torch

    from omnireward.backbones.minicpm_o import BACKBONE
    from omnireward.reward_model import RewardModel

    backbone = BACKBONE.tiny(["Tell me about tea.", "It is a drink."], 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the head: the same model each time
        RewardModel(backbone, "minicpm_o", "natural").save(folder)
    return str(folder)


JUDGE = JudgeKind(
    summary="a scalar reward model: reward:FOLDER or reward:OWNER/REPO@REVISION", open=_open, example=_example
)
