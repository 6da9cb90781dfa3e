"""Conversion of scikit-learn classifiers by skl2onnx, believed only when it was compared.

Some forms convert without an error into a graph that says something else (skl2onnx 1.20: calibration around a pipeline
with a scaler, isotonic calibration). So `convert_checked` runs every graph on the rows it is given, and refuses it
when a probability differs by more than `EXPORT_DIFFERENCE_MAX` from scikit-learn's or a favoured side flips.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import ClassifierMixin

from inference.adapters.model_onnx import INPUT, Graph
from inference.core.consensus import Rows, favours_long
from inference.core.gates import EXPORT_DIFFERENCE_MAX

OPSETS = {"": 17, "ai.onnx.ml": 3}
RISE = 1
"""The column of a rise among a classifier's probabilities."""
TIE = 1e-6
"""A consensus this near one half has no side that float32 could tell; it favours nobody and cannot flip."""

_patching = threading.Lock()


class ConversionRefusedError(ValueError):
    """A graph that is not what was fitted; says by how much."""

    def __init__(self, parity: "Parity") -> None:
        super().__init__(
            f"the graph differs from the fitted model by up to {parity.difference_max:.3g} "
            f"(limit {EXPORT_DIFFERENCE_MAX:g}), {parity.flips} of {parity.rows} rows flipped"
        )
        self.parity = parity


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far a graph is from the fitted model."""

    rows: int
    difference_max: float
    """The largest difference of a probability; infinite when the graph gave something that is no number."""
    flips: int
    """Rows whose favoured side differs, ties aside."""

    @property
    def passed(self) -> bool:
        """Whether the graph may be believed."""
        return self.difference_max <= EXPORT_DIFFERENCE_MAX and self.flips == 0


def convert_checked(estimator: ClassifierMixin, X: Rows) -> bytes:
    """The graph of a classifier of two classes, proved on the rows. Raises ConversionRefusedError with the figures."""
    graph = converted(estimator, X.shape[1]).SerializeToString()
    parity = parity_of(estimator, graph, X)
    if not parity.passed:
        raise ConversionRefusedError(parity)
    return bytes(graph)


def parity_of(estimator: ClassifierMixin, graph: bytes, X: Rows) -> Parity:
    """How far the graph is from the classifier on the rows."""
    runnable = Graph(graph)
    (given,) = runnable.run(X, runnable.output_names[1:2])
    fitted = estimator.predict_proba(X)
    return compared(given[:, RISE], fitted[:, RISE])


def compared(given: NDArray[np.floating], fitted: NDArray[np.float64]) -> Parity:
    """The probabilities of a rise that a graph gave, against those of the fitted model; shape [rows]."""
    difference = np.abs(given.astype(np.float64) - fitted)
    sides = favours_long(given) != favours_long(fitted)
    return Parity(
        rows=int(fitted.size),
        difference_max=float(difference.max()) if np.isfinite(difference).all() else float("inf"),
        flips=int((sides & (np.abs(fitted - 0.5) > TIE)).sum()),
    )


def converted(estimator: ClassifierMixin, width: int) -> onnx.ModelProto:
    """The classifier's graph from `INPUT` to its label and its matrix of probabilities, as skl2onnx makes it."""
    with _whole_numbers():
        model: onnx.ModelProto = convert_sklearn(
            estimator,
            initial_types=[(INPUT, FloatTensorType([None, width]))],
            target_opset=OPSETS,
            options={id(estimator): {"zipmap": False}},  # a plain matrix of probabilities, not a map for each row
        )
        return model


@contextmanager
def _whole_numbers() -> Iterator[None]:
    """While it lasts, a list of truths that onnx is given for a list of whole numbers is taken as ones and zeros.

    skl2onnx describes histogram gradient boosting so, and protobuf 7 refuses it with a TypeError.
    """
    with _patching:
        make = helper.make_attribute

        def make_attribute(key: str, value: Any, *rest: Any, **named: Any) -> onnx.AttributeProto:  # noqa: ANN401 - onnx takes anything
            if isinstance(value, list) and any(isinstance(one, bool | np.bool_) for one in value):
                value = [int(one) for one in value]
            return make(key, value, *rest, **named)

        helper.make_attribute = make_attribute
        try:
            yield
        finally:
            helper.make_attribute = make
