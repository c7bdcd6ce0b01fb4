"""What a policy writes: transformers' own words where nothing is drawn, its own distribution where they are."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests.speakers import FAMILIES, Oracle, Speaker, drawn, media, question, speaker
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from omnireward.backbones._text_tiny import tiny_files
from omnireward.backbones.text import load
from omnireward.encoded import Encoded
from omnireward.errors import PromptError
from omnireward.lora import Lora, linear_layers
from omnireward.policy import Policy
from omnireward.prompts import Answer
from omnireward.speaking import Said, answers, speak
from omnireward.train.tuning import checkpoint_layers
from omnireward.types import Text

TOLERANCE = 5e-5  # of a log-probability, in float32


@pytest.fixture(scope="module", params=FAMILIES)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    name = str(request.param)
    return speaker(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return speaker("text", tmp_path_factory.mktemp("text"))


@pytest.fixture(scope="module")
def ending(text: Speaker) -> Policy:
    """One that ends about one answer in five tokens."""
    policy = Policy.load(text.folder)
    with torch.no_grad():
        policy.head.weight.mul_(0.05)
        policy.head.weight[policy.end] = 0.3 * torch.randn(128, generator=torch.Generator().manual_seed(0))
    return policy


def _told(policy: Policy, asked: list[Encoded], said: list[Said], temperature: float) -> Tensor:
    """What `forward` says of what was written."""
    with torch.no_grad():
        return cast(Tensor, policy(asked, [torch.tensor(one.ids) for one in said], temperature).logps)


def _logps(said: list[Said]) -> Tensor:
    return torch.tensor([logp for one in said for logp in one.logps])


def test_without_chance_the_words_are_those_of_transformers(each: Speaker) -> None:
    """Token by token, of two questions together, one of which is longer."""
    policy = Policy.load(each.folder).requires_grad_(True)  # or media are not kept as towers read them
    shown = media(each.name)[: 1 if each.name == "qwen2_5_vl" else None]  # it counts a video's positions otherwise
    asked = [policy.ask(question(*shown, Text(text))) for text in ("One.", "Or rather two of them?")]
    said = speak(policy, asked, [0, 1], [0, 0], temperature=0, max_tokens=12)
    oracle = Oracle(each)
    assert [list(one.ids) for one in said] == [oracle.greedy(one, 12) for one in asked]
    assert len({*said[0].ids, *said[1].ids}) > 6
    torch.testing.assert_close(_logps(said), _told(policy, asked, said, 1.0), rtol=1e-5, atol=TOLERANCE)


def test_log_probabilities_of_writing_are_those_of_reading(each: Speaker) -> None:
    asked = [*each.asked("One.", "Or rather two of them?"), each.policy.ask(question(Text("None.")))]
    which = [2, 0, 1, 1, 0]
    said = speak(each.policy, asked, which, range(5), temperature=0.8, max_tokens=8)
    found = _told(each.policy, [asked[n] for n in which], said, 0.8)
    torch.testing.assert_close(_logps(said), found, rtol=1e-5, atol=TOLERANCE)
    assert len({one.ids for one in said}) == 5


def test_company_and_order_change_no_word(each: Speaker) -> None:
    """Six answers to three questions together, alone, and back to front."""
    asked = [*each.asked("One.", "Or rather two of them?"), each.policy.ask(question(Text("None.")))]
    which, seeds = [0, 0, 1, 1, 2, 2], [1, 2, 1, 2, 3, 4]
    how: dict[str, Any] = {"temperature": 1.0, "max_tokens": 8}
    together = [one.ids for one in speak(each.policy, asked, which, seeds, **how)]
    alone = [speak(each.policy, [asked[n]], [0], [seed], **how)[0].ids for n, seed in zip(which, seeds, strict=True)]
    back = [one.ids for one in speak(each.policy, asked[::-1], [2 - n for n in which[::-1]], seeds[::-1], **how)]
    assert together == alone == back[::-1]


def test_answers_that_end_leave_the_others_as_they_are(ending: Policy) -> None:
    asked = [ending.ask(question(Text(words))) for words in ("One.", "Or rather two of them?")]
    which = [n % 2 for n in range(24)]
    said = speak(ending, asked, which, range(24), temperature=1.0, max_tokens=12)
    lengths = Counter(len(one.ids) for one in said)
    assert len(lengths) > 5  # some ended at once, some late
    for number, one in enumerate(said):
        alone = speak(ending, asked, [which[number]], [number], temperature=1.0, max_tokens=12)[0]
        assert alone.ids == one.ids
        assert one.ended == (one.ids[-1] == ending.end) == (ending.end in one.ids)
        assert one.ids.count(ending.end) <= 1
        assert one.ended or len(one.ids) == 12
    assert {one.ended for one in said} == {True, False}
    torch.testing.assert_close(_logps(said), _told(ending, [asked[n] for n in which], said, 1.0), rtol=1e-5, atol=1e-4)


def test_the_first_word_follows_the_distribution(ending: Policy) -> None:
    """Chi-square of 4,000 draws with seeds 0 to 3,999 over words expected 5 times or more: under the 99.9 % point.

    Wilson and Hilferty's approximation of that point.
    """
    asked = [ending.ask(question(Text("One.")))]
    draws, temperature = 4_000, 1.3
    said = speak(ending, asked, [0] * draws, range(draws), temperature=temperature, max_tokens=1)
    with torch.no_grad():
        hidden = ending.backbone.hidden_states([asked[0].row], [[]])[0, -1]
        expected = draws * torch.softmax(ending.logits(hidden).double() / temperature, dim=-1)
    counts = Counter(one.ids[0] for one in said)
    often = [id for id, count in enumerate(expected.tolist()) if count >= 5]
    rest = (draws - sum(counts[id] for id in often), draws - float(expected[often].sum()))
    cells = [(counts[id], float(expected[id])) for id in often] + [rest] * (rest[1] >= 5)
    assert len(cells) > 20
    chi = sum((seen - wanted) ** 2 / wanted for seen, wanted in cells)
    free = len(cells) - 1
    assert chi < free * (1 - 2 / (9 * free) + 3.09 * math.sqrt(2 / (9 * free))) ** 3


def test_every_bit_of_a_seed_counts(ending: Policy) -> None:
    """Torch's own generator would read the lowest 32."""
    asked = [ending.ask(question(Text("One.")))]
    seeds = [1, 1 + 2**32, 1 + 2**62, 1 + 2**33, 1]
    said = speak(ending, asked, [0] * 5, seeds, temperature=1.0, max_tokens=12)
    assert len({one.ids for one in said}) == 4
    assert said[0] == said[4]


def test_what_is_silent_never_comes_out_however_much_the_head_wants_it(text: Speaker) -> None:
    policy = Policy.load(text.folder)
    with torch.no_grad():
        policy.head.weight[policy.silent] = 80 * torch.randn(len(policy.silent), 128)
    asked = [policy.ask(question(Text("One.")))]
    plain = text.asked("One.")
    silent = set(policy.silent.tolist())
    for temperature in (0.0, 0.2, 50.0):
        how: dict[str, Any] = {"temperature": temperature, "max_tokens": 24}
        said = speak(policy, asked, [0] * 8, range(8), **how)
        assert not silent & {id for one in said for id in one.ids}
        assert len({one.ids for one in said}) == (8 if temperature else 1)
    assert [one.ids for one in speak(text.policy, plain, [0] * 3, range(3), temperature=0.5, max_tokens=9)] == [
        one.ids for one in speak(policy, text.asked("One."), [0] * 3, range(3), temperature=0.5, max_tokens=9)
    ]


@pytest.mark.parametrize("most", [1, 2, 7])
def test_answers_are_cut_off_at_the_most_tokens(text: Speaker, most: int) -> None:
    said = speak(text.policy, text.asked("One."), [0, 0], [0, 1], temperature=1.0, max_tokens=most)
    assert [len(one.ids) for one in said] == [len(one.logps) for one in said] == [most, most]
    assert not any(one.ended for one in said)


def test_an_answer_may_end_at_once_and_at_the_last_token(text: Speaker) -> None:
    policy = Policy.load(text.folder)
    asked = [policy.ask(question(Text("One.")))]
    written = speak(policy, asked, [0], [0], temperature=0, max_tokens=4)[0].ids
    policy.ends = (written[3],)
    last = speak(policy, asked, [0], [0], temperature=0, max_tokens=4)[0]
    assert (last.ids, last.ended) == (written, True)
    policy.ends = (written[0],)
    assert speak(policy, asked, [0], [0], temperature=0, max_tokens=4)[0].ids == written[:1]


def test_a_question_that_is_too_long_is_refused_with_numbers(text: Speaker) -> None:
    asked = text.asked("One.")
    most, tokens = text.policy.most, len(asked[0].row.ids)
    with pytest.raises(PromptError, match=rf"a question of {tokens} tokens and an answer of up to {most:,} are more"):
        speak(text.policy, asked, [0], [0], temperature=0, max_tokens=most)


def test_no_answers_are_none(text: Speaker) -> None:
    assert speak(text.policy, text.asked("One."), [], [], temperature=1.0, max_tokens=3) == []
    assert answers(text.policy, [], temperature=0, seeds=[], max_tokens=3) == []
    assert answers(text.policy, [], temperature=0, seeds=[], max_tokens=3, letter=True) == []


def test_writing_in_training_changes_nothing_and_leaves_nothing_behind(text: Speaker) -> None:
    """With layers that are computed again, and with adapters whose dropout would draw other words."""
    policy = Policy.load(text.folder)
    layers = tuple(name for name in linear_layers(policy.backbone) if name.endswith("_proj"))
    Lora(2, 4.0, 0.9, layers).inject(policy.backbone)
    for name, weight in policy.backbone.named_parameters():
        if ".lora_B." in name:
            weight.data.normal_(generator=torch.Generator().manual_seed(0))
    asked = [policy.ask(question(Text("One.")))]
    how: dict[str, Any] = {"temperature": 1.0, "max_tokens": 9}
    policy.eval()
    wanted = speak(policy, asked, [0, 0], [1, 2], **how)
    policy.train()
    policy.backbone.decoder.get_submodule("norm").eval()  # a part that somebody froze
    checkpoint_layers(policy.backbone)
    before = {name: module.training for name, module in policy.named_modules()}
    state = torch.get_rng_state()
    assert [one.ids for one in speak(policy, asked, [0, 0], [1, 2], **how)] == [one.ids for one in wanted]
    assert {name: module.training for name, module in policy.named_modules()} == before
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(weight.grad is not None for weight in policy.parameters())
    assert torch.is_grad_enabled()


def test_bfloat16_autocast_writes_what_it_reads(each: Speaker) -> None:
    """Both round as they go, so log-probabilities are near, not equal."""
    asked = each.asked("One.", "Or two?")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        said = speak(each.policy, asked, [0, 1, 1], [0, 1, 2], temperature=1.0, max_tokens=6)
        found = _told(each.policy, [asked[n] for n in (0, 1, 1)], said, 1.0)
    assert float((_logps(said) - found).abs().mean()) < 0.7


def test_answers_in_words(ending: Policy) -> None:
    asked = [ending.ask(question(Text(words))) for words in ("One.", "Two.", "One.", "Two.")]
    found = answers(ending, asked, temperature=1.0, seeds=[3, 4, 5, 6], max_tokens=6)
    said = speak(ending, asked, range(4), [3, 4, 5, 6], temperature=1.0, max_tokens=6)
    assert found == [Answer(ending.words(one.ids), cut_off=not one.ended) for one in said]
    assert {answer.cut_off for answer in found} == {True, False}


def test_a_letter_has_its_probability_and_that_of_what_else_could_stand_there(text: Speaker) -> None:
    """Two words that read the same count together. The oracle's softmax, in float64."""
    asked = text.asked("One.", "Or rather two of them?")
    found = answers(text.policy, asked, temperature=0, seeds=[0, 0], max_tokens=1, letter=True)
    oracle = Oracle(text)
    for one, answer in zip(asked, found, strict=True):
        with torch.no_grad():
            every = oracle.every(one, torch.tensor([text.policy.end]), 1.0)[0]
        wanted: dict[str, float] = {}
        for value, id in zip(*(each.tolist() for each in every.topk(20)), strict=True):
            word = text.policy.words([id])
            wanted[word] = wanted.get(word, 0.0) + math.exp(value)
        assert answer.first_token is not None
        assert {word: math.exp(value) for word, value in answer.first_token.items()} == pytest.approx(wanted, rel=1e-4)
        assert answer.text == text.policy.words([int(every.argmax())])


SHAPES: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": 24},
    "gemma2": {"sliding_window": 24, "query_pre_attn_scalar": 16, "final_logit_softcapping": 9.0},
    "gemma3_text": {"sliding_window": 24, "query_pre_attn_scalar": 16, "layer_types": ["sliding_attention"] * 2},
    "qwen3": {},
    "phi3": {"sliding_window": 24},
    "olmo2": {},
}


@pytest.mark.parametrize("kind", SHAPES)
def test_other_architectures_of_text_write_what_transformers_writes(kind: str, tmp_path: Path) -> None:
    """With windows of attention shorter than the question, capped logits, and embeddings that are the head."""
    files = tiny_files(["Which answer is better? A red dot on a white sheet."] * 20)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    size = 2 + max(json.loads(files["tokenizer.json"])["model"]["vocab"].values()) + 3
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": size, "max_position_embeddings": 512}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(kind, **sizes | special | SHAPES[kind])
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    for weight in model.parameters():
        weight.data.mul_(3.0)
    model.save_pretrained(tmp_path)
    policy = Policy.load(tmp_path)
    assert type(policy.backbone) is type(load(tmp_path))
    asked = [policy.ask(question(Text(words))) for words in ("One.", "Or rather two of them?")]
    assert min(len(one.row.ids) for one in asked) > 24
    said = speak(policy, asked, [0, 1, 0], [0, 0, 0], temperature=0, max_tokens=10)
    silent, end = policy.silent.tolist(), policy.end
    for one, written in zip([asked[0], asked[1], asked[0]], said, strict=True):
        ids = one.row.ids[None]
        told = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=10,
            suppress_tokens=silent,
            eos_token_id=end,
            pad_token_id=end,
        )
        assert list(written.ids) == told[0, ids.shape[1] :].tolist()
        with torch.no_grad():
            logits = model(torch.cat((ids, torch.tensor([written.ids])), dim=1)).logits[0].double()
        logits[:, silent] = -torch.inf
        wanted = torch.log_softmax(logits, -1)[ids.shape[1] - 1 : -1]
        wanted = wanted.gather(-1, torch.tensor(written.ids).unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(torch.tensor(written.logps).double(), wanted, rtol=1e-5, atol=TOLERANCE)
        found = _told(policy, [one], [written], 1.0)
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=TOLERANCE)
    assert len({id for one in said for id in one.ids}) > 2
    draws = drawn(policy, [5, 9])
    with torch.no_grad():
        packed = policy(asked, draws).logps
        policy.packing = False
        torch.testing.assert_close(policy(asked, draws).logps, packed, rtol=1e-5, atol=TOLERANCE)
