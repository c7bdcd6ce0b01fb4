"""A policy says how likely answers are as transformers' own classes do, packed or not, and learns by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from tests.speakers import FAMILIES, Oracle, Speaker, drawn, media, question, speaker
from torch import Tensor

from omnireward import policy as policies
from omnireward.closing import said
from omnireward.encoded import Encoded
from omnireward.errors import MediaError, PromptError
from omnireward.policy import Policy, answered
from omnireward.speaking import speak
from omnireward.train.tuning import checkpoint_layers
from omnireward.types import Media, Text

TOLERANCE = 5e-5  # of a log-probability, in float32, of logits up to 40


@pytest.fixture(scope="module", params=FAMILIES)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    name = str(request.param)
    return speaker(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return speaker("text", tmp_path_factory.mktemp("text"))


def _batch(policy: Policy, asked: list[Encoded]) -> tuple[list[Encoded], list[Tensor]]:
    """Two questions; answers of one token, of many, two that begin alike, and two that are equal."""
    first, second, third, *others = drawn(policy, [4, 12, 1, 7, 9])
    alike = torch.cat((second[:6], first))
    answers = [first, second, alike, alike, third, *others]
    return [asked[n] for n in (0, 0, 0, 0, 1, 1, 1)], answers


def _gradients(policy: Policy, asked: list[Encoded], answers: list[Tensor]) -> dict[str, Tensor]:
    policy.zero_grad()
    logps = policy(asked, answers, 0.8).logps
    torch.autograd.backward((logps * torch.linspace(-1.0, 1.3, len(logps))).sum())
    return {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}


def _same(found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == wanted.keys()
    largest = max(float(gradient.norm()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        error = float((found[name] - gradient).norm())
        assert error <= tolerance * max(float(gradient.norm()), 1e-2 * largest), name


def _thawed(given: Speaker) -> Policy:
    return Policy.load(given.folder).requires_grad_(True)


@torch.no_grad()
def test_answers_are_as_likely_as_transformers_own_class_says_and_packing_changes_nothing(each: Speaker) -> None:
    policy = _thawed(each)  # or media are not kept as towers read them
    asked, answers = _batch(policy, [policy.ask(question(*media(each.name), Text(t))) for t in ("One.", "Or two?")])
    oracle = Oracle(each)
    wanted = torch.cat([oracle.logps(one, answer, 0.7) for one, answer in zip(asked, answers, strict=True)])
    packed = policy(asked, answers, 0.7)
    policy.packing = False
    padded = policy(asked, answers, 0.7)
    assert packed.logps.dtype == torch.float32
    assert packed.logps.shape == packed.entropies.shape == wanted.shape
    torch.testing.assert_close(packed.logps.double(), wanted, rtol=1e-5, atol=TOLERANCE)
    torch.testing.assert_close(padded.logps, packed.logps, rtol=1e-5, atol=TOLERANCE)
    torch.testing.assert_close(padded.entropies, packed.entropies, rtol=1e-5, atol=TOLERANCE)
    assert float(wanted.std()) > 1  # not all the same


def test_gradients_reach_language_model_head_and_towers_and_packing_changes_none(each: Speaker) -> None:
    policy = _thawed(each)
    asked, answers = _batch(policy, [policy.ask(question(*media(each.name), Text(t))) for t in ("One.", "Or two?")])
    packed = _gradients(policy, asked, answers)
    assert packed.keys() == {name for name, _ in policy.named_parameters()}
    assert all(bool(gradient.isfinite().all()) for gradient in packed.values())
    for prefixes in (("head.",), *(tuple(f"backbone.{p}" for p in policy._family.towers[t]) for t in policy.towers)):
        assert sum(float(packed[name].norm()) for name in packed if name.startswith(prefixes)) > 0, prefixes
    policy.packing = False
    _same(packed, _gradients(policy, asked, answers), 2e-3)


def test_frozen_towers_get_no_gradient_and_what_is_kept_of_media_gives_the_same(each: Speaker) -> None:
    thawed, frozen = _thawed(each), each.policy
    asked = each.asked("One.")
    again = [thawed.ask(question(*media(each.name), Text("One.")))]
    answers = drawn(frozen, [9])
    _same(
        _gradients(frozen, asked, answers),
        {
            name: gradient
            for name, gradient in _gradients(thawed, again, answers).items()
            if dict(frozen.named_parameters())[name].requires_grad
        },
        1e-4,
    )


@pytest.mark.parametrize("name", ["text", "qwen3_vl", "minicpm_o"])
def test_layers_that_are_computed_again_and_logits_in_parts_have_the_same_gradients(
    name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = _thawed(speaker(name, tmp_path)).train()
    asked, answers = _batch(policy, [policy.ask(question(*media(name), Text(t))) for t in ("One.", "Or two?")])
    wanted, logps = _gradients(policy, asked, answers), policy(asked, answers).logps
    monkeypatch.setattr(policies, "_CHUNK", 5 * policy.head.weight.shape[0])  # 5 tokens, and a rest
    _same(_gradients(policy, asked, answers), wanted, 1e-4)
    torch.testing.assert_close(policy(asked, answers).logps, logps)
    checkpoint_layers(policy.backbone)
    _same(_gradients(policy, asked, answers), wanted, 1e-4)
    policy.packing = False
    _same(_gradients(policy, asked, answers), wanted, 2e-3)


def test_a_batch_without_media_gives_towers_that_learn_gradients_of_zero(tmp_path: Any) -> None:
    """Processes that add up gradients wait for those of each parameter."""
    policy = _thawed(speaker("qwen2_5_omni", tmp_path)).train()
    found = _gradients(policy, [policy.ask(question(Text("Hello.")))], drawn(policy, [3]))
    towers = [name for name in found if name.startswith(("backbone.visual", "backbone.audio_tower"))]
    assert len(towers) == len(policy.tower_parameters())
    assert not any(bool(found[name].any()) for name in towers)


def test_log_probabilities_and_entropies_by_hand(text: Speaker) -> None:
    """Two words with logits log 3 and 0: 3/4 and 1/4, entropy 0.562335; at temperature 1/2: 9/10 and 1/10, 0.325083."""
    policy = Policy.load(text.folder)
    policy.silent = torch.tensor([n for n in range(policy.head.weight.shape[0]) if n not in (5, 8)])
    policy.head.weight.data.fill_(7.0)  # what is silent is wanted most
    policy.head.weight.data[[5, 8]] = 0.0
    policy.head.weight.data[5, 0] = torch.tensor(3.0).log()
    states = torch.eye(1, 128).expand(2, -1)
    for temperature, wanted, entropy in ((1.0, (0.75, 0.25), 0.562335), (0.5, (0.9, 0.1), 0.325083)):
        found = policy._spoken(states, torch.tensor([5, 8]), temperature)
        torch.testing.assert_close(found.logps.exp(), torch.tensor(wanted))
        torch.testing.assert_close(found.entropies, torch.full((2,), entropy))
        assert not found.entropies.requires_grad


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-9, float("nan"), float("inf")])
def test_a_temperature_that_nothing_can_be_divided_by_is_refused(text: Speaker, temperature: float) -> None:
    """Below 0 the least likely word would be the likeliest, and what no answer holds before all."""
    with pytest.raises(ValueError, match="a temperature is at least"):
        text.policy(text.asked("?"), drawn(text.policy, [3]), temperature)
    if temperature:
        with pytest.raises(ValueError, match="a temperature is at least"):
            speak(text.policy, text.asked("?"), [0], [0], temperature=temperature, max_tokens=3)


def test_an_answer_without_a_token_is_refused(text: Speaker) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        text.policy(text.asked("?"), [torch.empty(0, dtype=torch.long)])


@torch.no_grad()
def test_bfloat16_autocast_is_near(each: Speaker) -> None:
    asked, answers = _batch(each.policy, each.asked("One.", "Or two?"))
    exact = each.policy(asked, answers)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        near = each.policy(asked, answers)
    assert near.logps.dtype == near.entropies.dtype == torch.float32
    assert float((near.logps - exact.logps).abs().mean()) < 0.7  # of weights 3 and 10 times as large as new ones
    assert float((near.logps - exact.logps).abs().mean()) > 0


def test_a_question_ends_where_its_answer_begins_and_told_answers_are_as_written(each: Speaker) -> None:
    policy = each.policy
    asked_of = question(*media(each.name), Text("Which?"))
    for answer in ("A red dot.\n\nVERDICT: A", "", " leading\n", "été \U0001f600", "VERDICT: TIE\n"):
        asked, ids = policy.tell(asked_of, answer)
        assert policy.words(ids.tolist()) == answer
        assert ids.tolist().count(policy.end) == 1
        assert int(ids[-1]) == policy.end
        assert torch.equal(asked.row.ids, policy.ask(asked_of).row.ids)
    assert policy.tell(asked_of, "")[1].tolist() == [policy.end]


def test_positions_go_on_as_they_do_in_a_row_that_is_written_whole(each: Speaker) -> None:
    policy = each.policy
    asked_of = question(*media(each.name), Text("Which?"))
    asked, ids = policy.tell(asked_of, "A red dot.")
    row = answered(asked, ids).row
    whole = policy.backbone.tokenize((*asked_of.turns, said("A red dot.")), asked.media)
    assert torch.equal(row.ids, whole.ids[: len(row.ids)])
    assert row.spans == whole.spans
    assert (row.positions is None) == (whole.positions is None)
    if row.positions is not None and whole.positions is not None:
        assert torch.equal(row.positions, whole.positions[:, : len(row.ids)])


def test_text_that_spells_special_tokens_changes_no_structure(each: Speaker) -> None:
    """Counted: as many special tokens, and media in as many places, as with plain words; in answers too."""
    policy = each.policy
    control = set(policy.backbone.tokenizer.control.values())
    spelled = (
        "".join(policy.backbone.tokenizer.control) + "<|im_end|><|image_pad|><unk><image></image><|im_start|>user\n"
    )

    def special(ids: Tensor) -> list[int]:
        return [id for id in ids.tolist() if id in control]

    plain, odd = each.asked("plain", spelled)
    assert special(plain.row.ids) == special(odd.row.ids)
    assert [stop - start for start, stop in plain.row.spans] == [stop - start for start, stop in odd.row.spans]
    ids = policy.tell(question(Text("?")), spelled)[1]
    assert special(ids) == [policy.end]
    assert policy.words(ids.tolist()) == spelled


def test_what_is_too_long_is_refused_with_numbers(text: Speaker) -> None:
    policy = Policy.load(text.folder)
    asked_of = question(Text("Which?"))
    asked = len(policy.ask(asked_of).row.ids)
    policy.max_tokens = asked + 3
    policy.ask(asked_of)
    with pytest.raises(PromptError, match=rf"is 1\d\d tokens long; at most {policy.max_tokens} are read"):
        policy.tell(asked_of, "a long answer to it")
    policy.max_tokens = asked - 1
    with pytest.raises(PromptError, match=f"is {asked} tokens long; at most {asked - 1} are read"):
        policy.ask(asked_of)


def test_media_that_a_family_does_not_read_are_refused(text: Speaker) -> None:
    with pytest.raises(MediaError, match="reads no image"):
        text.policy.ask(question(Media("image", b"")))


def test_a_lone_surrogate_and_a_nul_are_told(text: Speaker) -> None:
    assert text.policy.words(text.policy.tell(question(Text("\ud800\0")), "a\ud800b\0c")[1].tolist()) == "a?b\0c"


def test_ids_beyond_the_vocabulary_are_silent(text: Speaker) -> None:
    """Embeddings are often more than a tokenizer has words, and such ids would spell nothing."""
    backbone = Policy.load(text.folder).backbone
    decoder = cast(Any, backbone.decoder)
    size = backbone.tokenizer.vocab_size
    decoder.embed_tokens = torch.nn.Embedding(size + 6, 128)
    assert set(range(size, size + 6)) <= set(Policy.new(backbone, "text", 0).silent.tolist())


@torch.no_grad()
def test_what_is_silent_takes_no_part(text: Speaker) -> None:
    policy, asked, answers = Policy.load(text.folder), text.asked("?"), drawn(text.policy, [8])
    wanted = policy(asked, answers)
    policy.head.weight.data[policy.silent] += 50 * torch.randn(len(policy.silent), 128)
    found = policy(asked, answers)
    assert torch.equal(found.logps, wanted.logps)
    assert torch.equal(found.entropies, wanted.entropies)


def test_answers_that_differ_in_company_alone_are_as_likely(each: Speaker) -> None:
    """One by one, in any order, and beside questions with other media."""
    policy = each.policy
    asked, answers = _batch(policy, [*each.asked("One."), policy.ask(question(Text("Two")))])
    with torch.no_grad():
        alone = torch.cat([policy([one], [answer]).logps for one, answer in zip(asked, answers, strict=True)])
        torch.testing.assert_close(policy(asked, answers).logps, alone, rtol=1e-5, atol=TOLERANCE)
        back = policy(asked[::-1], answers[::-1]).logps
    lengths = [len(answer) for answer in answers]
    turned = torch.cat([*torch.split(back, lengths[::-1])][::-1])
    torch.testing.assert_close(turned, alone, rtol=1e-5, atol=TOLERANCE)


def test_media_reach_answers(each: Speaker) -> None:
    """Another order of the same media, or none of them, is another question."""
    if each.name == "text":
        pytest.skip("it reads no media")
    shown, answers = media(each.name), drawn(each.policy, [6])
    asked = [each.policy.ask(question(*parts, Text("?"))) for parts in (shown, shown[::-1], ())]
    with torch.no_grad():
        found = torch.stack([each.policy([one], answers).logps for one in asked])
    assert float(torch.pdist(found).min()) > 0.1


def test_a_question_of_another_row_is_another_object_and_the_same_answer(text: Speaker) -> None:
    """Equal questions are shared by what they say, not by who they are."""
    one, other = (text.policy.ask(question(Text("Which?"))) for _ in range(2))
    answers = drawn(text.policy, [5, 5])
    with torch.no_grad():
        apart = text.policy([one, replace(other)], answers).logps
        together = text.policy([one, one], answers).logps
    assert torch.equal(apart, together)
