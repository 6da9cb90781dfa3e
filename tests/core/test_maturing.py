"""From a decision and its label to an outcome."""

import pytest
from builders import BAR_MS, a_decision

from gateway.core.maturing import direction, matured_of, verdict_of
from gateway.core.model import Bar, BarLabel, BarSeries, Signal, Verdict

HOUR_MS = 3_600_000


def series(*closes, gap_after=None):
    """Hourly bars from BAR_MS on; one is missing after `gap_after`."""
    places = [n if gap_after is None or n <= gap_after else n + 1 for n in range(len(closes))]
    bars = [
        Bar(open_time_ms=BAR_MS + n * HOUR_MS, open=close, high=close, low=close, close=close, volume=1.0)
        for n, close in zip(places, closes, strict=True)
    ]
    return BarSeries(bar_seconds=3600, bars=bars)


@pytest.mark.parametrize(
    ("bars", "hours", "label"),
    [
        (series(100, 101), 1, BarLabel.UP),
        (series(100, 99), 1, BarLabel.DOWN),
        (series(100, 100), 1, BarLabel.DOWN),  # as in training: what did not rise is down
        (series(100, 90, 80, 110), 3, BarLabel.UP),
        (series(100), 1, BarLabel.OPEN),
        (series(100, 90, 80), 3, BarLabel.OPEN),
        (series(), 1, BarLabel.OPEN),
        (series(100, 90, 110, gap_after=1), 3, BarLabel.NONE),
        (series(100, 90, 110, gap_after=0), 1, BarLabel.NONE),
        (series(100, 90, 110, gap_after=1), 2, BarLabel.NONE),
    ],
)
def test_the_direction_is_that_of_the_closes_over_the_horizon(bars, hours, label):
    assert direction(bars, BAR_MS, hours * 3600) is label


def test_a_bar_that_is_not_there_has_no_direction():
    assert direction(series(100, 101, 102), BAR_MS - HOUR_MS, 3600) is BarLabel.NONE


def test_a_horizon_that_ends_within_a_bar_is_looked_at_when_the_bar_has_closed():
    assert direction(series(100, 90), BAR_MS, 5400) is BarLabel.OPEN
    assert direction(series(100, 90, 110), BAR_MS, 5400) is BarLabel.UP


@pytest.mark.parametrize(
    ("signal", "label", "verdict"),
    [
        (Signal.LONG, BarLabel.UP, Verdict.RIGHT),
        (Signal.LONG, BarLabel.DOWN, Verdict.WRONG),
        (Signal.SHORT, BarLabel.UP, Verdict.WRONG),
        (Signal.SHORT, BarLabel.DOWN, Verdict.RIGHT),
        (Signal.FLAT, BarLabel.UP, Verdict.NONE),
        (Signal.LONG, BarLabel.NONE, Verdict.NONE),
        (Signal.SHORT, BarLabel.OPEN, Verdict.NONE),
    ],
)
def test_a_signal_is_right_when_its_side_came(signal, label, verdict):
    assert verdict_of(signal, label) is verdict


def test_an_outcome_says_what_its_decision_said():
    decision = a_decision(scored=True, confidence=0.61, model_confidence=0.66)
    outcome = matured_of(decision, BarLabel.DOWN, at_ms=7)
    assert (outcome.confidence, outcome.model_confidence, outcome.bar_open_ms) == (0.61, 0.66, BAR_MS)
    assert (outcome.label, outcome.verdict, outcome.at_ms) == (BarLabel.DOWN, Verdict.WRONG, 7)
