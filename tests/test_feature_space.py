"""Everything that decides a feature changes its space; what does not decide it changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from omnireward import feature_space
from omnireward.backbones.minicpm_o import BACKBONE, MiniCPMO, tiny
from omnireward.feature_space import embeddings_space, inputs_space, stamp, tower_tensors
from omnireward.media import DecodeOptions, Decoder, Limits
from omnireward.types import Media

TOWERS = tuple(prefix for tower in BACKBONE.towers.values() for prefix in tower)


@pytest.fixture
def backbone() -> MiniCPMO:
    return tiny(["a red dot", "yes or no"] * 20, seed=0)


def _names(backbone: MiniCPMO, dtype: torch.dtype | None = None) -> tuple[str | None, str | None]:
    return inputs_space(backbone), embeddings_space(backbone, TOWERS, dtype)


def test_the_same_model_has_the_same_spaces(backbone: MiniCPMO) -> None:
    inputs, embeddings = _names(backbone)
    assert inputs is not None
    assert embeddings is not None
    assert inputs != embeddings
    assert _names(tiny(["a red dot", "yes or no"] * 20, seed=0)) == (inputs, embeddings)


@torch.no_grad()
def _one_weight(backbone: MiniCPMO) -> None:
    next(backbone.vpm.parameters()).view(-1)[0] += 1e-6


@torch.no_grad()
def _last_weight(backbone: MiniCPMO) -> None:
    backbone.audio_projection_layer.get_parameter("linear2.bias")[-1] += 1e-6


def _dtype(backbone: MiniCPMO) -> None:
    backbone.vpm.to(torch.bfloat16)


def _published(backbone: MiniCPMO) -> None:
    backbone.apm.published = True


def _frames(backbone: MiniCPMO) -> None:
    backbone.decode = Decoder(DecodeOptions(frames=7))


def _limits(backbone: MiniCPMO) -> None:
    backbone.decode = Decoder(backbone.preprocessing.decoding(), Limits(audio_seconds=3))


def _preprocessing(backbone: MiniCPMO) -> None:
    backbone.preprocessing = replace(backbone.preprocessing, image_max_pixels=99)


def _slices(backbone: MiniCPMO) -> None:
    backbone.config = replace(backbone.config, slices=replace(backbone.config.slices, max_slice_nums=5))


def _pooling(backbone: MiniCPMO) -> None:
    backbone.config = replace(backbone.config, audio_pool_step=4)


@pytest.mark.parametrize("change", [_one_weight, _last_weight, _dtype])
def test_weights_decide_embeddings_only(backbone: MiniCPMO, change: Callable[[MiniCPMO], None]) -> None:
    inputs, embeddings = _names(backbone)
    change(backbone)
    assert _names(backbone)[0] == inputs
    assert _names(backbone)[1] not in (None, embeddings)


@pytest.mark.parametrize("change", [_published, _frames, _limits, _preprocessing, _slices, _pooling])
def test_settings_decide_both(backbone: MiniCPMO, change: Callable[[MiniCPMO], None]) -> None:
    before = _names(backbone)
    change(backbone)
    after = _names(backbone)
    assert None not in after
    assert not set(before) & set(after)


def test_precision_threads_code_and_libraries_decide(backbone: MiniCPMO, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, embeddings = _names(backbone)
    assert _names(backbone, torch.bfloat16)[1] != embeddings
    with monkeypatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: 77)
        assert _names(backbone)[0] == inputs
        assert _names(backbone)[1] != embeddings
    for name in ("_code", "_libraries"):
        with monkeypatch.context() as patch:
            patch.setattr(feature_space, name, lambda *_: "other")
            assert not set(_names(backbone)) & {inputs, embeddings}
    assert _names(backbone) == (inputs, embeddings)


def test_the_language_model_decides_nothing(backbone: MiniCPMO) -> None:
    before = _names(backbone)
    with torch.no_grad():
        for parameter in backbone.llm.parameters():
            parameter.add_(1.0)
    backbone.config = replace(backbone.config, extra={"auto_map": "x"})
    assert _names(backbone) == before


def test_what_cannot_be_told_has_no_space(backbone: MiniCPMO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's decoder, also one that inherits; weights that are not there, or in another form; no source."""
    with monkeypatch.context() as patch:
        patch.setattr(feature_space, "_code", lambda _: None)
        assert _names(backbone) == (None, None)
    assert embeddings_space(backbone, ("no such tower.",), None) is None

    class Packed(nn.Parameter):
        pass

    backbone.resampler.query = Packed(backbone.resampler.query)
    assert _names(backbone)[0] is not None
    assert _names(backbone)[1] is None

    class Grey(Decoder):
        pass

    backbone.decode = Grey(backbone.preprocessing.decoding())
    assert _names(backbone) == (None, None)

    def decode(media: Media) -> None:
        raise NotImplementedError

    backbone.decode = decode  # type: ignore[assignment]
    assert _names(backbone) == (None, None)


def test_a_name_is_the_same_in_each_run(tmp_path: Path) -> None:
    """Files of one name in seven folders: sets of them are in another order in each run."""
    for n in range(7):
        (tmp_path / f"plugin{n}").mkdir()
        base = f"from plugin{n - 1} import Own as Base" if n else "from omnireward.backbones import Backbone as Base"
        (tmp_path / f"plugin{n}" / "__init__.py").write_text(f"{base}\nclass Own(Base):\n    pass\n")
    code = "import plugin6; from omnireward.feature_space import _code; print(_code(plugin6.Own))"
    told = set()
    for seed in "01":
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(tmp_path)}
        told.add(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)
    assert len(told) == 1
    assert told != {b"None\n"}


def test_a_class_without_a_source_file_has_no_space(backbone: MiniCPMO) -> None:
    made: dict[str, type[MiniCPMO]] = {}
    exec("class Typed(Base):\n    pass", {"Base": MiniCPMO, "__name__": "typed"}, made)
    backbone.__class__ = made["Typed"]
    assert inputs_space(backbone) is None


def test_the_tensors_of_towers_are_those_whose_names_say_so(backbone: MiniCPMO) -> None:
    """Against asking for all names. A prefix may end anywhere, also within a name."""
    for prefixes in (TOWERS, ("vpm.encoder.layers.1", "apm."), ("resampler.q",), ("nothing",)):
        named = (*backbone.named_parameters(), *backbone.named_buffers())
        wanted = {id(tensor) for name, tensor in named if name.startswith(prefixes)}
        found = list(tower_tensors(backbone, prefixes))
        assert {id(tensor) for tensor in found} == wanted
        assert len(found) == len(wanted)


def test_a_stamp_changes_with_every_way_of_changing_a_tensor() -> None:
    layer = nn.Linear(2, 2)
    seen = [stamp(layer.parameters())]

    def changed() -> bool:
        seen.append(stamp(layer.parameters()))
        return seen[-1] not in seen[:-1]

    assert not changed()
    with torch.no_grad():
        layer.weight.add_(1.0)
    assert changed()
    layer.load_state_dict(nn.Linear(2, 2).state_dict())
    assert changed()
    layer.weight = nn.Parameter(torch.zeros(2, 2))
    assert changed()
    torch.optim.AdamW(layer.parameters())
    layer(torch.ones(2)).sum().backward()
    assert seen[-1] == stamp(layer.parameters())
    torch.optim.AdamW(layer.parameters()).step()
    assert changed()
    layer.to(torch.bfloat16)
    assert changed()
    with torch.inference_mode():
        assert len(stamp([torch.zeros(2)])) == 1
