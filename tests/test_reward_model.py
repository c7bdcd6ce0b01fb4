"""The reward model around a backbone: its head on disk, the layout it insists on, towers that freeze, kept features."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import omnireward
from omnireward import plugins
from omnireward.backbones import BackboneFamily, Prepared
from omnireward.checkpoint import load_backbone, tokenizer_digest
from omnireward.encoded import Encoded, keys_of
from omnireward.errors import CheckpointError, PromptError, UnknownNameError, UnreadableMediaError
from omnireward.media.encode import png
from omnireward.model_card import model_card
from omnireward.packing import in_common
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Layout, Media, Text, Turn
from omnireward.value_head import read_head

FAMILY = "minicpm_o"
WORDS = ["Draw a red dot.", "The dot should be large.", "A long answer about tea, and rain, and bread."]
HEAD = "value_head.safetensors"


def _picture(seed: int) -> Media:
    return Media("image", png(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)))


def _texts(a: str = "tea", b: str = "rain", criterion: str = "") -> Comparison:
    return Comparison((Turn("user", (Text("Write."),)),), (Text(a),), (Text(b),), criterion)


def _pictures(a: int, b: int) -> Comparison:
    return Comparison((Turn("user", (Text("Draw a red dot."),)),), (_picture(a),), (_picture(b),), "large")


def _model(layout: Layout = "natural", head_dropout: float = 0.0) -> RewardModel:
    torch.manual_seed(0)
    family = plugins.load("backbones", FAMILY)
    return RewardModel(cast(BackboneFamily, family).tiny(WORDS * 20, 0), FAMILY, layout, head_dropout)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that no test changes."""
    folder = tmp_path_factory.mktemp("saved")
    _model().save(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def model(saved: Path) -> RewardModel:
    return RewardModel.load(saved)


def test_rewards_are_one_float32_for_each_response(model: RewardModel) -> None:
    rewards = model.rewards([_texts(), _pictures(1, 2)])
    assert rewards.shape == (2, 2)
    assert rewards.dtype == torch.float32
    assert not rewards.requires_grad
    assert model.rewards([]).shape == (0, 2)


def test_candidates_get_the_rewards_that_they_get_in_comparisons(model: RewardModel) -> None:
    prompt = (Turn("user", (_picture(1), Text("Write."))),)
    answers = [(Text(word),) for word in ("tea", "rain", "bread and tea", "tea")]
    rewards = model.candidate_rewards(prompt, answers, "polite")
    pairs = [Comparison(prompt, one, other, "polite") for one, other in pairwise(answers)]
    expected = torch.cat([model.rewards([pair])[0] for pair in pairs])[[0, 1, 3, 5]]
    torch.testing.assert_close(rewards, expected, rtol=0, atol=1e-5)
    assert rewards.dtype == torch.float32
    assert not rewards.requires_grad
    assert model.candidate_rewards(prompt, []).shape == (0,)


def test_many_rows_are_spread_over_passes_by_their_tokens(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve answers of one token to a prompt: with room for the prompt and five of them, three passes."""
    prompt = (Turn("user", (Text("Write."),)),)
    answers = [(Text(chr(ord("a") + n)),) for n in range(12)]
    expected = model.candidate_rewards(prompt, answers)
    encoded = [model.encode(Comparison(prompt, answer, ()), "a") for answer in answers]
    keys = keys_of(encoded)
    shared = in_common(keys[0], keys[1])
    own = len(keys[0]) - shared
    monkeypatch.setattr("omnireward.reward_model.TOKENS_PER_PASS", shared + 5 * own)
    rows: list[int] = []
    plain = RewardModel.forward

    def forward(
        self: RewardModel, some: Sequence[Encoded], padding_side: str | None = None, leeways: bool = False
    ) -> Tensor:
        rows.append(len(some))
        return plain(self, some, padding_side, leeways)

    monkeypatch.setattr(RewardModel, "forward", forward)
    torch.testing.assert_close(model.score(encoded), expected, rtol=0, atol=1e-5)
    assert rows == [5, 5, 2]


@pytest.mark.parametrize("packing", [True, False])
def test_equal_rows_get_equal_rewards_to_the_last_bit_wherever_they_stand(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch, packing: bool
) -> None:
    """Also in different passes: a margin of 1e-8 has a winner where 0 has none."""
    model.packing = packing
    monkeypatch.setattr("omnireward.reward_model.TOKENS_PER_PASS", 60)
    prompt = (Turn("user", (_picture(1), Text("Write."))),)
    answers = [(Text(word),) for word in ("tea", "rain and rain", "tea", "a long answer about bread", "tea", "rain")]
    rewards = model.candidate_rewards(prompt, [*answers, *answers[::-1]]).tolist()
    assert rewards[0] == rewards[2] == rewards[4]
    assert rewards == [*rewards[:6], *rewards[5::-1]]
    assert len(set(rewards)) == 4


def test_pictures_of_one_size_are_not_taken_for_shared(model: RewardModel) -> None:
    """Their placeholders are equal token ids."""
    same, other = (model.encode(_pictures(1, b), "b") for b in (1, 2))
    keys = keys_of([same, model.encode(_pictures(1, 1), "a"), other])
    assert same.row.ids.tolist() == other.row.ids.tolist()
    assert in_common(keys[0], keys[1]) == len(keys[0])
    assert in_common(keys[0], keys[2]) == same.row.spans[0][0]


def test_the_head_is_linear_in_the_hidden_state(model: RewardModel) -> None:
    """By hand: weight times hidden state, plus bias."""
    model.eval()
    with torch.no_grad():
        model.head.bias.fill_(0.25)
        encoded = [model.encode(_texts(), "a"), model.encode(_pictures(1, 2), "b")]
        expected = (model.hidden(encoded) * model.head.weight[0]).sum(1) + 0.25
        torch.testing.assert_close(model(encoded), expected)


def test_rewards_are_fp32_under_autocast(model: RewardModel) -> None:
    encoded = [model.encode(_texts(), side) for side in ("a", "b")]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rewards = model(encoded)
    assert rewards.dtype == torch.float32
    assert not torch.equal(rewards, rewards.bfloat16().float())


def test_dropout_is_for_training_only() -> None:
    model = _model(head_dropout=0.5)
    encoded = [model.encode(_texts(), "a")]
    model.train()
    with torch.no_grad():
        assert len({model(encoded).item() for _ in range(8)}) > 1
    first, second = model.rewards([_texts(), _texts()])
    assert torch.equal(first, second)


def test_packing_can_be_switched_off_and_changes_nothing(model: RewardModel) -> None:
    comparisons = [_pictures(1, 2), _texts("tea " * 30, "rain"), _texts("a", "bread " * 9, "short"), _pictures(3, 1)]
    encoded = [model.encode(comparison, side) for comparison in comparisons for side in ("a", "b")]
    model.eval()
    with torch.no_grad():
        packed = model(encoded)
        for side in ("left", "right"):
            torch.testing.assert_close(model(encoded, side), packed, rtol=1e-4, atol=1e-5)
        model.packing = False
        torch.testing.assert_close(model(encoded), packed, rtol=1e-4, atol=1e-5)
    assert len({round(reward, 5) for reward in packed.tolist()}) >= 7  # picture 1 is shown twice


def test_a_checkpoint_has_the_published_files(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", HEAD}
    head = load_file(saved / HEAD)
    width = json.loads((saved / "config.json").read_text())["hidden_size"]
    assert {name: tuple(value.shape) for name, value in head.items()} == {
        "v_head.summary.weight": (1, width),
        "v_head.summary.bias": (1,),
    }
    assert not any(name.startswith("v_head") for name in load_file(saved / "model.safetensors"))
    record = json.loads((saved / "omnireward.json").read_text())
    wanted = {"family": FAMILY, "layout": "natural", "omnireward": omnireward.__version__}
    digests = {name: sha256((saved / name).read_bytes()).hexdigest() for name in ("model.safetensors", HEAD)}
    assert record == wanted | {"tokenizer": tokenizer_digest(saved), "weights": digests}


def test_the_model_card_says_what_the_checkpoint_is(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    parameters = sum(
        value.numel() for name in ("model.safetensors", HEAD) for value in load_file(saved / name).values()
    )
    assert card == model_card(FAMILY, "natural", parameters)
    assert f"| parameters | {parameters:,} |" in card
    assert "| layout of media responses | natural |" in card


def test_the_example_in_the_model_card_runs(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(saved)
    code = (saved / "README.md").read_text().split("```python\n")[1].split("```")[0]
    exec(code, {})
    assert capsys.readouterr().out.startswith("tensor([[")


def test_a_checkpoint_without_its_head_is_refused(folder: Path) -> None:
    (folder / HEAD).unlink()
    with pytest.raises(CheckpointError, match=r"has no value_head\.safetensors.*gives random numbers"):
        RewardModel.load(folder)
    with pytest.raises(CheckpointError, match=r"has no value_head\.safetensors"):
        RewardModel.load_or_new_head(folder)  # its record says that it had one


def test_a_chat_model_gets_a_new_head_for_training_only(folder: Path) -> None:
    for name in (HEAD, "omnireward.json"):
        (folder / name).unlink()
    with pytest.raises(CheckpointError, match="omnireward train"):
        RewardModel.load(folder)
    assert RewardModel.load_or_new_head(folder).layout == "natural"
    assert RewardModel.load_or_new_head(folder, "paper").layout == "paper"


def test_training_on_keeps_the_head_that_is_there(saved: Path) -> None:
    trained = RewardModel.load_or_new_head(saved, head_dropout=0.1)
    assert torch.equal(trained.head.weight, load_file(saved / HEAD)["v_head.summary.weight"])
    assert trained.dropout.p == 0.1


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("v_head.summary.scale", (1,), "must hold exactly"),
        ("v_head.summary.weight", (2, 8), "does not fit a backbone of hidden size"),
        ("v_head.summary.bias", (3,), "does not fit a backbone of hidden size"),
    ],
)
def test_a_head_of_another_model_is_refused(folder: Path, name: str, shape: tuple[int, ...], message: str) -> None:
    save_file(load_file(folder / HEAD) | {name: torch.zeros(shape)}, folder / HEAD)
    with pytest.raises(CheckpointError, match=message):
        RewardModel.load(folder)


def test_half_a_head_is_refused(folder: Path) -> None:
    head = load_file(folder / HEAD)
    del head["v_head.summary.bias"]
    save_file(head, folder / HEAD)
    with pytest.raises(CheckpointError, match="must hold exactly"):
        RewardModel.load(folder)


def test_a_head_saved_by_torch_is_read(folder: Path, model: RewardModel) -> None:
    """The field's older checkpoints have value_head.bin, and no record of ours."""
    (folder / "omnireward.json").unlink()
    torch.save(load_file(folder / HEAD), folder / "value_head.bin")
    (folder / HEAD).unlink()
    assert torch.equal(RewardModel.load(folder).head.weight, model.head.weight)


@pytest.mark.parametrize("name", ["model.safetensors", HEAD])
@pytest.mark.parametrize("place", [0.5, 1.0])
def test_a_flipped_bit_in_weights_is_refused_by_the_name_of_their_file(folder: Path, name: str, place: float) -> None:
    """In the middle, and the lowest bit of the last number: both load as weights like any other."""
    data = bytearray((folder / name).read_bytes())
    at = min(len(data) - 4, int(len(data) * place))
    data[at] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"no longer holds the weights that it was saved with: {name}"):
        RewardModel.load(folder)


class _Bomb:
    """Unpickling it would run code."""

    def __reduce__(self) -> tuple[type[RuntimeError], tuple[str]]:
        return RuntimeError, ("code from a checkpoint was run",)


def _no_tensors(path: Path) -> None:
    torch.save({"v_head.summary.weight": 1, "v_head.summary.bias": 2}, path)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(pickle.dumps(_Bomb(), protocol=2)),
        lambda path: torch.save(_Bomb(), path),
        lambda path: torch.save([torch.zeros(1)], path),
        _no_tensors,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a head"),
    ],
    ids=["pickle", "torch pickle", "list", "numbers", "empty", "noise"],
)
def test_a_head_that_is_not_tensors_is_refused_and_never_run(folder: Path, write: Callable[[Path], object]) -> None:
    (folder / HEAD).unlink()
    write(folder / "value_head.bin")
    with pytest.raises(CheckpointError, match=r"value_head\.bin (cannot be read as tensors|must hold named tensors)"):
        RewardModel.load(folder)


def _damaged(rng: random.Random, whole: bytes) -> bytes:
    damaged = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning", "ignore:TypedStorage:UserWarning")
@pytest.mark.parametrize("as_zip", [True, False], ids=["zip", "pickle"])
def test_damage_anywhere_in_a_head_is_refused_or_harmless(folder: Path, as_zip: bool) -> None:
    """Some bytes of value_head.bin are replaced, in either of torch's formats; only CheckpointError may come out."""
    path, hidden = folder / "value_head.bin", load_file(folder / HEAD)["v_head.summary.weight"].shape[1]
    torch.save(load_file(folder / HEAD), path, _use_new_zipfile_serialization=as_zip)
    (folder / HEAD).unlink()
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        path.write_bytes(_damaged(rng, whole))
        try:
            read_head(folder, hidden)
        except CheckpointError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "noise", [b"\x80\x02K", b"\x80\x02h\x05.", b"\x80\x02)R.", b"0", b"\x80\x02X\x02\x00\x00\x00\xff\xff."]
)
def test_noise_for_a_head_is_refused(folder: Path, noise: bytes) -> None:
    """Cut short; an unknown memo; a call of nothing; a pop from nothing; text that is not UTF-8."""
    (folder / HEAD).unlink()
    (folder / "value_head.bin").write_bytes(noise)
    with pytest.raises(CheckpointError, match=r"value_head\.bin cannot be read as tensors"):
        RewardModel.load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["v_head.summary.weight", "v_head.summary.bias"])
def test_a_head_that_is_not_finite_is_refused(folder: Path, name: str, value: float) -> None:
    head = load_file(folder / HEAD)
    head[name].view(-1)[-1] = value
    save_file(head, folder / HEAD)
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        RewardModel.load(folder)


@pytest.mark.parametrize(
    "change",
    [lambda head: head.to("meta"), lambda head: head.to_sparse(), lambda head: head.int()],
    ids=["meta", "sparse", "int"],
)
def test_a_head_without_plain_numbers_is_refused(folder: Path, change: Callable[[Tensor], Tensor]) -> None:
    head = load_file(folder / HEAD)
    torch.save(head | {"v_head.summary.weight": change(head["v_head.summary.weight"])}, folder / "value_head.bin")
    (folder / HEAD).unlink()
    with pytest.raises(CheckpointError, match=r"value_head\.bin (must hold dense|cannot be read)"):
        RewardModel.load(folder)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", ["config.json", "omnireward.json"])
def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(
    folder: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink()
    make(folder / name)
    for load in (RewardModel.load, RewardModel.load_or_new_head):
        with pytest.raises(CheckpointError, match=f"{name} is not an ordinary file"):
            load(folder)


@pytest.mark.parametrize("name", ["config.json", "omnireward.json"])
@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_nesting_is_refused(folder: Path, name: str, depth: int) -> None:
    key = "model_type" if name == "config.json" else "layout"
    (folder / name).write_text(f'{{"{key}": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(CheckpointError, match=f"{name} is (nested|not a JSON object)"):
        RewardModel.load(folder)


def test_a_broken_head_file_is_refused(folder: Path) -> None:
    (folder / HEAD).write_bytes(b"\x08\x00\x00\x00")
    with pytest.raises(CheckpointError, match=r"value_head\.safetensors cannot be read"):
        RewardModel.load(folder)


@pytest.mark.parametrize(("own", "other"), [("paper", "natural"), ("natural", "paper")])
def test_a_checkpoint_records_its_layout_and_refuses_another(own: Layout, other: Layout, tmp_path: Path) -> None:
    _model(own).save(tmp_path)
    assert RewardModel.load(tmp_path).layout == RewardModel.load(tmp_path, own).layout == own
    for load in (RewardModel.load, RewardModel.load_or_new_head):
        with pytest.raises(CheckpointError, match=f"trained with the '{own}' layout and cannot be used with '{other}'"):
            load(tmp_path, other)


def test_the_layout_decides_what_is_read() -> None:
    rewards = [_model(layout).rewards([_pictures(1, 2), _texts()]) for layout in ("paper", "natural")]
    assert not torch.allclose(rewards[0][0], rewards[1][0])
    assert torch.allclose(rewards[0][1], rewards[1][1])


def test_published_weights_record_no_layout_and_take_the_familys(folder: Path) -> None:
    (folder / "omnireward.json").unlink()
    assert RewardModel.load(folder).layout == cast(BackboneFamily, plugins.load("backbones", FAMILY)).layout


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"layout": "sideways"}', '{"layout": ["paper"]}', "\xff"])
def test_a_record_that_cannot_be_read_is_refused(folder: Path, record: str) -> None:
    (folder / "omnireward.json").write_bytes(record.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"omnireward\.json"):
        RewardModel.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model_type": "bert"}', "has model_type 'bert'; known: .*minicpmo"),
        ("{}", "has model_type None"),
        ("[]", "is not a JSON object"),
        ("{", "is not a JSON object"),
        ("\xff", "cannot be read"),
    ],
)
def test_a_config_of_no_known_family_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(CheckpointError, match=message):
        load_backbone(folder)


def test_what_is_no_checkpoint_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CheckpointError, match=r"holds no config\.json.*notes\.txt"):
        RewardModel.load(tmp_path)
    for path in (tmp_path / "absent", tmp_path / "notes.txt"):
        with pytest.raises(CheckpointError, match="no such folder"):
            RewardModel.load(path)


def test_towers_freeze_by_name(model: RewardModel) -> None:
    model.requires_grad_(True)
    before = model.features.frozen
    model.freeze(["vision"])
    half = model.features.frozen
    assert model.freeze(name for name in ["vision", "audio"]) > 0
    assert (before, half, model.features.frozen) == (False, False, True)
    assert model.head.weight.requires_grad


def test_an_unknown_tower_freezes_nothing(model: RewardModel) -> None:
    model.requires_grad_(True)
    with pytest.raises(UnknownNameError, match=r"unknown tower 'visoin'. Did you mean vision\? Known: audio, vision"):
        model.freeze(["audio", "visoin"])
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_features_are_kept_while_towers_are_frozen_only(model: RewardModel) -> None:
    model.requires_grad_(True)
    model.rewards([_pictures(1, 2)])
    assert len(model.features.embeddings) == 0
    model.freeze(["vision", "audio"])
    model.rewards([_pictures(1, 2), _pictures(2, 3)])
    assert len(model.features.embeddings) == 3  # pictures 1, 2 and 3, each once
    model.requires_grad_(True)  # from now on what was kept may be wrong
    model.rewards([_pictures(1, 2)])
    assert len(model.features.embeddings) == 0


def test_a_medium_that_two_rows_show_is_encoded_once(model: RewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    encode = model.backbone.encode_media

    def counting(media: Sequence[Prepared]) -> list[Tensor]:
        counts.append(len(media))
        return encode(media)

    monkeypatch.setattr(model.backbone, "encode_media", counting)
    model.freeze(["vision", "audio"])
    model.rewards([_pictures(1, 2), _pictures(2, 1), _pictures(3, 1)])
    assert sum(counts) == 3
    model.rewards([_pictures(1, 2)])
    assert sum(counts) == 3


def test_what_the_cache_drops_between_encoding_and_scoring_is_still_scored(model: RewardModel) -> None:
    """A training step encodes all of its batches before it scores the first, so others may push a medium out."""
    expected = model.rewards([_pictures(1, 2), _pictures(3, 4)])
    model.features.embeddings.clear()
    model.rewards([_pictures(1, 2)])
    early = [model.encode(_pictures(1, 2), side) for side in ("a", "b")]
    assert all(medium.inputs is None for one in early for medium in one.media)
    model.features.embeddings.limit = 1  # from now on each medium pushes out the one before
    torch.testing.assert_close(model.rewards([_pictures(3, 4)])[0], expected[1])
    assert len(model.features.embeddings) == 1
    with torch.no_grad():
        torch.testing.assert_close(model(early), expected[0])


def test_a_medium_that_cannot_be_read_is_an_error_with_its_reason(model: RewardModel, tmp_path: Path) -> None:
    gone = replace(_pictures(1, 2), response_b=(Media("image", tmp_path / "gone.png"),))
    with pytest.raises(UnreadableMediaError, match=r"gone\.png"):
        model.rewards([_texts(), gone])
    with pytest.raises(UnreadableMediaError):
        model.rewards([replace(gone, response_b=(Media("image", b"\x89PNG broken"),))])


def test_a_conversation_that_the_model_cannot_read_is_an_error(model: RewardModel) -> None:
    """A prompt with a system turn of its own leaves no room for the criterion."""
    prompt = (Turn("system", (Text("You are a poet."),)), *_texts().prompt)
    assert model.rewards([replace(_texts(), prompt=prompt)]).isfinite().all()
    with pytest.raises(PromptError):
        model.rewards([replace(_texts(criterion="short"), prompt=prompt)])


def test_a_loaded_model_scores_a_medium_twice_and_decodes_it_once(
    model: RewardModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word about freezing; a model in training thaws first."""
    assert model.features.frozen
    decoded: list[Media] = []
    prepare = model.backbone.prepare

    def counting(medium: Media) -> Prepared:
        decoded.append(medium)
        return prepare(medium)

    monkeypatch.setattr(model.backbone, "prepare", counting)
    first, second = (model.rewards([_pictures(1, 2)]) for _ in range(2))
    assert torch.equal(first, second)
    assert len(decoded) == 2
    assert any(parameter.requires_grad for parameter in model.parameters())
    assert not model.requires_grad_(True).features.frozen
