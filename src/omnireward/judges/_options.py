"""How a judge is asked and called: the options that evaluation, construction and serving hand to `open_judge`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from omnireward.errors import RecipeError

Mode = Literal["pairwise", "pointwise"]


@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """How a judge is asked, and what it is shown."""

    seed: int = 0
    """Seed for judges that draw, for answer order, and sent with every call; part of what identifies a run."""
    mode: Mode = "pairwise"
    """Show both responses and ask which is better, or show one at a time and ask for a score."""
    critique: bool = True
    """Ask for a critique before the verdict; otherwise for the verdict alone."""
    ties: bool = True
    """Allow the verdict that neither response is better."""
    logprobs: bool = False
    """Read P(a), P(tie), P(b) from the probabilities of the answer's first token; asks for the verdict alone."""
    temperature: float = 0.0
    """Of sampling; 0 takes the likeliest token."""
    samples: int = 1
    """Answers drawn for each comparison: their verdicts vote, and P(a), P(tie), P(b) are their shares. Several need a
    temperature above 0."""
    swap_half: bool = False
    """Ask for half of the samples with the responses exchanged, so that a lean towards either place averages out."""
    max_tokens: int = 1024
    """Most tokens of one answer; an answer cut off has no verdict."""
    frames: int | None = None
    """Pictures of each video; by default 10 of one in the prompt and 5 of one in a response, as in the paper."""
    views: int = 4
    """Pictures of each 3D object."""
    picture_side: int = 768
    """Longest side of a picture that the judge is shown, in pixels."""

    def __post_init__(self) -> None:
        least = {"max_tokens": 1, "views": 1, "picture_side": 28, "temperature": 0, "samples": 1}
        if self.frames is not None:
            least["frames"] = 1
        for name, value in least.items():
            if not getattr(self, name) >= value:
                raise RecipeError(f"{name} must be at least {value}, not {getattr(self, name)}.")
        if self.logprobs and self.mode == "pointwise":
            raise RecipeError("logprobs reads the probability of a verdict; a pointwise judge gives a score instead.")
        self._check_samples()

    def _check_samples(self) -> None:
        if self.samples == 1 and not self.swap_half:
            return
        if self.logprobs or self.mode == "pointwise":
            other = "logprobs, which has the probabilities from one answer" if self.logprobs else "mode pointwise"
            raise RecipeError(f"samples vote with their verdicts on two responses, which does not go with {other}.")
        if self.swap_half and self.samples % 2:
            raise RecipeError(f"swap_half needs an even number of samples, not {self.samples}: half in each order.")
        if self.temperature == 0 and self.samples > (2 if self.swap_half else 1):
            raise RecipeError(
                f"{self.samples} samples at temperature 0 would all be the same answer. Add a temperature to draw "
                "them with, such as --temperature 1."
            )

    def told(self, names: Iterable[str]) -> dict[str, object]:
        """The values of some options, by name, sorted: what identifies a run.

        How samples are drawn is left out where there is one: such runs are the same as before there could be more.
        """
        left_out = {"samples", "swap_half"} if self.samples == 1 else set()
        return {name: getattr(self, name) for name in sorted(set(names) - left_out)}


@dataclass(frozen=True, kw_only=True)
class JudgeOptions(AskOptions):
    """How a judge is asked, and how it is called. Each kind of judge reads some of them."""

    join_audio: float | None = None
    """Join the clips of one question into one, with so many seconds of silence between; each is sent alone when not
    given."""
    base_url: str = ""
    """Endpoint of an API judge, such as http://127.0.0.1:8000/v1; the environment's OPENAI_BASE_URL when empty."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the endpoint's key."""
    concurrency: int = 64
    """Most calls under way at once; fewer while the endpoint says that it is overloaded."""
    timeout: float = 120.0
    """Seconds that one try of a call may take."""
    tries: int = 8
    """Most tries of one call."""
    patience: float = 900.0
    """Most seconds for one call, all its tries and waits together."""
    budget: float | None = None
    """Most money for all that the file of calls holds of this model; needs both prices."""
    price_in: float | None = None
    """Price of a million prompt tokens."""
    price_out: float | None = None
    """Price of a million answer tokens."""
    calls: Path | None = None
    """File of finished calls; runs that name the same file pay once. By default calls.jsonl in the output folder."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("concurrency", "tries"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("timeout", "patience"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0 seconds, not {getattr(self, name)}.")
        for name in ("join_audio", "budget", "price_in", "price_out"):
            if (value := getattr(self, name)) is not None and not value >= 0:
                raise RecipeError(f"{name} must be at least 0, not {value}.")
        if self.budget is not None and (self.price_in is None or self.price_out is None):
            raise RecipeError("a budget needs prices: add --price-in and --price-out, for a million tokens each.")


SHOWING = frozenset({"frames", "views", "picture_side"})
ASKING = frozenset(field.name for field in fields(AskOptions)) - SHOWING - {"seed"}
CALLING = frozenset(field.name for field in fields(JudgeOptions)) - ASKING - SHOWING - {"seed"}
