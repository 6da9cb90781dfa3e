"""Between wire messages and values; the only file here that knows the shapes of both."""

from collections.abc import Mapping, Sequence

import numpy as np
import protovalidate
from google.protobuf.message import Message
from numpy.typing import NDArray
from open_inference import grpc_predict_v2_pb2 as oip
from trading.v1 import model_pb2

from inference.core.card import Card
from inference.core.consensus import OUTPUTS, Column, Scores
from inference.core.refusal import Reason, Refused, invalid_field, shown

PLATFORM = "onnxruntime_onnx"
SERVER_NAME = "tollgate"
SHADOW = "shadow"
"""The request's parameter that asks for what the shadow says."""

_RAW_TYPES: Mapping[str, np.dtype[np.floating]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
_MATRIX_DIMENSIONS = 2
_VIOLATIONS_MAX = 8  # the details of an error travel as metadata, of which a client takes 8 kB


def input_columns(request: oip.ModelInferRequest) -> dict[str, Column] | Refused:
    """Each input tensor as one column by its name, or why it cannot be read."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        fault = f"has {len(raw)} entries for {len(request.inputs)} inputs"
        return invalid_field("raw_input_contents", fault)
    columns: dict[str, Column] = {}
    for place, tensor in enumerate(request.inputs):
        column = _column(tensor, raw[place] if raw else None, f"inputs[{place}]")
        if isinstance(column, Refused):
            return column
        if tensor.name in columns:
            return invalid_field(f"inputs[{place}].name", "names an input that was given before")
        columns[tensor.name] = column
    return columns


def _column(tensor: oip.ModelInferRequest.InferInputTensor, raw: bytes | None, path: str) -> Column | Refused:
    kind = _RAW_TYPES.get(tensor.datatype)
    if kind is None:
        return invalid_field(f"{path}.datatype", "is not FP32 or FP64")
    shape = tensor.shape
    if not (len(shape) == 1 or (len(shape) == _MATRIX_DIMENSIONS and shape[1] == 1)):
        return invalid_field(f"{path}.shape", "is not [rows] or [rows, 1]")
    if raw is None:
        contents = tensor.contents.fp32_contents if tensor.datatype == "FP32" else tensor.contents.fp64_contents
        column: Column = np.array(contents, dtype=kind)
        return column if column.size == shape[0] else _wrong_length(path, shape[0], column.size)
    if tensor.HasField("contents"):
        return invalid_field(f"{path}.contents", "is given beside raw_input_contents")
    if len(raw) != shape[0] * kind.itemsize:
        return _wrong_length(path, shape[0], len(raw) / kind.itemsize)
    return np.frombuffer(raw, dtype=kind)


def _wrong_length(path: str, expected: int, value: float) -> Refused:
    fault = f"says {expected} rows but {value:g} elements were sent"
    return invalid_field(f"{path}.shape", fault, expected=str(expected), value=f"{value:g}")


def wanted_outputs(request: oip.ModelInferRequest) -> Sequence[str] | Refused:
    """The names of the outputs to send: those that are asked for, or all."""
    if not request.outputs:
        return OUTPUTS
    names = [output.name for output in request.outputs]
    for place, name in enumerate(names):
        if name not in OUTPUTS:
            return invalid_field(f"outputs[{place}].name", f"is not one of {', '.join(OUTPUTS)}")
        if name in names[:place]:
            return invalid_field(f"outputs[{place}].name", "asks for an output twice")
    return names


def answer_template(card: Card) -> oip.ModelInferResponse:
    """What every answer of a model says alike: who it is, and how its numbers are to be taken."""
    response = oip.ModelInferResponse(model_name=card.name, model_version=card.version)
    response.parameters["horizon_seconds"].int64_param = card.horizon_seconds
    response.parameters["bar_seconds"].int64_param = card.bar_seconds
    response.parameters["market"].string_param = card.market
    if card.expire_ms is not None:
        response.parameters["expire_ms"].int64_param = card.expire_ms
    return response


def infer_response(
    template: oip.ModelInferResponse, scores: Scores, outputs: Sequence[str], request_id: str
) -> oip.ModelInferResponse:
    """The scores as the wanted tensors, in raw little-endian FP32."""
    response = oip.ModelInferResponse()
    response.CopyFrom(template)
    response.id = request_id
    for name in outputs:
        _add_output(response, name, getattr(scores, name))
    return response


def add_shadow(response: oip.ModelInferResponse, version: str, scores: Scores) -> None:
    """Adds what the shadow says of the same rows."""
    response.parameters["shadow_version"].string_param = version
    _add_output(response, "shadow_prob_long", scores.prob_long)
    _add_output(response, "shadow_confidence", scores.confidence)


def _add_output(response: oip.ModelInferResponse, name: str, values: NDArray[np.float32]) -> None:
    response.outputs.add(name=name, datatype="FP32", shape=values.shape)
    response.raw_output_contents.append(values.tobytes())


def wants_shadow(request: oip.ModelInferRequest) -> bool | Refused:
    """Whether the request asks for what the shadow says."""
    if SHADOW not in request.parameters:
        return False
    asked = request.parameters[SHADOW]
    if asked.WhichOneof("parameter_choice") != "bool_param":
        return invalid_field(f"parameters.{SHADOW}", "is not a truth value")
    return asked.bool_param


def metadata_response(card: Card) -> oip.ModelMetadataResponse:
    """What the model takes and gives."""
    tensor = oip.ModelMetadataResponse.TensorMetadata
    widths = dict.fromkeys(OUTPUTS, 1) | {"members": len(card.members)}
    return oip.ModelMetadataResponse(
        name=card.name,
        versions=[card.version],
        platform=PLATFORM,
        inputs=[tensor(name=name, datatype="FP32", shape=[-1, 1]) for name in card.feature_names],
        outputs=[tensor(name=name, datatype="FP32", shape=[-1, widths[name]]) for name in OUTPUTS],
    )


def feature_columns(features: Mapping[str, float]) -> dict[str, Column]:
    """One row of features as columns of one element."""
    return {name: np.array([value]) for name, value in features.items()}


def predict_response(scores: Scores, card: Card) -> model_pb2.PredictResponse:
    """The only row of the scores."""
    prob_long = float(scores.prob_long[0, 0])
    return model_pb2.PredictResponse(
        prob_long=prob_long,
        prob_short=1.0 - prob_long,
        confidence=float(scores.confidence[0, 0]),
        model_version=card.version,
        members=dict(zip(card.members, scores.members[0].tolist(), strict=True)),
        disagreement=float(scores.disagreement[0, 0]),
        dissimilarity=float(scores.dissimilarity[0, 0]),
    )


def contract_violation(message: Message, *, undone: str = "predicted") -> Refused | None:
    """The first rule of the contract that the message breaks; all of them stand in `fields`.

    `undone` is what the call would have done.
    """
    violations = protovalidate.collect_violations(message)
    if not violations:
        return None
    fields = tuple((_path(violation.proto), violation.proto.message) for violation in violations[:_VIOLATIONS_MAX])
    path, fault = fields[0]
    if violations[0].proto.rule_id != "double.finite":
        return Refused(
            reason=Reason.INVALID_FIELD,
            message=f"Nothing was {undone}: {path} {fault}. Mend it and send again.",
            fields=fields,
            metadata={"field": path},
        )
    return Refused(
        reason=Reason.NON_FINITE,
        message=f"Nothing was {undone}: {path} is not finite. Send a number.",
        fields=fields,
        metadata={"feature": path.rpartition(".")[2]},
    )


def _path(violation: protovalidate.ViolationPb) -> str:
    """The violation's field as "features.mom_20"."""
    parts: list[str] = []
    for element in violation.field.elements if violation.field else ():
        parts.append(element.field_name)
        if element.subscript is not None:
            parts.append(str(element.subscript.value))
    return ".".join(shown(part) for part in parts)
