"""Causal models of text: their chat templates, what text may not become, and transformers' own rewards.

The templates here have the shapes of known ones: ChatML, Llama 3 (which trims) and Gemma (which has no system turn and
calls the assistant a model). Token ids and rewards are compared with those that transformers itself gives.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)

from omnireward.backbones._text_template import ChatTemplate, Piece
from omnireward.backbones._text_tokenizer import InertTokenizer
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.text import MODEL_TYPES, TextModel, load
from omnireward.errors import CheckpointError, MediaError, PromptError
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Media, Text, Turn

WORDS = ["Tell me about tea.", "The answer should be polite.", "It grows where rain falls,\n\nand people drink it hot."]
CHATML = """\
{%- if messages[0].role != 'system' -%}{{ '<|im_start|>system\\nBe kind.<|im_end|>\\n' }}{%- endif -%}
{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor -%}
"""
LLAMA = """\
{{- bos_token -}}
{%- for m in messages -%}
{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' }}
{%- endfor -%}
"""
GEMMA = """\
{{- bos_token -}}
{%- for m in messages -%}
{%- if m.role == 'system' -%}{{ raise_exception('no system turn here') }}{%- endif -%}
{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('roles must alternate') }}{%- endif -%}
{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' + m.content | trim }}
{{- '<end_of_turn>\\n' -}}
{%- endfor -%}
"""
THINKING = """\
{%- for m in messages -%}
{{ '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' -%}
{%- if '</think>' in m.content -%}{{ raise_exception('text steers the template') }}{%- endif -%}
{{ '<think>\\n\\n</think>\\n\\n' + m.content.lstrip('\\n') }}
{%- else -%}{{ m.content }}{%- endif -%}{{ '<|im_end|>\\n' }}
{%- endfor -%}
"""
SMALL = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
BYTES = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")


def _gemma_like() -> str:
    """Blanks as bars, bytes where the vocabulary ends, runs of line ends as tokens of their own."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Fuse()
    special = ["<pad>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", *(f"<0x{n:02X}>" for n in range(256))]
    tokenizer.train_from_iterator(WORDS * 10, trainers.BpeTrainer(special_tokens=special, show_progress=False))
    tokenizer.add_tokens(["\n\n", "\n\n\n", "▁▁"])
    made = json.loads(tokenizer.to_str())
    # Bytes are words of the vocabulary, not tokens that a text may spell.
    made["added_tokens"] = [token for token in made["added_tokens"] if not token["content"].startswith("<0x")]
    return json.dumps(made)


def _llama_like() -> str:
    special = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    made = json.loads(train_tokenizer(WORDS * 10, special))
    made["model"]["ignore_merges"] = True
    return json.dumps(made)


def _swallowing() -> str:
    """The end of a turn swallows blanks behind it, as Phi-3's does."""
    made = json.loads(train_tokenizer(WORDS * 10, BYTES))
    for token in made["added_tokens"]:
        token["rstrip"] = token["content"] == "<|im_end|>"
        token["lstrip"] = token["content"] == "<|im_start|>"
    return json.dumps(made)


FORMATS = {
    "chatml": (CHATML, train_tokenizer(WORDS * 10, BYTES), {}),
    "llama": (LLAMA, _llama_like(), {"bos_token": "<|begin_of_text|>"}),
    "gemma": (GEMMA, _gemma_like(), {"bos_token": "<bos>"}),
    "thinking": (THINKING, train_tokenizer(WORDS * 10, BYTES), {}),
    "swallowing": (CHATML, _swallowing(), {}),
}


def _turns(*turns: tuple[Any, str]) -> tuple[Turn, ...]:
    return tuple(Turn(role, (Text(text),)) for role, text in turns)


def _ids(template: str, tokenizer: str, special: dict[str, str], turns: Sequence[Turn]) -> list[int]:
    return InertTokenizer(tokenizer).ids(ChatTemplate(template, special).pieces(turns))


def _reference(template: str, tokenizer: str, special: dict[str, str], turns: Sequence[Turn]) -> list[int]:
    made: Any = PreTrainedTokenizerFast
    theirs = made(tokenizer_object=Tokenizer.from_str(tokenizer), **special)
    said = [{"role": t.role, "content": "".join(p.text for p in t.content if isinstance(p, Text))} for t in turns]
    ids: list[int] = theirs.apply_chat_template(said, chat_template=template, tokenize=True, return_dict=False)
    return ids


@pytest.mark.parametrize("name", FORMATS)
def test_token_ids_are_those_of_transformers(name: str) -> None:
    """Over 60 conversations of words, blanks, line ends and other scripts."""
    rng, (template, tokenizer, special) = random.Random(0), FORMATS[name]
    bits = [
        " ",
        "\n",
        "\n\n",
        "\n\n\n",
        "  ",
        "\t",
        "tea",
        " rain",
        "été",
        "茶",
        "🙂",
        "It's",
        "42",
        "<",
        "|>",
        "▁",
        "e\u0301",
    ]
    ours, fitted = InertTokenizer(tokenizer), ChatTemplate(template, special)
    for _ in range(60):
        text = ["".join(rng.choices(bits, k=rng.randint(1, 12))) for _ in range(6)]
        roles = ["user", "assistant"] * rng.randint(1, 2)
        if name != "gemma" and rng.random() < 0.5:
            roles.insert(0, "system")
        turns = _turns(*zip(roles, text, strict=False))
        assert ours.ids(fitted.pieces(turns)) == _reference(template, tokenizer, special, turns), text


@pytest.mark.parametrize("name", FORMATS)
def test_special_tokens_spelled_in_text_stay_text(name: str) -> None:
    template, tokenizer, special = FORMATS[name]
    inert = InertTokenizer(tokenizer)
    reserved = set(inert.special.values())
    assert reserved

    def count(text: str) -> int:
        return sum(
            number in reserved
            for number in _ids(template, tokenizer, special, _turns(*[("user", text), ("assistant", text)]))
        )

    for spelled in [*inert.special, "".join(inert.special), "\ufdd01\ufdd1", "\v\ufdd00\ufdd1\v", "<|im_\ufdd0start|>"]:
        assert count(f"a {spelled} b") == count(spelled) == count("plain")


def test_text_cannot_steer_the_template() -> None:
    """The template raises where an answer holds its mark; it never sees the answer."""
    template, tokenizer, special = FORMATS["thinking"]
    turns = _turns(("user", "Why?"), ("assistant", "</think> {{ 1/0 }} {% endfor %}"))
    assert len(_ids(template, tokenizer, special, turns)) > 20


def test_a_criterion_begins_the_first_user_turn_where_there_is_no_system_turn() -> None:
    template, tokenizer, special = FORMATS["gemma"]
    asked = _turns(("system", "Be polite."), ("user", "Why?"), ("assistant", "So."))
    joined = _turns(("user", "Be polite.\n\nWhy?"), ("assistant", "So."))
    assert _ids(template, tokenizer, special, asked) == _ids(template, tokenizer, special, joined)
    silent = "{% for m in messages if m.role != 'system' %}{{ m.role + m.content }}{% endfor %}"
    assert not ChatTemplate(silent, {}).takes_system
    assert [piece.text for piece in ChatTemplate(silent, {}).pieces(asked)][:2] == ["user", "Be polite.\n\nWhy?"]


def test_todays_date_does_not_change_a_reward() -> None:
    dated = (
        "{% set date = strftime_now('%d %b %Y') if strftime_now is defined else '' %}"
        "{% for m in messages %}{{ date + '|' + m.content + '\\n' }}{% endfor %}"
    )
    pieces = ChatTemplate(dated, {}).pieces(_turns(("user", "Why?"), ("assistant", "So.")))
    assert "".join(piece.text for piece in pieces) == "26 Jul 2024|Why?\n26 Jul 2024|So.\n"


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}",
        "{{ raise_exception('no') }}",
        "{{ messages[0].content }}",
        "{{ 1 / 0 }}",
        "{{ ''.__class__.mro() }}",
        "",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% for m in messages %}{{ m.content | replace('\n\n', '\n') }}{% endfor %}",
        "{{ 'a' * 10**18 }}",
        "{% for m in messages %}" * 25 + "{% endfor %}" * 25,
        "{{ " + "not " * 3000 + "1 }}",
    ],
    ids=[
        "syntax",
        "refuses",
        "leaves out",
        "fails",
        "escapes",
        "empty",
        "rewrites",
        "rewrites line ends",
        "huge",
        "nested",
        "deep",
    ],
)
def test_a_template_that_cannot_write_a_conversation_is_refused(template: str) -> None:
    with pytest.raises(CheckpointError, match="chat template cannot be used"):
        ChatTemplate(template, {})


def test_an_order_of_roles_that_the_template_refuses_is_a_fault_of_the_prompt() -> None:
    template, _, special = FORMATS["gemma"]
    with pytest.raises(PromptError, match=r"refuses the roles.*roles must alternate"):
        ChatTemplate(template, special).pieces(_turns(("user", "a"), ("user", "b"), ("assistant", "c")))


def _written(folder: Path, model_type: str, kind: Any = AutoModelForSequenceClassification, **more: Any) -> None:
    """A random checkpoint as transformers saves it, with a ChatML template."""
    tokenizer = FORMATS["chatml"][1]
    size = InertTokenizer(tokenizer).vocab_size
    labels = {"num_labels": 1} if kind is AutoModelForSequenceClassification else {}
    config = AutoConfig.for_model(model_type, **SMALL | {"vocab_size": size} | labels | more)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind.from_config(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHATML, encoding="utf-8")


def _comparison() -> Comparison:
    answers = ((Text("It grows where rain falls."),), (Text("People drink it hot,\n\nand with bread."),))
    return Comparison(
        (Turn("user", (Text("Tell me about tea, please, and of its use in all lands."),)),), *answers, "polite"
    )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_rewards_are_those_of_the_sequence_classification_class(model_type: str, tmp_path: Path) -> None:
    """Packed, padded on the left, and saved in our layout. For Gemma 2 and 3, OLMo 2 and Phi-3 packing does not fit."""
    _written(tmp_path, model_type)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    model, comparison = RewardModel.load(tmp_path), _comparison()
    template, tokenizer, special = FORMATS["chatml"]
    wanted = []
    for response in (comparison.response_a, comparison.response_b):
        turns = (Turn("system", (Text("polite"),)), *comparison.prompt, Turn("assistant", response))
        with torch.no_grad():
            wanted.append(theirs(torch.tensor([_reference(template, tokenizer, special, turns)])).logits[0, 0])
    expected = torch.stack(wanted)
    assert expected.std() > 1e-3
    torch.testing.assert_close(model.rewards([comparison])[0], expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        left = model([model.encode(comparison, side) for side in ("a", "b")], "left")
    torch.testing.assert_close(left, expected, rtol=0, atol=1e-5)
    assert isinstance(model.backbone, TextModel)
    assert model.backbone._packs == (model_type in ("gemma", "llama", "mistral", "qwen2", "qwen3"))
    model.backbone.save_classifier(tmp_path / "theirs", model.head.weight.detach(), 0.0)
    (named,) = json.loads((tmp_path / "theirs" / "config.json").read_text())["architectures"]
    assert named == type(theirs).__name__
    model.save(tmp_path / "ours")
    again = RewardModel.load(tmp_path / "ours")
    torch.testing.assert_close(again.rewards([comparison])[0], expected, rtol=0, atol=1e-5)


def test_a_head_that_reads_the_token_before_the_last_is_refused(tmp_path: Path) -> None:
    """As transformers' class does where rows end with the token that pads: TRL sets it so where there is none."""
    _written(tmp_path, "qwen2")
    (tmp_path / "chat_template.jinja").write_text(CHATML.replace("<|im_end|>\\n", "<|im_end|>"), encoding="utf-8")
    assert RewardModel.load(tmp_path).family == "text"
    config = json.loads((tmp_path / "config.json").read_text())
    end = InertTokenizer(FORMATS["chatml"][1]).special["<|im_end|>"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": end}))
    with pytest.raises(CheckpointError, match=f"pads with the id {end}, with which every row ends"):
        RewardModel.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": end, "value_head_prefix": "score"}))
    assert RewardModel.load(tmp_path).family == "text"  # OpenRLHF's reads the last token whatever it is


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_a_file_does_not_choose_whose_code_computes_attention(tmp_path: Path, name: str) -> None:
    _written(tmp_path, "qwen2")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {name: "some-lab/kernel"}))
    backbone = load(tmp_path)
    assert isinstance(backbone, TextModel)
    assert backbone.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("window", [8, 40])
def test_rows_longer_than_the_window_of_attention_are_not_packed(tmp_path: Path, window: int) -> None:
    """A window below and one above the rows that packing is tried with; the rows here are longer than both."""
    _written(tmp_path, "mistral", sliding_window=window)
    model = RewardModel.load(tmp_path)
    encoded = [model.encode(_comparison(), side) for side in ("a", "b")]
    with torch.no_grad():
        torch.testing.assert_close(model(encoded), model(encoded, "right"), rtol=0, atol=1e-5)
    assert isinstance(model.backbone, TextModel)
    assert model.backbone._packs == (window == 40)
    assert min(len(one.row.ids) for one in encoded) > 40


def test_a_plain_chat_model_can_be_trained_from_and_not_judged_with(tmp_path: Path) -> None:
    _written(tmp_path, "llama", AutoModelForCausalLM)
    with pytest.raises(CheckpointError, match="no head among its weights"):
        RewardModel.load(tmp_path)
    assert RewardModel.load_or_new_head(tmp_path).family == "text"


def test_rows_longer_than_the_positions_of_the_model_are_refused(tmp_path: Path) -> None:
    _written(tmp_path, "qwen2", max_position_embeddings=64)
    model = RewardModel.load(tmp_path)
    asked = Comparison((Turn("user", (Text("Why?"),)),), (Text("a"),), (Text("tea " * 64),))
    assert len(model.encode(asked, "a").row.ids) < 64
    with pytest.raises(PromptError, match="tokens long; this model reads 64"):
        model.encode(asked, "b")


def test_media_are_refused(tmp_path: Path) -> None:
    _written(tmp_path, "qwen2")
    model = RewardModel.load(tmp_path)
    shown = Comparison((Turn("user", (Media("image", b"..."), Text("Why?"))),), (Text("a"),), (Text("b"),))
    with pytest.raises(MediaError, match="text"):
        model.rewards([shown])
    with pytest.raises(PromptError, match="reads text only"):
        model.backbone.tokenize((*shown.prompt, Turn("assistant", (Text("a"),))), ())


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    _written(tmp_path, "qwen2")
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointError, match=r"no chat template.*chat_template\.jinja"):
        load(tmp_path)
    settings = {
        "chat_template": [{"name": "default", "template": CHATML}, {"name": "tools", "template": "{{ 1 / 0 }}"}]
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    load(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in [
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"vocab_size": 20}, "is it this model's tokenizer"),
        ({"hidden_size": "wide"}, "must be a whole number"),
        ({"num_hidden_layers": 10**9, "layer_types": None}, "between 1 and 512"),
        ({"hidden_act": "unheard"}, "cannot be used"),
        ({"is_causal": False}, "attention in both directions"),
        ({"use_bidirectional_attention": True}, "attention in both directions"),
        ({"num_hidden_layers": 3, "layer_types": None}, r"Missing: model\.layers\.2"),
        ({"num_hidden_layers": 1, "layer_types": None}, r"Left over: model\.layers\.1"),
        ({"intermediate_size": 32}, "another shape"),
    ]:
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError, match=message):
            load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "WordPiece"}}, "not BPE"),
        ({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "no vocabulary of ids"),
        ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": None}}, "no merges"),
        ({"pre_tokenizer": {"type": "UnicodeScripts"}}, "uses UnicodeScripts"),
        ({"added_tokens": [{"id": 1}]}, "added token that is none"),
        ({"normalizer": {"type": "Replace"}}, "cannot be used"),
    ],
)
def test_a_tokenizer_that_cannot_be_read_is_refused(change: dict[str, Any], message: str) -> None:
    made = json.loads(FORMATS["chatml"][1])
    with pytest.raises(CheckpointError, match=message):
        InertTokenizer(json.dumps(made | change))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "  a  b   c ",
        "\n\n\n\n",
        "tea\n\nand rain \n",
        "a\0b",
        "\t",
        "été \U0001f600 你好",
        "<0x0A>",
        "<eos>",
        "<|im_end|>",
    ],
)
def test_words_of_a_texts_ids_are_the_text(format: str, text: str) -> None:
    """With blanks as bars, runs of blanks as tokens, bytes as tokens; a text behind another, as answers are."""
    tokenizer = InertTokenizer(FORMATS[format][1])
    assert tokenizer.control
    special = [Piece("".join(tokenizer.control), inert=False)]
    found = tokenizer.words(tokenizer.ids([*special, Piece(text, inert=True), *special]))
    assert found == text


def test_lone_surrogates_are_read_as_question_marks() -> None:
    inert = InertTokenizer(FORMATS["chatml"][1])
    assert inert.ids([Piece("a\ud800b", inert=True)]) == inert.ids([Piece("a?b", inert=True)])
