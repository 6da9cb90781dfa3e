"""Bars: what features and labels are computed from, in training and in serving alike.

A bar is named by the moment at which it opened, and known when it has closed. A gap is an outage of the
market: the bars around it are neighbours all the same, so that features run across it row by row; a label never does
(inference/core/labels.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
MS = 1000


class BarsFaultError(ValueError):
    """Columns that are no bars; says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """Closed bars of one market, oldest first, as columns of equal length; checked when made.

    Prices are in quote currency, finite and positive, and no close or open lies outside its bar's low and high.
    Volumes are in base currency, finite and not negative. Opening times rise and are whole multiples of `bar_seconds`.
    """

    bar_seconds: int
    open_time_ms: NDArray[np.int64]
    open: Series
    high: Series
    low: Series
    close: Series
    volume: Series

    def __post_init__(self) -> None:
        fault = _fault(self)
        if fault:
            raise BarsFaultError(fault)

    def __len__(self) -> int:
        return int(self.open_time_ms.size)

    def slice(self, start: int, stop: int) -> "Bars":
        """The bars of the rows from `start` to before `stop`."""
        return Bars(
            bar_seconds=self.bar_seconds,
            open_time_ms=self.open_time_ms[start:stop],
            open=self.open[start:stop],
            high=self.high[start:stop],
            low=self.low[start:stop],
            close=self.close[start:stop],
            volume=self.volume[start:stop],
        )


def _fault(bars: Bars) -> str:  # noqa: PLR0911 - one for each fault
    """What is wrong with the columns; empty when nothing is."""
    if bars.bar_seconds <= 0:
        return f"bar_seconds is {bars.bar_seconds}, not positive"
    if bars.open_time_ms.ndim != 1:
        return "open_time_ms is not one row"
    for name in (*PRICES, "volume"):
        column: Series = getattr(bars, name)
        if column.shape != bars.open_time_ms.shape:
            return f"{name} has {column.size} values where open_time_ms has {bars.open_time_ms.size}"
        if not np.isfinite(column).all():
            return f"{name} of bar {_first(~np.isfinite(column))} is not a finite number"
    for name in PRICES:
        if (getattr(bars, name) <= 0.0).any():
            return f"{name} of bar {_first(getattr(bars, name) <= 0.0)} is not positive"
    if (bars.volume < 0.0).any():
        return f"volume of bar {_first(bars.volume < 0.0)} is negative"
    outside = (np.maximum(bars.open, bars.close) > bars.high) | (np.minimum(bars.open, bars.close) < bars.low)
    if outside.any():
        return f"open or close of bar {_first(outside)} lies outside its low and high"
    return _time_fault(bars)


def _time_fault(bars: Bars) -> str:
    odd = bars.open_time_ms % (bars.bar_seconds * MS) != 0
    if odd.any():
        return f"open_time_ms of bar {_first(odd)} is no whole multiple of {bars.bar_seconds} s"
    falls = np.diff(bars.open_time_ms) <= 0
    return f"open_time_ms of bar {_first(falls) + 1} does not rise" if falls.any() else ""


def _first(marks: NDArray[np.bool_]) -> int:
    return int(np.argmax(marks))
