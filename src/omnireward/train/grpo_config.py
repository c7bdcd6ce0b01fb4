"""What training a judge by trial can be told. Importing this loads no torch, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from omnireward.errors import RecipeError
from omnireward.train.learning import Learning
from omnireward.types import Task
from omnireward.verdict_rewards import RewardTerms


@dataclass(frozen=True, slots=True)
class GRPOConfig(Learning):
    """Train a judge that writes (R1): it tries several answers to each question, and learns which kind is right.

    Defaults are the paper's (section 4.3), and EasyR1's where the paper says nothing.

    Example: omnireward grpo --recipe miniature_r1 --model runs/warm --out runs/judge
    """

    VERB: ClassVar[str] = "grpo"
    model: str = ""
    """The judge to begin with: a folder that `omnireward sft` wrote, a chat model's folder, or OWNER/REPO@REVISION."""
    datasets: dict[str, float] = field(default_factory=lambda: {"miniature": 1.0})
    """Where preferences come from, and how often an epoch shows each sample: PLACE WEIGHT [PLACE WEIGHT ...].
    A place is a dataset's name, NAME:LOCATION, or a folder. Samples that people tied are asked about too."""
    tasks: tuple[str, ...] = ()
    """Train on samples of these tasks only, such as `T2I T2V`; all by default."""
    criteria: Literal["all", "with", "without"] = "all"
    """Train on samples `with` a criterion only, or on those `without` one (overall quality); all by default."""
    share: float = 1.0
    """Use this share of the samples, chosen by a hash of their prompts: a smaller share is a part of a larger one."""
    critique: bool = True
    """Ask for a critique before the verdict; otherwise for the verdict alone."""
    ties: bool = True
    """Allow the verdict that neither response is better; without it, tied samples are left out."""
    tie_share: float = 1.0
    """Leave out tied samples, chosen by a hash, until they are at most this share of all. Where nearly half of the
    samples are ties, a judge earns most at first by calling everything one, and may never leave that."""
    rollouts: int = 6
    """Answers to each question, which are compared with one another: its group (paper: 6)."""
    orders: Literal["both", "drawn", "given"] = "both"
    """`both`: half of a group is asked with the responses swapped, so that a judge that likes a place better earns
    nothing by it; `drawn`: one order for each sample, by chance; `given`: as the data have it."""
    temperature: float = 1.0
    """Of drawing answers."""
    max_answer: int = 2_048
    """Most tokens of an answer; one that is cut off has no verdict, and earns nothing."""
    engine: Literal["own", "vllm"] = "own"
    """What writes the answers: our own code, or vLLM (extra `vllm`; one process with a GPU), which is faster for large
    models of text, Qwen2.5-VL and Qwen3-VL. It has not been run on a GPU yet."""
    vllm_memory: float = 0.3
    """Share of the GPU's memory that vLLM takes: a second copy of the weights, and keys and values."""
    format_weight: float = 0.1
    """Weight of the answer's form in its reward. What all these weights leave of 1 is that of the right verdict."""
    length_weight: float = 0.0
    """Weight of the critique's length: 1 from `shortest` to `longest` words, and less outside."""
    shortest: int = 0
    """Words of a critique from which on its length earns all."""
    longest: int = 0
    """Words of a critique up to which its length earns all; 0 for no limit."""
    language_weight: float = 0.0
    """Weight of the share of letters in the wanted script."""
    script: str = ""
    """The wanted script, such as `latin` or `han`; by default that of the criterion."""
    kl: float = 1e-2
    """Weight of the KL term (k3) to the judge that the run began with; 0 needs no second model."""
    clip_low: float = 0.2
    """How far below 1 a token's probability ratio may push."""
    clip_high: float = 0.3
    """How far above 1."""
    updates: int = 1
    """Optimizer steps for each round of answers. With more than one, answers are of a judge that has moved on since."""
    schedule: Literal["constant", "cosine"] = "constant"
    """The learning rate after its warm-up."""
    epochs: float = 2.0
    """How often the samples are gone through (paper: 2)."""
    batch_size: int = 1
    """Questions whose answers are computed together."""
    accumulation: int = 128
    """An optimizer step takes batch_size x accumulation questions, however many processes share them."""
    learning_rate: float = 1e-6
    """Peak learning rate (paper)."""
    weight_decay: float = 1e-2
    """AdamW's weight decay (paper)."""
    warmup: float = 0.0
    """Share of the steps in which the learning rate rises."""
    max_tokens: int = 16_384
    """Longest question. A longer one is a bad row; nothing is cut."""
    log_every: int = 1
    """Steps between lines of log.jsonl."""
    log_groups: int = 2
    """Groups of each logged step whose answers are kept in rollouts.jsonl and shown in log.html."""
    stop_on_collapse: bool = True
    """End the run with a reason when its figures say that nothing good comes any more."""

    @property
    def terms(self) -> RewardTerms:
        """What counts for how much in a reward. Raises RecipeError."""
        others = self.format_weight + self.length_weight + self.language_weight
        accuracy = max(0.0, 1.0 - others)
        if others > 1 + 1e-9:
            raise RecipeError(
                f"format_weight, length_weight and language_weight are together at most 1, not {others:g}: what they "
                "leave is the weight of the right verdict. Lower one of them."
            )
        try:
            return RewardTerms(
                accuracy=accuracy,
                format=self.format_weight,
                length=self.length_weight,
                language=self.language_weight,
                shortest=self.shortest,
                longest=self.longest,
                script=self.script,
            )
        except ValueError as error:
            raise RecipeError(f"the reward cannot be used: {error}") from error

    def __post_init__(self) -> None:
        Learning.__post_init__(self)  # `super()` does not know a class with slots
        self.at_least({"rollouts": 2, "max_answer": 1, "updates": 1, "log_groups": 0, "kl": 0, "clip_low": 0})
        self.at_least({"clip_high": 0})
        if not self.model:
            raise RecipeError(
                "grpo begins with a judge that finds the form of an answer at least now and then: give --model with a "
                "folder that `omnireward sft` wrote, a chat model's folder, or OWNER/REPO@REVISION."
            )
        if self.orders == "both" and self.rollouts % 2:
            raise RecipeError(
                f"with orders `both`, half of a group is asked in each order, so rollouts is even; got {self.rollouts}."
            )
        if not 0 < self.temperature < float("inf"):
            raise RecipeError(f"temperature must be above 0, not {self.temperature}: equal answers teach nothing.")
        for name in ("share", "tie_share"):
            if not 0 < getattr(self, name) <= 1:
                raise RecipeError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}.")
        if self.sharding != "none":
            raise RecipeError(
                f"grpo keeps the model whole in each process, so sharding is `none`, not {self.sharding!r}. For a "
                "model that is too large: --lora-rank with --frozen-weights bf16, or `data questions` and EasyR1."
            )
        if self.engine == "vllm":
            self._check_vllm()
        for task in self.tasks:
            Task.parse(task)  # raises, with the known names
        _ = self.terms
        if not self.critique and (self.length_weight or self.language_weight):
            raise RecipeError(
                "length_weight and language_weight are about the critique, and none is asked for; leave them out, or "
                "leave out --no-critique."
            )

    def _check_vllm(self) -> None:
        if not 0 < self.vllm_memory < 1:
            raise RecipeError(f"vllm_memory is a share of the GPU's memory, between 0 and 1; got {self.vllm_memory}.")
        if self.quantize != "none":
            raise RecipeError(f"the engine `vllm` takes whole weights, so quantize is `none`, not {self.quantize!r}.")
        if self.temperature < 0.01:
            raise RecipeError(f"vLLM draws at a temperature of 0.01 or more; got {self.temperature}.")
