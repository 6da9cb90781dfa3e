"""What `tollgate` asks of a running gateway, over gRPC, told in lines for a person or as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar, cast

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from trading.v1 import (
    risk_pb2,
    risk_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)

from gateway.rpc.calibration_lines import calibration_lines

DEADLINE_SECONDS: Final = 5.0
"""How long a call may take; every one of them answers in milliseconds or not at all."""

_DETAILS_KEY: Final = "grpc-status-details-bin"

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


class CallFailedError(Exception):
    """The gateway refused the call, or did not answer; the message says which, with the reason where there is one."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered
        """True when the gateway itself said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer in both forms."""

    lines: Sequence[str]
    json: str


class CliClient:
    """A connection to one gateway; every method raises CallFailedError."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel = grpc.insecure_channel(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def status(self) -> Reply:
        """The health of the gateway and its parts."""
        stub = system_pb2_grpc.SystemServiceStub(self._channel)
        health = self._call(stub.GetHealth, system_pb2.GetHealthRequest())
        lines = [
            f"gateway   {_ok(health.ok)}, {health.mode}, version {health.version}",
            f"model     {_ok(health.model.ok)}, version {health.model.version or 'not known'}",
            f"market    {_ok(health.market_data.ok)}, {health.market_data.source}, {health.market_data.age_ms} ms old",
            f"journal   {_ok(health.journal.ok)}, {health.journal.records} records",
            f"promise   {_calibration_line(health.calibration)}",
        ]
        return _reply(health, [*lines, *_risk_lines(health.risk)])

    def calibration(self) -> Reply:
        """How well the confidence keeps its promise."""
        stub = system_pb2_grpc.SystemServiceStub(self._channel)
        found = self._call(stub.GetCalibration, system_pb2.GetCalibrationRequest())
        return _reply(found, calibration_lines(found))

    def orders(self, limit: int) -> Reply:
        """The newest orders."""
        stub = trade_pb2_grpc.TradeServiceStub(self._channel)
        page = self._call(stub.ListOrders, trade_pb2.ListOrdersRequest(page_size=limit))
        return _reply(page, [_order_line(order) for order in page.orders] or ["no orders"])

    def order(self, key: str) -> Reply:
        """One order, with what was adjusted, filled or refused."""
        stub = trade_pb2_grpc.TradeServiceStub(self._channel)
        found = self._call(stub.GetOrder, trade_pb2.GetOrderRequest(idempotency_key=key))
        return _reply(found, _order_lines(found.order))

    def halt(self, actor: str, reason: str) -> Reply:
        """Refuse every new order."""
        stub = risk_pb2_grpc.RiskServiceStub(self._channel)
        moved = self._call(stub.Halt, risk_pb2.HaltRequest(actor=actor, reason=reason))
        return _reply(moved, [moved.message, *_risk_lines(moved.risk)])

    def resume(self, actor: str, reason: str) -> Reply:
        """Lift a halt."""
        stub = risk_pb2_grpc.RiskServiceStub(self._channel)
        moved = self._call(stub.Resume, risk_pb2.ResumeRequest(actor=actor, reason=reason))
        return _reply(moved, [moved.message, *_risk_lines(moved.risk)])

    def reset(self, actor: str, reason: str) -> Reply:
        """Lift the drawdown lock."""
        stub = risk_pb2_grpc.RiskServiceStub(self._channel)
        moved = self._call(stub.Reset, risk_pb2.ResetRequest(actor=actor, reason=reason))
        return _reply(moved, [moved.message, *_risk_lines(moved.risk)])

    def _call(self, method: Callable[..., ResponseT], request: Message) -> ResponseT:
        try:
            return method(request, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            raise _failure(cast("grpc.Call", error), self._address) from error  # what a stub raises is both


def _failure(error: grpc.Call, address: str) -> CallFailedError:
    """The gateway's own reason where it gave one, else what the channel says."""
    info = _error_info(error)
    if info is not None:
        return CallFailedError(f"{info.reason}: {error.details()}", answered=True)
    code = error.code()
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return CallFailedError(
            f"No gateway answers at {address} ({code.name}). Is it running? Name another with --addr or TOLLGATE_ADDR.",
            answered=False,
        )
    return CallFailedError(f"{code.name}: {error.details()}", answered=True)


def _error_info(error: grpc.Call) -> error_details_pb2.ErrorInfo | None:
    details = dict(error.trailing_metadata() or ()).get(_DETAILS_KEY)
    if not isinstance(details, bytes):
        return None
    info = error_details_pb2.ErrorInfo()
    try:
        packed = status_pb2.Status.FromString(details).details
        return info if any(detail.Unpack(info) for detail in packed) else None
    except DecodeError:
        return None


def _reply(message: Message, lines: Sequence[str]) -> Reply:
    return Reply(lines=lines, json=MessageToJson(message, always_print_fields_with_no_presence=True))


def _ok(good: bool) -> str:
    return "ok" if good else "NOT OK"


def _calibration_line(health: system_pb2.CalibrationHealth) -> str:
    error = f", calibration error {health.ece:.3f}" if health.HasField("ece") else ""
    drifted = f", drifted: {', '.join(health.drifted_features)}" if health.drifted_features else ""
    return (
        f"{health.state}, asks for {health.effective_threshold:g}, {health.matured} decisions matured{error}{drifted}"
    )


def _risk_lines(risk: risk_pb2.RiskSummary) -> list[str]:
    return [
        f"risk      {risk.state}, drawdown {risk.drawdown:.2%} of at most {risk.max_drawdown_pct:.2%}",
        f"equity    {risk.equity_usd:.2f} USD, peak {risk.peak_equity_usd:.2f} USD",
    ]


def _order_line(order: trade_pb2.Order) -> str:
    when = order.create_time.ToJsonString()
    filled = f"{order.filled_usd:.2f} of {order.qty_usd:.2f} USD"
    return f"{when}  {order.idempotency_key}  {order.side} {order.symbol}  {order.state}  {filled}"


def _order_lines(order: trade_pb2.Order) -> list[str]:
    lines = [_order_line(order), f"asked     {order.requested_usd:.2f} USD at confidence {order.confidence:g}"]
    lines.extend(f"adjusted  {step.step}: {step.from_usd:.2f} to {step.to_usd:.2f} USD" for step in order.adjustments)
    lines.extend(f"fill      {fill.qty:g} at {fill.price:g}, fee {fill.fee_usd:g} USD" for fill in order.fills)
    if order.HasField("refusal"):
        lines.append(f"refused   {order.refusal.reason}: {order.refusal.message}")
    return lines
