"""The numbers behind the report's plots: pure, from a walk-forward's predictions and its rows of features.

Sources: E. B. Wilson, Probable inference, 1927; J. A. Hanley and B. J. McNeil, The meaning and use of the area under
a ROC curve, 1982; the population stability index is the symmetric Kullback-Leibler divergence of two histograms.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from inference.core.bars import Series
from inference.core.card import Interval
from inference.train.predictions import Predictions

CURVE_POINTS = 400
"""Points of a drawn curve: a page of A4 resolves no more."""
BPS = 1e4
_Z_95 = 1.959964
_CHI2_9_95 = 16.919
"""Ten shares have nine degrees of freedom; n times the index of a sample from the reference is distributed so."""
_TENTH = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """Points of a line."""

    x: Series
    y: Series


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Equity:
    """What trading each signal at or above the threshold with one equal stake would have added up to."""

    closed_ms: NDArray[np.int64]
    """The moments of the trades that are drawn: at most four for each of `CURVE_POINTS` stretches, the extremes."""
    gross_bps: Series
    """The sum of all returns so far in the signal's direction, basis points of the stake."""
    net_bps: Series
    """The same after two taker fees a trade."""
    trades: int
    drawdown_bps: float
    """The deepest fall of the net sum below its highest value so far, which begins with 0."""


def roc_of(predictions: Predictions) -> Curve | None:
    """False against true positives of `prob_long`, thinned; None when only one outcome occurred."""
    if _one_sided(predictions.up):
        return None
    false_share, true_share, _ = roc_curve(predictions.up, predictions.prob_long)
    kept = _spread(false_share.size, CURVE_POINTS)
    return Curve(x=false_share[kept], y=true_share[kept])


def auc_of(scores: Series, up: NDArray[np.bool_], *, horizon_bars: int) -> Interval | None:
    """The area under the ROC curve; None when only one outcome occurred."""
    if _one_sided(up):
        return None
    return auc_interval(float(roc_auc_score(up, scores)), up, horizon_bars=horizon_bars)


def auc_interval(auc: float, up: NDArray[np.bool_], *, horizon_bars: int) -> Interval:
    """The interval of 95 % around an AUC by Hanley and McNeil.

    Labels of a longer horizon overlap, and so many rows count as one.
    """
    positives = max(1.0, float(up.sum()) / horizon_bars)
    negatives = max(1.0, float((~up).sum()) / horizon_bars)
    both = auc / (2.0 - auc)
    twice = 2.0 * auc**2 / (1.0 + auc)
    variance = auc * (1.0 - auc) + (positives - 1.0) * (both - auc**2) + (negatives - 1.0) * (twice - auc**2)
    half = _Z_95 * math.sqrt(max(0.0, variance) / (positives * negatives))
    return Interval(value=auc, low=max(0.0, auc - half), high=min(1.0, auc + half))


def stability_index(values: NDArray[np.float32], deciles: Series) -> float:
    """The population stability index of the values against the ten parts between the nine training deciles.

    A feature of few values, such as an hour, puts many rows exactly on a decile. They count to whichever side keeps
    the share below that decile nearest to its tenths: where they belong is not known, and they are no evidence.
    """
    rising = np.sort(values)
    edges = deciles.astype(np.float32)  # the values are float32, and a tie must stay one
    under = np.searchsorted(rising, edges, side="left") / rising.size
    upto = np.searchsorted(rising, edges, side="right") / rising.size
    below = np.clip(_TENTH * np.arange(1, 10), under, upto)
    shares = np.diff(np.concatenate(([0.0], below, [1.0])))
    shares = np.maximum(shares, 0.5 / rising.size)  # an empty part counts as half a row
    return float(np.sum((shares - _TENTH) * np.log(shares / _TENTH)))


def stability_noise(rows: int, autocorrelation_bars: float) -> float:
    """What the index of rows like the training ones stays below in 95 of 100 cases."""
    return _CHI2_9_95 * autocorrelation_bars / rows


def equity_of(predictions: Predictions, *, threshold: float, fee_bps: float) -> Equity | None:
    """The sum of the signals at or above the threshold; None when there are none."""
    chosen = predictions.confidence >= threshold
    trades = int(chosen.sum())
    if trades == 0:
        return None
    side = np.where(predictions.favours_long[chosen], 1.0, -1.0)
    each = BPS * side * np.expm1(predictions.forward_return[chosen])
    gross, net = np.cumsum(each), np.cumsum(each - 2.0 * fee_bps)
    falls = np.maximum(np.maximum.accumulate(net), 0.0) - net
    kept = _extremes(gross, net)
    return Equity(
        closed_ms=predictions.closed_ms[chosen][kept],
        gross_bps=gross[kept],
        net_bps=net[kept],
        trades=trades,
        drawdown_bps=float(falls.max()),
    )


def _one_sided(up: NDArray[np.bool_]) -> bool:
    return bool(up.all() or not up.any())


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most so many of `count` positions, evenly, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _extremes(*lines: Series) -> NDArray[np.int64]:
    """The positions of the lowest and the highest point of each line in each stretch, and both ends: no peak goes."""
    count = lines[0].size
    edges = np.append(_spread(count, CURVE_POINTS), count)
    kept = {0, count - 1}
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        for line in lines:
            kept |= {start + int(line[start:stop].argmin()), start + int(line[start:stop].argmax())}
    return np.array(sorted(kept), dtype=np.int64)
