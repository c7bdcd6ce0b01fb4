"""A shard gives back what was written, or is refused: never other numbers, and never memory for what is not there."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from tests.feature_entries import SPACE, digest, entry, same

from omnireward.backbones import Prepared
from omnireward.feature_shards import (
    MOST_SHARD_BYTES,
    UNFINISHED,
    DamagedShardError,
    Entry,
    files,
    places,
    sweep,
    write,
)


def _read(path: Path, space: str = SPACE) -> dict[str, Entry]:
    return {name: place.read(path, space, name) for name, place in places(path, space).items()}


def _rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """The same data under a changed header."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.uint8, torch.int64, torch.bool]
)
def test_entries_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    """Odd shapes and none at all; a view whose bytes are not in the order of its numbers; one tensor twice; NaN."""
    values = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 100
    kept = {
        digest(0): Entry(Prepared("audio", None, ((40, 5),), (5,), "é\n"), values.to(dtype)),
        digest(1): Entry(Prepared("vision", (values.to(dtype).T, torch.zeros(3, 0, 2)), ((1, 2), (3, 4)), (4, 4), "")),
        digest(2): Entry(Prepared("vision", (torch.tensor(7),), ((1, 1),), (1,), "")),
        digest(3): Entry(Prepared("vision", (values.to(dtype),) * 2, ((1, 1),) * 2, (1, 1), "")),
    }
    path = write(tmp_path / "space", SPACE, kept)
    found = _read(path)
    assert found.keys() == kept.keys()
    assert all(same(found[name], kept[name]) for name in kept)
    assert [found[name].embeddings is None for name in kept] == [False, True, True, True]
    nan = write(tmp_path, SPACE, {"x": Entry(kept[digest(0)].prepared, torch.tensor([[float("nan")]]))})
    assert _read(nan)["x"].tensors[0].isnan().all()


def test_a_shard_is_a_safetensors_file(tmp_path: Path) -> None:
    """A second implementation reads it: the library's own."""
    path = write(tmp_path, SPACE, {digest(3): entry(3), digest(4): entry(4, tokens=1)})
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor(f"{digest(3)}.0"), entry(3).tensors[0])
        assert file.metadata()["space"] == SPACE


def test_a_flipped_bit_gives_no_other_numbers(tmp_path: Path) -> None:
    """Every kind of place: length, header, numbers. A bit in the padding or in unused JSON may change nothing."""
    kept = {digest(n): entry(n, tokens=1) for n in range(2)}
    path = write(tmp_path, SPACE, kept)
    raw = path.read_bytes()
    draw = random.Random(0)
    length = 8 + int.from_bytes(raw[:8], "little")
    spots = [*range(8), *(draw.randrange(8, length) for _ in range(300)), *range(length, len(raw), 37)]
    refused = 0
    for spot in spots:
        path.write_bytes(raw[:spot] + bytes([raw[spot] ^ (1 << draw.randrange(8))]) + raw[spot + 1 :])
        try:
            found = _read(path)
        except DamagedShardError:
            refused += 1
        else:
            assert all(same(found[name], kept[name]) for name in found.keys() & kept.keys())
            assert spot < length
    assert refused > 0.9 * len(spots)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    """Cut anywhere; the header alone is longer than 8 bytes and the data follow it."""
    path = write(tmp_path, SPACE, {digest(n): entry(n) for n in range(3)})
    raw = path.read_bytes()
    for kept in [0, 1, 7, 8, 9, 100, len(raw) // 2, len(raw) - 1]:
        path.write_bytes(raw[:kept])
        with pytest.raises(DamagedShardError):
            _read(path)


def test_a_file_that_is_cut_after_its_header_was_read_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SPACE, {digest(0): entry(0)})
    place = places(path, SPACE)[digest(0)]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedShardError, match="ends within an entry"):
        place.read(path, SPACE, digest(0))


def test_another_space_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SPACE, {digest(0): entry(0)})
    with pytest.raises(DamagedShardError, match="another format or space"):
        _read(path, "b" * 64)
    place = places(path, SPACE)[digest(0)]
    for space, name in (("b" * 64, digest(0)), (SPACE, digest(1))):
        with pytest.raises(DamagedShardError, match="checksum"):
            place.read(path, space, name)


def _huge(header: dict[str, Any]) -> None:
    header[f"{digest(0)}.0"] |= {"shape": [2**40], "data_offsets": [0, 2**42]}


def _huge_shape(header: dict[str, Any]) -> None:
    header[f"{digest(0)}.0"]["shape"] = [2**40, 2**40]


def _negative(header: dict[str, Any]) -> None:
    header[f"{digest(0)}.0"] |= {"shape": [-8, -128], "data_offsets": [-4096, 0]}


def _odd_dtype(header: dict[str, Any]) -> None:
    header[f"{digest(0)}.0"]["dtype"] = "F1"


def _many_dimensions(header: dict[str, Any]) -> None:
    header[f"{digest(0)}.0"]["shape"] += [1] * 100_000


def _no_tensor(header: dict[str, Any]) -> None:
    del header[f"{digest(0)}.0"]


def _no_metadata(header: dict[str, Any]) -> None:
    del header["__metadata__"]


def _not_described(header: dict[str, Any]) -> None:
    header["__metadata__"][digest(0)] = "[]"


def _deep(header: dict[str, Any]) -> None:
    header["__metadata__"][digest(0)] = "[" * 100_000


@pytest.mark.parametrize(
    "change",
    [_huge, _huge_shape, _negative, _odd_dtype, _many_dimensions, _no_tensor, _no_metadata, _not_described, _deep],
)
def test_a_header_that_lies_is_refused_before_anything_is_read(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """Terabytes are never asked for: `places` makes no tensor."""
    path = write(tmp_path, SPACE, {digest(0): entry(0)})
    _rewritten(path, change)
    with pytest.raises(DamagedShardError):
        places(path, SPACE)


@pytest.mark.parametrize(
    "raw", [b"", b"\x00" * 64, b"\xff" * 64, b"PK\x03\x04" + b"z" * 500, (8).to_bytes(8, "little") * 4]
)
def test_what_is_no_shard_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw)
    with pytest.raises(DamagedShardError):
        places(path, SPACE)


def test_a_file_larger_than_any_shard_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SPACE, {digest(0): entry(0)})
    with path.open("r+b") as file:
        file.truncate(MOST_SHARD_BYTES + 1)  # sparse: it takes no room
    with pytest.raises(DamagedShardError):
        places(path, SPACE)


def test_what_a_shard_cannot_hold_is_not_storable() -> None:
    said = entry(0).prepared
    assert entry(0).storable
    assert not Entry(said, torch.zeros(2, dtype=torch.complex64)).storable
    assert not Entry(said, torch.zeros((1,) * 9)).storable
    assert not Entry(said).storable


def test_an_unfinished_file_of_a_living_writer_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is swept at the moment before it gets its name, while its lock is held, and so survives."""
    rename = Path.rename
    seen: list[int] = []

    def sweeping(self: Path, target: Path) -> Path:
        sweep(tmp_path)
        seen.append(len(list(tmp_path.glob(f"*{UNFINISHED}"))))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", sweeping)
    path = write(tmp_path, SPACE, {digest(0): entry(0)})
    assert seen == [1]
    assert same(_read(path)[digest(0)], entry(0))


def test_an_unfinished_file_of_a_dead_writer_is_swept(tmp_path: Path) -> None:
    """Nobody holds its lock."""
    (tmp_path / f"left{UNFINISHED}").write_bytes(b"half a shar")
    write(tmp_path, SPACE, {digest(0): entry(0)})
    sweep(tmp_path)
    assert len(files(tmp_path)) == len(list(tmp_path.iterdir())) == 1


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("omnireward.feature_shards.os.write", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, SPACE, {digest(0): entry(0)})
    assert list(tmp_path.iterdir()) == []
