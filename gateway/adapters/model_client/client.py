"""The model service, asked by the Open Inference Protocol.

Every input is a tensor of its own, named after its feature, so that any server of the protocol can stand in. Features,
labels and references come from trading.v1.ModelService on the same channel, which a stand-in need not know.
"""

from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import grpc
import structlog
from google.protobuf.message import Message
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc
from trading.v1 import model_pb2, model_pb2_grpc

from gateway.adapters.model_client import answers
from gateway.adapters.model_client.answers import Untold, UnusableAnswerError
from gateway.core.drift import FeatureReference
from gateway.core.model import BarLabel, BarSeries, Prediction
from gateway.ports import ModelChangedError, ModelUnavailableError, NotOfferedError

_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)
DETAIL_LENGTH_MAX = 300
"""So much of a refusal's text is logged."""

log = structlog.get_logger()

AnswerT = TypeVar("AnswerT")
ValueT = TypeVar("ValueT")


class OipModel:
    """A client of one model on one server."""

    def __init__(
        self,
        *,
        address: str,
        name: str,
        timeout_seconds: float,
        horizon_seconds: int,
        bar_seconds: int,
        market: str,
    ) -> None:
        """The horizon, the length of a bar and the market stand in for what a server does not tell."""
        self._channel = grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub: oip_grpc.GRPCInferenceServiceAsyncStub = oip_grpc.GRPCInferenceServiceStub(self._channel)
        self._service: model_pb2_grpc.ModelServiceAsyncStub = model_pb2_grpc.ModelServiceStub(self._channel)
        self._name = name
        self._timeout = timeout_seconds
        self._untold = Untold(horizon_seconds=horizon_seconds, bar_seconds=bar_seconds, market=market)
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
        """Many rows in one call, the shadow's word beside. Raises ModelUnavailableError, ModelChangedError."""
        sent = self._features
        try:
            answer = await self._stub.ModelInfer(self._request(rows), timeout=self._timeout)
        except grpc.aio.AioRpcError as fault:
            if fault.code() is grpc.StatusCode.INVALID_ARGUMENT:
                await self._find_out_about_refusal(sent, fault)
            raise _unavailable(fault) from fault
        return _checked(lambda: answers.predictions(answer, len(rows), self._untold))

    async def features(self, bars: BarSeries) -> Mapping[str, float]:
        """The served model's features of the last bar. Raises ModelUnavailableError, NotOfferedError."""
        request = model_pb2.ComputeFeaturesRequest(bars=_bars_message(bars))
        answer = await self._ask(self._service.ComputeFeatures, request)
        found = _checked(lambda: answers.features(answer))
        if found.keys() != set(self._features):
            self._features = ()  # another version than the one whose inputs are known: they are asked for again
        return found

    async def label(self, bars: BarSeries, open_time_ms: int, model_version: str) -> BarLabel:
        """What became of the label of one bar. Raises ModelUnavailableError, NotOfferedError."""
        request = model_pb2.LabelBarRequest(
            model_version=model_version, bars=_bars_message(bars), open_time_ms=open_time_ms
        )
        answer = await self._ask(self._service.LabelBar, request)
        return _checked(lambda: answers.label(answer))

    async def reference(self, model_version: str) -> Sequence[FeatureReference]:
        """How the features were distributed in training; empty when nobody tells. Raises ModelUnavailableError."""
        try:
            answer = await self._ask(self._service.GetModel, model_pb2.GetModelRequest(version=model_version))
        except NotOfferedError:
            return ()
        return answers.reference(answer)

    async def digest(self, model_version: str) -> str:
        """The SHA-256 of a version's graph; empty when nobody tells. Raises ModelUnavailableError."""
        try:
            answer = await self._ask(self._service.GetModel, model_pb2.GetModelRequest(version=model_version))
        except NotOfferedError:
            return ""
        return answer.model.sha256

    async def _ask(self, method: Callable[..., Awaitable[AnswerT]], request: Message) -> AnswerT:
        """Ask for what only Tollgate's own service knows. Raises ModelUnavailableError, NotOfferedError."""
        try:
            return await method(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as fault:
            if fault.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise NotOfferedError("the model's server speaks the Open Inference Protocol alone") from fault
            _log_refusal(fault)
            raise _unavailable(fault) from fault

    async def _find_out_about_refusal(self, sent: Sequence[str], fault: grpc.aio.AioRpcError) -> None:
        """After refused rows: another version with other features may be served now. Raises ModelUnavailableError."""
        _log_refusal(fault)
        self._features = ()
        await self._read_metadata()
        if set(self._features) != set(sent):
            raise ModelChangedError("the model takes other features now") from fault

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
        request.parameters["shadow"].bool_param = True
        for name, column in zip(self._features, zip(*rows, strict=True), strict=True):
            request.inputs.add(name=name, datatype="FP32", shape=(len(rows), 1))
            request.raw_input_contents.append(array("f", column).tobytes())
        return request


def _bars_message(series: BarSeries) -> model_pb2.Bars:
    bars = series.bars
    return model_pb2.Bars(
        bar_seconds=series.bar_seconds,
        open_time_ms=[bar.open_time_ms for bar in bars],
        open=[bar.open for bar in bars],
        high=[bar.high for bar in bars],
        low=[bar.low for bar in bars],
        close=[bar.close for bar in bars],
        volume=[bar.volume for bar in bars],
    )


def _checked(read: Callable[[], ValueT]) -> ValueT:
    """What `read` reads of an answer. Raises ModelUnavailableError when that cannot be used."""
    try:
        return read()
    except UnusableAnswerError as fault:
        log.error("model_answer_unusable", detail=str(fault))  # noqa: TRY400 - whose fault is known, no traceback
        raise ModelUnavailableError("the model service answered what cannot be used") from fault


def _log_refusal(fault: grpc.aio.AioRpcError) -> None:
    log.warning("model_call_failed", code=fault.code().name, detail=(fault.details() or "")[:DETAIL_LENGTH_MAX])


def _unavailable(fault: grpc.aio.AioRpcError) -> ModelUnavailableError:
    return ModelUnavailableError(fault.code().name)
