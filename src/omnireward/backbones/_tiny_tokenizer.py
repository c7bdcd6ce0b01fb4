"""A tokenizer as Qwen's are made, trained on the spot in about a second: for tiny models.

Unusual: long lines that many texts have, such as a judge's instructions, become one token each, and so do the names of
tags with keys; of a key, each two digits do. A tiny model learns nothing from reading them letter by letter, and most
of its time would go there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 1500
LONG, COMMON, LEAST = 24, 0.01, 20  # characters of a line, the share of texts that have it, and their number
# How Qwen's tokenizer cuts text before merging: contractions, words, single digits, punctuation, line ends, blanks.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How a judge's question encloses what others wrote: <response-a-0123456789ab>. Names and keys are cut apart.
_TAGS = (r"</?[a-z][a-z0-9-]*-(?=[0-9a-f]{12}>)", r"[0-9a-f]{2}(?=(?:[0-9a-f]{2})*>)")
_KEY_PAIRS, _TAG_MERGES = 256, 64


def train_tokenizer(texts: Iterable[str], special: Sequence[str], vocabulary: int = VOCABULARY) -> str:
    """A byte-level BPE tokenizer with Qwen's word pattern and the special tokens: the content of tokenizer.json."""
    texts = list(texts)
    lines = common_lines(texts)
    tokenizer = without_words(lines)
    if lines:  # a token for each merge on the way to a line
        vocabulary += sum(len(line.encode()) for line in lines) + _KEY_PAIRS + _TAG_MERGES
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
        (line for line, count in counts.items() if count >= max(LEAST, COMMON * len(texts))),
        key=lambda line: (-len(line), line),
    )


def without_words(lines: Sequence[str] = ()) -> Tokenizer:
    """A byte-level BPE tokenizer with Qwen's word pattern and no vocabulary yet; `lines` are not cut into words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    pieces = "|".join([*map(re.escape, lines), *(_TAGS if lines else ()), _WORDS])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
