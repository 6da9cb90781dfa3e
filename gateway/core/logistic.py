"""Logistic regression in one variable, by Newton's method: for the calibration slope, and for recalibrating."""

import math
from collections.abc import Sequence
from typing import Final

STEPS_MAX: Final = 30
"""Newton's method doubles its digits with each step; what has not settled by then is separated or flat."""

SETTLED: Final = 1e-9

SLOPE_BOUND: Final = 20.0
"""A slope beyond this is told as this: the outcomes can be told apart without an error, and no slope fits best."""


def log_odds(probability: float) -> float:
    """The logit; the probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def sigmoid(value: float) -> float:
    """The probability of log odds, for a value of any size."""
    if value >= 0.0:
        return 1.0 / (1.0 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1.0 + grown)


def slope_of(xs: Sequence[float], ys: Sequence[bool]) -> float:
    """The slope of y on x by likelihood, with an intercept; within SLOPE_BOUND, 0 when all x are alike."""
    intercept = slope = 0.0
    for _ in range(STEPS_MAX):
        gradient, curvature = _derivatives(xs, ys, intercept, slope)
        (g0, g1), (h00, h01, h11) = gradient, curvature
        determinant = h00 * h11 - h01 * h01
        if determinant <= SETTLED * h00 * h00:
            return slope if abs(slope) < SLOPE_BOUND else math.copysign(SLOPE_BOUND, slope)
        step0, step1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        intercept, slope = intercept + step0, slope + step1
        if abs(slope) >= SLOPE_BOUND:
            return math.copysign(SLOPE_BOUND, slope)
        if abs(step0) + abs(step1) < SETTLED:
            break
    return slope


def scale_of(xs: Sequence[float], ys: Sequence[bool], *, prior_mean: float, prior_sd: float) -> float:
    """The factor on x, without an intercept, that is likeliest given y and a normal prior on the factor."""
    precision = 1.0 / (prior_sd * prior_sd)
    scale = prior_mean
    for _ in range(STEPS_MAX):
        chances = [sigmoid(scale * x) for x in xs]
        gradient = math.fsum(x * (y - p) for x, y, p in zip(xs, ys, chances, strict=True))
        curvature = math.fsum(x * x * p * (1.0 - p) for x, p in zip(xs, chances, strict=True))
        step = (gradient - precision * (scale - prior_mean)) / (curvature + precision)
        scale += step
        if abs(step) < SETTLED:
            break
    return scale


def _derivatives(
    xs: Sequence[float], ys: Sequence[bool], intercept: float, slope: float
) -> tuple[tuple[float, float], tuple[float, float, float]]:
    """The gradient of the log likelihood, and the second derivatives with their sign turned."""
    g0 = g1 = h00 = h01 = h11 = 0.0
    for x, y in zip(xs, ys, strict=True):
        chance = sigmoid(intercept + slope * x)
        miss, weight = y - chance, chance * (1.0 - chance)
        g0 += miss
        g1 += miss * x
        h00 += weight
        h01 += weight * x
        h11 += weight * x * x
    return (g0, g1), (h00, h01, h11)
