"""Laws that every backbone family keeps, checked on its tiny model with one sample of each task whose media it reads.

Families are found by their files. Rewards come from the project's own head, because that is what must not change.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireward import plugins
from omnireward.backbones import BackboneFamily, freeze
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.checkpoint import load_backbone
from omnireward.encoded import Encoded, keys_of
from omnireward.errors import CheckpointError, MediaError, PromptError
from omnireward.miniature.world import World, samples
from omnireward.packing import plan
from omnireward.reward_model import RewardModel
from omnireward.types import PAPER_TASKS, Comparison, Media, MediaKind, Side, Text, Turn

WORDS = ["What is in the picture?", "The answer should be polite.", "A red circle on the left. Thank you for asking."]
KINDS: tuple[MediaKind, ...] = ("image", "video", "audio", "mesh")
SIDES: tuple[Side, ...] = ("a", "b")
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Subject:
    """A family, its tiny reward model in a folder, and rewards of every encoded response, computed alone."""

    family: BackboneFamily
    folder: Path
    model: RewardModel
    comparisons: list[Comparison]
    encoded: list[Encoded]
    alone: Tensor

    def fresh(self) -> RewardModel:
        """The same model again, all of it trainable, for tests that change it."""
        return RewardModel.load(self.folder).requires_grad_(True)


def _family(name: str) -> BackboneFamily:
    family = plugins.load("backbones", name)
    assert isinstance(family, BackboneFamily)
    return family


def _kinds(comparison: Comparison) -> set[MediaKind]:
    parts = [part for turn in comparison.prompt for part in turn.content]
    both = (*parts, *comparison.response_a, *comparison.response_b)
    return {part.kind for part in both if isinstance(part, Media)}


@pytest.fixture(scope="module")
def all_comparisons() -> list[Comparison]:
    """One for each task, in the paper's order."""
    first = {sample.task: sample.comparison for sample in reversed(list(samples(World(prompts=1), "train")))}
    return [first[task] for task in PAPER_TASKS]


@pytest.fixture(scope="module")
def comparisons(subject: Subject) -> list[Comparison]:
    """Those that the family reads, in the paper's order."""
    return subject.comparisons


@pytest.fixture(scope="module", params=plugins.names("backbones"))
def subject(
    request: pytest.FixtureRequest, all_comparisons: list[Comparison], tmp_path_factory: pytest.TempPathFactory
) -> Subject:
    name = str(request.param)
    family, folder = _family(name), tmp_path_factory.mktemp(name)
    torch.manual_seed(0)
    model = RewardModel(family.tiny(WORDS * 20, 0), name, "natural")
    model.save(folder)
    model.eval()
    comparisons = [each for each in all_comparisons if _kinds(each) <= set(family.kinds)]
    encoded = [model.encode(comparison, side) for comparison in comparisons for side in SIDES]
    return Subject(family, folder, model, comparisons, encoded, torch.cat([_rewards(model, [one]) for one in encoded]))


def _rewards(model: RewardModel, encoded: Sequence[Encoded], padding_side: str | None = None) -> Tensor:
    model.eval()
    with torch.no_grad():
        rewards: Tensor = model(encoded, padding_side)
    return rewards


def _close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0.0, atol=TOLERANCE)


def _names(model: RewardModel, prefixes: Sequence[str]) -> list[str]:
    return [name for name, _ in model.backbone.named_parameters() if name.startswith(tuple(prefixes))]


def test_it_describes_itself(subject: Subject) -> None:
    assert 10 <= len(subject.family.summary) <= 110
    assert "\n" not in subject.family.summary
    assert subject.family.model_types
    assert subject.family.layout in ("paper", "natural")
    assert set(subject.family.kinds) <= set(KINDS)


def test_kinds_of_media_that_it_does_not_read_are_refused_by_name(
    subject: Subject, all_comparisons: list[Comparison]
) -> None:
    for comparison in all_comparisons:
        strange = _kinds(comparison) - set(subject.family.kinds)
        if strange:
            with pytest.raises(MediaError, match=strange.pop()):
                subject.model.rewards([comparison])


def test_no_two_families_answer_for_one_model_type() -> None:
    types = [kind for name in plugins.names("backbones") for kind in _family(name).model_types]
    assert len(types) == len(set(types))


def test_tiny_weights_come_from_the_seed_alone(subject: Subject) -> None:
    torch.manual_seed(1)
    same, other = (subject.family.tiny(WORDS * 20, seed).state_dict() for seed in (0, 1))
    wanted = subject.model.backbone.state_dict()
    assert all(torch.equal(same[name], value) for name, value in wanted.items())
    assert any(not torch.equal(other[name], value) for name, value in wanted.items())


def test_rewards_differ_enough_for_the_laws_to_mean_something(subject: Subject) -> None:
    assert subject.alone.shape == (2 * len(subject.comparisons),)
    assert subject.alone.dtype == torch.float32
    gaps = (subject.alone[:, None] - subject.alone).abs() + torch.eye(len(subject.alone))
    assert gaps.min() > 3 * TOLERANCE


def test_saved_and_loaded_is_the_same_to_the_last_bit(subject: Subject, tmp_path: Path) -> None:
    loaded = subject.fresh()
    wanted = subject.model.state_dict()
    assert wanted.keys() == loaded.state_dict().keys()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    loaded.save(tmp_path)
    files = {path.name: path.read_bytes() for path in subject.folder.iterdir()}
    assert files == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_folder_is_read_by_the_family_of_its_model_type(subject: Subject) -> None:
    name, backbone = load_backbone(subject.folder)
    assert name == subject.model.family
    assert type(backbone) is type(subject.model.backbone)
    assert json.loads((subject.folder / "config.json").read_text())["model_type"] in subject.family.model_types


@pytest.mark.parametrize("change", ["missing", "left over"])
def test_missing_and_left_over_weights_are_refused(subject: Subject, tmp_path: Path, change: str) -> None:
    subject.model.save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = sorted(weights)[0]
    if change == "missing":
        del weights[name]
    else:
        weights[name := "another.weight"] = torch.zeros(1)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=name):
        RewardModel.load(tmp_path)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_packing_changes_nothing_in_any_order_and_company(subject: Subject, seed: int) -> None:
    order = torch.randperm(len(subject.encoded), generator=torch.Generator().manual_seed(seed)).tolist()
    for some in (order, order[:5], [*order[:3], *order[:3]]):
        _close(_rewards(subject.model, [subject.encoded[i] for i in some]), subject.alone[some])


@pytest.mark.parametrize(
    ("count", "dtype", "tolerance"),
    [(2, torch.float32, 1e-5), (16, torch.float32, 1e-5), (16, torch.float64, 6e-7)],
    ids=["2-32", "16-32", "16-64"],
)
@pytest.mark.parametrize("task", range(4), ids=[task.short for task in PAPER_TASKS[:4]])
def test_responses_packed_with_their_prompt_have_the_rewards_and_gradients_of_whole_rows(
    subject: Subject, all_comparisons: list[Comparison], task: int, count: int, dtype: torch.dtype, tolerance: float
) -> None:
    """Text, image, video and audio in the prompt. In float64, norms and rotary angles are float32 all the same.

    So five steps of float32 are allowed there, 5 x 1.2e-7: Qwen3's norms of queries and keys make 1.3e-7, and the
    gradients of a router of experts, whose softmax is float32 and whose rows cancel, 4.3e-7.
    """
    asked = all_comparisons[task]
    if not _kinds(asked) <= set(subject.family.kinds):
        pytest.skip("the family does not read these media")
    model = subject.fresh().to(dtype).train()
    model.freeze(model.towers)
    answers = [replace(asked, response_a=(Text("yes " * (1 + n % 5) + f"number {n}"),)) for n in range(count)]
    encoded = [model.encode(each, "a") for each in answers]
    weights = torch.linspace(-1, 1, count, dtype=dtype) + 0.3
    found: dict[str | None, tuple[Tensor, dict[str, Tensor]]] = {}
    for side in (None, "right"):
        model.zero_grad()
        hidden = model.hidden(encoded, side)
        rewards = hidden @ model.head.weight[0].to(dtype) + model.head.bias
        torch.autograd.backward((rewards * weights).sum())
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found[side] = (rewards.detach(), gradients)
    torch.testing.assert_close(found[None][0], found["right"][0], rtol=0, atol=tolerance)
    for name, gradient in found["right"][1].items():
        error = (found[None][1][name] - gradient).norm()
        assert error <= tolerance * gradient.norm(), f"{name}: {error} of {gradient.norm()}"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_changes_nothing_on_either_padding_side(subject: Subject, side: str) -> None:
    _close(_rewards(subject.model, subject.encoded, side), subject.alone)
    some = [7, 0, 12, 3] if len(subject.encoded) > 12 else [1, 0]
    _close(_rewards(subject.model, [subject.encoded[i] for i in some], side), subject.alone[some])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_to_any_length_changes_nothing(subject: Subject, side: str) -> None:
    """The backbone itself, all lengths in one pass: above it, rows of like length may be kept together."""
    model, encoded = subject.model, subject.encoded
    assert len({len(one.row.ids) for one in encoded}) > 1
    with torch.no_grad():
        media = [list(model.backbone.encode_media(one.media)) for one in encoded]
        hidden = model.backbone([one.row for one in encoded], media, padding_side=side)
        _close(model.head(hidden).squeeze(-1), subject.alone)


def test_media_are_encoded_as_if_alone(subject: Subject) -> None:
    media = [medium for one in subject.encoded for medium in one.media]
    with torch.no_grad():
        together = subject.model.backbone.encode_media(media)
        for medium, embeddings in zip(media, together, strict=True):
            assert len(embeddings) == sum(medium.tokens)
            assert embeddings.shape[1] % subject.model.backbone.hidden_size == 0
            _close(subject.model.backbone.encode_media([medium])[0], embeddings)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_swapping_negates_the_margin_whatever_the_batch(
    subject: Subject, comparisons: list[Comparison], batch_size: int
) -> None:
    swapped = subject.model.rewards([comparison.swap() for comparison in comparisons], batch_size)
    margins = subject.alone.view(-1, 2) @ torch.tensor([1.0, -1.0])
    _close(swapped @ torch.tensor([1.0, -1.0]), -margins)


def test_criterion_prompt_and_response_reach_the_reward(subject: Subject) -> None:
    plain = Comparison((Turn("user", (Text("a circle"),)),), (Text("red"),), (Text("left"),), "polite")
    changed = [
        plain,
        replace(plain, criterion=""),
        replace(plain, criterion="a picture"),
        replace(plain, prompt=(Turn("user", (Text("a picture"),)),)),
        replace(plain, prompt=(Turn("user", (Text("a"),)), Turn("assistant", (Text("?"),)), *plain.prompt)),
        plain.swap(),
    ]
    rewards = subject.model.rewards(changed)[:, 0]
    assert len({round(reward, 5) for reward in rewards.tolist()}) == len(changed)


def test_the_order_of_media_reaches_the_reward(subject: Subject) -> None:
    """Two media of a kind, the one first, then the other; what the tiny towers see of them is replaced by noise."""
    model, shown = subject.model, dict[str, list[Media]]()
    for each in subject.comparisons:
        for part in (*(part for turn in each.prompt for part in turn.content), *each.response_a, *each.response_b):
            if isinstance(part, Media):
                shown.setdefault(part.kind, []).append(part)
    assert set(shown) == set(subject.family.kinds)
    for one, other in ((media[0], media[-1]) for media in shown.values() if media[0] != media[-1]):
        prompts = [(Turn("user", (*pair, Text("a circle"))),) for pair in ((one, other), (other, one))]
        encoded = [model.encode(Comparison(each, (Text("red"),), (), "polite"), "a") for each in prompts]
        with torch.no_grad():
            seen = model.backbone.encode_media(encoded[0].media)
        noise = {
            digest: torch.randn(each.shape, generator=torch.Generator().manual_seed(number))
            for number, (digest, each) in enumerate(zip(encoded[0].digests, seen, strict=True))
        }
        with torch.no_grad():
            rows, media = [each.row for each in encoded], [[noise[d] for d in each.digests] for each in encoded]
            alone = torch.cat([model.backbone([row], [each]) for row, each in zip(rows, media, strict=True)])
            packed = model.backbone.packed(rows, media, plan(keys_of(encoded)))
            _close(packed, alone)
            for side in ("left", "right"):
                _close(model.backbone(rows, media, padding_side=side), alone)
        assert (alone[0] - alone[1]).abs().max() > 1e-2, one.kind


def test_text_never_becomes_a_special_token(subject: Subject) -> None:
    """Counted: a conversation whose text spells special tokens has as many of them as one whose text doesn't."""
    added = json.loads((subject.folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    special = {token["id"]: token["content"] for token in added}
    assert special

    def count(text: str) -> Counter[int]:
        turns = (Turn("system", (Text(text),)), Turn("user", (Text(text),)), Turn("assistant", (Text(text),)))
        row = subject.model.backbone.tokenize(turns, [])
        assert row.spans == ()
        return Counter(int(i) for i in row.ids if int(i) in special)

    wanted = count("plain")
    for token in [*special.values(), "".join(special.values()), "<im", "<|im_start|>system\n", "<image></image>"]:
        assert count(f"a {token} b") == count(token) == wanted, token


ODD_TEXTS = (
    *("", " ", "  two", "\n", "\n\n a\n", "\ta\r\nb", "a  b   c ", "VERDICT: A", "\0", "a\0b", "0123456789"),
    *(
        "été",
        "e\u0301te\u0301",
        "你好,世界",
        "שלום",
        "\u202eabc\u202c",
        "\u200bzero",
        "\ufeffmark",
        "\ufffd",
        "\U0001f600",
    ),
    *("\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0010ffff", "▁bar", "Ġ", "ÄŁ", "<0x0A>"),
    *("<|im_end|>", "<|im_start|>user\n", "<|image_pad|><unk></s>", "x" * 3_000, "".join(map(chr, range(1, 0x180)))),
)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_words_of_a_texts_ids_are_the_text(subject: Subject, text: str) -> None:
    """Whatever it holds, composed as Unicode composes it (NFC), as the tokenizers do before they read."""
    backbone = subject.model.backbone
    assert isinstance(backbone, DecoderBackbone)
    empty, full = (
        backbone.tokenize((Turn("user", (Text("?"),)), Turn("assistant", (Text(each),))), ()).ids.tolist()
        for each in ("", text)
    )
    own = full[: len(full) - 2][len(empty) - 2 :]  # without the end of the turn and the line's
    control = set(backbone.tokenizer.control.values())
    assert not control & set(own)
    assert backbone.tokenizer.words(own) == normalize("NFC", text)
    assert backbone.tokenizer.words([*control, *own, *control]) == normalize("NFC", text)


def test_ids_that_spell_half_a_character_are_read_all_the_same(subject: Subject) -> None:
    """A cut off answer, a lone surrogate, any ids at all, and ids of no word."""
    backbone = subject.model.backbone
    assert isinstance(backbone, DecoderBackbone)
    tokenizer = backbone.tokenizer
    told = backbone.tokenize((Turn("user", (Text("?"),)), Turn("assistant", (Text("a\ud800\U0001f600"),))), ()).ids
    assert tokenizer.words(told.tolist()).endswith("a?\U0001f600\n")
    assert "\ufffd" in tokenizer.words(told[:-3].tolist())
    assert isinstance(tokenizer.words(list(range(tokenizer.vocab_size + 5))), str)
    assert tokenizer.words([]) == tokenizer.words([tokenizer.vocab_size + 7]) == ""


def test_placeholders_are_as_many_as_embeddings(subject: Subject) -> None:
    for one in subject.encoded:
        assert sum(stop - start for start, stop in one.row.spans) == sum(sum(medium.tokens) for medium in one.media)


def test_embeddings_that_do_not_fit_are_refused(subject: Subject) -> None:
    row = subject.encoded[-1].row
    fitting = list(subject.model.backbone.encode_media(subject.encoded[-1].media))
    for media in ([*fitting, torch.zeros(1, subject.model.backbone.hidden_size)], [each[1:] for each in fitting]):
        if sum(map(len, media)) != sum(map(len, fitting)):
            with pytest.raises(PromptError):
                subject.model.backbone([row], [media])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"not media at all"], ids=["empty", "noise"])
def test_broken_media_are_an_error_of_their_own(subject: Subject, kind: MediaKind, data: bytes) -> None:
    with pytest.raises(MediaError):
        subject.model.backbone.prepare(Media(kind, data))


def test_towers_are_named_by_prefixes_of_parameters(subject: Subject) -> None:
    """Each prefix stands for something, no parameter is in two towers, and something is left: the language model."""
    found = [
        name for tower in subject.family.towers.values() for prefix in tower for name in _names(subject.model, [prefix])
    ]
    assert all(_names(subject.model, [prefix]) for tower in subject.family.towers.values() for prefix in tower)
    assert len(found) == len(set(found))
    assert len(found) < len(list(subject.model.backbone.named_parameters()))


@pytest.mark.parametrize(
    "frozen", [(), ("vision",), ("audio",), ("vision", "audio")], ids=lambda towers: "+".join(towers)
)
def test_a_frozen_tower_gets_no_gradient_and_all_else_does(subject: Subject, frozen: tuple[str, ...]) -> None:
    """All that the family reads is in the batch, so everything that is not frozen takes part."""
    if not set(frozen) <= set(subject.family.towers):
        pytest.skip("the family has no such tower")
    model = subject.fresh()
    prefixes = [prefix for tower in frozen for prefix in subject.family.towers[tower]]
    count = model.freeze(frozen)
    assert count == sum(p.numel() for name, p in model.backbone.named_parameters() if name in _names(model, prefixes))
    model(subject.encoded).sum().backward()
    for name, parameter in model.named_parameters():
        if name.removeprefix("backbone.") in _names(model, prefixes):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    parts = [tower for name, tower in subject.family.towers.items() if name not in frozen]
    known = [prefix for tower in subject.family.towers.values() for prefix in tower]
    rest = {name for name, _ in model.backbone.named_parameters()} - set(_names(model, known))
    for names in [*(_names(model, part) for part in parts), rest]:
        assert (
            sum(float(p.grad.norm()) for n, p in model.backbone.named_parameters() if n in names and p.grad is not None)
            > 0
        )


def test_freezing_counts_numbers_and_touches_nothing_else(subject: Subject) -> None:
    backbone = subject.fresh().backbone
    name, parameter = next(iter(backbone.named_parameters()))
    assert freeze(backbone, []) == 0
    assert freeze(backbone, [name]) == parameter.numel()
    assert [n for n, p in backbone.named_parameters() if not p.requires_grad] == [name]


def test_kept_features_give_the_same_rewards(subject: Subject, comparisons: list[Comparison]) -> None:
    """A saved and loaded model decodes anew and fills the cache, then reads it; no reward differs from before."""
    model = subject.fresh()
    model.freeze(subject.family.towers)
    media = {digest for one in subject.encoded for digest in one.digests}
    for _ in range(2):
        _close(model.rewards(comparisons).flatten(), subject.alone)
        assert len(model.features.embeddings) == len(media)
    again = model.encode(comparisons[-1], "a")
    assert bool(again.media) == bool(media)
    assert not again.media or {medium.inputs for medium in again.media} == {None}  # nothing was decoded


def test_kept_features_pass_on_gradients_to_the_language_model(subject: Subject, comparisons: list[Comparison]) -> None:
    """The same gradients, whether the towers ran in this step or an earlier one."""
    model = subject.fresh()
    model.freeze(subject.family.towers)
    grads: list[dict[str, Tensor]] = []
    for _ in range(2):
        model.zero_grad()
        model([model.encode(comparisons[-1], side) for side in SIDES]).diff().sum().backward()
        grads.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, grad in grads[0].items():
        torch.testing.assert_close(grads[1][name], grad, rtol=1e-4, atol=1e-6, msg=name)
