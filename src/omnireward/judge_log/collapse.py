"""Whether training has collapsed, from the figures that it logs: pure, so that it says the same on every process.

Unusual: nothing is called a collapse that was there from the beginning. A judge that has not found the format yet, or
that rambles up to the limit, may still learn; one that could do it and cannot any more has lost it. So each sign must
have been healthy for a while, and must then be bad in every one of the last `patience` logged steps.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omnireward.errors import RecipeError

_WATCHED = (
    "accuracy",
    "format",
    "tokens",
    "kl",
    "entropy",
    "cut_off",
    "empty",
    "verdict_a",
    "verdict_b",
    "verdict_tie",
)
_FAR = 1e9  # a KL that is not finite, as plain JSON can spell it
_VERDICTS = {"verdict_a": "A", "verdict_b": "B", "verdict_tie": "TIE"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What counts as a collapse. Shares are of the rollouts of a logged step."""

    patience: int = 10
    """Logged steps in a row. A step has a few dozen rollouts, so that one or two odd ones say nothing; ten in a row
    below half of what was usual do not happen by chance."""
    format_learned: float = 0.7
    """Mean format rate over `patience` steps from which on the format counts as learned; before, it may be low."""
    format_floor: float = 0.5
    """Format rate below which a learned format is lost: most answers then earn nothing, whatever they say."""
    entropy_floor: float = 0.01
    """Nats per token. Below it the likeliest token has over 99.8 % everywhere, so the rollouts of a group are copies of
    each other and there is nothing to choose from. It must have been at least twice that before."""
    accuracy_gain: float = 0.05
    """Low entropy is no collapse where the accuracy is this much above that of the first `patience` steps: the judge
    has become sure of what is right."""
    accuracy_enough: float = 0.9
    """Nor is it where the accuracy is as high as that: there is little left to choose."""
    cut_off_ceiling: float = 0.8
    """Share of answers cut off at the limit. They have no verdict, so four of five earn nothing."""
    cut_off_usual: float = 0.5
    """Mean share over `patience` steps that must have been reached first: a judge may begin by rambling."""
    empty_ceiling: float = 0.5
    """Share of empty answers; a judge that says nothing can learn nothing."""
    shortest: float = 3.0
    """Tokens of a mean answer below which a verdict cannot have been written."""
    verdict_ceiling: float = 0.95
    """Share of one and the same verdict. Right answers are mixed wherever it is wrong as often as `verdict_accuracy`
    says, and where the two orders of a question share a group no such share can be right."""
    verdict_usual: float = 0.9
    """Mean share over `patience` steps that the verdict must have been below first."""
    verdict_accuracy: float = 0.8
    """Accuracy up to which one verdict is a collapse; above it the preferences themselves are nearly all alike."""
    kl_ceiling: float = 5.0
    """Nats per token from the reference. Healthy runs stay below 1, odd batches reach a few times that; where it stays
    over 5 the judge writes what the reference would hardly ever write."""

    def __post_init__(self) -> None:
        if self.patience < 2:
            raise RecipeError(f"patience is {self.patience}; a collapse takes at least 2 logged steps to tell.")


class Collapse:
    """Watches the figures of logged steps.

    Args:
        limits: what counts as a collapse.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._window: deque[dict[str, float]] = deque(maxlen=self.limits.patience)
        self._begin: list[float] = []
        self._healthy: set[str] = set()

    def saw(self, step: int, figures: Mapping[str, object]) -> str | None:
        """Note the figures of a logged step; a sentence if training has collapsed, else None.

        Args:
            step: of training.
            figures: as log.jsonl has them. Without a reward it is no line about rollouts, and is passed over; a figure
                that is missing is not watched.
        """
        told = {
            name: number for name in (*_WATCHED, "reward", "loss") if (number := _number(figures.get(name))) is not None
        }
        if "reward" not in told:
            return None
        for name in ("reward", "loss"):
            if not math.isfinite(told.get(name, 0.0)):
                return _not_finite(name, told[name], step)
        if not math.isfinite(told.get("kl", 0.0)):
            told["kl"] = _FAR
        seen = {name: told[name] for name in _WATCHED if math.isfinite(told.get(name, math.nan))}
        self._window.append({"step": float(step), **seen})
        if len(self._begin) < self.limits.patience and "accuracy" in seen:
            self._begin.append(seen["accuracy"])
        if len(self._window) < self.limits.patience:
            return None
        found = next(filter(None, (sign() for sign in self._signs())), None)
        self._note_health()
        return found

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: plain values for JSON."""
        return {
            "window": [dict(seen) for seen in self._window],
            "begin": self._begin[:],
            "healthy": sorted(self._healthy),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self._window.extend(dict(seen) for seen in state["window"])
        self._begin = list(state["begin"])
        self._healthy = set(state["healthy"])

    def _signs(self) -> Sequence[Callable[[], str | None]]:
        """The most telling first: where answers are cut off, the format is lost as well."""
        return (self._length, self._cut_off, self._format, self._kl, self._entropy, self._one_verdict)

    def _note_health(self) -> None:
        limits = self.limits
        means = {name: mean for name in _WATCHED if (mean := self._mean(name)) is not None}
        healthy = {
            "format": means.get("format", 0.0) >= limits.format_learned,
            "entropy": means.get("entropy", 0.0) >= 2 * limits.entropy_floor,
            "cut_off": means.get("cut_off", 1.0) <= limits.cut_off_usual,
            "empty": means.get("empty", 1.0) < limits.empty_ceiling,
            "tokens": means.get("tokens", 0.0) >= limits.shortest,
        } | {name: means.get(name, 1.0) < limits.verdict_usual for name in _VERDICTS}
        self._healthy |= {name for name, so in healthy.items() if so}

    def _values(self, name: str) -> list[float]:
        """Of the window, oldest first; empty where one is missing."""
        values = [seen[name] for seen in self._window if name in seen]
        return values if len(values) == len(self._window) else []

    def _mean(self, name: str) -> float | None:
        values = self._values(name)
        return sum(values) / len(values) if values else None

    def _bad(self, name: str, bad: Callable[[float], bool]) -> bool:
        values = self._values(name)
        return bool(values) and name in self._healthy and all(map(bad, values))

    @property
    def _since(self) -> str:
        return f"since step {self._window[0]['step']:.0f} ({self.limits.patience} logged steps)"

    def _at(self, name: str) -> tuple[float, str]:
        """The newest value of a figure, and where it stands."""
        last = self._window[-1]
        return last[name], f"at step {last['step']:.0f}"

    def _format(self) -> str | None:
        floor = self.limits.format_floor
        if not self._bad("format", lambda share: share < floor):
            return None
        share, at = self._at("format")
        return (
            f"The format is lost: {_percent(share)} of the answers have it {at}, below {_percent(floor)} "
            f"{self._since}, after it had been learned; go on from an earlier checkpoint with a lower learning rate or "
            "more weight on the KL term."
        )

    def _length(self) -> str | None:
        if self._bad("empty", lambda share: share >= self.limits.empty_ceiling):
            share, at = self._at("empty")
            seen = f"{_percent(share)} of them are empty {at}, at least {_percent(self.limits.empty_ceiling)}"
        elif self._bad("tokens", lambda count: count < self.limits.shortest):
            count, at = self._at("tokens")
            seen = f"{count:.1f} tokens on the mean {at}, below {self.limits.shortest:g}"
        else:
            return None
        return (
            f"The answers have shrunk to nothing: {seen} {self._since}; go on from an earlier checkpoint with a lower "
            "learning rate, or reward a least length."
        )

    def _cut_off(self) -> str | None:
        ceiling = self.limits.cut_off_ceiling
        if not self._bad("cut_off", lambda share: share >= ceiling):
            return None
        share, at = self._at("cut_off")
        return (
            f"The answers run into the limit: {_percent(share)} are cut off {at}, at least {_percent(ceiling)} "
            f"{self._since}, where it had been {_percent(self.limits.cut_off_usual)} or fewer; go on from an earlier "
            "checkpoint with a lower learning rate, reward a greatest length, or allow more tokens."
        )

    def _kl(self) -> str | None:
        ceiling = self.limits.kl_ceiling
        values = self._values("kl")
        if not values or min(values) <= ceiling:
            return None
        nats, at = self._at("kl")
        seen = "not finite" if nats == _FAR else f"{nats:.3g} nats per token"
        return (
            f"The KL from the reference has exploded: it is {seen} {at}, and over {ceiling:g} {self._since}; go on "
            "from an earlier checkpoint with a lower learning rate or more weight on the KL term."
        )

    def _entropy(self) -> str | None:
        floor = self.limits.entropy_floor
        accuracy = self._mean("accuracy")
        if accuracy is None or not self._bad("entropy", lambda nats: nats < floor):
            return None
        before = sum(self._begin) / len(self._begin)
        if accuracy >= min(self.limits.accuracy_enough, before + self.limits.accuracy_gain):
            return None
        nats, at = self._at("entropy")
        return (
            f"The answers no longer vary: the entropy is {nats:.2g} nats per token {at}, below {floor:g} "
            f"{self._since}, while the accuracy is {_percent(accuracy)}, where it began at {_percent(before)}; go on "
            "from an earlier checkpoint with a lower learning rate, a higher temperature or a wider upper clip."
        )

    def _one_verdict(self) -> str | None:
        ceiling = self.limits.verdict_ceiling
        accuracy = self._mean("accuracy")
        if accuracy is None or accuracy > self.limits.verdict_accuracy:
            return None
        name = next((name for name in _VERDICTS if self._bad(name, lambda share: share >= ceiling)), None)
        if name is None:
            return None
        share, at = self._at(name)
        return (
            f"The judge says {_VERDICTS[name]} to nearly everything: {_percent(share)} of the answers {at}, at least "
            f"{_percent(ceiling)} {self._since}, and is right in {_percent(accuracy)}; go on from an earlier "
            "checkpoint with a lower learning rate, with both orders of each question in its group, and with samples "
            "of which people prefer each side."
        )


def _not_finite(name: str, value: float, step: int) -> str:
    return (
        f"The {name} is {value} at step {step}: look into the answers of that step in rollouts.jsonl, and go on from "
        "the last checkpoint with a lower learning rate."
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
