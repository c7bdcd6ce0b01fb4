"""A checkpoint written for other programs, and read back by them before it is called done.

As a sequence-classification checkpoint it loads with transformers' own class, and with what builds on it. That class
has a head without a bias: the bias is noted in config.json, and rewards are lower by it, all alike. As `published` it
is the plain folder: adapters merged, a head from elsewhere in a file of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from omnireward import __version__
from omnireward.errors import CheckpointError, RecipeError
from omnireward.generation.loading import MISREAD
from omnireward.miniature.world import World, samples
from omnireward.model_card import plain
from omnireward.prompts import conversation
from omnireward.reward_model import SIDES, RewardModel
from omnireward.types import Task, Turn

Target = Literal["sequence-classification", "published"]
TOLERANCE = 1e-5  # of rewards in float32, relative to those above 1
CHECKED = 6  # comparisons
CARD = """\
---
library_name: transformers
pipeline_tag: text-classification
tags: [reward-model, preference]
---
# Reward model

A `{architecture}` with one label, the reward of a conversation's last turn. A criterion {where}.

```python
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model, tokenizer = AutoModelForSequenceClassification.from_pretrained("."), AutoTokenizer.from_pretrained(".")
turns = [{{"role": "user", "content": "Tell me about tea."}}, {{"role": "assistant", "content": "..."}}]
ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
print(model(torch.tensor([ids])).logits[0, 0])
```

Rewards are those of omnireward minus the bias of its head, {bias:+}; differences between rewards are the same.{base}

Converted by omnireward {version} and checked: {rows} rewards of transformers agree with its own within {error:.1e}, in
float32.
"""


@runtime_checkable
class Classifiable(Protocol):
    """A backbone of a family that has a sequence-classification class in transformers."""

    @property
    def chat_template(self) -> str:
        """The chat template with its clock stopped."""

    @property
    def takes_system(self) -> bool:
        """Whether a criterion is a turn of its own."""

    def save_classifier(self, folder: Path, score: Tensor, bias: float) -> None:
        """Write a checkpoint of that class."""

    def messages(self, conversation: tuple[Turn, ...]) -> list[dict[str, str]]:
        """A conversation as `apply_chat_template` takes it."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written, for whoever reports it.

    Attributes:
        what: in words.
        bias: that is not in its rewards; 0 where it is.
        rows: rewards that were compared with transformers' own; 0: none.
        error: the largest difference.
        left_out: a sentence about parts of the model that are not in it; empty where none is.
    """

    what: str
    bias: float = 0.0
    rows: int = 0
    error: float = 0.0
    left_out: str = ""


def convert(model: str, out: Path, to: Target) -> Converted:
    """Write a checkpoint anew into a folder, which appears when all is done and checked.

    Args:
        model: a folder, or OWNER/REPO@REVISION.
        out: a folder that does not exist, or is empty.
        to: what to write.

    Raises:
        RecipeError: there is something in `out`.
        CheckpointError: the model cannot be read, its family has no such class, or transformers gives other rewards.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RecipeError(f"{out} exists already and is not an empty folder; choose another.")
    loaded = RewardModel.load(model).merge().eval()
    loaded.requires_grad_(False)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.absolute().parent, prefix=".converting-") as temporary:
        folder = Path(temporary) / "checkpoint"
        if to == "published":
            loaded.save(folder)
            converted = Converted(f"a plain {loaded.family} folder with its head in a file of its own")
        else:
            converted = _classifier(loaded, folder)
        os.replace(folder, out)  # noqa: PTH105 - onto an empty folder, too
    return converted


def _classifier(model: RewardModel, folder: Path) -> Converted:
    backbone = model.backbone
    if not isinstance(backbone, Classifiable):
        raise CheckpointError(
            f"transformers has no sequence-classification class for the family {model.family!r}, which reads media. "
            "What can be done: --to published writes the plain folder, with adapters merged; and others get its "
            "rewards over HTTP from: omnireward serve --judge reward:FOLDER"
        )
    weight, bias = model.head.weight.detach(), float(model.head.bias)
    backbone.save_classifier(folder, weight, bias)
    rows = list(islice(_rows(model), 2 * CHECKED))
    model.to(torch.float32)  # what is written is read in float32 below
    expected = model.score([model.encode_turns(turns) for turns in rows]) - bias
    try:
        named, found = _by_transformers(folder, backbone, model, rows)
    except MISREAD as error:
        if isinstance(error, CheckpointError):
            raise
        problem = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"transformers cannot read what was written: {problem} Nothing is kept.") from error
    difference = float((found - expected).abs().max())
    if not bool(((found - expected).abs() <= TOLERANCE * expected.abs().clamp(min=1.0)).all()):
        raise CheckpointError(
            f"{named} of transformers gives other rewards than the model: they differ by up to {difference:.2e}, where "
            f"{TOLERANCE:.0e} is expected. Nothing was written."
        )
    where = "is the system turn" if backbone.takes_system else "begins the first user turn, before a blank line"
    base = f"\n\nIts weights were trained from {plain(model.base)}." if model.base else ""
    left_out = _left_out(model)
    base = f" {left_out}{base}" if left_out else base
    card = CARD.format(
        architecture=named, where=where, bias=bias, base=base, version=__version__, rows=len(rows), error=difference
    )
    (folder / "README.md").write_text(card)
    return Converted(f"a {named} of transformers", bias, len(rows), difference, left_out)


def _left_out(model: RewardModel) -> str:
    """A sentence about what the class has no place for; empty: nothing."""
    there = {"its tie head": model.ties, "what says how familiar a response is": model.uncertainty}
    named = " and ".join(what for what, value in there.items() if value is not None)
    return f"Of the model, {named} {'are' if ' and ' in named else 'is'} not in it." if named else ""


def _rows(model: RewardModel) -> Iterator[tuple[Turn, ...]]:
    """Conversations of text, with criteria."""
    for sample in samples(World(prompts=CHECKED), "test"):
        if sample.task is Task.T2T:
            yield from (conversation(sample.comparison, side, model.layout) for side in SIDES)


def _by_transformers(
    folder: Path, backbone: Classifiable, model: RewardModel, rows: list[tuple[Turn, ...]]
) -> tuple[str, Tensor]:
    """The class's name and its rewards of the rows, (rows,) float32; token ids are checked on the way."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    classifier: Any = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False, local_files_only=True
    )
    classifier.eval()
    found = []
    for turns in rows:
        said, template = backbone.messages(turns), backbone.chat_template
        ids = tokenizer.apply_chat_template(said, chat_template=template, tokenize=True, return_dict=False)
        if ids != model.encode_turns(turns).row.ids.tolist():
            raise CheckpointError(
                f"transformers' {type(tokenizer).__name__} makes other token ids of {said} than tokenizer.json does, "
                "so its rewards would be others. Nothing was written. Is all in tokenizer_config.json right?"
            )
        with torch.no_grad():
            found.append(classifier(torch.tensor([ids])).logits[0, 0])
    return type(classifier).__name__, torch.stack(found)
