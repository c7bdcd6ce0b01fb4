"""Positions with three axes, against those that transformers computes from whole rows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniThinkerForConditionalGeneration as Omni
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

from omnireward.backbones._qwen_positions import Grid, grid_positions, slice_times

START, END, IMAGE, VIDEO, AUDIO, AUDIO_START, TEXT = range(100, 107)
MERGE = 2


@dataclass
class Mixture:
    """A row made up of text, images and videos, as token ids and as grids."""

    ids: list[int]
    grids: list[Grid]
    images: list[list[int]]  # (time, height, width) in patches
    videos: list[list[int]]
    seconds: list[float]  # from one slice of a video to the next

    @property
    def kinds(self) -> Tensor:
        """0 for text, 1 for images, 2 for videos: (1, length)."""
        return torch.tensor([[{IMAGE: 1, VIDEO: 2}.get(token, 0) for token in self.ids]])


def _mixture(seed: int, per_second: float, *, split: bool) -> Mixture:
    """Some media between texts; with `split`, each slice of a video stands alone behind some text, as in Qwen3-VL."""
    draw = random.Random(seed)
    row = Mixture([], [], [], [], [])
    for _ in range(draw.randint(1, 4)):
        row.ids += [TEXT] * draw.randint(0, 5)
        height, width = draw.randint(1, 4), draw.randint(1, 4)
        slices = draw.choice([0, 0, 1, 3, 4])  # 0: an image
        size = [max(1, slices), height * MERGE, width * MERGE]
        if not slices:
            row.images.append(size)
            _write(row, IMAGE, Grid(0, (0,), height, width))
            continue
        row.videos.append(size)
        row.seconds.append(draw.choice([0.25, 0.75, 1.0, 2.5]))  # exact in binary, so that no rounding differs
        if split:
            for _ in range(slices):
                row.ids += [TEXT] * draw.randint(1, 3)
                _write(row, VIDEO, Grid(0, (0,), height, width))
        else:
            _write(row, VIDEO, Grid(0, slice_times(slices, row.seconds[-1], per_second), height, width))
    row.ids += [TEXT] * draw.randint(0, 5)
    return row


def _write(row: Mixture, placeholder: int, grid: Grid) -> None:
    row.ids.append(START)
    row.grids.append(Grid(len(row.ids), grid.times, grid.height, grid.width))
    row.ids += [placeholder] * (grid.stop - grid.start)
    row.ids.append(END)


def _model(kind: Any, **config: Any) -> Any:
    """What the method of a model reads of it, without a model."""
    vision = SimpleNamespace(spatial_merge_size=MERGE, tokens_per_second=2)
    model = SimpleNamespace(config=SimpleNamespace(vision_config=vision, **config), spatial_merge_size=MERGE)
    for name in ("get_vision_position_ids", "get_llm_pos_ids_for_vision"):
        if hasattr(kind, name):
            setattr(model, name, getattr(kind, name).__get__(model))
    return model


def _index(kind: Any) -> Any:
    """The method, which says that it takes tensors of a kind that nobody makes."""
    return kind.get_rope_index


def _grids(sizes: list[list[int]]) -> Tensor | None:
    return torch.tensor(sizes) if sizes else None


@pytest.mark.parametrize("seed", range(40))
def test_images_and_videos_stand_where_the_published_rule_puts_them(seed: int) -> None:
    """The omni model's method keeps the rule that both were published with; with 2 ids a second it is Qwen2.5-VL's."""
    row = _mixture(seed, per_second=2, split=False)
    model = _model(
        Omni,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
        audio_token_id=AUDIO,
        audio_start_token_id=AUDIO_START,
        vision_start_token_id=START,
        position_id_per_seconds=2,
        seconds_per_chunk=2,
    )
    found, _ = _index(Omni)(
        model,
        torch.tensor([row.ids]),
        _grids(row.images),
        _grids(row.videos),
        second_per_grids=torch.tensor(row.seconds),
    )
    assert torch.equal(grid_positions(len(row.ids), row.grids), found[:, 0])


@pytest.mark.parametrize("seed", range(40))
def test_slices_behind_written_times_stand_as_in_qwen3_vl(seed: int) -> None:
    row = _mixture(seed, per_second=2, split=True)
    given = (torch.tensor([row.ids]), row.kinds, _grids(row.images), _grids(row.videos))
    found, _ = _index(Qwen3VLModel)(_model(Qwen3VLModel), *given)
    assert torch.equal(grid_positions(len(row.ids), row.grids), found[:, 0])


def test_transformers_puts_less_between_a_long_video_and_its_text() -> None:
    """By hand: 3 slices, 3 s apart, 2 ids a second, are at 1, 7 and 13, so text goes on at 14; there, at 1 + 1.

    Up to the video's end both agree. When this fails, transformers has mended it, and the module's words about it go.
    """
    grid = Grid(1, slice_times(3, 3.0, 2), 1, 1)
    ours = grid_positions(5, [grid])
    kinds = torch.tensor([[0, 2, 2, 2, 0]])
    found, _ = _index(Qwen2_5_VLModel)(
        _model(Qwen2_5_VLModel),
        torch.tensor([[START, VIDEO, VIDEO, VIDEO, END]]),
        kinds,
        video_grid_thw=torch.tensor([[3, MERGE, MERGE]]),
        second_per_grid_ts=torch.tensor([3.0]),
    )
    assert ours[0].tolist() == [0, 1, 7, 13, 14]
    assert torch.equal(found[:, 0, :4], ours[:, :4])
    assert found[:, 0, 4].tolist() == [2, 2, 2]


def test_text_alone_counts_up_on_all_axes() -> None:
    assert grid_positions(4, []).tolist() == [[0, 1, 2, 3]] * 3


def test_a_position_depends_on_what_stands_before_it_only() -> None:
    row = _mixture(7, per_second=2, split=False)
    whole = grid_positions(len(row.ids), row.grids)
    for kept in range(1, len(row.grids) + 1):
        stop = row.grids[kept - 1].stop
        assert torch.equal(grid_positions(stop, row.grids[:kept]), whole[:, :stop])
