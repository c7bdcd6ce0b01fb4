"""A judge that was trained here, or a checkpoint of a family that transformers lacks: answered by our own `Policy`.

It is shown what it was trained on: media go through its backbone, which decides how many pictures a video has, so the
options of showing are not read. It is asked in the form that it was trained in: another mode or critique is refused.
Whether ties are allowed may differ, because benchmarks ask both ways, but it is warned of.

Media are decoded in threads, those of the batch that comes next while this one is answered. What is asked several times
is read once, however many answers are drawn to it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omnireward.errors import PromptError, RecipeError
from omnireward.judges import ASKING, SHOWING, JudgeOptions
from omnireward.judges._folders import fingerprint, folder_of
from omnireward.judges._sampled import draws
from omnireward.judges._writing import Writer, asked_of, written
from omnireward.prompts import Answer, Form, Question, wording_digest
from omnireward.types import Comparison, Judgement, Media

if TYPE_CHECKING:
    from omnireward.ahead import Threads
    from omnireward.encoded import Encoded
    from omnireward.policy import Policy

logger = logging.getLogger(__name__)

_Coming = Mapping[Question, "Future[Encoded]"]


@dataclass(frozen=True, slots=True)
class PolicyJudge:
    """A loaded policy and how it is asked; `fingerprint` is of its files, options and words.

    Attributes:
        writer: answers; the policy itself, but for tests.
        reads: the options that it reads.
    """

    model: Policy
    writer: Writer[Encoded]
    form: Form
    options: JudgeOptions
    fingerprint: str
    threads: Threads
    reads: frozenset[str] = ASKING
    _expected: dict[tuple[Comparison, ...], _Coming] = field(default_factory=dict)

    def expect(self, comparisons: Sequence[Comparison]) -> None:
        """Begin to decode a batch."""
        self._expected[tuple(comparisons)] = self._begin(comparisons)

    def close(self) -> None:
        """Stop decoding."""
        self._expected.clear()
        self.threads.close()

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison; MediaError, PromptError and OSError become that comparison's `error`."""
        return self.repeat(comparisons, [0] * len(comparisons))

    def repeat(self, comparisons: Sequence[Comparison], repeats: Sequence[int]) -> list[Judgement]:
        """The same for votes of a given number: each is drawn with a seed of its own."""
        coming = self._expected.pop(tuple(comparisons), None)
        if coming is None:
            coming = self._begin(comparisons)

        def ask(question: Question) -> Encoded:
            return coming[question].result() if question in coming else self.model.ask(question)

        return written(self.writer, ask, self.form, self.options, comparisons, repeats)

    def _begin(self, comparisons: Sequence[Comparison]) -> _Coming:
        """What has media is handed to threads; to hand over the rest would take longer than it gains."""
        coming: dict[Question, Future[Encoded]] = {}
        for comparison in comparisons:
            try:
                wanted = asked_of(comparison, self.form, draws(self.options))
            except PromptError:  # said where it is judged
                continue
            for question in (question for each in wanted for question in each):
                if question not in coming and _has_media(question):
                    coming[question] = self.threads.begin(partial(self.model.ask, question))
        return coming


@dataclass(frozen=True, slots=True)
class Speaker:
    """A policy as a `Writer`. Each seed is mixed with its question: the same one draws apart for each."""

    policy: Policy

    def answers(
        self, batch: Sequence[Encoded], *, temperature: float, seeds: Sequence[int], max_tokens: int, letter: bool
    ) -> list[Answer]:
        """An answer to each. Raises PromptError, torch.OutOfMemoryError."""
        from omnireward.speaking import answers, speak

        if letter:
            return answers(self.policy, batch, temperature=0, seeds=seeds, max_tokens=1, letter=True)
        distinct = {id(one): one for one in batch}
        place = {name: number for number, name in enumerate(distinct)}
        said = speak(
            self.policy,
            list(distinct.values()),
            [place[id(one)] for one in batch],
            [_seed(seed, one) for seed, one in zip(seeds, batch, strict=True)],
            temperature=temperature,
            max_tokens=max_tokens,
        )
        return [Answer(self.policy.words(one.ids), cut_off=not one.ended) for one in said]


def open_policy(where: str, options: JudgeOptions) -> PolicyJudge:
    """Load the judge in a folder, or of OWNER/REPO@REVISION.

    Raises:
        RecipeError: an option that it cannot be asked with.
        CheckpointError: it cannot be loaded.
    """
    import torch

    from omnireward.ahead import Threads
    from omnireward.hub import find
    from omnireward.policy import Policy

    _refuse_showing(where, options)
    folder = find(folder_of(where)).folder
    policy = Policy.load(folder)
    _check_form(where, policy.form, options)
    policy.requires_grad_(False)
    policy.to("cuda" if torch.cuda.is_available() else "cpu")
    policy.eval()  # before anything is encoded ahead
    form = Form(options.mode, options.critique and not options.logprobs, options.ties, letter=options.logprobs)
    return PolicyJudge(
        policy, Speaker(policy), form, options, _fingerprint(folder, form, options), Threads(policy.backbone)
    )


def _refuse_showing(where: str, options: JudgeOptions) -> None:
    default = JudgeOptions()
    for name in sorted(SHOWING):
        if getattr(options, name) != getattr(default, name):
            raise RecipeError(
                f"generative:{where} is shown what its backbone takes, as in training, and does not read "
                f"--{name.replace('_', '-')}; leave it out."
            )


def _check_form(where: str, trained: Form | None, options: JudgeOptions) -> None:
    if trained is None:
        return
    name = f"generative:{where} was trained to compare two responses and to end with a verdict"
    if options.mode != "pairwise" or options.logprobs:
        raise RecipeError(f"{name}; leave out {'--logprobs' if options.logprobs else f'--mode {options.mode}'}.")
    if options.critique != trained.critique:
        wants = ", after a critique: leave out --no-critique" if trained.critique else " alone: add --no-critique"
        raise RecipeError(f"{name}{wants}.")
    if options.ties != trained.ties:
        logger.warning(
            "%s was trained with verdicts of a tie %s, and is now asked with them %s: it may not heed that.",
            f"generative:{where}",
            *(("allowed", "not allowed") if trained.ties else ("not allowed", "allowed")),
        )


def _fingerprint(folder: Path, form: Form, options: JudgeOptions) -> str:
    seed = options.seed if options.temperature else None  # nothing is drawn without a temperature
    asked = f"policy:1:{fingerprint(folder)} {wording_digest(form)} {options.told(ASKING)} {seed}"
    return hashlib.sha256(asked.encode()).hexdigest()


def _seed(seed: int, asked: Encoded) -> int:
    """63 bits of a seed and a question."""
    sha = hashlib.sha256(f"{seed}:{','.join(asked.digests)}:".encode())
    sha.update(asked.row.ids.numpy().tobytes())
    return int.from_bytes(sha.digest()[:8], "big") >> 1


def _has_media(question: Question) -> bool:
    return any(isinstance(part, Media) for turn in question.turns for part in turn.content)
