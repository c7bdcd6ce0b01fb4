"""omnireward push: a trained model to the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import tyro

from omnireward.errors import MissingExtraError
from omnireward.verbs import parse, require_torch


@dataclass(frozen=True)
class PushConfig:
    """What goes where."""

    folder: tyro.conf.Positional[Path]
    """What 'omnireward train --out' wrote."""
    repo: tyro.conf.Positional[str]
    """OWNER/NAME on the Hub; made if it is not there."""
    report: tuple[Path, ...] = ()
    """Folders that 'omnireward evaluate --out' wrote: their figures go into the card. By default those in FOLDER."""
    license: str = ""
    """The licence's name on the Hub, such as apache-2.0. Mind those of the base model and of the data."""
    private: bool = False
    """Make the repository private; one that is there already must be."""
    revision: str | None = None
    """A branch, made if it is not there; the main one by default."""
    message: str = "Upload a reward model"
    """Of the commit."""
    dry_run: bool = False
    """Check the folder and say what would be sent."""


def run(words: list[str]) -> None:
    """Send a trained model to the Hugging Face Hub: its files and its card, nothing else.

    The folder is checked first. Checkpoints to resume from, logs and paths of this machine are not sent.
    The token is that of `hf auth login` or HF_TOKEN.

    Examples:
      omnireward push out/run OWNER/NAME --report out/report --dry-run
      omnireward push out/run OWNER/NAME --report out/report --private
    """
    config = parse("push", run, PushConfig, words)
    if find_spec("huggingface_hub") is None:
        raise MissingExtraError("the Hub", "hf")
    require_torch("opening a model's folder")
    from omnireward import push
    from omnireward.train.made import CARD

    ready = push.prepare(config.folder, config.repo, config.report, config.license, write=not config.dry_run)
    for name, size in {CARD: len(ready.card.encode()), **ready.files}.items():
        print(f"{size:>16,}  {name}")
    print(f"{ready.size:>16,}  bytes to {config.repo}")
    if config.dry_run:
        print("Nothing was sent. Leave out --dry-run to send it.")
        return
    address = push.send(ready, private=config.private, revision=config.revision, message=config.message)
    print(f"It is there: {address}")
