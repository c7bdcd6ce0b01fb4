"""What is nearly in a benchmark is left out, and what is nearly alike stays in one split."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.construct.mix_samples import asked, folder, mixed, original, written

from omnireward.errors import SourceError
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

pytest.importorskip("imagehash")
pytest.importorskip("datasketch")


def drawing(seed: int) -> Image.Image:
    """Coarse random blocks, smoothed: unlike any other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, form: str, side: int = 128) -> Media:
    file = io.BytesIO()
    picture.resize((side, side)).save(file, form, **({"quality": 60} if form == "JPEG" else {}))
    return Media("image", file.getvalue())


def shown(name: str, a: Media, b: Media) -> Sample:
    return Sample(name, Task.T2I, Comparison((Turn("user", (Text(name),)),), (a,), (b,)), "a", name)


LONG = "Write a short story about a lighthouse keeper who finds a letter in a bottle and decides to answer it at once"


def test_near_things_are_left_out(tmp_path: Path) -> None:
    benchmark = [shown("bench", encoded(drawing(0), "PNG"), encoded(drawing(1), "PNG")), asked(LONG + ".", id="long")]
    samples = [
        shown("small copy", encoded(drawing(0), "JPEG", 96), encoded(drawing(2), "PNG")),
        shown("new", encoded(drawing(3), "PNG"), encoded(drawing(4), "PNG")),
        asked(LONG + " today.", id="reworded"),
        asked("Name a river.", id="other words"),
    ]
    place = folder(tmp_path / "bench", benchmark)
    exact = mixed(tmp_path, samples, benchmarks=(place,), out="exact")
    assert exact.samples == 4
    found = mixed(tmp_path, samples, benchmarks=(place,), near=True)
    assert sorted(map(original, written(tmp_path / "out"))) == ["new", "other words"]
    assert dict(found.reasons()) == {"is nearly in samples:bench": 2}


def test_near_things_stay_in_one_split(tmp_path: Path) -> None:
    """Six copies of one drawing, each encoded and sized in another way, and six other drawings."""
    copies = [
        shown(f"copy {n}", encoded(drawing(0), "JPEG", 80 + 8 * n), encoded(drawing(9 + n), "PNG")) for n in range(6)
    ]
    others = [shown(f"other {n}", encoded(drawing(20 + n), "PNG"), encoded(drawing(40 + n), "PNG")) for n in range(6)]
    for near in (False, True):
        mixed(tmp_path, [*copies, *others], out=f"{near}", splits={"train": 0.5, "test": 0.5}, near=near)
        copied = {
            split: sum("copy" in one.id for one in written(tmp_path / f"{near}", split)) for split in ("train", "test")
        }
        assert (0 in copied.values()) is near


def test_a_medium_that_cannot_be_decoded_stops_or_is_counted(tmp_path: Path) -> None:
    broken = shown("broken", Media("image", b"\x89PNG nothing"), encoded(drawing(0), "PNG"))
    with pytest.raises(SourceError, match=r"sample 0 \('broken'\)"):
        mixed(tmp_path, [broken, asked("fine")], near=True)
    found = mixed(tmp_path, [broken, asked("fine")], out="skipped", near=True, skip_bad_rows=True)
    assert dict(found.reasons()) == {"a medium cannot be decoded": 1}
