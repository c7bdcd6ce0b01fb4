"""Accuracy, tie calibration, intervals and reliability of margins. numpy only.

Everything takes plain sequences, one entry per sample, and returns frozen values. A sample without a margin is None
wherever it is accepted: it is counted, never replaced by a number.
"""

from omnireward.metrics.accuracy import AccuracyWithoutTies, accuracy_without_ties, agrees
from omnireward.metrics.intervals import (
    FEW_CLUSTERS,
    Interval,
    cluster_interval,
    macro_interval,
    t_quantile,
    wilson_interval,
)
from omnireward.metrics.reliability import Reliability, ReliabilityBin, reliability, win_probability
from omnireward.metrics.ties import CrossFit, TieCalibration, calibrate_ties, cross_fitted_accuracy

__all__ = [
    "FEW_CLUSTERS",
    "AccuracyWithoutTies",
    "CrossFit",
    "Interval",
    "Reliability",
    "ReliabilityBin",
    "TieCalibration",
    "accuracy_without_ties",
    "agrees",
    "calibrate_ties",
    "cluster_interval",
    "cross_fitted_accuracy",
    "macro_interval",
    "reliability",
    "t_quantile",
    "wilson_interval",
    "win_probability",
]
