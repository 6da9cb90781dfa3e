"""What a walk-forward said of the rows that it had not seen: what figures, reports and canaries are made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.core.bars import Series
from inference.core.consensus import favours_long


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Out-of-sample rows of all folds, in order of time; every array has the shape [rows] unless said."""

    closed_ms: NDArray[np.int64]
    """When the row's bar closed, milliseconds since 1970 UTC."""
    series: NDArray[np.int64]
    """Which of the trained series the row belongs to, from 0."""
    fold: NDArray[np.int64]
    """Which fold measured it, from 0."""
    up: NDArray[np.bool_]
    """The label."""
    forward_return: Series
    """The log return from the bar's close to the end of its label."""
    members: Series
    """Each member's probability of a rise, shape [rows, members]."""
    prob_long: Series
    """The consensus: the members' mean."""
    rise: Series
    """The calibrated probability of a rise, by the calibration of the row's own fold."""
    confidence: Series
    """The calibrated probability that the favoured side is right."""
    disagreement: Series
    dissimilarity: Series

    def __len__(self) -> int:
        return int(self.up.size)

    @property
    def favours_long(self) -> NDArray[np.bool_]:
        """Whether the consensus favours a rise."""
        return favours_long(self.prob_long)

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Whether the favoured side was right."""
        right: NDArray[np.bool_] = self.favours_long == self.up
        return right
