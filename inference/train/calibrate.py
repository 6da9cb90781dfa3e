"""Calibration: how the log odds l of the consensus become the probability that is stated.

temperature  rise = sigmoid(slope * l): one slope, fitted by log loss
sigmoid      rise = sigmoid(slope * l + bias): Platt's two parameters, fitted by log loss

The fitted slope is cut at 1, so that an unusually easy stretch never sharpens; with sigmoid the bias is then fitted
again for the cut slope. Both are multiplied by the recipe's shrink: on real hourly bars a fitted slope promised too
much in later months. The rows it is fitted to are newer than the members' and older than all that is measured
(inference/train/walk.py).

Sources: Platt 1999; Guo, Pleiss, Sun and Weinberger 2017 (temperature).
"""

from dataclasses import dataclass

import numpy as np

from inference.core.bars import Series
from inference.core.consensus import calibrated, confidence, logit
from inference.train.members import Labels
from inference.train.recipe import Method

_SLOPE_LOW, _SLOPE_HIGH = 0.01, 4.0
_BIAS_MAX = 2.0
_ODDS_MAX = 500.0
_SEARCH_STEPS = 60  # halving four this often is beyond double precision
_ROUNDS = 40  # of fitting slope and bias in turn; each round shrinks the error many times over


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fitted calibration."""

    method: Method
    slope: float
    """What serves, in (0, 1]."""
    bias: float
    fitted_slope: float
    """With the least log loss, before it was cut and shrunk."""
    shrink: float

    def rise(self, prob_long: Series) -> Series:
        """The calibrated probability of a rise."""
        return calibrated(prob_long, self.slope, self.bias)

    def confidence(self, prob_long: Series) -> Series:
        """The calibrated probability that the side which the consensus favours is right."""
        return confidence(prob_long, self.slope, self.bias)


def fit_calibration(prob_long: Series, up: Labels, method: Method, shrink: float) -> Calibration:
    """The calibration of the consensus `prob_long`, shape [rows], fitted to the labels."""
    odds = logit(prob_long)
    fitted, bias = (fitted_slope(odds, up), 0.0) if method == "temperature" else _slope_and_bias(odds, up)
    cut = min(fitted, 1.0)
    if method == "sigmoid" and cut < fitted:
        bias = _fitted_bias(odds, up, cut)
    return Calibration(method=method, slope=shrink * cut, bias=shrink * bias, fitted_slope=fitted, shrink=shrink)


def fitted_slope(odds: Series, up: Labels, bias: float = 0.0) -> float:
    """The slope on the log odds with the least log loss, by bisection of its derivative (the loss is convex)."""
    low, high = _SLOPE_LOW, _SLOPE_HIGH
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2.0
        gradient = float(np.mean(odds * (sigmoid(middle * odds + bias) - up)))
        low, high = (low, middle) if gradient > 0.0 else (middle, high)
    return (low + high) / 2.0


def _fitted_bias(odds: Series, up: Labels, slope: float) -> float:
    low, high = -_BIAS_MAX, _BIAS_MAX
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2.0
        gradient = float(np.mean(sigmoid(slope * odds + middle) - up))
        low, high = (low, middle) if gradient > 0.0 else (middle, high)
    return (low + high) / 2.0


def _slope_and_bias(odds: Series, up: Labels) -> tuple[float, float]:
    slope, bias = 1.0, 0.0
    for _ in range(_ROUNDS):
        bias = _fitted_bias(odds, up, slope)
        slope = fitted_slope(odds, up, bias)
    return slope, bias


def sigmoid(values: Series) -> Series:
    """Log odds to probabilities; beyond `_ODDS_MAX` either way nothing changes but the exponential overflows."""
    return 1.0 / (1.0 + np.exp(-np.clip(values, -_ODDS_MAX, _ODDS_MAX)))
