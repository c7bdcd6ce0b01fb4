"""What all trainers of `peers` get: pairs of token ids, and one set of random weights in the layouts that they read.

Lengths are lognormal: the medians are those of a picture's question (a long prompt, short answers) and of a chat, whose
lengths vary more. No row is longer than `LONGEST`, and nobody may leave one out. Every row ends in the same end token.
Words and ids correspond one to one, so a text gives the same ids to everyone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from string import ascii_lowercase as LOWER
from string import ascii_uppercase as UPPER
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import Qwen2ForCausalLM, Qwen2ForSequenceClassification, Qwen2Tokenizer

from omnireward.backbones._minicpm_o_config import LanguageConfig

PAIRS_IN_STEP = 8
LONGEST = 1_536  # tokens of a row; 16 of them without checkpointing take 11 GB
SHORTEST = 8  # tokens of a prompt or a response
PAD, END = 0, 1
FIRST_WORD = 2 + 3 * 17 + 17 * 17  # after letters and pairs of letters, which a whole word leaves none of
# A word is a letter of each. Two neighbours merge into one token only where they are of one word, so a text needs no
# spaces, and Qwen2's tokenizer reads it as the words that it was made of.
LETTERS = LOWER[:17], UPPER[:17], (LOWER[17:] + UPPER[17:])[:17]
LEARNING_RATE, WEIGHT_DECAY = 1e-5, 1e-3
# Vocabulary logits would be 8 % of a forward pass, as in a model of 7 B.
LANGUAGE = LanguageConfig(
    vocab_size=4_768,
    hidden_size=512,
    intermediate_size=2_816,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=2,
    rope_theta=1_000_000.0,
)
WORDS = ["".join(letters) for letters in product(*LETTERS)][: LANGUAGE.vocab_size - FIRST_WORD]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Medians of a lognormal distribution, in tokens, and its spread, the standard deviation of the logarithms."""

    name: str
    prompt: int
    response: int
    spread: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Token ids. Each response ends in `END`."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def rows(self) -> tuple[int, int]:
        """Tokens of the two rows."""
        return len(self.prompt) + len(self.chosen), len(self.prompt) + len(self.rejected)


LENGTHS = (Lengths("picture", 420, 150, 0.4), Lengths("chat", 150, 300, 0.8))


def draw(lengths: Lengths, count: int) -> list[Pair]:
    """Pairs of random words: always the same for the same count."""
    rng = np.random.default_rng(0)
    sizes = np.exp(rng.normal(np.log([lengths.prompt, lengths.response, lengths.response]), lengths.spread, (count, 3)))

    def words(length: int) -> list[int]:
        ids: list[int] = rng.integers(FIRST_WORD, LANGUAGE.vocab_size, length).tolist()
        return ids

    def pair(prompt: int, *responses: int) -> Pair:
        kept = max(SHORTEST, min(prompt, LONGEST - SHORTEST))
        chosen, rejected = ([*words(max(SHORTEST, min(each, LONGEST - kept)) - 1), END] for each in responses)
        return Pair(words(kept), chosen, rejected)

    return [pair(*row) for row in sizes.astype(int).tolist()]


def padding(pairs: Sequence[Pair]) -> float:
    """Tokens of padded batches over tokens with what a pair's rows share counted once."""
    steps = [pairs[i : i + PAIRS_IN_STEP] for i in range(0, len(pairs), PAIRS_IN_STEP)]
    padded = sum(2 * len(step) * max(max(pair.rows) for pair in step) for step in steps)
    return padded / sum(len(pair.prompt) + len(pair.chosen) + len(pair.rejected) for pair in pairs)


def text(ids: Sequence[int]) -> str:
    """The words of ids, without `END`, which chat templates set."""
    return "".join(WORDS[i - FIRST_WORD] for i in ids if i != END)


def write(folder: Path, steps: int) -> dict[str, float]:
    """Write pairs, as ids and texts, and weights, as `classifier` and as `causal` (with a vocabulary and a value head).

    Returns what `padding` says of the pairs of each of `LENGTHS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for lengths in LENGTHS:
        pairs = draw(lengths, steps * PAIRS_IN_STEP)
        rows = [asdict(pair) for pair in pairs]
        texts = [{side: text(ids) for side, ids in row.items()} for row in rows]
        (folder / f"{lengths.name}.json").write_text(json.dumps(rows))
        (folder / f"{lengths.name}_texts.json").write_text(json.dumps(texts))
        found[lengths.name] = padding(pairs)
    shared = {
        "pairs": PAIRS_IN_STEP,
        "longest": LONGEST,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
    }
    (folder / "shared.json").write_text(json.dumps(shared))
    config = LANGUAGE.build()
    config.update({"num_labels": 1, "pad_token_id": PAD, "eos_token_id": END})
    # Read by LLaMA-Factory's value head, which else drops a tenth of its inputs.
    config.update({"summary_dropout_prob": 0.0})
    torch.manual_seed(0)
    kinds: tuple[Any, Any] = Qwen2ForSequenceClassification, Qwen2ForCausalLM  # one has no types
    classifier, causal = (kind(config) for kind in kinds)
    causal.model.load_state_dict(classifier.model.state_dict())
    tokenizer = _tokenizer()
    for name, model in (("classifier", classifier), ("causal", causal)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    head = {"v_head.summary.weight": classifier.score.weight.detach(), "v_head.summary.bias": torch.zeros(1)}
    save_file(head, folder / "causal" / "value_head.safetensors")
    return found


def read(folder: Path, lengths: str) -> list[Pair]:
    """The pairs that `write` wrote."""
    return [Pair(**fields) for fields in json.loads((folder / f"{lengths}.json").read_text())]


def _tokenizer() -> Qwen2Tokenizer:
    first, second, third = LETTERS
    ends = [x + y for x, y in product(second, third)]
    pieces = ["<pad>", "</s>", *first, *second, *third, *ends, *WORDS]
    merges: Any = [(end[0], end[1]) for end in ends] + [(word[0], word[1:]) for word in WORDS]
    return Qwen2Tokenizer(
        {piece: i for i, piece in enumerate(pieces)}, merges, unk_token="<pad>", eos_token="</s>", pad_token="<pad>"
    )
