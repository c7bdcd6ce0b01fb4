"""What every step is given that has a chat model write: who writes, how it is asked, what it is shown and may cost."""

from __future__ import annotations

from dataclasses import dataclass

from omnireward.construct.chats import check_chat
from omnireward.construct.money import Account
from omnireward.construct.running import Division
from omnireward.errors import RecipeError
from omnireward.judges import JudgeOptions

WRITER_CALLS, WRITER_ANSWERS = "calls-writer.jsonl", "answers-writer.jsonl"


@dataclass(frozen=True, slots=True)
class Model:
    """A chat model that a step asks.

    Attributes:
        name: ``api:MODEL`` or ``generative:FOLDER``.
        options: how it is asked and called.
        calls: the file of its calls in a part's folder, where it stands behind an endpoint.
        answers: the journal of its answers there, where it runs here.
    """

    name: str
    options: JudgeOptions
    calls: str
    answers: str

    def __post_init__(self) -> None:
        check_chat(self.name)

    @property
    def called(self) -> bool:
        """Whether it stands behind an endpoint, so that it can cost money."""
        return self.name.startswith("api:")


@dataclass(frozen=True, kw_only=True)
class WriterConfig(Division):
    """What is worked on, who writes, and how it is asked."""

    writer: str
    """Who writes: api:MODEL, or generative:FOLDER for a chat model here."""
    seed: int = 0
    """Draws which response is shown first and whatever else is drawn; sent with every call."""
    temperature: float = 0.7
    """Of the writer."""
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
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the writer's key."""
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
    batch_size: int = 16
    """Questions that a model here answers together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(batch_size=1)
        _ = self.models  # they check the rest

    def _at_least(self, **least: int) -> None:
        for name, value in least.items():
            if getattr(self, name) < value:
                raise RecipeError(f"{name} must be at least {value}, not {getattr(self, name)}.")

    @property
    def models(self) -> tuple[Model, ...]:
        """The chat models that are asked, the writer first."""
        return (Model(self.writer, self.writer_options, WRITER_CALLS, WRITER_ANSWERS),)

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
    def accounts(self) -> tuple[Account, ...]:
        """Files of calls in each part's folder."""
        called = [model for model in self.models if model.called]
        return tuple(Account(model.calls, model.options.price_in, model.options.price_out) for model in called)
