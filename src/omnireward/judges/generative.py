"""A local chat model as a judge: ``generative:FOLDER`` or ``generative:OWNER/REPO@REVISION``, asked as API judges are.

Questions of a batch are answered together. Where that fails, for want of memory or because the model cannot take one of
them, the halves are asked apart, so that only what cannot be answered fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omnireward.errors import MediaError, MissingExtraError, PromptError, RecipeError
from omnireward.judges import ASKING, SHOWING, Judge, JudgeKind, JudgeOptions
from omnireward.presentation import PRESENTATION, Message, Presenter
from omnireward.prompts import Answer, Form, judgement, questions, wording_digest
from omnireward.types import Comparison, Judgement

if TYPE_CHECKING:
    from omnireward.generation import ChatModel

_Messages = tuple[Message, ...]


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
        shown = [self._shown(comparison) for comparison in comparisons]
        asked = [
            (messages, self.options.seed + repeat)
            for one, repeat in zip(shown, repeats, strict=True)
            if not isinstance(one, Judgement)
            for messages in one
        ]
        answers = iter(self._answers(asked))
        return [one if isinstance(one, Judgement) else self._judgement([next(answers) for _ in one]) for one in shown]

    def _shown(self, comparison: Comparison) -> list[_Messages] | Judgement:
        try:
            return [self.presenter(question) for question in questions(comparison, self.form)]
        except (MediaError, PromptError, OSError) as error:
            return Judgement(None, error=f"{type(error).__name__}: {error}")

    def _answers(self, batch: list[tuple[_Messages, int]]) -> list[Answer | str]:
        return answers_or_why(self.model, batch, self.options, self.form.letter)

    def _judgement(self, answers: Sequence[Answer | str]) -> Judgement:
        written = [answer for answer in answers if isinstance(answer, Answer)]
        problems = [answer for answer in answers if isinstance(answer, str)]
        return Judgement(None, error=problems[0]) if problems else judgement(self.form, written)


def answers_or_why(
    model: ChatModel, batch: Sequence[tuple[_Messages, int]], options: JudgeOptions, letter: bool
) -> list[Answer | str]:
    """The answer to each conversation with its seed, or why there is none."""
    import torch

    try:
        return list(
            model.answers(
                [messages for messages, _ in batch],
                temperature=options.temperature,
                seeds=[seed for _, seed in batch],
                max_tokens=options.max_tokens,
                letter=letter,
            )
        )
    except PromptError as error:
        problem = f"PromptError: {error}"
    except torch.OutOfMemoryError:
        problem = (
            "the GPU's memory does not hold this question. Show less of it (frames, views, picture_side), lower "
            "max_tokens, or take a smaller model."
        )
        torch.cuda.empty_cache()
    if len(batch) == 1:
        return [problem]
    half = len(batch) // 2
    return [found for part in (batch[:half], batch[half:]) for found in answers_or_why(model, part, options, letter)]


def _open(argument: str, options: JudgeOptions) -> Judge:
    if not argument:
        raise RecipeError(
            "the judge `generative` needs a chat model: generative:FOLDER, or generative:OWNER/REPO@COMMIT from the Hub"
        )
    try:
        from omnireward.generation import ChatModel
    except ImportError as error:
        raise MissingExtraError("the judge `generative`", "train") from error
    form = Form(options.mode, options.critique and not options.logprobs, options.ties, letter=options.logprobs)
    model = ChatModel.load(argument)
    presenter = Presenter(options.frames, options.views, options.picture_side)
    return GenerativeJudge(model, form, presenter, options, _fingerprint(model.digest, form, options))


def _fingerprint(model: str, form: Form, options: JudgeOptions) -> str:
    asked = {name: getattr(options, name) for name in sorted(ASKING | SHOWING)}
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
