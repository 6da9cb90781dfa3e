"""How long one row takes: the served graph against the same ensemble as plain skl2onnx converts it.

The plain graph is a soft vote over the members; the members' output, calibration by temperature, disagreement and
dissimilarity are appended to it node by node. Both run in turns inside one loop, so that whatever else the machine does
falls on both; "cold" is with other memory touched in between, as between two requests of a service.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder

from inference.adapters.model_onnx import INPUT, Graph
from inference.core.bars import Series
from inference.core.consensus import OUTPUTS, PROBABILITY_MARGIN, Rows
from inference.train.convert import OPSETS, RISE, converted
from inference.train.ensemble import Ensemble
from inference.train.export import build_graph, node_count
from inference.train.members import MEMBER_NAMES

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
    runs = [(Graph(graph), OUTPUTS) for graph in graphs]
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


def _times(runs: Sequence[tuple[Graph, Sequence[str]]], rows: Rows, rounds: int, *, cold: bool) -> Series:
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
    model.graph.node.extend(_appended(model.graph))
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(values), name) for name, values in _constants(ensemble).items()
    )
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, len(MEMBER_NAMES) if name == "members" else 1])
        for name in OUTPUTS
    )
    model.ir_version = _IR_VERSION
    return bytes(_with_opset(model).SerializeToString())


def _constants(ensemble: Ensemble) -> dict[str, NDArray[np.float32] | NDArray[np.int64] | np.float32]:
    columns = np.arange(RISE, 2 * len(MEMBER_NAMES), 2)
    return {
        "rise_column": np.array([RISE], np.int64),
        "rise_columns": columns.astype(np.int64),
        "across": np.array([1], np.int64),
        "least": np.float32(PROBABILITY_MARGIN),
        "most": np.float32(1.0 - PROBABILITY_MARGIN),
        "unity": np.float32(1.0),
        "slope": np.float32(ensemble.calibration.slope),
        "mean": ensemble.dissimilarity.mean.astype(np.float32),
        "weights": ensemble.dissimilarity.weights.T.astype(np.float32),
    }


def _appended(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        node("Gather", [graph.output[1].name, "rise_column"], ["prob_long"], axis=1),
        node("Clip", ["prob_long", "least", "most"], ["kept"]),
        node("Sub", ["unity", "kept"], ["other"]),
        node("Div", ["kept", "other"], ["odds"]),
        node("Log", ["odds"], ["log_odds"]),
        node("Mul", ["log_odds", "slope"], ["tempered"]),
        node("Abs", ["tempered"], ["strength"]),
        node("Sigmoid", ["strength"], ["confidence"]),
        node("Concat", _member_outputs(graph), ["both_sides"], axis=1),
        node("Gather", ["both_sides", "rise_columns"], ["members"], axis=1),
        node("ReduceMean", ["members"], ["middle"], axes=[1], keepdims=1),
        node("Sub", ["members", "middle"], ["deviations"]),
        node("Mul", ["deviations", "deviations"], ["variances"]),
        node("ReduceMean", ["variances"], ["variance"], axes=[1], keepdims=1),
        node("Sqrt", ["variance"], ["disagreement"]),
        node("Sub", [INPUT, "mean"], ["centred"]),
        node("MatMul", ["centred", "weights"], ["away"]),
        node("Mul", ["away", "away"], ["squares"]),
        node("ReduceSum", ["squares", "across"], ["square"], keepdims=1),
        node("Sqrt", ["square"], ["dissimilarity"]),
    ]


def _member_outputs(graph: onnx.GraphProto) -> list[str]:
    """What the soft vote adds up, before it is weighed, in the order of the members."""
    vote = next(node for node in graph.node if node.op_type == "Sum")
    weighed = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Mul"}
    return [weighed[name] for name in vote.input]


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
