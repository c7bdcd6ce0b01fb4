"""What `omnireward construct verify` is given."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from omnireward import provenance
from omnireward.construct.money import Account
from omnireward.construct.running import Division
from omnireward.construct.verdicts import Rule
from omnireward.errors import RecipeError
from omnireward.judges import JudgeOptions, judge_kind


@dataclass(frozen=True, kw_only=True)
class VerifyConfig(Division):
    """Whose samples are verified, by whom, and what is kept. Several endpoints or prices: one for all, or one each."""

    verifiers: tuple[str, ...]
    """Judges, such as api:MODEL, generative:FOLDER or reward:FOLDER. 'omnireward list' shows the kinds."""
    rule: Rule = "unanimity"
    """Keep what all verifiers say (unanimity), or what more than half of all of them say (majority)."""
    seed: int = 0
    """Sent with every call; part of what identifies a verifier."""
    critique: bool = True
    """Ask for a critique before the verdict; otherwise for the verdict alone."""
    temperature: float = 0.0
    """Of sampling; 0 takes the likeliest token."""
    max_tokens: int = 1024
    """Most tokens of one answer; an answer cut off has no verdict."""
    frames: int | None = None
    """Pictures of each video; by default 10 of one in the prompt and 5 of one in a response."""
    views: int = 4
    """Pictures of each 3D object."""
    picture_side: int = 768
    """Longest side of a picture that verifiers are shown, in pixels."""
    join_audio: float | None = None
    """Join the clips of one question into one, with so many seconds of silence between."""
    base_urls: tuple[str, ...] = ()
    """Endpoints of API verifiers; the environment's OPENAI_BASE_URL when there are none."""
    api_key_envs: tuple[str, ...] = ("OPENAI_API_KEY",)
    """Environment variables that hold the endpoints' keys."""
    concurrency: int = 64
    """Most calls under way at once, in all workers together."""
    timeout: float = 120.0
    """Seconds that one try of a call may take."""
    tries: int = 8
    """Most tries of one call."""
    patience: float = 900.0
    """Most seconds for one call, all its tries and waits together."""
    budget: float | None = None
    """Most money for all verifiers, parts, runs and shards together; needs prices."""
    prices_in: tuple[float, ...] = ()
    """Prices of a million prompt tokens."""
    prices_out: tuple[float, ...] = ()
    """Prices of a million answer tokens."""
    batch_size: int = 16
    """Samples judged together by judges that compute here."""

    def __post_init__(self) -> None:
        super().__post_init__()
        count = len(self.verifiers)
        if not count:
            raise RecipeError("verification needs a verifier: --verifiers api:MODEL, or several.")
        for name in ("base_urls", "api_key_envs", "prices_in", "prices_out"):
            if len(getattr(self, name)) not in (0, 1, count):
                raise RecipeError(
                    f"{name} has {len(getattr(self, name))} values for {count} verifiers; give one for all, or {count}."
                )
        if self.batch_size < 1:
            raise RecipeError(f"batch_size must be at least 1, not {self.batch_size}.")
        asked = [(name, self._of("base_urls", place, "")) for place, name in enumerate(self.verifiers)]
        if len(set(asked)) < count:
            raise RecipeError("a verifier is named twice; it would say the same twice and count for two.")
        for place in range(count):
            _ = self.options(place, None, self.budget)  # it checks the rest

    def options(self, place: int, calls: Path | None, budget: float | None) -> JudgeOptions:
        """How a verifier is asked and called: what its kind of judge reads, and the defaults elsewhere."""
        reads = judge_kind(self.verifiers[place]).reads | {"seed"}
        given = {
            "seed": self.seed,
            "critique": self.critique,
            "ties": True,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "frames": self.frames,
            "views": self.views,
            "picture_side": self.picture_side,
            "join_audio": self.join_audio,
            "base_url": self._of("base_urls", place, ""),
            "api_key_env": self._of("api_key_envs", place, "OPENAI_API_KEY"),
            "concurrency": max(1, self.concurrency // self.workers),
            "timeout": self.timeout,
            "tries": self.tries,
            "patience": self.patience,
            "budget": budget,
            "price_in": self._of("prices_in", place, None),
            "price_out": self._of("prices_out", place, None),
            "calls": calls,
        }
        known = {field.name for field in fields(JudgeOptions)}
        return JudgeOptions(**{name: value for name, value in given.items() if name in known & reads})

    @property
    def labels(self) -> tuple[str, ...]:
        """What verifiers are called in results: their names, numbered where one stands behind several endpoints."""
        names = [provenance.portable(name, self.out) for name in self.verifiers]
        return tuple(f"{name}#{i}" if names.count(name) > 1 else name for i, name in enumerate(names))

    @property
    def accounts(self) -> tuple[Account, ...]:
        """A file of calls for each verifier, in order; judges that compute here write none, and cost nothing."""
        found = []
        for place, name in enumerate(self.verifiers):
            free = None if "calls" in judge_kind(name).reads else 0.0
            prices = (self._of(given, place, None) if free is None else free for given in ("prices_in", "prices_out"))
            found.append(Account(calls_file(place), *prices))
        return tuple(found)

    def _of(self, name: str, place: int, default: Any) -> Any:
        values = getattr(self, name)
        return default if not values else values[place] if len(values) > 1 else values[0]


def calls_file(place: int) -> str:
    """The file of a verifier's calls in a part's folder."""
    return f"calls-{place}.jsonl"


def judgements_file(place: int) -> str:
    """The journal of a verifier's judgements in a part's folder."""
    return f"judgements-{place}.jsonl"
