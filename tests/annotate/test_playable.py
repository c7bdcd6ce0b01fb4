"""What browsers cannot play is made anew, in a child; what is broken says so."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.annotate.world import World

from omnireward.annotate import showing
from omnireward.annotate.conversions import Conversions
from omnireward.annotate.playable import Playable, served, to_play
from omnireward.annotate.queue import Rules
from omnireward.annotate.store import Store
from omnireward.errors import DecoderCrashError, MediaError
from omnireward.media import Decoder, Limits
from omnireward.media.encode import mp4, png, wav
from omnireward.media_store import MediaStore
from omnireward.types import Comparison, Media, MediaKind, Sample, Task

_OBJ = "mtllib m.mtl\nusemtl red\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 4\nf 1 2 4\nf 2 3 4\n"


@pytest.fixture(scope="module")
def playable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playable]:
    with Store(tmp_path_factory.mktemp("store"), Rules()) as store, Playable(store) as one:
        yield one


def _video(codec: str, suffix: str, shape: tuple[int, int] = (48, 64), sound: bool = False) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=suffix) as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = shape
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        track = container.add_stream("pcm_s16le", rate=16_000, layout="mono") if sound else None
        for number in range(10):
            picture = np.full((*shape, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
        if track is not None:
            samples = np.zeros((1, 16_000), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return buffer.getvalue()


def _part(playable: Playable, kind: MediaKind, source: Path | bytes | tuple[bytes, ...]) -> dict[str, object]:
    media = Media(kind, source)
    names = MediaStore(playable._folder).keep(media)
    return playable.part({"kind": kind, "media": names, **({"frames": True} if isinstance(source, tuple) else {})})


def _file(playable: Playable, url: object) -> tuple[Path, str]:
    assert isinstance(url, str)
    found = playable._store.do(served, playable._folder, url.removeprefix("/media/"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("codec", "suffix", "sound"),
    [("mpeg4", "mp4", False), ("gif", "gif", False), ("mjpeg", "avi", True), ("libx264", "matroska", False)],
    ids=["mpeg4", "gif", "avi with sound", "matroska"],
)
def test_a_video_that_browsers_cannot_play_becomes_h264(
    playable: Playable, codec: str, suffix: str, sound: bool
) -> None:
    part = _part(playable, "video", _video(codec, suffix, (47, 64) if codec == "gif" else (48, 64), sound))
    assert part["note"] == "converted"
    path, mime = _file(playable, part["url"])
    assert mime == "video/mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        frames = list(container.decode(stream))
        assert (frames[0].width, frames[0].height, len(frames)) == (64, 46 if codec == "gif" else 48, 10)
        brightness = [frame.to_ndarray(format="gray").mean() for frame in frames]
        assert brightness == sorted(brightness)
        assert brightness[-1] - brightness[0] > 120
        assert frames[-1].time == pytest.approx(0.9, abs=0.02)
    with av.open(str(path)) as container:
        assert [track.codec_context.name for track in container.streams.audio] == ["aac"] * sound


@pytest.mark.parametrize(
    ("kind", "data", "mime"),
    [
        ("video", mp4(np.zeros((3, 16, 16, 3), np.uint8), 5), "video/mp4"),
        ("audio", wav(np.zeros(800, np.float32), 16_000), "audio/wav"),
        ("image", png(np.zeros((4, 4, 3), np.uint8)), "image/png"),
    ],
    ids=["video", "audio", "image"],
)
def test_what_browsers_play_is_served_as_it_is(playable: Playable, kind: MediaKind, data: bytes, mime: str) -> None:
    part = _part(playable, kind, data)
    assert part.keys() == {"kind", "url"}
    path, found = _file(playable, part["url"])
    assert (path.read_bytes(), found) == (data, mime)
    assert to_play([part]) == ([] if kind == "image" else [part["url"]])


def test_a_sound_that_browsers_cannot_play_becomes_wav(playable: Playable) -> None:
    buffer = io.BytesIO()
    tone = (np.sin(np.arange(16_000) * 0.2) * 12_000).astype(np.int16)[None]
    with av.open(buffer, "w", format="wav") as container:
        stream = container.add_stream("adpcm_ms", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    part = _part(playable, "audio", buffer.getvalue())
    path, mime = _file(playable, part["url"])
    assert (part["note"], mime, path.read_bytes()[:4]) == ("converted", "audio/wav", b"RIFF")
    with Decoder() as decoder:
        samples = decoder(Media("audio", path))
    assert len(samples) == pytest.approx(16_000, abs=1100)  # whole blocks of ADPCM
    assert np.abs(samples[:16_000] - tone[0, : len(samples)] / 32768).mean() < 0.02


def test_frames_stay_in_order(playable: Playable) -> None:
    part = _part(playable, "video", tuple(png(np.full((5, 5, 3), shade, np.uint8)) for shade in (120, 10, 230)))
    assert part.keys() == {"kind", "urls"}
    assert isinstance(part["urls"], list)
    files = [_file(playable, url) for url in part["urls"]]
    assert [mime for _, mime in files] == ["image/png"] * 3
    assert [int(np.asarray(Image.open(path))[0, 0, 0]) for path, _ in files] == [120, 10, 230]


@pytest.mark.slow
def test_a_mesh_becomes_one_file_with_its_colours_and_views(playable: Playable, tmp_path: Path) -> None:
    pytest.importorskip("embreex")
    (tmp_path / "m.mtl").write_text("newmtl red\nKd 1 0 0\n")
    (tmp_path / "m.obj").write_text(_OBJ)
    part = _part(playable, "mesh", tmp_path / "m.obj")
    assert part["note"] == "converted"
    path, mime = _file(playable, part["url"])
    assert (mime, path.read_bytes()[:4]) == ("model/gltf-binary", b"glTF")
    assert isinstance(part["views"], list)
    assert len(part["views"]) == 6
    view = np.asarray(Image.open(_file(playable, part["views"][0])[0])).reshape(-1, 3).astype(int)
    assert ((view[:, 0] > 80) & (view[:, 1] < 30)).sum() > 1000
    again = Conversions().convert("mesh", path, tmp_path / "not.glb", Limits())  # a GLB is served as it is
    assert again == {"type": "model/gltf-binary", "converted": False}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("video", b"not a video at all"),
        ("video", _video("mpeg4", "mp4")[:700]),
        ("audio", b"RIFF\x00\x00\x00\x00WAVEfmt "),
        ("image", b"\x89PNG\r\n\x1a\n and nothing"),
        ("image", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("mesh", b"glTF but no more"),
        ("video", b""),
    ],
    ids=["noise", "half", "head", "png", "svg", "glb", "empty"],
)
def test_what_is_broken_is_refused_and_served_under_no_name(playable: Playable, kind: MediaKind, data: bytes) -> None:
    before = playable._store.do(lambda db: db.execute("SELECT COUNT(*) FROM file").fetchone()[0])
    with pytest.raises(MediaError):
        _part(playable, kind, data)
    assert playable._store.do(lambda db: db.execute("SELECT COUNT(*) FROM file").fetchone()[0]) == before
    assert not list((playable._folder / "shown").glob(".*.new"))


def test_a_reason_does_not_say_where_things_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions name whole paths, also where the folder was given as a relative one."""
    monkeypatch.chdir(tmp_path)
    broken = Sample("one", Task.T2V, Comparison((), (Media("video", b"no video"),), (), "It moves."), "a", "c")
    world = World(Path("out"), [broken], stage="vote")
    with world.store as store, Playable(store) as playable:
        with pytest.raises(MediaError, match=str(tmp_path)) as caught:
            showing.gated(playable, "vote", store.do(showing.row_of, 1), "a")
        store.do(showing.set_aside, store.folder, 1, str(caught.value))
        ((reason,),) = world.rows("SELECT broken FROM sample")
    assert reason.startswith("media/")


def test_closing_ends_what_is_being_converted(tmp_path: Path) -> None:
    slow = tmp_path / "slow.mp4"
    os.mkfifo(slow)  # whoever opens it waits for ever
    conversions = Conversions()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(conversions.convert, "video", slow, tmp_path / "out", Limits())
        until = time.monotonic() + 20
        while not conversions._running and time.monotonic() < until:
            time.sleep(0.01)
        conversions.close()
        with pytest.raises(DecoderCrashError):
            running.result(20)
    with pytest.raises(DecoderCrashError, match="the server ends"):
        conversions.convert("video", slow, tmp_path / "out", Limits())


def test_a_conversion_ends_when_its_server_is_killed(tmp_path: Path) -> None:
    slow = tmp_path / "slow.mp4"
    os.mkfifo(slow)
    code = (
        "import sys; from pathlib import Path; from omnireward.annotate.conversions import Conversions;"
        "from omnireward.media import Limits; slow = Path(sys.argv[1]);"
        "Conversions().convert('video', slow, slow.with_suffix('.new'), Limits())"
    )
    server = subprocess.Popen([sys.executable, "-c", code, str(slow)])
    with slow.open("wb", buffering=0) as pipe:  # opened when the child has it open too
        server.kill()
        server.wait(20)
        until = time.monotonic() + 20
        while _is_read(pipe):
            assert time.monotonic() < until
            time.sleep(0.02)


def _is_read(pipe: io.FileIO) -> bool:
    try:
        pipe.write(b"x")
    except BrokenPipeError:
        return False
    return True


def test_what_a_killed_server_left_half_made_is_removed_and_not_written_to(tmp_path: Path) -> None:
    with Store(tmp_path, Rules()) as store:
        Playable(store).close()
        half = tmp_path / "shown" / ".abc-1.new"
        half.write_text("half")
        Playable(store).close()
        assert not half.exists()


def test_a_conversion_is_bounded(tmp_path: Path) -> None:
    data = _video("mpeg4", "mp4")
    with Store(tmp_path, Rules()) as store:
        for limits, error in (
            (Limits(video_frames=5), MediaError),
            (Limits(video_pixels=1000), MediaError),
            (Limits(bytes=100), MediaError),
            (Limits(wall_seconds=0.01), DecoderCrashError),
            (Limits(memory_bytes=1000), DecoderCrashError),
        ):
            with Playable(store, limits) as playable, pytest.raises(error):
                _part(playable, "video", data)
