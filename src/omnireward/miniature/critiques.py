r"""Critiques of the made-up world, for a warm start: they say what is to be weighed, and never who wins.

A critique names what the criterion asks about and whether it is wanted. The verdict behind it is drawn without looking,
the first place oftener than the second, as it is with writers that like the first place. So whoever learns from them
answers in the right form and knows what to look at, and is as often wrong as right: what it knows of verdicts later, it
has from rewards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from omnireward.miniature.items import Split
from omnireward.miniature.world import GENERAL, Known, World, known_samples
from omnireward.types import Sample

VERDICTS = {"A": 0.50, "B": 0.38, "TIE": 0.12}
"""Shares of the verdicts, of whatever is shown first and second; ties as often as the world has them."""


def critiques(world: World, split: Split = "train") -> Iterator[tuple[Sample, bool, str]]:
    """A critique of each sample of a split, as it is or in the other order.

    Yields:
        the sample; whether response_b is shown first, as response A; the answer.
    """
    for known in known_samples(world, split):
        drawn = hashlib.sha256(f"{world.seed} critique {known.sample.id}".encode()).digest()
        rng = np.random.default_rng(list(drawn[:16]))
        swapped = bool(rng.random() < 0.5)
        verdict = str(rng.choice(list(VERDICTS), p=list(VERDICTS.values())))
        yield known.sample, swapped, f"{critique(known)}\nVERDICT: {verdict}"


def critique(known: Known) -> str:
    """What is to be weighed.

    >>> from omnireward.miniature.world import World, known_samples
    >>> critique(next(known_samples(World(), "train")))
    'True is wanted.'
    """
    if known.truth == GENERAL:
        return "The best all in all is wanted."
    return f"{known.truth.capitalize()} is {'' if known.direction > 0 else 'not '}wanted."
