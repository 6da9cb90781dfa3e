"""A drift that is made on purpose is seen within the stated number of outcomes, and a healthy market is left alone."""

import pytest

from bench.watch_study import HEALTHY_BARS, course, healthy_alarms, rule, shipped_model
from simulator.process import EDGE


@pytest.mark.parametrize("shrink", [1.0, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_an_edge_that_is_reversed_midway_leads_through_every_state_and_back(seed, shrink):
    """The bounds are those that docs/watching.md states for 200 markets, rounded up."""
    found = course(seed, predictor=rule(shrink), edge=-EDGE)
    assert not found.false_alarm
    assert 0 < found.warned < found.raised < found.abstained <= 200
    assert found.recovered <= 2000


def test_the_shipped_model_is_led_through_every_state_and_back_by_a_reversed_market():
    found = course(1, predictor=shipped_model(), edge=-EDGE)
    assert not found.false_alarm
    assert 0 < found.warned < found.raised < found.abstained <= 200
    assert found.recovered <= 2000


def test_an_edge_that_is_gone_is_seen_too_later():
    found = course(1, predictor=rule(0.8), edge=0.0)
    assert 0 < found.warned < found.raised < found.abstained <= 600


@pytest.mark.parametrize("shrink", [1.0, 0.8])
def test_a_market_that_stays_as_it_is_raises_no_alarm(shrink):
    assert [healthy_alarms(seed, predictor=rule(shrink), bars=2 * HEALTHY_BARS) for seed in range(5)] == [0] * 5
