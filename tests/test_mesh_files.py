"""The files that a mesh names are found, in each format and spelling, and only below its folder."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from omnireward import mesh_files
from omnireward.mesh_files import named


def _glb(tree: Mapping[str, object]) -> bytes:
    text = json.dumps(tree).encode()
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) + text


def _found(mesh: Path) -> dict[str, str]:
    return {spelling: path.name for spelling, path in named(mesh).items()}


def test_a_glb_names_buffers_and_images(tmp_path: Path) -> None:
    """The specification percent-encodes names; JSON may escape them too. What is inside is no file."""
    uris = ["data:image/png;base64,AAAA", "tex/a%20b.png", "k\u00fc.bin", "gone.png"]
    tree = {"images": [{"uri": uri} for uri in uris[:2]], "buffers": [{"uri": uri} for uri in uris[2:]]}
    (tmp_path / "tex").mkdir()
    for name in ("tex/a b.png", "kü.bin", "unnamed.png"):
        (tmp_path / name).touch()
    (tmp_path / "m.obj").write_bytes(_glb(tree))  # its content says what it is
    assert _found(tmp_path / "m.obj") == {"tex/a b.png": "a b.png", "kü.bin": "kü.bin"}


def test_an_obj_names_materials_and_they_name_textures(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "t 1.png").touch()
    (tmp_path / "m.MTL").write_text("newmtl m\n\tMap_Kd a b/t 1.png \r\nmap_Kd ./a b/t 1.png\nmap_Ks unread.png\n")
    (tmp_path / "unread.png").touch()
    (tmp_path / "m.obj").write_text("# made by hand\r\nmtllib m.MTL\r\nv 0 0 0\n")
    assert _found(tmp_path / "m.obj") == {"m.MTL": "m.MTL", "a b/t 1.png": "t 1.png", "./a b/t 1.png": "t 1.png"}


def test_a_ply_names_a_texture(tmp_path: Path) -> None:
    (tmp_path / "t.png").touch()
    (tmp_path / "m.ply").write_text("ply\nformat ascii 1.0\ncomment TextureFile t.png\nend_header\n")
    assert _found(tmp_path / "m.ply") == {"t.png": "t.png"}


@pytest.mark.parametrize("name", ["../t.png", "/etc/passwd", "link.png", "round.png", "a\0b", "x" * 5000, "..", ""])
def test_what_is_not_a_file_below_the_folder_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "t.png").touch()
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "t.png")
    (folder / "round.png").symlink_to(folder / "round.png")
    (folder / "m.obj").write_text(f"mtllib {name}\n")
    (folder / "m.glb").write_bytes(_glb({"images": [{"uri": name}]}))
    assert named(folder / "m.obj") == named(folder / "m.glb") == {}


def test_number_and_size_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three names are looked for; files of 40 and 60 bytes fit into 100, and one of 50 no longer does."""
    monkeypatch.setattr(mesh_files, "MOST_NAMES", 3)
    monkeypatch.setattr(mesh_files, "MOST_BYTES", 100)
    for name, size in (("a", 40), ("b", 60), ("c", 50), ("d", 0)):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "m.glb").write_bytes(_glb({"images": [{"uri": name} for name in "aaabcd"]}))
    assert _found(tmp_path / "m.glb") == {"a": "a", "b": "b"}


def test_what_is_no_mesh_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "mtllib").touch()
    for content in (b"", b"glTF", b"glTF" + b"\xff" * 40, b'glTF............\xff\xff\xff\xff"uri":"\\q"', b"\xff\xfe"):
        (tmp_path / "m.glb").write_bytes(content)
        assert named(tmp_path / "m.glb") == {}
