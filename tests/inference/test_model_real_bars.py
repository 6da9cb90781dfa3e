"""What the factory shows on real hourly bars, where they are at hand."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from factory_kit import one_bar_ahead, shuffled_k_fold
from market_bars import market_bars

from inference.core.card import Canary
from inference.core.features import DOCUMENTED, EXTENDED
from inference.core.gates import EXPORT_DIFFERENCE_MAX, EXPORT_ROWS_MIN
from inference.train.bars import Market, read_market
from inference.train.canaries import Subject, delayed, future_features, noise_labels, split_order
from inference.train.ensemble import Pipeline, fit_ensemble, walk_forward
from inference.train.evaluate import Evaluation, evaluate
from inference.train.examples import examples_of
from inference.train.export import build_graph
from inference.train.members import BOOSTING
from inference.train.metrics import auc, fold_buckets
from inference.train.prove import prove
from inference.train.recipe import Recipe, WalkSpec, default_walk
from inference.train.targets import targets_of
from inference.train.walk import final_boundary_ms, training_cut

Check = Callable[[Subject], tuple[Canary, ...]]


@pytest.fixture(scope="module")
def market() -> Market:
    return read_market(market_bars("bars/BTCUSDT_1h_bybit-linear_2020-03-25_2023-12-31.csv.gz"))


@pytest.fixture(scope="module")
def evaluation(market: Market) -> Evaluation:
    return evaluate([market], Recipe(feature_names=EXTENDED, walk=default_walk(market.bars.bar_seconds)), jobs=2)


def test_the_extended_features_reach_every_target_of_the_hourly_horizon(evaluation: Evaluation) -> None:
    assert {target.name: target.met for target in targets_of(evaluation)} == {
        "AUC": True,
        "AUC is not too good": True,
        "log loss": True,
        "Brier": True,
        "ECE, 15 buckets": True,
        "fold-buckets of n >= 400 within 5 points": True,
        "confidence >= 0.6, too few to judge": None,
    }
    assert fold_buckets(evaluation.predictions, 400).count >= 10
    assert all(canary.passed for canary in evaluation.canaries)


def test_the_graph_says_what_was_fitted_on_ten_thousand_real_rows(evaluation: Evaluation) -> None:
    recipe, examples = evaluation.recipe, evaluation.examples
    cut = training_cut(examples, recipe.walk, final_boundary_ms(examples, recipe.walk))
    ensemble = fit_ensemble(examples, cut, recipe, jobs=2)
    proof = prove(build_graph(ensemble, EXTENDED), ensemble, examples.X, EXTENDED, seed=1)
    assert proof.market_rows >= EXPORT_ROWS_MIN
    assert proof.parity.difference_max <= EXPORT_DIFFERENCE_MAX
    assert proof.parity.flips == 0


@pytest.mark.parametrize(
    ("pipeline", "checks", "fire"),
    [
        (Pipeline(), (split_order, noise_labels, future_features, delayed), set()),
        (Pipeline(split=shuffled_k_fold), (split_order, noise_labels), {"split_order", "noise_labels"}),
        (Pipeline(features=one_bar_ahead), (future_features, delayed), {"future_features", "delay_loss"}),
    ],
    ids=["honest", "shuffled k-fold", "one bar ahead"],
)
def test_a_leaky_pipeline_on_real_bars_is_caught(
    market: Market, pipeline: Pipeline, checks: tuple[Check, ...], fire: set[str]
) -> None:
    recent = replace(market, bars=market.bars.slice(len(market.bars) - 12_000, len(market.bars)))
    recipe = Recipe(feature_names=DOCUMENTED, walk=WalkSpec(train_bars=6000, test_bars=3000))
    examples = examples_of([recent], DOCUMENTED, recipe.label, features=pipeline.features)
    folds = pipeline.split(examples, recipe.walk)
    walked = walk_forward(examples, folds, recipe, jobs=2).predictions
    subject = Subject(
        markets=[recent],
        pipeline=pipeline,
        recipe=recipe,
        examples=examples,
        folds=folds,
        auc_on_time=auc(walked.members[:, BOOSTING], walked.up),
    )
    assert {canary.name for check in checks for canary in check(subject) if not canary.passed} == fire
