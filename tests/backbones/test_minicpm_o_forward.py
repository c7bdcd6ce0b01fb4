"""The fused forward: padding, batch-mates and order change nothing; gradients reach what is not frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireward.backbones import Prepared, Row, freeze
from omnireward.backbones.minicpm_o import BACKBONE, MiniCPMO
from omnireward.errors import PromptError
from omnireward.types import Part, Text, Turn

Batch = tuple[list[Row], list[list[Prepared]]]


@pytest.fixture
def batch(
    backbone: MiniCPMO,
    gallery: Any,
    picture: Callable[[int, int, int], NDArray[np.uint8]],
    sound: Callable[[int, int], NDArray[np.float32]],
) -> Batch:
    """Rows of text alone, a picture, a sound alone, and a video beside a picture and a sound; all of other lengths."""
    image, other = (gallery.add("image", picture(64, 40, seed)) for seed in (0, 1))
    clip, longer = gallery.add("audio", sound(9_000, 2)), gallery.add("audio", sound(20_000, 3))
    video = gallery.add("video", np.stack([picture(32, 32, seed) for seed in (4, 5)]))
    contents: list[tuple[Part, ...]] = [
        (Text("a red dot"),),
        (Text("Which answer is better? "), image),
        (clip,),
        (video, Text("yes\nno"), other, longer),
    ]
    rows, media = [], []
    for content in contents:
        prepared = [backbone.prepare(part) for part in content if not isinstance(part, Text)]
        turns = (Turn("user", content), Turn("assistant", (Text("maybe"),)))
        rows.append(backbone.tokenize(turns, prepared))
        media.append(prepared)
    return rows, media


def _encode(backbone: MiniCPMO, media: Sequence[Sequence[Prepared]]) -> list[list[Tensor]]:
    return [backbone.encode_media(prepared) for prepared in media]


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_alone_batched_and_reordered_agree(backbone: MiniCPMO, batch: Batch, side: str) -> None:
    rows, media = batch[0], _encode(backbone, batch[1])
    together = backbone(rows, media, padding_side=side)
    assert together.shape == (4, backbone.hidden_size)
    alone = torch.cat([backbone([row], [own]) for row, own in zip(rows, media, strict=True)])
    order = [2, 0, 3, 1]
    mixed = backbone([rows[i] for i in order], [media[i] for i in order], padding_side=side)
    assert float((together - alone).abs().max()) < 1e-5
    assert float((mixed - alone[order]).abs().max()) < 1e-5


@torch.no_grad()
def test_every_medium_counts(backbone: MiniCPMO, batch: Batch) -> None:
    """Exchanging the embeddings of one medium changes its row and no other."""
    rows, media = batch[0], _encode(backbone, batch[1])
    before = backbone(rows, media)
    for row, own in enumerate(media):
        for which in range(len(own)):
            changed = [list(each) for each in media]
            changed[row][which] = changed[row][which].flip(0)
            moved = (backbone(rows, changed) - before).abs().amax(dim=1)
            assert float(moved[row]) > 1e-4
            assert float(moved[torch.arange(len(rows)) != row].max()) < 1e-6


def test_the_decoder_gets_embeddings_in_their_places(backbone: MiniCPMO, batch: Batch) -> None:
    """Against a loop that writes each span by hand, under left padding."""
    rows, media = batch[0], _encode(backbone, batch[1])
    seen: list[Tensor] = []
    backbone.decoder.register_forward_pre_hook(
        lambda _, __, given: seen.append(given["inputs_embeds"]), with_kwargs=True
    )
    backbone(rows, media, padding_side="left")
    longest = max(len(row.ids) for row in rows)
    for i, row in enumerate(rows):
        expected = backbone.decoder.embed_tokens(row.ids).clone()
        flat = torch.cat(media[i]) if media[i] else torch.zeros(0, backbone.hidden_size)
        for start, stop in row.spans:
            expected[start:stop], flat = flat[: stop - start], flat[stop - start :]
        assert torch.equal(seen[0][i, longest - len(row.ids) :], expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_gradients_reach_everything_and_are_finite(backbone: MiniCPMO, batch: Batch, side: str) -> None:
    """All parameters but the biases of keys, which cannot change a softmax, get a gradient."""
    backbone(batch[0], _encode(backbone, batch[1]), padding_side=side).square().sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        if not name.endswith("k_proj.bias"):
            assert float(parameter.grad.abs().max()) > 0, name


def test_frozen_towers_get_no_gradient(backbone: MiniCPMO, batch: Batch) -> None:
    frozen = freeze(backbone, [prefix for prefixes in BACKBONE.towers.values() for prefix in prefixes])
    total = sum(parameter.numel() for parameter in backbone.parameters())
    assert frozen == total - sum(parameter.numel() for parameter in backbone.llm.parameters())
    backbone(batch[0], _encode(backbone, batch[1])).sum().backward()
    assert {name.split(".")[0] for name, p in backbone.named_parameters() if p.grad is not None} == {"llm"}


def test_judging_before_training_leaves_no_trace(backbone: MiniCPMO, batch: Batch) -> None:
    """Cached position tables made in inference mode must not break a later backward."""
    with torch.inference_mode():
        _encode(backbone, batch[1])
    backbone(batch[0], _encode(backbone, batch[1])).sum().backward()


def test_train_and_eval_mode_agree(backbone: MiniCPMO, batch: Batch) -> None:
    with torch.no_grad():
        results = [backbone.train(mode)(batch[0], _encode(backbone, batch[1])) for mode in (True, False)]
    assert float((results[0] - results[1]).abs().max()) < 1e-5


def test_wrong_embeddings_are_refused(backbone: MiniCPMO, batch: Batch) -> None:
    rows, media = batch[0], _encode(backbone, batch[1])
    media[1][0] = media[1][0][:-1]
    with pytest.raises(PromptError, match="row 1 has 4 placeholders, but its media have 3"):
        backbone(rows, media)
