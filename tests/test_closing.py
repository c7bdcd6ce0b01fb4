"""Where an answer begins and ends in chat formats of several shapes, told from what they write around an empty one."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from tests.backbones.test_text import CHATML, FORMATS, SMALL, WORDS
from tests.speakers import FORM
from tokenizers import Tokenizer, models, normalizers, trainers
from transformers import AutoConfig, AutoModel

from omnireward.backbones._text_template import SETTINGS, TEMPLATE, TOKENIZER
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.text import TextModel
from omnireward.closing import Closing, said
from omnireward.errors import CheckpointError, PromptError
from omnireward.policy import Policy, answered
from omnireward.prompts import Question
from omnireward.types import Text, Turn

PHI = """\
{%- for m in messages -%}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{%- endfor -%}
{%- if not add_generation_prompt -%}{{ eos_token }}{%- endif -%}
"""
MISTRAL = """\
{{- bos_token -}}
{%- for m in messages -%}
{%- if m.role == 'user' -%}{{ '[INST] ' + m.content + ' [/INST]' }}
{%- elif m.role == 'system' -%}{{ raise_exception('no system turn here') }}
{%- else -%}{{ ' ' + m.content + eos_token }}{%- endif -%}
{%- endfor -%}
"""


def _pieces(*special: str, falls_back: bool = True) -> str:
    """SentencePiece's kind: blanks as bars that words begin with, bytes where the vocabulary ends, or nothing."""
    made = Tokenizer(models.BPE(byte_fallback=falls_back, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bytes_ = [f"<0x{n:02X}>" for n in range(256)] if falls_back else []
    words = [word for line in WORDS for word in [*line.split(), "A", "b"]]  # a bar is put before each
    trainer = trainers.BpeTrainer(special_tokens=["<unk>", *special, *bytes_], show_progress=False)
    made.train_from_iterator(words * 10, trainer)
    told = json.loads(made.to_str())
    told["added_tokens"] = [token for token in told["added_tokens"] if not token["content"].startswith("<0x")]
    return json.dumps(told)


SHAPES: dict[str, tuple[str, str, dict[str, str]]] = {
    **FORMATS,
    "phi": (
        PHI,
        train_tokenizer(WORDS * 10, ("<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")),
        {"eos_token": "<|endoftext|>"},
    ),
    "mistral": (MISTRAL, _pieces("<s>", "</s>"), {"bos_token": "<s>", "eos_token": "</s>"}),
}
ENDS = {"llama": "<|eot_id|>", "gemma": "<end_of_turn>", "phi": "<|end|>", "mistral": "</s>"}  # others: ChatML's
ASKED = Question(FORM, (Turn("user", (Text("Tell me about tea."),)),), ())


def _model(template: str, tokenizer: str, special: dict[str, str]) -> TextModel:
    files = {TOKENIZER: tokenizer, TEMPLATE: template, SETTINGS: json.dumps(special)}
    config: Any = AutoConfig.for_model("llama", **SMALL | {"vocab_size": 900})
    return TextModel(AutoModel.from_config(config), files)  # type: ignore[no-untyped-call]


@pytest.fixture(params=SHAPES)
def policy(request: pytest.FixtureRequest) -> Policy:
    made = Policy.new(_model(*SHAPES[request.param]), "text", 0)
    assert made.end == made.backbone.tokenizer.control[ENDS.get(request.param, "<|im_end|>")]
    return made


@pytest.mark.parametrize("answer", ["It grows.", "", "\n\nIt grows", " It ", "tea \U0001f600 \n"])
def test_question_and_answer_are_what_the_format_writes_for_both(policy: Policy, answer: str) -> None:
    """Blanks at the edges are the format's: some trim them, and some let them grow together with the header."""
    asked, ids = policy.tell(ASKED, answer)
    assert int(ids[-1]) == policy.end
    assert not set(ids[:-1].tolist()) & set(policy.backbone.tokenizer.control.values())
    assert policy.words(ids.tolist()).strip() == answer.strip()
    row = answered(asked, ids).row.ids
    wholes = [policy.backbone.tokenize((*ASKED.turns, said(text)), ()).ids for text in (answer, answer.lstrip())]
    assert any(torch.equal(row, policy.closing.without(whole)) for whole in wholes)


def test_a_question_ends_behind_the_header_whatever_the_answer_begins_with(policy: Policy) -> None:
    """Else the model would go on from a blank that no answer in training has behind it."""
    asked = policy.ask(ASKED).row.ids
    for answer in ("A", "The red one", "1", "été", "{}"):
        whole = policy.backbone.tokenize((*ASKED.turns, said(answer)), ()).ids
        assert torch.equal(whole[: len(asked)], asked)
    assert policy.end not in asked[-2:].tolist()


def test_a_format_that_ends_answers_with_no_special_token_is_refused() -> None:
    plain = "{%- for m in messages -%}{{ m.role + ': ' + m.content + '\\n' }}{%- endfor -%}"
    with pytest.raises(CheckpointError, match="ends an answer with no special token"):
        Closing.of(_model(plain, FORMATS["chatml"][1], {}))


def test_a_row_that_does_not_end_so_is_refused() -> None:
    closing = Closing(end=7, before=1, after=1)
    assert closing.without(torch.tensor([1, 2, 7, 9])).tolist() == [1, 2, 7]
    assert closing.begin(torch.tensor([1, 2, 7, 9])) == 1
    for ids in ([1, 2, 3, 9], [7, 9], [9], []):
        with pytest.raises(PromptError, match="without the token that ends an answer"):
            closing.without(torch.tensor(ids, dtype=torch.long))


def test_an_answer_that_the_vocabulary_cannot_spell_is_refused() -> None:
    """A vocabulary without bytes reads a strange character as unknown, which no answer may hold."""
    special = ("<|im_start|>", "<|im_end|>")
    policy = Policy.new(_model(CHATML, _pieces(*special, falls_back=False), {}), "text", 0)
    assert policy.tell(ASKED, "tea")[1].tolist()[-1] == policy.end
    with pytest.raises(PromptError, match="the vocabulary has no tokens for all that the answer 'tea "):
        policy.tell(ASKED, "tea \U0001f600")
