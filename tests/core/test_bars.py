"""Which bar stands for a moment."""

import pytest
from builders import BAR_MS, HOUR_MS, a_series

from gateway.core.bars import ARRIVAL_MS_MAX, is_fresh, last_closed_open_ms
from gateway.core.model import BarSeries

CLOSE_MS = BAR_MS + HOUR_MS


@pytest.mark.parametrize(
    ("at_ms", "open_ms"),
    [(CLOSE_MS - 1, BAR_MS - HOUR_MS), (CLOSE_MS, BAR_MS), (CLOSE_MS + HOUR_MS - 1, BAR_MS)],
    ids=["just before the close", "at the close", "just before the next close"],
)
def test_a_bar_has_closed_from_its_end_on(at_ms, open_ms):
    assert last_closed_open_ms(at_ms, 3600) == open_ms


@pytest.mark.parametrize(
    ("at_ms", "fresh"),
    [(CLOSE_MS, True), (CLOSE_MS + HOUR_MS + ARRIVAL_MS_MAX - 1, True), (CLOSE_MS + HOUR_MS + ARRIVAL_MS_MAX, False)],
    ids=["at its own close", "while the next may still arrive", "when the next should be here"],
)
def test_bars_are_fresh_until_the_next_one_should_be_here(at_ms, fresh):
    assert is_fresh(a_series(newest_open_ms=BAR_MS), at_ms) is fresh


def test_no_bars_are_not_fresh():
    assert not is_fresh(BarSeries(bar_seconds=3600, bars=()), CLOSE_MS)
