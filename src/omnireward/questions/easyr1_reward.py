"""EasyR1's reward function: all answers of a batch at once."""

from __future__ import annotations

from omnireward.questions.truths import earned

REWARD_NAME = "omnireward_judge"
REWARD_TYPE = "batch"


def compute_score(reward_inputs: list[dict[str, object]], max_response_length: int = 0) -> list[dict[str, float]]:
    """What each answer earned: `overall`, which is trained on, and its terms.

    Args:
        reward_inputs: each with `response`, `response_length` in tokens, and `ground_truth`.
        max_response_length: an answer of so many tokens was cut off, and has no verdict; 0 if that is not known.
    """
    scores = []
    for each in reward_inputs:
        length = int(str(each.get("response_length", 0)))
        cut_off = 0 < max_response_length <= length
        found, parts = earned(str(each["response"]), str(each["ground_truth"]), cut_off)
        scores.append({"overall": found.reward, **parts})
    return scores
