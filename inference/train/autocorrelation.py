"""How many rows of a feature pass until one says something new."""

from collections.abc import Sequence

import numpy as np

from inference.core.bars import Series

_WINDOW = 5.0
"""Sokal's c: 4 to 10 is usual; smaller cuts the sum too early, larger adds noise."""


def integrated_autocorrelation(series: Sequence[Series]) -> float:
    """The integrated autocorrelation time of a feature, in rows, at least 1; the mean over several series.

    tau(M) = 1 + 2 * (rho(1) + ... + rho(M)), cut at the smallest M with M >= 5 tau(M): later terms add noise alone.
    A feature that swings with the hour of the day averages out faster than chance would, and has 1.

    Source: A. Sokal, Monte Carlo Methods in Statistical Mechanics, 1989.
    """
    return float(np.mean([_of_one(values) for values in series]))


def _of_one(values: Series) -> float:
    moved = values - values.mean()
    power = float(moved @ moved)
    if power == 0.0:
        return 1.0
    padded = 1 << (2 * values.size - 1).bit_length()  # so long that the ends do not meet
    spectrum = np.fft.rfft(moved, padded)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), padded)[: values.size] / power
    tau = 2.0 * np.cumsum(correlation) - 1.0
    wide = np.flatnonzero(np.arange(values.size) >= _WINDOW * tau)
    return max(1.0, float(tau[wide[0] if wide.size else -1]))
