"""Versions to serve: a card that passes every gate, and a small graph that takes and gives what a model must.

`a_card(**changes)` is a whole card; `write_version(models, version)` writes model.onnx and card.json of one version.
The graph is near constant: every member says `rise` of every row, moved by a hair of the first feature, so that
two versions are told apart by what they answer.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from inference.core.card import (
    Bucket,
    Canary,
    Card,
    CardCalibration,
    CardData,
    CardFeature,
    CardLabel,
    Export,
    Figures,
    Fold,
    Interval,
    Span,
    Validation,
    card_text,
)
from inference.core.consensus import OUTPUTS, calibrated
from inference.core.features import DOCUMENTED, KNOWN

VERSION_A, VERSION_B, VERSION_C = "20260101_000000", "20260202_000000", "20260303_000000"

SLOPE = 0.8
MEMBERS = ("one", "two")


def a_feature(name: str) -> CardFeature:
    """A feature with deciles around nothing."""
    return CardFeature(
        name=name,
        unit=KNOWN[name].unit,
        deciles=tuple(round(-2.0 + 0.5 * place, 1) for place in range(9)),
        autocorrelation_bars=5.0,
    )


def some_figures(**changes: Any) -> Figures:
    """Figures of an honest model that passes its gates."""
    honest = {
        "rows": 20_000,
        "base_rate": 0.5,
        "auc": Interval(value=0.54, low=0.53, high=0.55),
        "brier": 0.2485,
        "brier_reliability": 0.0005,
        "brier_resolution": 0.002,
        "brier_uncertainty": 0.25,
        "log_loss": 0.690,
        "log_loss_base": 0.6931,
        "ece": Interval(value=0.012, low=0.008, high=0.02),
        "calibration_slope": Interval(value=1.0, low=0.8, high=1.2),
        "hit_rate": 0.53,
        "threshold": 0.6,
        "coverage": 0.05,
        "hit_rate_at_threshold": 0.62,
        "mean_confidence_at_threshold": 0.615,
        "gross_edge_bps": Interval(value=4.0, low=1.0, high=7.0),
        "net_edge_bps": Interval(value=-7.0, low=-10.0, high=-4.0),
        "fee_bps": 5.5,
        "error_by_disagreement": (0.45, 0.46, 0.46, 0.47, 0.47, 0.47, 0.48, 0.48, 0.49, 0.5),
        "error_by_dissimilarity": (0.46, 0.46, 0.46, 0.47, 0.47, 0.47, 0.48, 0.48, 0.49, 0.5),
    }
    return Figures(**(honest | changes))


def a_validation(**changes: Any) -> Validation:
    """A walk-forward of one fold, one bucket and one canary, all well."""
    whole = {
        "train_bars": 4_000,
        "calibrate_share": 0.2,
        "test_bars": 1_000,
        "purge_bars": 2,
        "embargo_bars": 24,
        "folds": (
            Fold(
                start="2020-07-02T00:00:00Z",
                end="2020-08-01T00:00:00Z",
                rows=20_000,
                auc=0.54,
                log_loss=0.69,
                ece=0.012,
                slope=SLOPE,
            ),
        ),
        "figures": some_figures(),
        "reliability": (
            Bucket(
                low=0.5,
                high=0.7,
                count=20_000,
                mean_confidence=0.53,
                hit_rate=Interval(value=0.53, low=0.52, high=0.54),
            ),
        ),
        "canaries": (
            Canary(
                name="shuffled_labels", value=0.501, limit=0.52, passed=True, meaning="Labels by lot teach nothing."
            ),
        ),
        "trials": 1,
    }
    return Validation(**(whole | changes))


def a_card(*, features: Sequence[str] = DOCUMENTED, **changes: Any) -> Card:
    """A card that passes every gate, of the features of that name; `changes` are parts of `Card`."""
    whole = {
        "schema_version": 2,
        "name": "consensus",
        "version": VERSION_A,
        "description": "A test.",
        "market": "simulated",
        "bar_seconds": 3600,
        "features": tuple(a_feature(name) for name in features),
        "label": CardLabel(
            kind="direction", horizon_bars=1, barrier_sigmas=None, meaning="The close is higher a bar on."
        ),
        "members": MEMBERS,
        "calibration": CardCalibration(method="temperature", slope=SLOPE, bias=0.0, fitted_slope=1.0, shrink=SLOPE),
        "dissimilarity_quantile": 0.999,
        "max_age_days": None,
        "data": CardData(source="nowhere", symbols=("BTCUSDT",), bars=5_000, sha256="1" * 64),
        "training": Span(start="2020-01-01T00:00:00Z", end="2020-06-01T00:00:00Z", rows=4_000),
        "calibrating": Span(start="2020-06-02T00:00:00Z", end="2020-07-01T00:00:00Z", rows=1_000),
        "validation": a_validation(),
        "overrides": (),
        "export": Export(method="by hand", nodes=12, rows=10_000, market_rows=5_000, difference_max=1e-7, flips=0),
        "seed": 1,
        "libraries": {"numpy": "2"},
        "git_commit": "unknown",
        "created": "2026-01-01T00:00:00Z",
        "sha256": "0" * 64,
    }
    return Card(**(whole | changes))


def a_failing_card(**changes: Any) -> Card:
    """A card that says too much of its confidence: the gate `ece` holds."""
    figures = some_figures(ece=Interval(value=0.06, low=0.05, high=0.08))
    return a_card(validation=a_validation(figures=figures), **changes)


def a_graph(names: Sequence[str], *, rise: float = 0.75, members: int = len(MEMBERS), spread: float = 1e-4) -> bytes:
    """A graph of the contract: every member says `rise` of a rise, plus `spread` for each unit of the first feature.

    `rise` and the confidence stay within what they may be for features from -100 to 100. Its dissimilarity is the
    first feature's distance from 0, in hundreds.
    """
    constants = {
        "first": np.array([0], np.int64),
        "columns": np.array([1, members], np.int64),
        "rise": np.array(rise, np.float32),
        "spread": np.array(spread, np.float32),
        "least": np.array(1e-6, np.float32),
        "most": np.array(1.0 - 1e-6, np.float32),
        "one": np.array(1.0, np.float32),
        "slope": np.array(SLOPE, np.float32),
        "hundredth": np.array(0.01, np.float32),
        "nothing": np.array(0.0, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["features", "first"], ["lead"], axis=1),
        node("Mul", ["lead", "spread"], ["moved"]),
        node("Add", ["moved", "rise"], ["said"]),
        node("Clip", ["said", "least", "most"], ["prob_long"]),
        node("Tile", ["prob_long", "columns"], ["members"]),
        node("Sub", ["one", "prob_long"], ["other"]),
        node("Div", ["prob_long", "other"], ["ratio"]),
        node("Log", ["ratio"], ["log_odds"]),
        node("Mul", ["log_odds", "slope"], ["tempered"]),
        node("Abs", ["tempered"], ["strength"]),
        node("Sigmoid", ["strength"], ["confidence"]),
        node("Mul", ["prob_long", "nothing"], ["disagreement"]),
        node("Mul", ["lead", "hundredth"], ["distance"]),
        node("Abs", ["distance"], ["dissimilarity"]),
    ]
    return graph_bytes(nodes, constants, names, members=members)


def a_graph_that_fails_beyond(names: Sequence[str], most: float) -> bytes:
    """As `a_graph`, but it cannot be run over rows of which the first one's first feature is beyond `most`."""
    model_nodes = [
        helper.make_node("Gather", ["features", "first"], ["lead"], axis=1),
        helper.make_node("Slice", ["lead", "first", "one_row"], ["head"]),
        helper.make_node("Greater", ["head", "most"], ["beyond"]),
        helper.make_node("Cast", ["beyond"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["only", "place"], ["said"], axis=0),  # beyond it, out of the one element's bounds
        helper.make_node("Mul", ["lead", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "said"], ["prob_long"]),
        helper.make_node("Tile", ["prob_long", "columns"], ["members"]),
        helper.make_node("Identity", ["prob_long"], ["confidence"]),
        helper.make_node("Identity", ["zeros"], ["disagreement"]),
        helper.make_node("Identity", ["zeros"], ["dissimilarity"]),
    ]
    constants = {
        "first": np.array([0], np.int64),
        "one_row": np.array([1], np.int64),
        "most": np.array(most, np.float32),
        "only": np.array([0.6], np.float32),
        "nothing": np.array(0.0, np.float32),
        "columns": np.array([1, len(MEMBERS)], np.int64),
    }
    return graph_bytes(model_nodes, constants, names, members=len(MEMBERS))


def graph_bytes(nodes: list[Any], constants: dict[str, np.ndarray], names: Sequence[str], *, members: int) -> bytes:
    """The bytes of model.onnx of such nodes, with the inputs and outputs of the contract."""
    widths = {"members": members}
    matrix = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "consensus",
        [matrix("features", TensorProto.FLOAT, ["rows", len(names)])],
        [matrix(name, TensorProto.FLOAT, ["rows", widths.get(name, 1)]) for name in OUTPUTS],
        initializer=[numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    helper.set_model_props(model, {"feature_names": ",".join(names)})
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def write_version(
    models: Path, version: str = VERSION_A, *, card: Card | None = None, graph: bytes | None = None, rise: float = 0.75
) -> Card:
    """Writes one version under <models>/<the card's name>/; the card that was written, with the graph's digest.

    Without a graph, one that says `rise` of every row for the card's features and members.
    """
    named = (a_card() if card is None else card).model_copy(update={"version": version})
    if graph is None:
        graph = a_graph(named.feature_names, rise=rise, members=len(named.members))
    written = named.model_copy(update={"sha256": hashlib.sha256(graph).hexdigest()})
    folder = models / written.name / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "card.json").write_text(card_text(written), encoding="utf8")
    return written


def confidence_of(rise: float) -> float:
    """What a graph of `a_graph` says of its confidence when the first feature is 0."""
    return float(calibrated(np.array(max(rise, 1.0 - rise)), SLOPE))
