"""Made-up samples and mixtures for the tests of mixing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.mix_counts import Mixed
from omnireward.sample_rows import read_samples, write_samples
from omnireward.sources import BadRows
from omnireward.types import Comparison, Media, Part, Preference, Sample, Task, Text, Turn


def asked(words: str, answers: tuple[str, str] = ("yes", "no"), said: Preference = "a", **more: Any) -> Sample:
    """A question in words with two answers in words."""
    comparison = Comparison((Turn("user", (Text(words),)),), (Text(answers[0]),), (Text(answers[1]),))
    return replace(Sample(words[:20], Task.T2T, comparison, said, words[:20]), **more)


def drawn(words: str, pictures: tuple[str, str], said: Preference = "a", **more: Any) -> Sample:
    """A prompt with two pictures, which are told apart by name."""
    comparison = Comparison((Turn("user", (Text(words),)),), (picture(pictures[0]),), (picture(pictures[1]),))
    return replace(Sample(words[:20], Task.T2I, comparison, said, words[:20]), **more)


def seen(words: str, shown: Sequence[str], said: Preference = "a", **more: Any) -> Sample:
    """A question about pictures with two answers."""
    prompt: tuple[Part, ...] = (*map(picture, shown), Text(words))
    comparison = Comparison((Turn("user", prompt),), (Text("It is round."),), (Text("It is square."),))
    return replace(Sample(words[:20], Task.TI2T, comparison, said, words[:20]), **more)


def numbered(count: int, **more: Any) -> list[Sample]:
    """Questions in words, each another."""
    return [asked(f"Question {number} of {count}?", **more) for number in range(count)]


def random_world(seed: int, size: int) -> list[Sample]:
    """Samples that share prompts and media by chance, in chains."""
    rng = random.Random(seed)
    found: list[Sample] = []
    for number in range(size):
        kind = rng.randrange(3)
        name: dict[str, Any] = {"id": f"{seed}-{number}"}
        if kind == 0:
            found.append(asked(f"Q {rng.randrange(size)}", (f"{number}", "no"), **name))
        elif kind == 1:
            pictures = (f"p{rng.randrange(3 * size)}", f"p{rng.randrange(3 * size)} other")
            found.append(drawn(f"Draw {rng.randrange(size)}", pictures, **name))
        else:
            found.append(seen("Describe the image.", [f"p{rng.randrange(3 * size)}"], **name))
    return found


def picture(name: str) -> Media:
    """Something that begins like a PNG file."""
    return Media("image", b"\x89PNG" + name.encode())


def folder(where: Path, samples: Sequence[Sample]) -> str:
    """A folder of samples, as a place."""
    write_samples(samples, where)
    return f"samples:{where}"


def mixed(tmp_path: Path, *sources: Sequence[Sample], out: str = "out", **config: Any) -> Mixed:
    """Mix lists of samples with equal weights, each a folder ``s0``, ``s1``, …"""
    places = {folder(tmp_path / f"s{number}", samples): 1.0 for number, samples in enumerate(sources)}
    return mix(MixConfig(**{"sources": places, "out": tmp_path / out, **config}))


def written(out: Path, split: str = "train") -> list[Sample]:
    """A split of a mixture."""
    return list(read_samples(f"{out}?split={split}", BadRows()))


def everything(out: Path) -> dict[str, bytes]:
    """The bytes of all files of a folder."""
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def original(sample: Sample) -> str:
    """The id that a sample had in its source."""
    return sample.id.partition(":")[2]
