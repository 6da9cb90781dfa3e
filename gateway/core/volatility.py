"""Volatility and covariance from closed bars: exponentially weighted, as RiskMetrics has them.

cov_t = DECAY * cov_t-1 + (1 - DECAY) * r_a,t * r_b,t over logarithmic returns of bars that follow each other, their
mean taken to be zero; the weights are made to sum to one over the returns that there are. Annualised by the bars of a
year of 365 days. Source: J.P. Morgan/Reuters, RiskMetrics Technical Document, 4th ed. 1996, chapter 5: DECAY 0.94, and
74 returns so that what lies before them has less than 1 % of the weight. RiskMetrics takes daily returns; these are of
the bars that the gateway keeps, so that the estimate remembers about as many bars as RiskMetrics does days.
"""

import itertools
import math
from collections.abc import Callable, Mapping

from gateway.core.facts import VolatilityFacts
from gateway.core.model import BarSeries, Symbol

DECAY = 0.94

RETURNS_MIN = 74
"""DECAY to this power is less than 1 %."""

RETURNS_MAX = 250
"""Older returns have less than a millionth of the weight."""

YEAR_SECONDS = 365 * 86_400

Covariance = Callable[[Symbol, Symbol], float | None]


def covariance(one: BarSeries, other: BarSeries) -> float | None:
    """The annual covariance of two symbols' returns; None when it cannot be told."""
    if one.bar_seconds != other.bar_seconds:
        return None
    left, right = _returns(one), _returns(other)
    shared = sorted(left.keys() & right.keys())[-RETURNS_MAX:]
    if len(shared) < RETURNS_MIN:
        return None
    total = weight = 0.0
    for at_ms in shared:
        total = DECAY * total + (1 - DECAY) * left[at_ms] * right[at_ms]
        weight = DECAY * weight + (1 - DECAY)
    found = total / weight * YEAR_SECONDS / one.bar_seconds
    return found if math.isfinite(found) else None


def volatility_facts(
    symbol: Symbol, held_usd: Mapping[Symbol, float], covariances: Covariance
) -> VolatilityFacts | None:
    """The symbol's volatility beside what is held; None when a covariance that is needed cannot be told."""
    variance = covariances(symbol, symbol)
    if variance is None or variance <= 0:
        return None
    shared, portfolio = 0.0, 0.0
    for one, one_usd in held_usd.items():
        with_symbol = covariances(symbol, one)
        if with_symbol is None:
            return None
        shared += one_usd * with_symbol
        for other, other_usd in held_usd.items():
            between = covariances(one, other)
            if between is None:
                return None
            portfolio += one_usd * other_usd * between
    return VolatilityFacts(symbol=math.sqrt(variance), portfolio_usd=math.sqrt(max(0.0, portfolio)), shared_usd=shared)


def _returns(series: BarSeries) -> dict[int, float]:
    """Logarithmic returns by the opening time of the later bar; none over a gap, nor of a price that is no price."""
    span_ms = series.bar_seconds * 1_000
    bars = series.bars[-(RETURNS_MAX + 1) :]
    return {
        later.open_time_ms: math.log(later.close / earlier.close)
        for earlier, later in itertools.pairwise(bars)
        if later.open_time_ms - earlier.open_time_ms == span_ms and _is_price(earlier.close) and _is_price(later.close)
    }


def _is_price(close: float) -> bool:
    return 0 < close < math.inf
