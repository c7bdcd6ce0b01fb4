"""A tokenizer as Qwen's are made, trained on the spot in under a second: for tiny models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 1500
# How Qwen's tokenizer cuts text before merging: contractions, words, single digits, punctuation, line ends, blanks.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], special: Sequence[str], vocabulary: int = VOCABULARY) -> str:
    """A byte-level BPE tokenizer with Qwen's word pattern and the special tokens: the content of tokenizer.json."""
    tokenizer = without_words()
    # The special tokens come after training, so that, as in the published file, merging cannot yield them.
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(list(special))
    content: str = tokenizer.to_str()
    return content


def without_words() -> Tokenizer:
    """A byte-level BPE tokenizer with Qwen's word pattern and no vocabulary yet."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
