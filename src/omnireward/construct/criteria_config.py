"""What `omnireward construct criteria` is given."""

from __future__ import annotations

from dataclasses import dataclass, replace

from omnireward.construct.chats import check_chat
from omnireward.construct.drafts import Asking
from omnireward.construct.money import Account
from omnireward.construct.running import Division
from omnireward.errors import RecipeError
from omnireward.judges import JudgeOptions

WRITER_CALLS, CHECKER_CALLS = "calls-writer.jsonl", "calls-checker.jsonl"
WRITER_ANSWERS, CHECKER_ANSWERS = "answers-writer.jsonl", "answers-checker.jsonl"


@dataclass(frozen=True, kw_only=True)
class CriteriaConfig(Division):
    """What criteria are written for, by whom, how many, and where they go."""

    writer: str
    """Who writes: api:MODEL, or generative:FOLDER for a chat model here."""
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
    seed: int = 0
    """Draws which response is shown first and which side is asked for more; sent with every call."""
    temperature: float = 0.7
    """Of the writer; the checker always takes the likeliest token."""
    max_tokens: int = 512
    """Most tokens of one answer; an answer cut off is refused."""
    frames: int | None = None
    """Pictures of each video; by default 10 of one in the prompt and 5 of one in a response."""
    views: int = 4
    """Pictures of each 3D object."""
    picture_side: int = 768
    """Longest side of a picture that the models are shown, in pixels."""
    join_audio: float | None = None
    """Join the clips of one question into one, with so many seconds of silence between."""
    base_url: str = ""
    """The writer's endpoint, such as http://127.0.0.1:8000/v1; the environment's OPENAI_BASE_URL when empty."""
    checker_base_url: str = ""
    """The checker's endpoint; the writer's when empty."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the writer's key."""
    checker_api_key_env: str = ""
    """Environment variable that holds the checker's key; the writer's when empty."""
    concurrency: int = 64
    """Most calls under way at once, in all workers together."""
    timeout: float = 120.0
    """Seconds that one try of a call may take."""
    tries: int = 8
    """Most tries of one call."""
    patience: float = 900.0
    """Most seconds for one call, all its tries and waits together."""
    budget: float | None = None
    """Most money for all parts, runs and shards together; needs prices."""
    price_in: float | None = None
    """Price of a million prompt tokens of the writer."""
    price_out: float | None = None
    """Price of a million answer tokens of the writer."""
    checker_price_in: float | None = None
    """Price of a million prompt tokens of the checker; the writer's when not given."""
    checker_price_out: float | None = None
    """Price of a million answer tokens of the checker; the writer's when not given."""
    batch_size: int = 16
    """Questions that a model here answers together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_chat(self.writer)
        if self.checker:
            check_chat(self.checker)
        least = {"favour_a": 0, "favour_b": 0, "ties": 0, "most": 1, "same_per_prompt": 0, "batch_size": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise RecipeError(f"{name} must be at least {value}, not {getattr(self, name)}.")
        if not 0 < self.favour_a + self.favour_b + self.ties <= 32:
            raise RecipeError("nothing or too much is asked for: favour_a, favour_b and ties are 1 to 32 together.")
        _ = self.writer_options, self.checker_options  # they check the rest

    @property
    def asking(self) -> Asking:
        """How many criteria each sample is asked for."""
        return Asking(self.favour_a, self.favour_b, self.ties, self.keep_preference, self.balance, self.seed)

    @property
    def writer_options(self) -> JudgeOptions:
        """How the writer is asked and called."""
        return JudgeOptions(
            seed=self.seed,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            frames=self.frames,
            views=self.views,
            picture_side=self.picture_side,
            join_audio=self.join_audio,
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            concurrency=max(1, self.concurrency // self.workers),
            timeout=self.timeout,
            tries=self.tries,
            patience=self.patience,
            budget=self.budget,
            price_in=self.price_in,
            price_out=self.price_out,
        )

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

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Files of calls in each part's folder."""
        found = []
        for name, file, options in (
            (self.writer, WRITER_CALLS, self.writer_options),
            (self.checker, CHECKER_CALLS, self.checker_options),
        ):
            if name.startswith("api:"):
                found.append(Account(file, options.price_in, options.price_out))
        return tuple(found)
