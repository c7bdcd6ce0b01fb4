"""Media that strangers might send: real small ones, the same ones damaged, bombs, and files that name other places."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from omnireward.media import encode
from omnireward.types import MediaKind

KINDS: tuple[MediaKind, ...] = ("image", "video", "audio", "mesh")
JSON_CHUNK = 0x4E4F534A  # glTF 2.0, section 4.4.3


@dataclass(frozen=True)
class Sent:
    """Bytes, and what they are said to be."""

    kind: MediaKind
    data: bytes
    what: str


def real() -> list[Sent]:
    """One of each format, small, with known content."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    frames = np.stack([np.roll(pixels, 3 * i, axis=1) for i in range(6)])
    sound = np.sin(np.arange(1600) / 5).astype(np.float32)
    clear = np.dstack([pixels, rng.integers(0, 255, (24, 32), dtype=np.uint8)])
    return [
        Sent("image", encode.png(pixels), "PNG"),
        Sent("image", saved(Image.fromarray(clear), "PNG"), "PNG with alpha"),
        Sent("image", saved(Image.fromarray(pixels).quantize(16), "PNG"), "PNG with a palette"),
        Sent("image", saved(Image.fromarray(pixels), "JPEG"), "JPEG"),
        Sent("image", saved(Image.fromarray(pixels), "WEBP"), "WEBP"),
        Sent("image", gif(6, 32, 24), "GIF"),
        Sent("video", gif(6, 32, 24), "GIF"),
        Sent("video", encode.mp4(frames, 3), "MP4"),
        Sent("audio", encode.wav(sound, 16_000), "WAV"),
        Sent("audio", encode.wav(np.stack([sound, -sound], axis=1), 44_100), "stereo WAV"),
        Sent("mesh", glb(**TRIANGLE), "GLB"),
        Sent("mesh", glb(**textured(encode.png(pixels))), "GLB with a texture"),
        Sent("mesh", OBJ, "OBJ"),
        Sent("mesh", PLY, "PLY"),
    ]


def saved(picture: Image.Image, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def gif(count: int, width: int, height: int) -> bytes:
    """The same picture again and again; Pillow would write it once. GIF89a: sections 17 to 20."""
    one = saved(Image.fromarray(np.arange(width * height, dtype=np.uint8).reshape(height, width)), "GIF")
    frame = 13 + 3 * 2 ** ((one[10] & 7) + 1)  # after the screen and its palette
    return one[:frame] + one[frame:-1] * count + b";"


OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 2 4\nf 1 3 4\n"
PLY = (
    b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    b"element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)
_CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
TRIANGLE: dict[str, Any] = {
    "asset": {"version": "2.0"},
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "accessors": [
        {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]}
    ],
    "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": 36}],
    "buffers": [{"byteLength": 36}],
    "binary": _CORNERS,
}


def glb(binary: bytes = b"", **tree: Any) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def textured(picture: bytes) -> dict[str, Any]:
    corners = np.array([[0, 0], [1, 0], [0, 1]], "<f4").tobytes()
    accessor = {"bufferView": 1, "componentType": 5126, "count": 3, "type": "VEC2"}
    primitive = {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "material": 0}
    return TRIANGLE | {
        "meshes": [{"primitives": [primitive]}],
        "accessors": [*TRIANGLE["accessors"], accessor],
        "bufferViews": [
            *TRIANGLE["bufferViews"],
            {"buffer": 0, "byteOffset": 36, "byteLength": 24},
            {"buffer": 0, "byteOffset": 60, "byteLength": len(picture)},
        ],
        "buffers": [{"byteLength": 60 + len(picture)}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 2, "mimeType": "image/png"}],
        "binary": _CORNERS + corners + picture,
    }


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes = b"\0" * 64) -> bytes:
    """A PNG that claims a size, with hardly any pixels."""
    found = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        *chunks,
        (b"IDAT", zlib.compress(data, 1)),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (*found, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + body


def bombs() -> list[Sent]:
    """Small files that stand for much. Each is tried once as what it is; they cost up to seconds."""
    zeros = zlib.compress(b"\0" * 5_000_000, 9)
    jpeg = next(one.data for one in real() if one.what == "JPEG")
    size = jpeg.index(b"\xff\xc0") + 5  # height, width: ITU T.81, B.2.2
    mp4 = next(one.data for one in real() if one.what == "MP4")
    wav = next(one.data for one in real() if one.what == "WAV")
    deltas = mp4.index(b"stts") + 16  # of the first entry: ISO 14496-12, 8.6.1.2
    sizes = mp4.index(b"stsz") + 12
    box = b"\0\0\0\x08moov"
    for _ in range(2000):
        box = struct.pack(">I", len(box) + 8) + b"moov" + box
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    bomb = png_of(60_000, 60_000)
    huge = {"componentType": 5126, "count": 2**31 - 1, "type": "VEC3"}
    return [
        Sent("image", bomb, "PNG of 60000 x 60000"),
        Sent("image", png_of(5600, 5600, data=b"\0" * (5600 * (3 * 5600 + 1))), "PNG as large as may be"),
        Sent("image", png_of(8, 8, (b"zTXt", b"a\0\0" + zeros)), "PNG with 5 MB of text"),
        Sent("image", png_of(8, 8, (b"iCCP", b"a\0\0" + zeros)), "PNG with 5 MB of profile"),
        Sent("image", jpeg[:size] + b"\xff\xdc\xff\xdc" + jpeg[size + 4 :], "JPEG of 65500 x 65500"),
        Sent("image", _webp(16_384, 16_384), "WEBP of 16384 x 16384"),
        Sent("image", b"GIF89a\xff\xff\xff\xff\0\0\0" + gif(2, 4, 4)[13:], "GIF of 65535 x 65535"),
        Sent("image", gif(100_000, 1, 1), "GIF of 100,000 pictures"),
        Sent("video", gif(100_000, 1, 1), "GIF of 100,000 frames"),
        Sent("video", mp4[:deltas] + b"\x7f\xff\xff\xff" + mp4[deltas + 4 :], "MP4 of many hours"),
        Sent("video", mp4[:sizes] + b"\0\0\0\1\x7f\xff\xff\xff" + mp4[sizes + 8 :], "MP4 of two billion samples"),
        Sent("video", mp4[:24] + box + mp4[24:], "MP4 of 2000 boxes in each other"),
        Sent("audio", wav[:24] + struct.pack("<I", 1) + wav[28:444], "WAV of 1 Hz"),  # 200 samples, so many seconds
        Sent("audio", wav[:24] + struct.pack("<I", 2**32 - 1) + wav[28:], "WAV of 4 GHz"),
        Sent("audio", wav[:22] + b"\xff\xff" + wav[24:], "WAV of 65535 channels"),
        Sent("audio", wav[:40] + b"\xff\xff\xff\xff" + b"\0" * 200_000, "WAV that claims 4 GB"),
        Sent("mesh", glb(**TRIANGLE | {"accessors": [huge]}), "GLB of two billion corners"),
        Sent("mesh", glb(**TRIANGLE | {"accessors": [huge | {"count": 10**5, "type": "MAT4"}] * 99}), "GLB of zeros"),
        Sent("mesh", glb(**TRIANGLE | {"nodes": [{"children": [0]}]}), "GLB that holds itself"),
        Sent(
            "mesh",
            glb(**TRIANGLE | {"nodes": [{"mesh": 0}] * 1000, "scenes": [{"nodes": [*range(1000)]}]}),
            "GLB of 1000 nodes",
        ),
        Sent("mesh", glb(**TRIANGLE | {"extras": deep}), "GLB 900 levels deep"),
        Sent("mesh", glb(**textured(bomb)), "GLB with a bomb for a texture"),
        Sent("mesh", PLY.replace(b"vertex 3", b"vertex 2000000000"), "PLY of two billion corners"),
        Sent("mesh", PLY.replace(b"3 0 1 2", b"255 0 1 2"), "PLY with a short face"),
        Sent("mesh", b"v 0 0 0\n" * 2_000_001 + b"f 1 2 3\n", "OBJ of two million corners"),
        Sent("mesh", OBJ + b"f 1 2 99999999\nf -1 -2 -9999999\n", "OBJ of corners that are not there"),
    ]


def _webp(width: int, height: int) -> bytes:
    """The head of a lossless WEBP: RFC 9649, section 3.4."""
    bits = (width - 1) | (height - 1) << 14
    data = b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", bits) + b"\0"
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WEBP" + data


def naming(places: Sequence[str]) -> Iterator[Sent]:
    """Files of formats that can name other files, each naming each place."""
    for place in places:
        for kind in ("buffers", "images"):
            tree = textured(encode.png(np.zeros((4, 4, 3), np.uint8)))
            yield Sent(
                "mesh", glb(**tree | {kind: [{"uri": place, "byteLength": 36}]}), f"GLB whose {kind} are {place}"
            )
        for line in ("mtllib", "usemtl", "map_Kd", "call"):
            yield Sent("mesh", f"{line} {place}\n".encode() + OBJ, f"OBJ with {line} {place}")
        yield Sent("mesh", PLY.replace(b"1.0\n", f"1.0\ncomment TextureFile {place}\n".encode()), f"PLY with {place}")
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{place}"/></svg>'
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{place}\n#EXT-X-ENDLIST\n"
        script = f"ffconcat version 1.0\nfile '{place}'\n"
        postscript = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n({place}) run\n"
        dash = f"<?xml version='1.0'?><MPD><Period><BaseURL>{place}</BaseURL></Period></MPD>"
        texts: list[tuple[MediaKind, str]] = [
            ("image", svg),
            ("image", postscript),
            ("video", playlist),
            ("audio", playlist),
            ("video", script),
            ("video", dash),
        ]
        yield from (Sent(said, text.encode(), f"a text that names {place}") for said, text in texts)


def damaged(rng: random.Random, one: Sent, others: Sequence[Sent]) -> Sent:
    """The same medium with something wrong, or said to be something else."""
    data = bytearray(one.data)
    how = rng.choice(["cut", "flip", "flip", "field", "field", "gap", "again", "tail", "splice", "kind"])
    place = rng.randrange(len(data))
    if how == "cut":
        del data[place:]
    elif how == "flip":
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == "field":
        wide = rng.choice([1, 2, 4])
        data[place : place + wide] = rng.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * wide
    elif how == "gap":
        del data[place : place + rng.randrange(1, 40)]
    elif how == "again":
        data[place:place] = data[place : place + rng.randrange(1, 400)] * rng.choice([1, 50])
    elif how == "tail":
        data += rng.randbytes(200)
    elif how == "splice":
        data[place:] = rng.choice(others).data[place:]
    kind = rng.choice(KINDS) if how == "kind" else one.kind
    return Sent(kind, bytes(data) or b"\0", f"{one.what}: {how} at {place}")
