"""Feature drift: limits that know how few rows there are, and how much they repeat each other."""

import math
import random
from array import array
from statistics import NormalDist

import pytest

from gateway.core.drift import FeatureReference, Row, chi_square_quantile, feature_drift

DECILES = tuple(NormalDist().inv_cdf(place / 10) for place in range(1, 10))


def reference(autocorrelation=1.0, name="x"):
    return FeatureReference(name=name, deciles=DECILES, autocorrelation_bars=autocorrelation)


def rows(count, *, shift=0.0, seed=1, persistence=0.0, symbols=1):
    """Standard normal rows, moved by `shift`; `persistence` is the correlation from bar to bar."""
    draws, value, made = random.Random(seed), 0.0, []  # noqa: S311 - rows, not secrets
    for bar in range(count):
        value = persistence * value + (1 - persistence**2) ** 0.5 * draws.gauss(0, 1)
        made.extend(Row(bar_open_ms=bar, values={"x": value + shift}) for _ in range(symbols))
    return made


def one(drifts):
    (drift,) = drifts
    return drift


def test_a_feature_that_has_not_moved_is_not_flagged():
    flagged = [one(feature_drift([reference()], rows(500, seed=seed))).drifted for seed in range(200)]
    assert sum(flagged) == 0


@pytest.mark.parametrize("shift", [0.6, -0.6, 2.0])
def test_a_feature_that_has_moved_is_flagged(shift):
    drift = one(feature_drift([reference()], rows(500, shift=shift)))
    assert drift.drifted
    assert drift.psi > drift.psi_limit > 0.1
    assert drift.ks > drift.ks_limit > 0.05


def test_a_few_rows_prove_nothing():
    assert not one(feature_drift([reference()], rows(10, shift=2.0))).drifted


def test_rows_that_repeat_each_other_count_for_less():
    slow = rows(500, persistence=0.99, seed=3)
    careless, careful = (one(feature_drift([reference(time)], slow)) for time in (1.0, 199.0))
    assert careless.drifted
    assert not careful.drifted
    assert careful.effective_rows == pytest.approx(500 / 199)


def test_a_feature_of_few_values_that_has_not_moved_shows_no_drift():
    hours = [math.sin(2 * math.pi * hour / 24) for hour in range(24)] * 100
    deciles = tuple(sorted(hours)[len(hours) * place // 10] for place in range(1, 10))
    held = FeatureReference(name="x", deciles=tuple(array("f", deciles)), autocorrelation_bars=1.0)
    drift = one(feature_drift([held], [Row(bar_open_ms=bar, values={"x": hour}) for bar, hour in enumerate(hours)]))
    assert drift.ks == 0.0
    assert drift.psi < 1e-6


def test_rows_of_one_bar_count_once():
    assert one(feature_drift([reference()], rows(100, symbols=3))).effective_rows == 100


def test_more_features_have_wider_limits():
    many = feature_drift([reference(name="x"), *(reference(name=f"y{n}") for n in range(19))], rows(300))
    assert one(many).psi_limit > one(feature_drift([reference()], rows(300))).psi_limit


def test_a_feature_without_rows_or_without_a_reference_is_not_told_of():
    assert feature_drift([reference(name="other")], rows(50)) == ()
    assert feature_drift([], rows(50)) == ()
    assert feature_drift([reference()], []) == ()


def test_the_index_is_finite_when_bins_are_empty():
    drift = one(feature_drift([reference()], [Row(bar_open_ms=n, values={"x": 9.0}) for n in range(1000)]))
    assert 5 < drift.psi < 20
    assert drift.ks == pytest.approx(0.9)


@pytest.mark.parametrize(("probability", "published"), [(0.95, 16.919), (0.99, 21.666), (0.999, 27.877)])
def test_the_quantile_of_chi_square_is_near_the_published_one(probability, published):
    assert chi_square_quantile(probability, 9) == pytest.approx(published, rel=0.01)
