"""The statistics of the evidence: shares, means and calibration, each with its interval of 95 %.

Outcomes near each other in time share their market, and horizons that overlap share bars. So every interval over
outcomes is made of blocks of consecutive time that are long against the horizon: a block bootstrap for means (H. R.
Kunsch, Annals of Statistics 17, 1989), and the sum of each block's score for the slope (K.-Y. Liang and S. L. Zeger,
"Longitudinal data analysis using generalized linear models", Biometrika 73, 1986). A share of independent orders has
Wilson's interval (figures.py).

The bootstrap draws from a generator that its caller seeds: the same history gives the same figures.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from gateway.core.figures import NORMAL_95, Interval
from gateway.core.logistic import log_odds, sigmoid, slope_of

BLOCK_HORIZONS: Final = 4
"""A block spans so many horizons: what its ends share with its neighbours is a small part of it."""
BLOCKS_MAX: Final = 120
"""More blocks than this are joined: an interval gains nothing from them, and takes longer."""
BLOCKS_MIN: Final = 20
"""With fewer blocks no interval is told: it would be too short."""
RESAMPLES: Final = 400

_WORD: Final = 2**64 - 1
_PROBABILITY_MIN: Final = 1e-6
_FLAT: Final = 1e-9
"""Below this share of its square no slope can be told: all log odds are alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One matured decision that came out right or wrong, in figures."""

    at_ms: int
    """When its bar opened."""
    horizon_ms: int
    confidence: float
    is_long: bool
    """Whether a rise was favoured."""
    right: bool
    volatility: float | None
    """The realised volatility that its features had; None when they had none."""
    trend: float | None
    """The momentum that its features had; None when they had none."""

    @property
    def prob_rise(self) -> float:
        """The probability of a rise that was stated, kept off 0 and 1."""
        stated = self.confidence if self.is_long else 1.0 - self.confidence
        return min(max(stated, _PROBABILITY_MIN), 1.0 - _PROBABILITY_MIN)

    @property
    def rose(self) -> bool:
        """What happened."""
        return self.right is self.is_long


def blocks_of(outcomes: Sequence[Scored]) -> list[list[Scored]]:
    """Outcomes, oldest first, in blocks of consecutive time: each spans BLOCK_HORIZONS, or more, so that few remain."""
    if not outcomes:
        return []
    first = outcomes[0].at_ms
    longest = max(outcome.horizon_ms for outcome in outcomes)
    span = max(BLOCK_HORIZONS * longest, (outcomes[-1].at_ms - first) // BLOCKS_MAX + 1, 1)
    return [list(block) for _, block in groupby(outcomes, key=lambda outcome: (outcome.at_ms - first) // span)]


def bootstrap_mean(blocks: Sequence[tuple[float, int]], seed: int) -> Interval:
    """The mean of what blocks of (sum, count) hold, with the middle 95 % of the means of resampled blocks."""
    total, count = math.fsum(block[0] for block in blocks), sum(block[1] for block in blocks)
    draws = _draws(seed, len(blocks))
    means = sorted(_resampled(blocks, draws) for _ in range(RESAMPLES))
    cut = round(RESAMPLES * 0.025)
    return Interval(value=total / count, low=means[cut], high=means[-1 - cut])


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of independent values, with its normal interval; of two or more."""
    count = len(values)
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = NORMAL_95 * math.sqrt(variance / count)
    return Interval(value=mean, low=mean - half, high=mean + half)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def gap_interval(blocks: Sequence[Sequence[Scored]], seed: int) -> Interval:
    """Mean confidence less hit rate: above 0 the model promises too much."""
    sums = [(math.fsum(outcome.confidence - outcome.right for outcome in block), len(block)) for block in blocks]
    return bootstrap_mean(sums, seed)


def resolution_interval(blocks: Sequence[Sequence[Scored]], seed: int) -> Interval:
    """By how much the mean Brier score is better than that of one who always states the share of rises seen."""
    outcomes = [outcome for block in blocks for outcome in block]
    base = sum(outcome.rose for outcome in outcomes) / len(outcomes)
    sums = [
        (math.fsum((base - o.rose) ** 2 - (o.prob_rise - o.rose) ** 2 for o in block), len(block)) for block in blocks
    ]
    return bootstrap_mean(sums, seed)


def slope_interval(blocks: Sequence[Sequence[Scored]]) -> Interval:
    """The slope of what happened on the log odds that were stated; its variance is that of the blocks' scores."""
    outcomes = [outcome for block in blocks for outcome in block]
    xs, ys = [log_odds(outcome.prob_rise) for outcome in outcomes], [outcome.rose for outcome in outcomes]
    slope = slope_of(xs, ys)
    intercept = _intercept(xs, ys, slope)
    scores = [_score(block, intercept, slope) for block in blocks]
    weights = [chance * (1.0 - chance) for chance in (sigmoid(intercept + slope * x) for x in xs)]
    h00, h01 = math.fsum(weights), math.fsum(w * x for w, x in zip(weights, xs, strict=True))
    h11 = math.fsum(w * x * x for w, x in zip(weights, xs, strict=True))
    determinant = h00 * h11 - h01 * h01
    if determinant <= _FLAT * h00 * h00:
        return Interval(value=slope, low=-math.inf, high=math.inf)
    # The slope's row of the inverse second derivatives, applied to each block's score.
    pulls = [(h00 * s1 - h01 * s0) / determinant for s0, s1 in scores]
    half = NORMAL_95 * math.sqrt(math.fsum(pull * pull for pull in pulls))
    return Interval(value=slope, low=slope - half, high=slope + half)


def _score(block: Sequence[Scored], intercept: float, slope: float) -> tuple[float, float]:
    s0 = s1 = 0.0
    for outcome in block:
        x = log_odds(outcome.prob_rise)
        miss = outcome.rose - sigmoid(intercept + slope * x)
        s0 += miss
        s1 += miss * x
    return s0, s1


def _intercept(xs: Sequence[float], ys: Sequence[bool], slope: float) -> float:
    """The intercept that is likeliest with this slope, by Newton's method; it has one root and no trap."""
    intercept = 0.0
    for _ in range(20):
        chances = [sigmoid(intercept + slope * x) for x in xs]
        gradient = math.fsum(y - chance for y, chance in zip(ys, chances, strict=True))
        curvature = math.fsum(chance * (1.0 - chance) for chance in chances)
        if curvature <= 0.0 or abs(gradient) < 1e-9 * len(xs):
            break
        intercept += gradient / curvature
    return intercept


def _resampled(blocks: Sequence[tuple[float, int]], draws: Iterator[int]) -> float:
    total, count = 0.0, 0
    for _ in blocks:
        block = blocks[next(draws)]
        total += block[0]
        count += block[1]
    return total / count


def _draws(seed: int, count: int) -> Iterator[int]:
    """Numbers below `count`, evenly (G. L. Steele, D. Lea and C. H. Flood, "SplitMix", OOPSLA 2014)."""
    state = seed & _WORD
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _WORD
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _WORD
        yield ((mixed ^ (mixed >> 31)) * count) >> 64
