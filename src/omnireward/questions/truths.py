"""What a row of a dataset knows of its answer, and what an answer earns by it.

The preference as it is shown, the form that was asked for and what counts, as JSON, because both trainers hand a string
to the reward function and nothing else that is certain.

Unusual: only the standard library and `verdict_rewards` are imported, because exported reward files hold a copy.
"""

from __future__ import annotations

import dataclasses
import json

from omnireward.verdict_rewards import RewardTerms, Scored, scored


def truth_of(preference: str, *, ties: bool, critique: bool, terms: RewardTerms, criterion: str) -> str:
    """JSON in ASCII. The criterion is in it only where its script is what a critique must be written in."""
    known = {
        "preference": preference,
        "ties": ties,
        "critique": critique,
        "terms": dataclasses.asdict(terms),
        "criterion": criterion if terms.language and not terms.script else "",
    }
    return json.dumps(known)


def earned(answer: str, truth: str, cut_off: bool = False) -> tuple[Scored, dict[str, float]]:
    """What an answer earned, and the terms that are worth a curve: accuracy, format, and what has weight besides."""
    known = json.loads(truth)
    terms = RewardTerms(**known["terms"])
    found = scored(
        answer,
        known["preference"],
        ties=known["ties"],
        critique=known["critique"],
        cut_off=cut_off,
        terms=terms,
        criterion=known["criterion"],
    )
    parts = {"format": found.format, "accuracy": found.accuracy}
    if terms.length:
        parts["length"] = found.length
    if terms.language:
        parts["language"] = found.language
    return found, parts
