"""What a mixture is written as. A form says which samples it cannot hold, and writes the others.

A sample passes through a form twice: in its turn as a line, with its media kept in a store (lines are then sorted), and
in the mixture's order into a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from omnireward.media_store import MediaStore
from omnireward.types import Sample

FormName = Literal["samples", "parquet", "parquet-referenced", "omni-rewarddata"]
AS_SAMPLES = "`samples:FOLDER?split=NAME` names a split, and without one `train` is read"


class Writer(Protocol):
    """Writes a mixture's files."""

    def add(self, split: str, line: str) -> None:
        """Write a line of `Form.line` into a split."""

    def close(self) -> list[str]:
        """End all files; their names below the folder."""


class Form(Protocol):
    """A way to write samples.

    Attributes:
        embeds: media go into the files themselves, so what the store keeps is not part of the mixture.
        chosen_first: the preferred response must be `response_a`.
        read_as: how omnireward reads it, in words with marks of Markdown.
    """

    embeds: bool
    chosen_first: bool
    read_as: str

    def refuses(self, sample: Sample) -> str:
        """Why the form cannot hold the sample: one of a few reasons; empty if it can. Raises OSError."""

    def line(self, sample: Sample, store: MediaStore) -> str:
        """The sample as a line, newline included. Raises OSError."""

    def writer(self, folder: Path, media: Path) -> Writer:
        """Writes into a folder; `media` is what the store was given."""

    def data_files(self, split: str) -> list[tuple[str, str]]:
        """Names of configurations and the files of a split in each, as patterns, for a dataset card."""
