"""The whole inspection, on data whose counts are known by hand (see conftest)."""

from __future__ import annotations

import json
import re
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.inspection.conftest import image, picture, text

from omnireward.errors import RecipeError, UnknownNameError
from omnireward.fingerprints import texts
from omnireward.inspection import InspectConfig, Inspection, inspect_source
from omnireward.inspection.findings import Sides
from omnireward.media import encode
from omnireward.sample_rows import FILE, write_samples
from omnireward.types import Media, Sample, Task


def inspected(place: Path | str, *against: Path, decode: bool = False, out: Path | None = None) -> Inspection:
    return inspect_source(
        InspectConfig(place=f"samples:{place}", against=tuple(f"samples:{b}" for b in against), decode=decode, out=out)
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    from tests.inspection.conftest import of_benchmark, planted

    folder = tmp_path_factory.mktemp("planted")
    write_samples(planted(), folder / "source")
    write_samples(of_benchmark(), folder / "benchmark")
    return inspected(folder / "source", folder / "benchmark", decode=True)


def test_counts(found: Inspection) -> None:
    assert (found.samples, found.name, found.bad_rows.total, found.rows) == (10, "samples", 0, None)
    assert found.tasks == {"T2T": Sides(5, 2, 1), "T2I": Sides(1, 1, 0)}
    assert found.sides == Sides(6, 3, 1)
    assert found.groups == {"words": 8, "pictures": 2}
    assert found.with_criterion == 4
    assert found.prompts == 7  # clusters: texts as they are
    assert (found.ties.count, found.ties.total) == (1, 10)
    assert (found.first_preferred.count, found.first_preferred.total) == (6, 9)
    assert (found.longer_preferred.count, found.longer_preferred.total) == (4, 7)
    assert found.words["criterion"].count == 4
    assert found.words["prompt"].count == 10
    assert found.words["response"].count == 16  # of the 8 samples of text


def test_duplicates(found: Inspection) -> None:
    counts = {same.kind: (same.total, same.different, same.repeated) for same in found.duplicates}
    assert counts == {"prompt": (10, 6, 2), "response": (20, 13, 3), "media": (4, 4, 0), "sample": (10, 9, 1)}
    (prompts,) = (same for same in found.duplicates if same.kind == "prompt")
    assert [(example.count, example.sample) for example in prompts.examples] == [(4, "house"), (2, "poem")]


def test_near_duplicates(found: Inspection) -> None:
    near = {said.kind: said for said in found.near_duplicates}
    assert {kind: said.pairs for kind, said in near.items()} == {"prompt": 1, "image": 1}
    (pair,) = near["prompt"].examples
    assert {pair.a, pair.b} == {"poem", "poem edited"}
    assert near["image"].examples[0].a_shown.startswith("image ")


def test_contradictions(found: Inspection) -> None:
    said = found.contradictions
    assert (said.opposite, said.tie_or_not, said.same_response, said.preferred) == (1, 0, 1, 1)
    assert len(said.examples) == 1
    assert set(said.examples[0]) <= {"house", "house swapped", "house again"}
    assert "house swapped" in said.examples[0]


def test_overlap(found: Inspection) -> None:
    (overlap,) = found.overlaps
    assert {count.kind: (count.exact, count.near) for count in overlap.counts} == {
        "prompt": (2, 1),
        "response": (4, 0),
        "media": (0, 1),
        "comparison": (0, 0),
    }
    assert (overlap.samples, overlap.any) == (4, 8)
    (media,) = (count for count in overlap.counts if count.kind == "media")
    assert [(pair.a, pair.b) for pair in media.examples] == [("pictures, smaller", "bench pictures")]


def test_without_decoding_headers_tell_sizes_and_pictures_are_not_compared(source: Path, benchmark: Path) -> None:
    found = inspected(source, benchmark)
    (media,) = found.media
    assert (media.kind, media.found, media.missing, media.unreadable, media.uses) == ("image", 4, 0, 0, 4)
    assert media.bytes == sum(path.stat().st_size for path in source.glob("media/*/*"))
    assert media.widths is not None
    assert (media.widths.least, media.widths.most, media.widths.quantiles[2]) == (64, 128, 128)
    assert [said.kind for said in found.near_duplicates] == ["prompt"]
    assert found.overlaps[0].any == 7


def test_the_same_thing_twice_is_all_shared(source: Path) -> None:
    (overlap,) = inspected(source, source).overlaps
    assert overlap.any == 10
    # The prompts of the two pictures are short, and so are the answers to the yes-or-no question.
    assert {count.kind: count.exact for count in overlap.counts} == {
        "prompt": 8,
        "response": 9,
        "media": 2,
        "comparison": 10,
    }


def test_missing_and_broken_media_are_counted(tmp_path: Path) -> None:
    """Of 5 samples one names a file that has gone, one a picture cut in half, one text for a picture."""
    whole = encode.png(picture(5))
    write_samples(
        [
            image("whole", "a", whole, encode.png(picture(6))),
            image("gone", "b", whole, encode.png(picture(7))),
            image("cut", "c", whole, encode.png(picture(8))[:2000]),
            image("no picture", "d", whole, b"\x89PNG\r\n is how they begin"),
            replace(image("pipe", "e", whole, whole), task=Task.T2I),
        ],
        tmp_path / "source",
    )
    row = json.loads((tmp_path / "source" / FILE).read_text().splitlines()[1])
    (tmp_path / "source" / row["response_b"][0]["media"][0]).unlink()
    header_only, decoded = inspected(tmp_path / "source"), inspected(tmp_path / "source", decode=True)
    assert header_only.bad_rows.missing_files == {"response_b": 1}
    assert header_only.bad_rows.reasons == (("response_b", "there is no file …", 1),)
    assert header_only.bad_rows.first[0].row == 1
    assert header_only.samples == 4
    (media,) = header_only.media
    assert (media.found, media.unreadable) == (3, 1)  # the header of the one that was cut is whole
    (media,) = decoded.media
    assert (media.found, media.unreadable, media.uses) == (2, 2, 8)
    assert {problem.state for problem in decoded.media_problems} == {"unreadable"}
    assert decoded.contradictions.same_response == 1


def test_nothing_to_inspect(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("")
    found = inspected(tmp_path, tmp_path, decode=True, out=tmp_path / "out")
    assert (found.samples, found.tasks, found.media, found.ties.value) == (0, {}, (), None)
    assert [(same.total, same.different) for same in found.duplicates] == [(0, 0)] * 4
    assert found.overlaps[0].any == 0
    assert (tmp_path / "out" / "inspection.html").is_file()


def test_only_bad_rows(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("nonsense\n" * 30 + '{"id": 5}\n')
    found = inspected(tmp_path)
    assert (found.samples, found.bad_rows.total, len(found.bad_rows.first)) == (0, 31, 5)
    assert found.bad_rows.reasons[0][2] == 30


def test_a_limit(source: Path) -> None:
    found = inspect_source(InspectConfig(place=f"samples:{source}", limit=3))
    assert (found.samples, found.limit) == (3, 3)


def test_without_the_extra_the_rest_is_told(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts._empty.cache_clear()
    monkeypatch.setitem(sys.modules, "datasketch", None)
    found = inspected(source)
    assert found.near_duplicates == ()
    assert re.search(r"omnireward\[construct\]", found.not_done[0])
    assert found.duplicates[0].repeated == 2


def test_what_cannot_be_asked_for(source: Path) -> None:
    with pytest.raises(RecipeError, match="limit must be at least 1, not 0"):
        InspectConfig(place="x", limit=0)
    with pytest.raises(UnknownNameError):
        inspect_source(InspectConfig(place=str(source), against=("no_such_benchmark",)))


def test_odd_texts_cost_nothing_but_their_length(tmp_path: Path) -> None:
    write_samples(
        [
            text("\x1b[2Jid", "\x1b]0;title\x07 <script>alert(1)</script>" * 10, "a" * 3_000_000, "\u202eb", "a"),
            text("empty", "", "", "", "tie"),
        ],
        tmp_path / "source",
    )
    found = inspected(tmp_path / "source", out=tmp_path / "out")
    page = (tmp_path / "out" / "inspection.html").read_text()
    assert found.samples == 2
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert len(page) < 8_000_000


def test_one_medium_is_examined_once(tmp_path: Path) -> None:
    """100 samples hold the same two pictures: 200 uses of 2."""
    one, other = encode.png(picture(0)), encode.png(picture(1))
    write_samples([image(f"{n}", f"prompt {n}", one, other) for n in range(100)], tmp_path / "source")
    (media,) = inspected(tmp_path / "source").media
    assert (media.found, media.uses, media.bytes) == (2, 200, len(one) + len(other))


def _many(count: int, length: int) -> Iterator[Sample]:
    """Samples of which no text is like another; responses have `length` characters."""
    for number in range(count):
        a, b = (np.random.default_rng([number, side]).bytes(length // 2).hex() for side in (0, 1))
        yield text(f"{number}", f"prompt {a[:80]}", a, b, "a")


def test_memory_does_not_grow_with_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 samples more, of 20,000 characters each: 600 kB, had anything kept their words."""
    monkeypatch.setattr("omnireward.inspection.store._PENDING", 20)
    monkeypatch.setattr("omnireward.fingerprints.near._PENDING", 20)
    peaks = []
    for count in (5, 5, 35):  # the first warms up
        write_samples(_many(count, 10_000), tmp_path / f"{count}")
        tracemalloc.start()
        assert inspected(tmp_path / f"{count}").samples == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] + 200_000


def test_media_whose_files_a_source_did_not_look_for(tmp_path: Path) -> None:
    from omnireward.inspection.media_facts import examine
    from omnireward.media import Decoder

    (tmp_path / "empty.png").write_bytes(b"")
    with Decoder() as decoder:
        for path, state in (
            (tmp_path / "gone.png", "missing"),
            (tmp_path / ("x" * 300), "missing"),
            (tmp_path / "a\0b", "missing"),
            (tmp_path / "empty.png", "unreadable"),
            (tmp_path, "unreadable"),
            (Path("/dev/zero"), "unreadable"),
        ):
            assert examine(Media("image", path), decoder, decode=True).state == state
