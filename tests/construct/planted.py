"""Made-up samples of words, and models behind a scripted server that behave as they are told.

Sample number n has a sound response (``bright``) and a poor one (``dull``); which is a and which b is drawn.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from tests.calls.scripted import Body, words_of

from omnireward.sample_rows import write_samples
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

_NUMBER = re.compile(r"number (\d+)")
NAMES = ("samples.jsonl", "rejected.jsonl", "report.json", "report.html", "says.jsonl")


def truth(number: int) -> Preference:
    """Where the sound response stands."""
    return "a" if random.Random(f"truth {number}").random() < 0.5 else "b"


def planted(folder: Path, count: int, wrong: float = 0.0, criterion: str = "") -> Path:
    """A folder of samples; a share of them claim the wrong side."""
    samples = []
    for number in range(count):
        sound = (Text(f"A bright answer about topic {number}, told at length."),)
        poor = (Text(f"A dull answer about topic {number}."),)
        a, b = (sound, poor) if truth(number) == "a" else (poor, sound)
        prompt = (Turn("user", (Text(f"Please write number {number}."),)),)
        lie = random.Random(f"lie {number}").random() < wrong
        claimed: Preference = ("b" if truth(number) == "a" else "a") if lie else truth(number)
        comparison = Comparison(prompt, a, b, criterion)
        samples.append(Sample(f"s{number}", Task.T2T, comparison, claimed, f"prompt {number}", ("made",)))
    write_samples(samples, folder)
    return folder


def number_of(body: Body) -> int:
    """Which sample a request is about."""
    match = _NUMBER.search(words_of(body))
    assert match
    return int(match[1])


def bright_first(body: Body) -> bool:
    """Whether the sound response is shown first."""
    shown = words_of(body)
    return shown.index("A bright answer") < shown.index("A dull answer")


def honest(body: Body) -> str:
    """A writer that says what is asked, and is right: the longer text is the sound one."""
    long, short = "It should go into the topic at length.", "It should be told in few words."
    first, second = (long, short) if bright_first(body) else (short, long)
    asked = words_of(body)
    lines = [f"A: {first}"] * ("\nA: the criterion" in asked) + [f"B: {second}"] * ("\nB: the criterion" in asked)
    return "\n".join(lines) + "\nTIE: It should be in English." * ("\nTIE: the criterion" in asked)


def files(out: Path) -> dict[str, bytes]:
    """What a step leaves for the next one and for people."""
    return {name: (out / name).read_bytes() for name in NAMES if (out / name).exists()}
