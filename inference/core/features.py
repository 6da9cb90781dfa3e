"""The features that a model may take, computed from bars: the one definition, in training and in serving alike.

With c, h, l, v the close, high, low and volume of a bar, r[t] = ln(c[t] / c[t-1]):

name            unit     formula                                                             defined from row
mom_20          percent  100 * (c[t] / c[t-20] - 1)                                          20
rv_5            percent  100 * sqrt(sum of the last 5 r^2): not annualised, mean kept        5
rsi_14          points   Wilder: 100 * G / (G + L), G and L the smoothed gain and loss       14
ret_1           percent  100 * (c[t] / c[t-1] - 1)                                           1
mom_5, mom_60   percent  as mom_20 over 5 and 60 bars                                        5, 60
rv_20           percent  as rv_5 over 20 returns                                             20
atr_14          percent  100 * Wilder's average true range / c                               14
macd_hist       percent  100 * (m - ema(m, 9)) / c, with m = ema(c, 12) - ema(c, 26)         33
ema_20_slope_5  percent  100 * (e[t] / e[t-5] - 1), with e = ema(c, 20)                      24
bb_pctb_20      ratio    (c - lower) / (upper - lower): mean of 20 closes +- 2 population    19
                         standard deviations
adx_14          points   Wilder's average directional index                                  27
stoch_k_14      points   100 * (c - lowest l of 14) / (highest h of 14 - lowest l of 14)     13
vol_z_20        sigmas   (v - mean) / sample standard deviation of the last 20 volumes       19
range_1         percent  100 * (h - l) / c                                                   0
hour_sin        ratio    sin(2 pi * hour / 24), hour of the day at which the bar opened, UTC 0
hour_cos        ratio    cos of the same                                                     0

ema(x, n) weighs the new value 2 / (n + 1); Wilder's smoothing weighs it 1 / n; both begin with the mean of the first n
values, the fast one of macd with that of rows 14 to 25, so that it begins with the slow one. Rows are NaN before they
are defined. Where a formula divides by nothing (a price or a volume that did not move) the feature takes its neutral
value: rsi 50, %b 0.5, stochastic 50, adx 0, volume 0.

Smoothed features depend on where the history began; after `HISTORY_BARS_MIN` bars by less than 1e-5 of their unit.
Other readings of "momentum" and "volatility" are in use elsewhere (a difference of prices, a standard deviation of
returns). They are other numbers; a model trained on these takes only these.

Sources: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978 (rsi, atr, adx); the seeding is TA-Lib's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import Bars, Series

HISTORY_BARS_MIN = 250
"""Bars of history that a row of features needs, whatever the feature."""

DAY_MS = 86_400_000
_PERCENT = 100.0
_WILDER = 14
_MACD = (12, 26, 9)
_BAND_WIDTH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature: its name, its unit, the first row where it is defined, and its formula."""

    name: str
    unit: str
    first_row: int
    compute: Callable[[Bars], Series]


def feature_matrix(bars: Bars, names: Sequence[str]) -> Series:
    """The named features of each bar, shape [bars, features]; NaN in warm-up rows. KeyError for an unknown name."""
    return np.column_stack([KNOWN[name].compute(bars) for name in names])


def last_row(bars: Bars, names: Sequence[str]) -> Mapping[str, float]:
    """The named features of the last bar. Raises ValueError when there are fewer than `HISTORY_BARS_MIN` bars."""
    if len(bars) < HISTORY_BARS_MIN:
        raise ValueError(f"{len(bars)} bars are too few: features need {HISTORY_BARS_MIN}")
    return {name: float(KNOWN[name].compute(bars)[-1]) for name in names}


def change(bars: int) -> Callable[[Bars], Series]:
    """The change of the close over so many bars, in percent."""

    def compute(given: Bars) -> Series:
        return _ratio_over(given.close, bars)

    return compute


def _ratio_over(values: Series, rows: int) -> Series:
    found = np.full(values.shape, np.nan)
    found[rows:] = _PERCENT * (values[rows:] / values[:-rows] - 1.0)
    return found


def realised_volatility(returns: int) -> Callable[[Bars], Series]:
    """The square root of the sum of the last squared log returns, in percent."""

    def compute(bars: Bars) -> Series:
        squares = np.square(np.diff(np.log(bars.close), prepend=np.nan))
        return _PERCENT * np.sqrt(_over_windows(squares, returns, np.sum))

    return compute


def rsi_14(bars: Bars) -> Series:
    """Wilder's relative strength index, in points from 0 to 100."""
    changes = np.diff(bars.close, prepend=np.nan)
    gain = wilder(np.maximum(changes, 0.0))
    loss = wilder(np.maximum(-changes, 0.0))
    return np.minimum(100.0, 100.0 * _divided(gain, gain + loss, neutral=0.5))  # rounding may pass 100 by one unit


def atr_14(bars: Bars) -> Series:
    """Wilder's average true range, in percent of the close."""
    return _PERCENT * wilder(_true_range(bars)) / bars.close


def macd_hist(bars: Bars) -> Series:
    """The MACD histogram, in percent of the close."""
    fast, slow, signal = _MACD
    late = np.concatenate((np.full(slow - fast, np.nan), bars.close[slow - fast :]))[: len(bars)]
    macd = ema(late, fast) - ema(bars.close, slow)
    return _PERCENT * (macd - ema(macd, signal)) / bars.close


def ema_20_slope_5(bars: Bars) -> Series:
    """The change of the 20-bar exponential mean over 5 bars, in percent."""
    return _ratio_over(ema(bars.close, 20), 5)


def bb_pctb_20(bars: Bars) -> Series:
    """Where the close stands between the Bollinger bands: 0 at the lower, 1 at the upper."""
    mean = _over_windows(bars.close, 20, np.mean)
    width = _BAND_WIDTH * _deviation(bars.close, 20)
    return _divided(bars.close - mean + width, 2.0 * width, neutral=0.5)


def adx_14(bars: Bars) -> Series:
    """Wilder's average directional index, in points from 0 to 100."""
    up = np.diff(bars.high, prepend=np.nan)
    down = -np.diff(bars.low, prepend=np.nan)
    trend = wilder_sum(_true_range(bars))
    rise = _divided(wilder_sum(np.where((up > down) & (up > 0.0), up, 0.0 * up)), trend, neutral=0.0)
    fall = _divided(wilder_sum(np.where((down > up) & (down > 0.0), down, 0.0 * down)), trend, neutral=0.0)
    return wilder(_divided(100.0 * np.abs(rise - fall), rise + fall, neutral=0.0))


def stoch_k_14(bars: Bars) -> Series:
    """Where the close stands between the lowest low and the highest high, in points: the fast %K."""
    lowest = _over_windows(bars.low, _WILDER, np.min)
    highest = _over_windows(bars.high, _WILDER, np.max)
    return 100.0 * _divided(bars.close - lowest, highest - lowest, neutral=0.5)


def vol_z_20(bars: Bars) -> Series:
    """How unusual the volume is, in standard deviations."""
    mean = _over_windows(bars.volume, 20, np.mean)
    spread = _deviation(bars.volume, 20) * np.sqrt(20.0 / 19.0)
    return _divided(bars.volume - mean, spread, neutral=0.0)


def range_1(bars: Bars) -> Series:
    """The bar's range, in percent of its close."""
    return _PERCENT * (bars.high - bars.low) / bars.close


def hour_sin(bars: Bars) -> Series:
    """The sine of the hour of the day."""
    return np.sin(_hour_angle(bars))


def hour_cos(bars: Bars) -> Series:
    """The cosine of the hour of the day."""
    return np.cos(_hour_angle(bars))


def ema(values: Series, rows: int) -> Series:
    """The exponential mean of so many rows."""
    return _smoothed(values, rows, 2.0 / (rows + 1))


def wilder(values: Series) -> Series:
    """Wilder's mean of 14 rows."""
    return _smoothed(values, _WILDER, 1.0 / _WILDER)


def wilder_sum(values: Series) -> Series:
    """Wilder's running sum of 14 rows as TA-Lib begins it, with the sum of the first 13 rows, in which it is moved on.

    Only ratios of such sums are used.
    """
    found = np.full(values.shape, np.nan)
    first = _first_finite(values)
    start = first + _WILDER - 1
    if start >= values.size:
        return found
    state = float(values[first:start].sum())
    for row, value in enumerate(values[start:].tolist(), start=start):
        state += value - state / _WILDER
        found[row] = state
    return found


def _smoothed(values: Series, rows: int, weight: float) -> Series:
    """Move state += weight * (value - state), begun with the mean of the first `rows` finite values."""
    found = np.full(values.shape, np.nan)
    first = _first_finite(values)
    start = first + rows
    if start > values.size:
        return found
    state = float(values[first:start].mean())
    smoothed = [state]
    for value in values[start:].tolist():
        state += weight * (value - state)
        smoothed.append(state)
    found[start - 1 :] = smoothed
    return found


def _first_finite(values: Series) -> int:
    finite = np.isfinite(values)
    return int(np.argmax(finite)) if finite.any() else values.size


def _over_windows(values: Series, rows: int, reduce: Callable[..., Series]) -> Series:
    """A reduction of the last `rows` values of each row; NaN where there are fewer."""
    found = np.full(values.shape, np.nan)
    if values.size >= rows:
        found[rows - 1 :] = reduce(np.lib.stride_tricks.sliding_window_view(values, rows), axis=1)
    return found


def _deviation(values: Series, rows: int) -> Series:
    """The population standard deviation of the last `rows` values; nothing, not a rounding error, where all are one."""
    one = _over_windows(values, rows, np.max) == _over_windows(values, rows, np.min)
    return np.where(one, 0.0, _over_windows(values, rows, np.std))


def _true_range(bars: Bars) -> Series:
    before = np.concatenate(([np.nan], bars.close[:-1]))
    return np.maximum(bars.high, before) - np.minimum(bars.low, before)


def _hour_angle(bars: Bars) -> Series:
    turned: Series = 2.0 * np.pi * (bars.open_time_ms % DAY_MS) / DAY_MS
    return turned


def _divided(part: Series, whole: Series, *, neutral: float) -> Series:
    """The quotient, `neutral` where the whole is nothing; NaN stays NaN."""
    nothing: NDArray[np.bool_] = np.abs(whole) <= np.finfo(np.float64).tiny
    return np.where(nothing, neutral, part / np.where(nothing, 1.0, whole))


KNOWN: Mapping[str, Feature] = MappingProxyType(
    {
        feature.name: feature
        for feature in (
            Feature(name="mom_20", unit="percent", first_row=20, compute=change(20)),
            Feature(name="rv_5", unit="percent", first_row=5, compute=realised_volatility(5)),
            Feature(name="rsi_14", unit="points", first_row=14, compute=rsi_14),
            Feature(name="ret_1", unit="percent", first_row=1, compute=change(1)),
            Feature(name="mom_5", unit="percent", first_row=5, compute=change(5)),
            Feature(name="mom_60", unit="percent", first_row=60, compute=change(60)),
            Feature(name="rv_20", unit="percent", first_row=20, compute=realised_volatility(20)),
            Feature(name="atr_14", unit="percent", first_row=14, compute=atr_14),
            Feature(name="macd_hist", unit="percent", first_row=33, compute=macd_hist),
            Feature(name="ema_20_slope_5", unit="percent", first_row=24, compute=ema_20_slope_5),
            Feature(name="bb_pctb_20", unit="ratio", first_row=19, compute=bb_pctb_20),
            Feature(name="adx_14", unit="points", first_row=27, compute=adx_14),
            Feature(name="stoch_k_14", unit="points", first_row=13, compute=stoch_k_14),
            Feature(name="vol_z_20", unit="sigmas", first_row=19, compute=vol_z_20),
            Feature(name="range_1", unit="percent", first_row=0, compute=range_1),
            Feature(name="hour_sin", unit="ratio", first_row=0, compute=hour_sin),
            Feature(name="hour_cos", unit="ratio", first_row=0, compute=hour_cos),
        )
    }
)
"""Every feature that a card may name."""

DOCUMENTED = ("mom_20", "rv_5", "rsi_14")
"""The three features of the documented calls."""

EXTENDED = tuple(KNOWN)
"""All of them."""
