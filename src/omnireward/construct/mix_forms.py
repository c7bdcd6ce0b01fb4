"""The forms that a mixture can be written as, and the plainest of them: a folder of samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from omnireward.construct.mix_form import AS_SAMPLES, Form, FormName, Writer
from omnireward.construct.omni_rewarddata_json import OmniRewardData
from omnireward.construct.parquet_samples import ParquetSamples
from omnireward.media_store import MediaStore
from omnireward.sample_rows import line
from omnireward.types import Sample


def form_of(name: FormName) -> Form:
    """The form of a name."""
    forms: Mapping[FormName, Form] = {
        "samples": SampleLines(),
        "parquet": ParquetSamples(embeds=True),
        "parquet-referenced": ParquetSamples(embeds=False),
        "omni-rewarddata": OmniRewardData(),
    }
    return forms[name]


class SampleLines:
    """A folder of samples (`sample_rows`): ``samples-SPLIT.jsonl``."""

    embeds = False
    chosen_first = False
    read_as = AS_SAMPLES

    def refuses(self, sample: Sample) -> str:  # noqa: ARG002
        """Every sample can be held."""
        return ""

    def line(self, sample: Sample, store: MediaStore) -> str:
        """The line as it stands in the file."""
        return line(sample, store.keep)

    def writer(self, folder: Path, media: Path) -> Writer:  # noqa: ARG002
        """A file for each split."""
        return _LineFiles(folder)

    def data_files(self, split: str) -> list[tuple[str, str]]:
        """One file."""
        return [("default", f"samples-{split}.jsonl")]


class _LineFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, TextIO] = {}

    def add(self, split: str, line: str) -> None:
        name = f"samples-{split}.jsonl"
        if name not in self._files:
            self._files[name] = (self._folder / name).open("w", encoding="utf-8", newline="\n")
        self._files[name].write(line)

    def close(self) -> list[str]:
        for file in self._files.values():
            file.close()
        return sorted(self._files)
