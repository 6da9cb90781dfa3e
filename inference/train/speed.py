"""How long one row takes: the served graph against the same ensemble as plain skl2onnx converts it.

The plain graph is a soft vote over the members with the calibration, the disagreement aside, and the dissimilarity
appended node by node. Both run in turns inside one loop, so that whatever else the machine does falls on both; "cold"
is with other memory touched in between, as between two requests of a service.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder

from inference.adapters.model_onnx import INPUT, Graph
from inference.core.consensus import OUTPUTS, PROBABILITY_MARGIN, Rows
from inference.train.convert import OPSETS, RISE, converted
from inference.train.ensemble import Ensemble
from inference.train.export import build_graph, node_count

_COLD_BYTES = 16 * 2**20
"""More than the caches of a core hold."""
_WARM_UP = 200
_IR_VERSION = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one row took, in microseconds."""

    nodes: int
    hot_p50_us: float
    hot_p99_us: float
    cold_p50_us: float
    cold_p99_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Both graphs in one run."""

    fused: Timing
    plain: Timing


def measure(ensemble: Ensemble, rows: Rows, names: Sequence[str], *, rounds: int) -> Speed:
    """Times both graphs on single rows; `rounds` each hot, and a tenth of them cold."""
    graphs = (build_graph(ensemble, names), plain_graph(ensemble, len(names)))
    runs = [(Graph(graphs[0]), OUTPUTS), (Graph(graphs[1]), ("confidence", "dissimilarity"))]
    for graph, outputs in runs:
        for _ in range(_WARM_UP):
            graph.run(rows[:1], outputs)
    hot = _times(runs, rows, rounds, cold=False)
    cold = _times(runs, rows, max(1, rounds // 10), cold=True)
    fused, plain = (
        Timing(
            nodes=node_count(graph),
            hot_p50_us=float(np.percentile(hot[:, place], 50)),
            hot_p99_us=float(np.percentile(hot[:, place], 99)),
            cold_p50_us=float(np.percentile(cold[:, place], 50)),
            cold_p99_us=float(np.percentile(cold[:, place], 99)),
        )
        for place, graph in enumerate(graphs)
    )
    return Speed(fused=fused, plain=plain)


def _times(
    runs: Sequence[tuple[Graph, Sequence[str]]], rows: Rows, rounds: int, *, cold: bool
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Microseconds of each run, shape [rounds, graphs]."""
    found = np.empty((rounds, len(runs)))
    other = np.zeros(_COLD_BYTES // 8)
    for number in range(rounds):
        row = rows[number % rows.shape[0]][None, :]
        for place, (graph, outputs) in enumerate(runs):
            if cold:
                other += 1.0
            started = time.perf_counter_ns()
            graph.run(row, outputs)
            found[number, place] = (time.perf_counter_ns() - started) / 1000.0
    return found


def plain_graph(ensemble: Ensemble, width: int) -> bytes:
    """The ensemble as plain skl2onnx converts it, what it has no form for appended node by node."""
    model = converted(_voting(ensemble), width)
    probabilities = model.graph.output[1].name
    constants = {
        "rise_column": np.array([RISE], np.int64),
        "least": np.float32(PROBABILITY_MARGIN),
        "most": np.float32(1.0 - PROBABILITY_MARGIN),
        "one": np.float32(1.0),
        "slope": np.float32(ensemble.calibration.slope),
        "mean": ensemble.dissimilarity.mean.astype(np.float32),
        "weights": ensemble.dissimilarity.weights.T.astype(np.float32),
    }
    node = helper.make_node
    model.graph.node.extend(
        [
            node("Gather", [probabilities, "rise_column"], ["prob_long"], axis=1),
            node("Clip", ["prob_long", "least", "most"], ["kept"]),
            node("Sub", ["one", "kept"], ["other"]),
            node("Div", ["kept", "other"], ["odds"]),
            node("Log", ["odds"], ["log_odds"]),
            node("Mul", ["log_odds", "slope"], ["tempered"]),
            node("Abs", ["tempered"], ["strength"]),
            node("Sigmoid", ["strength"], ["confidence"]),
            node("Sub", [INPUT, "mean"], ["centred"]),
            node("MatMul", ["centred", "weights"], ["away"]),
            node("Mul", ["away", "away"], ["squares"]),
            node("ReduceSum", ["squares", "columns"], ["square"], keepdims=1),
            node("Sqrt", ["square"], ["dissimilarity"]),
        ]
    )
    constants["columns"] = np.array([1], np.int64)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("confidence", "dissimilarity")
    )
    model.ir_version = _IR_VERSION
    return bytes(_with_opset(model).SerializeToString())


def _with_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with this project's opsets, which the appended nodes are written for."""
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
    return model


def _voting(ensemble: Ensemble) -> VotingClassifier:
    """The fitted members as scikit-learn's soft vote."""
    members = ensemble.members
    fitted = (make_pipeline(members.logistic.scaler, members.logistic.model), members.boosting, members.forest)
    named = [(f"member_{number}", member) for number, member in enumerate(fitted)]
    vote = VotingClassifier(named, voting="soft", flatten_transform=False)
    vote.estimators_ = list(fitted)
    vote.le_ = LabelEncoder().fit([False, True])
    vote.classes_ = vote.le_.classes_
    return vote
