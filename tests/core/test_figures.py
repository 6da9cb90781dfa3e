"""Figures of live calibration: what they say of outcomes whose truth is known."""

import math
import random

import pytest
from builders import BAR_MS, an_outcome
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.figures import (
    BUCKET_OUTCOMES_MIN,
    OUTCOMES_MIN,
    figures,
    histogram,
    reliability,
    shadow_figures,
    wilson,
)
from gateway.core.logistic import SLOPE_BOUND, log_odds, scale_of, sigmoid, slope_of
from gateway.core.model import BarLabel, Shadow, Signal, Verdict
from gateway.core.recalibrate import recalibration_slope


def drawn(count, *, truth=lambda confidence: confidence, seed=1, spread=0.2, shadow=None):
    """Outcomes of both sides whose chance to be right is `truth` of their confidence."""
    draws = random.Random(seed)  # noqa: S311 - outcomes, not secrets
    outcomes = []
    for number in range(count):
        confidence = round(0.5 + spread * draws.random(), 6)
        right, long = draws.random() < truth(confidence), draws.random() < 0.5
        outcomes.append(
            an_outcome(
                bar_open_ms=BAR_MS + number * 3_600_000,
                signal=Signal.LONG if long else Signal.SHORT,
                confidence=confidence,
                model_confidence=confidence,
                label=BarLabel.UP if long == right else BarLabel.DOWN,
                verdict=Verdict.RIGHT if right else Verdict.WRONG,
                shadow=shadow(draws, long == right) if shadow else None,
            )
        )
    return outcomes


def share(truth):
    """A truth whose log odds are `truth` times the stated ones."""
    return lambda confidence: sigmoid(truth * log_odds(confidence)) if confidence > 0.5 else 0.5


def test_too_few_outcomes_have_no_figures():
    assert figures(drawn(OUTCOMES_MIN - 1), 0.6) is None
    assert reliability(drawn(OUTCOMES_MIN - 1)) == ()
    assert figures(drawn(OUTCOMES_MIN), 0.6) is not None


def test_a_calibrated_model_has_a_slope_around_one_and_a_small_error():
    found = figures(drawn(20_000, seed=4), 0.6)
    assert found.slope.low < 1 < found.slope.high
    assert found.ece.value < 0.015
    assert found.hit_rate == pytest.approx(found.mean_confidence, abs=0.01)
    assert found.coverage == pytest.approx(0.5, abs=0.02)
    assert found.mean_confidence_at_threshold == pytest.approx(0.65, abs=0.005)
    assert found.hit_rate_at_threshold == pytest.approx(0.65, abs=0.015)
    assert 0.2 < found.brier < 0.25
    assert 0.6 < found.log_loss < math.log(2)


@pytest.mark.parametrize("truth", [0.5, 0.0, -1.0])
def test_the_slope_finds_how_much_of_the_promise_holds(truth):
    found = figures(drawn(10_000, truth=share(truth), seed=5), 0.6)
    assert found.slope.low < truth < found.slope.high
    assert found.slope.high - found.slope.low < 0.5
    assert found.ece.value > 0.02


def test_the_intervals_of_the_jackknife_hold_the_truth_as_often_as_they_say():
    held = 0
    for seed in range(60):
        found = figures(drawn(600, seed=seed), 0.6)
        held += found.slope.low < 1 < found.slope.high
    assert held >= 52  # of 60 at 95 %: 57 in the mean


def test_with_nobody_above_the_threshold_nothing_is_said_of_them():
    found = figures(drawn(200), 0.9)
    assert (found.coverage, found.hit_rate_at_threshold, found.mean_confidence_at_threshold) == (0.0, None, None)


@pytest.mark.parametrize(("count", "buckets"), [(100, 2), (260, 5), (500, 10), (3000, 10)])
def test_buckets_have_equal_mass_and_enough_of_it(count, buckets):
    table = reliability(drawn(count))
    assert len(table) == buckets
    assert sum(bucket.count for bucket in table) == count
    assert min(bucket.count for bucket in table) >= BUCKET_OUTCOMES_MIN
    assert [bucket.low for bucket in table] == sorted(bucket.low for bucket in table)
    assert all(bucket.low <= bucket.mean_confidence <= bucket.high for bucket in table)
    assert all(bucket.hit_rate.low <= bucket.hit_rate.value <= bucket.hit_rate.high for bucket in table)


def test_a_constant_confidence_is_no_reason_to_fail():
    found = figures([an_outcome(confidence=0.6)] * 150, 0.6)
    assert (found.hit_rate, found.slope.value) == (1.0, 0.0)
    assert found.ece.value == pytest.approx(0.4)


def test_wilsons_interval_is_the_published_one():
    found = wilson(8, 10)
    assert (round(found.low, 3), found.value, round(found.high, 3)) == (0.490, 0.8, 0.943)
    assert wilson(0, 10).low == 0.0
    assert wilson(10, 10).high == 1.0


def test_the_histogram_counts_every_confidence_once():
    stated = [0.4, 0.5, 0.549999, 0.55, 0.6, 0.7, 0.999, 1.0]
    bins = histogram([an_outcome(confidence=confidence) for confidence in stated])
    assert [(one.low, one.count) for one in bins if one.count] == [
        (0.5, 3), (0.55, 1), (0.6, 1), (0.7, 1), (0.95, 2)
    ]  # fmt: skip
    assert (len(bins), bins[-1].high) == (10, 1.0)


def test_a_shadow_that_knows_more_shows_it_and_one_that_knows_less_too():
    def good(draws, rose):
        return Shadow(model_version="s", prob_long=0.8 if rose == (draws.random() < 0.8) else 0.2, confidence=0.8)

    def bad(draws, _rose):
        return Shadow(model_version="s", prob_long=draws.choice((0.2, 0.8)), confidence=0.8)

    better, worse = (shadow_figures(drawn(2000, shadow=kind)) for kind in (good, bad))
    assert (better.version, better.matured) == ("s", 2000)
    assert better.hit_rate == pytest.approx(0.8, abs=0.03)
    assert better.advantage.low > 0 > worse.advantage.high
    assert better.advantage.value == pytest.approx(better.active_log_loss - better.log_loss)


def test_a_shadow_is_told_of_by_its_newest_version_alone():
    def shadow(version):
        return lambda _draws, _rose: Shadow(model_version=version, prob_long=0.7, confidence=0.7)

    outcomes = drawn(300, shadow=shadow("old")) + drawn(150, shadow=shadow("new")) + drawn(100)
    assert (shadow_figures(outcomes).version, shadow_figures(outcomes).matured) == ("new", 150)
    assert shadow_figures(drawn(300)) is None
    assert shadow_figures(outcomes[300:399]) is None


def test_recalibration_waits_for_enough_outcomes():
    assert recalibration_slope(drawn(199, truth=share(-1))) == 1.0
    assert recalibration_slope(drawn(200, truth=share(-1))) < 1.0


@pytest.mark.parametrize(
    ("truth", "low", "high"), [(0.0, 0.0, 0.2), (0.5, 0.4, 0.65), (-2.0, 0.0, 0.0), (1.0, 0.85, 1.0)]
)
def test_recalibration_finds_what_holds_and_never_turns_a_signal(truth, low, high):
    assert low <= recalibration_slope(drawn(5000, truth=share(truth), seed=7, spread=0.3)) <= high


@given(st.integers(0, 10_000), st.floats(-2, 4))
def test_recalibration_never_sharpens(seed, truth):
    assert 0.0 <= recalibration_slope(drawn(220, truth=share(truth), seed=seed)) <= 1.0


def test_few_outcomes_hardly_move_recalibration_from_what_the_card_says():
    moved = [recalibration_slope(drawn(200, seed=seed, spread=0.1)) for seed in range(40)]
    assert min(moved) > 0.5
    assert sum(moved) / 40 > 0.85


def test_recalibration_looks_at_the_models_own_confidence():
    outcomes = drawn(2000, truth=share(0.0), seed=3)
    stated_half = [
        an_outcome(**{name: getattr(one, name) for name in one.__slots__} | {"confidence": 0.5}) for one in outcomes
    ]
    assert recalibration_slope(stated_half) == recalibration_slope(outcomes) < 0.5


def test_outcomes_without_an_error_have_a_bounded_slope():
    assert slope_of([-1.0, -0.5, 0.5, 1.0] * 30, [False, False, True, True] * 30) == SLOPE_BOUND
    assert slope_of([-1.0, 1.0] * 30, [True, False] * 30) == -SLOPE_BOUND
    assert slope_of([0.3] * 50, [True] * 25 + [False] * 25) == 0.0


def test_without_data_the_prior_decides():
    assert scale_of([], [], prior_mean=1.0, prior_sd=0.25) == 1.0


@given(st.floats(-800, 800))
def test_the_sigmoid_takes_any_number(value):
    assert 0.0 <= sigmoid(value) <= 1.0
    assert sigmoid(value) + sigmoid(-value) == pytest.approx(1.0)
