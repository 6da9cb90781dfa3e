"""Bars: what is none is refused when it is made."""

import numpy as np
import pytest
from market_kit import HOUR_MS, START_MS, a_market, bars

from inference.core.bars import Bars, BarsFaultError


def test_bars_know_how_many_they_are_and_can_be_cut() -> None:
    whole = bars(a_market(50))
    part = whole.slice(10, 30)
    assert (len(whole), len(part), part.bar_seconds) == (50, 20, 3600)
    assert np.array_equal(part.close, whole.close[10:30])
    assert int(part.open_time_ms[0]) == START_MS + 10 * HOUR_MS
    assert len(whole.slice(5, 5)) == 0


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("close", np.nan, "close of bar 7 is not a finite number"),
        ("volume", np.inf, "volume of bar 7 is not a finite number"),
        ("open", 0.0, "open of bar 7 is not positive"),
        ("low", -1.0, "low of bar 7 is not positive"),
        ("volume", -0.5, "volume of bar 7 is negative"),
        ("high", 1.0, "open or close of bar 7 lies outside its low and high"),
        ("low", 1e9, "open or close of bar 7 lies outside its low and high"),
        ("time", START_MS + 1, "open_time_ms of bar 7 is no whole multiple of 3600 s"),
        ("time", START_MS + 6 * HOUR_MS, "open_time_ms of bar 7 does not rise"),
        ("time", START_MS, "open_time_ms of bar 7 does not rise"),
    ],
)
def test_a_fault_is_named_with_its_bar(name: str, value: float, said: str) -> None:
    columns = a_market(20)
    columns[name][7] = value
    with pytest.raises(BarsFaultError, match=said):
        bars(columns)


def test_columns_of_different_lengths_and_shapes_and_a_step_of_nothing_are_refused() -> None:
    columns = a_market(20)
    with pytest.raises(BarsFaultError, match="volume has 19 values where open_time_ms has 20"):
        bars(columns | {"volume": columns["volume"][1:]})
    with pytest.raises(BarsFaultError, match="not one row"):
        bars({name: values.reshape(4, 5) for name, values in columns.items()})
    prices = {name: columns[name] for name in ("open", "high", "low", "close", "volume")}
    with pytest.raises(BarsFaultError, match="bar_seconds is 0, not positive"):
        Bars(bar_seconds=0, open_time_ms=columns["time"], **prices)


def test_a_gap_and_a_bar_without_a_trade_are_bars() -> None:
    columns = a_market(20)
    columns["time"][10:] += 5 * HOUR_MS
    columns["volume"][3] = 0.0
    assert len(bars(columns)) == 20
