"""The whole ensemble as one small ONNX graph, and the proof that it computes what was fitted.

The graph, written node by node so that it stays small and quick:

    features -> Gemm (with the scaler folded in), Tanh, Gemm -> network's log odds --.
             -> TreeEnsembleRegressor, Split -> boosting's log odds -> Concat, Sigmoid -> Concat -> members
                                             -> forest's mean ----------------------------'
    members -> ReduceMean -> prob_long -> Clip, Sub, Div, Log, Mul, Abs, Sigmoid -> confidence

Both tree ensembles are the two targets of one node. A split sends x <= threshold left in float64 on float32 values;
the graph's float32 thresholds are rounded down, which sends every float32 value the same way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.tree import DecisionTreeRegressor

from inference.adapters.model_onnx import FEATURE_NAMES_KEY, INPUT
from inference.core.consensus import PROBABILITY_MARGIN
from inference.train.members import MEMBER_NAMES, Members

_OPSET, _ML_OPSET, _IR_VERSION = 17, 3, 8
_BOOSTING_TARGET, _FOREST_TARGET = 0, 1
_LEAF = -1


@dataclass(slots=True, kw_only=True)
class _Trees:
    """The attributes of a TreeEnsembleRegressor, filled tree by tree."""

    attributes: dict[str, list[Any]] = field(default_factory=dict)
    count: int = 0

    def add(self, tree: Any, values: NDArray[np.float64], target: int) -> None:  # noqa: ANN401 # sklearn has no types
        """One fitted tree whose leaf i gives values[i] to the target."""
        for node in range(tree.node_count):
            leaf = tree.children_left[node] == _LEAF
            self._put("nodes_treeids", self.count)
            self._put("nodes_nodeids", node)
            self._put("nodes_modes", "LEAF" if leaf else "BRANCH_LEQ")
            self._put("nodes_featureids", 0 if leaf else int(tree.feature[node]))
            self._put("nodes_values", 0.0 if leaf else _rounded_down(tree.threshold[node]))
            self._put("nodes_truenodeids", 0 if leaf else int(tree.children_left[node]))
            self._put("nodes_falsenodeids", 0 if leaf else int(tree.children_right[node]))
            if leaf:
                self._put("target_treeids", self.count)
                self._put("target_nodeids", node)
                self._put("target_ids", target)
                self._put("target_weights", float(values[node]))
        self.count += 1

    def _put(self, name: str, value: object) -> None:
        self.attributes.setdefault(name, []).append(value)


def _rounded_down(threshold: float) -> float:
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf)))


def build_graph(members: Members, feature_names: Sequence[str], slope: float) -> bytes:
    """The graph of the fitted members with the confidence's slope, as the bytes of model.onnx."""
    width = len(feature_names)
    graph = helper.make_graph(
        list(_nodes(members)),
        "consensus",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", width])],
        [
            helper.make_tensor_value_info("prob_long", TensorProto.FLOAT, ["rows", 1]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["rows", 1]),
            helper.make_tensor_value_info("members", TensorProto.FLOAT, ["rows", len(MEMBER_NAMES)]),
        ],
        initializer=_constants(members, slope),
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="tollgate")
    helper.set_model_props(model, {FEATURE_NAMES_KEY: ",".join(feature_names)})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _nodes(members: Members) -> Iterator[onnx.NodeProto]:
    node = helper.make_node
    yield node("Gemm", [INPUT, "inner_weights", "inner_bias"], ["inner"])
    yield node("Tanh", ["inner"], ["hidden"])
    yield node("Gemm", ["hidden", "outer_weights", "outer_bias"], ["network_odds"])
    yield node("TreeEnsembleRegressor", [INPUT], ["trees"], domain="ai.onnx.ml", **_tree_attributes(members))
    yield node("Split", ["trees"], ["boosting_odds", "forest_mean"], axis=1)
    yield node("Concat", ["network_odds", "boosting_odds"], ["odds"], axis=1)
    yield node("Sigmoid", ["odds"], ["from_odds"])
    yield node("Concat", ["from_odds", "forest_mean"], ["members"], axis=1)
    yield node("ReduceMean", ["members"], ["prob_long"], axes=[1], keepdims=1)
    yield node("Clip", ["prob_long", "least", "most"], ["kept"])
    yield node("Sub", ["one", "kept"], ["other"])
    yield node("Div", ["kept", "other"], ["ratio"])
    yield node("Log", ["ratio"], ["log_odds"])
    yield node("Mul", ["log_odds", "slope"], ["tempered"])
    yield node("Abs", ["tempered"], ["strength"])
    yield node("Sigmoid", ["strength"], ["confidence"])


def _constants(members: Members, slope: float) -> list[onnx.TensorProto]:
    scaler, network = members.network[0], members.network[1]
    inner = network.coefs_[0] / scaler.scale_[:, np.newaxis]
    values = {
        "inner_weights": inner,
        "inner_bias": network.intercepts_[0] - scaler.mean_ @ inner,
        "outer_weights": network.coefs_[1],
        "outer_bias": network.intercepts_[1],
        "least": np.array(PROBABILITY_MARGIN),
        "most": np.array(1.0 - PROBABILITY_MARGIN),
        "one": np.array(1.0),
        "slope": np.array(slope),
    }
    return [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]


def _tree_attributes(members: Members) -> dict[str, Any]:
    trees = _Trees()
    rate = members.boosting.learning_rate
    for stage in members.boosting.estimators_[:, 0]:
        regressor: DecisionTreeRegressor = stage
        trees.add(regressor.tree_, rate * regressor.tree_.value[:, 0, 0], _BOOSTING_TARGET)
    for grown in members.forest.estimators_:
        counts = grown.tree_.value[:, 0, :]
        share = counts[:, 1] / counts.sum(axis=1)
        trees.add(grown.tree_, share / len(members.forest.estimators_), _FOREST_TARGET)
    start = members.boosting.init_.class_prior_[1]
    base = float(np.log(start / (1.0 - start)))
    return {**trees.attributes, "n_targets": 2, "aggregate_function": "SUM", "base_values": [base, 0.0]}
