"""A policy writes answers: each question is read once, however many answers are drawn to it.

What is drawn depends on a seed and the question alone, not on who else is in the batch, up to the last bits of a
logit: each answer has a generator of its own, and one number of it decides each token. Answers that have ended leave
the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from omnireward.encoded import Encoded
from omnireward.errors import PromptError
from omnireward.policy import Policy, check_temperature
from omnireward.prompts import Answer

_ALTERNATIVES = 20  # of the first token, as endpoints give them
_LEAVE = 0.75  # of a batch that still writes: fewer, and the others' keys and values are dropped


@dataclass(frozen=True, slots=True)
class Said:
    """One answer as it was written.

    Attributes:
        ids: its tokens, the end included where there is one.
        logps: the log-probability that each had when it was drawn, at the temperature of drawing.
        ended: whether it came to its end; else it was cut off.
    """

    ids: tuple[int, ...]
    logps: tuple[float, ...]
    ended: bool


@torch.no_grad()
def speak(
    policy: Policy,
    asked: Sequence[Encoded],
    which: Sequence[int],
    seeds: Sequence[int],
    *,
    temperature: float,
    max_tokens: int,
) -> list[Said]:
    """Write answers.

    Args:
        policy: in eval or training mode; nothing in it is changed. Nothing is dropped out while it writes.
        asked: questions.
        which: for each answer, the number of its question.
        seeds: for each answer, of its draws; not negative.
        temperature: of drawing; 0 takes the likeliest token.
        max_tokens: most tokens of an answer.

    Raises:
        ValueError: a temperature that is neither 0 nor one to divide logits by.
        PromptError: a question with its answer could be longer than the model was made for.
    """
    if temperature:
        check_temperature(temperature)
    if not which:
        return []
    longest = max(len(one.row.ids) for one in asked)
    if longest + max_tokens > policy.most:
        raise PromptError(
            f"a question of {longest:,} tokens and an answer of up to {max_tokens:,} are more than the {policy.most:,} "
            "that the model was made for. Show less (frames, views, picture_side), or lower max_tokens."
        )
    with _still(policy):
        return _Writing(policy, asked, which, seeds, temperature).to_the_end(max_tokens)


def answers(
    policy: Policy,
    asked: Sequence[Encoded],
    *,
    temperature: float,
    seeds: Sequence[int],
    max_tokens: int,
    letter: bool = False,
) -> list[Answer]:
    """The answer to each question, in words; with `letter`, how likely the first token's alternatives are instead.

    Raises:
        PromptError: as `speak`.
        torch.OutOfMemoryError: the batch is too large for the GPU.
    """
    if letter:
        return [_letter(policy, row) for row in _first(policy, asked)] if asked else []
    said = speak(policy, asked, range(len(asked)), seeds, temperature=temperature, max_tokens=max_tokens)
    return [Answer(policy.words(one.ids), cut_off=not one.ended) for one in said]


class _Writing:
    """A batch of answers on their way: keys and values of what was read and written, and the state before the next."""

    def __init__(
        self, policy: Policy, asked: Sequence[Encoded], which: Sequence[int], seeds: Sequence[int], temperature: float
    ) -> None:
        self._policy, self._decoder, self._temperature = policy, cast(Any, policy.backbone.decoder), temperature
        # torch's generator for CPUs reads 32 bits of a seed.
        self._generators = [np.random.default_rng(seed) for seed in seeds]
        read, given = _read(policy, asked, keep=True)
        device = policy.backbone.device
        chosen = torch.tensor(list(which), device=device)
        self._cache = read.cache
        self._cache.batch_select_indices(chosen)
        self._mask: Tensor = given["attention_mask"][chosen]
        self._positions: Tensor = given["position_ids"][..., -1:].index_select(-2, chosen)
        self._states: Tensor = read.last_hidden_state[chosen, -1]
        self._alive = list(range(len(which)))  # the answer that each row of the batch is

    def to_the_end(self, max_tokens: int) -> list[Said]:
        ids: list[list[int]] = [[] for _ in self._alive]
        logps: list[list[float]] = [[] for _ in self._alive]
        ended = [False] * len(ids)
        for number in range(max_tokens):
            drawn, told = self._draw()
            for answer, token, logp in zip(self._alive, drawn.tolist(), told.tolist(), strict=True):
                if not ended[answer]:
                    ids[answer].append(token)
                    logps[answer].append(logp)
                    ended[answer] = token in self._policy.ends
            going = [row for row, answer in enumerate(self._alive) if not ended[answer]]
            if not going or number + 1 == max_tokens:
                break
            if len(going) < _LEAVE * len(self._alive):
                drawn = self._keep(going, drawn)
            self._go_on(drawn)
        return [Said(tuple(i), tuple(p), e) for i, p, e in zip(ids, logps, ended, strict=True)]

    def _draw(self) -> tuple[Tensor, Tensor]:
        """The next token of each row, (rows,) int64, and its log-probability, (rows,) float32."""
        logits = self._policy.logits(self._states)
        if not self._temperature:
            every = torch.log_softmax(logits, dim=-1)
            tokens = every.argmax(-1)
        else:
            every = torch.log_softmax(logits / self._temperature, dim=-1)
            tokens = self._by_chance(every)
        return tokens, every.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)

    def _by_chance(self, every: Tensor) -> Tensor:
        """The first token at which the sum of probabilities passes a uniform number: one for each row."""
        numbers = [self._generators[answer].random() for answer in self._alive]
        sums = every.double().exp().cumsum(-1)
        wanted = torch.tensor(numbers, dtype=torch.float64, device=every.device) * sums[:, -1]
        tokens = torch.searchsorted(sums, wanted.unsqueeze(-1), right=True).squeeze(-1)
        return torch.where(tokens < every.shape[-1], tokens, every.argmax(-1))  # rounding may pass the last

    def _keep(self, rows: list[int], drawn: Tensor) -> Tensor:
        kept = torch.tensor(rows, device=drawn.device)
        self._cache.batch_select_indices(kept)
        self._mask, self._positions = self._mask[kept], self._positions.index_select(-2, kept)
        self._alive = [self._alive[row] for row in rows]
        return drawn[kept]

    def _go_on(self, drawn: Tensor) -> None:
        self._mask = torch.cat((self._mask, self._mask.new_ones(len(drawn), 1)), dim=1)
        self._positions = self._positions + 1
        told = self._decoder(
            inputs_embeds=self._policy.backbone.embedded(drawn.unsqueeze(-1)),
            attention_mask=self._mask,
            position_ids=self._positions,
            cache=self._cache,
            use_cache=True,
        )
        self._states = told.last_hidden_state[:, -1]


@contextmanager
def _still(policy: Policy) -> Iterator[None]:
    """A policy in eval mode; afterwards each of its parts is as it was."""
    training = [part for part in policy.modules() if part.training]
    policy.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _read(policy: Policy, asked: Sequence[Encoded], keep: bool) -> tuple[Any, dict[str, Any]]:
    """The decoder's output for questions, padded on the left so that all end together, and what it was given."""
    given = policy.backbone.padded([one.row for one in asked], policy.media_of(asked), "left")
    return cast(Any, policy.backbone.decoder)(use_cache=keep, **given), given


@torch.no_grad()
def _first(policy: Policy, asked: Sequence[Encoded]) -> Tensor:
    """Logits of the first token of each answer: (questions, vocabulary) float32."""
    with _still(policy):
        read, _ = _read(policy, asked, keep=False)
        return policy.logits(read.last_hidden_state[:, -1])


def _letter(policy: Policy, logits: Tensor) -> Answer:
    values, ids = torch.log_softmax(logits.double(), dim=-1).topk(min(_ALTERNATIVES, len(logits)))
    texts = [policy.words([id]) for id in ids.tolist()]
    sums: dict[str, Tensor] = {}
    for text, value in zip(texts, values.cpu(), strict=True):  # several tokens may read the same
        sums[text] = torch.logaddexp(sums[text], value) if text in sums else value
    return Answer(texts[0], first_token={text: float(value) for text, value in sums.items()})
