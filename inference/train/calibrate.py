"""Calibration of the consensus, and the figures that tell how well it holds on later data.

Method: temperature, one slope on the log odds, fitted by log loss on the calibrate slice; never above 1
(an unusually easy stretch must not sharpen), then times `SHRINK`. On real hourly bars a fitted slope promised too much
in later months and this shrink cured it; on a market that does not age it makes the confidence modest by a few points.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from inference.core.consensus import confidence, favours_long, logit, tempered

SHRINK = 0.8
METHOD = (
    "temperature: one slope on the log odds of the members' mean, fitted by log loss on the calibration slice, "
    f"capped at 1 so that it never sharpens, then shrunk by {SHRINK}"
)
CONFIDENT = 0.6
_ECE_BINS = 15
_SLOPE_LOW, _SLOPE_HIGH = 0.01, 4.0
_SEARCH_STEPS = 60  # halving four this often is beyond double precision


def fitted_slope(prob_long: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """The slope on the log odds with the least log loss, by bisection of its derivative (the loss is convex)."""
    odds = logit(prob_long)
    low, high = _SLOPE_LOW, _SLOPE_HIGH
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2.0
        gradient = float(np.mean(odds * (1.0 / (1.0 + np.exp(-middle * odds)) - y)))
        low, high = (low, middle) if gradient > 0.0 else (middle, high)
    return (low + high) / 2.0


def confidence_slope(prob_long: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """The slope that serves: the fitted one, never sharpening, shrunk."""
    return SHRINK * min(fitted_slope(prob_long, y), 1.0)


def figures(prob_long: NDArray[np.float64], y: NDArray[np.int64], slope: float) -> dict[str, float]:
    """Figures on a slice that nothing was fitted on; `prob_long` and `y` have shape [rows].

    Brier, log loss and calibration slope are those of the calibrated probability of a rise; ece is that of the
    confidence, in 15 bins of equal mass; "_raw" figures are those of the plain consensus. A calibration slope
    above 1 is modest.
    """
    calibrated = tempered(prob_long, slope)
    stated = confidence(prob_long, slope)
    hits = favours_long(prob_long) == (y == 1)
    sure = stated >= CONFIDENT
    found = {
        "n": y.size,
        "base_rate": y.mean(),
        "auc": roc_auc_score(y, prob_long),
        "brier": brier_score_loss(y, calibrated),
        "log_loss": log_loss(y, calibrated),
        "ece": _ece(stated, hits),
        "calibration_slope": _calibration_slope(calibrated, y),
        "brier_raw": brier_score_loss(y, prob_long),
        "log_loss_raw": log_loss(y, prob_long),
        "calibration_slope_raw": _calibration_slope(prob_long, y),
        "hit_rate": hits.mean(),
        "coverage_at_0.6": sure.mean(),
        "hit_rate_at_0.6": hits[sure].mean() if sure.any() else 0.0,
        "mean_confidence_at_0.6": stated[sure].mean() if sure.any() else 0.0,
    }
    return {name: round(float(value), 6) for name, value in found.items()}


def _ece(stated: NDArray[np.float64], hits: NDArray[np.bool_]) -> float:
    order = np.argsort(stated, kind="stable")
    gaps = [abs(stated[rows].mean() - hits[rows].mean()) * rows.size for rows in np.array_split(order, _ECE_BINS)]
    return float(sum(gaps) / stated.size)


def _calibration_slope(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    model = LogisticRegression(C=np.inf).fit(logit(probabilities).reshape(-1, 1), y)
    return float(model.coef_[0, 0])
