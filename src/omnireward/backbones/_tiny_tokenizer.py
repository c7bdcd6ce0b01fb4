"""A tokenizer as Qwen's are made, trained on the spot in about a second: for tiny models.

Unusual: long lines that many texts have, such as a judge's instructions, become one token each. A tiny model learns
nothing from reading them word by word, and most of its time would go there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 1500
LONG, COMMON = 24, 0.01  # characters of a line, and the share of texts that have it
# How Qwen's tokenizer cuts text before merging: contractions, words, single digits, punctuation, line ends, blanks.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_tokenizer(texts: Iterable[str], special: Sequence[str], vocabulary: int = VOCABULARY) -> str:
    """A byte-level BPE tokenizer with Qwen's word pattern and the special tokens: the content of tokenizer.json."""
    texts = list(texts)
    lines = common_lines(texts)
    tokenizer = without_words(lines)
    vocabulary += sum(len(line.encode()) for line in lines)  # a token for each merge on the way to a line
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


def common_lines(texts: Sequence[str]) -> list[str]:
    """Lines of at least LONG characters that a share of the texts have, the longest first."""
    counts = Counter(line for text in texts for line in set(text.split("\n")) if len(line) >= LONG)
    return sorted(
        (line for line, count in counts.items() if count >= COMMON * len(texts)), key=lambda line: (-len(line), line)
    )


def without_words(lines: Sequence[str] = ()) -> Tokenizer:
    """A byte-level BPE tokenizer with Qwen's word pattern and no vocabulary yet; `lines` are not cut into words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join([*map(re.escape, lines), _WORDS])), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
