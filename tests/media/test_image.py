from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media import Limits, decode, encode
from omnireward.types import Media


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header_of(width: int, height: int) -> bytes:
    """A PNG that only announces its size: signature, IHDR, and an IDAT of nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def picture() -> Image.Image:
    rows, columns = np.mgrid[0:24, 0:32]
    return Image.fromarray(np.stack([rows * 10, columns * 8, rows + columns], axis=2).astype(np.uint8))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_round_trip(picture: Image.Image, kind: str, options: dict[str, object]) -> None:
    decoded = decode(Media("image", saved(picture, kind, **options)))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, np.asarray(picture))


def test_jpeg_is_near(picture: Image.Image) -> None:
    decoded = decode(Media("image", saved(picture, "JPEG", quality=98, subsampling=0)))
    assert np.abs(decoded.astype(int) - np.asarray(picture)).max() <= 12


def test_what_is_no_image_has_the_same_message_each_time() -> None:
    """Pillow's own has an address in memory."""
    with pytest.raises(UnreadableMediaError) as raised:
        decode(Media("image", b"broken"))
    message = "6 bytes in memory: not a readable image. Images may be PNG, JPEG, WEBP, GIF."
    assert str(raised.value) == message


def test_path_and_bytes_are_the_same(picture: Image.Image, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode.png(np.asarray(picture)))
    np.testing.assert_array_equal(decode(Media("image", tmp_path / "a.png")), np.asarray(picture))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        # By hand: c * a / 255 + 255 * (1 - a / 255), rounded.
        (Image.new("RGBA", (2, 2), (255, 0, 0, 128)), (255, 127, 127)),
        (Image.new("RGBA", (2, 2), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("LA", (2, 2), (0, 51)), (204, 204, 204)),
        (Image.new("L", (2, 2), 77), (77, 77, 77)),
        (Image.new("1", (2, 2), 1), (255, 255, 255)),
        # 16-bit grey: the high byte. 0x8001 would be clipped to white.
        (Image.fromarray(np.full((2, 2), 0x8001, np.uint16)), (0x80, 0x80, 0x80)),
    ],
    ids=["half red", "invisible", "LA", "L", "1 bit", "16 bit"],
)
def test_modes(image: Image.Image, expected: tuple[int, int, int]) -> None:
    decoded = decode(Media("image", saved(image, "PNG")))
    np.testing.assert_array_equal(decoded, np.broadcast_to(expected, (2, 2, 3)))


def test_transparent_palette_entry_is_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    decoded = decode(Media("image", saved(image, "PNG", transparency=bytes([255, 0]))))
    assert decoded.tolist() == [[[200, 0, 0], [255, 255, 255]]]


def test_cmyk_jpeg_is_not_inverted() -> None:
    decoded = decode(Media("image", saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)))
    assert decoded[8, 8, 0] > 240  # no cyan: red
    assert decoded[8, 8, 1:].max() < 15


def test_gif_gives_its_first_frame() -> None:
    first, second = Image.new("RGB", (4, 4), (255, 0, 0)), Image.new("RGB", (4, 4), (0, 0, 255))
    data = saved(first, "GIF", save_all=True, append_images=[second])
    assert decode(Media("image", data))[0, 0].tolist() == [255, 0, 0]


def test_exif_orientation_is_applied() -> None:
    """Orientation 6: the camera was turned; the picture must be turned a quarter clockwise, its top to the right."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8] = 255  # the top half is white
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode(Media("image", saved(Image.fromarray(pixels), "JPEG", exif=exif, quality=95)))
    assert decoded.shape == (32, 16, 3)
    assert decoded[:, 10:].min() > 240
    assert decoded[:, :6].max() < 15


def test_broken_exif_does_not_spoil_a_whole_picture(picture: Image.Image) -> None:
    data = saved(picture, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    assert decode(Media("image", data)).shape == (24, 32, 3)


def test_a_huge_image_is_refused_by_its_header() -> None:
    with pytest.raises(MediaLimitError, match="400000000 pixels"):
        decode(Media("image", png_header_of(20_000, 20_000)))


def test_between_our_limit_and_pillows_ours_counts(picture: Image.Image) -> None:
    with pytest.raises(MediaLimitError, match="32 x 24 pixels; at most 767"):
        decode(Media("image", saved(picture, "PNG")), limits=Limits(image_pixels=32 * 24 - 1))


def test_pillows_own_limit_is_left_alone(picture: Image.Image) -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode(Media("image", saved(picture, "PNG")))
    assert before == Image.MAX_IMAGE_PIXELS
    assert before is not None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, kind)
    with pytest.raises(UnreadableMediaError, match="not a readable image"):
        decode(Media("image", data[: int(len(data) * share)]))


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "BMP", "PPM"])
def test_other_formats_are_not_even_tried(picture: Image.Image, kind: str) -> None:
    with pytest.raises(UnreadableMediaError, match="PNG, JPEG, WEBP, GIF"):
        decode(Media("image", saved(picture, kind)))


def test_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableMediaError, match=r"none\.png"):
        decode(Media("image", tmp_path / "none.png"))
    with pytest.raises(UnreadableMediaError, match="not an ordinary file"):
        decode(Media("image", Path("/dev/zero")))
    with pytest.raises(UnreadableMediaError, match="empty"):
        decode(Media("image", b""))
    with pytest.raises(UnreadableMediaError, match="only a video or a mesh"):
        decode(Media("image", (b"1", b"2")))


def test_damaged_files_never_give_anything_but_pixels_or_an_error(picture: Image.Image) -> None:
    rng = np.random.default_rng(5)
    unreadable = 0
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        whole = saved(picture, kind)
        for _ in range(150):
            damaged = bytearray(whole)
            for position in rng.integers(0, len(whole), 4):
                damaged[position] ^= 1 << int(rng.integers(8))
            with warnings.catch_warnings(record=True) as leaked:
                try:
                    decode(Media("image", bytes(damaged)))
                except (UnreadableMediaError, MediaLimitError):
                    unreadable += 1
            assert not leaked
    assert unreadable > 50
