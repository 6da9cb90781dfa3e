"""The features: against hand-made numbers, against two outside libraries, and in general."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.core.features import KNOWN, feature_matrix, mom_20, rsi_14, rv_5

FIXTURES = Path(__file__).parents[3] / "shared" / "data" / "market" / "fixtures"
FILES = sorted(FIXTURES.glob("*.csv"))
CONVERGED_ROW = 300

prices = st.lists(st.floats(min_value=0.01, max_value=1e6), min_size=21, max_size=120)


def relative_gap(value: float, expected: float) -> float:
    return abs(value - expected) / max(1.0, abs(expected))


@pytest.mark.skipif(not FILES, reason="the fixtures of ../shared/data/market are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_features_agree_with_two_outside_libraries(path: Path) -> None:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    matrix = feature_matrix([float(row["close"]) for row in rows], ("mom_20", "rv_5", "rsi_14"))
    compared = 0
    for place, row in enumerate(rows):
        mom, rv, rsi = matrix[place]
        if place >= CONVERGED_ROW:
            assert relative_gap(mom / 100, float(row["mom_20"])) <= 1e-6
            assert relative_gap(rv / 100, float(row["rv_5"])) <= 1e-6
        if place >= 14:
            assert relative_gap(rsi, float(row["rsi_14"])) <= 1e-6
            compared += 1
    assert compared >= 500


def test_mom_20_is_the_percent_change_over_twenty_bars() -> None:
    closes = np.array([100.0] * 20 + [103.0])
    assert np.isnan(mom_20(closes)[:20]).all()
    assert mom_20(closes)[20] == pytest.approx(3.0)


def test_rv_5_is_the_root_of_the_sum_of_five_squared_log_returns_in_percent() -> None:
    closes = np.array([100.0, 101.0, 100.0, 102.0, 101.0, 103.0])
    returns = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    assert np.isnan(rv_5(closes)[:5]).all()
    assert rv_5(closes)[5] == pytest.approx(100 * math.sqrt(sum(r * r for r in returns)))


def test_rsi_14_starts_with_a_plain_mean_and_goes_on_as_wilder_says() -> None:
    changes = [1.0, -0.5] * 7 + [2.0]
    closes = np.cumsum([50.0, *changes])
    gain, loss = 7.0 / 14, 3.5 / 14
    rsi = rsi_14(closes)
    assert np.isnan(rsi[:14]).all()
    assert rsi[14] == pytest.approx(100 * gain / (gain + loss))
    gain, loss = (13 * gain + 2.0) / 14, 13 * loss / 14
    assert rsi[15] == pytest.approx(100 * gain / (gain + loss))


def test_a_price_that_never_moved_has_no_momentum_no_volatility_and_an_rsi_of_fifty() -> None:
    assert feature_matrix([7.0] * 30, ("mom_20", "rv_5", "rsi_14"))[-1].tolist() == [0.0, 0.0, 50.0]


def test_a_price_that_only_rose_has_an_rsi_of_one_hundred() -> None:
    assert rsi_14(np.arange(1.0, 30.0))[-1] == 100.0


def test_rounding_never_lifts_an_rsi_over_one_hundred() -> None:
    assert max(rsi_14(np.array([50.0] * 14 + [50.0 + rise / 7]))[-1] for rise in range(1, 500)) == 100.0


def test_a_short_history_defines_nothing() -> None:
    assert np.isnan(feature_matrix([1.0, 2.0], ("mom_20", "rv_5", "rsi_14"))).all()


@pytest.mark.parametrize("close", [0.0, -1.0, math.nan, math.inf])
def test_a_close_that_is_no_price_is_refused(close: float) -> None:
    with pytest.raises(ValueError, match="finite, positive"):
        feature_matrix([1.0, close], ("rv_5",))


@given(prices)
def test_features_are_finite_in_range_and_defined_from_their_first_row(closes: list[float]) -> None:
    series = np.array(closes)
    for feature in KNOWN.values():
        values = feature.compute(series)
        assert np.isnan(values[: feature.first_row]).all()
        assert np.isfinite(values[feature.first_row :]).all()
    rsi = rsi_14(series)[14:]
    assert ((rsi >= 0) & (rsi <= 100)).all()
    assert (rv_5(series)[5:] >= 0).all()


@given(prices, st.floats(min_value=0.1, max_value=10))
def test_features_do_not_depend_on_the_unit_of_price(closes: list[float], factor: float) -> None:
    names = tuple(KNOWN)
    here, there = feature_matrix(closes, names)[-1], feature_matrix([c * factor for c in closes], names)[-1]
    assert np.allclose(here, there, rtol=1e-6, atol=1e-6)


@given(prices)
def test_a_feature_never_looks_ahead(closes: list[float]) -> None:
    names = tuple(KNOWN)
    whole = feature_matrix(closes, names)[-2]
    assert np.allclose(whole, feature_matrix(closes[:-1], names)[-1], rtol=1e-12, atol=1e-9, equal_nan=True)
