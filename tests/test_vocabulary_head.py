"""Where a vocabulary head is found, and when embeddings are taken for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.errors import CheckpointError
from omnireward.vocabulary_head import apart, digest, head_of, is_tied, softcap_of, tied

WEIGHTS = "model.safetensors"
KEY = "tie_word_embeddings"


@pytest.fixture(scope="module")
def qwen() -> DecoderBackbone:
    family = plugins.load("backbones", "qwen2_5_vl")
    assert isinstance(family, BackboneFamily)
    return cast(DecoderBackbone, family.tiny(["a few words"], 0))


def _embeddings(backbone: DecoderBackbone) -> Tensor:
    return cast(Tensor, cast(Any, backbone.decoder).embed_tokens.weight)


def _folder(folder: Path, backbone: DecoderBackbone, config: dict[str, Any], **heads: Tensor) -> Path:
    """A saved backbone with heads by name, `__` for a dot, and with this as config.json."""
    backbone.save(folder, {name.replace("__", "."): tensor for name, tensor in heads.items()})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", ["lm_head__weight", "thinker__lm_head__weight", "llm__lm_head__weight"])
def test_the_head_is_found_by_each_of_its_names(qwen: DecoderBackbone, tmp_path: Path, name: str) -> None:
    wanted = torch.randn_like(_embeddings(qwen))
    head = head_of(qwen, _folder(tmp_path, qwen, {KEY: False}, **{name: wanted}))
    assert torch.equal(head.weight, wanted)
    assert not is_tied(head, qwen)
    assert head.bias is None


def test_a_head_has_memory_of_its_own(qwen: DecoderBackbone, tmp_path: Path) -> None:
    """Numbers that lie in a file at odd places give other last bits, and a file may change beneath them."""
    head = head_of(qwen, _folder(tmp_path, qwen, {}, lm_head__weight=torch.zeros_like(_embeddings(qwen))))
    assert head.weight.data_ptr() % 64 == 0
    data = (tmp_path / WEIGHTS).read_bytes()
    with (tmp_path / WEIGHTS).open("r+b") as file:  # in place, as no writer of ours does
        file.write(b"\xff" * len(data))
    assert not bool(head.weight.any())


@pytest.mark.parametrize(
    "config",
    [
        {KEY: True},
        {KEY: False, "text_config": {KEY: True}},
        {"thinker_config": {"text_config": {}, KEY: True}},
        {KEY: False, "thinker_config": {"text_config": {KEY: True}}},
        {KEY: True, "text_config": {}},
    ],
)
def test_embeddings_are_the_head_where_the_config_says_so(
    qwen: DecoderBackbone, tmp_path: Path, config: dict[str, Any]
) -> None:
    assert is_tied(head_of(qwen, _folder(tmp_path, qwen, config)), qwen)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {KEY: False},
        {KEY: None},
        {KEY: "yes"},
        {KEY: True, "text_config": {KEY: False}},
        {"thinker_config": {"text_config": {}}},
        {"text_config": [KEY]},
    ],
)
def test_a_head_that_is_not_there_is_refused_where_nothing_says_that_it_is_the_embeddings(
    qwen: DecoderBackbone, tmp_path: Path, config: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match=r"has no vocabulary head \(lm_head.weight or"):
        head_of(qwen, _folder(tmp_path, qwen, config))


def test_a_copy_of_the_embeddings_is_the_embeddings_where_the_config_says_so(
    qwen: DecoderBackbone, tmp_path: Path
) -> None:
    """Some files hold both; trained apart they would no longer be one."""
    copy = _embeddings(qwen).detach().clone()
    assert is_tied(head_of(qwen, _folder(tmp_path / "tied", qwen, {KEY: True}, lm_head__weight=copy)), qwen)
    assert not is_tied(head_of(qwen, _folder(tmp_path / "apart", qwen, {KEY: False}, lm_head__weight=copy)), qwen)


@pytest.mark.parametrize("shape", [(3, 128), (128,), (0, 128)], ids=str)
def test_a_head_of_another_shape_is_refused(qwen: DecoderBackbone, tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"lm_head.weight is .* and the embeddings are"):
        head_of(qwen, _folder(tmp_path, qwen, {}, lm_head__weight=torch.zeros(shape)))


def test_a_head_of_whole_numbers_is_refused(qwen: DecoderBackbone, tmp_path: Path) -> None:
    _folder(tmp_path, qwen, {})
    numbers = torch.zeros_like(_embeddings(qwen), dtype=torch.int8)
    save_file(load_file(tmp_path / WEIGHTS) | {"lm_head.weight": numbers}, tmp_path / WEIGHTS)
    with pytest.raises(CheckpointError, match="only floating point can be used"):
        head_of(qwen, tmp_path)


def test_a_config_is_made_to_say_apart_where_it_says_tied(qwen: DecoderBackbone) -> None:
    told = {"hidden_size": 1, KEY: True, "text_config": {KEY: True, "a": 1}, "vision_config": {KEY: True}}
    assert apart(told, qwen) == {
        "hidden_size": 1,
        KEY: False,
        "text_config": {KEY: False, "a": 1},
        "vision_config": {KEY: True},
    }
    for same in ({}, {KEY: False}, {"text_config": {KEY: False}}):
        assert apart(same, qwen) == same


def test_the_digest_is_of_every_number_and_of_the_type(qwen: DecoderBackbone) -> None:
    head = nn.Linear(4, 3, bias=False)
    found = digest(head)
    assert found == digest(head)
    assert digest(nn.Linear(4, 3, bias=False)) != found
    with torch.no_grad():
        head.weight[2, 3] += 1e-6
    assert digest(head) != found
    assert digest(head.to(torch.bfloat16)) not in (found, digest(head.float()))
    assert digest(tied(qwen)) == digest(tied(qwen))


def test_the_bound_of_logits_is_read_from_the_config(qwen: DecoderBackbone) -> None:
    """Gemma 2 has one; that logits are bounded by it is tested with what it writes."""
    assert softcap_of(qwen) is None
    config = cast(Any, qwen.decoder).config
    config.final_logit_softcapping = 30.0
    try:
        assert softcap_of(qwen) == 30.0
    finally:
        config.final_logit_softcapping = None
