"""Runs of a reward model over what is kept: the same rewards whether it is there, being filled, or switched off."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from omnireward import plugins
from omnireward.backbones import BackboneFamily, Prepared
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.errors import PromptError, UnreadableMediaError
from omnireward.feature_store import FeatureStore
from omnireward.media import Decoder
from omnireward.media.encode import png, wav
from omnireward.miniature.world import World, samples
from omnireward.reward_model import RewardModel
from omnireward.types import PAPER_TASKS, Comparison, Media, Side, Text, Turn

FAMILY = "minicpm_o"
TOWERS = ("vision", "audio")
SIDES: tuple[Side, ...] = ("a", "b")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that no test changes."""
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    family = cast(BackboneFamily, plugins.load("backbones", FAMILY))
    RewardModel(family.tiny(["Draw a red dot.", "larger"] * 20, 0), FAMILY, "natural").save(folder)
    return folder


@pytest.fixture(scope="module")
def nine() -> list[Comparison]:
    """One comparison for each task: images, videos, sounds and meshes, in prompts and responses."""
    found: dict[object, Comparison] = {}
    for sample in samples(World(prompts=1), "test"):
        found.setdefault(sample.task, sample.comparison)
    assert found.keys() == set(PAPER_TASKS)
    return list(found.values())


@pytest.fixture(scope="module")
def decoder(saved: Path) -> Iterator[Decoder]:
    """What a loaded model decodes with. One for all: each starts a process."""
    with cast(MiniCPMO, RewardModel.load(saved).backbone).decode as one:  # type: ignore[attr-defined]
        yield one


@pytest.fixture
def opened(saved: Path, tmp_path: Path, decoder: Decoder) -> Callable[..., RewardModel]:
    """`opened(disk=True, frozen=True)`: the checkpoint in a run of its own."""

    def make(disk: bool = True, frozen: bool = True) -> RewardModel:
        model = RewardModel.load(saved)
        assert model.features.store is None  # tests switch it off
        cast(MiniCPMO, model.backbone).decode = decoder
        if disk:
            model.features.store = FeatureStore(tmp_path / "features", 10**9)
        model.requires_grad_(True)
        if frozen:
            model.freeze(TOWERS)
        return model

    return make


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often something was decoded, by whichever decoder."""
    counts: Counter[str] = Counter()
    decode = Decoder.__call__

    def counting(self: Decoder, media: Media) -> object:
        counts["decoded"] += 1
        return decode(self, media)

    monkeypatch.setattr(Decoder, "__call__", counting)
    return counts


def _picture(seed: int, height: int = 30) -> Media:
    return Media("image", png(np.random.default_rng(seed).integers(0, 256, (height, 40, 3), dtype=np.uint8)))


def _pictures(a: int, b: int) -> Comparison:
    return Comparison((Turn("user", (Text("Draw a red dot."),)),), (_picture(a),), (_picture(b),), "larger")


def _distinct(comparisons: Sequence[Comparison]) -> int:
    parts = [p for c in comparisons for turn in c.prompt for p in turn.content]
    parts += [p for c in comparisons for side in SIDES for p in c.response(side)]
    return len({part.digest() for part in parts if isinstance(part, Media)})


def _flushed(model: RewardModel) -> None:
    assert model.features.store is not None
    model.features.store.flush()


def _never(_: Sequence[Prepared]) -> list[Tensor]:
    raise AssertionError("a tower ran")


@pytest.mark.parametrize("frozen", [True, False])
def test_cold_warm_and_off_give_the_same_bits(
    opened: Callable[..., RewardModel], nine: list[Comparison], calls: Counter[str], frozen: bool
) -> None:
    """Off: no disk. Cold: an empty one. Warm: filled by the cold run; nothing is decoded, and no frozen tower runs."""
    off = opened(disk=False, frozen=frozen).rewards(nine)
    cold = opened(frozen=frozen)
    assert torch.equal(cold.rewards(nine), off)
    assert calls["decoded"] == 2 * _distinct(nine)  # once off, once cold
    assert torch.equal(cold.rewards(nine), off)
    _flushed(cold)
    warm = opened(frozen=frozen)
    if frozen:
        warm.backbone.encode_media = _never  # type: ignore[method-assign,assignment]
    assert torch.equal(warm.rewards(nine), off)
    assert calls["decoded"] == 2 * _distinct(nine)


def test_gradients_of_the_language_model_are_the_same_too(
    opened: Callable[..., RewardModel], nine: list[Comparison]
) -> None:
    grads: list[dict[str, Tensor]] = []
    for disk in (False, True, True):
        model = opened(disk)
        model([model.encode(each, side) for each in nine for side in SIDES]).sum().backward()
        grads.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        if disk:
            _flushed(model)
    assert grads[0].keys() == grads[1].keys() == grads[2].keys()
    for name, grad in grads[0].items():
        assert torch.equal(grad, grads[1][name]), name
        assert torch.equal(grad, grads[2][name]), name


def test_towers_that_learn_have_each_medium_decoded_once_in_a_run(
    opened: Callable[..., RewardModel], nine: list[Comparison], calls: Counter[str]
) -> None:
    """Three steps, each after the weights changed; then a second run, which decodes nothing."""
    for _ in range(2):
        model = opened(frozen=False)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(3):
            optimizer.zero_grad()
            torch.autograd.backward(model([model.encode(each, side) for each in nine for side in SIDES]).sum())
            optimizer.step()
        assert len(model.features.embeddings) == 0
        assert calls["decoded"] == _distinct(nine)
        _flushed(model)


def test_towers_that_change_are_asked_again(opened: Callable[..., RewardModel], nine: list[Comparison]) -> None:
    """Other weights give other rewards: those of a model that never knew the first. The first again give the first."""
    model = opened()
    first = {name: value.clone() for name, value in model.state_dict().items()}
    other = {name: value * 1.5 if ".vpm." in name or ".apm." in name else value for name, value in first.items()}
    alone = opened(disk=False)
    alone.load_state_dict(other)
    expected = [model.rewards(nine), alone.rewards(nine)]
    assert not torch.equal(*expected)
    for weights, rewards in ((other, expected[1]), (first, expected[0])):
        model.load_state_dict(weights)
        assert torch.equal(model.rewards(nine), rewards)


def test_towers_that_learnt_in_between_are_asked_again(opened: Callable[..., RewardModel]) -> None:
    """Also where a trainer wrote past the versions that tensors count: gradients were on while it encoded."""
    model = opened()
    before = model.rewards([_pictures(1, 2)])
    model.requires_grad_(True)
    model.encode(_pictures(1, 2), "a")
    for parameter in model.backbone.parameters():
        parameter.data.mul_(1.1)
    model.freeze(TOWERS)
    fresh = opened(disk=False)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(model.rewards([_pictures(1, 2)]), fresh.rewards([_pictures(1, 2)]))
    assert not torch.equal(model.rewards([_pictures(1, 2)]), before)


def test_precision_is_the_models_own_wherever_it_is_asked(opened: Callable[..., RewardModel]) -> None:
    """bfloat16 for training in it: in another thread, inside autocast or outside, and from disk; fp32 stands apart."""
    comparison = _pictures(1, 2)
    plain = opened().encode(comparison, "a")
    found: list[Tensor] = []
    for n in range(4):
        model = opened(disk=n != 1)
        model.features.dtype = torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16, enabled=n == 2), ThreadPoolExecutor(1) as pool:
            encoded = pool.submit(model.encode, comparison, "a").result() if n == 1 else model.encode(comparison, "a")
        found += encoded.kept.values()
        if n != 1:
            _flushed(model)
    assert all(torch.equal(found[0], each) for each in found)
    assert not torch.equal(found[0].float(), next(iter(plain.kept.values())))
    with torch.autocast("cpu", torch.bfloat16):
        again = opened(disk=False).encode(comparison, "a")
    assert torch.equal(next(iter(again.kept.values())), next(iter(plain.kept.values())))


def test_changing_the_precision_forgets_the_other(opened: Callable[..., RewardModel]) -> None:
    model = opened()
    model.rewards([_pictures(1, 2)])
    model.features.dtype = torch.bfloat16
    assert len(model.encode(_pictures(3, 3), "a").kept) == 1
    assert len(model.features.embeddings) == 1


@pytest.mark.parametrize("change", ["precision", "weights"])
def test_what_changes_while_a_medium_is_encoded_keeps_it_out(
    opened: Callable[..., RewardModel], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Or it would lie under the name of the precision and the weights that were there when it began."""
    model = opened()
    prepare = model.backbone.prepare

    def meanwhile(medium: Media) -> Prepared:
        if change == "precision":
            model.features.dtype = torch.bfloat16
        else:
            with torch.no_grad():
                next(cast(MiniCPMO, model.backbone).vpm.parameters()).mul_(1.5)
        return prepare(medium)

    with monkeypatch.context() as patch:
        patch.setattr(model.backbone, "prepare", meanwhile)
        assert len(model.encode(_pictures(1, 2), "a").kept) == 1
    assert len(model.features.embeddings) == 0
    _flushed(model)
    fresh, alone = opened(), opened(disk=False)
    assert torch.equal(fresh.rewards([_pictures(1, 2)]), alone.rewards([_pictures(1, 2)]))


def test_many_threads_decode_and_encode_each_medium_once(
    opened: Callable[..., RewardModel], nine: list[Comparison], calls: Counter[str]
) -> None:
    expected = opened(disk=False).rewards(nine)
    model, decoded = opened(), calls["decoded"]
    asked = [(each, side) for each in nine for side in SIDES] * 4
    with ThreadPoolExecutor(6) as pool:
        encoded = list(pool.map(lambda one: model.encode(*one), asked))
    assert calls["decoded"] - decoded == _distinct(nine)
    with torch.no_grad():
        assert torch.equal(model.eval()(encoded[: 2 * len(nine)]).view(-1, 2), expected)


def test_broken_media_fail_each_time_and_are_not_kept(opened: Callable[..., RewardModel]) -> None:
    broken = replace(_pictures(1, 2), response_b=(Media("image", b"\x89PNG broken"),))
    model = opened()
    for _ in range(2):
        with pytest.raises(UnreadableMediaError):
            model.rewards([broken])
    _flushed(model)
    with pytest.raises(UnreadableMediaError):
        opened().rewards([broken])


def test_a_file_that_changes_while_it_is_read_is_refused_and_not_kept(
    opened: Callable[..., RewardModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what is in it now would be kept, and found by later runs, as what was in it before."""
    path = tmp_path / "picture.png"
    before, after = _picture(1).pieces()[0], _picture(2).pieces()[0]
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)
    path.write_bytes(before)
    comparison = replace(_pictures(3, 4), response_a=(Media("image", path),))
    model = opened()
    decode = Decoder.__call__

    def late(self: Decoder, media: Media) -> object:
        path.write_bytes(after)
        return decode(self, media)

    with monkeypatch.context() as patch:
        patch.setattr(Decoder, "__call__", late)
        with pytest.raises(UnreadableMediaError, match=r"changed while it was read: .*picture\.png"):
            model.encode(comparison, "a")
    path.write_bytes(before)
    expected = model.rewards([_pictures(1, 4)])[:, 0]
    assert torch.equal(model.rewards([comparison])[:, 0], expected)


def test_a_medium_that_is_too_long_is_refused_before_towers_spend_time_on_it(
    opened: Callable[..., RewardModel],
) -> None:
    """Two seconds are 20 embeddings in the tiny model."""
    sound = Media("audio", wav(np.zeros(32_000, np.float32) + 0.1, 16_000))
    long = replace(_pictures(1, 2), response_a=(sound,))
    model = opened()
    model.max_tokens = 19
    model.backbone.encode_media = _never  # type: ignore[method-assign,assignment]
    with pytest.raises(PromptError, match="a medium alone is 20 tokens long; at most 19"):
        model.encode(long, "a")


def test_a_loaded_model_has_the_users_store_and_a_new_one_has_none(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNIREWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMNIREWARD_CACHE_GB", "1")
    model = RewardModel.load_or_new_head(saved)
    assert model.features.store is not None
    model.freeze(TOWERS)
    model.rewards([_pictures(1, 2)])
    _flushed(model)
    assert len(list((tmp_path / "cache" / "features").glob("*/*.safetensors"))) == 1
    assert RewardModel(model.backbone, FAMILY, "natural").features.store is None


def test_a_decoder_of_ones_own_keeps_everything_off_the_disk(
    opened: Callable[..., RewardModel], tmp_path: Path
) -> None:
    """What it makes of a file may be anything."""
    model = opened()
    model.backbone.decode = lambda _: np.full((30, 40, 3), 7, np.uint8)  # type: ignore[assignment]
    model.rewards([_pictures(1, 2)])
    assert len(model.features.embeddings) == 2
    _flushed(model)
    assert not (tmp_path / "features").exists()


def test_models_are_copied_and_pickled_without_what_is_kept(opened: Callable[..., RewardModel]) -> None:
    model = opened()
    expected = model.rewards([_pictures(1, 2)])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert len(other.features.embeddings) == 0
        assert torch.equal(other.rewards([_pictures(1, 2)]), expected)


def test_what_was_kept_while_nothing_was_to_be_learnt_can_be_learnt_from(opened: Callable[..., RewardModel]) -> None:
    """Tensors made in inference mode cannot be saved for a backward pass."""
    model = opened()
    with torch.inference_mode():
        model.rewards([_pictures(1, 2)])
    model([model.encode(_pictures(1, 2), side) for side in SIDES]).diff().sum().backward()
    assert model.head.weight.grad is not None
    assert model.head.weight.grad.isfinite().all()
