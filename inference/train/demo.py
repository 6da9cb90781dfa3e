"""The demonstration model: bars in, a checked version folder out."""

import hashlib
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.adapters.model_onnx import load_ensemble
from inference.core.card import Card, CardFeature, card_text
from inference.core.consensus import Ensemble, assemble_rows, confidence, favours_long, mean_consensus
from inference.core.features import KNOWN
from inference.core.refusal import Refused
from inference.train.bars import HOUR_MS, Bars
from inference.train.calibrate import METHOD, confidence_slope, figures
from inference.train.examples import HORIZON_BARS, Split, split_examples
from inference.train.export import METHOD as EXPORT_METHOD
from inference.train.export import build_graph
from inference.train.members import MEMBER_NAMES, Members, fit_members

MODEL_NAME = "consensus"
FEATURE_NAMES = ("mom_20", "rv_5", "rsi_14")
EXPORT_ROWS_MIN = 10_000
EXPORT_DIFFERENCE_MAX = 1e-5
_DESCRIPTION = (
    "DEMONSTRATION ensemble trained on the simulated market of this project, whose direction can be forecast by "
    "design. It says nothing about any real market: do not trade on it."
)
_LABEL = "the next hourly close is above this bar's close"
_LIBRARIES = ("numpy", "scikit-learn", "skl2onnx", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained version: its folder, its card, and the largest difference of its graph to the fitted members."""

    folder: Path
    card: Card
    export_difference: float
    export_rows: int


def train_demo(bars: Bars, *, models: Path, version: str) -> Trained:
    """Trains, exports, writes <models>/consensus/<version>/ and proves what was written.

    Raises ValueError when the bars are too few or the written graph is not what was fitted.
    """
    split = split_examples(bars, FEATURE_NAMES)
    members = fit_members(split.train)
    slope = confidence_slope(_consensus(members, split.calibrate.X), split.calibrate.y)
    graph = build_graph(members, FEATURE_NAMES, slope)
    measured = figures(_consensus(members, split.test.X), split.test.y, slope)
    card = _card(bars, split, version=version, slope=slope, sha256=hashlib.sha256(graph).hexdigest(), measured=measured)
    folder = models / MODEL_NAME / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "card.json").write_text(card_text(card), encoding="utf-8")
    rows = _export_rows(split)
    difference = prove_export(load_ensemble(models, MODEL_NAME, version), members, rows, slope)
    return Trained(folder=folder, card=card, export_difference=difference, export_rows=rows.shape[0])


def _consensus(members: Members, X: NDArray[np.float32]) -> NDArray[np.float64]:
    return mean_consensus(members.probabilities(X))[:, 0]


def _card(bars: Bars, split: Split, *, version: str, slope: float, sha256: str, measured: dict[str, float]) -> Card:
    return Card(
        name=MODEL_NAME,
        version=version,
        description=_DESCRIPTION,
        features=tuple(CardFeature(name=name, unit=KNOWN[name].unit) for name in FEATURE_NAMES),
        label=_LABEL,
        horizon_seconds=HORIZON_BARS * HOUR_MS // 1000,
        training_start=bars.closed_at(split.train.first_row),
        training_end=bars.closed_at(split.train.last_row),
        calibration_start=bars.closed_at(split.calibrate.first_row),
        calibration_end=bars.closed_at(split.calibrate.last_row),
        test_start=bars.closed_at(split.test.first_row),
        test_end=bars.closed_at(split.test.last_row),
        data_source=bars.source,
        sha256=sha256,
        members=MEMBER_NAMES,
        export_method=EXPORT_METHOD,
        calibration_method=METHOD,
        confidence_slope=round(slope, 6),
        calibration=measured,
        libraries={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
    )


def _export_rows(split: Split) -> NDArray[np.float32]:
    """Rows of the market, and as many drawn over twice their range, where the trees' outer leaves answer."""
    market = np.concatenate([split.train.X, split.calibrate.X, split.test.X])
    low, high = market.min(axis=0), market.max(axis=0)
    spread = high - low
    count = max(market.shape[0], EXPORT_ROWS_MIN)
    drawn = np.random.default_rng(5).uniform(low - spread / 2, high + spread / 2, size=(count, market.shape[1]))
    return np.concatenate([market, drawn.astype(np.float32)])


def prove_export(ensemble: Ensemble, members: Members, X: NDArray[np.float32], slope: float) -> float:
    """The largest difference between the graph and the fitted members. Raises ValueError when they disagree."""
    scores = ensemble.score(X)
    fitted = members.probabilities(X)
    prob_long = mean_consensus(fitted)
    pairs = (
        (scores.members, fitted),
        (scores.prob_long, prob_long),
        (scores.confidence, confidence(prob_long, slope)),
    )
    difference = max(float(np.abs(given - wanted).max()) for given, wanted in pairs)
    flips = int((favours_long(scores.prob_long) != favours_long(prob_long)).sum())
    if difference > EXPORT_DIFFERENCE_MAX or flips:
        raise ValueError(f"the graph differs from the fitted members: by up to {difference}, {flips} labels flipped")
    broken = dict.fromkeys(FEATURE_NAMES, np.array([np.nan]))
    if not isinstance(assemble_rows(broken, FEATURE_NAMES, rows_max=1), Refused):
        raise ValueError("a feature that is not a number was not refused")  # noqa: TRY004 # no type is at fault
    return difference
