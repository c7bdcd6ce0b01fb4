"""The chat format of MiniCPM-o-2.6: a conversation becomes token ids, with placeholders where media stand.

Two traps. Text between special tokens is tokenised as a whole ("user", the newline and the question together), but an
assistant's words are tokenised apart from the header before them, as in training. And text never becomes a special
token: it goes through a second tokenizer, made from the same file without its added tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as short
from typing import Any

import torch
from tokenizers import Tokenizer

from omnireward.backbones import Prepared, Row
from omnireward.checkpoint_json import parse_json
from omnireward.errors import CheckpointError, PromptError
from omnireward.types import Media, Part, Text, Turn

DEFAULT_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
TURN, END_OF_TURN = "<|im_start|>", "<|im_end|>"
NUMBER, END_OF_NUMBER = "<image_id>", "</image_id>"
VIEW, END_OF_VIEW = "<image>", "</image>"
CROP, END_OF_CROP = "<slice>", "</slice>"
SOUND, END_OF_SOUND = "<|audio_start|>", "<|audio_end|>"
PLACEHOLDER = "<unk>"  # an ordinary id that the published model took over for this
SPECIAL_TOKENS = (
    TURN,
    END_OF_TURN,
    NUMBER,
    END_OF_NUMBER,
    VIEW,
    END_OF_VIEW,
    CROP,
    END_OF_CROP,
    SOUND,
    END_OF_SOUND,
    PLACEHOLDER,
)
# What the published tokenizer is made of. With odd settings some others end the process when a text is encoded, long
# after the file was read.
PARTS = ("Sequence", "NFC", "Split", "ByteLevel")
# Marks of `Prepared.pattern`, one for each thing that a picture puts into the text.
NUMBER_MARK, VIEW_MARK, CROP_MARK, ROW_MARK = "#", "v", "c", "\n"


class ChatTokenizer:
    """The tokenizer of a checkpoint, split into special tokens and inert text.

    Attributes:
        json: the content of tokenizer.json.
        vocab_size: ids run from 0 to below this.
    """

    def __init__(self, content: str) -> None:
        given = parse_json(content, "tokenizer.json")
        _check_parts(given)
        whole, self._bare = _tokenizer(given, given.get("added_tokens")), _tokenizer(given, [])
        ids = {token: found for token in SPECIAL_TOKENS if (found := whole.token_to_id(token)) is not None}
        missing = [token for token in SPECIAL_TOKENS if token not in ids]
        if missing:
            raise CheckpointError(f"tokenizer.json lacks the tokens {missing}; is it this model's tokenizer?")
        self.json = content
        self.vocab_size: int = max(whole.get_vocab(with_added_tokens=True).values()) + 1
        self._ids = ids
        reserved = set(ids.values())
        leaking = [token for token in SPECIAL_TOKENS if reserved & set(self.text(token))]
        if leaking:
            raise CheckpointError(f"tokenizer.json would read the plain text {leaking} as special tokens.")

    def text(self, text: str) -> list[int]:
        """Ids of plain text. Whatever it spells, none is a special token; a lone surrogate reads as a question mark."""
        sound = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._bare.encode(sound, add_special_tokens=False).ids
        return ids

    def special(self, token: str) -> int:
        """The id of one of `SPECIAL_TOKENS`."""
        return self._ids[token]


def _check_parts(given: Mapping[str, Any]) -> None:
    """Refuse what would end the process inside the tokenizer library, where no `except Exception` can stop it."""
    model = given.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("continuing_subword_prefix"):
        raise CheckpointError("tokenizer.json's model is not BPE on plain pieces; is it this model's tokenizer?")
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not isinstance(merges, list):
        raise CheckpointError("tokenizer.json's model has no vocabulary or no merges.")
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list) or not all(isinstance(piece, str) for piece in pair):
            raise CheckpointError(f"tokenizer.json has a merge that is no pair of pieces: {short(merge)}.")
        if "".join(pair) not in vocabulary:
            raise CheckpointError(f"tokenizer.json merges {short(pair)} into something that its vocabulary lacks.")
    used = [*_types(given.get("normalizer")), *_types(given.get("pre_tokenizer"))]
    unknown = [name for name in used if name not in PARTS]
    if unknown:
        raise CheckpointError(f"tokenizer.json uses {short(unknown)}; known: {', '.join(PARTS)}.")


def _types(part: object) -> Iterator[object]:
    """The `type` of a part of a tokenizer and of the parts inside it."""
    if isinstance(part, dict):
        if "type" in part:
            yield part["type"]
        for inner in part.values():
            yield from _types(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _types(inner)


def _tokenizer(given: Mapping[str, Any], added_tokens: object) -> Tokenizer:
    """What turns text into ids; parts that do something else, such as padding and decoding, are left out."""
    used = {name: given.get(name) for name in ("version", "normalizer", "pre_tokenizer")}
    unused = dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
    # Dropout would draw lots, and a word for unknown bytes that is itself unknown fails at the first of them.
    model = given["model"] | {"dropout": None, "unk_token": None}
    written = json.dumps(used | unused | {"model": model, "added_tokens": added_tokens})
    try:
        return Tokenizer.from_str(written)
    except Exception as error:
        if type(error) is not Exception:  # what the library raises for any fault of the file; others are bugs
            raise
        raise CheckpointError(f"tokenizer.json cannot be used: {error}") from error


def picture_pattern(grid: tuple[int, int], *, numbered: bool) -> str:
    r"""How a picture with a grid of crops stands in the text.

    >>> picture_pattern((2, 2), numbered=True), picture_pattern((0, 0), numbered=False)
    ('#vcc\ncc', 'v')
    """
    columns, rows = grid
    return (NUMBER_MARK if numbered else "") + VIEW_MARK + ROW_MARK.join([CROP_MARK * columns] * rows)


def row_of(
    tokenizer: ChatTokenizer, conversation: Sequence[Turn], prepared: Sequence[Prepared], tokens_per_chunk: int
) -> Row:
    """Token ids of a conversation and the ranges that its media fill.

    Args:
        tokenizer: of the checkpoint.
        conversation: an optional system turn, then others; the last is the assistant's.
        prepared: the conversation's media in reading order.
        tokens_per_chunk: embeddings between a start and an end token of a sound.

    Raises:
        PromptError: a misplaced system turn, a last turn that is not the assistant's, or media that don't fit.
    """
    turns = list(conversation)
    if not turns or turns[0].role != "system":
        turns.insert(0, Turn("system", (Text(DEFAULT_SYSTEM),)))
    if turns[-1].role != "assistant" or any(turn.role == "system" for turn in turns[1:]):
        roles = [turn.role for turn in conversation]
        raise PromptError(f"a conversation is [system,] user, ..., assistant; this one's roles are {roles}.")
    expected = [part.kind for turn in turns for part in turn.content if isinstance(part, Media)]
    towers = ["audio" if kind == "audio" else "vision" for kind in expected]
    if towers != [medium.tower for medium in prepared]:
        given = [medium.tower for medium in prepared]
        raise PromptError(f"the conversation holds {expected}, but media prepared for {given} were given.")
    writer = _Writer(tokenizer, iter(prepared), tokens_per_chunk)
    for turn in turns:
        writer.turn(turn)
    return Row(torch.tensor(writer.ids, dtype=torch.long), tuple(writer.spans))


class _Writer:
    """Collects ids, holding text back until a special token or a boundary ends it."""

    def __init__(self, tokenizer: ChatTokenizer, media: Iterator[Prepared], tokens_per_chunk: int) -> None:
        self.ids: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self._tokenizer, self._media, self._tokens_per_chunk = tokenizer, media, tokens_per_chunk
        self._held: list[str] = []
        self._pictures = 0

    def turn(self, turn: Turn) -> None:
        self._special(TURN)
        self._held.append(f"{turn.role}\n")
        if turn.role == "assistant":
            self._flush()  # the published training tokenised prompt and response apart
        for part in turn.content:
            self._part(part)
        self._special(END_OF_TURN)
        self._held.append("\n")
        self._flush()

    def _part(self, part: Part) -> None:
        if isinstance(part, Text):
            self._held.append(part.text)
        elif part.kind == "audio":
            self._sound(sum(next(self._media).tokens))
        else:
            self._picture(next(self._media))

    def _picture(self, medium: Prepared) -> None:
        tokens = iter(medium.tokens)
        for mark in medium.pattern:
            if mark == NUMBER_MARK:
                self._special(NUMBER)
                self._held.append(str(self._pictures))
                self._special(END_OF_NUMBER)
                self._pictures += 1
            elif mark == VIEW_MARK:
                self._span(VIEW, next(tokens), END_OF_VIEW)
            elif mark == CROP_MARK:
                self._span(CROP, next(tokens), END_OF_CROP)
            else:
                self._held.append(mark)

    def _sound(self, tokens: int) -> None:
        for start in range(0, tokens, self._tokens_per_chunk):
            self._span(SOUND, min(self._tokens_per_chunk, tokens - start), END_OF_SOUND)

    def _span(self, start: str, count: int, end: str) -> None:
        self._special(start)
        self.spans.append((len(self.ids), len(self.ids) + count))
        self.ids += [self._tokenizer.special(PLACEHOLDER)] * count
        self._special(end)

    def _special(self, token: str) -> None:
        self._flush()
        self.ids.append(self._tokenizer.special(token))

    def _flush(self) -> None:
        if self._held:
            self.ids += self._tokenizer.text("".join(self._held))
            self._held.clear()
