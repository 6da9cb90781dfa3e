"""The features that a model may take, computed from closing prices.

Each function takes the closes of consecutive bars, oldest first, and returns an array of the
same length: NaN while the feature is not yet defined (its warm-up), a finite number after it.

mom_20  percent   100 * (c[t] / c[t-20] - 1)                                   defined from row 20
rv_5    percent   100 * sqrt(sum of the last 5 squared log returns)            defined from row 5
rsi_14  points    Wilder: 100 * G / (G + L), where G and L are the average     defined from row 14
                  gain and loss, first the mean of 14 changes, then
                  (13 * average + change) / 14

A price that never moved has no gain and no loss; its RSI is 50, the neutral point.
An RSI from a short history is wrong by points: give at least `RSI_BARS_MIN` bars.

Two further readings of "momentum" and "volatility" are in use elsewhere (a difference of prices,
a standard deviation of returns). They are other numbers; a model trained on these takes only these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

RSI_BARS_MIN = 250
"""Bars of history after which Wilder's RSI no longer depends on where the history began (within 2e-6 points)."""

_MOM_BARS = 20
_RV_RETURNS = 5
_RSI_PERIOD = 14
_RSI_FLAT = 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature: its name, its unit, the first row where it is defined, and its formula."""

    name: str
    unit: str
    first_row: int
    compute: Callable[[Series], Series]


def mom_20(closes: Series) -> Series:
    """The change of the price over 20 bars, in percent."""
    values = np.full(closes.shape, np.nan)
    values[_MOM_BARS:] = 100.0 * (closes[_MOM_BARS:] / closes[:-_MOM_BARS] - 1.0)
    return values


def rv_5(closes: Series) -> Series:
    """The realised volatility of the last 5 returns, in percent; not annualised, mean not removed."""
    values = np.full(closes.shape, np.nan)
    if closes.size > _RV_RETURNS:
        squares = np.square(np.diff(np.log(closes)))
        windows = np.lib.stride_tricks.sliding_window_view(squares, _RV_RETURNS)
        values[_RV_RETURNS:] = 100.0 * np.sqrt(windows.sum(axis=1))
    return values


def rsi_14(closes: Series) -> Series:
    """Wilder's relative strength index over 14 bars, in points from 0 to 100."""
    values = np.full(closes.shape, np.nan)
    if closes.size <= _RSI_PERIOD:
        return values
    changes = np.diff(closes)
    gains = np.maximum(changes, 0.0).tolist()
    losses = np.maximum(-changes, 0.0).tolist()
    gain = sum(gains[:_RSI_PERIOD]) / _RSI_PERIOD
    loss = sum(losses[:_RSI_PERIOD]) / _RSI_PERIOD
    values[_RSI_PERIOD] = _rsi_of(gain, loss)
    for row in range(_RSI_PERIOD, len(gains)):
        gain = ((_RSI_PERIOD - 1) * gain + gains[row]) / _RSI_PERIOD
        loss = ((_RSI_PERIOD - 1) * loss + losses[row]) / _RSI_PERIOD
        values[row + 1] = _rsi_of(gain, loss)
    return values


def _rsi_of(gain: float, loss: float) -> float:
    moved = gain + loss
    return min(100.0, 100.0 * gain / moved) if moved > 0.0 else _RSI_FLAT  # rounding may pass 100 by one unit


KNOWN: Mapping[str, Feature] = MappingProxyType(
    {
        feature.name: feature
        for feature in (
            Feature(name="mom_20", unit="percent", first_row=_MOM_BARS, compute=mom_20),
            Feature(name="rv_5", unit="percent", first_row=_RV_RETURNS, compute=rv_5),
            Feature(name="rsi_14", unit="points", first_row=_RSI_PERIOD, compute=rsi_14),
        )
    }
)
"""Every feature that a card may name."""


def feature_matrix(closes: Sequence[float] | Series, names: Sequence[str]) -> Series:
    """The named features of each bar, shape [bars, features]; NaN in warm-up rows.

    Raises ValueError when a close is not a finite, positive number, KeyError for an unknown name.
    """
    series = np.asarray(closes, dtype=np.float64)
    if series.ndim != 1 or not np.isfinite(series).all() or (series <= 0.0).any():
        raise ValueError("closes must be one row of finite, positive prices")
    return np.column_stack([KNOWN[name].compute(series) for name in names])
