"""Figures: each against its definition, or against a library that is not ours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as library_log_loss

from inference.core.card import Figures
from inference.core.consensus import logit
from inference.train.bootstrap import WEEK_MS, Blocks, weekly_blocks
from inference.train.metrics import (
    auc,
    auc_interval,
    brier_parts,
    ece,
    ece_interval,
    errors_by,
    figures_of,
    fitted_line,
    fold_buckets,
    log_loss,
    reliability_table,
    slope_interval,
    wilson,
)
from inference.train.predictions import Predictions

HOUR_MS = 3_600_000


def predictions_of(
    rise: np.ndarray, up: np.ndarray, *, folds: int = 4, returns: np.ndarray | None = None
) -> Predictions:
    count = rise.size
    return Predictions(
        closed_ms=np.arange(1, count + 1) * HOUR_MS,
        series=np.zeros(count, np.int64),
        fold=np.arange(count) * folds // count,
        up=up,
        forward_return=np.where(up, 0.01, -0.01) if returns is None else returns,
        members=np.column_stack([rise, rise]),
        prob_long=rise,
        rise=rise,
        confidence=np.maximum(rise, 1 - rise),
        disagreement=np.linspace(0, 1, count),
        dissimilarity=np.linspace(0, 1, count),
    )


def drawn(count: int, seed: int = 2, low: float = 0.3, high: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """A calibrated forecast and what came."""
    generator = np.random.default_rng(seed)
    rise = generator.uniform(low, high, count)
    return rise, generator.random(count) < rise


def figures(predictions: Predictions, fee_bps: float = 5.5) -> Figures:
    return figures_of(predictions, np.full(len(predictions), 0.5), threshold=0.6, fee_bps=fee_bps)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), digits=st.integers(1, 6))
def test_the_auc_is_the_librarys_with_ties_and_without(seed: int, digits: int) -> None:
    rise, up = drawn(300, seed)
    scores = np.round(rise, digits)
    assert auc(scores, up) == pytest.approx(roc_auc_score(up, scores), abs=1e-12)


def test_the_auc_of_one_side_alone_is_no_number() -> None:
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))


def test_a_weighted_statistic_is_that_of_rows_repeated_so_often() -> None:
    rise, up = drawn(500)
    blocks = Blocks(of_row=np.arange(500) // 50, copies=np.array([[2.0, 0, 1, 1, 0, 3, 1, 1, 1, 0]]))
    times = blocks.copies[0][blocks.of_row].astype(int)
    again_rise, again_up = np.repeat(rise, times), np.repeat(up, times)
    assert auc_interval(rise, up, blocks).low == pytest.approx(min(auc(rise, up), auc(again_rise, again_up)))
    line = slope_interval(rise, up, blocks)
    refitted = fitted_line(logit(again_rise), again_up)[1]
    assert refitted == pytest.approx(line.low if refitted < line.value else line.high, abs=0.03), "one Newton step"


def test_blocks_are_weeks_and_every_replicate_has_as_many() -> None:
    closed = np.arange(1, 1001) * HOUR_MS
    blocks = weekly_blocks(closed, replicates=50)
    assert len(set(blocks.of_row)) == len(set(closed // WEEK_MS)) == 6
    assert (blocks.copies.sum(axis=1) == 6).all()
    assert np.array_equal(blocks.copies, weekly_blocks(closed, replicates=50).copies)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        up = generator.random(168 * 12) < 0.5
        found = auc_interval(generator.random(up.size), up, weekly_blocks(np.arange(up.size) * HOUR_MS, replicates=150))
        held += found.low <= 0.5 <= found.high
    assert 50 <= held <= 60


def test_brier_and_log_loss_are_the_librarys_and_the_parts_make_up_the_score() -> None:
    rise, up = drawn(5000)
    reliability, resolution, uncertainty = brier_parts(rise, up)
    score = brier_score_loss(up, rise)
    assert reliability - resolution + uncertainty == pytest.approx(score, abs=1e-12)
    assert reliability < 0.001 < resolution
    assert uncertainty == pytest.approx(up.mean() * (1 - up.mean()))
    assert log_loss(rise, up) == pytest.approx(library_log_loss(up, rise), abs=1e-12)


def test_what_is_overstated_shows_in_reliability_and_not_in_resolution() -> None:
    rise, up = drawn(40_000)
    overstated = 0.5 + 2.0 * (rise - 0.5)
    honest, boastful = brier_parts(rise, up), brier_parts(overstated, up)
    assert boastful[0] > honest[0] + 0.01
    assert boastful[1] == pytest.approx(honest[1], abs=0.002)


@pytest.mark.parametrize("off", [0.0, 0.03, 0.1])
def test_ece_is_how_far_stated_is_from_met(off: float) -> None:
    generator = np.random.default_rng(1)
    stated = generator.uniform(0.5, 0.8, 200_000)
    hits = generator.random(200_000) < stated - off
    assert ece(stated, hits) == pytest.approx(off, abs=0.006)


def test_the_interval_of_an_ece_holds_it_and_its_upper_end_is_cautious() -> None:
    rise, up = drawn(168 * 60)
    predictions = predictions_of(rise, up)
    found = ece_interval(predictions.confidence, predictions.hits, weekly_blocks(predictions.closed_ms, replicates=200))
    assert found.low <= found.value <= found.high
    assert found.value < 0.02 < found.high < 0.05


def test_the_calibration_slope_is_that_of_a_logistic_regression() -> None:
    rise, up = drawn(8000)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(rise)[:, None], up)
    found = slope_interval(rise, up, weekly_blocks(np.arange(8000) * HOUR_MS, replicates=200))
    assert found.value == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert 0.8 < found.low < 1.0 < found.high < 1.2


def test_a_forecast_that_says_the_same_of_all_rows_has_a_slope_without_breaking() -> None:
    up = drawn(1000)[1]
    found = slope_interval(np.full(1000, 0.5), up, weekly_blocks(np.arange(1000) * HOUR_MS, replicates=20))
    assert np.isfinite([found.value, found.low, found.high]).all()


def test_a_forecast_without_a_fault_has_a_slope_without_breaking() -> None:
    up = drawn(1000)[1]
    found = slope_interval(np.where(up, 0.9, 0.1), up, weekly_blocks(np.arange(1000) * HOUR_MS, replicates=20))
    assert 1.0 < found.value <= 100.0
    assert np.isfinite([found.low, found.high]).all()


def test_wilsons_interval_is_the_published_one() -> None:
    found = wilson(0.8, 10)
    assert (found.low, found.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0.0, 5).low == 0.0
    assert wilson(1.0, 5).high == 1.0


def test_every_row_is_in_one_bucket_and_edges_belong_above() -> None:
    table = reliability_table(np.array([0.49, 0.5, 0.525, 0.6, 0.999, 1.0]), np.ones(6, np.bool_))
    assert [(bucket.low, bucket.high, bucket.count) for bucket in table] == [
        (0.0, 0.5, 1),
        (0.5, 0.525, 1),
        (0.525, 0.55, 1),
        (0.6, 0.65, 1),
        (0.7, 1.0, 2),
    ]


def test_buckets_are_counted_fold_by_fold_and_small_ones_are_not() -> None:
    rise = np.full(2000, 0.56)
    up = np.concatenate([np.arange(1000) % 100 < 56, np.arange(1000) % 100 < 40])
    predictions = predictions_of(rise, up, folds=2)
    found = fold_buckets(predictions, 400)
    assert (found.kept, found.count, found.share) == (1, 2, 0.5)
    assert found.worst == pytest.approx(0.16)
    assert (fold_buckets(predictions, 1001).count, fold_buckets(predictions, 1001).share) == (0, 1.0)


def test_the_net_edge_is_the_gross_one_less_two_fees() -> None:
    rise, up = drawn(5000, low=0.2, high=0.8)
    found = figures(predictions_of(rise, up))
    sure = np.maximum(rise, 1 - rise) >= 0.6
    side, moved = np.where(rise >= 0.5, 1, -1)[sure], np.expm1(np.where(up, 0.01, -0.01))[sure]
    assert found.gross_edge_bps is not None
    assert found.net_edge_bps is not None
    assert found.gross_edge_bps.value == pytest.approx(1e4 * (side * moved).mean())
    assert found.net_edge_bps.value == pytest.approx(found.gross_edge_bps.value - 11.0)
    assert found.net_edge_bps.low == pytest.approx(found.gross_edge_bps.low - 11.0)
    assert found.coverage == pytest.approx(sure.mean())
    assert found.mean_confidence_at_threshold == pytest.approx(np.maximum(rise, 1 - rise)[sure].mean())


def test_without_a_row_at_the_threshold_there_is_no_edge_and_no_hit_rate() -> None:
    found = figures(predictions_of(*drawn(2000, low=0.45, high=0.55)))
    assert (found.coverage, found.hit_rate_at_threshold, found.net_edge_bps) == (0.0, None, None)


def test_a_calibrated_forecast_has_the_figures_of_one() -> None:
    found = figures(predictions_of(*drawn(10_000, low=0.2, high=0.8)))
    assert found.ece.value < 0.02
    assert found.calibration_slope.value == pytest.approx(1.0, abs=0.05)
    assert found.hit_rate_at_threshold == pytest.approx(found.mean_confidence_at_threshold, abs=0.01)
    assert found.log_loss < found.log_loss_base == pytest.approx(np.log(2))
    assert found.brier == pytest.approx(found.brier_reliability - found.brier_resolution + found.brier_uncertainty)


def test_errors_are_told_by_tenths_of_rising_values() -> None:
    values = np.arange(1000)[::-1].astype(np.float64)
    hits = values < 300
    assert errors_by(values, hits) == (0.0,) * 3 + (1.0,) * 7
    assert len(errors_by(values[:4], hits[:4])) == 4
