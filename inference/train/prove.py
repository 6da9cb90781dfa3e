"""The proof of a graph: on rows of the market and on rows drawn around them it must say what was fitted.

Every output is compared: the members' probabilities, their mean, the confidence and the disagreement by their
difference, the dissimilarity by its difference as a share of itself where it is above 1, since it has no upper end.
Rows are drawn over twice the market's range as well, where the outer leaves answer. What is not a number is refused
before the graph is asked, by `assemble_rows`; that is proved too.
"""

from dataclasses import dataclass

import numpy as np

from inference.adapters.model_onnx import Graph
from inference.core.bars import Series
from inference.core.consensus import OUTPUTS, Rows, assemble_rows, disagreement, mean_consensus
from inference.core.gates import EXPORT_ROWS_MIN
from inference.core.refusal import Refused
from inference.train.convert import Parity, compared
from inference.train.ensemble import Ensemble

MARKET_ROWS_MAX = 100_000
"""The newest rows of the market that are compared; more take longer and show no more."""
_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How far the graph is from the fitted ensemble."""

    parity: Parity
    market_rows: int
    """How many of the rows are the market's."""
    nan_refused: bool
    """Whether a feature that is not a number was refused."""


def prove(graph: bytes, ensemble: Ensemble, market: Rows, names: tuple[str, ...], *, seed: int) -> Proof:
    """Compares the graph with the fitted ensemble on the market's rows and on at least 10,000 drawn around them."""
    taken = market[-MARKET_ROWS_MAX:]
    rows = np.concatenate([taken, drawn_around(taken, EXPORT_ROWS_MIN, seed=seed)])
    return Proof(
        parity=parity_with(graph, ensemble, rows),
        market_rows=taken.shape[0],
        nan_refused=_refuses_nan(names),
    )


def parity_with(graph: bytes, ensemble: Ensemble, rows: Rows) -> Parity:
    """How far the graph's outputs are from what the fitted ensemble says of the rows."""
    return _parity(_outputs(graph, rows), _fitted(ensemble, rows))


def drawn_around(market: Rows, count: int, *, seed: int) -> Rows:
    """Rows drawn evenly over twice the market's range in every feature."""
    low, high = market.min(axis=0).astype(np.float64), market.max(axis=0).astype(np.float64)
    half = (high - low) / 2.0
    drawn = np.random.default_rng(seed).uniform(low - half, high + half, size=(count, market.shape[1]))
    return drawn.astype(np.float32)


def _outputs(graph: bytes, rows: Rows) -> dict[str, Series]:
    runnable = Graph(graph)
    batches = [runnable.run(rows[at : at + _BATCH_ROWS], OUTPUTS) for at in range(0, rows.shape[0], _BATCH_ROWS)]
    joined = (np.concatenate(parts).astype(np.float64) for parts in zip(*batches, strict=True))
    return dict(zip(OUTPUTS, joined, strict=True))


def _fitted(ensemble: Ensemble, rows: Rows) -> dict[str, Series]:
    members = ensemble.members.probabilities(rows)
    prob_long = mean_consensus(members)
    return {
        "prob_long": prob_long,
        "confidence": ensemble.calibration.confidence(prob_long),
        "members": members,
        "disagreement": disagreement(members),
        "dissimilarity": ensemble.dissimilarity.of(rows)[:, None],
    }


def _parity(given: dict[str, Series], fitted: dict[str, Series]) -> Parity:
    sides = compared(given["prob_long"][:, 0], fitted["prob_long"][:, 0])
    differences = [
        np.abs(given[name] - fitted[name]) / (np.maximum(fitted[name], 1.0) if name == "dissimilarity" else 1.0)
        for name in OUTPUTS
    ]
    finite = all(np.isfinite(difference).all() for difference in differences)
    largest = max(float(difference.max()) for difference in differences) if finite else float("inf")
    return Parity(rows=sides.rows, difference_max=largest, flips=sides.flips)


def _refuses_nan(names: tuple[str, ...]) -> bool:
    broken = dict.fromkeys(names, np.array([np.nan]))
    return isinstance(assemble_rows(broken, names, rows_max=1), Refused)
