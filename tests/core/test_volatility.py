"""The exponentially weighted covariance of bars against its definition, and what it refuses."""

import math
import random

import pytest
from builders import BAR_MS, a_bar

from gateway.core.facts import VolatilityFacts
from gateway.core.model import BarSeries, Symbol
from gateway.core.volatility import DECAY, RETURNS_MIN, covariance, volatility_facts

HOUR_MS = 3_600_000
HOURS_OF_YEAR = 365 * 24
A, B = Symbol("A"), Symbol("B")


def series(returns, *, first_ms=BAR_MS, bar_seconds=3600):
    closes = [100.0]
    for one in returns:
        closes.append(closes[-1] * math.exp(one))
    bars = tuple(
        a_bar(open_time_ms=first_ms + number * bar_seconds * 1000, close=close) for number, close in enumerate(closes)
    )
    return BarSeries(bar_seconds=bar_seconds, bars=bars)


def weighted(products):
    """sum of 0.94^i x products, the newest first, over the sum of the weights."""
    weights = [0.94**age for age in range(len(products))]
    return sum(weight * one for weight, one in zip(weights, reversed(products), strict=True)) / sum(weights)


def test_steady_moves_have_their_own_size_as_volatility():
    moves = [0.01 * (-1) ** number for number in range(RETURNS_MIN)]
    assert math.sqrt(covariance(series(moves), series(moves))) == pytest.approx(0.01 * math.sqrt(HOURS_OF_YEAR))


def test_the_covariance_is_the_weighted_mean_of_products_annualised_by_the_bars_of_a_year():
    chance = random.Random(7)  # noqa: S311 - no secret
    left = [chance.gauss(0, 0.01) for _ in range(200)]
    right = [one / 2 + chance.gauss(0, 0.005) for one in left]
    expected = weighted([one * other for one, other in zip(left, right, strict=True)]) * HOURS_OF_YEAR
    assert covariance(series(left), series(right)) == pytest.approx(expected)
    assert DECAY == 0.94
    daily = covariance(series(left, bar_seconds=86_400), series(right, bar_seconds=86_400))
    assert daily == pytest.approx(expected / 24)


def test_only_so_many_of_the_newest_returns_count():
    quiet, wild = [0.001] * 250, [0.5]
    assert covariance(series(wild + quiet), series(wild + quiet)) == covariance(series(quiet), series(quiet))


def test_seventy_four_returns_are_enough_and_one_less_is_not():
    enough = series([0.01] * 74)
    assert covariance(enough, enough) is not None
    short = series([0.01] * 73)
    assert covariance(short, short) is None
    assert covariance(short, enough) is None


def test_returns_over_a_gap_and_of_no_price_do_not_count():
    whole = series([0.01] * 80)
    gap = BarSeries(bar_seconds=3600, bars=whole.bars[:40] + whole.bars[41:])
    assert covariance(gap, gap) == pytest.approx(covariance(whole, whole))
    zero = BarSeries(
        bar_seconds=3600, bars=(*whole.bars[:4], a_bar(open_time_ms=whole.bars[4].open_time_ms, close=0.0))
    )
    assert covariance(zero, zero) is None
    assert covariance(zero, whole) is None


def test_bars_are_matched_by_their_time_and_must_be_of_one_length():
    late = series([0.01] * 80, first_ms=BAR_MS + 10 * HOUR_MS)
    assert covariance(series([0.01] * 80), late) is None
    assert covariance(series([0.01] * 90), late) == pytest.approx(covariance(late, late))
    assert covariance(late, series([0.01] * 80, bar_seconds=60)) is None


def test_numbers_that_overflow_are_not_told():
    wild = BarSeries(
        bar_seconds=3600,
        bars=tuple(a_bar(open_time_ms=BAR_MS + n * HOUR_MS, close=math.inf if n % 2 else 1.0) for n in range(90)),
    )
    assert covariance(wild, wild) is None


COVARIANCES = {(A, A): 0.25, (B, B): 0.04, (A, B): 0.05, (B, A): 0.05}


def known(one, other):
    return COVARIANCES.get((one, other))


def test_the_account_is_the_sum_over_all_pairs():
    facts = volatility_facts(A, {A: 1000.0, B: -2000.0}, known)
    assert facts == VolatilityFacts(
        symbol=0.5,
        portfolio_usd=pytest.approx(math.sqrt(1000**2 * 0.25 + 2000**2 * 0.04 - 2 * 1000 * 2000 * 0.05)),
        shared_usd=pytest.approx(1000 * 0.25 - 2000 * 0.05),
    )


def test_an_account_that_holds_nothing_has_the_symbol_alone():
    assert volatility_facts(A, {}, known) == VolatilityFacts(symbol=0.5, portfolio_usd=0.0, shared_usd=0.0)


def test_a_variance_that_rounding_took_below_zero_is_none_at_all():
    perfect = {(A, A): 0.1, (B, B): 0.1, (A, B): 0.1 + 1e-9, (B, A): 0.1 + 1e-9}
    facts = volatility_facts(A, {A: 1000.0, B: -1000.0}, lambda one, other: perfect[one, other])
    assert facts.portfolio_usd == 0.0


@pytest.mark.parametrize("missing", [(A, A), (A, B), (B, B), (B, A)])
def test_a_covariance_that_is_missing_leaves_all_unknown(missing):
    def partly(one, other):
        return None if (one, other) == missing else known(one, other)

    assert volatility_facts(A, {A: 1000.0, B: -2000.0}, partly) is None


def test_a_symbol_that_does_not_move_is_not_known():
    assert volatility_facts(A, {}, lambda _one, _other: 0.0) is None
