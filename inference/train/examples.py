"""Labelled examples in the order of time, split without leaks.

The label of bar t is 1 when the next bar closes above bar t's close, else 0. Features of bar t use bars up to t only.
The examples fall into three slices, oldest first: train fits the members, calibrate fits the confidence, test is
looked at once. `PURGE_BARS` bars are dropped at both joints: the label's horizon (1), the features' look-back (20) and
a margin.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.core.features import RSI_BARS_MIN, feature_matrix
from inference.train.bars import Bars

HORIZON_BARS = 1
PURGE_BARS = 24
_TRAIN_SHARE = 0.6
_CALIBRATE_SHARE = 0.2
_ROWS_MIN = 300  # fewer examples than this in a slice say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Examples of one stretch of time: features [rows, features], labels [rows], the first and last bar's row."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    first_row: int
    last_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The three slices."""

    train: Slice
    calibrate: Slice
    test: Slice


def split_examples(bars: Bars, names: tuple[str, ...]) -> Split:
    """The slices of the bars. Raises ValueError when there are too few."""
    closes = np.asarray(bars.closes)
    matrix = feature_matrix(closes, names).astype(np.float32)
    labels = (closes[HORIZON_BARS:] > closes[:-HORIZON_BARS]).astype(np.int64)
    first, end = RSI_BARS_MIN, labels.size  # rows before are not converged; the last bar has no label yet
    calibrate_at = first + int((end - first) * _TRAIN_SHARE)
    test_at = calibrate_at + int((end - first) * _CALIBRATE_SHARE)

    def part(start: int, stop: int) -> Slice:
        if stop - start < _ROWS_MIN:
            raise ValueError(f"{len(bars.closes)} bars are too few: a slice has {stop - start} rows, under {_ROWS_MIN}")
        return Slice(X=matrix[start:stop], y=labels[start:stop], first_row=start, last_row=stop - 1)

    return Split(
        train=part(first, calibrate_at - PURGE_BARS),
        calibrate=part(calibrate_at, test_at - PURGE_BARS),
        test=part(test_at, end),
    )
