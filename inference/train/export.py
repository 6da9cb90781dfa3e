"""The whole ensemble as one ONNX graph, exported by skl2onnx.

skl2onnx converts each fitted member, its scaler included, into a graph of its own. They are laid side by side over one
input, and only what the converter has no right form for is appended by hand: the members' output, their mean, and the
temperature (skl2onnx 1.20 cannot convert scikit-learn's calibration by temperature).

    features -> each member's converted graph -> probabilities [rows, 2] of a fall and a rise
    all probabilities -> Concat, Gather (the rises) -> members
    members -> ReduceMean -> prob_long -> Clip, Sub, Div, Log, Mul, Abs, Sigmoid -> confidence

The nodes that only served the members' class labels are pruned. A converter can be silently wrong, so no graph is
believed before inference/train/demo.py has compared it with the fitted members.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix_graph
from onnx.utils import Extractor
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import ClassifierMixin

from inference.adapters.model_onnx import FEATURE_NAMES_KEY, INPUT
from inference.core.consensus import OUTPUTS, PROBABILITY_MARGIN
from inference.train.members import MEMBER_NAMES, Members

METHOD = (
    "each fitted member converted by skl2onnx and merged into one graph; the members' output, their mean and the "
    "temperature of the confidence appended by hand"
)
_OPSETS = {"": 17, "ai.onnx.ml": 3}
_IR_VERSION = 8
_CLASSES = 2  # a fall, a rise: the columns of every member's probabilities
_RISE = 1


def build_graph(members: Members, feature_names: Sequence[str], slope: float) -> bytes:
    """The graph of the fitted members with the confidence's slope, as the bytes of model.onnx."""
    width = len(feature_names)
    converted = [_converted(name, fitted, width) for name, fitted in zip(MEMBER_NAMES, members.in_order, strict=True)]
    graph = helper.make_graph(
        [node for part in converted for node in part.node] + list(_consensus_nodes(converted)),
        "consensus",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", width])],
        [
            helper.make_tensor_value_info("prob_long", TensorProto.FLOAT, ["rows", 1]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["rows", 1]),
            helper.make_tensor_value_info("members", TensorProto.FLOAT, ["rows", len(MEMBER_NAMES)]),
        ],
        initializer=[constant for part in converted for constant in part.initializer] + _consensus_constants(slope),
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    whole = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="tollgate")
    model = Extractor(whole).extract_model([INPUT], list(OUTPUTS))  # leaves out what no output needs
    model.producer_name, model.graph.name = whole.producer_name, graph.name  # which the extractor replaces by its own
    helper.set_model_props(model, {FEATURE_NAMES_KEY: ",".join(feature_names)})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _converted(name: str, fitted: ClassifierMixin, width: int) -> onnx.GraphProto:
    """The member's graph from `INPUT` to its label and its probabilities, every other name prefixed by the member's."""
    model = convert_sklearn(
        fitted,
        name=name,
        initial_types=[(INPUT, FloatTensorType([None, width]))],
        target_opset=_OPSETS,
        options={id(fitted): {"zipmap": False}},  # a plain matrix of probabilities, not a map for each row
    )
    return add_prefix_graph(model.graph, f"{name}/", rename_inputs=False)


def _consensus_nodes(converted: Sequence[onnx.GraphProto]) -> Iterator[onnx.NodeProto]:
    node = helper.make_node
    yield node("Concat", [part.output[1].name for part in converted], ["probabilities"], axis=1)
    yield node("Gather", ["probabilities", "rises"], ["members"], axis=1)
    yield node("ReduceMean", ["members"], ["prob_long"], axes=[1], keepdims=1)
    yield node("Clip", ["prob_long", "least", "most"], ["kept"])
    yield node("Sub", ["one", "kept"], ["other"])
    yield node("Div", ["kept", "other"], ["ratio"])
    yield node("Log", ["ratio"], ["log_odds"])
    yield node("Mul", ["log_odds", "slope"], ["tempered"])
    yield node("Abs", ["tempered"], ["strength"])
    yield node("Sigmoid", ["strength"], ["confidence"])


def _consensus_constants(slope: float) -> list[onnx.TensorProto]:
    numbers = {"least": PROBABILITY_MARGIN, "most": 1.0 - PROBABILITY_MARGIN, "one": 1.0, "slope": slope}
    rises = np.arange(_RISE, len(MEMBER_NAMES) * _CLASSES, _CLASSES)
    return [
        numpy_helper.from_array(rises.astype(np.int64), "rises"),
        *(numpy_helper.from_array(np.array(number, np.float32), name) for name, number in numbers.items()),
    ]
