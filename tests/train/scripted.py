"""A tiny judge of texts for tests of GRPO, what it answers by a script, and GRPO a second time, in plain torch.

The second implementation is written after the formulas (arXiv 2402.03300, equations 3 and 4, with the mean over tokens
and unbiased standard deviations): one answer after the other, no packing, no accumulation, no TRL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import stdev
from typing import Any, cast

import torch
from tests.speakers import family, question
from torch import Tensor

from omnireward.backbones._decoder import DecoderBackbone
from omnireward.encoded import Encoded
from omnireward.policy import Policy
from omnireward.prompts import Form, questions
from omnireward.speaking import Said
from omnireward.train.grpo_config import GRPOConfig
from omnireward.types import Comparison, Sample, Text, Turn

FORM = Form("pairwise", critique=True, ties=True)
RIGHT_A, RIGHT_B, RIGHT_TIE = "It is good.\nVERDICT: A", "It is good.\nVERDICT: B", "It is good.\nVERDICT: TIE"
BARE_A, BARE_B, LOST = "VERDICT: A", "VERDICT: B", "It is good"  # right without a critique: 0.9; no verdict: 0
Say = Callable[[str, int, int], "str | Said"]


def judge(folder: Path, name: str = "text") -> Path:
    """A judge with random weights, saved. Its tokenizer has seen the questions, so they are short."""
    shown = Comparison((Turn("user", (Text("Write about topic 1."),)),), (Text("good"),), (Text("bad"),))
    words = [part.text for turn in questions(shown, FORM)[0].turns for part in turn.content if isinstance(part, Text)]
    texts = [*words, RIGHT_A, RIGHT_B, RIGHT_TIE] * 20
    policy = Policy.new(cast(DecoderBackbone, family(name).tiny(texts, 0)), name, seed=1, form=FORM)
    policy.head.weight.data.mul_(5.0)  # so that not all words are alike
    policy.save(folder)
    return folder


def ids_of(policy: Policy, text: str) -> tuple[int, ...]:
    """The tokens of an answer with its end."""
    return tuple(policy.tell(question(Text("?")), text)[1].tolist())


@dataclass
class Script:
    """In place of `speak`: what is said is decided by the question's text, the place in its group, and the seed."""

    say: Say
    rollouts: int
    before: Callable[[int], None] = lambda _: None  # told the number of each round, from 1
    rounds: int = 0
    temperatures: set[float] = field(default_factory=set)
    seeds: list[int] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    def __call__(
        self,
        policy: Policy,
        asked: Sequence[Encoded],
        which: Sequence[int],
        seeds: Sequence[int],
        *,
        temperature: float,
        max_tokens: int,
    ) -> list[Said]:
        self.rounds += 1
        self.before(self.rounds)
        self.temperatures.add(temperature)
        self.seeds += seeds
        texts = [policy.words(one.row.ids.tolist()) for one in asked]
        self.questions += texts
        found = []
        for place, (number, seed) in enumerate(zip(which, seeds, strict=True)):
            said = self.say(texts[number], place % self.rollouts, seed)
            found.append(said if isinstance(said, Said) else spoken(ids_of(policy, said)))
        return found


def spoken(ids: Sequence[int], ended: bool = True) -> Said:
    """An answer of these tokens."""
    return Said(tuple(ids), (0.0,) * len(ids), ended)


def log(out: Path) -> list[dict[str, float]]:
    """The lines of log.jsonl."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def groups(out: Path) -> list[dict[str, Any]]:
    """The lines of rollouts.jsonl."""
    return [json.loads(line) for line in (out / "rollouts.jsonl").read_text().splitlines()]


def advantages(rewards: Sequence[float | None]) -> list[float]:
    """Of one group: rewards less their mean, over their standard deviation; 0 without a reward."""
    known = [reward for reward in rewards if reward is not None]
    if len(known) < 2:
        return [0.0] * len(rewards)
    mean, spread = sum(known) / len(known), stdev(known) + 1e-4
    return [0.0 if reward is None else (reward - mean) / spread for reward in rewards]


class ByHand:
    """A judge in training.

    Args:
        config: of the run; what it logs is compared.
        samples: by id.
    """

    def __init__(self, config: GRPOConfig, samples: dict[str, Sample]) -> None:
        self.config, self.samples = config, samples
        self.policy, self.first = Policy.load(config.model), Policy.load(config.model)
        decayed = [weight for weight in self.policy.parameters() if weight.ndim > 1]
        plain = [weight for weight in self.policy.parameters() if weight.ndim <= 1]
        both = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(both, lr=config.learning_rate)

    def round(self, told: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
        """Learn from a round, as rollouts.jsonl has it, in as many steps as the config wants; figures of each."""
        learned = [self._answers(group) for group in told]
        old = [[self._logps(self.policy, *one).detach() for one in group] for group in learned]
        tokens = sum(len(one[1]) for group in learned for one in group if one[2])
        size = self.config.per_step
        figures = []
        for begin in range(0, len(told), size):
            mine = range(begin, begin + size)
            figures.append(self._step([(learned[i], old[i]) for i in mine], tokens / self.config.updates))
        return figures

    def _step(self, groups: Sequence[tuple[list[Any], list[Tensor]]], tokens: float) -> dict[str, float]:
        config, total = self.config, torch.zeros(())
        drift: list[Tensor] = []
        low: list[Tensor] = []
        high: list[Tensor] = []
        for answers, old in groups:
            for (asked, ids, usable, advantage), before in zip(answers, old, strict=True):
                if not usable:
                    continue
                logps = self._logps(self.policy, asked, ids)
                first = self._logps(self.first, asked, ids).detach()
                ratio = (logps - before).exp()
                pushed = ratio.clamp(1 - config.clip_low, 1 + config.clip_high) * advantage
                kl = (first - logps).exp() - (first - logps) - 1
                total = total + (config.kl * kl - torch.minimum(ratio * advantage, pushed)).sum() / tokens
                drift.append(kl.detach())
                low.append((ratio < 1 - config.clip_low) & (advantage < 0))
                high.append((ratio > 1 + config.clip_high) & (advantage > 0))
        self.policy.zero_grad()
        torch.autograd.backward(total)
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), config.max_grad_norm)
        self.optimizer.step()
        shares = {"clip_low": low, "clip_high": high, "kl": drift}
        found = {name: float(torch.cat(each).float().mean()) for name, each in shares.items()}
        return found | {"loss": total.item(), "grad_norm": norm.item()}

    def _answers(self, group: dict[str, Any]) -> list[tuple[Encoded, Tensor, bool, float]]:
        sample = self.samples[group["id"]]
        given = advantages([answer["reward"] for answer in group["answers"]])
        found = []
        for answer, advantage in zip(group["answers"], given, strict=True):
            shown = sample.comparison.swap() if answer["swapped"] else sample.comparison
            asked = self.policy.ask(questions(shown, FORM)[0])
            ids = ids_of(self.policy, answer["text"])
            if answer["cut_off"]:
                ids = ids[:-1]
            found.append((asked, torch.tensor(ids), answer["fault"] != "media token", advantage))
        return found

    def _logps(self, policy: Policy, asked: Encoded, ids: Tensor, *_: object) -> Tensor:
        return cast(Tensor, policy([asked], [ids], self.config.temperature).logps)
