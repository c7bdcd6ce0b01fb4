"""The formula says what autograd keeps, to within 1 %, and what is shared among devices is divided.

The second implementation is autograd itself: the bytes of all storages that a forward pass saves for its backward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from omnireward.backbones import Row
from omnireward.backbones.minicpm_o import MiniCPMO, tiny
from omnireward.encoded import Encoded
from omnireward.lora import Lora, linear_layers
from omnireward.reward_model import RewardModel
from omnireward.train import sizes
from omnireward.train.memory import Layers, Pass, Settings, Weights, estimate, kept, last_layer_keeps
from omnireward.train.tuning import checkpoint_layers

Make = Callable[[], RewardModel]


@pytest.fixture(scope="module")
def make() -> Make:
    """A language model whose sizes are all different: 4 layers, 256 hidden, 8 heads over 2, an MLP of 640."""
    small = tiny(["a river"], 0)

    def made() -> RewardModel:
        language = replace(
            small.config.language,
            hidden_size=256,
            intermediate_size=640,
            num_hidden_layers=4,
            num_attention_heads=8,
            num_key_value_heads=2,
        )
        backbone = MiniCPMO(replace(small.config, language=language), small._tokenizer, small.preprocessing)
        model = RewardModel(backbone, "minicpm_o", "natural")
        model.freeze(model.towers)
        return model.train()

    return made


def _rows(pairs: int, prompt: int, own: int) -> list[Encoded]:
    """Pairs that share a prompt of so many tokens."""
    draw = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(pairs):
        shared = torch.randint(0, 200, (prompt,), generator=draw)
        for _ in range(2):
            ids = torch.cat([shared, torch.randint(0, 200, (own,), generator=draw)])
            rows.append(Encoded(Row(ids, ()), (), ()))
    return rows


def _saved(model: RewardModel, rows: Sequence[Encoded], *, autocast: bool) -> int:
    """Bytes of distinct storages, parameters and copies of them left out."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    shapes = {tuple(p.shape) for p in model.parameters()} | {tuple(p.shape[::-1]) for p in model.parameters()}
    found: dict[int, tuple[int, Tensor]] = {}  # the tensor too, or its place would be used again

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        copied = autocast and tensor.dtype == torch.bfloat16 and tuple(tensor.shape) in shapes
        if storage.data_ptr() not in parameters and not copied:
            found[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        model(rows)
    return sum(size for size, _ in found.values())


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("given", [(1, 0, 400), (2, 150, 100)])
def test_the_formula_is_what_autograd_keeps(
    make: Make, given: tuple[int, int, int], checkpointing: bool, autocast: bool
) -> None:
    """One pair that shares nothing is one tile without a mask; pairs that share a prompt are padded and masked."""
    model, rows = make(), _rows(*given)
    if checkpointing:
        checkpoint_layers(model.backbone)
    settings = Settings(autocast=autocast, checkpointing=checkpointing)
    told = kept(sizes.layers(model), sizes.a_pass(rows), settings)
    assert told == pytest.approx(_saved(model, rows, autocast=autocast), rel=0.02 if checkpointing else 0.01)


@pytest.mark.parametrize(("autocast", "dropout"), [(False, 0.0), (True, 0.0), (False, 0.1)])
def test_adapters_keep_what_they_read(make: Make, autocast: bool, dropout: float) -> None:
    """With frozen weights in bfloat16 where autocast is on, as they would be.

    Nothing is learned before the first layer, which therefore keeps less than the others: of four layers, 4 % in all.
    """
    model, rows = make(), _rows(2, 150, 100)
    model.requires_grad_(False)
    if autocast:
        model.backbone.to(torch.bfloat16)
    layers = tuple(name for name in linear_layers(model.backbone) if name.startswith("llm."))
    Lora(8, 16.0, dropout, layers).inject(model.backbone)
    model.head.requires_grad_(True)
    settings = Settings(trained="adapters", autocast=autocast, rank=8, adapter_dropout=dropout > 0)
    assert sizes.trained(model) == "adapters"
    told = kept(sizes.layers(model), sizes.a_pass(rows), settings)
    assert told == pytest.approx(_saved(model, rows, autocast=autocast), rel=0.05)


def test_a_head_alone_keeps_its_rows(make: Make) -> None:
    model, rows = make(), _rows(1, 0, 50)
    model.backbone.requires_grad_(False)
    assert sizes.trained(model) == "nothing"
    told = kept(sizes.layers(model), sizes.a_pass(rows), Settings(trained="nothing"))
    assert told == _saved(model, rows, autocast=False) == 2 * 256 * 4


def test_what_always_stays_is_counted_by_hand() -> None:
    """1,000 trained numbers in fp32: 4 bytes each, as much of gradients, twice as much of moments."""
    weights = Weights(trained=1000, trained_bytes=4000, frozen_bytes=600, cast=500, largest=100, unsplit_bytes=200)
    layers, one = Layers(2, 8, 16, 8, 8, 1), Pass.of_pair(10)
    alone = estimate(weights, layers, one)
    assert (alone.weights, alone.gradients, alone.moments, alone.casts, alone.constant) == (4600, 4000, 8000, 0, 0)
    assert estimate(weights, layers, one, Settings(autocast=True)).casts == 1000
    assert alone.total == sum((4600, 4000, 8000, alone.activations, alone.working))


def test_devices_share_what_the_sharding_says() -> None:
    """By hand for 4 devices: DDP holds gradients twice; ZeRO-2 a quarter of them; FSDP a quarter of all but towers."""
    weights = Weights(trained=1000, trained_bytes=4000, frozen_bytes=600, cast=0, largest=0, unsplit_bytes=200)
    layers, one = Layers(2, 8, 16, 8, 8, 1), Pass.of_pair(10)
    found = {
        shared: estimate(weights, layers, one, Settings(devices=4, shared=shared))
        for shared in ("none", "states", "whole")
    }
    assert [(m.weights, m.gradients, m.moments) for m in found.values()] == [
        *((4600, 8000, 8000), (4600, 1000, 2000), (1300, 1000, 2000))
    ]


def test_the_last_layer_keeps_less_than_others(make: Make) -> None:
    model = make()
    layers, one = sizes.layers(model), sizes.a_pass(_rows(2, 150, 100))
    assert last_layer_keeps(layers, one, Settings()) < kept(layers, one, Settings()) / 4 / 2
