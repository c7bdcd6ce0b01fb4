"""A judge that writes: an omni-modal backbone with its vocabulary head (the paper's R1, section 4.3).

It is what GRPO trains and what `generative:FOLDER` judges with. Unusual: all families and all modalities go one way,
the backbones' own. Media are encoded once, and what questions and the answers to them share is computed once, for
log-probabilities (see packing) as for writing (see speaking). Tokens that are no words, such as the places of media,
have probability 0: here in training and there in writing, so both speak of one distribution.

A folder holds the family's published layout with the vocabulary head, so other programs read it too, and a record of
the form that the judge was trained to answer in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as short
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from omnireward import __version__
from omnireward.atomic import published
from omnireward.backbones import Prepared, Row
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.backbones._weights import dumps
from omnireward.checkpoint import HOLDS as HOLDS
from omnireward.checkpoint import JUDGE as JUDGE
from omnireward.checkpoint import check_tokenizer, check_weights, load_backbone, tokenizer_digest, weight_digests
from omnireward.checkpoint_json import read_json
from omnireward.closing import Closing, said
from omnireward.conversation_model import ConversationModel
from omnireward.encoded import Encoded, keys_of
from omnireward.errors import CheckpointError, PromptError
from omnireward.feature_store import default_store
from omnireward.hub import find
from omnireward.judge_files import HEAD, check_head, read_beside, recorded_form
from omnireward.on_base import base_of, is_on_base, load_on_base
from omnireward.packing import in_common, plan
from omnireward.prompts import Form, Question
from omnireward.reward_model import RECORD, STALE
from omnireward.types import Turn
from omnireward.vocabulary_head import apart, digest, head_of, is_tied, name_for, softcap_of

LAST = "generation_config.json"
_NEVER = -1e30  # a logit that no temperature brings back, and that stays finite
_COLDEST = 1e-6  # temperature that it stays finite at
_CHUNK = 2**26  # logits that are held at once; of others, the states alone are kept for the backward pass


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a policy thinks of answers, token by token, one answer behind the other.

    Attributes:
        logps: (tokens,) float32, the log-probability of each token, its end included.
        entropies: (tokens,) float32 in nats, of what could have stood there; without gradients.
    """

    logps: Tensor
    entropies: Tensor


class Policy(ConversationModel):
    """A backbone and its vocabulary head.

    Attributes:
        form: in which form it was trained to answer; None: nobody said.
        ends: ids of tokens that end an answer.
        silent: (n,) int64, ids that no answer holds: special tokens that do not end one, and ids that spell nothing.
    """

    HEAD_IS_NEW = False
    backbone: DecoderBackbone

    def __init__(self, backbone: DecoderBackbone, family: str, head: nn.Linear, form: Form | None = None) -> None:
        super().__init__(backbone, family)
        self.head, self.form = head, form
        self._softcap = softcap_of(backbone)
        self._beside: dict[str, bytes] = {}
        self._head_digest = ""  # of an untied one, as its file has it
        self.closing = Closing.of(backbone)
        self.end = self.closing.end
        self.ends: tuple[int, ...] = (self.end,)
        self.silent: Tensor
        size = head.weight.shape[0]
        none = {*backbone.tokenizer.control.values(), *range(backbone.tokenizer.vocab_size, size)} - {self.end}
        silent = torch.tensor(sorted(id for id in none if 0 <= id < size), dtype=torch.long)
        self.register_buffer("silent", silent, persistent=False)

    @classmethod
    def new(cls, backbone: DecoderBackbone, family: str, seed: int, form: Form | None = None) -> Policy:
        """A policy with a head of random weights: for tiny models, which know nothing yet."""
        embeddings: Tensor = cast(Any, backbone.decoder).embed_tokens.weight
        head = nn.Linear(backbone.hidden_size, embeddings.shape[0], bias=False)
        nn.init.normal_(head.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
        return cls(backbone, family, head, form)

    @property
    def most(self) -> int:
        """Tokens of a question with its answer that the decoder was made for."""
        return int(getattr(cast(Any, self.backbone.decoder).config, "max_position_embeddings", self.max_tokens))

    # Questions and answers as rows -----------------------------------------------------------------------------------

    def ask(self, question: Question) -> Encoded:
        """A question as a row that ends where its answer begins. Decodes media. Raises MediaError, PromptError."""
        return self.ask_turns(question.turns)

    def ask_turns(self, turns: Sequence[Turn]) -> Encoded:
        """Likewise for turns, the last of which is the user's."""
        return self.encoded(turns, self._asked)

    def tell(self, question: Question, answer: str) -> tuple[Encoded, Tensor]:
        """A question, and the ids of an answer to it up to and with its end, as the chat format writes them.

        Blanks that an answer begins with are left out where they would grow together with what stands before them.

        Raises:
            MediaError: of the question.
            PromptError: of the question too; the answer is too long, or holds what the vocabulary cannot spell.
        """
        asked = self.ask(question)
        for text in (answer, answer.lstrip()):
            row = self.backbone.tokenize((*question.turns, said(text)), asked.media)
            whole, begin = self.closing.without(row.ids), len(asked.row.ids)
            if in_common(asked.row.ids.numpy(), whole.numpy()) == begin:
                break
        else:
            raise PromptError(f"the chat format writes the answer {short(answer)} into what stands before it.")
        most = min(self.max_tokens, self.most)
        if len(whole) > most:
            raise PromptError(f"a question with its answer is {len(whole):,} tokens long; at most {most:,} are read.")
        told = whole[begin:]
        if bool(torch.isin(told, self.silent.cpu()).any()):
            raise PromptError(f"the vocabulary has no tokens for all that the answer {short(answer)} holds.")
        return asked, told

    def _asked(self, turns: Sequence[Turn], prepared: Sequence[Prepared]) -> Row:
        row = self.backbone.tokenize((*turns, said("")), prepared)
        where = self.closing.begin(row.ids)
        positions = None if row.positions is None else row.positions[:, :where]
        return Row(row.ids[:where], row.spans, positions)

    def words(self, answer: Sequence[int]) -> str:
        """The text of an answer."""
        return self.backbone.tokenizer.words(answer)

    # What answers are worth to it ------------------------------------------------------------------------------------

    def forward(self, asked: Sequence[Encoded], answers: Sequence[Tensor], temperature: float = 1.0) -> Spoken:
        """Log-probabilities of answers to questions, at a temperature.

        Args:
            asked: one question for each answer; equal ones are computed once, with their media.
            answers: (tokens,) int64 each, at least one token.
            temperature: what logits are divided by.

        Raises:
            ValueError: a temperature that nothing can be divided by, or an answer without a token.
        """
        check_temperature(temperature)
        if any(len(answer) == 0 for answer in answers):
            raise ValueError("an answer has at least one token.")
        rows = [answered(one, answer) for one, answer in zip(asked, answers, strict=True)]
        media = self.media_of(rows)
        starts = [len(one.row.ids) - 1 for one in asked]  # the state before a token speaks of it
        places = [range(start, start + len(answer)) for start, answer in zip(starts, answers, strict=True)]
        if self.packing:
            packed = plan(keys_of(rows))
            states = self.backbone.packed_states([one.row for one in rows], media, packed)
            where = torch.cat([path[own.start : own.stop] for path, own in zip(packed.paths, places, strict=True)])
            told = states[where.to(states.device)]
        else:
            padded = self.backbone.hidden_states([one.row for one in rows], media)
            told = torch.cat([padded[i, own.start : own.stop] for i, own in enumerate(places)])
        spoken = self._spoken(told, torch.cat(list(answers)).to(told.device), temperature)
        if not self.training:
            return spoken
        return replace(spoken, logps=spoken.logps + self.unused())

    def _spoken(self, states: Tensor, tokens: Tensor, temperature: float) -> Spoken:
        size = max(1, _CHUNK // self.head.weight.shape[0])
        found = []
        for some, wanted in zip(torch.split(states, size), torch.split(tokens, size), strict=True):
            if len(states) > size and torch.is_grad_enabled():
                found.append(checkpoint(self._read, some, wanted, temperature, use_reentrant=False))
            else:
                found.append(self._read(some, wanted, temperature))
        logps, entropies = zip(*found, strict=True)
        return Spoken(torch.cat(logps), torch.cat(entropies))

    def _read(self, states: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        every = torch.log_softmax(self.logits(states) / temperature, dim=-1)
        with torch.no_grad():
            entropies = -(every.exp() * every).sum(-1)
        return every.gather(-1, tokens.unsqueeze(-1)).squeeze(-1), entropies

    def logits(self, states: Tensor) -> Tensor:
        """Of the next token, (..., vocabulary) float32, from states after the final norm; silent ones are never."""
        logits = F.linear(states.to(self.head.weight.dtype), self.head.weight).float()
        if self._softcap:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        return logits.index_fill(-1, self.silent, _NEVER)

    # Files -----------------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write the published layout with the vocabulary head, and the record of the form; of adapters, these alone.

        A crash leaves the old files, or the new, or a folder that `holds_judge` does not take for one.
        """
        with published(folder, first=RECORD, last=LAST, stale=STALE) as fresh:
            record: dict[str, Any] = {"family": self.family, HOLDS: JUDGE, "omnireward": __version__}
            if self.form is not None:
                record["form"] = {"critique": self.form.critique, "ties": self.form.ties}
            if self.on_base:
                record |= self.on_base.save(self.backbone, fresh)
                record |= {HEAD: self._head_digest} if self._head_digest else {}
            else:
                self.save_backbone(fresh)
                for name, content in self._beside.items():
                    if not (fresh / name).exists():
                        (fresh / name).write_bytes(content)
            record |= {"tokenizer": tokenizer_digest(fresh), "weights": weight_digests(fresh)}
            record |= {"base": self.base} if self.base else {}
            (fresh / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
            (fresh / LAST).write_text(json.dumps({"eos_token_id": list(self.ends)}, indent=2) + "\n")

    def save_backbone(self, folder: Path) -> None:
        """Write the backbone with its vocabulary head."""
        if is_tied(self.head, self.backbone):
            self.backbone.save(folder, {})
            return
        self.backbone.save(folder, {name_for(self.backbone): self.head.weight})
        self._head_digest = digest(self.head)
        config = folder / "config.json"
        told = read_json(config)
        if (mended := apart(told, self.backbone)) != told:  # others would put the embeddings in its place
            config.write_text(dumps(mended), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> Policy:
        """Read a judge that we trained, or a chat model of a family that `backbones` has. Its towers are frozen.

        Args:
            folder: or OWNER/REPO@REVISION.

        Raises:
            CheckpointError: files or weights are missing, left over or changed, or a reward model is there.
        """
        place = find(folder)
        folder, record = place.folder, place.folder / RECORD
        told = read_json(record) if record.exists() else {}
        if told and told.get(HOLDS) != JUDGE:
            raise CheckpointError(f"{folder} holds a reward model, which writes no text. Judge with reward:{folder}")
        check_tokenizer(folder, record)
        on_base = None
        if is_on_base(folder, record):
            family, backbone, on_base = load_on_base(folder, record)
            heads = base_of(folder, on_base.place)
        else:
            family, backbone = load_backbone(folder)
            heads = folder
        if not isinstance(backbone, DecoderBackbone):
            raise CheckpointError(f"{folder}: the backbone {family!r} cannot write; it only reads.")
        head = head_of(backbone, heads)
        policy = cls(backbone, family, head, recorded_form(told, record))
        check_weights(folder, record)
        policy._head_digest = "" if is_tied(head, backbone) else digest(head)
        if on_base:
            check_head(folder, told, policy._head_digest)
            on_base.keep(head)
        policy._beside = read_beside(heads)
        policy.base, policy.on_base = place.pinned or str(told.get("base") or ""), on_base
        policy.freeze(policy.towers)
        policy.features.store = default_store()
        return policy.eval()


def holds_judge(folder: Path) -> bool:
    """Whether a judge of ours was written there to the end."""
    record = folder / RECORD
    return record.is_file() and (folder / LAST).is_file() and read_json(record).get(HOLDS) == JUDGE


def answered(asked: Encoded, answer: Tensor) -> Encoded:
    """A question with an answer to it, (tokens,) int64, as one row. Positions go on as those of text do."""
    row = asked.row
    positions = row.positions
    if positions is not None:
        steps = torch.arange(1, len(answer) + 1, dtype=positions.dtype)
        positions = torch.cat((positions, positions[:, -1:] + steps), dim=1)
    ids = torch.cat((row.ids, answer.to(row.ids)))
    return Encoded(Row(ids, row.spans, positions), asked.media, asked.digests, asked.kept)


def check_temperature(temperature: float) -> None:
    """Raises ValueError where logits cannot be divided by it."""
    if not _COLDEST <= temperature < float("inf"):
        raise ValueError(f"a temperature is at least {_COLDEST}, and finite; got {temperature}.")
