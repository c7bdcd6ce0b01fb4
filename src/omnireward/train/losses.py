"""Losses as pure functions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Bradley-Terry loss (paper section 4.1, equation 1): the mean of -log sigmoid(r_chosen - r_rejected).

    Args:
        chosen: (pairs,) float, rewards of the preferred responses.
        rejected: (pairs,) float, rewards of the others, in the same order.

    Returns:
        A scalar, in fp32; log 2 where the rewards are equal.

    >>> import torch
    >>> round(bradley_terry(torch.zeros(3), torch.zeros(3)).item(), 4)
    0.6931
    """
    return -F.logsigmoid(chosen.float() - rejected.float()).mean()
