"""A tokenizer that reads what a chat template writes, and in which users' text stays text.

Special tokens get private names, of characters that no text may have. What the template spells is given those names,
what users spell is not; then all is tokenised in one go, so that words at the border merge as they do elsewhere, and
tokens that swallow the blanks around them do so. Unusual: added tokens of blanks alone (Gemma has them) stay as they
are, since text is meant to use them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from reprlib import repr as short
from typing import Any

from tokenizers import decoders

from omnireward.backbones._chat_tokenizer import built, types_in
from omnireward.backbones._text_template import Piece
from omnireward.checkpoint_json import parse_json
from omnireward.errors import CheckpointError

# What tokenizers of causal models are made of. Some others end the process when a text is encoded with odd settings.
PARTS = ("Sequence", "NFC", "NFD", "NFKC", "NFKD", "Replace", "Prepend", "Split", "ByteLevel", "Metaspace", "Digits")
_PRIVATE = re.compile("[\ufdd0\ufdd1]")


class InertTokenizer:
    """The tokenizer of a checkpoint.

    Args:
        content: of tokenizer.json.

    Attributes:
        vocab_size: ids run from 0 to below this.
        special: the tokens that text cannot become, and their ids.

    Raises:
        CheckpointError: the file cannot be used.
    """

    def __init__(self, content: str) -> None:
        given = parse_json(content, "tokenizer.json")
        model = _checked(given)
        added = [token for token in given.get("added_tokens") or [] if _is_added(token)]
        special = {token["content"]: int(token["id"]) for token in added if token["content"].strip(" \t\n▁")}
        names = {text: f"\ufdd0{number}\ufdd1" for text, number in special.items()}
        vocabulary: dict[str, int] = {text: n for text, n in model["vocab"].items() if text not in names}
        self.vocab_size = max([-1, *vocabulary.values(), *(int(token["id"]) for token in added)]) + 1
        renamed = [token | {"content": names.get(token["content"], token["content"])} for token in added]
        unknown = model.get("unk_token")
        parts: dict[str, Any] = {
            "vocab": vocabulary | {names[text]: number for text, number in special.items()},
            "dropout": None,
        }
        # A word for unknown bytes that is itself unknown fails at the first of them.
        parts["unk_token"] = names.get(unknown, unknown if unknown in vocabulary else None)
        self.special = special
        self._names = names
        self._spelled = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"(?!)")
        self._tokenizer = built(given, model | parts, renamed)
        self._tokenizer.decoder = _decoder(given)
        self._silent = set(special.values())

    def ids(self, pieces: Iterable[Piece]) -> list[int]:
        """Token ids of what was written. A lone surrogate reads as a question mark."""
        written = "".join(self._inert(piece.text) if piece.inert else self._named(piece.text) for piece in pieces)
        ids: list[int] = self._tokenizer.encode(written, add_special_tokens=False).ids
        return ids

    @property
    def control(self) -> Mapping[str, int]:
        """The same as `special`."""
        return self.special

    def words(self, ids: Sequence[int]) -> str:
        """The text that ids spell. Special tokens spell nothing."""
        text: str = self._tokenizer.decode([id for id in ids if id not in self._silent], skip_special_tokens=False)
        return text

    def _named(self, text: str) -> str:
        return self._spelled.sub(lambda match: self._names[match[0]], text)

    def _inert(self, text: str) -> str:
        return _PRIVATE.sub("\ufffd", text.encode("utf-8", "replace").decode("utf-8"))


def _decoder(given: Mapping[str, Any]) -> decoders.Decoder:
    """What joins tokens into text: bytes, or pieces with marks for blanks, as SentencePiece's models have them."""
    if "ByteLevel" in types_in(given.get("pre_tokenizer")):
        return decoders.ByteLevel()
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(parts)


def _is_added(token: object) -> bool:
    fits = isinstance(token, dict) and isinstance(token.get("content"), str) and type(token.get("id")) is int
    if not fits or not token["content"] or token["id"] < 0:  # type: ignore[index] # a dict by now
        raise CheckpointError(f"tokenizer.json has an added token that is none: {short(token)}.")
    return True


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The model, where it and all other parts are known."""
    model = given.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or model.get("continuing_subword_prefix"):
        raise CheckpointError("tokenizer.json's model is not BPE on plain pieces, which is all that is read here.")
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not all(
        type(number) is int and number >= 0 for number in vocabulary.values()
    ):
        raise CheckpointError("tokenizer.json's model has no vocabulary of ids.")
    if not isinstance(merges, list):
        raise CheckpointError("tokenizer.json's model has no merges.")
    used = {str(name) for part in ("normalizer", "pre_tokenizer") for name in types_in(given.get(part))}
    unknown = sorted(used - set(PARTS))
    if unknown:
        raise CheckpointError(f"tokenizer.json uses {', '.join(unknown)}; known: {', '.join(PARTS)}.")
    return model
