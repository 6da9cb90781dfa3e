"""What an ensemble says of rows of features, and which rows it may be asked about.

The maths of the consensus, which the graph carries out and the export check compares it with:

members        each member's probability of a rise, shape [rows, members]
prob_long      their plain mean
confidence     the calibrated probability that the favoured side is right: with l = logit(prob_long),
               sigmoid(slope * |l|) by temperature, sigmoid(slope * |l| + bias * sign(l)) by sigmoid. A slope in (0, 1]
               shrinks towards one half and never sharpens.
disagreement   the standard deviation of the members' probabilities
dissimilarity  |W (x - m)|, the Mahalanobis distance of the features x from the training set with mean m, W scaled so
               that 1 is the card's limit: further out than all but a thousandth of the training rows

Rows are refused in this order: unknown feature, missing feature, features of unequal length,
no rows or too many, a number that is not finite (in float32, which the graph computes in).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.core.card import Card
from inference.core.refusal import Reason, Refused, invalid_field, shown

Column = NDArray[np.floating]
"""One feature of all rows, in FP32 or FP64."""

Rows = NDArray[np.float32]
"""Rows of features in the card's order, shape [rows, features], finite."""

OUTPUTS = ("prob_long", "confidence", "members", "disagreement", "dissimilarity")
"""The names of the graph's outputs, in its order: the fields of `Scores`."""

PROBABILITY_MARGIN = 1e-6
"""Probabilities are kept this far from 0 and 1 before their logit is taken; float32 resolves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the ensemble says: `members` of shape [rows, members], all others [rows, 1]."""

    prob_long: NDArray[np.float32]
    confidence: NDArray[np.float32]
    members: NDArray[np.float32]
    disagreement: NDArray[np.float32]
    dissimilarity: NDArray[np.float32]


class ScoringFailedError(Exception):
    """A graph that could not be run over the rows."""


class Ensemble(Protocol):
    """A loaded model."""

    @property
    def card(self) -> Card:
        """What the model is."""
        ...

    def score(self, rows: Rows) -> Scores:
        """What it says of the rows, which `assemble_rows` made. Raises ScoringFailedError."""
        ...


def assemble_rows(columns: Mapping[str, Column], names: Sequence[str], *, rows_max: int) -> Rows | Refused:
    """The columns side by side in the order of `names`, or why they cannot be scored."""
    if refused := _wrong_names(columns, names):
        return refused
    count = columns[names[0]].size
    if refused := _wrong_sizes(columns, count, rows_max):
        return refused
    rows = np.empty((count, len(names)), dtype=np.float32)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is refused below
        for position, name in enumerate(names):
            rows[:, position] = columns[name]
    return rows if np.isfinite(rows).all() else _non_finite(rows, names)


def _wrong_names(columns: Mapping[str, object], names: Sequence[str]) -> Refused | None:
    wanted = ", ".join(names)
    for name in columns:
        if name not in names:
            return Refused(
                reason=Reason.UNKNOWN_FEATURE,
                message=f"Nothing was predicted: the model takes no feature {shown(name)}. Send exactly: {wanted}.",
                fields=((f"features.{shown(name)}", "is not a feature of the model"),),
                metadata={"feature": shown(name), "features": wanted},
            )
    for name in names:
        if name not in columns:
            return Refused(
                reason=Reason.MISSING_FEATURE,
                message=f"Nothing was predicted: the feature {name} is missing. Send exactly: {wanted}.",
                fields=((f"features.{name}", "is missing"),),
                metadata={"feature": name, "features": wanted},
            )
    return None


def _wrong_sizes(columns: Mapping[str, Column], count: int, rows_max: int) -> Refused | None:
    for name, column in columns.items():
        if column.size != count:
            fault = f"has {column.size} rows where others have {count}"
            return invalid_field(f"features.{name}", fault, value=str(column.size), expected=str(count))
    if not 1 <= count <= rows_max:
        return invalid_field("inputs", f"have {count} rows; 1 to {rows_max} are taken", limit=str(rows_max))
    return None


def _non_finite(rows: Rows, names: Sequence[str]) -> Refused:
    row, position = (int(index) for index in np.argwhere(~np.isfinite(rows))[0])
    name = names[position]
    return Refused(
        reason=Reason.NON_FINITE,
        message=f"Nothing was predicted: the feature {name} of row {row} is not finite. Send a number.",
        fields=((f"features.{name}", f"is not finite in row {row}"),),
        metadata={"feature": name, "row": str(row)},
    )


def mean_consensus(members: NDArray[np.float64]) -> NDArray[np.float64]:
    """The plain mean of the members' probabilities, shape [rows, 1]."""
    mean: NDArray[np.float64] = members.mean(axis=1, keepdims=True)
    return mean


def favours_long(prob_long: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether the consensus is for a rise."""
    favoured: NDArray[np.bool_] = np.greater_equal(prob_long, 0.5)
    return favoured


def logit(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log odds, with the probabilities kept `PROBABILITY_MARGIN` from 0 and 1."""
    kept = np.clip(probabilities, PROBABILITY_MARGIN, 1.0 - PROBABILITY_MARGIN)
    odds: NDArray[np.float64] = np.log(kept / (1.0 - kept))
    return odds


def calibrated(prob_long: NDArray[np.float64], slope: float, bias: float = 0.0) -> NDArray[np.float64]:
    """The calibrated probability of a rise: the log odds times `slope` plus `bias`, as a probability again."""
    return 1.0 / (1.0 + np.exp(-slope * logit(prob_long) - bias))


def confidence(prob_long: NDArray[np.float64], slope: float, bias: float = 0.0) -> NDArray[np.float64]:
    """The calibrated probability that the side which the consensus favours is right; below 0.5 only with a bias."""
    rise = calibrated(prob_long, slope, bias)
    return np.where(favours_long(prob_long), rise, 1.0 - rise)


def disagreement(members: NDArray[np.float64]) -> NDArray[np.float64]:
    """The population standard deviation of the members' probabilities, shape [rows, 1]."""
    spread: NDArray[np.float64] = members.std(axis=1, keepdims=True)
    return spread
