"""Labels: what a prediction is right or wrong by; one definition for training and for judging live decisions.

Both kinds look `horizon_bars` ahead from the close of bar t, over bars that follow each other without a gap:

direction       up when close[t + horizon] > close[t], else down
triple_barrier  up when the price first touches close[t] * exp(+w), down when it first touches close[t] * exp(-w), with
                w = barrier_sigmas * s * sqrt(horizon), s the root mean square of the last 20 log returns up to t; when
                it touches neither, as direction

A label is never known ("none") when the market had a gap inside the horizon, and when one bar touched both barriers,
since nobody can tell which came first. It is "open" while the bars do not reach to the end of the horizon; a
barrier that was touched ends it early.

Source of the triple barrier: M. Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 3.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import MS, Bars, Series

Kind = Literal["direction", "triple_barrier"]

UP, DOWN, NONE, OPEN = 1, 0, -1, -2
"""The values of `Labels.values`."""

SIGMA_RETURNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """Which label."""

    kind: Kind
    horizon_bars: int
    barrier_sigmas: float = 1.0
    """The barriers' distance in standard deviations of the horizon; of triple_barrier alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The label of each bar."""

    values: NDArray[np.int8]
    """UP, DOWN, NONE or OPEN."""
    end_row: NDArray[np.int64]
    """The last row that the label looks at, for purging; the row itself for NONE and OPEN."""


def label_bars(bars: Bars, spec: LabelSpec) -> Labels:
    """The label of each bar."""
    count, ahead = len(bars), spec.horizon_bars
    rows = np.arange(count)
    values = np.full(count, OPEN, np.int8)
    end_row = rows.copy()
    reached = max(0, count - ahead)
    ends = rows[:reached] + ahead
    rose = bars.close[ends] > bars.close[:reached]
    whole = bars.open_time_ms[ends] - bars.open_time_ms[:reached] == ahead * bars.bar_seconds * MS
    values[:reached] = np.where(whole, np.where(rose, UP, DOWN), NONE)
    end_row[:reached] = np.where(whole, ends, rows[:reached])
    if spec.kind == "triple_barrier":
        _touch(bars, spec, values, end_row)
    return Labels(values=values, end_row=end_row)


def _touch(bars: Bars, spec: LabelSpec, values: NDArray[np.int8], end_row: NDArray[np.int64]) -> None:
    """Put the first touch of a barrier in the place of the direction, in each row that has no gap up to it."""
    width = spec.barrier_sigmas * root_mean_square(bars) * np.sqrt(spec.horizon_bars)
    upper, lower = bars.close * np.exp(width), bars.close * np.exp(-width)
    waiting = np.isfinite(width)
    values[~waiting] = NONE
    for ahead in range(1, spec.horizon_bars + 1):
        reached = max(0, len(bars) - ahead)
        rows = np.flatnonzero(waiting[:reached])
        rows = rows[bars.open_time_ms[rows + ahead] - bars.open_time_ms[rows] == ahead * bars.bar_seconds * MS]
        above, below = bars.high[rows + ahead] >= upper[rows], bars.low[rows + ahead] <= lower[rows]
        touched = above | below
        hit = rows[touched]
        values[hit] = np.where(above & below, NONE, np.where(above, UP, DOWN))[touched]
        end_row[hit] = hit + ahead
        waiting[hit] = False
    end_row[values == NONE] = np.flatnonzero(values == NONE)


def root_mean_square(bars: Bars) -> Series:
    """The root mean square of the last `SIGMA_RETURNS` log returns of each bar; NaN before there are as many."""
    found = np.full(len(bars), np.nan)
    if len(bars) > SIGMA_RETURNS:
        squares = np.square(np.diff(np.log(bars.close)))
        windows = np.lib.stride_tricks.sliding_window_view(squares, SIGMA_RETURNS)
        found[SIGMA_RETURNS:] = np.sqrt(windows.mean(axis=1))
    return found
