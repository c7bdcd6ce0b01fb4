"""Losses as pure functions."""

from __future__ import annotations

import torch
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


def with_ties(log_probabilities: Tensor, tied: Tensor) -> Tensor:
    """Negative log-likelihood of pairs of which some are tied; equation 1 where no tie has any probability.

    Args:
        log_probabilities: (pairs, 3) float, of the chosen one's win, of a tie, and of the other's win.
        tied: (pairs,) bool, whether people called the pair a tie; else they chose the first.

    Returns:
        A scalar: the mean.

    >>> round(with_ties(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([True])).item(), 4)
    1.3863
    """
    return -torch.where(tied, log_probabilities[:, 1], log_probabilities[:, 0]).mean()
