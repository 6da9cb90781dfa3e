"""The walk-forward: nothing that is measured was seen before."""

from dataclasses import replace

import numpy as np
import pytest
from factory_kit import HOUR, ORIGIN_MS, bars_of, recipe, trending
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.core.bars import Bars
from inference.core.features import DOCUMENTED, EXTENDED, HISTORY_BARS_MIN
from inference.core.labels import LabelSpec
from inference.train.bars import Market
from inference.train.ensemble import walk_forward
from inference.train.examples import Examples, UnusableError, examples_of
from inference.train.recipe import Recipe, RecipeFaultError, WalkSpec, default_walk, feature_set
from inference.train.walk import final_boundary_ms, training_cut, walk_forward_folds

HOUR_MS = HOUR * 1000
DIRECTION = LabelSpec(kind="direction", horizon_bars=1)


def rows_of(market: Market, label: LabelSpec = DIRECTION) -> Examples:
    return examples_of([market], DOCUMENTED, label)


@pytest.fixture(scope="module")
def market() -> Market:
    return trending(6000)


@settings(max_examples=15, deadline=None)
@given(horizon=st.integers(1, 48), embargo=st.integers(0, 60), share=st.floats(0.2, 0.5), test=st.integers(500, 1500))
def test_what_is_fitted_ends_with_label_and_embargo_before_what_is_measured_begins(
    market: Market, horizon: int, embargo: int, share: float, test: int
) -> None:
    examples = rows_of(market, LabelSpec(kind="direction", horizon_bars=horizon))
    walk = WalkSpec(train_bars=2000, calibrate_share=share, test_bars=test, embargo_bars=embargo)
    folds = walk_forward_folds(examples, walk)
    measured = np.concatenate([fold.test for fold in folds])
    assert np.array_equal(measured, np.arange(measured[0], len(examples)))
    for fold in folds:
        joints = ((fold.cut.members, fold.cut.calibrator), (fold.cut.calibrator, fold.test))
        for fitted, later in joints:
            gap_ms = examples.closed_ms[later].min() - examples.end_ms[fitted].max()
            assert gap_ms >= embargo * HOUR_MS
        assert examples.closed_ms[fold.test].min() - examples.closed_ms[fold.cut.members].min() <= 2000 * HOUR_MS


def test_a_triple_barrier_that_is_touched_early_is_purged_by_where_it_ended(market: Market) -> None:
    label = LabelSpec(kind="triple_barrier", horizon_bars=24)
    examples = rows_of(market, label)
    assert (examples.end_ms - examples.closed_ms < 24 * HOUR_MS).any()
    for fold in walk_forward_folds(examples, WalkSpec(train_bars=2000, test_bars=900)):
        assert examples.end_ms[fold.cut.calibrator].max() + 24 * HOUR_MS <= examples.closed_ms[fold.test].min()


def test_several_markets_are_cut_at_the_same_moments() -> None:
    late = trending(5000, seed=9, symbol="ETHUSDT")
    later = replace(late, bars=replace(late.bars, open_time_ms=late.bars.open_time_ms + 1000 * HOUR_MS))
    examples = examples_of([trending(6000), later], DOCUMENTED, DIRECTION)
    assert (np.diff(examples.closed_ms) >= 0).all()
    for fold in walk_forward_folds(examples, WalkSpec(train_bars=2500, test_bars=1000)):
        assert set(examples.series[fold.test]) == {0, 1}
        assert examples.end_ms[fold.cut.calibrator].max() < examples.closed_ms[fold.test].min()


def test_warm_up_rows_and_rows_without_a_label_are_dropped() -> None:
    bars = trending(1000).bars
    times = bars.open_time_ms.copy()
    times[600:] += 10 * HOUR_MS
    holed = Market(symbol="X", source="a test", bars=replace(bars, open_time_ms=times))
    closed = set(rows_of(holed).closed_ms.tolist())
    assert min(closed) == times[HISTORY_BARS_MIN] + HOUR_MS
    assert times[599] + HOUR_MS not in closed, "its label would look across the gap"
    assert times[598] + HOUR_MS in closed
    assert times[999] + HOUR_MS not in closed, "its label is still open"


@pytest.mark.parametrize(
    ("newest", "test_bars", "folds"),
    [(390, 2400, [2400, 2790]), (410, 2400, [2400, 2400, 410]), (290, 600, [600] * 7 + [890]), (0, 600, [600] * 8)],
)
def test_a_last_fold_shorter_than_a_sixth_or_300_rows_joins_the_one_before(
    newest: int, test_bars: int, folds: list[int]
) -> None:
    examples = rows_of(trending(2000 + 4800 + newest + HISTORY_BARS_MIN + 1))
    found = walk_forward_folds(examples, WalkSpec(train_bars=2000, test_bars=test_bars))
    assert [fold.test.size for fold in found] == folds


def test_too_few_bars_are_refused_with_both_lengths_named() -> None:
    with pytest.raises(UnusableError, match="span 749 bars, too few for a walk-forward that trains on 17532 bars"):
        walk_forward_folds(rows_of(trending(1000)), default_walk(HOUR))


def test_bars_that_are_all_warm_up_are_refused() -> None:
    with pytest.raises(UnusableError, match="no row is left"):
        rows_of(trending(200))


def test_labels_that_are_all_the_same_are_refused() -> None:
    rising = Market(symbol="X", source="a test", bars=bars_of(100.0 * 1.0001 ** np.arange(4000)))
    used, examples = recipe(), rows_of(rising)
    with pytest.raises(UnusableError, match="all the same"):
        walk_forward(examples, walk_forward_folds(examples, used.walk), used)


def test_bars_of_two_lengths_are_not_pooled() -> None:
    with pytest.raises(UnusableError, match="bars of 300 s and of 3600 s"):
        examples_of([trending(500), trending(500, bar_seconds=300)], DOCUMENTED, DIRECTION)


def test_the_final_window_ends_with_the_newest_label(market: Market) -> None:
    examples, walk = rows_of(market), WalkSpec(train_bars=2000, test_bars=700)
    cut = training_cut(examples, walk, final_boundary_ms(examples, walk))
    assert cut.calibrator[-1] == len(examples) - 1
    assert examples.end_ms[cut.members].max() + 24 * HOUR_MS <= examples.closed_ms[cut.calibrator].min()


def test_later_rows_change_nothing_that_was_fitted_before_them(market: Market) -> None:
    used, bars = recipe(), market.bars
    cut = HISTORY_BARS_MIN + used.walk.train_bars + used.walk.test_bars
    factor = np.where(np.arange(len(bars)) < cut, 1.0, 1.5)
    other = replace(
        market,
        bars=Bars(
            bar_seconds=HOUR,
            open_time_ms=bars.open_time_ms,
            open=bars.open * factor,
            high=bars.high * factor,
            low=bars.low * factor,
            close=bars.close * factor,
            volume=bars.volume,
        ),
    )
    first, second = (
        walk_forward(rows, walk_forward_folds(rows, used.walk)[:1], used) for rows in (rows_of(market), rows_of(other))
    )
    known = first.predictions.closed_ms < ORIGIN_MS + cut * HOUR_MS
    assert np.array_equal(first.predictions.rise[known], second.predictions.rise[known])
    assert np.array_equal(first.predictions.dissimilarity[known], second.predictions.dissimilarity[known])


@pytest.mark.parametrize(
    ("seconds", "train", "test"), [(3600, 17_532, 4383), (14_400, 4383, 1095), (300, 35_064, 8760)]
)
def test_the_windows_follow_the_length_of_a_bar(seconds: int, train: int, test: int) -> None:
    walk = default_walk(seconds)
    assert (walk.train_bars, walk.test_bars, walk.embargo_bars, walk.calibrate_share) == (train, test, 24, 0.25)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"feature_names": ()}, "no features"),
        ({"feature_names": ("rv_5", "rv_5")}, "twice"),
        ({"feature_names": ("alpha",)}, "not known"),
        ({"label": LabelSpec(kind="direction", horizon_bars=0)}, "horizon_bars"),
        ({"walk": WalkSpec(train_bars=0, test_bars=1)}, "window"),
        ({"walk": WalkSpec(train_bars=9, test_bars=1, calibrate_share=1.0)}, "calibrate_share"),
        ({"walk": WalkSpec(train_bars=9, test_bars=1, embargo_bars=-1)}, "embargo"),
        ({"shrink": 1.1}, "shrink"),
        ({"shrink": 0.0}, "shrink"),
        ({"threshold": 0.4}, "threshold"),
        ({"fee_bps": -1.0}, "fee_bps"),
        ({"max_age_days": 0.0}, "max_age_days"),
        ({"trials": 0}, "trials"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(RecipeFaultError, match=named):
        recipe(**change)


def test_features_are_named_by_set_or_one_by_one() -> None:
    assert feature_set("documented") == DOCUMENTED
    assert feature_set("extended") == EXTENDED
    assert feature_set("rv_5, mom_60") == ("rv_5", "mom_60")
    with pytest.raises(RecipeFaultError, match="'alpha' is not known"):
        feature_set("rv_5,alpha")


def test_the_usual_recipe_is_the_one_that_was_fixed_beforehand() -> None:
    used = Recipe(walk=default_walk(HOUR))
    members = used.members
    assert (used.calibration, used.shrink, used.threshold, used.fee_bps, used.max_age_days) == (
        "temperature",
        0.8,
        0.6,
        5.5,
        90.0,
    )
    assert (members.logistic_penalty, members.boosting_rounds, members.boosting_leaves) == (0.1, 120, 15)
    assert (members.boosting_leaf_rows, members.forest_trees, members.forest_depth) == (200, 150, 7)
    assert (members.forest_leaf_rows, members.logistic_clip_sigmas, used.trials) == (100, None, 1)
