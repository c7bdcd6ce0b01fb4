"""Accuracy, ties, intervals, reliability, calibration, probabilities, differences, correlation, order, leaderboards.

Everything takes plain sequences, one entry per sample, and returns frozen values. A sample without a margin is None
wherever it is accepted: it is counted, never replaced by a number. numpy only; the leaderboard loads evalica when used.
"""

from omnireward.metrics.accuracy import AccuracyWithoutTies, accuracy_without_ties, agrees
from omnireward.metrics.bradley_terry import BradleyTerry, bradley_terry
from omnireward.metrics.calibration import Calibration, Measured, are_probabilities, calibration
from omnireward.metrics.correlation import Correlation, correlation, least_correlation
from omnireward.metrics.fitted_ties import CrossFittedTies, TieFit, cross_fitted_ties, fit_ties
from omnireward.metrics.intervals import (
    FEW_CLUSTERS,
    Interval,
    cluster_interval,
    macro_interval,
    t_quantile,
    wilson_interval,
)
from omnireward.metrics.leaderboard import Standing, clear_winner, leaderboard
from omnireward.metrics.order import Ballot, OrderEffects, Share, SwapEffects, order_effects
from omnireward.metrics.paired import (
    GroupDifference,
    PairedDifference,
    group_difference,
    holm,
    paired_difference,
    sign_flip,
)
from omnireward.metrics.probabilities import (
    PairProbabilities,
    davidson_probabilities,
    pair_probabilities,
    tie_log_odds,
)
from omnireward.metrics.reliability import Reliability, ReliabilityBin, reliability, win_probability
from omnireward.metrics.ties import CrossFit, TieCalibration, calibrate_ties, cross_fitted_accuracy

__all__ = [
    "FEW_CLUSTERS",
    "AccuracyWithoutTies",
    "Ballot",
    "BradleyTerry",
    "Calibration",
    "Correlation",
    "CrossFit",
    "CrossFittedTies",
    "GroupDifference",
    "Interval",
    "Measured",
    "OrderEffects",
    "PairProbabilities",
    "PairedDifference",
    "Reliability",
    "ReliabilityBin",
    "Share",
    "Standing",
    "SwapEffects",
    "TieCalibration",
    "TieFit",
    "accuracy_without_ties",
    "agrees",
    "are_probabilities",
    "bradley_terry",
    "calibrate_ties",
    "calibration",
    "clear_winner",
    "cluster_interval",
    "correlation",
    "cross_fitted_accuracy",
    "cross_fitted_ties",
    "davidson_probabilities",
    "fit_ties",
    "group_difference",
    "holm",
    "leaderboard",
    "least_correlation",
    "macro_interval",
    "order_effects",
    "pair_probabilities",
    "paired_difference",
    "reliability",
    "sign_flip",
    "t_quantile",
    "tie_log_odds",
    "wilson_interval",
    "win_probability",
]
