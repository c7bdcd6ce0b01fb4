"""A few frames of a video: ours against decoding the whole clip, and against plain seeking; and many media at once.

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.decode_video

The clips are made up here: H.264 by x264 (veryfast, crf 26: 73 % B-frames), 1280 x 720, 25 fps, with a key frame every
60 or 250 frames. Three ways, each on one thread in this process, each giving equal RGB arrays:

* full decode, the reference trainer's way: decode every frame in a loop, convert the wanted ones;
* plain seeking: read packets to know the times, seek to the key frame before each wanted frame, decode all up to it;
* ours: the same, but frames that no other frame is predicted from are decoded only where they are wanted.

Then eight clips by the project's `Decoder`, asked by one thread and by a pool of threads: wall time, because the work
is done in child processes. The last line is one JSON object of the ratios.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from perf.rounds import interleaved, last_line

from omnireward.media import DecodeOptions, Decoder, decode
from omnireward.media.children import processors
from omnireward.media.sampling import nearest
from omnireward.types import Media

Pixels = npt.NDArray[np.uint8]

# At 30 fps the wanted frames of two minutes would all lie just behind a key frame: luck, for seeking.
WIDTH, HEIGHT, FPS = 1280, 720, 25
CLIPS = ((120, 60, 4, 7), (10, 60, 10, 7), (10, 250, 10, 7))  # seconds, key frame every, frames, rounds
AT_ONCE = 8


def make_clip(path: Path, seconds: int, gop: int) -> None:
    """Write a clip of soft shapes that move over still ground, with a little noise."""
    rng = np.random.default_rng(seconds + gop)
    coarse = rng.integers(30, 220, (HEIGHT * 3 // 2 // 20, WIDTH // 20), dtype=np.uint8)
    ground = np.kron(coarse, np.ones((20, 20), np.uint8))  # planar 4:2:0: brightness above, colours below
    noise = rng.integers(0, 9, (HEIGHT, WIDTH), dtype=np.uint8)
    options = {"preset": "veryfast", "crf": "26", "g": str(gop), "sc_threshold": "0"}
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


def by_full_decode(path: Path, frames: int) -> Pixels:
    """(frames, height, width, 3). How many frames there are, the header says."""
    with av.open(str(path)) as container:
        stream = _on_one_thread(container)
        wanted = nearest(range(stream.frames), frames)
        decoded = enumerate(container.decode(stream))
        return np.stack([_rgb(frame) for number, frame in decoded if number in wanted])


def by_plain_seeking(path: Path, frames: int) -> Pixels:
    """The same frames; those of one group of pictures are reached in one go."""
    with av.open(str(path)) as container:
        stream = _on_one_thread(container)
        packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.pts is not None and p.size]
        times, keys = sorted(pts for pts, _ in packets), sorted(pts for pts, key in packets if key)
        wanted = [times[i] for i in nearest(times, frames)]
        found: dict[int, Pixels] = {}
        for _, group in groupby(wanted, key=lambda time: bisect_right(keys, time)):
            targets = list(group)
            container.seek(targets[0], stream=stream)
            for frame in container.decode(stream):
                if frame.pts in targets:
                    found[frame.pts] = _rgb(frame)
                if frame.pts is not None and frame.pts >= targets[-1]:
                    break
    return np.stack([found[time] for time in wanted])


def ours(path: Path, frames: int) -> Pixels:
    """The same by the project's own decoder, in this process."""
    decoded: Pixels = decode(Media("video", path), DecodeOptions(frames=frames))
    return decoded


def _rgb(frame: av.VideoFrame) -> Pixels:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _on_one_thread(container: av.container.InputContainer) -> av.VideoStream:
    stream = container.streams.video[0]
    stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
    return stream


def compare(path: Path, frames: int, rounds: int, what: str) -> tuple[float, float]:
    """Print a row; how many times faster ours is than a full decode and than plain seeking, in CPU seconds."""
    for way in (by_full_decode, by_plain_seeking):
        np.testing.assert_array_equal(ours(path, frames), way(path, frames))
    ways = {way.__name__: partial(way, path, frames) for way in (ours, by_plain_seeking, by_full_decode)}
    mine, seeking, full = (times.cpu for times in interleaved(ways, rounds).values())
    print(f"| {what} | {mine:.3f} | {seeking:.3f} | {full:.3f} | {full / mine:.1f} | {seeking / mine:.2f} |")
    return full / mine, seeking / mine


def at_once(path: Path, rounds: int) -> float:
    """Print a table of one row; how many times faster a pool of threads has eight clips decoded than one thread."""
    media = [Media("video", path)] * AT_ONCE
    with Decoder() as decoder, ThreadPoolExecutor(processors()) as pool:

        def alone() -> None:
            for medium in media:
                decoder(medium)

        def together() -> None:
            list(pool.map(decoder, media))

        together()  # so that all child processes are there
        times = interleaved({"alone": alone, "together": together}, rounds)
    one, many = times["alone"].wall, times["together"].wall
    clips = f"{AT_ONCE} clips of 10 s, 4 frames of each, in child processes"
    print(f"\n| what | one thread, wall s | {processors()} threads, wall s | ratio |\n|---|--:|--:|--:|")
    print(f"| {clips} | {one:.3f} | {many:.3f} | {one / many:.2f} |")
    return one / many


def main() -> None:
    ratios: dict[str, float | None] = {}
    print("| what | ours, CPU s | plain seeking, CPU s | full decode, CPU s | over full decode | over plain seeking |")
    print("|---|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for seconds, gop, frames, rounds in CLIPS:
            path = Path(folder) / f"{seconds}s_{gop}.mp4"
            make_clip(path, seconds, gop)
            what = f"{frames} frames of {seconds} s, a key frame every {gop} frames"
            over_full, over_seeking = compare(path, frames, rounds, what)
            ratios |= {f"full_{seconds}s_gop{gop}": over_full, f"seeking_{seconds}s_gop{gop}": over_seeking}
        ratios["threads"] = at_once(path, rounds)
    print()
    print(last_line(ratios))


if __name__ == "__main__":
    main()
