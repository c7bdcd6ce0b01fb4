"""What every training run can be told: which model, which of its parts learn and how fast, and how it is watched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from omnireward.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Learning:
    """The fields that training verbs share."""

    VERB: ClassVar[str]
    BEFORE: ClassVar[Mapping[str, object]] = {}
    """What a config of an older version means that lacks a field, where that is not the field's default."""
    out: Path
    """Folder for the checkpoint, the log and the resolved config."""
    model: str = "tiny"
    """A checkpoint folder, OWNER/REPO@REVISION on the Hub, or `tiny`: the default backbone with a small config and
    random weights; `tiny:FAMILY` is that of another family."""
    freeze: tuple[str, ...] = ("vision", "audio")
    """Parts to keep as they are: `vision` and `audio` (each with what joins it to the language model), `projectors`
    (the joints alone), `llm`. While both towers are frozen, each medium's embeddings are computed once."""
    thaw: tuple[str, ...] = ()
    """Parts of frozen ones to train all the same: `--freeze vision audio --thaw projectors`."""
    learning_rates: dict[str, float] = field(default_factory=dict)
    """Peak learning rates of parts (`head` is one) that are not to have `learning_rate`: PART RATE [PART RATE ...]."""
    lora_rank: int = 0
    """Train adapters of this rank (LoRA) instead of the weights of `lora_targets`; 0 trains the weights themselves.
    The head is trained and saved either way. Adapters want a higher learning rate, such as 1e-4."""
    lora_alpha: float | None = None
    """Adapters are scaled by this over their rank; twice the rank by default."""
    lora_dropout: float = 0.0
    """Dropout on what adapters read."""
    lora_targets: tuple[str, ...] = ("llm",)
    """Where adapters go: linear layers of parts, or those of the language model by name, such as `q_proj v_proj`."""
    quantize: Literal["none", "4bit"] = "none"
    """`4bit` keeps the language model's linear layers in 4 bits (NF4) under adapters (QLoRA); needs bitsandbytes."""
    frozen_weights: Literal["fp32", "bf16"] = "fp32"
    """What weights are kept in that are not trained. `bf16` halves their memory. Trained weights, adapters and the head
    are kept in fp32: steps as small as fine-tuning's would be lost in bfloat16."""
    gradient_checkpointing: bool = False
    """Compute layers again in the backward pass instead of keeping what they computed: less memory, about a third more
    time. Changes nothing that is learned."""
    steps: int | None = None
    """Stop after this many optimizer steps, whatever `epochs` says."""
    epochs: float = 2.0
    """How often the data are gone through (paper app. G: 2)."""
    batch_size: int = 1
    """Samples of one optimizer step, together with `accumulation`."""
    accumulation: int = 64
    """An optimizer step takes batch_size x accumulation samples (paper: 1 x 16 x 4 devices), however many processes
    share them: a recipe means the same on one device and on many."""
    sharding: Literal["none", "fsdp", "zero2"] = "none"
    """What several processes split: `none` keeps the model whole in each (DDP); `fsdp` splits weights, gradients and
    optimizer (FSDP2); `zero2` splits gradients and optimizer (DeepSpeed)."""
    tokens_per_pass: int = 8_192
    """A step's samples are spread over passes of at most so many tokens, what rows share counted once. Changes memory
    and speed, not what is learned. With several processes: of each."""
    learning_rate: float = 2e-6
    """Peak learning rate (paper app. G)."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` for the matrices of the layers (their rate is then 10 times `learning_rate`) learns small models from
    random weights in fewer steps."""
    weight_decay: float = 1e-3
    """AdamW's weight decay (paper app. G)."""
    warmup: float = 1e-3
    """Share of the steps in which the learning rate rises, before its cosine (paper app. G)."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them as they are."""
    max_tokens: int = 18_000
    """Longest response with its prompt (paper app. G: 18,000). A longer one is a bad row; nothing is cut."""
    bf16: bool = False
    """Compute in bfloat16 under autocast. What weights are kept in is another matter: `frozen_weights`."""
    seed: int = 0
    """Decides weights, order and everything else that is drawn."""
    save_every: int = 0
    """Steps between checkpoints to resume from; two are kept. 0 makes one only when the run is told to stop."""
    resume: bool = False
    """Go on from the newest whole checkpoint in `out`; begin from the start where there is none yet."""
    log_every: int = 10
    """Steps between lines of log.jsonl."""
    report_to: str = "none"
    """Trackers besides log.jsonl, by the names that transformers uses: tensorboard, wandb, mlflow, trackio, ..."""
    skip_bad_rows: bool = False
    """Count rows that cannot be used and go on, instead of stopping at the first."""
    limit: int | None = None
    """Read at most this many samples from each dataset, of those that `tasks` and `criteria` choose."""

    @property
    def taught(self) -> bool:
        """Whether the model learns something else first, so that the run begins with weights of its own."""
        return False

    @property
    def per_step(self) -> int:
        """Samples of an optimizer step, over all processes."""
        return self.batch_size * self.accumulation

    def __post_init__(self) -> None:
        self.at_least({"batch_size": 1, "accumulation": 1, "log_every": 1, "max_tokens": 1, "tokens_per_pass": 1})
        self.at_least({"epochs": 0, "learning_rate": 0})
        self.at_least({"lora_rank": 0, "lora_dropout": 0, "max_grad_norm": 0})
        self.at_least({"save_every": 0, "weight_decay": 0, "warmup": 0})
        self.below_one("lora_dropout", "warmup")
        self._check_tuning()
        if self.optimizer == "muon" and self.learning_rates:
            raise RecipeError("learning_rates are AdamW's; with --optimizer muon there is one learning_rate.")
        if self.optimizer == "muon" and self.sharding != "none":
            raise RecipeError(f"--optimizer muon takes whole matrices, so sharding is none, not {self.sharding!r}.")
        if self.steps is not None and self.steps < 1:
            raise RecipeError(f"steps must be at least 1, not {self.steps}; leave it out to train for `epochs`.")
        if self.steps is None and not 0 < self.epochs < float("inf"):
            raise RecipeError(f"epochs must be above 0 and finite, not {self.epochs}, or give steps.")

    def at_least(self, least: Mapping[str, float]) -> None:
        """Refuse fields below their least value. Raises RecipeError."""
        for name, floor in least.items():
            if not getattr(self, name) >= floor:
                raise RecipeError(f"{name} must be at least {floor}, not {getattr(self, name)}.")

    def below_one(self, *names: str) -> None:
        """Refuse shares of one and more. Raises RecipeError."""
        for name in names:
            if not getattr(self, name) < 1:
                raise RecipeError(f"{name} is a share and must be below 1, not {getattr(self, name)}.")

    def _check_tuning(self) -> None:
        for part, rate in self.learning_rates.items():
            if not 0 < rate < float("inf"):
                raise RecipeError(
                    f"learning_rates must be above 0; {part} has {rate}. Freeze what is to stay as it is."
                )
        if self.lora_alpha is not None and not self.lora_alpha > 0:
            raise RecipeError(f"lora_alpha must be above 0, not {self.lora_alpha}: adapters would change nothing.")
        if not self.lora_rank:
            unused = {"quantize": "none", "lora_alpha": None, "lora_dropout": 0.0, "lora_targets": ("llm",)}
            for name, default in unused.items():
                if getattr(self, name) != default:
                    raise RecipeError(f"{name} is about adapters, and there are none; give lora_rank, such as 16.")
        elif not self.lora_targets:
            raise RecipeError("lora_targets is empty, so no layer would have an adapter; name parts or layers.")
