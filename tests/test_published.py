"""A folder in the layout of the published weights, with small shapes: MiniCPM-o in shards, with what a reward does not
need (vocabulary logits, speech output), a head in its own file, the remote code's settings, and no record of ours.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from tests.hub_cache import cache_entry

from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import BACKBONE
from omnireward.errors import CheckpointError
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.reward_model import RewardModel

SHARDS = 3
INDEX, HEAD = "model.safetensors.index.json", "value_head.safetensors"
FILES = {"README.md", "config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", INDEX, HEAD}
WORDS = ["Tell me about tea.", "The answer should be polite.", "A red circle on the left."]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    RewardModel(BACKBONE.tiny(WORDS * 20, 0), "minicpm_o", "paper").save(folder)
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    weights |= {"llm.lm_head.weight": torch.zeros_like(weights["llm.model.embed_tokens.weight"])}
    weights |= {"tts.projector.linear1.weight": torch.zeros(4, 4), "tts.emb_text.weight": torch.zeros(8, 4)}
    for name in ("model.safetensors", "omnireward.json"):
        (folder / name).unlink()
    shards = {f"model-{n + 1:05}-of-{SHARDS:05}.safetensors": sorted(weights)[n::SHARDS] for n in range(SHARDS)}
    for name, keys in shards.items():
        save_file({key: weights[key] for key in keys}, folder / name, metadata={"format": "pt"})
    where = {key: name for name, keys in shards.items() for key in keys}
    size = sum(tensor.nbytes for tensor in weights.values())
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": where}))
    code = {"AutoConfig": "configuration_minicpm.MiniCPMOConfig", "AutoModel": "modeling_minicpmo.MiniCPMO"}
    config |= {"architectures": ["MiniCPMO"], "auto_map": code, "tts_config": {"llm_dim": 8}, "version": "2.6"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "MiniCPMOTokenizerFast"}))
    assert {path.name for path in folder.iterdir()} == FILES | set(shards)
    return folder


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def _margins(out: Path, judge: str, tasks: tuple[str, ...] = ()) -> dict[str, float]:
    config = EvaluateConfig(judge=judge, benchmark="miniature:prompts=1", out=out, tasks=tasks, shown=0)
    assert evaluate(config).failed == 0
    records = [json.loads(line) for line in (out / "judgements.jsonl").read_text().splitlines()]
    return {record["id"]: record["margin"] for record in records}


def test_it_judges_the_miniature_benchmark_by_path_and_from_the_hubs_cache(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three samples of each of nine tasks by path; the two quickest tasks again from the cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    cache_entry(tmp_path / "cache", published, "some-lab/omni-reward")
    margins = _margins(tmp_path / "path", f"reward:{published}")
    assert len(set(margins.values())) > 20
    again = _margins(tmp_path / "hub", "reward:some-lab/omni-reward@main", ("T2T", "T2I"))
    assert (len(margins), len(again)) == (27, 6)
    assert again == pytest.approx({name: margins[name] for name in again}, abs=1e-5)


def test_it_takes_the_published_layout_and_no_other(published: Path) -> None:
    assert RewardModel.load(published).layout == "paper"
    with pytest.raises(CheckpointError, match="trained with the 'paper' layout and cannot be used with 'natural'"):
        RewardModel.load(published, "natural")


def _shard(folder: Path, number: int = 2) -> Path:
    return folder / f"model-{number:05}-of-{SHARDS:05}.safetensors"


def _cut(folder: Path) -> None:
    _shard(folder).write_bytes(_shard(folder).read_bytes()[:-100])


def _other_head(folder: Path) -> None:
    save_file({"v_head.summary.weight": torch.ones(1, 64), "v_head.summary.bias": torch.ones(1)}, folder / HEAD)


def _second_head(folder: Path) -> None:
    save_file(load_file(_shard(folder)) | {"score.weight": torch.ones(1, 128)}, _shard(folder))


def _set(**changes: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return write


def _tokenizer(special: tuple[str, ...], more: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        made = json.loads(train_tokenizer(WORDS, special))
        made["model"]["vocab"] |= {f"<more{n}>": len(made["model"]["vocab"]) + len(special) + n for n in range(more)}
        (folder / "tokenizer.json").write_text(json.dumps(made))

    return write


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _shard(folder).unlink(), r"Not files of its folder: model-00002-of-00003\.safetensors"),
        (_cut, r"model-00002-of-00003\.safetensors cannot be read as safetensors"),
        (lambda folder: shutil.copy(_shard(folder, 1), _shard(folder)), r"Missing: .*Left over: none"),
        (lambda folder: (folder / INDEX).unlink(), "neither model.safetensors nor model.safetensors.index.json"),
        (lambda folder: (folder / HEAD).unlink(), r"has no value_head\.safetensors.*random numbers"),
        (_other_head, r"does not fit a backbone of hidden size 128: .*\(1, 64\)"),
        (_second_head, r"has 2 heads: value_head\.safetensors, score"),
        (_set(hidden_size=64), "hidden_size 64 is not a multiple of 128"),
        (_set(model_type="llava"), "has model_type 'llava'; known: .*minicpmo"),
        (_tokenizer(SPECIAL_TOKENS[:-1], 0), r"lacks the tokens \['<unk>'\]"),
        (_tokenizer(SPECIAL_TOKENS, 3000), r"has ids up to [0-9]+, but config\.json's vocab_size is"),
    ],
    ids=[
        *("shard missing", "shard cut short", "shard twice", "index missing", "head missing", "head of another width"),
        *("two heads", "another width", "another family", "tokens missing", "ids beyond the vocabulary"),
    ],
)
def test_what_is_damaged_or_belongs_to_another_model_is_refused(
    copy: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(copy)
    for load in (RewardModel.load, RewardModel.load_or_new_head):
        if message.startswith("has no value_head") and load == RewardModel.load_or_new_head:
            continue  # without a record, a folder without a head is a chat model's, and gets a new one
        with pytest.raises(CheckpointError, match=message):
            load(copy)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"])
def test_another_tokenizer_than_was_trained_with_is_refused(copy: Path, tmp_path: Path, name: str) -> None:
    """One that would fit as well: the record of our own checkpoints knows the files."""
    ours = tmp_path / "ours"
    RewardModel.load(copy).save(ours)
    RewardModel.load(ours)
    content = (ours / name).read_text() if (ours / name).exists() else "{}"
    (ours / name).write_text(content + "\n")
    with pytest.raises(CheckpointError, match="trained with another tokenizer or chat template"):
        RewardModel.load(ours)


def test_a_flipped_bit_in_a_shards_header_is_refused(copy: Path) -> None:
    """What safetensors alone can tell; the checkpoints of a run have checksums besides."""
    data = bytearray(_shard(copy).read_bytes())
    data[20] ^= 1
    _shard(copy).write_bytes(bytes(data))
    with pytest.raises(CheckpointError):
        RewardModel.load(copy)
