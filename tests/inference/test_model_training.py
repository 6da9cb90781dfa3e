"""Training: honest splits, a graph that is what was fitted, the same model every time."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from inference.adapters.model_onnx import load_ensemble
from inference.core.card import Card
from inference.core.consensus import Ensemble, Rows, Scores, tempered
from inference.train.bars import HOUR_MS, Bars, bars_of_file, simulated_bars
from inference.train.calibrate import SHRINK, confidence_slope, figures, fitted_slope
from inference.train.demo import EXPORT_DIFFERENCE_MAX, prove_export, train_demo
from inference.train.examples import PURGE_BARS, split_examples
from inference.train.members import MEMBER_NAMES, fit_members

PACKAGED_MODELS = Path(__file__).parents[2] / "inference" / "models"
VERSION = "20260101_000000"
NAMES = ("mom_20", "rv_5", "rsi_14")


def walk(count: int, seed: int = 3) -> Bars:
    """Bars of a price that tends to go on as it went over 20 bars."""
    generator = np.random.default_rng(seed)
    closes = [100.0]
    for _ in range(count - 1):
        momentum = closes[-1] / closes[max(0, len(closes) - 21)] - 1.0
        rises = generator.random() < 0.5 + 0.2 * np.tanh(momentum / 0.004)
        closes.append(closes[-1] * (1.0 + (1 if rises else -1) * abs(generator.normal(0, 0.005))))
    return Bars(open_time_ms=tuple(range(0, count * HOUR_MS, HOUR_MS)), closes=tuple(closes), source="a test")


def test_training_twice_gives_the_same_bytes_and_the_graph_is_what_was_fitted(tmp_path: Path) -> None:
    bars = walk(4000)
    one = train_demo(bars, models=tmp_path / "one", version=VERSION)
    two = train_demo(bars, models=tmp_path / "two", version=VERSION)
    assert (one.folder / "model.onnx").read_bytes() == (two.folder / "model.onnx").read_bytes()
    assert (one.folder / "card.json").read_text() == (two.folder / "card.json").read_text()
    assert one.export_rows >= 10_000
    assert one.export_difference <= EXPORT_DIFFERENCE_MAX
    assert load_ensemble(tmp_path / "one", "consensus", None).card == one.card
    assert one.card.calibration["auc"] > 0.6
    assert 0.0 < one.card.confidence_slope <= SHRINK


def test_the_shipped_graph_is_the_converted_members_pruned_to_what_the_service_asks_for(shipped: Ensemble) -> None:
    path = PACKAGED_MODELS / "consensus" / shipped.card.version / "model.onnx"
    nodes = onnx.load(path).graph.node
    kinds = [node.op_type for node in nodes]
    assert {node.output[0].split("/")[0] for node in nodes} > set(MEMBER_NAMES)
    assert kinds.count("Scaler") == 1
    assert kinds.count("TreeEnsembleClassifier") == 2
    assert not {"ZipMap", "ArgMax", "ArrayFeatureExtractor"} & set(kinds)
    assert len(kinds) <= 24
    assert "skl2onnx" in shipped.card.libraries
    assert "converted by skl2onnx" in shipped.card.export_method


@dataclass(frozen=True, kw_only=True)
class Skewed:
    """An ensemble whose members say a little more, or whose consensus takes the other side."""

    honest: Ensemble
    more: float = 0.0
    other_side: bool = False

    @property
    def card(self) -> Card:
        return self.honest.card

    def score(self, rows: Rows) -> Scores:
        scores = self.honest.score(rows)
        side = np.float32(1.0) - scores.prob_long if self.other_side else scores.prob_long
        return replace(scores, members=scores.members + np.float32(self.more), prob_long=side)


def test_a_graph_that_is_not_what_was_fitted_is_refused(tmp_path: Path) -> None:
    bars = walk(4000)
    trained = train_demo(bars, models=tmp_path, version=VERSION)
    split = split_examples(bars, NAMES)
    members, rows, slope = fit_members(split.train), split.test.X, trained.card.confidence_slope
    honest = load_ensemble(tmp_path, "consensus", None)
    assert prove_export(honest, members, rows, slope) <= EXPORT_DIFFERENCE_MAX
    with pytest.raises(ValueError, match="differs from the fitted members"):
        prove_export(Skewed(honest=honest, more=1e-4), members, rows, slope)
    with pytest.raises(ValueError, match="labels flipped"):
        prove_export(Skewed(honest=honest, other_side=True), members, rows, slope)
    with pytest.raises(ValueError, match="differs from the fitted members"):
        prove_export(honest, members, rows, slope / 2)


def test_labels_drawn_by_lot_teach_nothing(tmp_path: Path) -> None:
    generator = np.random.default_rng(8)
    closes = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.005, 4000)))
    bars = Bars(open_time_ms=walk(4000).open_time_ms, closes=tuple(closes.tolist()), source="luck")
    trained = train_demo(bars, models=tmp_path, version=VERSION)
    assert abs(trained.card.calibration["auc"] - 0.5) < 0.06


def test_the_slices_follow_each_other_in_time_with_a_purge_between() -> None:
    bars = walk(3000)
    split = split_examples(bars, NAMES)
    assert split.calibrate.first_row - split.train.last_row > PURGE_BARS
    assert split.test.first_row - split.calibrate.last_row > PURGE_BARS
    assert split.test.last_row == 3000 - 2
    row = split.test.first_row
    assert split.test.y[0] == int(bars.closes[row + 1] > bars.closes[row])
    assert all(np.isfinite(part.X).all() for part in (split.train, split.calibrate, split.test))


def test_the_future_does_not_change_the_features_or_labels_of_the_past() -> None:
    bars = walk(3000)
    changed = Bars(open_time_ms=bars.open_time_ms, closes=(*bars.closes[:-1], 1.0), source="")
    assert np.array_equal(split_examples(bars, NAMES).train.X, split_examples(changed, NAMES).train.X)
    assert np.array_equal(split_examples(bars, NAMES).test.y[:-1], split_examples(changed, NAMES).test.y[:-1])


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        split_examples(walk(900), NAMES)


@pytest.mark.parametrize(("true_slope", "served"), [(0.5, 0.5 * SHRINK), (1.0, SHRINK), (2.0, SHRINK)])
def test_the_slope_that_serves_is_the_fitted_one_never_sharpening_and_shrunk(true_slope: float, served: float) -> None:
    generator = np.random.default_rng(2)
    prob_long = generator.uniform(0.1, 0.9, 40_000)
    y = (generator.random(40_000) < tempered(prob_long, true_slope)).astype(np.int64)
    assert fitted_slope(prob_long, y) == pytest.approx(true_slope, rel=0.05)
    assert confidence_slope(prob_long, y) == pytest.approx(served, rel=0.05)


def test_a_calibrated_forecast_has_the_figures_of_one() -> None:
    generator = np.random.default_rng(2)
    prob_long = generator.uniform(0.2, 0.8, 40_000)
    y = (generator.random(40_000) < prob_long).astype(np.int64)
    found = figures(prob_long, y, slope=1.0)
    assert found["n"] == 40_000
    assert found["calibration_slope"] == pytest.approx(1.0, abs=0.05)
    assert found["ece"] < 0.02
    assert found["hit_rate_at_0.6"] == pytest.approx(found["mean_confidence_at_0.6"], abs=0.01)
    assert found["coverage_at_0.6"] == pytest.approx(2 / 3, abs=0.02)


def test_bars_come_from_the_simulators_command_with_its_seed_and_edge() -> None:
    bars = simulated_bars(symbol="BTCUSDT", seed=5, count=300)
    assert len(bars.closes) == 300
    assert "seed 5" in bars.source
    assert "true edge 0." in bars.source


def test_bars_with_a_hole_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("open_time_ms,open,high,low,close,volume\n0,1,1,1,1,1\n7200000,1,1,1,1,1\n")
    with pytest.raises(ValueError, match="not hourly and consecutive"):
        bars_of_file(path)


def test_the_shipped_model_says_the_same_of_a_broad_upward_region(shipped: Ensemble) -> None:
    axes = np.meshgrid(np.linspace(0.8, 4, 12), np.linspace(0.4, 2, 12), np.linspace(55, 70, 12))
    scores = shipped.score(np.column_stack([axis.ravel() for axis in axes]).astype(np.float32))
    assert ((scores.prob_long >= 0.70) & (scores.prob_long <= 0.80)).all()
    assert ((scores.confidence >= 0.60) & (scores.confidence <= 0.70)).all()
