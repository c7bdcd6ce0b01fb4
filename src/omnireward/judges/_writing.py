"""What judges share that write their answers in this process: comparisons become questions, answers, judgements.

Questions of a batch are answered together. Where that fails, for want of memory or because the model cannot take one of
them, the halves are asked apart, so that only what cannot be answered fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from omnireward.errors import MediaError, PromptError
from omnireward.judges._options import AskOptions
from omnireward.judges._sampled import Draw, draws, voted
from omnireward.prompts import Answer, Form, Question, judgement, questions
from omnireward.types import Comparison, Judgement

TOGETHER = 16
"""Answers written together, where fewer comparisons are asked: as many as `omnireward evaluate` judges together."""

Asked = TypeVar("Asked")
Taken = TypeVar("Taken", contravariant=True)


class Writer(Protocol[Taken]):
    """A model that answers what it was made ready for."""

    def answers(
        self, batch: Sequence[Taken], *, temperature: float, seeds: Sequence[int], max_tokens: int, letter: bool
    ) -> Sequence[Answer]:
        """An answer to each. Raises PromptError, torch.OutOfMemoryError."""
        ...


@dataclass(frozen=True, slots=True)
class _Put(Generic[Asked]):
    """A comparison, ready to be asked about. Draws of one order ask the very same."""

    draws: list[Draw]
    asked: list[list[Asked]]  # of each of the draws


def written(
    model: Writer[Asked],
    ask: Callable[[Question], Asked],
    form: Form,
    options: AskOptions,
    comparisons: Sequence[Comparison],
    repeats: Sequence[int],
) -> list[Judgement]:
    """Judge each comparison, as its vote of this number.

    MediaError, PromptError and OSError of one comparison become its `error`. What draws, draws with a seed of its own.

    Args:
        model: answers.
        ask: makes a question ready for it; raises those errors.
        form: in which to ask.
        options: how to draw, and how long an answer may be.
        comparisons: what to judge.
        repeats: the number of each one's vote, from 0.
    """
    puts = [_put(one, ask, form, options, repeat) for one, repeat in zip(comparisons, repeats, strict=True)]
    ready = [put for put in puts if not isinstance(put, Judgement)]
    batch = [
        (each, options.seed + draw.number)
        for put in ready
        for draw, asked in zip(put.draws, put.asked, strict=True)
        for each in asked
    ]
    at_once = max(TOGETHER, len(comparisons) * (2 if form.mode == "pointwise" else 1))
    answers = iter(
        [
            answer
            for start in range(0, len(batch), at_once)
            for answer in answers_or_why(model, batch[start : start + at_once], options, form.letter)
        ]
    )
    taken = iter([[next(answers) for asked in put.asked for _ in asked] for put in ready])
    return [put if isinstance(put, Judgement) else judged(form, put.draws, next(taken)) for put in puts]


def judged(form: Form, drawn: Sequence[Draw], answers: Sequence[Answer | str]) -> Judgement:
    """What the answers to one comparison say: those to its questions, or several to its only one."""
    if len(drawn) > 1:
        return voted(form, drawn, answers)
    if problems := [answer for answer in answers if isinstance(answer, str)]:
        return Judgement(None, error=problems[0])
    return judgement(form, [answer for answer in answers if isinstance(answer, Answer)])


def asked_of(comparison: Comparison, form: Form, drawn: Sequence[Draw]) -> list[tuple[Question, ...]]:
    """For each of the draws, its questions. Raises PromptError."""
    orders = {
        swapped: questions(comparison.swap() if swapped else comparison, form)
        for swapped in {draw.swapped for draw in drawn}
    }
    return [orders[draw.swapped] for draw in drawn]


def answers_or_why(
    model: Writer[Asked], batch: Sequence[tuple[Asked, int]], options: AskOptions, letter: bool
) -> list[Answer | str]:
    """The answer to each with its seed, or why there is none."""
    import torch

    try:
        return list(
            model.answers(
                [asked for asked, _ in batch],
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


def _put(
    comparison: Comparison, ask: Callable[[Question], Asked], form: Form, options: AskOptions, repeat: int
) -> _Put[Asked] | Judgement:
    drawn = draws(options, repeat)
    try:
        wanted = asked_of(comparison, form, drawn)
        made = {question: ask(question) for question in dict.fromkeys(q for each in wanted for q in each)}
        return _Put(drawn, [[made[question] for question in each] for each in wanted])
    except (MediaError, PromptError, OSError) as error:
        return Judgement(None, error=f"{type(error).__name__}: {error}")
