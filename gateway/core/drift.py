"""How far a feature has moved from its distribution in training, with limits that know how little the rows say.

Rows fall into the ten bins between the deciles of training, each of which had a tenth of the training rows.

psi   population stability index, the sum over the bins of (share - 0.1) * log(share / 0.1); half a row is added to each
      bin, so that an empty one stays finite
ks    the largest distance of the two distribution functions at the nine deciles: at most Kolmogorov's and Smirnov's

A feature of few values, such as an hour, puts many rows exactly on a decile. They count to whichever side keeps the
share below that decile nearest to its tenths: where they belong is not known, and they are no evidence.

Rows of one bar speak together, and those of neighbouring bars repeat each other: the effective rows are the bars,
divided by the feature's autocorrelation time in training. While nothing has moved, effective rows * psi is distributed
like chi-square with 9 degrees of freedom, and ks stays below sqrt(log(2 / alpha) / (2 * effective rows)) with
probability 1 - alpha (P. Massart, "The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality", 1990). A limit is
what is tolerated plus what chance can do at FALSE_FLAGS, divided among the features. Drifted is what passes both.

Drift is a reason to look, and moves nothing: features may move while the promise holds, and hold while it breaks.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Final

BINS: Final = 10
TENTHS: Final = tuple(place / BINS for place in range(1, BINS))
"""The share of training rows below each decile."""
PSI_TOLERATED: Final = 0.1
"""The folklore's border between no change and some."""
KS_TOLERATED: Final = 0.05
FALSE_FLAGS: Final = 0.001
"""The chance that any feature is flagged at one look when none has moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureReference:
    """How one feature was distributed in training."""

    name: str
    deciles: tuple[float, ...]
    """The nine inner deciles, rising."""
    autocorrelation_bars: float
    """So many bars lie between two rows that say something new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The features of one scored decision."""

    bar_open_ms: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDrift:
    """How far one feature has moved."""

    name: str
    psi: float
    psi_limit: float
    ks: float
    ks_limit: float
    effective_rows: float

    @property
    def drifted(self) -> bool:
        """Both limits are passed."""
        return self.psi > self.psi_limit and self.ks > self.ks_limit


def feature_drift(references: Sequence[FeatureReference], rows: Sequence[Row]) -> tuple[FeatureDrift, ...]:
    """The drift of each feature that has a reference and at least one row, in the references' order."""
    alpha = FALSE_FLAGS / max(1, len(references))
    drifts = (_drift(reference, rows, alpha) for reference in references)
    return tuple(drift for drift in drifts if drift is not None)


def _drift(reference: FeatureReference, rows: Sequence[Row], alpha: float) -> FeatureDrift | None:
    known = [row for row in rows if reference.name in row.values]
    if not known:
        return None
    effective = max(1.0, len({row.bar_open_ms for row in known}) / max(1.0, reference.autocorrelation_bars))
    below = _below(reference.deciles, [row.values[reference.name] for row in known])
    return FeatureDrift(
        name=reference.name,
        psi=_psi(below, len(known)),
        psi_limit=PSI_TOLERATED + chi_square_quantile(1.0 - alpha, BINS - 1) / effective,
        ks=max(abs(share - tenths) for share, tenths in zip(below, TENTHS, strict=True)),
        ks_limit=KS_TOLERATED + math.sqrt(math.log(2.0 / alpha) / (2.0 * effective)),
        effective_rows=effective,
    )


def chi_square_quantile(probability: float, freedom: int) -> float:
    """By Wilson's and Hilferty's cube (PNAS 17, 1931): for 9 degrees too high by 1 % at 0.999, by 3 % at 0.999999."""
    spread = 2.0 / (9.0 * freedom)
    return freedom * (1.0 - spread + NormalDist().inv_cdf(probability) * math.sqrt(spread)) ** 3


def _below(deciles: Sequence[float], values: Sequence[float]) -> list[float]:
    """The share of the values below each decile; those on it count to the side that keeps it nearest to its tenths."""
    rising = sorted(array("f", values))  # the deciles are those of float32 rows: a tie must stay one
    return [
        min(max(tenths, bisect_left(rising, decile) / len(rising)), bisect_right(rising, decile) / len(rising))
        for decile, tenths in zip(deciles, TENTHS, strict=True)
    ]


def _psi(below: Sequence[float], rows: int) -> float:
    parts = [upto - from_ for from_, upto in pairwise((0.0, *below, 1.0))]
    shares = [(part * rows + 0.5) / (rows + 0.5 * BINS) for part in parts]
    return math.fsum((share - 1.0 / BINS) * math.log(share * BINS) for share in shares)
