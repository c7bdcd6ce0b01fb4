"""A few frames of a video: by seeking (ours) against decoding the whole clip (PyAV, the reference trainer's way).

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.video_seek

The clips are made up here: H.264, 1280 x 720, 25 fps, two B-frames between references, 10 s and 60 s long, with a key
frame every 60 or 250 frames. Both ways decode on one thread in this process and give 8 frames as RGB arrays, which must
be equal. Both read packets to know the times; the whole decode converts no more than the frames that it keeps.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from perf.rounds import interleaved, table_head, table_row

from omnireward.media import DecodeOptions, decode
from omnireward.media.sampling import nearest
from omnireward.types import Media

# At 30 fps the wanted frames of a minute would all lie just behind a key frame, every 250 frames: luck, for seeking.
WIDTH, HEIGHT, FPS, FRAMES = 1280, 720, 25, 8
ROUNDS = {10: 5, 60: 3}  # seconds of a clip -> rounds


def make_clip(path: Path, seconds: int, gop: int) -> None:
    """Write a clip of soft shapes that move over still ground, with a little noise."""
    rng = np.random.default_rng(seconds + gop)
    coarse = rng.integers(30, 220, (HEIGHT * 3 // 2 // 20, WIDTH // 20), dtype=np.uint8)
    ground = np.kron(coarse, np.ones((20, 20), np.uint8))  # planar 4:2:0: brightness above, colours below
    noise = rng.integers(0, 6, (HEIGHT, WIDTH), dtype=np.uint8)
    options = {"preset": "ultrafast", "g": str(gop), "sc_threshold": "0", "bf": "2", "b_strategy": "0"}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(seconds * FPS):
            picture = ground.copy()
            left = 7 * number % (WIDTH - 400)
            picture[200:500, left : left + 400] = np.roll(ground, 3 * number, axis=1)[200:500, :400]
            picture[:HEIGHT] += np.roll(noise, 11 * number, axis=0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        container.mux(stream.encode(None))


def whole_decode(path: Path) -> npt.NDArray[np.uint8]:
    """Decode all frames, keep the wanted: (FRAMES, height, width, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        times = sorted(packet.pts for packet in container.demux(video=0) if packet.pts is not None and packet.size)
        wanted = [times[i] for i in nearest(times, FRAMES)]
        container.seek(0)
        stream = container.streams.video[0]
        stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
        kept = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream) if frame.pts in wanted]
    return np.stack(kept)


def by_seeking(path: Path) -> npt.NDArray[np.uint8]:
    """The same by the project's own decoder."""
    frames: npt.NDArray[np.uint8] = decode(Media("video", path), DecodeOptions(frames=FRAMES))
    return frames


def main() -> None:
    print(table_head())
    with tempfile.TemporaryDirectory() as folder:
        for seconds, rounds in ROUNDS.items():
            for gop in (60, 250):
                path = Path(folder) / f"{seconds}s_{gop}.mp4"
                make_clip(path, seconds, gop)
                np.testing.assert_array_equal(by_seeking(path), whole_decode(path))
                ways = {"ours": partial(by_seeking, path), "reference": partial(whole_decode, path)}
                times = interleaved(ways, rounds)
                what = f"{FRAMES} frames of {seconds} s, a key frame every {gop} frames"
                print(table_row(what, times["ours"], times["reference"]))


if __name__ == "__main__":
    main()
