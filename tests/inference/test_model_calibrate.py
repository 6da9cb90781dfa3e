"""Members, calibration and dissimilarity: the same every time, and never sharper than what was seen."""

import numpy as np
import pytest
from factory_kit import SMALL, trending
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.core.consensus import calibrated, logit
from inference.core.features import DOCUMENTED
from inference.core.labels import LabelSpec
from inference.train.autocorrelation import integrated_autocorrelation
from inference.train.calibrate import fit_calibration, fitted_slope
from inference.train.dissimilarity import QUANTILE, fit_dissimilarity
from inference.train.examples import Examples, examples_of
from inference.train.members import MEMBER_NAMES, fit_members
from inference.train.recipe import MemberSpec


@pytest.fixture(scope="module")
def examples() -> Examples:
    return examples_of([trending(3000)], DOCUMENTED, LabelSpec(kind="direction", horizon_bars=1))


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_same_seed_gives_the_same_members_whatever_the_number_of_threads(examples: Examples, jobs: int) -> None:
    once = fit_members(examples.X, examples.up, SMALL, seed=5, jobs=1).probabilities(examples.X)
    again = fit_members(examples.X, examples.up, SMALL, seed=5, jobs=jobs).probabilities(examples.X)
    other = fit_members(examples.X, examples.up, SMALL, seed=6, jobs=1).probabilities(examples.X)
    assert np.abs(once - again).max() <= 1e-9
    assert once.shape == (len(examples), len(MEMBER_NAMES))
    assert np.abs(once - other).max() > 1e-3


def test_clipped_inputs_flatten_the_logistic_regression_beyond_the_clip(examples: Examples) -> None:
    clipped = fit_members(examples.X, examples.up, MemberSpec(logistic_clip_sigmas=0.5), seed=5).logistic
    edge = clipped.scaler.mean_ + 0.5 * clipped.scaler.scale_
    rows = np.stack([edge + 1e-3, edge + 100.0]).astype(np.float32)
    assert clipped.rise(rows)[0] == pytest.approx(clipped.rise(rows)[1], abs=1e-12)


@pytest.mark.parametrize(("true_slope", "served"), [(0.5, 0.5 * 0.8), (1.0, 0.8), (2.0, 0.8)])
def test_the_slope_that_serves_is_the_fitted_one_never_sharpening_and_shrunk(true_slope: float, served: float) -> None:
    generator = np.random.default_rng(2)
    prob_long = generator.uniform(0.1, 0.9, 40_000)
    up = generator.random(40_000) < calibrated(prob_long, true_slope)
    found = fit_calibration(prob_long, up, "temperature", shrink=0.8)
    assert found.fitted_slope == pytest.approx(true_slope, rel=0.05)
    assert found.slope == pytest.approx(served, rel=0.05)
    assert (found.bias, found.shrink) == (0.0, 0.8)


@pytest.mark.parametrize(("true_slope", "served"), [(0.6, 0.6), (2.0, 1.0)])
def test_sigmoid_finds_slope_and_bias_and_cuts_the_slope_at_one(true_slope: float, served: float) -> None:
    generator = np.random.default_rng(3)
    prob_long = generator.uniform(0.2, 0.8, 60_000)
    up = generator.random(60_000) < calibrated(prob_long, true_slope, 0.4)
    found = fit_calibration(prob_long, up, "sigmoid", shrink=1.0)
    assert found.fitted_slope == pytest.approx(true_slope, rel=0.05)
    assert found.slope == pytest.approx(served, rel=0.05)
    assert found.rise(prob_long).mean() == pytest.approx(up.mean(), abs=1e-6), "the bias fits the slope that serves"


def test_shrinking_takes_slope_and_bias_alike() -> None:
    generator = np.random.default_rng(3)
    prob_long = generator.uniform(0.2, 0.8, 20_000)
    up = generator.random(20_000) < calibrated(prob_long, 0.7, 0.3)
    whole, shrunk = (fit_calibration(prob_long, up, "sigmoid", shrink=shrink) for shrink in (1.0, 0.5))
    assert (shrunk.slope, shrunk.bias) == (pytest.approx(whole.slope / 2), pytest.approx(whole.bias / 2))


def test_a_consensus_that_is_wrong_gets_the_least_slope_and_not_a_negative_one() -> None:
    generator = np.random.default_rng(2)
    prob_long = generator.uniform(0.1, 0.9, 5_000)
    found = fit_calibration(prob_long, generator.random(5_000) > prob_long, "temperature", shrink=0.8)
    assert 0.0 < found.slope < 0.02


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), shrink=st.floats(0.1, 1.0), sigmoid=st.booleans())
def test_calibration_never_sharpens(seed: int, shrink: float, sigmoid: bool) -> None:
    generator = np.random.default_rng(seed)
    prob_long = generator.uniform(0.3, 0.7, 400)
    up = generator.random(400) < prob_long
    found = fit_calibration(prob_long, up, "sigmoid" if sigmoid else "temperature", shrink=shrink)
    assert 0.0 < found.slope <= shrink
    if not sigmoid:
        assert (found.confidence(prob_long) <= np.maximum(prob_long, 1 - prob_long) + 1e-12).all()
        assert (found.confidence(prob_long) >= 0.5).all()


def test_the_fitted_slope_has_the_least_log_loss() -> None:
    generator = np.random.default_rng(8)
    prob_long = generator.uniform(0.2, 0.8, 3_000)
    up = generator.random(3_000) < calibrated(prob_long, 0.7)
    odds = logit(prob_long)

    def loss(slope: float) -> float:
        return float(np.logaddexp(0.0, np.where(up, -slope * odds, slope * odds)).mean())

    best = fitted_slope(odds, up)
    assert loss(best) <= min(loss(best - 1e-3), loss(best + 1e-3))


def test_a_dissimilarity_of_one_is_further_out_than_all_but_a_thousandth_of_the_training_rows() -> None:
    rows = np.random.default_rng(1).standard_t(3, size=(20_000, 4)).astype(np.float32)
    measure = fit_dissimilarity(rows)
    assert (measure.of(rows) <= 1.0).mean() == pytest.approx(QUANTILE, abs=1e-4)
    assert measure.of(np.full((1, 4), 60.0, np.float32))[0] > 1.0
    assert measure.of(measure.mean[None, :].astype(np.float32))[0] < 1e-3


def test_a_usual_value_in_an_unusual_company_is_dissimilar() -> None:
    generator = np.random.default_rng(1)
    one = generator.normal(size=20_000)
    rows = np.column_stack([one, one + 0.1 * generator.normal(size=20_000)]).astype(np.float32)
    measure = fit_dissimilarity(rows)
    together, apart = measure.of(np.array([[2.0, 2.0], [2.0, -2.0]], np.float32))
    assert together < 1.0 < apart


def test_a_few_crashes_do_not_stretch_the_measure_in_their_direction() -> None:
    rows = np.random.default_rng(1).normal(size=(20_000, 3)).astype(np.float32)
    crashed = rows.copy()
    crashed[:10, 0] = -500.0
    away = np.array([[-8.0, 0.0, 0.0]], np.float32)
    assert fit_dissimilarity(crashed).of(away)[0] == pytest.approx(fit_dissimilarity(rows).of(away)[0], rel=0.1)


def test_a_feature_that_never_moved_can_be_measured() -> None:
    rows = np.random.default_rng(1).normal(size=(2_000, 3)).astype(np.float32)
    rows[:, 1] = 1.0
    assert np.isfinite(fit_dissimilarity(rows).of(rows)).all()


@pytest.mark.parametrize("weight", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_of_a_first_order_process_is_the_known_one(weight: float) -> None:
    generator = np.random.default_rng(6)
    values = [0.0]
    for shock in generator.normal(size=40_000):
        values.append(weight * values[-1] + shock)
    known = (1 + weight) / (1 - weight)
    assert integrated_autocorrelation([np.array(values)]) == pytest.approx(known, rel=0.12)


def test_the_autocorrelation_time_is_at_least_one() -> None:
    assert integrated_autocorrelation([np.ones(100)]) == 1.0
    assert integrated_autocorrelation([np.sin(2 * np.pi * np.arange(2400) / 24)]) >= 1.0
