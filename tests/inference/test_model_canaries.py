"""Each leak canary fires on a pipeline that leaks on purpose, stays quiet on the honest one, and stops the export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factory_kit import (
    LONG_WALK,
    ORIGIN,
    ORIGIN_MS,
    one_bar_ahead,
    recipe,
    scaled_over_all_time,
    shuffled_k_fold,
    trending,
    written,
)

from inference.core.bars import Bars
from inference.core.card import Canary
from inference.core.labels import Labels, LabelSpec, label_bars
from inference.train.bars import Market
from inference.train.canaries import NOISE_BARS, Subject, noise_labels, one_bar_late, run_canaries, split_order
from inference.train.ensemble import Pipeline
from inference.train.evaluate import evaluate
from inference.train.examples import Examples, examples_of
from inference.train.factory import Trained, Withheld, train
from inference.train.recipe import Recipe, WalkSpec
from inference.train.walk import FoldRows, walk_forward_folds

NAMES = (
    "split_order",
    "noise_labels",
    "shuffled_labels",
    "future_features",
    "label_end",
    "delay_gain",
    "delay_loss",
)
LONG = LabelSpec(kind="direction", horizon_bars=12)


@pytest.fixture(scope="module")
def market() -> Market:
    return trending(6000)


def fired(market: Market, used: Recipe, pipeline: Pipeline) -> set[str]:
    return {canary.name for canary in evaluate([market], used, pipeline=pipeline).canaries if not canary.passed}


def subject_of(market: Market, used: Recipe, pipeline: Pipeline) -> Subject:
    examples = examples_of([market], used.feature_names, used.label, features=pipeline.features, labels=pipeline.labels)
    return Subject(
        markets=[market],
        pipeline=pipeline,
        recipe=used,
        examples=examples,
        folds=pipeline.split(examples, used.walk),
        auc_on_time=0.6,
    )


@pytest.mark.parametrize("horizon", [1, 12])
def test_an_honest_pipeline_leaves_every_canary_quiet(market: Market, horizon: int) -> None:
    used = recipe(label=LabelSpec(kind="direction", horizon_bars=horizon))
    canaries = evaluate([market], used).canaries
    assert tuple(canary.name for canary in canaries) == NAMES
    assert [canary for canary in canaries if not canary.passed] == []
    assert all(canary.meaning for canary in canaries)


@pytest.mark.parametrize("horizon", [1, 12])
def test_shuffled_k_fold_is_caught_by_its_order_and_by_what_it_learns_of_noise(market: Market, horizon: int) -> None:
    used = recipe(label=LabelSpec(kind="direction", horizon_bars=horizon))
    found = fired(market, used, Pipeline(split=shuffled_k_fold))
    assert {"split_order", "noise_labels"} <= found


def test_features_one_bar_ahead_are_caught_by_the_future_and_by_what_a_delay_takes(market: Market) -> None:
    used = recipe(feature_names=("ret_1", "mom_20", "rsi_14"))
    found = fired(market, used, Pipeline(features=one_bar_ahead))
    assert {"future_features", "delay_loss"} <= found


def test_features_scaled_over_all_time_are_caught(market: Market) -> None:
    assert "future_features" in fired(market, recipe(), Pipeline(features=scaled_over_all_time))


def test_labels_that_look_further_than_they_say_are_caught(market: Market) -> None:
    def looks_twice_as_far(bars: Bars, spec: LabelSpec) -> Labels:
        true = label_bars(bars, replace(spec, horizon_bars=2 * spec.horizon_bars))
        return Labels(values=true.values, end_row=np.minimum(true.end_row, np.arange(len(bars)) + spec.horizon_bars))

    assert "label_end" in fired(market, recipe(label=LONG), Pipeline(labels=looks_twice_as_far))


def test_features_two_bars_late_are_no_leak_and_features_off_by_a_bar_the_other_way_gain_by_a_delay() -> None:
    # The label below is known one bar before its row: a delay of the features alone brings them together.
    market = trending(6000)
    used = recipe(feature_names=("ret_1", "mom_20"))

    def row_before(bars: Bars, spec: LabelSpec) -> Labels:
        true = label_bars(bars, spec)
        values = np.concatenate((true.values[:1], true.values[:1], true.values[:-2]))
        return Labels(values=values, end_row=true.end_row)

    def late(bars: Bars, names: tuple[str, ...]) -> np.ndarray:
        return one_bar_late(Pipeline().features)(bars, names)

    assert fired(market, used, Pipeline(features=late)) == set()
    found = {canary.name: canary for canary in run_canaries(_with_auc(market, used, Pipeline(labels=row_before), 0.5))}
    assert found["delay_gain"].value > 0.0


def _with_auc(market: Market, used: Recipe, pipeline: Pipeline, auc: float) -> Subject:
    return replace(subject_of(market, used, pipeline), auc_on_time=auc)


def test_a_forgotten_purge_is_caught(market: Market) -> None:
    def without_purge(examples: Examples, walk: WalkSpec) -> tuple[FoldRows, ...]:
        blind = replace(examples, end_ms=examples.closed_ms)
        return walk_forward_folds(blind, replace(walk, embargo_bars=0))

    used = recipe(label=LONG)
    (canary,) = split_order(subject_of(market, used, Pipeline(split=without_purge)))
    assert not canary.passed
    assert canary.value > 0.0


def test_a_forgotten_embargo_is_caught(market: Market) -> None:
    def without_embargo(examples: Examples, walk: WalkSpec) -> tuple[FoldRows, ...]:
        return walk_forward_folds(examples, replace(walk, embargo_bars=0))

    (canary,) = split_order(subject_of(market, recipe(), Pipeline(split=without_embargo)))
    assert not canary.passed


def test_noise_labels_overlap_as_they_say_and_are_the_same_in_all_markets(market: Market) -> None:
    seen: list[Examples] = []

    def watched(examples: Examples, walk: WalkSpec) -> tuple[FoldRows, ...]:
        seen.append(examples)
        return walk_forward_folds(examples, walk)

    used = recipe()
    both = [market, trending(6000, seed=8, symbol="ETHUSDT")]
    examples = examples_of(both, used.feature_names, used.label)
    noise_labels(
        Subject(
            markets=both,
            pipeline=Pipeline(split=watched),
            recipe=used,
            examples=examples,
            folds=(),
            auc_on_time=0.5,
        )
    )
    (drawn,) = seen
    assert ((drawn.end_ms - drawn.closed_ms) == NOISE_BARS * 3_600_000).all()
    one, other = (drawn.up[drawn.series == number] for number in (0, 1))
    assert np.array_equal(one, other)
    same_as_before = (one[1:] == one[:-1]).mean()
    assert 0.75 < same_as_before < 0.95, "neighbours share most of their steps"
    assert drawn.closed_ms[0] > ORIGIN_MS


@pytest.mark.parametrize(
    ("pipeline", "canary"),
    [
        (Pipeline(split=shuffled_k_fold), "split_order"),
        (Pipeline(split=shuffled_k_fold), "noise_labels"),
        (Pipeline(features=one_bar_ahead), "future_features"),
        (Pipeline(features=one_bar_ahead), "delay_loss"),
    ],
)
def test_a_leaky_pipeline_exports_nothing(tmp_path: Path, market: Market, pipeline: Pipeline, canary: str) -> None:
    used = recipe(feature_names=("ret_1", "mom_20", "rsi_14"))
    result = train([market], used, models=tmp_path, origin=ORIGIN, pipeline=pipeline)
    assert isinstance(result, Withheld)
    assert any(fault.startswith(f"gate canary_{canary}:") for fault in result.faults), result.faults
    assert written(tmp_path) == []


def test_a_model_too_good_to_be_true_of_a_real_market_exports_nothing(tmp_path: Path) -> None:
    used = recipe(market="real", max_age_days=90.0, walk=LONG_WALK)
    real = replace(trending(12_000), simulated=False)
    result = train([real], used, models=tmp_path, origin=ORIGIN)
    assert isinstance(result, Withheld)
    assert [fault.split(":")[0] for fault in result.faults] == ["gate too_good"]
    assert written(tmp_path) == []


def test_the_same_of_the_simulated_market_is_written(tmp_path: Path) -> None:
    result = train([trending(12_000)], recipe(walk=LONG_WALK), models=tmp_path, origin=ORIGIN)
    assert isinstance(result, Trained)
    assert all(isinstance(canary, Canary) and canary.passed for canary in result.card.validation.canaries)
