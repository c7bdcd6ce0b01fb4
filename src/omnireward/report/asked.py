"""How the judge was asked, for people to read: the settings of a run as pairs of a name and a value."""

from __future__ import annotations

import json
from collections.abc import Mapping

_WORDS: Mapping[tuple[str, object], str] = {
    ("order", "both"): "both",
    ("order", "random"): "drawn for each vote",
    ("order", "fixed"): "response a always first",
    ("criterion", True): "told to the judge",
    ("criterion", False): "kept from the judge",
    ("mode", "pairwise"): "both responses at once",
    ("mode", "pointwise"): "one response at a time",
    ("critique", True): "before the verdict",
    ("critique", False): "none, the verdict alone",
    ("ties", True): "allowed",
    ("ties", False): "not allowed",
    ("swap_half", True): "half in each order",
    ("swap_half", False): "in the order of the vote",
}
_NAMES = {
    "order": "order of the responses",
    "repeats": "votes on each sample",
    "mode": "responses shown",
    "ties": "verdict of a tie",
    "logprobs": "probabilities from the first token",
    "samples": "answers drawn for each vote",
    "swap_half": "responses in these answers",
    "max_tokens": "most tokens of an answer",
    "frames": "pictures of a video",
    "views": "pictures of a 3D object",
    "picture_side": "longest side of a picture, pixels",
    "join_audio": "silence between joined clips, seconds",
}


def asked(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Each setting in words; one that is not known here keeps its name and value.

    >>> asked({"repeats": 2, "ties": False, "top_k": None})
    [('votes on each sample', '2'), ('verdict of a tie', 'not allowed'), ('top k', 'by default')]
    """
    pairs = []
    for name, value in settings.items():
        label = _NAMES.get(name, name.replace("_", " "))
        if name == "repeats" and settings.get("order") == "both":
            label += ", in each order"
        pairs.append((label, _value(name, value)))
    return pairs


def _value(name: str, value: object) -> str:
    if isinstance(value, bool | str) and (name, value) in _WORDS:
        return _WORDS[name, value]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "by default"
    return value if isinstance(value, str) else json.dumps(value)
