"""Figures of predictions on rows that came later than all that was fitted.

auc, hit rate and the errors by decile are of the consensus; Brier, log loss and calibration slope of the calibrated
probability of a rise; ECE and the reliability tables of the confidence. Intervals: inference/train/bootstrap.py, and
Wilson's for a share of independent rows.

Sources: Murphy 1973 (the parts of the Brier score) with Stephenson, Coelho and Jolliffe 2008: the spread within a
bucket is counted to its resolution, so that the three parts make up the score exactly; Wilson 1927; Naeini, Cooper and
Hauskrecht 2015 (ECE with buckets of equal mass).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import Series
from inference.core.card import Bucket, Figures, Interval
from inference.core.consensus import logit
from inference.train.bootstrap import Blocks, interval, weekly_blocks
from inference.train.calibrate import sigmoid
from inference.train.members import Labels
from inference.train.predictions import Predictions

ECE_BUCKETS = 15
BUCKET_EDGES = (0.0, 0.5, 0.525, 0.55, 0.575, 0.6, 0.65, 0.7, 1.0)
"""Of reliability tables; the first bucket is met by sigmoid calibration alone, whose bias may outvote the consensus."""
GAP_MAX = 0.05
"""The promise: stated and met differ by no more than five points."""
DECILES = 10
BPS = 1e4
_SLOPE_STEPS_MAX = 50
_LINE_MAX = 100.0
_WILSON_Z = 1.959964
_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldBuckets:
    """How many buckets of a fold's confidence keep the promise."""

    rows_min: int
    """Smaller buckets are not counted."""
    kept: int
    count: int
    worst: float
    """The largest gap of a counted bucket."""

    @property
    def share(self) -> float:
        """The share that keeps it; 1 when there is none to count."""
        return self.kept / self.count if self.count else 1.0


def figures_of(predictions: Predictions, base_rise: Series, *, threshold: float, fee_bps: float) -> Figures:
    """All figures of the card. `base_rise` is the rate of rises of each row's training rows, shape [rows]."""
    blocks = weekly_blocks(predictions.closed_ms)
    up, rise, hits = predictions.up, predictions.rise, predictions.hits
    sure = predictions.confidence >= threshold
    parts = brier_parts(rise, up)
    gross = _edge_bps(predictions, sure, blocks, fee_bps=0.0)
    return Figures(
        rows=len(predictions),
        base_rate=float(up.mean()),
        auc=auc_interval(predictions.prob_long, up, blocks),
        brier=float(np.square(rise - up).mean()),
        brier_reliability=parts[0],
        brier_resolution=parts[1],
        brier_uncertainty=parts[2],
        log_loss=log_loss(rise, up),
        log_loss_base=log_loss(base_rise, up),
        ece=ece_interval(predictions.confidence, hits, blocks),
        calibration_slope=slope_interval(rise, up, blocks),
        hit_rate=float(hits.mean()),
        threshold=threshold,
        coverage=float(sure.mean()),
        hit_rate_at_threshold=_mean_where(hits, sure),
        mean_confidence_at_threshold=_mean_where(predictions.confidence, sure),
        gross_edge_bps=gross,
        net_edge_bps=_edge_bps(predictions, sure, blocks, fee_bps=fee_bps),
        fee_bps=fee_bps,
        error_by_disagreement=errors_by(predictions.disagreement, hits),
        error_by_dissimilarity=errors_by(predictions.dissimilarity, hits),
    )


def auc(scores: Series, up: Labels) -> float:
    """The chance that a rise scores higher than a fall, ties counted half; Mann and Whitney's statistic by ranks."""
    return _Ranks(scores, up).auc(np.ones(up.size))


def auc_interval(scores: Series, up: Labels, blocks: Blocks) -> Interval:
    """The AUC with its block-bootstrap interval."""
    ranks = _Ranks(scores, up)
    return interval(ranks.auc(np.ones(up.size)), blocks.weighted(ranks.auc))


class _Ranks:
    """Scores sorted once, for the AUC under many weights of the rows."""

    def __init__(self, scores: Series, up: Labels) -> None:
        _, self._place = np.unique(scores, return_inverse=True)
        self._up = up
        self._places = int(self._place.max()) + 1

    def auc(self, weights: Series) -> float:
        """The AUC with these weights of the rows; NaN when only rises or only falls have weight."""
        rises = np.bincount(self._place, weights=weights * self._up, minlength=self._places)
        falls = np.bincount(self._place, weights=weights * ~self._up, minlength=self._places)
        pairs = rises.sum() * falls.sum()
        if pairs == 0.0:
            return float("nan")
        below = np.cumsum(falls) - 0.5 * falls
        return float(rises @ below / pairs)


def brier_parts(rise: Series, up: Labels) -> tuple[float, float, float]:
    """Reliability, resolution and uncertainty: their first less their second plus their third is the Brier score."""
    bucket = _equal_mass(rise, np.ones(rise.size))
    counts = np.bincount(bucket, minlength=ECE_BUCKETS)
    gaps = np.bincount(bucket, weights=rise - up, minlength=ECE_BUCKETS) / np.maximum(counts, 1)
    reliability = float((counts * np.square(gaps)).sum() / rise.size)
    uncertainty = float(up.mean() * (1.0 - up.mean()))
    return reliability, reliability + uncertainty - float(np.square(rise - up).mean()), uncertainty


def log_loss(rise: Series, up: Labels) -> float:
    """The mean negative log likelihood of the labels."""
    said = np.where(up, rise, 1.0 - rise)
    return float(-np.log(np.maximum(said, _TINY)).mean())


def ece(confidence: Series, hits: Labels) -> float:
    """The expected calibration error: the mean gap of stated to met over 15 buckets of equal mass."""
    return _ece(np.sort(confidence), hits[np.argsort(confidence, kind="stable")], np.ones(hits.size))


def ece_interval(confidence: Series, hits: Labels, blocks: Blocks) -> Interval:
    """The expected calibration error with its block-bootstrap interval; the buckets are formed in each replicate."""
    order = np.argsort(confidence, kind="stable")
    stated, met = confidence[order], hits[order]
    return interval(
        _ece(stated, met, np.ones(met.size)), blocks.weighted(lambda weights: _ece(stated, met, weights[order]))
    )


def _ece(stated: Series, met: Labels, weights: Series) -> float:
    """Of rows that are sorted by what was stated."""
    bucket = _by_mass(weights)
    gaps = np.bincount(bucket, weights=weights * (stated - met), minlength=ECE_BUCKETS)
    return float(np.abs(gaps).sum() / weights.sum())


def _equal_mass(values: Series, weights: Series) -> NDArray[np.int64]:
    """The bucket of each row."""
    order = np.argsort(values, kind="stable")
    bucket = np.empty(values.size, np.int64)
    bucket[order] = _by_mass(weights[order])
    return bucket


def _by_mass(weights: Series) -> NDArray[np.int64]:
    """The bucket of each sorted row, such that all buckets weigh the same."""
    before = np.cumsum(weights) - 0.5 * weights
    bucket: NDArray[np.int64] = np.minimum((before * (ECE_BUCKETS / weights.sum())).astype(np.int64), ECE_BUCKETS - 1)
    return bucket


def slope_interval(rise: Series, up: Labels, blocks: Blocks) -> Interval:
    """The calibration slope with its interval.

    A replicate takes one Newton step from the fit of all rows, by sums over its blocks: the fit itself, up to terms of
    the order of one over the number of rows.
    """
    odds = logit(rise)
    at, slope = fitted_line(odds, up)
    said = sigmoid(at + slope * odds)
    curve = said * (1.0 - said)
    h00, h01, h11 = (blocks.copies @ blocks.sums(curve * power) for power in (np.ones(odds.size), odds, odds * odds))
    g0, g1 = (blocks.copies @ blocks.sums((up - said) * power) for power in (np.ones(odds.size), odds))
    across = h00 * h11 - h01 * h01
    step = np.divide(h00 * g1 - h01 * g0, across, out=np.full(across.shape, np.nan), where=across > 0.0)
    return interval(slope, np.clip(slope + step, -_LINE_MAX, _LINE_MAX))


def fitted_line(odds: Series, up: Labels) -> tuple[float, float]:
    """Intercept and slope of a logistic regression of the label on the log odds, by Newton's method.

    Where the log odds part rises from falls without a fault there is no best slope; it stops at `_LINE_MAX`.
    """
    at, slope = 0.0, 1.0
    design = np.column_stack([np.ones(odds.size), odds])
    for _ in range(_SLOPE_STEPS_MAX):
        said = sigmoid(at + slope * odds)
        hessian = (design * (said * (1.0 - said))[:, None]).T @ design
        step = np.linalg.lstsq(hessian, design.T @ (up - said), rcond=None)[0]
        at, slope = (
            float(np.clip(old + new, -_LINE_MAX, _LINE_MAX)) for old, new in zip((at, slope), step, strict=True)
        )
        if float(np.abs(step).max()) < _TINY:
            break
    return at, slope


def reliability_table(confidence: Series, hits: Labels) -> tuple[Bucket, ...]:
    """Stated against met in each bucket that has rows."""
    bucket = _edge_bucket(confidence)
    return tuple(
        Bucket(
            low=BUCKET_EDGES[number],
            high=BUCKET_EDGES[number + 1],
            count=int(rows.sum()),
            mean_confidence=float(confidence[rows].mean()),
            hit_rate=wilson(float(hits[rows].mean()), int(rows.sum())),
        )
        for number in range(len(BUCKET_EDGES) - 1)
        if (rows := bucket == number).any()
    )


def fold_buckets(predictions: Predictions, rows_min: int) -> FoldBuckets:
    """How many buckets of at least so many rows keep the promise, counted fold by fold."""
    gaps = [
        abs(bucket.mean_confidence - bucket.hit_rate.value)
        for rows in rows_of_folds(predictions)
        for bucket in reliability_table(predictions.confidence[rows], predictions.hits[rows])
        if bucket.count >= rows_min
    ]
    kept = sum(gap <= GAP_MAX for gap in gaps)
    return FoldBuckets(rows_min=rows_min, kept=kept, count=len(gaps), worst=max(gaps, default=0.0))


def rows_of_folds(predictions: Predictions) -> Iterable[NDArray[np.bool_]]:
    """The rows of each fold, as marks of shape [rows]."""
    return (predictions.fold == number for number in np.unique(predictions.fold))


def wilson(share: float, count: float) -> Interval:
    """Wilson's interval of 95 % around a share of so many independent rows."""
    weight = _WILSON_Z**2 / count
    centre = (share + weight / 2.0) / (1.0 + weight)
    half = _WILSON_Z / (1.0 + weight) * math.sqrt(share * (1.0 - share) / count + weight / (4.0 * count))
    return Interval(value=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half)))


def errors_by(values: Series, hits: Labels) -> tuple[float, ...]:
    """The share of wrong signals in ten parts of rising values; fewer parts when there are fewer rows."""
    order = np.argsort(values, kind="stable")
    return tuple(float((~hits[rows]).mean()) for rows in np.array_split(order, DECILES) if rows.size)


def _edge_bps(predictions: Predictions, sure: Labels, blocks: Blocks, *, fee_bps: float) -> Interval | None:
    """The mean return of the trades at or above the threshold, both fees paid; None without trades."""
    if not sure.any():
        return None
    side = np.where(predictions.favours_long, 1.0, -1.0)
    earned = side * np.expm1(predictions.forward_return) * BPS - 2.0 * fee_bps
    traded = sure.astype(np.float64)
    return interval(float(earned[sure].mean()), blocks.ratios(earned * traded, traded))


def _mean_where(values: NDArray[np.bool_] | Series, rows: Labels) -> float | None:
    return float(values[rows].mean()) if rows.any() else None


def _edge_bucket(confidence: Series) -> NDArray[np.int64]:
    inner = np.asarray(BUCKET_EDGES[1:-1])
    return np.searchsorted(inner, confidence, side="right").astype(np.int64)
