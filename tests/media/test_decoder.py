from __future__ import annotations

import copy
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from omnireward.errors import DecoderCrashError, MediaError, MediaLimitError, RecipeError, UnreadableMediaError
from omnireward.media import DecodeOptions, Decoder, Limits, decode, encode
from omnireward.media.answers import ImplausibleAnswerError, empty_array_for, stated_from
from omnireward.media.child import Child
from omnireward.media.length import Stated
from omnireward.types import Media

PICTURE = Media("image", encode.png(np.arange(48 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 32, 3)))
CLIP = Media("video", encode.mp4(np.zeros((6, 64, 64, 3), np.uint8) + 90, 6))
SOUND = Media("audio", encode.wav((np.sin(np.arange(8_000)) / 2).astype(np.float32), 8_000))


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, or limits address space")


def child_of(decoder: Decoder) -> subprocess.Popen[bytes]:
    (child,) = decoder._children._idle
    return child._process


def none(decoder: Decoder) -> bool:
    return not decoder._children._idle and not decoder._children._busy


def seconds_used(pid: int) -> float:
    """Processor time, user and system: fields 14 and 15 of /proc/PID/stat, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("media", [PICTURE, CLIP, SOUND], ids=["image", "video", "audio"])
def test_gives_what_decode_gives(media: Media) -> None:
    with Decoder(DecodeOptions(frames=3)) as decoder:
        for _ in range(2):
            array = decoder(media)
            np.testing.assert_array_equal(array, decode(media, DecodeOptions(frames=3)))
            assert array.dtype == (np.float32 if media.kind == "audio" else np.uint8)


def test_paths_are_those_of_the_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Decoder() as decoder:
        decoder(PICTURE)  # the child started elsewhere
        monkeypatch.chdir(tmp_path)
        assert isinstance(PICTURE.source, bytes)
        Path("küche 1.png").write_bytes(PICTURE.source)
        np.testing.assert_array_equal(decoder(Media("image", Path("küche 1.png"))), decode(PICTURE))
        pair = Media("video", (Path("küche 1.png"), PICTURE.source))
        assert decoder(pair).shape == (4, 48, 32, 3)


def test_errors_come_back_typed_and_the_child_lives_on() -> None:
    with Decoder(limits=Limits(image_pixels=1_000)) as decoder:
        with pytest.raises(UnreadableMediaError, match="not a readable image"):
            decoder(Media("image", b"nonsense"))
        pid = child_of(decoder).pid
        with pytest.raises(MediaLimitError, match="32 x 48 pixels"):
            decoder(PICTURE)
        assert child_of(decoder).pid == pid


def test_files_too_large_never_reach_the_child() -> None:
    decoder = Decoder(limits=Limits(bytes=10))
    with pytest.raises(MediaLimitError):
        decoder(PICTURE)
    assert none(decoder)


def test_a_killed_child_is_blamed_on_its_medium_and_replaced() -> None:
    with Decoder() as decoder:
        decoder(PICTURE)
        victim = child_of(decoder)
        victim.send_signal(signal.SIGSTOP)  # as if it was deep in a decoding library
        timer = threading.Timer(0.2, victim.kill)
        timer.start()
        with pytest.raises(DecoderCrashError, match=r"image .* bytes in memory: .*SIGKILL"):
            decoder(PICTURE)
        timer.join()
        np.testing.assert_array_equal(decoder(PICTURE), decode(PICTURE))


def test_a_child_that_died_between_two_media_is_nobodys_fault() -> None:
    with Decoder() as decoder:
        decoder(PICTURE)
        child_of(decoder).kill()
        child_of(decoder).wait(5)
        decoder(PICTURE)


def test_wall_limit() -> None:
    with Decoder(limits=Limits(wall_seconds=0.3)) as decoder:
        decoder(PICTURE)
        stuck = child_of(decoder)
        stuck.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(DecoderCrashError, match=r"took longer than 0\.3 s"):
            decoder(PICTURE)
        assert time.monotonic() - begun < 3
        assert stuck.returncode == -signal.SIGKILL
        decoder(PICTURE)


@on_linux
def test_memory_limit() -> None:
    """A picture within the pixel limit that needs 650 MB in a child that may have 700 MB with its libraries."""
    large = Media("image", encode.png(np.zeros((9_000, 9_000), np.uint8)))
    limits = Limits(image_pixels=100_000_000, memory_bytes=700 * 2**20)
    with Decoder(limits=limits) as decoder, pytest.raises(DecoderCrashError, match=r"Limits\.memory_bytes"):
        decoder(large)


@on_linux
def test_processor_limit_is_counted_for_each_medium() -> None:
    """Many media may use more than the limit together; one that does alone is stopped."""
    with Decoder(limits=Limits(cpu_seconds=1)) as decoder:
        decoder(PICTURE)
        pictures = Media("video", (encode.png(np.zeros((2_000, 2_000, 3), np.uint8)),) * 4)
        used = 0.0
        while used < 2.5:
            decoder(pictures)
            used = seconds_used(child_of(decoder).pid)
    blank = Media("video", (encode.png(np.zeros((4_000, 4_000, 3), np.uint8)),) * 20)  # 0.1 s each and more
    limits = Limits(cpu_seconds=1)
    with Decoder(DecodeOptions(frames=20), limits) as decoder, pytest.raises(DecoderCrashError, match="processor time"):
        decoder(blank)


@on_linux
def test_the_child_sees_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    with Decoder() as decoder:
        decoder(PICTURE)
        assert b"SOME_API_KEY" not in Path(f"/proc/{child_of(decoder).pid}/environ").read_bytes()


@on_linux
def test_the_child_loads_no_torch() -> None:
    with Decoder() as decoder:
        decoder(CLIP)
        assert "torch" not in Path(f"/proc/{child_of(decoder).pid}/maps").read_text()


def test_close_twice_then_use_again() -> None:
    decoder = Decoder()
    decoder.close()
    decoder(PICTURE)
    child = child_of(decoder)
    decoder.close()
    decoder.close()
    assert child.returncode == -signal.SIGKILL
    decoder(PICTURE)
    decoder.close()


def test_a_forgotten_decoder_leaves_no_child() -> None:
    decoder = Decoder()
    decoder(PICTURE)
    child = child_of(decoder)
    del decoder
    gc.collect()
    assert child.returncode == -signal.SIGKILL


def test_many_threads_share_a_decoder_and_each_gets_its_own_answer() -> None:
    pictures = [Media("image", encode.png(np.full((9, i + 1, 3), i, np.uint8))) for i in range(12)]
    with Decoder(at_once=3) as decoder:
        right: list[bool] = []

        def work(i: int) -> None:
            for _ in range(5):
                right.append(bool((decoder(pictures[i]) == decode(pictures[i])).all()))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert right == [True] * 60
        assert 1 <= len(decoder._children._idle) <= 3
        assert not decoder._children._busy


class Held:
    """A medium that is being decoded until it is let go: its child is stopped as soon as a thread has it."""

    def __init__(self, decoder: Decoder, media: Media = PICTURE) -> None:
        before = set(decoder._children._busy)
        self.decoder, self.outcome = decoder, Future[object]()
        decoder(media)  # so that a child is there
        idle = decoder._children._idle[-1]
        self.child = idle._process
        self.child.send_signal(signal.SIGSTOP)
        self._thread = threading.Thread(target=self._ask, args=(media,))
        self._thread.start()
        while decoder._children._busy == before:
            time.sleep(0.001)

    def _ask(self, media: Media) -> None:
        try:
            self.outcome.set_result(self.decoder(media))
        except MediaError as error:
            self.outcome.set_exception(error)

    def let_go(self) -> None:
        self.child.send_signal(signal.SIGCONT)
        self._thread.join(20)


def test_a_thread_that_finds_a_child_busy_gets_another() -> None:
    """The first child answers nothing until the second has answered: with one child this would end by the limit."""
    with Decoder(limits=Limits(wall_seconds=20), at_once=2) as decoder:
        held = Held(decoder)
        np.testing.assert_array_equal(decoder(CLIP), decode(CLIP))
        assert child_of(decoder).pid != held.child.pid
        assert not held.outcome.done()
        held.let_go()
        np.testing.assert_array_equal(held.outcome.result(0), decode(PICTURE))
        assert len(decoder._children._idle) == 2


def test_a_lone_thread_keeps_to_one_child() -> None:
    with Decoder(at_once=4) as decoder:
        pids = set()
        for media in (PICTURE, CLIP, SOUND, PICTURE):
            decoder(media)
            pids.add(child_of(decoder).pid)
        assert len(pids) == 1


def test_no_more_children_than_allowed_and_the_next_thread_waits_its_turn() -> None:
    with Decoder(limits=Limits(wall_seconds=20), at_once=1) as decoder:
        held = Held(decoder)
        waiting = threading.Thread(target=decoder, args=(CLIP,))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert len(decoder._children._busy) == 1
        held.let_go()
        waiting.join(20)
        assert child_of(decoder).pid == held.child.pid


def test_a_crash_in_one_thread_leaves_the_answers_of_another_as_they_are() -> None:
    with Decoder(limits=Limits(wall_seconds=20), at_once=2) as decoder:
        crashing = Held(decoder)
        other = Held(decoder, CLIP)
        crashing.child.kill()
        with pytest.raises(DecoderCrashError, match="SIGKILL"):
            crashing.outcome.result(20)
        assert not other.outcome.done()
        other.let_go()
        np.testing.assert_array_equal(other.outcome.result(0), decode(CLIP))
        assert child_of(decoder).pid == other.child.pid
        np.testing.assert_array_equal(decoder(PICTURE), decode(PICTURE))


def test_closed_while_it_decodes_it_ends_that_too_and_can_be_used_again() -> None:
    with Decoder(limits=Limits(wall_seconds=60), at_once=2) as decoder:
        held = Held(decoder)
        decoder(CLIP)
        idle = child_of(decoder)
        decoder.close()
        with pytest.raises(DecoderCrashError, match="the decoder was closed meanwhile"):
            held.outcome.result(20)
        assert [child.wait(5) for child in (held.child, idle)] == [-signal.SIGKILL] * 2
        assert none(decoder)
        np.testing.assert_array_equal(decoder(PICTURE), decode(PICTURE))


def test_closed_while_a_child_starts_it_waits_for_no_medium(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a thread waits for its turn. Neither child nor medium outlives the close."""
    starting, go_on, asked = threading.Event(), threading.Event(), []
    start, ask = Child.__init__, Child.ask

    def slowly(self: Child, options: DecodeOptions, limits: Limits) -> None:
        start(self, options, limits)
        starting.set()
        assert go_on.wait(20)

    def asking(self: Child, media: Media) -> object:
        asked.append(media)
        return ask(self, media)

    monkeypatch.setattr(Child, "__init__", slowly)
    monkeypatch.setattr(Child, "ask", asking)
    with Decoder(at_once=1) as decoder, ThreadPoolExecutor(2) as pool:
        first = pool.submit(decoder, PICTURE)
        assert starting.wait(20)
        second = pool.submit(decoder, PICTURE)
        while not decoder._children._turns._cond._waiters:  # type: ignore[attr-defined]
            time.sleep(0.001)
        decoder.close()
        go_on.set()
        for each in (first, second):
            with pytest.raises(DecoderCrashError, match="the decoder was closed meanwhile"):
                each.result(20)
        assert asked == []
        assert none(decoder)
        np.testing.assert_array_equal(decoder(PICTURE), decode(PICTURE))


def test_a_fork_gets_a_child_of_its_own_and_leaves_the_other_alone() -> None:
    with Decoder() as decoder:
        decoder(PICTURE)
        before = child_of(decoder).pid
        fork = os.fork()
        if fork == 0:
            status = 1
            try:
                same = (decoder(PICTURE) == decode(PICTURE)).all()
                status = 0 if same and child_of(decoder).pid != before else 2
                decoder.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
        decoder(PICTURE)
        assert child_of(decoder).pid == before


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # that is the point
def test_a_fork_while_others_decode_is_not_held_up_by_them() -> None:
    with Decoder(limits=Limits(wall_seconds=60), at_once=1) as decoder:
        held = Held(decoder)
        fork = os.fork()
        if fork == 0:
            status = 1
            try:
                status = 0 if (decoder(CLIP) == decode(CLIP)).all() and child_of(decoder).pid != held.child.pid else 2
                decoder.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
        held.let_go()
        np.testing.assert_array_equal(held.outcome.result(0), decode(PICTURE))


def test_a_copy_has_the_same_settings_and_no_child() -> None:
    with Decoder(DecodeOptions(frames=7), Limits(cpu_seconds=9), at_once=3) as decoder:
        decoder(PICTURE)
        twin = copy.copy(decoder)
        assert (twin.options, twin.limits, twin.at_once) == (decoder.options, decoder.limits, 3)
        assert none(twin)


def test_at_least_one_at_once() -> None:
    with pytest.raises(RecipeError, match="at least 1 medium at once, not 0"):
        Decoder(at_once=0)


@pytest.mark.parametrize(
    ("media", "header"),
    [
        (PICTURE, {"shape": [10**6, 10**6, 3], "dtype": "uint8"}),
        (PICTURE, {"shape": [10, 10, 3], "dtype": "object"}),
        (PICTURE, {"shape": [10, 10, 4], "dtype": "uint8"}),
        (PICTURE, {"shape": [10, -10, 3], "dtype": "uint8"}),
        (PICTURE, {"shape": [10.0, 10, 3], "dtype": "uint8"}),
        (PICTURE, {"shape": [3], "dtype": "uint8"}),
        (PICTURE, {"shape": [], "dtype": "uint8"}),
        (PICTURE, {"error": "KeyboardInterrupt", "message": ""}),
        (PICTURE, ["shape"]),
        (CLIP, {"shape": [5, 10, 10, 3], "dtype": "uint8"}),
        (CLIP, {"shape": [10, 10, 3], "dtype": "uint8"}),
        (SOUND, {"shape": [10**12], "dtype": "float32"}),
        (SOUND, {"shape": [10, 1], "dtype": "float32"}),
        (Media("mesh", b"glTF"), {"shape": [4, 255, 256, 3], "dtype": "uint8"}),
        (Media("mesh", (b"1",)), {"shape": [5, 9, 9, 3], "dtype": "uint8"}),
    ],
)
def test_answers_that_an_honest_child_would_not_give(media: Media, header: object) -> None:
    with pytest.raises(ImplausibleAnswerError):
        empty_array_for(header, media, DecodeOptions(), Limits())


def _header(encoded: bytes) -> bytes:
    return len(encoded).to_bytes(4, "big") + encoded


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (_header(b"[" * 60_000), "stopped answering"),
        (_header(b'{"shape": [1'), "stopped answering"),
        (b"\xff\xff\xff\xff", "stopped answering"),
        (_header(b'{"shape": [48, 32, 4], "dtype": "uint8"}'), "file refused"),
        (_header(b'{"shape": [48, 32, 3], "dtype": "uint8"}') + b"12", "died"),
    ],
    ids=["brackets", "no JSON", "4 GB", "shape", "short"],
)
def test_a_child_that_was_taken_over_costs_one_medium(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: bytes, problem: str
) -> None:
    _impostor(tmp_path, monkeypatch, f"os.write(1, {reply!r})\n" + ("" if problem == "died" else "time.sleep(60)"))
    with Decoder() as decoder, pytest.raises(DecoderCrashError, match=problem):
        decoder(PICTURE)


def test_a_child_that_ends_by_a_signal_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's enumeration of signals has no name for most real-time ones."""
    _impostor(tmp_path, monkeypatch, "os.kill(os.getpid(), 40)")
    with Decoder() as decoder, pytest.raises(DecoderCrashError, match="killed by signal 40"):
        decoder(PICTURE)


def test_a_message_of_the_child_is_short_and_can_be_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = _header(b'{"error": "MediaLimitError", "message": "half \\ud800 ' + b"x" * 50_000 + b'"}')
    _impostor(tmp_path, monkeypatch, f"os.write(1, {answer!r})\ntime.sleep(30)")  # gone, it could not be written to
    with Decoder() as decoder, pytest.raises(MediaLimitError, match=r"half \?") as caught:
        decoder(PICTURE)
    assert len(str(caught.value).encode()) == 2_000


def _impostor(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in the child's place: it says that it is ready, takes the request, and goes on as it likes."""
    program = folder / "python"
    ready = _header(b'{"ready": true}')
    start = f"#!{sys.executable}\nimport os, time\nos.write(1, {ready!r})\nos.read(0, 4)\n"
    program.write_text(start + script)
    program.chmod(0o700)
    monkeypatch.setattr("omnireward.media.child.sys.executable", str(program))


def test_seconds_are_what_the_container_says(tmp_path: Path) -> None:
    """A second of 16 kHz sound is 1 s; 8 frames at 4 a second are 2 s; pictures and images have no length."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(encode.mp4(np.zeros((8, 32, 32, 3), np.uint8), 4))
    sound = Media("audio", encode.wav(np.zeros(16_000, np.float32), 16_000))
    picture = encode.png(np.zeros((8, 8, 3), np.uint8))
    with Decoder() as decoder:
        assert decoder.seconds(sound) == pytest.approx(1.0)
        assert decoder.seconds(Media("video", clip)) == pytest.approx(2.0)
        assert decoder.seconds(Media("video", (picture, picture))) is None
        assert decoder.seconds(Media("image", picture)) is None
        with pytest.raises(UnreadableMediaError):
            decoder.seconds(Media("video", b"not a video"))
        assert decoder(sound).shape == (16_000,)  # the same child goes on


def test_headers_tell_size_and_length(tmp_path: Path) -> None:
    """8 frames of 48 x 32 at 4 a second; a picture of 10 x 6; a second of sound; a mesh says nothing."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(encode.mp4(np.zeros((8, 32, 48, 3), np.uint8), 4))
    picture = encode.png(np.zeros((6, 10, 3), np.uint8))
    with Decoder() as decoder:
        found = decoder.stated(Media("video", clip))
        assert (found.width, found.height) == (48, 32)
        assert found.seconds == pytest.approx(2.0)
        assert decoder.stated(Media("image", picture)) == Stated(10, 6)
        assert decoder.stated(Media("video", (picture, picture))) == Stated(10, 6)
        assert decoder.stated(Media("mesh", picture)) == Stated()
        assert decoder.stated(Media("audio", encode.wav(np.zeros(16_000, np.float32), 16_000))) == Stated(seconds=1.0)
        with pytest.raises(UnreadableMediaError):
            decoder.stated(Media("image", picture[:20]))


@pytest.mark.parametrize(
    "answer",
    [
        {"stated": {"width": -1, "height": 2, "seconds": None}},
        {"stated": {"width": True, "height": 2, "seconds": None}},
        {"stated": {"width": 1, "height": 2, "seconds": float("nan")}},
        {"stated": {"width": 1, "height": 2}},
        {"seconds": 1.0},
    ],
)
def test_an_implausible_header_is_refused(answer: object) -> None:
    with pytest.raises(ImplausibleAnswerError):
        stated_from(answer)
