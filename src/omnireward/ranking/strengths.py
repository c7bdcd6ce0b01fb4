"""Calls become strengths: shares are soft counts of wins, and only what is connected has numbers.

Responses that no chain of verdicts connects cannot be told apart: a number for each would be made up. So the part with
the most responses has strengths, and the others have none. Of parts of one size it is that with the first response.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnireward.metrics.bradley_terry import bradley_terry
from omnireward.ranking.groups import REFERENCE, Compared, Group, Ranking, Strength
from omnireward.ranking.parts import parts_of
from omnireward.ranking.players import Players


def ranking_of(group: Group, players: Players, compared: Sequence[Compared]) -> Ranking:
    """Strengths of the responses whose numbers stand in `compared`."""
    found = _strengths(players, compared)
    reasons = [players.unreadable.get(number, "") for number in range(len(group.responses))]
    silent = next((one.error for one in compared if one.error), "") or "the judge gave no verdict."
    for number, reason in enumerate(reasons):
        if number not in found and not reason:
            reasons[number] = _reason(number, players, compared, silent)
    strengths = tuple(found.get(number) for number in range(len(group.responses)))
    return Ranking(strengths, tuple(reasons), found.get(REFERENCE), tuple(compared))


def _strengths(players: Players, compared: Sequence[Compared]) -> dict[int, Strength]:
    """Of responses by their number, and of the reference."""
    count, copies = len(players.members), players.copies
    if count == 1 and len(players.members[0]) > 1:  # equal responses are equally good: known without a question
        return dict.fromkeys(players.members[0], Strength(0.0, 0.0))
    player_of = {number: player for player, members in enumerate(players.members) for number in members}
    wins = np.zeros((count, count))
    for one in compared:
        if one.share is not None:
            first, second = player_of[one.first], player_of[one.second]
            wins[first, second] += one.share
            wins[second, first] += 1 - one.share
    parts = [part for part in parts_of(wins) if len(part) > 1]
    if not parts:
        return {}
    part = max(parts, key=lambda each: (sum(copies[p] for p in each), -min(_first(players, p) for p in each)))
    fitted = bradley_terry(wins[np.ix_(part, part)], weights=[copies[player] for player in part])
    values = zip(part, fitted.strengths.tolist(), fitted.standard_errors.tolist(), strict=True)
    return {number: Strength(value, error) for player, value, error in values for number in players.members[player]}


def _first(players: Players, player: int) -> int:
    """The number of a player's first response; of a reference alone, one behind all."""
    numbers = [number for number in players.members[player] if number != REFERENCE]
    return min(numbers, default=sum(players.copies))


def _reason(number: int, players: Players, compared: Sequence[Compared], silent: str) -> str:
    if len(players.members) < 2:
        return "there is no other response to the same prompt that it could be compared with."
    mates = next(members for members in players.members if number in members)
    own = [one for one in compared if one.first in mates or one.second in mates]
    if any(one.share is not None for one in own):
        return "no chain of verdicts connects it with most of the others, so its place among them is not known."
    return f"none of its {len(own)} comparisons has a verdict: {next((o.error for o in own if o.error), '') or silent}"
