"""Archives are checked before anything is written, and a folder that exists is complete."""

import stat
import zipfile
from pathlib import Path

import pytest

from omnireward.archives import UnpackLimits, unpack_zip
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
