"""Labelled rows of one or several markets, in the order of time.

A row is kept when its features are settled (`HISTORY_BARS_MIN` bars lie before it) and its label is known: warm-up
rows and rows labelled NONE or OPEN are dropped. Rows of several markets are pooled by the moment at which their bar
closed; rows of the same moment stand in the order of the markets.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import MS, Bars, Series
from inference.core.consensus import Rows
from inference.core.features import HISTORY_BARS_MIN, feature_matrix
from inference.core.labels import UP, Labels, LabelSpec, label_bars
from inference.train.bars import Market

FeatureFunction = Callable[[Bars, Sequence[str]], Series]
"""Bars and feature names to features, shape [bars, features]."""

LabelFunction = Callable[[Bars, LabelSpec], Labels]
"""Bars and what is asked of them to labels."""

MARKETS_MAX = 64


class UnusableError(ValueError):
    """Bars that this cannot be done with; says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Examples:
    """Labelled rows; every array has the shape [rows] unless said."""

    bar_ms: int
    X: Rows
    """Shape [rows, features], in float32, as the graph takes them."""
    up: NDArray[np.bool_]
    forward_return: Series
    """The log return from the row's close to the close of the last bar that its label looked at."""
    closed_ms: NDArray[np.int64]
    """When the row's bar closed."""
    end_ms: NDArray[np.int64]
    """When the last bar that the row's label looked at closed: what purging goes by."""
    series: NDArray[np.int64]
    """Which market the row belongs to, from 0."""

    def __len__(self) -> int:
        return int(self.up.size)

    def take(self, rows: NDArray[np.int64]) -> "Examples":
        """These rows alone."""
        return replace(
            self,
            X=self.X[rows],
            up=self.up[rows],
            forward_return=self.forward_return[rows],
            closed_ms=self.closed_ms[rows],
            end_ms=self.end_ms[rows],
            series=self.series[rows],
        )


def examples_of(
    markets: Sequence[Market],
    names: Sequence[str],
    label: LabelSpec,
    *,
    features: FeatureFunction = feature_matrix,
    labels: LabelFunction = label_bars,
) -> Examples:
    """The labelled rows of the markets. Raises UnusableError when their bars differ in length or leave no row."""
    if not 1 <= len(markets) <= MARKETS_MAX:
        raise UnusableError(f"there are {len(markets)} markets; 1 to {MARKETS_MAX} are taken")
    lengths = sorted({market.bars.bar_seconds for market in markets})
    if len(lengths) > 1:
        raise UnusableError(f"bars of {lengths[0]} s and of {lengths[1]} s cannot be trained on together")
    parts = [
        _of_market(market.bars, number, features(market.bars, names), labels(market.bars, label))
        for number, market in enumerate(markets)
    ]
    pooled = Examples(
        bar_ms=lengths[0] * MS,
        X=np.concatenate([part.X for part in parts]),
        up=np.concatenate([part.up for part in parts]),
        forward_return=np.concatenate([part.forward_return for part in parts]),
        closed_ms=np.concatenate([part.closed_ms for part in parts]),
        end_ms=np.concatenate([part.end_ms for part in parts]),
        series=np.concatenate([part.series for part in parts]),
    )
    if not len(pooled):
        raise UnusableError(f"no row is left: features need {HISTORY_BARS_MIN} bars, and the label its horizon")
    return pooled.take(np.argsort(pooled.closed_ms, kind="stable"))


def _of_market(bars: Bars, number: int, features: Series, labels: Labels) -> Examples:
    rows = np.flatnonzero((labels.values >= 0) & (np.arange(len(bars)) >= HISTORY_BARS_MIN))
    ends = labels.end_row[rows]
    matrix = features[rows].astype(np.float32)
    finite = np.isfinite(matrix).all(axis=1)  # the features of the last row may reach beyond the bars in a leaky set
    rows, ends, matrix = rows[finite], ends[finite], matrix[finite]
    bar_ms = bars.bar_seconds * MS
    return Examples(
        bar_ms=bar_ms,
        X=matrix,
        up=labels.values[rows] == UP,
        forward_return=np.log(bars.close[ends] / bars.close[rows]),
        closed_ms=bars.open_time_ms[rows] + bar_ms,
        end_ms=bars.open_time_ms[ends] + bar_ms,
        series=np.full(rows.size, number, np.int64),
    )
