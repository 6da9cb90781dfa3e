"""A version is served only on a card that tells the truth about its graph."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit import MEMBERS, VERSION_A, VERSION_B, a_card, a_graph, a_graph_that_fails_beyond, graph_bytes, write_version
from onnx import helper
from serving_fakes import PACKAGED_MODELS

from inference.adapters.model_onnx import load_ensemble
from inference.core.card import Card, CardCalibration, CardFaultError, card_text, read_card
from inference.core.consensus import OUTPUTS
from inference.core.features import DOCUMENTED
from inference.core.gates import faults_of

Raw = dict[str, Any]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_version(tmp_path)
    return tmp_path


def rewrite(models: Path, change: Callable[[Raw], object]) -> None:
    path = models / "consensus" / VERSION_A / "card.json"
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def refused(models: Path, name: str = "consensus", version: str | None = VERSION_A) -> str:
    with pytest.raises(CardFaultError) as caught:
        load_ensemble(models, name, version)
    return str(caught.value)


def test_a_card_survives_being_written_and_read(card: Card) -> None:
    assert read_card(card_text(card)) == card


def test_the_shipped_card_says_that_it_is_a_demonstration_and_passes_its_gates() -> None:
    card = load_ensemble(PACKAGED_MODELS, "consensus", None).card
    assert "DEMONSTRATION" in card.description
    assert card.market == "simulated"
    assert "simulated market" in card.data.source
    assert card.feature_names == DOCUMENTED
    assert card.horizon_seconds == 3600
    assert len(set(card.members)) >= 3
    assert card.training.end < card.calibrating.start < card.calibrating.end
    assert faults_of(card) == ()
    figures = card.validation.figures
    assert figures.hit_rate_at_threshold is not None
    assert figures.mean_confidence_at_threshold is not None
    assert abs(figures.hit_rate_at_threshold - figures.mean_confidence_at_threshold) <= 0.05


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda raw: raw.update(sha256="0" * 64), "sha256"),
        (lambda raw: raw.update(schema_version=1), "schema_version"),
        (lambda raw: raw.pop("label"), "label: Field required"),
        (lambda raw: raw.update(colour="red"), "colour: Extra inputs"),
        (lambda raw: raw.update(bar_seconds="3600"), "bar_seconds"),
        (lambda raw: raw.update(bar_seconds=0), "bar_seconds"),
        (lambda raw: raw.update(market="imagined"), "market"),
        (lambda raw: raw["features"].reverse(), "features is"),
        (lambda raw: raw["features"].pop(), "features is"),
        (lambda raw: raw.update(features=[]), "features"),
        (lambda raw: raw["features"][0].update(name="alpha"), "'alpha' is not known"),
        (lambda raw: raw["features"][0].update(unit="bps"), "is in 'bps' on the card but in 'percent' here"),
        (lambda raw: raw["features"][0]["deciles"].reverse(), "do not rise"),
        (lambda raw: raw["features"][0].pop("unit"), "features.0.unit"),
        (lambda raw: raw.update(name="other"), "name is 'other'"),
        (lambda raw: raw.update(version="20200101_000000"), "version is '20200101_000000'"),
        (lambda raw: raw["members"].pop(), "number of members"),
        (lambda raw: raw["validation"]["figures"].pop("ece"), "validation.figures.ece"),
        (lambda raw: raw["calibration"].update(slope=1.2), "calibration.slope"),
        (lambda raw: raw["calibrating"].update(end="2026-02-31T00:00:00Z"), "calibrating.end"),
        (lambda raw: raw.update(libraries=[]), "libraries"),
    ],
)
def test_a_card_that_does_not_match_is_refused(models: Path, change: Callable[[Raw], object], named: str) -> None:
    rewrite(models, change)
    assert named in refused(models)


def test_all_missing_keys_are_named_at_once(models: Path) -> None:
    rewrite(models, dict.clear)
    assert refused(models).count("Field required") == 20


@pytest.mark.parametrize("text", ["", "{", "[]", "\ud800"])
def test_a_card_that_is_no_object_is_refused(models: Path, text: str) -> None:
    (models / "consensus" / VERSION_A / "card.json").write_bytes(text.encode("utf-8", errors="surrogatepass"))
    assert "card.json" in refused(models)


def test_a_changed_graph_is_refused_before_it_is_loaded(models: Path) -> None:
    path = models / "consensus" / VERSION_A / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\x00")
    assert "sha256" in refused(models)


def test_a_file_that_is_no_graph_is_refused_even_with_the_right_digest(models: Path) -> None:
    (models / "consensus" / VERSION_A / "model.onnx").write_bytes(b"junk")
    rewrite(models, lambda raw: raw.update(sha256=hashlib.sha256(b"junk").hexdigest()))
    assert "is not a graph that can be loaded" in refused(models)


def named_graph(**outputs: float) -> bytes:
    """A graph that gives constants, each output by its name; members in two columns."""
    nodes = [helper.make_node("Gather", ["features", "first"], ["lead"], axis=1)]
    nodes.append(helper.make_node("Mul", ["lead", "nothing"], ["zeros"]))
    for name in OUTPUTS:
        nodes.append(helper.make_node("Add", ["zeros", f"{name}_is"], [f"{name}_one"]))
        nodes.append(helper.make_node("Tile", [f"{name}_one", "columns" if name == "members" else "column"], [name]))
    said = {"prob_long": 0.6, "confidence": 0.6, "members": 0.6, "disagreement": 0.1, "dissimilarity": 0.5} | outputs
    numbers = {f"{name}_is": np.array(value, np.float32) for name, value in said.items()}
    constants = {
        "first": np.array([0], np.int64),
        "column": np.array([1, 1], np.int64),
        "columns": np.array([1, len(MEMBERS)], np.int64),
        "nothing": np.array(0.0, np.float32),
    }
    return graph_bytes(nodes, constants | numbers, DOCUMENTED, members=len(MEMBERS))


@pytest.mark.parametrize(
    ("outputs", "named"),
    [
        ({"prob_long": 1.1}, "prob_long 1.1"),
        ({"prob_long": float("nan")}, "prob_long nan"),
        ({"confidence": 0.4}, "confidence 0.4, not from 0.5 to 1"),
        ({"members": -0.1}, "members -0.1"),
        ({"disagreement": 0.6}, "disagreement 0.6"),
        ({"dissimilarity": -1.0}, "dissimilarity -1"),
        ({"dissimilarity": float("inf")}, "dissimilarity inf"),
    ],
)
def test_a_graph_that_gives_what_it_may_not_is_refused(tmp_path: Path, outputs: dict[str, float], named: str) -> None:
    write_version(tmp_path, graph=named_graph(**outputs))
    assert named in refused(tmp_path)


def test_only_a_sigmoid_calibration_may_state_less_than_one_half(tmp_path: Path) -> None:
    sigmoid = CardCalibration(method="sigmoid", slope=0.8, bias=-0.5, fitted_slope=1.0, shrink=0.8)
    write_version(tmp_path, card=a_card(calibration=sigmoid), graph=named_graph(confidence=0.4))
    scores = load_ensemble(tmp_path, "consensus", VERSION_A).score(np.zeros((1, 3), np.float32))
    assert float(scores.confidence[0, 0]) == pytest.approx(0.4)


def test_a_graph_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path, graph=a_graph_that_fails_beyond(DOCUMENTED, 0.5))
    assert "cannot be run" in refused(tmp_path)


@pytest.mark.parametrize(
    ("features", "members", "named"),
    [
        (("mom_20", "rv_5"), 2, "features is"),
        (("mom_20", "rsi_14", "rv_5"), 2, "features is"),
        (DOCUMENTED, 3, "number of members"),
    ],
)
def test_a_graph_of_another_make_than_the_cards_is_refused(
    tmp_path: Path, features: Sequence[str], members: int, named: str
) -> None:
    write_version(tmp_path, graph=a_graph(features, members=members))
    assert named in refused(tmp_path)


def test_a_model_or_version_or_file_that_is_not_there_is_refused(models: Path) -> None:
    assert "no version" in refused(models, name="other", version=None)
    assert "cannot read" in refused(models, version="20200101_000000")
    (models / "consensus" / VERSION_A / "card.json").unlink()
    assert "card.json" in refused(models)


def test_the_newest_version_is_loaded_when_none_is_named(models: Path) -> None:
    write_version(models, VERSION_B)
    (models / "consensus" / "zzz_backup").mkdir()
    assert load_ensemble(models, "consensus", None).card.version == VERSION_B
    assert load_ensemble(models, "consensus", VERSION_A).card.version == VERSION_A
