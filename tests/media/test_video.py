from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media import DecodeOptions, Limits, decode, encode, video
from omnireward.types import Media

Frames = npt.NDArray[np.uint8]
MakeVideo = Callable[..., bytes]

EVEN = [3_000 * i for i in range(48)]  # 30 fps at 90 kHz
ODD = [int(i * 90_000 / 23.976) for i in range(48)]
VARIABLE = [int(sum(1_000 + 700 * (k % 5) for k in range(i))) for i in range(48)]
B_FRAMES = {"bf": "3", "b_strategy": "0"}


def full_decode(data: bytes, count: int) -> Frames:
    """The definition, slowly: decode every frame, take those whose times are nearest to evenly spread moments."""
    with av.open(io.BytesIO(data), "r") as container:
        frames = [(f.pts, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    first, last = frames[0][0], frames[-1][0]
    assert first is not None
    assert last is not None
    chosen = []
    for i in range(count):
        moment = first + (last - first) * (i / (count - 1))
        chosen.append(min(frames, key=lambda f: (abs((f[0] or 0) - moment), f[0] or 0))[1])
    return np.stack(chosen)


@pytest.mark.parametrize("count", [2, 4, 7, 48])
@pytest.mark.parametrize("times", [EVEN, ODD, VARIABLE], ids=["even", "odd", "variable"])
@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("mp4", "libx264", {"g": "250", **B_FRAMES}),
        ("mp4", "libx264", {"g": "5", **B_FRAMES}),
        ("mp4", "libx264", {"g": "12", "x264-params": "open-gop=1:bframes=5:b-pyramid=normal"}),
        ("matroska", "libx264", {"g": "12", **B_FRAMES}),
        ("mp4", "mpeg4", {"g": "9", "bf": "2"}),
        ("webm", "libvpx-vp9", {"g": "10", "cpu-used": "8", "deadline": "realtime"}),
    ],
)
def test_frames_equal_those_of_a_full_decode(
    make_video: MakeVideo,
    noise_frames: Frames,
    container: str,
    codec: str,
    options: dict[str, str],
    times: list[int],
    count: int,
) -> None:
    if codec == "mpeg4":
        times = EVEN  # its clock has no room for others
    data = make_video(noise_frames, times, container=container, codec=codec, options=options)
    decoded = decode(Media("video", data), DecodeOptions(frames=count))
    np.testing.assert_array_equal(decoded, full_decode(data, count))


def test_a_long_video_is_not_decoded_in_full(
    make_video: MakeVideo, noise_frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 frames in groups of 6, two wanted: the first alone and the last of its group; fewer than 10 need decoding."""
    data = make_video(noise_frames, EVEN, options={"g": "6", "bf": "0"})
    seen = []
    original = video._decoded_group

    def counted(*args: object) -> object:
        for frame in original(*args):  # type: ignore[arg-type]
            seen.append(frame.pts)
            yield frame

    monkeypatch.setattr(video, "_decoded_group", counted)
    monkeypatch.setattr(video, "_in_order", None)
    decode(Media("video", data), DecodeOptions(frames=2))
    assert 2 <= len(seen) < 10


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
def test_avi_which_has_no_presentation_times(make_video: MakeVideo, noise_frames: Frames, codec: str) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    data = make_video(noise_frames, EVEN, container="avi", codec=codec, options={"bf": "0"}, pix_fmt=pix_fmt)
    decoded = decode(Media("video", data), DecodeOptions(frames=5))
    np.testing.assert_array_equal(decoded, full_decode(data, 5))


def test_a_stream_without_duration_or_frame_count(make_video: MakeVideo, noise_frames: Frames) -> None:
    """A webm that was streamed live has no Duration (id 44 89) in its header; a Void of equal size is put there."""
    data = make_video(noise_frames[:20], EVEN[:20], container="webm", codec="libvpx-vp9", options={"cpu-used": "8"})
    at = data.index(b"\x44\x89\x88")  # its id, and a length of 8
    live = data[:at] + b"\xec\x89\x00" + data[at + 3 :]
    with av.open(io.BytesIO(live), "r") as container:
        assert container.duration is None
        assert container.streams.video[0].frames == 0
    np.testing.assert_array_equal(decode(Media("video", live), DecodeOptions(frames=5)), full_decode(data, 5))


def test_a_video_with_fewer_frames_repeats_the_nearest(make_video: MakeVideo, noise_frames: Frames) -> None:
    data = make_video(noise_frames[:2], EVEN[:2])
    decoded = decode(Media("video", data), DecodeOptions(frames=5))
    assert decoded.shape == (5, 64, 80, 3)
    for i, same in enumerate([0, 0, 0, 4, 4]):  # the middle is equally near to both: the earlier
        np.testing.assert_array_equal(decoded[i], decoded[same])
    assert (decoded[0] != decoded[4]).any()


def test_a_single_frame_is_the_middle_one(make_video: MakeVideo, noise_frames: Frames) -> None:
    data = make_video(noise_frames[:5], EVEN[:5])
    one, all_five = (decode(Media("video", data), DecodeOptions(frames=n)) for n in (1, 5))
    np.testing.assert_array_equal(one[0], all_five[2])


def test_rotation_is_applied(make_video: MakeVideo) -> None:
    """A red left half, shown a quarter turn clockwise, is a red top half. The track's matrix is
    (a b u, c d v, x y w) in 16.16 (w: 2.30); clockwise maps right (x) to down (y): b = 1, c = -1.
    """
    picture = np.zeros((64, 80, 3), np.uint8)
    picture[:, :40, 0] = 255
    data = make_video(np.stack([picture] * 3), EVEN[:3])
    identity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    clockwise = struct.pack(">9i", 0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    track = data.index(b"tkhd")
    turned = data[:track] + data[track:].replace(identity, clockwise, 1)
    assert turned != data
    decoded = decode(Media("video", turned), DecodeOptions(frames=2))
    assert decoded.shape == (2, 80, 64, 3)
    assert decoded[0, :36, :, 0].min() > 200
    assert decoded[0, 44:, :, 0].max() < 50


def test_gif_with_transparency_is_shown_on_white() -> None:
    from PIL import Image

    buffer = io.BytesIO()
    clear, red = Image.new("RGBA", (8, 8), (0, 0, 0, 0)), Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    clear.save(buffer, "GIF", save_all=True, append_images=[red], duration=100, disposal=2)
    decoded = decode(Media("video", buffer.getvalue()), DecodeOptions(frames=2))
    np.testing.assert_array_equal(decoded[0], 255)
    np.testing.assert_array_equal(decoded[1], np.broadcast_to([255, 0, 0], (8, 8, 3)))


def test_pictures_given_as_frames_are_picked_evenly_and_take_the_first_size() -> None:
    pictures = tuple(encode.png(np.full((8 + i, 6, 3), 20 * i, np.uint8)) for i in range(9))
    decoded = decode(Media("video", pictures), DecodeOptions(frames=3))
    assert decoded.shape == (3, 8, 6, 3)
    assert [int(d.mean()) for d in decoded] == [0, 80, 160]  # the 1st, 5th and 9th


def test_the_sound_of_a_video_is_no_frame(make_video: MakeVideo, noise_frames: Frames) -> None:
    data = make_video(noise_frames[:9], EVEN[:9], tone=True)
    decoded = decode(Media("video", data), DecodeOptions(frames=3))
    np.testing.assert_array_equal(decoded, full_decode(data, 3))


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (Limits(video_frames=47), "47 frames"),
        (Limits(video_pixels=64 * 80 - 1), "80 x 64"),
        (Limits(video_seconds=1), "2 s long"),
        (Limits(bytes=1000), "bytes"),
    ],
)
def test_limits(make_video: MakeVideo, noise_frames: Frames, limits: Limits, what: str) -> None:
    data = make_video(noise_frames, EVEN)
    with pytest.raises(MediaLimitError, match=what):
        decode(Media("video", data), limits=limits)


def test_limits_also_hold_where_everything_is_decoded(make_video: MakeVideo, noise_frames: Frames) -> None:
    data = make_video(noise_frames, EVEN, container="avi", codec="mpeg4", options={"bf": "0"})
    with pytest.raises(MediaLimitError, match="more than 40 frames"):
        decode(Media("video", data), limits=Limits(video_frames=40))


def test_truncated(make_video: MakeVideo, noise_frames: Frames) -> None:
    data = encode.mp4(noise_frames, 30)  # its index is at the start, so that the file opens
    with pytest.raises(UnreadableMediaError):
        decode(Media("video", data[: len(data) * 2 // 3]))


def test_without_frames(make_video: MakeVideo) -> None:
    data = make_video(np.zeros((0, 64, 64, 3), np.uint8), [])
    with pytest.raises(UnreadableMediaError):
        decode(Media("video", data))


@pytest.mark.parametrize("script", ["ffconcat version 1.0\nfile '{}'\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"])
def test_playlists_that_name_other_files_are_refused(
    make_video: MakeVideo, noise_frames: Frames, tmp_path: Path, script: str
) -> None:
    (tmp_path / "secret.mp4").write_bytes(make_video(noise_frames[:4], EVEN[:4]))
    (tmp_path / "list.mp4").write_text(script.format(tmp_path / "secret.mp4"))
    with pytest.raises(UnreadableMediaError, match=r"list\.mp4: cannot be decoded"):
        decode(Media("video", tmp_path / "list.mp4"))


def test_damaged_files_never_give_anything_but_frames_or_an_error(make_video: MakeVideo, noise_frames: Frames) -> None:
    whole = bytearray(make_video(noise_frames[:12], EVEN[:12], options={"g": "6", **B_FRAMES}))
    rng = np.random.default_rng(3)
    unreadable = 0
    for _ in range(60):
        damaged = whole.copy()
        for position in rng.integers(0, len(whole), 20):
            damaged[position] ^= 1 << int(rng.integers(8))
        try:
            decoded = decode(Media("video", bytes(damaged)), DecodeOptions(frames=3))
        except (UnreadableMediaError, MediaLimitError):
            unreadable += 1
        else:
            assert decoded.shape[0] == 3
    assert unreadable  # else nothing was damaged
