"""From a judge that compares two to one number for each of many: which pairs to ask, and strengths from the answers.

    Group ── a schedule ──▶ pairs ── judge ──▶ Compared ── Bradley-Terry ──▶ Ranking

    ranking = rank_responses(open_judge("generative:FOLDER"), prompt, responses, "The answer should be short.")
    ranking.rewards      # a number for each response, mean 0; None where nothing was found out
    ranking.calls        # comparisons that were asked; each order of a pair is one

Only responses to one prompt under one criterion meet. Groups are ranked side by side: what each asks next goes to the
judge together. No torch.
"""

from omnireward.ranking.groups import Compared, Group, Ranking, Strength
from omnireward.ranking.options import RankingOptions, most_calls
from omnireward.ranking.rank import rank_groups, rank_responses

__all__ = [
    "Compared",
    "Group",
    "Ranking",
    "RankingOptions",
    "Strength",
    "most_calls",
    "rank_groups",
    "rank_responses",
]
