"""Intervals by block bootstrap: whole weeks are drawn with replacement, since rows of one week resemble each other.

A replicate is a number of copies for each week. Statistics that are ratios of sums are resampled by their sums over a
week; the others weigh each row by its week's copies. The interval goes from the 2.5 % to the 97.5 % quantile of the
replicates and is widened to hold the figure itself: a figure such as ECE is pushed up by noise, and more so in a
replicate, which makes its upper end cautious.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import Series
from inference.core.card import Interval

WEEK_MS = 7 * 86_400_000
REPLICATES = 1000
_QUANTILES = (0.025, 0.975)
_BOOTSTRAP_SEED = 7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blocks:
    """The weeks of some rows, and the replicates drawn of them."""

    of_row: NDArray[np.int64]
    """The number of each row's block, from 0; shape [rows]."""
    copies: Series
    """How often a replicate holds each block; shape [replicates, blocks]."""

    def sums(self, values: Series) -> Series:
        """The sum over each block, of values of shape [rows]."""
        return np.asarray(np.bincount(self.of_row, weights=values, minlength=self.copies.shape[1]), np.float64)

    def ratios(self, parts: Series, wholes: Series) -> Series:
        """The ratio of two sums over rows, in each replicate; NaN where the lower sum is nothing."""
        above, below = self.copies @ self.sums(parts), self.copies @ self.sums(wholes)
        found: Series = np.divide(above, below, out=np.full(above.shape, np.nan), where=below != 0.0)
        return found

    def weighted(self, statistic: Callable[[Series], float]) -> Series:
        """A statistic of row weights, in each replicate."""
        return np.array([statistic(copies[self.of_row]) for copies in self.copies])


def weekly_blocks(closed_ms: NDArray[np.int64], replicates: int = REPLICATES) -> Blocks:
    """The weeks in which the rows closed; the same rows give the same replicates."""
    _, of_row = np.unique(closed_ms // WEEK_MS, return_inverse=True)
    count = int(of_row.max()) + 1
    generator = np.random.default_rng(_BOOTSTRAP_SEED)
    copies = generator.multinomial(count, np.full(count, 1.0 / count), size=replicates)
    return Blocks(of_row=of_row, copies=copies.astype(np.float64))


def interval(value: float, replicates: Series) -> Interval:
    """The figure with its interval of 95 %."""
    finite = replicates[np.isfinite(replicates)]
    low, high = np.quantile(finite, _QUANTILES) if finite.size else (value, value)
    return Interval(value=value, low=min(value, float(low)), high=max(value, float(high)))
