"""Answers that a judge in training tries, and what each of them earns.

A group is all answers to the question about one sample. With orders `both`, the first half of it is asked with the
responses as they are and the other half with them swapped; both halves share one baseline, so a judge that says the
same letter whatever stands there is right in one half and wrong in the other, and sees it. Had each order a group of
its own, its rewards would all be equal there, and nothing would be learned.

An answer that cannot be used as it is has a fault, which is counted: it was cut off; it is empty; or it holds a token
that stands for media, which another engine than ours may write. The last one teaches nothing: it has no reward.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from omnireward.judge_log import RolloutAnswer
from omnireward.judge_log.rollouts import Fault
from omnireward.policy import Policy
from omnireward.speaking import Said
from omnireward.train.grpo_config import GRPOConfig
from omnireward.types import Comparison, Preference, Sample, flipped
from omnireward.verdict_rewards import RewardTerms, Scored, scored


@dataclass(frozen=True, slots=True)
class Asked:
    """A sample in the order in which it is asked about."""

    number: int
    sample: Sample
    swapped: bool

    @property
    def shown(self) -> Comparison:
        """What the judge sees."""
        return self.sample.comparison.swap() if self.swapped else self.sample.comparison

    @property
    def preference(self) -> Preference:
        """What people said, of the responses as shown."""
        return flipped(self.sample.preference) if self.swapped else self.sample.preference

    @property
    def key(self) -> int:
        """A number for sample and order, which `Asked.of` reads."""
        return 2 * self.number + self.swapped

    @classmethod
    def of(cls, key: int, samples: Sequence[Sample]) -> Asked:
        """What a key stands for."""
        return cls(key // 2, samples[key // 2], bool(key % 2))


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer, as it goes into the loss.

    Attributes:
        asked: what it answers.
        ids: its tokens, at least one.
        learned: for each token, whether the loss may speak of it.
        text: without special tokens.
        fault: what is wrong with it; empty: nothing.
        scored: what it earns; None: nothing can be learned from it.
    """

    asked: Asked = field(repr=False)  # media have megabytes
    ids: tuple[int, ...]
    learned: tuple[bool, ...]
    text: str
    fault: Fault
    scored: Scored | None

    def logged(self, advantage: float, terms: RewardTerms) -> RolloutAnswer:
        """As a line of the log has it, with the terms that count for something."""
        told = self.scored
        parts = {} if told is None else {name: getattr(told, name) for name in counted(terms)}
        return RolloutAnswer(
            swapped=self.asked.swapped,
            preference=self.asked.preference,
            text=self.text,
            tokens=len(self.ids),
            cut_off=self.fault == "cut off",
            fault=self.fault,
            verdict=None if told is None else told.verdict,
            reward=float("nan") if told is None else told.reward,
            parts=parts,
            advantage=advantage,
        )


def counted(terms: RewardTerms) -> tuple[str, ...]:
    """The terms that are told of: right verdict and form always, others where they have a weight."""
    return ("accuracy", "format", *(name for name in ("length", "language") if getattr(terms, name)))


def swapped(config: GRPOConfig, sample: Sample, place: int) -> bool:
    """Whether the answer at a place of its group, from 0, is asked with the responses swapped."""
    if config.orders == "both":
        return place % config.rollouts >= config.rollouts // 2
    if config.orders == "drawn":
        return bool(hashlib.sha256(f"{config.seed} order {sample.id}".encode("utf-8", "replace")).digest()[0] % 2)
    return False


def seed_of(config: GRPOConfig, step: int, asked: Asked, place: int) -> int:
    """Of the draws of one answer: 63 bits that depend on run, step, question and place in the round alone.

    Not on the place in its group: a sample that a round asks about twice is to be answered twice.
    """
    told = f"{config.seed} rollout {step} {asked.key} {place}"
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big") >> 1


def earned(policy: Policy, asked: Asked, said: Said, config: GRPOConfig) -> Rollout:
    """What was said becomes a rollout: its faults, and its reward."""
    silent = set(policy.silent.tolist())
    words = next((place for place, token in enumerate(said.ids) if token in silent), len(said.ids))
    if words < len(said.ids):  # what follows was said to something that was never there
        ids = said.ids[:words] or (policy.end,)
        return Rollout(asked, ids, (False,) * len(ids), policy.words(ids), "media token", None)
    text = policy.words(said.ids)
    fault: Fault = "cut off" if not said.ended else "" if text.strip() else "empty"
    told = scored(
        text,
        asked.preference,
        ties=config.ties,
        critique=config.critique,
        cut_off=not said.ended,
        terms=config.terms,
        criterion=asked.sample.comparison.criterion,
    )
    ids = said.ids or (policy.end,)
    return Rollout(asked, ids, (bool(said.ids),) * len(ids), text, fault, told)


def unusable(policy: Policy, asked: Asked) -> Rollout:
    """In place of an answer to a question that cannot be asked."""
    return Rollout(asked, (policy.end,), (False,), "", "", None)
