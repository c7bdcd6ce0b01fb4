"""A local model that writes as a judge: ``generative:FOLDER`` or ``generative:OWNER/REPO@REVISION``.

A judge that was trained here, and a checkpoint of a family that `backbones` has and transformers lacks, are answered by
our own classes (see `_policy_judge`). Every other is a chat model of transformers, which is asked as API judges are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omnireward.errors import MissingExtraError, RecipeError
from omnireward.judges import ASKING, SHOWING, Judge, JudgeKind, JudgeOptions
from omnireward.judges._folders import is_ours
from omnireward.judges._policy_judge import open_policy
from omnireward.judges._writing import answers_or_why, written
from omnireward.presentation import PRESENTATION, Presenter
from omnireward.prompts import Form, wording_digest
from omnireward.types import Comparison, Judgement

if TYPE_CHECKING:
    from pathlib import Path

    from omnireward.generation import ChatModel

__all__ = ["JUDGE", "GenerativeJudge", "answers_or_why"]


@dataclass(frozen=True, slots=True)
class GenerativeJudge:
    """A loaded chat model and how it is asked; `fingerprint` is of model, options, words and showing."""

    model: ChatModel
    form: Form
    presenter: Presenter
    options: JudgeOptions
    fingerprint: str

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison; MediaError, PromptError and OSError become that comparison's `error`."""
        return self.repeat(comparisons, [0] * len(comparisons))

    def repeat(self, comparisons: Sequence[Comparison], repeats: Sequence[int]) -> list[Judgement]:
        """The same for votes of a given number: each is drawn with a seed of its own."""
        return written(self.model, self.presenter, self.form, self.options, comparisons, repeats)


def _open(argument: str, options: JudgeOptions) -> Judge:
    if not argument:
        raise RecipeError(
            "the judge `generative` needs a chat model: generative:FOLDER, or generative:OWNER/REPO@COMMIT from the Hub"
        )
    try:
        from omnireward.generation import ChatModel
        from omnireward.generation.places import Place
    except ImportError as error:
        raise MissingExtraError("the judge `generative`", "train") from error
    place = Place.parse(argument)
    if is_ours(place):
        return open_policy(str(place), options)
    form = Form(options.mode, options.critique and not options.logprobs, options.ties, letter=options.logprobs)
    model = ChatModel.load(argument)
    presenter = Presenter(options.frames, options.views, options.picture_side)
    return GenerativeJudge(model, form, presenter, options, _fingerprint(model.digest, form, options))


def _fingerprint(model: str, form: Form, options: JudgeOptions) -> str:
    asked = options.told(ASKING | SHOWING)
    seed = options.seed if options.temperature else None  # nothing is drawn without a temperature
    return hashlib.sha256(f"{model} {wording_digest(form)} {PRESENTATION} {asked} {seed}".encode()).hexdigest()


def _example(folder: Path) -> str:
    """A tiny chat model that takes text and images; its verdicts follow from what it is shown, at random."""
    from omnireward.generation.tiny import write_tiny_chat_model

    write_tiny_chat_model(folder)
    return str(folder)


JUDGE = JudgeKind(
    summary="a local chat model: generative:FOLDER or generative:OWNER/REPO@REVISION",
    open=_open,
    example=_example,
    reads=ASKING | SHOWING,
)
