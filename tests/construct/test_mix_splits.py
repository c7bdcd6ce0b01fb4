"""Splits share nothing, and sides are balanced in each."""

from __future__ import annotations

import random
from itertools import combinations
from pathlib import Path

import pytest
from tests.construct.mix_samples import (
    asked,
    drawn,
    mixed,
    numbered,
    random_world,
    seen,
    written,
)

from omnireward.fingerprints.texts import normalised
from omnireward.types import Media, Sample, Task, Text


def content(media: Media) -> bytes:
    (piece,) = media.pieces()
    return piece if isinstance(piece, bytes) else piece.read_bytes()


def keys(sample: Sample) -> set[object]:
    """What two splits must not share, told another way than the code tells it."""
    comparison = sample.comparison
    asked_for = [part for turn in comparison.prompt for part in turn.content]
    parts = [*asked_for, *comparison.response_a, *comparison.response_b]
    words = "\n".join(part.text for part in asked_for if isinstance(part, Text))
    shown = tuple(content(part) for part in asked_for if isinstance(part, Media))
    return {("prompt", normalised(words), shown), *(content(part) for part in parts if isinstance(part, Media))}


def test_splits_share_nothing_and_have_their_shares(tmp_path: Path) -> None:
    """Brute force over all pairs of samples in different splits."""
    shares = {"train": 0.7, "validation": 0.2, "test": 0.1}
    found = mixed(tmp_path, random_world(1, 120), random_world(2, 120), splits=shares)
    parts = {split: written(tmp_path / "out", split) for split in shares}
    for one, other in combinations(parts, 2):
        for left in parts[one]:
            for right in parts[other]:
                assert not keys(left) & keys(right)
    for split, share in shares.items():
        assert len(parts[split]) == pytest.approx(share * found.samples, abs=0.06 * found.samples)


def test_generic_prompts_do_not_tie_their_pictures_together(tmp_path: Path) -> None:
    """All ask the same about different pictures: half of them can go anywhere. One picture in all of them cannot."""
    generic = [seen("Describe the image.", [f"{n}"], id=str(n)) for n in range(40)]
    mixed(tmp_path, generic, splits={"train": 0.5, "test": 0.5})
    assert len(written(tmp_path / "out", "test")) == 20
    glued = [seen(f"What is thing {n}?", ["same"], id=str(n)) for n in range(40)]
    mixed(tmp_path, glued, out="glued", splits={"train": 0.6, "test": 0.4})
    assert list((tmp_path / "glued").glob("*.jsonl")) == [tmp_path / "glued" / "samples-train.jsonl"]


def test_a_long_chain_stays_together(tmp_path: Path) -> None:
    """Sample n shares a picture with n + 1 and nothing else: 60 links, and 60 samples alone."""
    chain = [drawn(f"Draw {n}", (f"link {n}", f"link {n + 1}"), id=f"chain {n}") for n in range(60)]
    random.Random(0).shuffle(chain)
    mixed(tmp_path, [*chain, *numbered(60)], splits={"train": 0.75, "test": 0.25})
    chains = {split: sum("chain" in one.id for one in written(tmp_path / "out", split)) for split in ("train", "test")}
    assert chains == {"train": 60, "test": 0}
    assert len(written(tmp_path / "out", "test")) == 30


def test_large_components_are_split_to_within_half_of_one(tmp_path: Path) -> None:
    """Ten prompts of ten samples each: no cell has room for one in a split of 15, and one is nearest to 15 (or two)."""
    groups = [asked(f"Q{group}", (f"{n}", "no"), id=f"{group} {n}") for group in range(10) for n in range(10)]
    mixed(tmp_path, groups, splits={"train": 0.85, "test": 0.15})
    assert len(written(tmp_path / "out", "test")) in (10, 20)


def test_sides_are_balanced_to_within_one(tmp_path: Path) -> None:
    """Everywhere a is preferred, but for ties, which are left alone."""
    first = [asked(f"Q{n}", said="tie" if n % 5 == 0 else "a") for n in range(61)]
    second = [drawn(f"D{n}", (f"{n}", f"{n}'")) for n in range(33)]
    found = mixed(tmp_path, first, second, splits={"train": 0.7, "test": 0.3})
    assert all(abs(portion.a - portion.b) <= 1 for portion in found.portions)
    assert abs(sum(portion.a - portion.b for portion in found.portions)) <= 1
    samples = [*written(tmp_path / "out"), *written(tmp_path / "out", "test")]
    for one in samples:
        best = one.comparison.response_a if one.preference == "a" else one.comparison.response_b
        if one.task is Task.T2T and one.preference != "tie":
            assert best == (Text("yes"),)
        assert ("swapped" in one.provenance) == (one.preference == "b")
    assert sum(one.preference == "tie" for one in samples) == 13


def test_sides_can_be_left_alone(tmp_path: Path) -> None:
    assert mixed(tmp_path, numbered(9), balance=False).portions[0].a == 9
