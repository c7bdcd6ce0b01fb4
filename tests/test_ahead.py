"""Encoding ahead: the same as encoding one after another, only earlier, and it ends when it is told to."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import cast

import numpy as np
import pytest
import torch

from omnireward import ahead
from omnireward.ahead import Ahead, prepared, response_of
from omnireward.backbones.minicpm_o import MiniCPMO, tiny
from omnireward.encoded import Encoded
from omnireward.errors import DecoderCrashError, MediaError, UnreadableMediaError
from omnireward.media import Decoder, encode
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Media, Part, Side, Text, Turn


def _picture(colour: int) -> Media:
    return Media("image", encode.png(np.full((28, 28, 3), colour, np.uint8)))


PICTURES = [_picture(40 * n) for n in range(5)]
BROKEN = Media("image", b"not a picture")


def _ask(a: Part, b: Part, criterion: str = "") -> Comparison:
    return Comparison((Turn("user", (Text("Draw."),)),), (a,), (b,), criterion)


@pytest.fixture(scope="module")
def model() -> RewardModel:
    torch.manual_seed(0)
    return RewardModel(tiny(["Draw a picture."] * 9, 0), "minicpm_o", "natural")


@pytest.fixture
def encoder(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ahead]:
    monkeypatch.setattr(ahead, "processors", lambda: 2)
    one = Ahead(model)
    yield one
    one.close()


class Watched:
    """Stands in for `RewardModel.encode`: notes who asks for what, and whether gradients are on."""

    def __init__(self, model: RewardModel) -> None:
        self.encode = type(model).encode.__get__(model)
        self.asked: list[tuple[Comparison, Side]] = []
        self.threads: list[str] = []
        self.gradients: list[bool] = []

    def __call__(self, comparison: Comparison, side: Side) -> Encoded:
        self.asked.append((comparison, side))
        self.threads.append(threading.current_thread().name)
        self.gradients.append(torch.is_grad_enabled())
        return cast(Encoded, self.encode(comparison, side))


@pytest.fixture
def watched(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> Watched:
    one = Watched(model)
    monkeypatch.setattr(model, "encode", one)
    return one


def test_it_gives_what_encode_gives_and_encodes_equal_responses_once(
    model: RewardModel, encoder: Ahead, watched: Watched
) -> None:
    asked = [(_ask(PICTURES[n], PICTURES[n // 2]), side) for n in range(5) for side in cast(list[Side], ["a", "b"])]
    coming = encoder.begin([*asked, *asked])
    for comparison, side in asked:
        found, expected = coming.encoded(comparison, side), RewardModel.encode(model, comparison, side)
        assert torch.equal(found.row.ids, expected.row.ids)
        assert found.digests == expected.digests
    distinct = {response_of(comparison, side) for comparison, side in asked}
    assert len(distinct) == 5
    assert {response_of(comparison, side) for comparison, side in watched.asked} == distinct
    assert len(watched.asked) == 5
    assert all(name.startswith("encode") for name in watched.threads)


def test_no_thread_builds_a_graph(encoder: Ahead, watched: Watched) -> None:
    asked = _ask(PICTURES[0], PICTURES[1])
    coming = encoder.begin([(asked, "a"), (asked, "b")])
    coming.encoded(asked, "a")
    coming.encoded(asked, "b")
    assert watched.gradients == [False, False]
    assert torch.is_grad_enabled()


def test_texts_alone_start_no_thread(encoder: Ahead, watched: Watched) -> None:
    asked = _ask(Text("tea"), Text("rain"))
    coming = encoder.begin([(asked, "a"), (asked, "b")])
    assert not watched.asked
    coming.encoded(asked, "a")
    assert watched.threads == [threading.current_thread().name]
    assert not _encoding_threads()


def test_responses_are_encoded_at_once(model: RewardModel, encoder: Ahead, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits until the other has begun: one after another, both would wait in vain."""
    both, plain = threading.Barrier(2), model.encode

    def encode_together(comparison: Comparison, side: Side) -> Encoded:
        both.wait(20)
        return plain(comparison, side)

    monkeypatch.setattr(model, "encode", encode_together)
    asked = _ask(PICTURES[0], PICTURES[1])
    coming = encoder.begin([(asked, "a"), (asked, "b")])
    assert coming.encoded(asked, "a").digests != coming.encoded(asked, "b").digests


def test_an_error_waits_with_its_response(encoder: Ahead) -> None:
    asked = _ask(BROKEN, PICTURES[0])
    coming = encoder.begin([(asked, "a"), (asked, "b")])
    assert len(coming.encoded(asked, "b").media) == 1
    for _ in range(2):
        with pytest.raises(UnreadableMediaError, match="not a readable image"):
            coming.encoded(asked, "a")


def test_close_stops_half_way_and_leaves_no_thread(
    model: RewardModel, encoder: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first two media are decoded until the decoder is closed; the others were never begun."""
    begun, closed, count = threading.Semaphore(0), threading.Event(), []

    def decode_for_ever(media: Media) -> None:
        count.append(media)
        begun.release()
        assert closed.wait(20)
        raise MediaError("the decoder was closed")

    monkeypatch.setattr(model.backbone, "prepare", decode_for_ever)
    monkeypatch.setattr(model.backbone, "close", closed.set)
    encoder.begin((_ask(_picture(200 + n), BROKEN), "a") for n in range(5))  # pictures that no cache holds
    for _ in range(2):
        begun.acquire(timeout=20)
    encoder.close()
    assert not _encoding_threads()
    assert len(count) == 2
    encoder.close()


def test_a_medium_that_is_begun_during_a_close_is_stopped_too(
    model: RewardModel, encoder: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread was between two media when the decoder was closed: the first close does not reach it."""
    begun, closed = threading.Event(), threading.Event()
    closes: list[None] = []

    def decode_for_ever(media: Media) -> None:
        begun.set()
        closed.wait(20)
        raise MediaError("the decoder was closed")

    def close() -> None:
        closes.append(None)
        if len(closes) == 2:
            closed.set()

    monkeypatch.setattr(model.backbone, "prepare", decode_for_ever)
    monkeypatch.setattr(model.backbone, "close", close)
    encoder.begin([(_ask(_picture(210), BROKEN), "a")])
    assert begun.wait(20)
    encoder.close()
    assert closed.is_set()
    assert not _encoding_threads()


def test_a_medium_that_hangs_does_not_hold_up_the_end(model: RewardModel, encoder: Ahead) -> None:
    """The decoder's process is stopped, and its limit of two minutes would be longer than this test waits."""
    decoder = cast(MiniCPMO, model.backbone).decode
    assert isinstance(decoder, Decoder)
    decoder.close()
    decoder(PICTURES[0])
    (child,) = decoder._children._idle
    child._process.send_signal(signal.SIGSTOP)
    asked = _ask(_picture(250), PICTURES[0])
    coming = encoder.begin([(asked, "a")])
    while not decoder._children._busy:
        time.sleep(0.001)
    ending = threading.Thread(target=encoder.close)
    ending.start()
    ending.join(20)
    assert not ending.is_alive()
    assert not _encoding_threads()
    with pytest.raises(DecoderCrashError, match="the decoder was closed meanwhile"):
        coming.encoded(asked, "a")
    assert model.encode(asked, "a").digests == (_picture(250).digest(),)


def test_it_can_be_used_after_a_close(encoder: Ahead) -> None:
    asked = _ask(PICTURES[0], PICTURES[1])
    for _ in range(2):
        assert encoder.begin([(asked, "a")]).encoded(asked, "a").digests == (PICTURES[0].digest(),)
        encoder.close()


def test_media_are_prepared_in_their_order_and_fail_where_they_stand(model: RewardModel) -> None:
    results = prepared(model.backbone, [*PICTURES, BROKEN, PICTURES[0]])
    for picture in PICTURES:
        found, expected = next(results), model.backbone.prepare(picture)
        assert found.inputs is not None
        assert expected.inputs is not None
        assert torch.equal(found.inputs[0], expected.inputs[0])
    with pytest.raises(UnreadableMediaError):
        next(results)


def _encoding_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("encode")]
