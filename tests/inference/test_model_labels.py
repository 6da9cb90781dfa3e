"""Labels: what a prediction is right or wrong by, by hand and in general."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_kit import HOUR_MS, START_MS

from inference.core.bars import Bars
from inference.core.labels import DOWN, NONE, OPEN, SIGMA_RETURNS, UP, Labels, LabelSpec, label_bars, root_mean_square


def a_series(closes: Any, *, highs: Any = None, lows: Any = None, gap_before: int | None = None) -> Bars:
    """Hourly bars of these closes; one hour is missing before the row `gap_before`."""
    close = np.asarray(closes, np.float64)
    opened = np.concatenate((close[:1], close[:-1]))
    time = START_MS + HOUR_MS * np.arange(close.size)
    if gap_before is not None:
        time[gap_before:] += HOUR_MS
    return Bars(
        bar_seconds=3600,
        open_time_ms=time,
        open=opened,
        high=np.maximum(np.maximum(opened, close), close if highs is None else highs),
        low=np.minimum(np.minimum(opened, close), close if lows is None else lows),
        close=close,
        volume=np.ones(close.size),
    )


def direction(horizon: int) -> LabelSpec:
    return LabelSpec(kind="direction", horizon_bars=horizon)


def barriers(horizon: int, sigmas: float = 1.0) -> LabelSpec:
    return LabelSpec(kind="triple_barrier", horizon_bars=horizon, barrier_sigmas=sigmas)


def test_direction_compares_the_close_with_the_one_a_horizon_later() -> None:
    labels = label_bars(a_series([5, 6, 6, 4, 7]), direction(1))
    assert labels.values.tolist() == [UP, DOWN, DOWN, UP, OPEN]
    assert labels.end_row.tolist() == [1, 2, 3, 4, 4]
    labels = label_bars(a_series([5, 6, 6, 4, 7]), direction(3))
    assert labels.values.tolist() == [DOWN, UP, OPEN, OPEN, OPEN]
    assert labels.end_row.tolist() == [3, 4, 2, 3, 4]


def test_a_gap_inside_the_horizon_leaves_no_label() -> None:
    labels = label_bars(a_series([5, 6, 6, 4, 7, 8, 9], gap_before=3), direction(2))
    assert labels.values.tolist() == [UP, NONE, NONE, UP, UP, OPEN, OPEN]
    assert labels.end_row.tolist() == [2, 1, 2, 5, 6, 5, 6]


def test_too_short_a_series_is_open_throughout() -> None:
    for spec in (direction(5), barriers(5)):
        labels = label_bars(a_series([5, 6, 7]), spec)
        assert labels.end_row.tolist() == [0, 1, 2]
        assert set(labels.values.tolist()) <= {OPEN, NONE}
    assert label_bars(a_series([5, 6, 7]), direction(5)).values.tolist() == [OPEN] * 3


def zigzag(count: int = SIGMA_RETURNS + 1) -> list[float]:
    """Closes whose log returns are all 1 % up and down in turn, so that their root mean square is 1 %; ends at 100."""
    return [100.0 * math.exp(0.01 * ((count - 1 - row) % 2)) for row in range(count)]


ROW = SIGMA_RETURNS
"""The last row of the zigzag, the first one that has a barrier."""
WIDTH = 0.01 * math.sqrt(4)
"""The barrier's distance for a horizon of 4 bars and one standard deviation."""
ABOVE, BELOW = 100.0 * math.exp(WIDTH * 1.001), 100.0 * math.exp(-WIDTH * 1.001)


def after(
    closes: list[float], *, highs: dict[int, float] | None = None, lows: dict[int, float] | None = None
) -> Labels:
    """The labels of a zigzag that goes on with these closes; highs and lows by how many bars ahead they stand."""
    whole = np.array([*zigzag(), *closes])
    high, low = whole.copy(), whole.copy()
    for ahead, value in (highs or {}).items():
        high[ROW + ahead] = value
    for ahead, value in (lows or {}).items():
        low[ROW + ahead] = value
    return label_bars(a_series(whole, highs=high, lows=low), barriers(4))


def test_the_scale_of_the_barriers_is_the_root_mean_square_of_twenty_returns() -> None:
    scale = root_mean_square(a_series(zigzag()))
    assert np.isnan(scale[:ROW]).all()
    assert scale[ROW] == pytest.approx(0.01)


def test_the_first_barrier_that_is_touched_is_the_label_and_ends_it() -> None:
    labels = after([100, 100, 100, 99], highs={2: ABOVE}, lows={3: BELOW})
    assert (labels.values[ROW], labels.end_row[ROW]) == (UP, ROW + 2)
    labels = after([100, 100, 100, 101], lows={1: BELOW}, highs={2: ABOVE})
    assert (labels.values[ROW], labels.end_row[ROW]) == (DOWN, ROW + 1)


def test_a_barrier_counts_from_its_own_price_on_and_not_before() -> None:
    exactly, short = 100.0 * math.exp(WIDTH * (1 + 1e-9)), 100.0 * math.exp(WIDTH * (1 - 1e-9))
    assert after([100, 100, 100, 99], highs={2: exactly}).end_row[ROW] == ROW + 2
    labels = after([100, 100, 100, 99], highs={2: short})
    assert (labels.values[ROW], labels.end_row[ROW]) == (DOWN, ROW + 4)


def test_both_barriers_in_one_bar_leave_no_label_since_nobody_knows_which_came_first() -> None:
    labels = after([100, 100, 100, 101], highs={2: ABOVE}, lows={2: BELOW})
    assert (labels.values[ROW], labels.end_row[ROW]) == (NONE, ROW)


def test_the_direction_is_the_label_when_no_barrier_was_touched() -> None:
    labels = after([100, 100, 100, 100.5])
    assert (labels.values[ROW], labels.end_row[ROW]) == (UP, ROW + 4)
    assert after([100, 100, 100, 99.5]).values[ROW] == DOWN


def test_a_touch_is_known_before_the_horizon_ends_and_without_one_the_label_is_open() -> None:
    labels = after([100, 100], highs={2: ABOVE})
    assert (labels.values[ROW], labels.end_row[ROW]) == (UP, ROW + 2)
    assert after([100, 100]).values[ROW] == OPEN


def test_no_barrier_no_label() -> None:
    assert (label_bars(a_series(zigzag()), barriers(4)).values[:ROW] == NONE).all()


def test_a_touch_before_a_gap_counts_and_one_behind_it_does_not() -> None:
    whole = [*zigzag(), 100.0, ABOVE, 100.0, 100.0, 100.0]
    before = label_bars(a_series(whole, gap_before=ROW + 3), barriers(4))
    assert (before.values[ROW], before.end_row[ROW]) == (UP, ROW + 2)
    behind = label_bars(a_series(whole, gap_before=ROW + 2), barriers(4))
    assert (behind.values[ROW], behind.end_row[ROW]) == (NONE, ROW)


closes = st.lists(st.floats(min_value=50, max_value=200), min_size=2, max_size=70)
specs = st.builds(
    LabelSpec,
    kind=st.sampled_from(["direction", "triple_barrier"]),
    horizon_bars=st.integers(1, 6),
    barrier_sigmas=st.floats(0.2, 3),
)


@given(closes, specs, st.data())
def test_labels_of_a_prefix_are_those_of_the_whole_where_they_are_not_open(
    prices: list[float], spec: LabelSpec, data: st.DataObject
) -> None:
    gap = data.draw(st.none() | st.integers(1, len(prices) - 1))
    whole = a_series(prices, gap_before=gap)
    count = data.draw(st.integers(1, len(prices)))
    early, late = label_bars(whole.slice(0, count), spec), label_bars(whole, spec)
    known = early.values != OPEN
    assert np.array_equal(early.values[known], late.values[:count][known])
    assert np.array_equal(early.end_row[known], late.end_row[:count][known])
    assert (early.end_row < count).all()


@given(closes, specs)
def test_a_label_ends_within_its_horizon_and_only_a_known_one_looks_ahead(prices: list[float], spec: LabelSpec) -> None:
    labels = label_bars(a_series(prices), spec)
    ahead = labels.end_row - np.arange(len(prices))
    assert ((ahead >= 0) & (ahead <= spec.horizon_bars)).all()
    assert (ahead[labels.values == OPEN] == 0).all()
    assert (ahead[np.isin(labels.values, (UP, DOWN))] >= 1).all()
    assert set(labels.values.tolist()) <= {UP, DOWN, NONE, OPEN}


@given(closes, st.integers(1, 6), st.floats(min_value=0.1, max_value=10))
def test_labels_do_not_depend_on_the_unit_of_price_when_it_is_a_power_of_two(
    prices: list[float], horizon: int, sigmas: float
) -> None:
    one, other = a_series(prices), a_series([price * 4.0 for price in prices])
    for spec in (direction(horizon), barriers(horizon, sigmas)):
        assert np.array_equal(label_bars(one, spec).end_row, label_bars(other, spec).end_row)
