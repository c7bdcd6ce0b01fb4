"""What `omnireward construct criteria` is given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omnireward.construct.drafts import Asking
from omnireward.construct.writer_config import Model, WriterConfig
from omnireward.errors import RecipeError
from omnireward.judges import JudgeOptions

CHECKER_CALLS, CHECKER_ANSWERS = "calls-checker.jsonl", "answers-checker.jsonl"


@dataclass(frozen=True, kw_only=True)
class CriteriaConfig(WriterConfig):
    """What criteria are written for, by whom, how many, and where they go."""

    temperature: float = 0.7
    """Of the writer; the checker always takes the likeliest token."""
    favour_a: int = 1
    """Criteria under which response a is better, for each sample."""
    favour_b: int = 1
    """Criteria under which response b is better."""
    ties: int = 0
    """Criteria under which neither is better."""
    most: int = 2
    """Most times that the writer is asked for one sample."""
    keep_preference: bool = False
    """Ask only for criteria in favour of what the source prefers, as the paper did."""
    balance: bool = True
    """Exchange favour-a and favour-b for half of the samples, so that the whole favours neither side."""
    same_per_prompt: int = 1
    """Samples of one prompt that may share a criterion, word for word; 0 for any number."""
    checker: str = ""
    """A second model that is asked whether each criterion is vague, over-specific or leaking; none when empty."""
    checker_base_url: str = ""
    """The checker's endpoint; the writer's when empty."""
    checker_api_key_env: str = ""
    """Environment variable that holds the checker's key; the writer's when empty."""
    checker_price_in: float | None = None
    """Price of a million prompt tokens of the checker; the writer's when not given."""
    checker_price_out: float | None = None
    """Price of a million answer tokens of the checker; the writer's when not given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(favour_a=0, favour_b=0, ties=0, most=1, same_per_prompt=0)
        if not 0 < self.favour_a + self.favour_b + self.ties <= 32:
            raise RecipeError("nothing or too much is asked for: favour_a, favour_b and ties are 1 to 32 together.")

    @property
    def asking(self) -> Asking:
        """How many criteria each sample is asked for."""
        return Asking(self.favour_a, self.favour_b, self.ties, self.keep_preference, self.balance, self.seed)

    @property
    def models(self) -> tuple[Model, ...]:
        """The writer, and the checker if there is one."""
        if not self.checker:
            return super().models
        return (*super().models, Model(self.checker, self.checker_options, CHECKER_CALLS, CHECKER_ANSWERS))

    @property
    def checker_options(self) -> JudgeOptions:
        """How the checker is asked and called."""
        return replace(
            self.writer_options,
            temperature=0.0,
            base_url=self.checker_base_url or self.base_url,
            api_key_env=self.checker_api_key_env or self.api_key_env,
            price_in=self.price_in if self.checker_price_in is None else self.checker_price_in,
            price_out=self.price_out if self.checker_price_out is None else self.checker_price_out,
        )
