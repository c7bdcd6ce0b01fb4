"""A byte-level BPE tokenizer split in two: special tokens, and text that never becomes one, whatever it spells.

Text goes through a second tokenizer, made from the same file without its added tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as short
from typing import Any

from tokenizers import Tokenizer, decoders

from omnireward.checkpoint_json import parse_json
from omnireward.errors import CheckpointError

# What the published tokenizer is made of. With odd settings some others end the process when a text is encoded, long
# after the file was read.
PARTS = ("Sequence", "NFC", "Split", "ByteLevel")


class ChatTokenizer:
    """The tokenizer of a checkpoint, split into special tokens and inert text.

    Args:
        content: of tokenizer.json.
        special: the tokens that its chat format needs.

    Attributes:
        json: the content of tokenizer.json.
        control: all added tokens and their ids.
        vocab_size: ids run from 0 to below this.
    """

    def __init__(self, content: str, special: Sequence[str]) -> None:
        given = parse_json(content, "tokenizer.json")
        _check_parts(given)
        whole, self._bare = _tokenizer(given, given.get("added_tokens")), _tokenizer(given, [])
        ids = {token: found for token in special if (found := whole.token_to_id(token)) is not None}
        missing = [token for token in special if token not in ids]
        if missing:
            raise CheckpointError(f"tokenizer.json lacks the tokens {missing}; is it this model's tokenizer?")
        self.json = content
        added = {str(token["content"]): int(token["id"]) for token in given.get("added_tokens") or []}
        self.control: Mapping[str, int] = added | ids
        self._silent = set(self.control.values())
        self._whole = whole
        whole.decoder = decoders.ByteLevel()
        self.vocab_size: int = max(whole.get_vocab(with_added_tokens=True).values()) + 1
        self._ids = ids
        reserved = set(ids.values())
        leaking = [token for token in special if reserved & set(self.text(token))]
        if leaking:
            raise CheckpointError(f"tokenizer.json would read the plain text {leaking} as special tokens.")

    def text(self, text: str) -> list[int]:
        """Ids of plain text. Whatever it spells, none is a special token; a lone surrogate reads as a question mark."""
        sound = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._bare.encode(sound, add_special_tokens=False).ids
        return ids

    def words(self, ids: Sequence[int]) -> str:
        """The text that ids spell. Special tokens spell nothing; bytes that are no character read as U+FFFD."""
        text: str = self._whole.decode([id for id in ids if id not in self._silent], skip_special_tokens=False)
        return text

    def special(self, token: str) -> int:
        """The id of one of the special tokens."""
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
    used = [*types_in(given.get("normalizer")), *types_in(given.get("pre_tokenizer"))]
    unknown = [name for name in used if name not in PARTS]
    if unknown:
        raise CheckpointError(f"tokenizer.json uses {short(unknown)}; known: {', '.join(PARTS)}.")


def types_in(part: object) -> Iterator[object]:
    """The `type` of a part of a tokenizer and of the parts inside it."""
    if isinstance(part, dict):
        if "type" in part:
            yield part["type"]
        for inner in part.values():
            yield from types_in(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from types_in(inner)


def _tokenizer(given: Mapping[str, Any], added_tokens: object) -> Tokenizer:
    # Dropout would draw lots, and a word for unknown bytes that is itself unknown fails at the first of them.
    return built(given, given["model"] | {"dropout": None, "unk_token": None}, added_tokens)


def built(given: Mapping[str, Any], model: Mapping[str, Any], added_tokens: object) -> Tokenizer:
    """What turns text into ids; parts that do something else, such as padding and decoding, are left out.

    Args:
        given: the content of tokenizer.json.
        model: in place of its own.
        added_tokens: in place of its own.

    Raises:
        CheckpointError: the library does not take it.
    """
    used = {name: given.get(name) for name in ("version", "normalizer", "pre_tokenizer")}
    unused = dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
    try:
        return Tokenizer.from_str(json.dumps(used | unused | {"model": model, "added_tokens": added_tokens}))
    except Exception as error:
        if type(error) is not Exception:  # what the library raises for any fault of the file; others are bugs
            raise
        raise CheckpointError(f"tokenizer.json cannot be used: {error}") from error
