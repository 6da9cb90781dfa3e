"""The features: against hand-made numbers, against outside libraries, and in general."""

import itertools
import math

import numpy as np
import pyarrow.csv
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from market_bars import market_bars
from market_kit import HOUR_MS, START_MS, a_market, bars

from inference.core.bars import Bars
from inference.core.features import (
    DOCUMENTED,
    EXTENDED,
    HISTORY_BARS_MIN,
    KNOWN,
    feature_matrix,
    last_row,
    rsi_14,
)
from inference.train.bars import simulated_market

FIXTURES = (
    "btcusdt_1h_binance_2018-02_with_34h_gap",
    "btcusdt_1h_bybit_2022-06_crash",
    "btcusdt_5m_binanceum_2023-08-17_flash",
)
FIXTURE_OF = {
    "mom_20": ("mom_20", 100.0),
    "rv_5": ("rv_5", 100.0),
    "rsi_14": ("rsi_14", 1.0),
    "ret_1": ("ret_1", 100.0),
    "mom_5": ("mom_5", 100.0),
    "atr_14": ("atr_14_pct", 100.0),
    "ema_20_slope_5": ("ema20_slope_5", 100.0),
    "bb_pctb_20": ("bb_pctb_20", 1.0),
    "adx_14": ("adx_14", 1.0),
    "stoch_k_14": ("stoch_k_14", 1.0),
    "vol_z_20": ("vol_z_20_ddof1", 1.0),
    "range_1": ("range_pct", 100.0),
}
"""Our features and the fixtures' columns that define the same: the fixtures have ratios where ours are percent."""


def of_closes(closes: object, volume: object = None) -> Bars:
    """Bars that moved straight from close to close."""
    close = np.asarray(closes, np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    return Bars(
        bar_seconds=3600,
        open_time_ms=START_MS + HOUR_MS * np.arange(close.size),
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        close=close,
        volume=np.ones(close.size) if volume is None else np.asarray(volume, np.float64),
    )


def values(name: str, of: Bars) -> np.ndarray:
    return KNOWN[name].compute(of)


def gaps(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far values lie from what is expected, in parts of it; only where both are defined."""
    both = np.isfinite(found) & np.isfinite(expected)
    assert both.sum() >= 400
    return np.abs(found[both] - expected[both]) / np.maximum(1.0, np.abs(expected[both]))


@pytest.mark.parametrize("name", FIXTURES)
def test_features_agree_with_outside_libraries_on_real_bars(name: str) -> None:
    table = pyarrow.csv.read_csv(market_bars(f"fixtures/{name}.csv"))
    column = {key: table.column(key).to_numpy() for key in table.column_names}
    steps = np.diff(column["open_time_ms"])
    prices = {key: column[key].astype(np.float64) for key in ("open", "high", "low", "close", "volume")}
    given_bars = Bars(bar_seconds=int(steps.min()) // 1000, open_time_ms=column["open_time_ms"], **prices)
    for feature, (theirs, factor) in FIXTURE_OF.items():
        expected = factor * column[theirs].astype(np.float64)
        found = values(feature, given_bars)
        assert gaps(found, expected).max() <= 1e-6, feature
        first = int(np.argmax(np.isfinite(expected)))
        assert np.isnan(found[:first]).all(), feature
        assert np.isfinite(found[first:]).all(), feature
    assert set(EXTENDED) - set(FIXTURE_OF) == {"mom_60", "rv_20", "macd_hist", "hour_sin", "hour_cos"}
    histogram = 100.0 * column["macd_hist"].astype(np.float64) / prices["close"]
    assert gaps(values("macd_hist", given_bars), histogram).max() <= 1e-6


@pytest.fixture(scope="module")
def simulated() -> Bars:
    return simulated_market(symbol="BTCUSDT", seed=11, count=2_000).bars


def test_features_agree_with_ta_lib_on_simulated_bars_from_their_first_row(simulated: Bars) -> None:
    high, low, close, volume = simulated.high, simulated.low, simulated.close, simulated.volume
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    mean, spread = talib.SMA(volume, 20), talib.STDDEV(volume, 20) * math.sqrt(20 / 19)
    ema, returns = talib.EMA(close, 20), np.diff(np.log(close), prepend=np.nan)
    fast_k, _ = talib.STOCHF(high, low, close, fastk_period=14, fastd_period=1)
    expected = {
        "mom_20": 100 * talib.ROCP(close, 20),
        "mom_5": 100 * talib.ROCP(close, 5),
        "mom_60": 100 * talib.ROCP(close, 60),
        "ret_1": 100 * talib.ROCP(close, 1),
        "rsi_14": talib.RSI(close, 14),
        "atr_14": 100 * talib.ATR(high, low, close, 14) / close,
        "macd_hist": 100 * talib.MACD(close, 12, 26, 9)[2] / close,
        "adx_14": talib.ADX(high, low, close, 14),
        "stoch_k_14": fast_k,
        "bb_pctb_20": (close - lower) / (upper - lower),
        "ema_20_slope_5": 100 * (ema / np.concatenate((np.full(5, np.nan), ema[:-5])) - 1),
        "vol_z_20": (volume - mean) / spread,
        "rv_5": 100 * np.sqrt(5 * talib.SMA(np.nan_to_num(returns**2), 5)),
        "rv_20": 100 * np.sqrt(20 * talib.SMA(np.nan_to_num(returns**2), 20)),
    }
    assert np.isfinite(middle[19:]).all()
    assert set(EXTENDED) - set(expected) == {"range_1", "hour_sin", "hour_cos"}
    for name, theirs in expected.items():
        assert gaps(values(name, simulated), theirs).max() <= 1e-6, name


def test_the_last_bars_alone_give_the_features_of_the_whole_history(simulated: Bars) -> None:
    whole = feature_matrix(simulated, EXTENDED)
    worst = dict.fromkeys(EXTENDED, 0.0)
    for end in range(1_000, 2_001, 50):
        row = last_row(simulated.slice(end - HISTORY_BARS_MIN, end), EXTENDED)
        worst = {name: max(worst[name], abs(row[name] - whole[end - 1, at])) for at, name in enumerate(EXTENDED)}
    assert {name: gap for name, gap in worst.items() if gap >= 1e-5} == {}


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(ValueError, match="249 bars are too few: features need 250"):
        last_row(bars(a_market(249)), DOCUMENTED)
    assert set(last_row(bars(a_market(250)), DOCUMENTED)) == set(DOCUMENTED)


def test_an_unknown_feature_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="luck"):
        feature_matrix(bars(a_market(30)), ("luck",))


def test_mom_20_is_the_percent_change_over_twenty_bars() -> None:
    found = values("mom_20", of_closes([100.0] * 20 + [103.0]))
    assert np.isnan(found[:20]).all()
    assert found[20] == pytest.approx(3.0)


def test_rv_5_is_the_root_of_the_sum_of_five_squared_log_returns_in_percent() -> None:
    closes = [100.0, 101.0, 100.0, 102.0, 101.0, 103.0]
    returns = [math.log(b / a) for a, b in itertools.pairwise(closes)]
    found = values("rv_5", of_closes(closes))
    assert np.isnan(found[:5]).all()
    assert found[5] == pytest.approx(100 * math.sqrt(sum(r * r for r in returns)))


def test_rsi_14_starts_with_a_plain_mean_and_goes_on_as_wilder_says() -> None:
    changes = [1.0, -0.5] * 7 + [2.0]
    gain, loss = 7.0 / 14, 3.5 / 14
    rsi = rsi_14(of_closes(np.cumsum([50.0, *changes])))
    assert np.isnan(rsi[:14]).all()
    assert rsi[14] == pytest.approx(100 * gain / (gain + loss))
    gain, loss = (13 * gain + 2.0) / 14, 13 * loss / 14
    assert rsi[15] == pytest.approx(100 * gain / (gain + loss))


def test_the_hour_is_that_at_which_the_bar_opened_on_a_circle() -> None:
    series = bars(a_market(48))
    assert (values("hour_sin", series)[6], values("hour_cos", series)[6]) == pytest.approx((1.0, 0.0), abs=1e-12)
    assert (values("hour_sin", series)[24], values("hour_cos", series)[24]) == pytest.approx((0.0, 1.0), abs=1e-12)


@pytest.mark.parametrize("price", [7.0, 0.1, 46_414.22])
def test_a_market_that_never_moved_has_the_neutral_values(price: float) -> None:
    found = last_row(of_closes([price] * 300, [0.1] * 300), EXTENDED)
    neutral = {"rsi_14": 50.0, "bb_pctb_20": 0.5, "stoch_k_14": 50.0}
    moving = {name: value for name, value in found.items() if name not in {"hour_sin", "hour_cos"}}
    assert moving == dict.fromkeys(moving, 0.0) | neutral


def test_a_price_that_only_rose_has_an_rsi_of_one_hundred() -> None:
    assert rsi_14(of_closes(np.arange(1.0, 30.0)))[-1] == 100.0


def test_rounding_never_lifts_an_rsi_over_one_hundred() -> None:
    assert max(rsi_14(of_closes([50.0] * 14 + [50.0 + rise / 7]))[-1] for rise in range(1, 500)) == 100.0


def test_a_short_history_defines_nothing_that_needs_one() -> None:
    found = feature_matrix(of_closes([1.0, 2.0]), EXTENDED)[-1]
    defined = {name for name, value in zip(EXTENDED, found, strict=True) if np.isfinite(value)}
    assert defined == {name for name in EXTENDED if KNOWN[name].first_row <= 1}


@st.composite
def markets(draw: st.DrawFn, least: int = 62, most: int = 140) -> Bars:
    """Any bars: prices far apart or the same, volumes of nothing or much."""
    count = draw(st.integers(least, most))
    price = st.floats(min_value=0.01, max_value=1e6)
    closes = np.array(draw(st.lists(price, min_size=count, max_size=count)))
    reach = np.array(draw(st.lists(st.floats(0, 0.5), min_size=count, max_size=count)))
    volume = draw(st.lists(st.sampled_from([0.0, 1.0, 250.0, 1e6]), min_size=count, max_size=count))
    plain = of_closes(closes, volume)
    return Bars(
        bar_seconds=3600,
        open_time_ms=plain.open_time_ms,
        open=plain.open,
        high=plain.high * (1 + reach),
        low=plain.low * (1 - reach),
        close=closes,
        volume=plain.volume,
    )


@given(markets())
def test_features_are_finite_in_range_and_defined_from_their_first_row(series: Bars) -> None:
    for feature in KNOWN.values():
        found = feature.compute(series)
        assert found.shape == (len(series),)
        assert np.isnan(found[: feature.first_row]).all(), feature.name
        assert np.isfinite(found[feature.first_row :]).all(), feature.name
    for name in ("rsi_14", "stoch_k_14", "adx_14"):
        found = values(name, series)[KNOWN[name].first_row :]
        assert ((found >= 0.0) & (found <= 100.0 + 1e-9)).all(), name
    for name in ("rv_5", "rv_20", "atr_14", "range_1"):
        assert (values(name, series)[KNOWN[name].first_row :] >= 0.0).all(), name


@given(markets(), st.sampled_from([0.125, 0.5, 4.0, 64.0]))
def test_features_do_not_depend_on_the_unit_of_price(series: Bars, factor: float) -> None:
    scaled = Bars(
        bar_seconds=3600,
        open_time_ms=series.open_time_ms,
        open=series.open * factor,
        high=series.high * factor,
        low=series.low * factor,
        close=series.close * factor,
        volume=series.volume,
    )
    here, there = feature_matrix(series, EXTENDED)[-1], feature_matrix(scaled, EXTENDED)[-1]
    assert np.allclose(here, there, rtol=1e-6, atol=1e-6)


@given(markets())
def test_a_feature_never_looks_ahead(series: Bars) -> None:
    whole, part = feature_matrix(series, EXTENDED)[-2], feature_matrix(series.slice(0, len(series) - 1), EXTENDED)[-1]
    assert np.allclose(whole, part, rtol=1e-12, atol=1e-9, equal_nan=True)


def test_the_extended_set_holds_the_documented_one() -> None:
    assert set(DOCUMENTED) < set(EXTENDED)
    assert EXTENDED[:3] == DOCUMENTED
    assert max(feature.first_row for feature in KNOWN.values()) < HISTORY_BARS_MIN
