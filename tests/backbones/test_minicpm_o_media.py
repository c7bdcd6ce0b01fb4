"""From decoded media to embeddings: shapes, published lengths, and independence from neighbours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from omnireward.backbones._minicpm_o_config import Preprocessing, SliceConfig, audio_tokens
from omnireward.backbones._minicpm_o_mel import Mel
from omnireward.backbones._minicpm_o_prepare import Preparer
from omnireward.backbones._minicpm_o_slicing import shrink
from omnireward.backbones._minicpm_o_tiny import tiny_config
from omnireward.backbones._minicpm_o_vision import _buckets
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.errors import MediaError, UnreadableMediaError

Picture = Callable[[int, int, int], NDArray[np.uint8]]
Sound = Callable[[int, int], NDArray[np.float32]]


@pytest.fixture
def published() -> Preparer:
    """The released slicing and pooling (448 pixels, 9 crops, 64 embeddings, 25 a second)."""
    config = replace(tiny_config(500), slices=SliceConfig(), query_num=64, audio_pool_step=2)
    return Preparer(config, Preprocessing())


@pytest.mark.parametrize(("samples", "tokens"), [(1600, 2), (16000, 25), (48000, 75), (480000, 750), (528000, 825)])
def test_sound_lengths_are_the_published_ones(published: Preparer, sound: Sound, samples: int, tokens: int) -> None:
    """0.1 s is 2 embeddings, 1 s 25, 3 s 75, 30 s 750; 33 s are two pieces of 30 and 3 s."""
    prepared = published("audio", sound(samples, 0))
    assert sum(prepared.tokens) == tokens
    assert [frames for frames, _ in prepared.sizes] == [min(samples, 480000) // 160] + [300] * (samples > 480000)


def test_a_sound_too_short_for_one_embedding_is_refused(published: Preparer, sound: Sound) -> None:
    """2 mel frames make 1 encoder frame, and pooling takes 2. After 30 s such a rest is dropped."""
    for samples in (0, 320):
        with pytest.raises(UnreadableMediaError, match=f"{samples} samples"):
            published("audio", sound(samples, 0))
    assert published("audio", sound(480_320, 0)).tokens == (750,)
    assert audio_tokens(2, 2) == 0


@pytest.mark.parametrize("samples", [150, 400, 15_999, 16_000, 16_001, 479_500, 480_000])
def test_a_short_spectrogram_equals_the_padded_one(sound: Sound, samples: int) -> None:
    """The published way: pad to 30 s, cut to the begun tens of milliseconds. A click at the end sets the floor."""
    wave = sound(samples, 1)
    wave[-1] = 1.0
    make: Any = WhisperFeatureExtractor
    padded = make(feature_size=80)(wave, sampling_rate=16000, padding="max_length")["input_features"][0]
    (short,) = Mel(80)(wave)
    assert short.shape == (80, -(-samples // 160))
    assert np.abs(short.numpy() - padded[:, : short.shape[1]]).max() < 1e-6


def test_images_and_frames_are_cut_as_published(published: Preparer, picture: Picture) -> None:
    """A 900 x 900 image shrinks to 768 x 768 pixels: 3 crops at most by area, so an overview and 1 x 3 or 2 x 2.

    ceil(768 * 768 / 448 ** 2) = 3; of 2, 3 and 4 crops the 2 x 2 grid is nearest to a square. Frames of 300 x 500
    shrink below 256 * 256 pixels, where one view is enough.
    """
    image = published("image", picture(900, 900, 0))
    assert (image.tower, image.pattern, image.tokens) == ("vision", "#vcc\ncc", (64,) * 5)
    assert image.inputs is not None
    assert [tuple(one.shape) for one in image.inputs] == [(3, 14, 14 * h * w) for h, w in image.sizes]
    video = published("video", np.stack([picture(300, 500, seed) for seed in range(3)]))
    assert (video.pattern, video.tokens) == ("vvv", (64,) * 3)
    assert video.sizes == published("mesh", np.stack([picture(300, 500, seed) for seed in range(3)])).sizes


def test_no_frames_is_an_error(published: Preparer) -> None:
    with pytest.raises(UnreadableMediaError, match="video"):
        published("video", np.zeros((0, 8, 8, 3), np.uint8))


def test_shrinking_takes_nearest_pixels_and_keeps_a_side() -> None:
    """8 x 8 to 4 x 4 pixels of area 16: nearest neighbour takes one of each 2 x 2 block. A thread keeps its width."""
    from PIL import Image

    values = np.arange(64, dtype=np.uint8).reshape(8, 8)
    small = np.asarray(shrink(Image.fromarray(np.stack([values] * 3, axis=-1)), 16))[..., 0]
    assert small.tolist() == values[1::2, 1::2].tolist()
    assert shrink(Image.new("RGB", (100_000, 1)), 1000).size[1] == 1
    untouched = Image.new("RGB", (4, 4))
    assert shrink(untouched, 16) is untouched


def test_every_number_of_patches_has_as_many_positions() -> None:
    """The float steps of the published formula could yield one more or less; up to 2,000 they don't, in order."""
    for patches in range(1, 2001):
        ids = _buckets(patches, 70)
        assert len(ids) == patches
        assert int(ids[0]) == 0
        assert bool((ids.diff() >= 0).all())
        assert int(ids[-1]) < 70


@torch.no_grad()
def test_embeddings_do_not_depend_on_neighbours(
    backbone: MiniCPMO, gallery: Any, picture: Picture, sound: Sound
) -> None:
    """Pictures and sounds of many shapes: all at once, in reverse, and one by one agree to 1e-5."""
    shapes = [(64, 64), (20, 90), (90, 20), (56, 56), (200, 31)]
    media = [gallery.add("image", picture(h, w, i)) for i, (h, w) in enumerate(shapes)]
    media += [gallery.add("audio", sound(n, n)) for n in (16_000, 5_000, 16_000, 33_333, 1_600, 24_160, 490_000)]
    media += [gallery.add("video", np.stack([picture(30, 40, i) for i in range(3)]))]
    prepared = [backbone.prepare(one) for one in media]
    together = backbone.encode_media(prepared)
    backwards = backbone.encode_media(prepared[::-1])[::-1]
    for medium, one, other in zip(prepared, together, backwards, strict=True):
        (alone,) = backbone.encode_media([medium])
        assert one.shape == (sum(medium.tokens), backbone.hidden_size)
        assert float((alone - one).abs().max()) < 1e-5
        assert float((alone - other).abs().max()) < 1e-5


@torch.no_grad()
def test_the_published_mask_makes_clips_depend_on_neighbours(backbone: MiniCPMO, gallery: Any, sound: Sound) -> None:
    """What the switch is for, and why it is off: the short clip changes beside the long one, the long one does not."""
    backbone.apm.published = True
    clips = [backbone.prepare(gallery.add("audio", sound(n, n))) for n in (20_000, 48_000)]
    alone = [backbone.encode_media([clip])[0] for clip in clips]
    together = backbone.encode_media(clips)
    assert float((alone[0] - together[0]).abs().max()) > 1e-3
    assert float((alone[1] - together[1]).abs().max()) < 1e-5


@torch.no_grad()
def test_batches_are_cut_by_the_budget(
    backbone: MiniCPMO, gallery: Any, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room for 40 patches, five views of 16 patches go through in three passes, with the same result."""
    prepared = [backbone.prepare(gallery.add("image", picture(64, 64, i))) for i in range(5)]
    whole = backbone.encode_media(prepared)
    monkeypatch.setattr("omnireward.backbones.minicpm_o.VISION_BUDGET", 40)
    passes: list[int] = []
    backbone.vpm.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    for one, other in zip(whole, backbone.encode_media(prepared), strict=True):
        assert float((one - other).abs().max()) < 1e-5
    assert passes == [2, 2, 1]


def test_no_media_is_no_embeddings(backbone: MiniCPMO) -> None:
    assert backbone.encode_media([]) == []


def test_dropped_inputs_are_an_error(backbone: MiniCPMO, gallery: Any, picture: Picture) -> None:
    kept = replace(backbone.prepare(gallery.add("image", picture(64, 64, 0))), inputs=None)
    with pytest.raises(MediaError, match="embeddings"):
        backbone.encode_media([kept])
