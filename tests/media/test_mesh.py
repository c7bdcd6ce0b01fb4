from __future__ import annotations

import importlib.util
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import trimesh
from PIL import Image

from omnireward.errors import MediaLimitError, MissingExtraError, UnreadableMediaError
from omnireward.media import DecodeOptions, Decoder, Limits, decode, encode
from omnireward.types import Media

Pixels = npt.NDArray[np.uint8]

# One colour for each side of a cube, and the side's outward axis.
SIDES = {
    "front": ((255, 0, 0), (0, 0, 1)),
    "left hand": ((0, 255, 0), (1, 0, 0)),
    "back": ((0, 0, 255), (0, 0, -1)),
    "right hand": ((255, 255, 0), (-1, 0, 0)),
    "top": ((255, 0, 255), (0, 1, 0)),
    "bottom": ((0, 255, 255), (0, -1, 0)),
}


def cube() -> Any:
    box = trimesh.creation.box((1, 1, 1))
    colours = np.zeros((12, 4), np.uint8)
    for colour, axis in SIDES.values():
        colours[box.face_normals @ np.array(axis) > 0.9] = (*colour, 255)
    return trimesh.Trimesh(
        box.triangles.reshape(-1, 3),
        np.arange(36).reshape(12, 3),
        vertex_colors=np.repeat(colours, 3, axis=0),
        process=False,
    )


def glb(thing: Any) -> bytes:
    data = thing.export(file_type="glb")
    assert isinstance(data, bytes)
    return data


def material(**settings: object) -> Any:
    return trimesh.visual.material.PBRMaterial(**settings)


def shift(x: float, y: float, z: float) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def quad_with_letter() -> Any:
    """A square facing +Z whose texture is asymmetric both ways: red, green over blue, white."""
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:32, :32], texture[:32, 32:] = (255, 0, 0), (0, 255, 0)
    texture[32:, :32], texture[32:, 32:] = (0, 0, 255), (255, 255, 255)
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    picture = Image.open(io.BytesIO(encode.png(texture)))
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material(baseColorTexture=picture))
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)


def views(data: bytes | Path, count: int = 4, size: int = 64) -> Pixels:
    pictures: Pixels = decode(Media("mesh", data), DecodeOptions(views=count, view_size=size))
    return pictures


def hue(pixel: Pixels) -> tuple[int, ...]:
    """A lit colour reduced to which channels are on: light scales all channels alike."""
    return tuple(255 * int(v > pixel.max() / 2) for v in pixel)


def test_golden_cube_shows_the_right_side_in_each_view() -> None:
    pictures = views(glb(cube()), 6)
    assert pictures.shape == (6, 64, 64, 3)
    assert pictures.dtype == np.uint8
    for picture, side in zip(pictures, ["front", "left hand", "back", "right hand", "top", "bottom"], strict=True):
        assert hue(picture[36, 32]) == SIDES[side][0]
        assert picture[0, 0].tolist() == [255, 255, 255]
    for picture in pictures[:4]:  # seen slightly from above
        row = int(np.flatnonzero((picture[:, 32] != 255).any(axis=1))[0]) + 1
        assert hue(picture[row, 32]) == SIDES["top"][0]


def test_neighbouring_sides_are_not_mirrored() -> None:
    """With three views, the second is from 120 degrees: right of its middle is the back, left of it the +X side."""
    picture = views(glb(cube()), 3)[1]
    row = picture[36]
    seen = np.flatnonzero((row != 255).any(axis=1))
    assert hue(row[seen[3]]) == SIDES["left hand"][0]
    assert hue(row[seen[-4]]) == SIDES["back"][0]


def test_above_and_below_have_the_front_at_the_bottom_and_at_the_top() -> None:
    """A bump on the front side shows where the front is: below the middle from above, above it from below."""
    bump = trimesh.creation.box((0.3, 0.3, 0.3), transform=shift(0, 0, 0.65))
    above, below = views(glb(trimesh.util.concatenate([trimesh.creation.box((1, 1, 1)), bump])), 6)[4:]
    narrow_rows = [np.flatnonzero((p != 255).any(axis=2).sum(axis=1) < 25) for p in (above, below)]
    rows = [r[(p[r, 32] != 255).any(axis=1)] for r, p in zip(narrow_rows, (above, below), strict=True)]
    assert rows[0].min() > 32
    assert rows[1].max() < 32


def test_texture_is_neither_flipped_nor_mirrored() -> None:
    picture = views(glb(quad_with_letter()), 1)[0]
    assert hue(picture[20, 20]) == (255, 0, 0)
    assert hue(picture[20, 44]) == (0, 255, 0)
    assert hue(picture[44, 20]) == (0, 0, 255)
    assert hue(picture[44, 44]) == (255, 255, 255)


def test_obj_with_material_and_a_texture_whose_name_has_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a mesh"
    folder.mkdir()
    texture = quad_with_letter().visual.material.baseColorTexture
    texture.save(folder / "my texture 1.png")
    (folder / "my.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd my texture 1.png\n")
    (folder / "m.obj").write_text(OBJ.replace("LIB", "my.mtl"))
    from_obj, from_glb = views(folder / "m.obj"), views(glb(quad_with_letter()))
    assert np.abs(from_obj.astype(int) - from_glb).max() <= 1


OBJ = """mtllib LIB
v -1 -1 0
v 1 -1 0
v 1 1 0
v -1 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl m
f 1/1 2/2 3/3 4/4
"""


@pytest.mark.parametrize("name", ["../my.mtl", "/etc/passwd", "gone.mtl", "link.mtl"])
def test_obj_naming_what_is_not_in_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "my.mtl").write_text("newmtl m\nKd 1 0 0\n")
    (folder / "link.mtl").symlink_to(tmp_path / "my.mtl")
    (folder / "m.obj").write_text(OBJ.replace("LIB", name))
    with pytest.raises(UnreadableMediaError, match=name):
        views(folder / "m.obj")


def test_texture_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "t.png").write_bytes(encode.png(np.zeros((4, 4, 3), np.uint8)))
    (tmp_path / "inside" / "my.mtl").write_text("newmtl m\nmap_Kd ../t.png\n")
    (tmp_path / "inside" / "m.obj").write_text(OBJ.replace("LIB", "my.mtl"))
    with pytest.raises(UnreadableMediaError, match="outside its folder"):
        views(tmp_path / "inside" / "m.obj")


def test_a_file_that_does_not_count_in_the_digest_is_not_read(tmp_path: Path) -> None:
    """The loader joins lines at a backslash, and `mesh_files` does not: so the name is refused, not read unseen."""
    (tmp_path / "my.mtl").write_text("newmtl m\nKd 1 0 0\n")
    (tmp_path / "m.obj").write_text(OBJ.replace("LIB", "my.\\\nmtl"))
    with pytest.raises(UnreadableMediaError, match=r"'my\.mtl' in a way that is not read"):
        views(tmp_path / "m.obj")


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_meshes_with_other_textures_have_other_digests(tmp_path: Path, kind: str) -> None:
    """Each format, with its texture in a folder below the mesh's. What is seen differs, so the digests must."""
    seen, digests = [], set()
    for colour in (40, 200):
        folder = tmp_path / str(colour)
        (folder / "textures").mkdir(parents=True)
        (folder / "textures" / "t.png").write_bytes(encode.png(np.full((8, 8, 3), colour, np.uint8)))
        if kind == "glb":
            outside = [{"uri": "textures/t.png"}]
            (folder / "m.glb").write_bytes(edited(glb(quad_with_letter()), images=outside))
        elif kind == "obj":
            (folder / "my.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd textures/t.png\n")
            (folder / "m.obj").write_text(OBJ.replace("LIB", "my.mtl"))
        else:
            (folder / "m.ply").write_text(PLY)
        seen.append(views(folder / f"m.{kind}"))
        digests.add(Media("mesh", folder / f"m.{kind}").digest())
    assert not np.array_equal(seen[0], seen[1])
    assert len(digests) == 2


PLY = """ply
format ascii 1.0
comment TextureFile textures/t.png
element vertex 4
property float x
property float y
property float z
property float s
property float t
element face 1
property list uchar int vertex_indices
end_header
-1 -1 0 0 0
1 -1 0 1 0
1 1 0 1 1
-1 1 0 0 1
4 0 1 2 3
"""


def test_obj_in_memory_cannot_name_files() -> None:
    with pytest.raises(UnreadableMediaError, match="mesh in memory names another file"):
        views(OBJ.replace("LIB", "my.mtl").encode())


def test_ply_with_vertex_colours_equals_its_glb() -> None:
    mesh = cube()
    ply = mesh.export(file_type="ply")
    assert isinstance(ply, bytes)
    np.testing.assert_array_equal(views(ply), views(glb(mesh)))
    assert hue(views(ply)[0][36, 32]) == SIDES["front"][0]


def test_material_colour_is_linear_light() -> None:
    """A factor of 55 / 255 = 0.2157 is, by the sRGB curve, 1.055 * 0.2157 ** (1 / 2.4) - 0.055 = 0.502: half grey.
    Facing the camera 20 degrees from above, light is 0.4 + 0.5 * cos(20 degrees) = 0.87, so 0.437 * 255 = 111.
    """
    mesh = quad_with_letter()
    mesh.visual.material = material(baseColorFactor=[55, 55, 55, 255])
    assert views(glb(mesh), 1)[0][32, 32].tolist() == pytest.approx([111] * 3, abs=2)


def test_nodes_place_their_meshes() -> None:
    scene = trimesh.Scene()
    red, blue = cube(), cube()
    red.visual.vertex_colors, blue.visual.vertex_colors = (255, 0, 0, 255), (0, 0, 255, 255)
    scene.add_geometry(red, transform=shift(-2, 0, 0))
    scene.add_geometry(blue, transform=shift(2, 0, 0))
    front, _, back, _ = views(glb(scene))
    assert hue(front[33, 10]) == (255, 0, 0)
    assert hue(front[33, 54]) == (0, 0, 255)
    assert hue(back[33, 10]) == (0, 0, 255)
    assert (front[33, 32] == 255).all()  # between them


def test_alpha_counts_only_where_the_material_says_so() -> None:
    mesh = quad_with_letter()
    for mode, centre in {"OPAQUE": 0, "MASK": 255, "BLEND": 191}.items():
        # Black at alpha 64 / 255 = 0.251 over white: 255 * 0.749 = 191.
        mesh.visual.material = material(baseColorFactor=[0, 0, 0, 64], alphaMode=mode)
        data = glb(mesh)
        if centre == 255:
            with pytest.raises(UnreadableMediaError, match="all views are blank"):
                views(data)
        else:
            assert views(data, 1)[0][32, 32].tolist() == pytest.approx([centre] * 3, abs=2)


def test_white_on_white_stays_visible() -> None:
    mesh = quad_with_letter()
    mesh.visual.material = material(baseColorFactor=[255, 255, 255, 255])
    assert views(glb(mesh), 1)[0][32, 32].max() < 240


def test_a_symmetric_object_is_not_taken_for_one_view_drawn_again() -> None:
    pictures = views(glb(trimesh.creation.icosphere(subdivisions=3)))
    assert (pictures != 255).any(axis=3).mean() > 0.4  # fills most of the picture


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e12, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_size_and_place_do_not_matter(scale: float, offset: float) -> None:
    """An offset of 1e4 costs GLB's float32 four digits, which shows in a few pixels at edges."""
    moved = cube()
    moved.apply_translation((offset,) * 3)
    moved.apply_scale(scale)
    ply = moved.export(file_type="ply", encoding="ascii") if scale in (1e-6, 1e12) else glb(moved)
    assert isinstance(ply, bytes)
    reference = views(glb(cube()))
    assert (np.abs(views(ply).astype(int) - reference).max(axis=3) > 8).mean() < 0.02


def test_the_same_bytes_each_time_and_in_the_child() -> None:
    data = glb(cube())
    with Decoder(DecodeOptions(view_size=64)) as decoder:
        first, second = decoder(Media("mesh", data)), decoder(Media("mesh", data))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, views(data))


def test_a_view_drawn_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireward.media import render

    monkeypatch.setattr(render, "cameras", lambda views: [render.Camera(0.0, 20.0)] * views)
    with pytest.raises(UnreadableMediaError, match="two views are the same"):
        views(glb(cube()))


def test_views_given_as_pictures() -> None:
    pictures = tuple(
        encode.png(np.full((8, 8 + i, 3), 10, np.uint8) + np.eye(8, 8 + i, dtype=np.uint8)[..., None] * 200)
        for i in range(6)
    )
    assert decode(Media("mesh", pictures)).shape == (4, 8, 8, 3)
    assert decode(Media("mesh", pictures[:2])).shape == (2, 8, 8, 3)
    with pytest.raises(UnreadableMediaError, match="all views are blank"):
        decode(Media("mesh", (encode.png(np.full((8, 8, 3), 255, np.uint8)),) * 3))


def edited(data: bytes, **changes: Any) -> bytes:
    """A GLB with top-level JSON entries replaced."""
    length = struct.unpack_from("<I", data, 12)[0]
    tree = json.loads(data[20 : 20 + length]) | changes
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


@pytest.mark.parametrize("uri", ["../../etc/passwd", "/etc/passwd", "..%2F..%2Fetc%2Fpasswd", "http://example.org/x"])
@pytest.mark.parametrize("kind", ["buffers", "images"])
def test_glb_naming_files_elsewhere(tmp_path: Path, uri: str, kind: str) -> None:
    bad = edited(glb(quad_with_letter()), **{kind: [{"uri": uri, "byteLength": 100}]})
    (tmp_path / "bad.glb").write_bytes(bad)
    for source in (tmp_path / "bad.glb", bad):
        with pytest.raises(UnreadableMediaError, match=r"passwd|example"):
            views(source)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"accessors": [{"componentType": 5126, "count": 500_000_000, "type": "VEC3"}]}, MediaLimitError),
        ({"accessors": [{"componentType": 5126, "count": 2_000_000, "type": "MAT4"}] * 99}, MediaLimitError),
        ({"accessors": [{"componentType": 5126, "count": -1, "type": "VEC3"}]}, UnreadableMediaError),
        ({"nodes": [{"children": [1]}, {"children": [0]}]}, UnreadableMediaError),
        ({"nodes": [{"children": [1, 2]}, {"children": [3]}, {"children": [3]}, {"mesh": 0}]}, UnreadableMediaError),
        ({"nodes": [{}] * 200_000}, MediaLimitError),
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, UnreadableMediaError),
        ({"meshes": []}, UnreadableMediaError),
        ({"accessors": "x"}, UnreadableMediaError),
        ({"bufferViews": [{"buffer": 9, "byteLength": 4}] * 9}, UnreadableMediaError),
    ],
)
def test_glb_that_lies(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        views(edited(glb(cube()), **changes))


def test_instances_count() -> None:
    scene = trimesh.Scene()
    for i in range(20):
        scene.add_geometry(cube(), geom_name="c", transform=shift(i, 0, 0))
    with pytest.raises(MediaLimitError, match="240 faces"):
        decode(Media("mesh", glb(scene)), limits=Limits(faces=239))


@pytest.mark.parametrize("kind", ["glb", "ply", "obj"])
def test_limits(kind: str) -> None:
    data = trimesh.creation.icosphere().export(file_type=kind)
    source = data if isinstance(data, bytes) else data.encode()
    with pytest.raises(MediaLimitError, match="faces"):
        decode(Media("mesh", source), limits=Limits(faces=100))
    with pytest.raises(MediaLimitError, match="vertices"):
        decode(Media("mesh", source), limits=Limits(vertices=100))


def test_texture_limit() -> None:
    with pytest.raises(MediaLimitError, match="64 x 64"):
        decode(Media("mesh", glb(quad_with_letter())), limits=Limits(texture_pixels=64 * 64 - 1))


@pytest.mark.parametrize(
    "obj",
    [
        "v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n",
        "v 0 0 0\nv 1 0 0\nv 1e999 1 0\nf 1 2 3\n",
        "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",  # a line
        "v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n",  # a point
        "v 0 0 0\nv 1 0 0\nv 0 1 0\n",  # no face
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n",  # a vertex that does not exist
        "nothing of the kind",
    ],
)
def test_nothing_to_see(obj: str) -> None:
    with pytest.raises(UnreadableMediaError):
        views(obj.encode())


def test_truncated() -> None:
    whole = glb(cube())
    for end in (5, 15, 100, len(whole) - 10):
        with pytest.raises(UnreadableMediaError):
            views(whole[:end])


def test_damaged_files_never_give_anything_but_views_or_an_error() -> None:
    rng = np.random.default_rng(11)
    ply = cube().export(file_type="ply")
    assert isinstance(ply, bytes)
    unreadable = 0
    for whole in (glb(quad_with_letter()), ply):
        for _ in range(60):
            damaged = bytearray(whole)
            for position in rng.integers(0, len(whole), 6):
                damaged[position] ^= 1 << int(rng.integers(8))
            try:
                assert views(bytes(damaged), 2, 16).shape == (2, 16, 16, 3)
            except (UnreadableMediaError, MediaLimitError):
                unreadable += 1
    assert unreadable > 10


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"omnireward\[mesh\]"):
        views(glb(cube()))
    with Decoder() as decoder, pytest.raises(MissingExtraError):
        decoder(Media("mesh", b"glTF"))
