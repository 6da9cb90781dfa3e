"""A card, predictions and rows of features of an invented model, as plain as a real hourly one."""

import itertools
from typing import Any

import numpy as np

from inference.core.card import Card
from inference.core.consensus import logit
from inference.core.features import EXTENDED, KNOWN
from inference.core.gates import ECE_MAX
from inference.train.metrics import wilson
from inference.train.predictions import Predictions
from inference.train.report import FeatureRows
from inference.train.report_series import auc_of

FOLDS = 6
ROWS = 26_304
START_MS = 1_648_771_200_000
HOUR_MS = 3_600_000
EDGES = (0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 0.575, 0.6, 0.65, 0.7, 1.0)
THRESHOLD = 0.6
FEE_BPS = 5.5


def some_predictions(*, rows: int = ROWS, folds: int = FOLDS, members: int = 3, skill: float = 0.21) -> Predictions:
    """Honest hourly ones: prob_long spreads by 0.05, AUC is about 0.55, no edge survives its costs."""
    chance = np.random.default_rng(7)
    truth = chance.normal(size=rows)
    up = chance.random(rows) < 1 / (1 + np.exp(-skill * truth))
    each = 1 / (1 + np.exp(-(0.22 * truth[:, None] + 0.08 * chance.normal(size=(rows, members)))))
    prob_long = each.mean(axis=1)
    fold = np.arange(rows) * folds // rows
    slope = np.linspace(0.8, 1.0, folds)[fold]
    rise = 1 / (1 + np.exp(-slope * logit(prob_long)))
    size = 0.0035 * np.abs(chance.standard_t(4, size=rows))
    size *= np.where((prob_long >= 0.5) == up, 0.8, 1.0)
    return Predictions(
        closed_ms=START_MS + HOUR_MS * np.arange(rows),
        series=np.zeros(rows, np.int64),
        fold=fold,
        up=up,
        forward_return=np.where(up, size, -size),
        members=each,
        prob_long=prob_long,
        rise=rise,
        confidence=np.where(prob_long >= 0.5, rise, 1 - rise),
        disagreement=each.std(axis=1),
        dissimilarity=np.abs(chance.normal(0.4, 0.15, size=rows)),
    )


def some_rows(predictions: Predictions, names: tuple[str, ...] = EXTENDED) -> FeatureRows:
    """Features that keep still but for the third, which moves away; those of the hour take few values."""
    chance = np.random.default_rng(11)
    rows = len(predictions)
    values = chance.normal(size=(rows, len(names)))
    values[:, min(2, len(names) - 1)] += np.linspace(0.0, 1.2, rows)
    hours = 2 * np.pi * (predictions.closed_ms // HOUR_MS % 24) / 24
    deciles = np.tile(np.quantile(chance.normal(size=100_000), np.arange(1, 10) / 10), (len(names), 1))
    for place, name in enumerate(names):
        if name.startswith("hour_"):
            values[:, place] = (np.sin if name == "hour_sin" else np.cos)(hours)
            deciles[place] = np.quantile(values[:, place], np.arange(1, 10) / 10)
    return FeatureRows(deciles=deciles, closed_ms=predictions.closed_ms, values=values.astype(np.float32))


def some_card(predictions: Predictions, names: tuple[str, ...] = EXTENDED, **changes: Any) -> Card:
    """The card of the predictions; `changes` replace whole keys, and those of "figures" keys of the figures."""
    figures = {**_figures(predictions), **changes.pop("figures", {})}
    folds = int(predictions.fold.max()) + 1
    raw: dict[str, Any] = {
        "schema_version": 2,
        "name": "btc_1h",
        "version": "20260102_030405",
        "description": "Direction of the next hour of BTCUSDT by three members over seventeen features.",
        "market": "real",
        "bar_seconds": 3600,
        "features": tuple(
            {"name": name, "unit": KNOWN[name].unit, "deciles": (0.0,) * 9, "autocorrelation_bars": 4.0}
            for name in names
        ),
        "label": {
            "kind": "direction",
            "horizon_bars": 1,
            "barrier_sigmas": None,
            "meaning": "the close one bar ahead is above this bar's close",
        },
        "members": ("logistic_regression", "gradient_boosting", "random_forest", *("another",) * 9)[
            : predictions.members.shape[1]
        ],
        "calibration": {"method": "temperature", "slope": 0.75, "bias": 0.0, "fitted_slope": 0.9375, "shrink": 0.8},
        "dissimilarity_quantile": 0.999,
        "max_age_days": 90.0,
        "data": {
            "source": "Bybit public klines, linear, BTCUSDT, 60 minutes",
            "symbols": ("BTCUSDT",),
            "bars": 44_000,
            "sha256": "ab" * 32,
        },
        "training": {"start": "2023-04-01T00:00:00Z", "end": "2024-10-01T00:00:00Z", "rows": 13_100},
        "calibrating": {"start": "2024-10-02T00:00:00Z", "end": "2025-04-01T00:00:00Z", "rows": 4300},
        "validation": {
            "train_bars": 17_520,
            "calibrate_share": 0.25,
            "test_bars": 4380,
            "purge_bars": 1,
            "embargo_bars": 24,
            "folds": tuple(_fold(predictions, place) for place in range(folds)),
            "figures": figures,
            "reliability": _reliability(predictions),
            "canaries": (
                _canary(
                    "shuffled_labels", 0.503, 0.52, "AUC of labels in a random order; a coin's unless something leaks"
                ),
                _canary(
                    "delayed_features", -0.012, 0.01, "AUC gained by features that are a bar late; none may be gained"
                ),
            ),
            "trials": 1,
        },
        "overrides": (),
        "export": {
            "method": "skl2onnx, merged by hand",
            "nodes": 31,
            "rows": 26_304,
            "market_rows": 26_304,
            "difference_max": 2.1e-7,
            "flips": 0,
        },
        "seed": 7,
        "libraries": {"scikit-learn": "1.9.1", "numpy": "2.4.0", "skl2onnx": "1.20.0"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "created": "2026-01-02T03:04:05Z",
        "sha256": "cd" * 32,
    }
    return Card.model_validate(raw | changes)


def _canary(name: str, value: float, limit: float, meaning: str) -> dict[str, Any]:
    return {"name": name, "value": value, "limit": limit, "passed": value <= limit, "meaning": meaning}


def _log_loss(predictions: Predictions, chosen: Any = slice(None)) -> float:
    rise, up = predictions.rise[chosen], predictions.up[chosen]
    return float(-np.log(np.where(up, rise, 1 - rise)).mean())


def _ece(predictions: Predictions, chosen: Any = slice(None)) -> float:
    order = np.argsort(predictions.confidence[chosen], kind="stable")
    gap = predictions.confidence[chosen][order] - predictions.hits[chosen][order]
    return float(sum(abs(part.sum()) for part in np.array_split(gap, 15)) / order.size)


def _moment(closed_ms: int) -> str:
    return f"{np.datetime64(int(closed_ms), 'ms').astype('datetime64[s]')}Z"


def _fold(predictions: Predictions, place: int) -> dict[str, Any]:
    chosen = predictions.fold == place
    auc = auc_of(predictions.prob_long[chosen], predictions.up[chosen], horizon_bars=1)
    return {
        "start": _moment(predictions.closed_ms[chosen][0]),
        "end": _moment(predictions.closed_ms[chosen][-1]),
        "rows": int(chosen.sum()),
        "auc": 0.5 if auc is None else auc.value,
        "log_loss": _log_loss(predictions, chosen),
        "ece": _ece(predictions, chosen),
        "slope": 0.8,
    }


def _reliability(predictions: Predictions) -> tuple[dict[str, Any], ...]:
    found = []
    for low, high in itertools.pairwise(EDGES):
        chosen = (predictions.confidence >= low) & (predictions.confidence < high)
        if chosen.any():
            hit = wilson(float(predictions.hits[chosen].mean()), int(chosen.sum()))
            mean = float(predictions.confidence[chosen].mean())
            found.append(
                {"low": low, "high": high, "count": int(chosen.sum()), "mean_confidence": mean, "hit_rate": hit}
            )
    return tuple(found)


def _tenths(predictions: Predictions, by: Any) -> tuple[float, ...]:
    order = np.argsort(by, kind="stable")
    return tuple(float(1 - part.mean()) for part in np.array_split(predictions.hits[order], 10))


def _figures(predictions: Predictions) -> dict[str, Any]:
    chosen = predictions.confidence >= THRESHOLD
    auc = auc_of(predictions.prob_long, predictions.up, horizon_bars=1)
    edge = 1e4 * np.where(predictions.favours_long, 1, -1) * np.expm1(predictions.forward_return)
    some = bool(chosen.any())
    gross = float(edge[chosen].mean()) if some else 0.0
    base = float(predictions.up.mean())
    brier = float(np.square(predictions.rise - predictions.up).mean())
    ece = _ece(predictions)
    return {
        "rows": len(predictions),
        "base_rate": base,
        "auc": {"value": 0.5, "low": 0.5, "high": 0.5} if auc is None else auc,
        "brier": brier,
        "brier_reliability": 0.0002,
        "brier_resolution": base * (1 - base) + 0.0002 - brier,
        "brier_uncertainty": base * (1 - base),
        "log_loss": _log_loss(predictions),
        "log_loss_base": 0.6932,
        "ece": {"value": ece, "low": 0.5 * ece, "high": min(0.9 * ECE_MAX, 1.6 * ece)},
        "calibration_slope": {"value": 1.04, "low": 0.92, "high": 1.16},
        "hit_rate": float(predictions.hits.mean()),
        "threshold": THRESHOLD,
        "coverage": float(chosen.mean()),
        "hit_rate_at_threshold": float(predictions.hits[chosen].mean()) if some else None,
        "mean_confidence_at_threshold": float(predictions.confidence[chosen].mean()) if some else None,
        "gross_edge_bps": {"value": gross, "low": gross - 2.5, "high": gross + 2.5} if some else None,
        "net_edge_bps": {"value": gross - 11, "low": gross - 13.5, "high": gross - 8.5} if some else None,
        "fee_bps": FEE_BPS,
        "error_by_disagreement": _tenths(predictions, predictions.disagreement),
        "error_by_dissimilarity": _tenths(predictions, predictions.dissimilarity),
    }
