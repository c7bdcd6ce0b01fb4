"""Archives are checked before anything is written, and a folder that exists is complete."""

import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from omnireward.archives import UnpackLimits, unpack_archive, unpack_parts, unpack_zip
from omnireward.errors import OutsideRootError, SourceError


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_files_come_out_once(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "m.zip", {"a/b.txt": b"one", "c.txt": b"two", "empty/": b""})
    into = unpack_zip(archive, tmp_path / "m")
    assert {p.relative_to(into).as_posix(): p.read_bytes() for p in into.glob("**/*") if p.is_file()} == {
        "a/b.txt": b"one",
        "c.txt": b"two",
    }
    archive.write_bytes(b"no longer an archive")
    assert unpack_zip(archive, into) == into  # not opened a second time
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "m.zip"]


@pytest.mark.parametrize(
    ("files", "limits", "problem"),
    [
        ({"a": b"1", "b": b"2"}, UnpackLimits(files=1), "the limits are 1 files"),
        ({"a": b"x" * 11}, UnpackLimits(total_bytes=10), "11 bytes"),
        ({"a": bytes(10**6)}, UnpackLimits(), "the limit is 100 times"),
        ({"a.png": b"1", "A.PNG": b"2"}, UnpackLimits(), "twice"),
    ],
)
def test_archives_over_the_limits_write_nothing(
    tmp_path: Path, files: dict[str, bytes], limits: UnpackLimits, problem: str
) -> None:
    with pytest.raises(SourceError, match=problem):
        unpack_zip(_zip(tmp_path / "m.zip", files), tmp_path / "m", limits)
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "..\\out.txt"])
def test_names_that_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideRootError, match=r"m\.zip"):
        unpack_zip(_zip(tmp_path / "m.zip", {name: b"x"}), tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


def test_links_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(SourceError, match="symbolic link"):
        unpack_zip(tmp_path / "m.zip", tmp_path / "m")


def test_a_method_that_chooses_its_readers_memory_is_refused(tmp_path: Path) -> None:
    """LZMA's header says how large a dictionary to make: up to 4 GB for two bytes of text."""
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.txt", "hi")
    with pytest.raises(SourceError, match=r"'a\.txt' is compressed by method 14"):
        unpack_zip(tmp_path / "m.zip", tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


def test_damaged_archives_leave_nothing_behind(tmp_path: Path) -> None:
    whole = bytearray(_zip(tmp_path / "m.zip", {"a.txt": b"some text that is stored"}).read_bytes())
    whole[36] ^= 0xFF  # inside the file's bytes: the 30-byte header and the 5-byte name come before
    packed = bytearray(_zip(tmp_path / "m.zip", {"a.txt": b"deflated, " * 9}).read_bytes())
    packed[35] = 0xFF  # the first compressed byte: no such kind of block
    for content in (bytes(whole), bytes(packed), b"not a zip", b""):
        (tmp_path / "m.zip").write_bytes(content)
        with pytest.raises(SourceError, match="not a readable zip"):
            unpack_zip(tmp_path / "m.zip", tmp_path / "m")
        assert [p.name for p in tmp_path.iterdir()] == ["m.zip"]


def test_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "m.zip", {"a": b"1"})
    with pytest.raises(SourceError, match=r"unzip .* -d "):
        unpack_zip(archive, tmp_path / "gone" / "m")


def _tar(path: Path, files: dict[str, bytes], mode: str = "w", kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname = kind, 0o4777, "/etc/passwd"
            entry.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(data))
    return path


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.glob("**/*") if p.is_file()}


LONG = "/".join("folder" * 5 for _ in range(9)) + "/file.txt"  # over the 100 characters of a plain header
SOME = {"./a/b.txt": b"one", LONG: b"two" * 400, "empty.txt": b""}


@pytest.mark.parametrize(
    ("name", "mode"), [("m.tar", "w"), ("m.tar.gz", "w:gz"), ("m.tgz", "w:gz"), ("m.tar.bz2", "w:bz2")]
)
def test_tars_come_out_once_without_their_modes(tmp_path: Path, name: str, mode: str) -> None:
    archive = _tar(tmp_path / name, SOME, mode)
    into = unpack_archive(archive, tmp_path / "m")
    assert _files(into) == {"a/b.txt": b"one", LONG: b"two" * 400, "empty.txt": b""}
    assert not stat.S_IMODE((into / "a/b.txt").stat().st_mode) & 0o7111
    archive.write_bytes(b"no longer an archive")
    assert unpack_archive(archive, into) == into  # not opened a second time
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["m", name])


def test_kind_of_archive_is_told_by_its_name(tmp_path: Path) -> None:
    assert _files(unpack_archive(_zip(tmp_path / "M.ZIP", {"a": b"1"}), tmp_path / "m")) == {"a": b"1"}
    with pytest.raises(SourceError, match=r"known are \.zip, \.tar, \.tar\.gz"):
        unpack_archive(tmp_path / "m.rar", tmp_path / "n")


@pytest.mark.parametrize(
    ("files", "limits", "problem"),
    [
        ({"a": b"1", "b": b"2"}, UnpackLimits(files=1), "the limits are 1 files"),
        ({"a": b"x" * 11}, UnpackLimits(total_bytes=10), "11 bytes"),
        ({"a": bytes(2 * 10**6)}, UnpackLimits(), "the limit is 100 times"),
        ({"a.png": b"1", "A.PNG": b"2"}, UnpackLimits(), "twice"),
        ({"\u00e9.png": b"1", "e\u0301.png": b"2"}, UnpackLimits(), "twice"),  # é, composed and not
        ({"a": b"1", "a/b": b"2"}, UnpackLimits(), "cannot unpack"),  # a file that is a folder
        ({"x" * 50_000: b"1"}, UnpackLimits(), "headers of an entry are over"),
    ],
    ids=["files", "bytes", "ratio", "case", "accents", "file-and-folder", "header"],
)
def test_tars_over_the_limits_leave_nothing(
    tmp_path: Path, files: dict[str, bytes], limits: UnpackLimits, problem: str
) -> None:
    with pytest.raises(SourceError, match=problem):
        unpack_archive(_tar(tmp_path / "m.tar.gz", files, "w:gz"), tmp_path / "m", limits)
    assert [p.name for p in tmp_path.iterdir()] == ["m.tar.gz"]


@pytest.mark.parametrize("name", ["../out.txt", "/etc/out.txt", "a/../../out.txt", "..\\out.txt"])
def test_names_that_leave_the_folder_of_a_tar(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutsideRootError, match=r"m\.tar"):
        unpack_archive(_tar(tmp_path / "m.tar", {"a": b"1", name: b"x"}), tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m.tar"]


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE],
    ids=["symlink", "hard-link", "character-device", "block-device", "pipe", "sparse"],
)
def test_tar_entries_that_are_no_plain_files(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(SourceError, match=r"link|no plain file"):
        unpack_archive(_tar(tmp_path / "m.tar", {"odd": b""}, kind=kind), tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m.tar"]


def _damaged_tars(folder: Path) -> Iterator[tuple[str, bytes]]:
    """A tar is a header of 512 bytes for each file, the file filled up to such a block, and zeros at the end."""
    files = {"a.txt": b"one" * 200, "b.txt": b"two"}
    plain = _tar(folder / "m.tar", files).read_bytes()
    packed = bytearray(_tar(folder / "m.tar", files, "w:gz").read_bytes())
    yield "m.tar", b""
    yield "m.tar", b"not a tar" * 100
    yield "m.tar", plain[:900]  # inside the first file
    yield "m.tar", plain[:1536]  # between the two
    yield "m.tar", plain[:1700]  # inside the second header
    yield "m.tar", plain[:1536] + b"\xff" * 512 + plain[2048:]  # the second header overwritten
    yield "m.tar", plain + plain  # joined: what comes second would be lost
    yield "m.tar.gz", bytes(packed[:-40])
    yield "m.tar.gz", bytes(packed[:-8]) + bytes(8)  # another checksum
    yield "m.tar.gz", plain
    yield "m.tar.bz2", bytes(packed)


def test_damaged_tars_leave_nothing_behind(tmp_path: Path) -> None:
    for name, content in list(_damaged_tars(tmp_path)):
        (tmp_path / "m.tar").unlink(missing_ok=True)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=r"not a readable tar|goes on after its end"):
            unpack_archive(tmp_path / name, tmp_path / "m")
        assert [p.name for p in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def _cut(whole: bytes, folder: Path, sizes: Sequence[int]) -> list[Path]:
    parts = []
    for number, size in enumerate(sizes):
        parts.append(folder / f"m.zip.part-a{chr(97 + number)}")
        parts[-1].write_bytes(whole[:size])
        whole = whole[size:]
    return parts


@pytest.mark.parametrize("size", [1, 7, 100, 10**6])
def test_zip_in_parts_comes_out_as_the_whole_would(tmp_path: Path, size: int) -> None:
    """Cuts fall inside headers, files and the list of contents; empty parts are passed over."""
    files = {f"{n}/{n}.bin": bytes(range(n, n + 40)) * n for n in range(5)}
    whole = _zip(tmp_path / "m.zip", files).read_bytes()
    sizes = [size] * min(200, 1 + len(whole) // size)
    parts = _cut(whole, tmp_path, [0, *sizes, 0, len(whole)])
    assert _files(unpack_parts(parts, tmp_path / "m")) == files
    assert not (tmp_path / "m.zip.joined").exists()


def test_tar_in_parts_comes_out_as_the_whole_would(tmp_path: Path) -> None:
    whole = _tar(tmp_path / "m.tar.gz", SOME, "w:gz").read_bytes()
    parts = [tmp_path / f"videos.tar.gz{number}" for number in range(3)]
    for number, part in enumerate(parts):
        part.write_bytes(whole[number * 100 : number * 100 + 100 if number < 2 else None])
    assert _files(unpack_parts(parts, tmp_path / "m")) == {"a/b.txt": b"one", LONG: b"two" * 400, "empty.txt": b""}
    for given in (parts[:2], parts[::2]):
        with pytest.raises(SourceError, match="Is a part missing"):
            unpack_parts(given, tmp_path / "n")
        assert not (tmp_path / "n").exists()
    with pytest.raises(SourceError, match=r"cannot unpack .*images\.aa"):
        unpack_parts([tmp_path / "images.aa"], tmp_path / "n")


def test_parts_that_are_missing_or_in_another_order(tmp_path: Path) -> None:
    data = bytes(random.Random(0).randbytes(900))
    whole = _zip(tmp_path / "m.zip", {"a.bin": data[:300], "b.bin": data[300:600], "c.bin": data[600:]}).read_bytes()
    (tmp_path / "m.zip").unlink()
    one, two, three = _cut(whole, tmp_path, [400, 400, len(whole)])
    for given in ([one, three], [two, three], [one, two], [two, one, three], [tmp_path / "gone.zip.aa", three], []):
        with pytest.raises(SourceError, match=r"parts? "):
            unpack_parts(given, tmp_path / "m")
        assert not (tmp_path / "m").exists()
    with pytest.raises(OutsideRootError):
        unpack_parts(_cut(_zip(tmp_path / "m.zip", {"../x": b"1"}).read_bytes(), tmp_path, [9, 999]), tmp_path / "m")
