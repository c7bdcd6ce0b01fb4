"""verl's reward function: one answer."""

from __future__ import annotations

from omnireward.questions.truths import earned


def compute_score(
    data_source: str,  # noqa: ARG001
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, object] | None = None,  # noqa: ARG001
    **more: object,  # noqa: ARG001
) -> dict[str, float]:
    """What an answer earned: `score`, which is trained on, and its terms; `acc` is what verl's validation reports.

    Args:
        data_source: not read.
        solution_str: the answer. verl does not say whether it was cut off; one that was seldom ends with a verdict.
        ground_truth: of the row.
        extra_info: not read.
        more: not read; verl adds arguments where it has a reward model of its own.
    """
    found, parts = earned(solution_str, ground_truth)
    return {"score": found.reward, "acc": found.accuracy, **parts}
