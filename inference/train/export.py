"""The whole ensemble as one ONNX graph of few nodes, since between two requests every node costs cold caches.

skl2onnx converts the tree members. What its converters do in many nodes, or have no form for, is written by hand:

    features ─ Gemm ─────────────────────┐                     (scaler and logistic regression folded into one product)
    features ─ TreeEnsembleRegressor ────┴ Concat ─ Sigmoid ─┐               (boosting's raw score; both to probability)
    features ─ TreeEnsembleRegressor ────────────────────────┴ Concat ─ members   (the forest's probability of a rise)
    members ─ ReduceMean ─ prob_long ─ Clip, Sub, Div, Log ─ log odds
    log odds ─ Mul, Abs, Sigmoid ─ confidence                                                              (temperature)
    log odds ─ Gemm, Sigmoid, Sub, GreaterOrEqual, Where ─ confidence                                          (sigmoid)
    members ─ MatMul, ReduceL2 ─ disagreement                           (centred and scaled, so that the length is it)
    features ─ Gemm, ReduceL2 ─ dissimilarity

A clipped logistic regression has Max and Min before its product. Where boosting compares a feature with a threshold,
the threshold is rounded down to float32: then no float32 feature takes another branch than in double precision.
The graph is believed only after inference/train/prove.py has compared it with the fitted members.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier

from inference.adapters.model_onnx import FEATURE_NAMES_KEY, INPUT
from inference.core.bars import Series
from inference.core.consensus import OUTPUTS, PROBABILITY_MARGIN
from inference.train.calibrate import Calibration
from inference.train.convert import OPSETS, converted
from inference.train.ensemble import Ensemble
from inference.train.members import MEMBER_NAMES, Logistic

METHOD = (
    "tree members converted by skl2onnx and fused to one node each; scaler and logistic regression folded to one "
    "product; consensus, calibration, disagreement and dissimilarity appended by hand"
)
_IR_VERSION = 8
_COUNT = len(MEMBER_NAMES)


class _Builder:
    """Nodes and constants in the making."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, values: Series | float) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:  # noqa: ANN401 - onnx takes anything
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{output}/{kind}", **attributes))
        return output


def build_graph(ensemble: Ensemble, feature_names: Sequence[str]) -> bytes:
    """The graph of the fitted ensemble, as the bytes of model.onnx."""
    width, build = len(feature_names), _Builder()
    _members(build, ensemble, width)
    _confidence(build, ensemble.calibration)
    _disagreement(build)
    _dissimilarity(build, ensemble)
    columns = {"members": _COUNT}
    graph = helper.make_graph(
        build.nodes,
        "consensus",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", columns.get(name, 1)]) for name in OUTPUTS],
        initializer=build.constants,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="tollgate")
    helper.set_model_props(model, {FEATURE_NAMES_KEY: ",".join(feature_names)})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def node_count(graph: bytes) -> int:
    """How many nodes the graph has."""
    return len(onnx.load_model_from_string(graph).graph.node)


def _members(build: _Builder, ensemble: Ensemble, width: int) -> None:
    members = ensemble.members
    _logistic(build, members.logistic)
    boosting = _classifier_node(converted(members.boosting, width))
    build.nodes.append(_regressor(boosting, "boosting_score", _rounded_down(members.boosting)))
    build.node("Concat", ["logistic_score", "boosting_score"], "scores", axis=1)
    build.node("Sigmoid", ["scores"], "scored")
    build.nodes.append(_regressor(_classifier_node(converted(members.forest, width)), "forest_rise"))
    build.node("Concat", ["scored", "forest_rise"], "members", axis=1)
    build.node("ReduceMean", ["members"], "prob_long", axes=[1], keepdims=1)


def _logistic(build: _Builder, logistic: Logistic) -> None:
    mean, spread = logistic.scaler.mean_, logistic.scaler.scale_
    weights = logistic.model.coef_[0] / spread
    at = float(logistic.model.intercept_[0] - mean @ weights)
    taken = INPUT
    if logistic.clip_sigmas is not None:
        least = build.constant("logistic_least", mean - logistic.clip_sigmas * spread)
        most = build.constant("logistic_most", mean + logistic.clip_sigmas * spread)
        taken = build.node("Min", [build.node("Max", [INPUT, least], "floored"), most], "clipped")
    weights_name = build.constant("logistic_weights", weights[:, None])
    build.node("Gemm", [taken, weights_name, build.constant("logistic_at", np.array([at]))], "logistic_score")


def _confidence(build: _Builder, calibration: Calibration) -> None:
    least, most = build.constant("least", PROBABILITY_MARGIN), build.constant("most", 1.0 - PROBABILITY_MARGIN)
    one = build.constant("one", 1.0)
    build.node("Clip", ["prob_long", least, most], "kept")
    build.node("Div", ["kept", build.node("Sub", [one, "kept"], "other")], "odds")
    build.node("Log", ["odds"], "log_odds")
    if calibration.method == "temperature":
        build.node("Mul", ["log_odds", build.constant("slope", calibration.slope)], "tempered")
        build.node("Sigmoid", [build.node("Abs", ["tempered"], "strength")], "confidence")
        return
    slope = build.constant("slope", np.array([[calibration.slope]]))
    bias = build.constant("bias", np.array([calibration.bias]))
    rise = build.node("Sigmoid", [build.node("Gemm", ["log_odds", slope, bias], "calibrated")], "rise")
    fall = build.node("Sub", [one, rise], "fall")
    side = build.node("GreaterOrEqual", ["prob_long", build.constant("half", 0.5)], "favours_long")
    build.node("Where", [side, rise, fall], "confidence")


def _disagreement(build: _Builder) -> None:
    centring = (np.eye(_COUNT) - 1.0 / _COUNT) / np.sqrt(_COUNT)
    build.node("MatMul", ["members", build.constant("centring", centring)], "deviations")
    build.node("ReduceL2", ["deviations"], "disagreement", axes=[1], keepdims=1)


def _dissimilarity(build: _Builder, ensemble: Ensemble) -> None:
    measure = ensemble.dissimilarity
    weights = build.constant("dissimilarity_weights", measure.weights.T)
    at = build.constant("dissimilarity_at", -measure.weights @ measure.mean)
    build.node("ReduceL2", [build.node("Gemm", [INPUT, weights, at], "away")], "dissimilarity", axes=[1], keepdims=1)


def _classifier_node(model: onnx.ModelProto) -> NodeProto:
    return next(node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")


def _regressor(classifier: NodeProto, output: str, thresholds: NDArray[np.float32] | None = None) -> NodeProto:
    """The trees of a classifier as one node that gives the sum of the leaves' weights, shape [rows, 1].

    Of two classes the converter writes the weights of the second alone, here a rise.
    """
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in classifier.attribute}
    attributes = {name: values for name, values in given.items() if name.startswith("nodes_")}
    if thresholds is not None:
        attributes["nodes_values"] = thresholds
    if "base_values" in given:
        attributes["base_values"] = given["base_values"]
    node: NodeProto = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [output],
        name=f"{output}/TreeEnsembleRegressor",
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        post_transform="NONE",
        target_ids=given["class_ids"],
        target_nodeids=given["class_nodeids"],
        target_treeids=given["class_treeids"],
        target_weights=given["class_weights"],
        **attributes,
    )
    node.attribute.sort(key=_attribute_name)  # the same bytes whatever the order in which they were made
    return node


def _attribute_name(attribute: AttributeProto) -> str:
    return str(attribute.name)


def _rounded_down(boosting: HistGradientBoostingClassifier) -> NDArray[np.float32]:
    """The thresholds of all nodes in the converter's order, each the largest float32 not above it; 0 for leaves."""
    nodes = np.concatenate([trees[0].nodes for trees in boosting._predictors])  # noqa: SLF001 # scikit-learn has no public view of its trees
    exact = np.where(nodes["is_leaf"] != 0, 0.0, nodes["num_threshold"])
    near = exact.astype(np.float32)
    return np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near).astype(np.float32)
