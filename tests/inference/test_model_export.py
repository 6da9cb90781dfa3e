"""One graph of few nodes that says what was fitted; conversions that say something else are refused."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from factory_kit import SMALL, trending
from onnx import helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from inference.adapters.model_onnx import Graph
from inference.core.consensus import OUTPUTS, Rows
from inference.core.features import DOCUMENTED
from inference.core.gates import EXPORT_DIFFERENCE_MAX
from inference.core.labels import LabelSpec
from inference.train.calibrate import Calibration
from inference.train.convert import ConversionRefusedError, compared, convert_checked, converted
from inference.train.ensemble import Ensemble, fit_ensemble
from inference.train.examples import Examples, examples_of
from inference.train.export import build_graph, node_count
from inference.train.parity import Known, Row, forms, parity_rows
from inference.train.prove import drawn_around, parity_with, prove
from inference.train.recipe import MemberSpec, Recipe, WalkSpec
from inference.train.speed import measure, plain_graph
from inference.train.walk import Cut

NAMES = (*DOCUMENTED, "hour_sin")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return examples_of([trending(10_500)], NAMES, LabelSpec(kind="direction", horizon_bars=1))


def fitted(examples: Examples, members: MemberSpec = SMALL) -> Ensemble:
    used = Recipe(feature_names=NAMES, walk=WalkSpec(train_bars=1, test_bars=1), members=members)
    return fit_ensemble(examples, Cut(members=np.arange(3000), calibrator=np.arange(3000, 4000)), used)


@pytest.fixture(scope="module")
def ensemble(examples: Examples) -> Ensemble:
    return fitted(examples, replace(SMALL, logistic_clip_sigmas=None))


def sigmoid(ensemble: Ensemble, *, slope: float = 0.7, bias: float = 0.3) -> Ensemble:
    calibration = Calibration(method="sigmoid", slope=slope, bias=bias, fitted_slope=slope, shrink=1.0)
    return replace(ensemble, calibration=calibration)


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("method", ["temperature", "sigmoid"])
def test_the_graph_says_what_was_fitted_in_at_most_twenty_nodes(
    examples: Examples, clip: float | None, method: str
) -> None:
    whole = fitted(examples, replace(SMALL, logistic_clip_sigmas=clip))
    whole = whole if method == "temperature" else sigmoid(whole)
    graph = build_graph(whole, NAMES)
    proof = prove(graph, whole, examples.X, NAMES, seed=1)
    assert proof.parity.difference_max <= EXPORT_DIFFERENCE_MAX / 5
    assert (proof.parity.flips, proof.nan_refused, proof.market_rows) == (0, True, len(examples))
    assert proof.parity.rows == len(examples) + 10_000
    clipped = 2 if clip is not None else 0
    assert node_count(graph) == (18 if method == "temperature" else 20) + clipped


def test_the_graph_names_its_outputs_and_features_and_is_the_same_every_time(ensemble: Ensemble) -> None:
    graph = build_graph(ensemble, NAMES)
    model = onnx.load_model_from_string(graph)
    assert Graph(graph).output_names == OUTPUTS
    assert {prop.key: prop.value for prop in model.metadata_props} == {"feature_names": ",".join(NAMES)}
    assert [node.op_type for node in model.graph.node].count("TreeEnsembleRegressor") == 2
    assert graph == build_graph(ensemble, NAMES)


def test_a_graph_of_another_ensemble_does_not_pass(examples: Examples, ensemble: Ensemble) -> None:
    graph = build_graph(ensemble, NAMES)
    cooler = replace(ensemble, calibration=replace(ensemble.calibration, slope=ensemble.calibration.slope / 2))
    farther = replace(ensemble, dissimilarity=replace(ensemble.dissimilarity, mean=ensemble.dissimilarity.mean + 0.1))
    for other in (cooler, farther, sigmoid(ensemble)):
        assert not parity_with(graph, other, examples.X).passed


def test_a_consensus_of_exactly_one_half_is_a_rise_in_the_graph_as_in_the_core(ensemble: Ensemble) -> None:
    graph = onnx.load_model_from_string(build_graph(sigmoid(ensemble), NAMES))
    kept = [node for node in graph.graph.node if node.output[0] in {"favours_long", "confidence"}]
    assert [node.op_type for node in kept] == ["GreaterOrEqual", "Where"]


def test_a_feature_exactly_on_a_threshold_of_boosting_takes_the_branch_that_was_fitted() -> None:
    # Neighbouring float32 numbers: the threshold lies between them, and rounds to the upper one.
    low = np.nextafter(np.float32(1.0), np.float32(2.0))
    high = np.nextafter(low, np.float32(2.0))
    assert np.float32((float(low) + float(high)) / 2.0) == high
    values = np.array([low, high] * 2000, np.float32)
    rows = np.column_stack([values, np.random.default_rng(1).normal(size=(4000, len(NAMES) - 1)).astype(np.float32)])
    up = values == high
    up[:40] = ~up[:40]
    examples = Examples(
        bar_ms=1,
        X=rows,
        up=up,
        forward_return=np.zeros(4000),
        closed_ms=np.arange(4000),
        end_ms=np.arange(4000),
        series=np.zeros(4000, np.int64),
    )
    whole = fitted(examples, replace(SMALL, boosting_leaf_rows=20))
    said = whole.members.probabilities(rows)[:, 1]
    assert said[values == high].min() > said[values == low].max()
    assert Graph(build_graph(whole, NAMES)).run(rows, ("members",))[0][:, 1] == pytest.approx(said, abs=1e-6)


def test_what_is_no_number_in_the_graphs_answer_is_infinitely_far() -> None:
    assert compared(np.array([np.nan, 0.5]), np.array([0.4, 0.5])).difference_max == np.inf


def test_a_flip_counts_unless_the_fitted_consensus_is_a_tie() -> None:
    found = compared(np.array([0.49999999, 0.4999, 0.6]), np.array([0.50000001, 0.5001, 0.6]))
    assert (found.rows, found.flips) == (3, 1)


def test_a_faithful_conversion_is_given_and_an_unfaithful_one_refused_with_its_figures(examples: Examples) -> None:
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(examples.X, examples.up)
    assert Graph(convert_checked(plain, examples.X)).output_names[1] == "probabilities"
    wrong = next(form for form in forms(3) if form.name == "sigmoid of scaler and logistic")
    with pytest.raises(ConversionRefusedError, match="differs from the fitted model by up to") as caught:
        convert_checked(wrong.make().fit(examples.X[:3000], examples.up[:3000]), examples.X)
    assert caught.value.parity.difference_max > 0.01
    assert caught.value.parity.flips > 1000


def test_every_form_is_accepted_or_refused_as_is_known_of_it(examples: Examples) -> None:
    rows = {row.name: row for row in parity_rows(examples, NAMES, seed=3)}
    assert [row for row in rows.values() if not row.as_expected] == []
    assert all(row.parity.rows >= 10_000 for row in rows.values())
    refused = {name for name, row in rows.items() if row.known is Known.WRONG}
    assert refused == {
        "sigmoid of scaler and logistic",
        "voting of calibrated members, scaler inside",
        "isotonic of boosting",
    }
    assert all(not rows[name].accepted for name in refused)
    assert {"the served graph, temperature", "the served graph, sigmoid"} <= set(rows)


def test_a_wrong_form_that_passes_is_told() -> None:
    parity = compared(np.array([0.5]), np.array([0.5]))
    assert not Row(name="", known=Known.WRONG, parity=parity, accepted=True).as_expected
    assert not Row(name="", known=Known.TRUE, parity=parity, accepted=False).as_expected
    assert Row(name="", known=Known.ROWS_DECIDE, parity=parity, accepted=False).as_expected


def test_boosting_converts_with_the_newest_protobuf_and_onnx_is_left_as_it_was(examples: Examples) -> None:
    before = helper.make_attribute
    model = HistGradientBoostingClassifier(max_iter=3).fit(examples.X[:2000], examples.up[:2000])
    assert converted(model, examples.X.shape[1]).graph.node
    assert helper.make_attribute is before


def test_rows_are_drawn_over_twice_the_markets_range() -> None:
    market: Rows = np.array([[0.0, 10.0], [2.0, 30.0]], np.float32)
    drawn = drawn_around(market, 5000, seed=1)
    assert drawn.min(axis=0) == pytest.approx([-1.0, 0.0], abs=0.1)
    assert drawn.max(axis=0) == pytest.approx([3.0, 40.0], abs=0.1)


def test_the_plainly_converted_graph_that_speed_is_measured_against_says_the_same(
    examples: Examples, ensemble: Ensemble
) -> None:
    rows = examples.X[:500]
    for fused, plain in zip(
        Graph(build_graph(ensemble, NAMES)).run(rows, OUTPUTS),
        Graph(plain_graph(ensemble, len(NAMES))).run(rows, OUTPUTS),
        strict=True,
    ):
        assert np.abs(fused - plain).max() < 1e-4


def test_speed_is_measured_of_both_graphs(examples: Examples, ensemble: Ensemble) -> None:
    speed = measure(ensemble, examples.X, NAMES, rounds=20)
    assert speed.fused.nodes == 18
    assert speed.plain.nodes > 25
    assert 0.0 < speed.fused.hot_p50_us <= speed.fused.hot_p99_us


def test_the_forest_is_one_node_whose_leaves_add_up_to_the_rise(examples: Examples, ensemble: Ensemble) -> None:
    forest: RandomForestClassifier = ensemble.members.forest
    members = Graph(build_graph(ensemble, NAMES)).run(examples.X[:200], ("members",))[0]
    assert members[:, 2] == pytest.approx(forest.predict_proba(examples.X[:200])[:, 1], abs=1e-6)
