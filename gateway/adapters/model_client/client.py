"""The model service, asked by the Open Inference Protocol.

Every input is a tensor of its own, named after its feature, so that any server
of the protocol can stand in.
"""

import math
from array import array
from collections.abc import Sequence

import grpc
import structlog
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc

from gateway.core.model import Prediction
from gateway.ports import ModelUnavailableError

_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)

log = structlog.get_logger()


class OipModel:
    """A client of one model on one server."""

    def __init__(self, *, address: str, name: str, timeout_seconds: float, horizon_seconds: int) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub: oip_grpc.GRPCInferenceServiceAsyncStub = oip_grpc.GRPCInferenceServiceStub(self._channel)
        self._name = name
        self._timeout = timeout_seconds
        self._horizon_seconds = horizon_seconds
        self._features: tuple[str, ...] = ()

    async def close(self) -> None:
        """Close the channel; running calls end with ModelUnavailableError."""
        await self._channel.close()

    async def feature_names(self) -> Sequence[str]:
        """The model's inputs, asked for once and again after a failure. Raises ModelUnavailableError."""
        if not self._features:
            await self._read_metadata()
        return self._features

    async def ready(self) -> str | None:
        """The served version, or None when the model does not answer."""
        try:
            versions = await self._read_metadata()
        except ModelUnavailableError:
            self._features = ()
            return None
        return versions[-1] if versions else ""

    async def predict_many(self, rows: Sequence[Sequence[float]]) -> Sequence[Prediction]:
        """Many rows in one call. Raises ModelUnavailableError."""
        try:
            answer = await self._stub.ModelInfer(self._request(rows), timeout=self._timeout)
        except grpc.aio.AioRpcError as fault:
            raise _unavailable(fault) from fault
        return self._predictions(answer, len(rows))

    async def _read_metadata(self) -> Sequence[str]:
        """Learn the model's inputs; its versions. Raises ModelUnavailableError."""
        try:
            answer = await self._stub.ModelMetadata(oip.ModelMetadataRequest(name=self._name), timeout=self._timeout)
        except grpc.aio.AioRpcError as fault:
            raise _unavailable(fault) from fault
        self._features = tuple(tensor.name for tensor in answer.inputs)
        return answer.versions

    def _request(self, rows: Sequence[Sequence[float]]) -> oip.ModelInferRequest:
        if not self._features:
            raise ModelUnavailableError("the model's inputs are not known")
        request = oip.ModelInferRequest(model_name=self._name)
        for name, column in zip(self._features, zip(*rows, strict=True), strict=True):
            request.inputs.add(name=name, datatype="FP32", shape=(len(rows), 1))
            request.raw_input_contents.append(array("f", column).tobytes())
        return request

    def _predictions(self, answer: oip.ModelInferResponse, count: int) -> list[Prediction]:
        """Read the outputs, believing nothing: a wrong size or a number that is no probability is unusable."""
        outputs = {
            tensor.name: array("f", raw)
            for tensor, raw in zip(answer.outputs, answer.raw_output_contents, strict=False)
            if len(raw) % 4 == 0
        }
        probs, confidences = outputs.get("prob_long", ()), outputs.get("confidence", ())
        if len(probs) != count or len(confidences) != count or not all(map(_is_probability, (*probs, *confidences))):
            log.error("model_answer_unusable", model=self._name, version=answer.model_version)
            raise ModelUnavailableError("the model service answered what cannot be used")
        members = outputs.get("members", array("f"))
        width = len(members) // count
        horizon = answer.parameters["horizon_seconds"].int64_param or self._horizon_seconds
        return [
            Prediction(
                prob_long=probs[row],
                confidence=confidences[row],
                members=tuple(members[row * width : (row + 1) * width]),
                model_version=answer.model_version,
                horizon_seconds=horizon,
            )
            for row in range(count)
        ]


def _is_probability(value: float) -> bool:
    return math.isfinite(value) and 0.0 <= value <= 1.0


def _unavailable(fault: grpc.aio.AioRpcError) -> ModelUnavailableError:
    return ModelUnavailableError(fault.code().name)
