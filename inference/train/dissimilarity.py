"""Dissimilarity: how far a row of features lies from the rows that trained the model.

The Mahalanobis distance from the mean, with Ledoit and Wolf's covariance of the standardised features, scaled so that
1 is the `QUANTILE` of the training rows. Market features have fat tails: before mean and covariance are estimated each
feature is cut at its `_CUT` quantiles, so that a few crashes do not stretch the measure in their own direction. The
distances themselves, and so the quantile, are those of the rows as they are.

Source: O. Ledoit and M. Wolf, A well-conditioned estimator for large-dimensional covariance matrices, 2004.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.covariance import LedoitWolf
from threadpoolctl import threadpool_limits

from inference.core.bars import Series
from inference.core.consensus import Rows

QUANTILE = 0.999
_CUT = (0.001, 0.999)
_VARIANCE_MIN = 1e-6
"""Of the largest variance: a direction in which the training rows hardly moved is not weighed without limit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dissimilarity:
    """|W (x - m)|."""

    weights: Series
    """W, shape [features, features]."""
    mean: Series
    """m, shape [features]."""

    def of(self, X: Rows) -> Series:
        """The dissimilarity of the rows, shape [rows]."""
        distances: Series = np.linalg.norm((X.astype(np.float64) - self.mean) @ self.weights.T, axis=1)
        return distances


def fit_dissimilarity(X: Rows) -> Dissimilarity:
    """The measure of these training rows."""
    with threadpool_limits(limits=1):
        return _fit(X.astype(np.float64))


def _fit(rows: Series) -> Dissimilarity:
    cut = np.clip(rows, *np.quantile(rows, _CUT, axis=0))
    mean, spread = cut.mean(axis=0), cut.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)  # a feature that never moved has no unit of its own
    variances, axes = np.linalg.eigh(LedoitWolf(assume_centered=True).fit((cut - mean) / spread).covariance_)
    kept = np.maximum(variances, _VARIANCE_MIN * variances.max())
    weights = (axes / np.sqrt(kept)).T / spread
    unscaled = np.linalg.norm((rows - mean) @ weights.T, axis=1)
    return Dissimilarity(weights=weights / np.quantile(unscaled, QUANTILE), mean=mean)
