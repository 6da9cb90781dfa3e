"""What `tollgate` asks of a running gateway, over gRPC, told in lines for a person or as JSON."""

from collections.abc import Callable, Sequence
from typing import Final

from trading.v1 import (
    risk_pb2,
    risk_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)

from gateway.rpc.calibration_lines import calibration_lines
from gateway.rpc.cli_calls import Connection, Reply, reply
from gateway.rpc.promotion_client import promotion_lines

FLATTEN_SECONDS: Final = 45.0
"""The longest that a flatten takes: its rounds, the last of them, and a look at the venue."""

NOT_AGREED: Final = "Nothing was changed."

Agree = Callable[[Sequence[str]], bool]
"""Shows a person what will happen; whether to do it."""


class CliClient(Connection):
    """A connection to one gateway; every method raises CallFailedError."""

    part = "gateway"
    setting = "TOLLGATE_ADDR"

    def status(self) -> Reply:
        """The health of the gateway and its parts."""
        stub = system_pb2_grpc.SystemServiceStub(self.channel)
        health = self.call(stub.GetHealth, system_pb2.GetHealthRequest())
        lines = [
            f"gateway   {_ok(health.ok)}, {health.mode}, version {health.version}",
            f"model     {_ok(health.model.ok)}, version {health.model.version or 'not known'}",
            f"market    {_ok(health.market_data.ok)}, {health.market_data.source}, {health.market_data.age_ms} ms old",
            f"journal   {_ok(health.journal.ok)}, {health.journal.records} records",
            f"promise   {_calibration_line(health.calibration)}",
            *([f"venue     {_venue_line(health.venue)}"] if health.HasField("venue") else []),
        ]
        stage = promotion_lines(health.promotion) if health.HasField("promotion") else []
        return reply(health, [*lines, *_risk_lines(health.risk), *stage])

    def calibration(self) -> Reply:
        """How well the confidence keeps its promise."""
        stub = system_pb2_grpc.SystemServiceStub(self.channel)
        found = self.call(stub.GetCalibration, system_pb2.GetCalibrationRequest())
        return reply(found, calibration_lines(found))

    def orders(self, limit: int) -> Reply:
        """The newest orders."""
        stub = trade_pb2_grpc.TradeServiceStub(self.channel)
        page = self.call(stub.ListOrders, trade_pb2.ListOrdersRequest(page_size=limit))
        return reply(page, [_order_line(order) for order in page.orders] or ["no orders"])

    def order(self, key: str) -> Reply:
        """One order, with what was adjusted, filled or refused."""
        stub = trade_pb2_grpc.TradeServiceStub(self.channel)
        found = self.call(stub.GetOrder, trade_pb2.GetOrderRequest(idempotency_key=key))
        return reply(found, _order_lines(found.order))

    def halt(self, actor: str, reason: str, *, flatten: bool) -> Reply:
        """Refuse every new order, and begin to close what is held where that is asked for."""
        stub = risk_pb2_grpc.RiskServiceStub(self.channel)
        moved = self.call(stub.Halt, risk_pb2.HaltRequest(actor=actor, reason=reason, flatten=flatten))
        return reply(moved, [moved.message, *_risk_lines(moved.risk)])

    def flatten(self, actor: str, reason: str) -> Reply:
        """Halt, close every position, and tell what is left."""
        stub = risk_pb2_grpc.RiskServiceStub(self.channel)
        request = risk_pb2.FlattenRequest(actor=actor, reason=reason)
        moved = self.call(stub.Flatten, request, deadline_seconds=FLATTEN_SECONDS)
        lines = [_flattened_line(one) for one in moved.positions]
        return reply(moved, [moved.message, *lines, *_risk_lines(moved.risk)], well=moved.ok)

    def resume(self, actor: str, reason: str, agree: Agree) -> Reply:
        """Lift a halt, once what that will do was shown and agreed to."""
        stub = risk_pb2_grpc.RiskServiceStub(self.channel)
        shown = self.call(stub.Resume, risk_pb2.ResumeRequest(actor=actor, reason=reason))
        if not agree(_preview_lines(shown.preview)):
            return reply(shown, [NOT_AGREED], well=False)
        request = risk_pb2.ResumeRequest(actor=actor, reason=reason, confirm_token=shown.confirm_token)
        moved = self.call(stub.Resume, request)
        return reply(moved, [moved.message, *_risk_lines(moved.risk)], well=moved.ok)

    def reset(self, actor: str, reason: str, agree: Agree) -> Reply:
        """Lift the drawdown lock, once what that will do was shown and agreed to."""
        stub = risk_pb2_grpc.RiskServiceStub(self.channel)
        shown = self.call(stub.Reset, risk_pb2.ResetRequest(actor=actor, reason=reason, two_step=True))
        if not agree(_preview_lines(shown.preview)):
            return reply(shown, [NOT_AGREED], well=False)
        request = risk_pb2.ResetRequest(actor=actor, reason=reason, confirm_token=shown.confirm_token)
        moved = self.call(stub.Reset, request)
        return reply(moved, [moved.message, *_risk_lines(moved.risk)], well=moved.ok)


def _ok(good: bool) -> str:
    return "ok" if good else "NOT OK"


def _calibration_line(health: system_pb2.CalibrationHealth) -> str:
    error = f", calibration error {health.ece:.3f}" if health.HasField("ece") else ""
    drifted = f", drifted: {', '.join(health.drifted_features)}" if health.drifted_features else ""
    return (
        f"{health.state}, asks for {health.effective_threshold:g}, {health.matured} decisions matured{error}{drifted}"
    )


def _venue_line(venue: system_pb2.VenueHealth) -> str:
    stream = f"stream {venue.stream_age_ms} ms old" if venue.stream_connected else "stream NOT connected"
    compared = (
        f"compared {venue.compared_age_ms / 1000:.0f} s ago" if venue.compared_age_ms >= 0 else "NOT compared yet"
    )
    unknown = f"{venue.unknown_orders} unknown orders"
    if venue.unknown_orders:
        unknown += f", the oldest for {venue.oldest_unknown_age_ms / 1000:.0f} s"
    blocked = f", takes no order: {venue.blocked}" if venue.blocked else ""
    return f"{_ok(venue.ok)}, {venue.env}, {stream}, {compared}, {unknown}{blocked}"


def _risk_lines(risk: risk_pb2.RiskSummary) -> list[str]:
    return [
        f"risk      {risk.state}, drawdown {risk.drawdown:.2%} of at most {risk.max_drawdown_pct:.2%}",
        f"equity    {risk.equity_usd:.2f} USD, peak {risk.peak_equity_usd:.2f} USD",
    ]


def _flattened_line(one: risk_pb2.FlattenedPosition) -> str:
    left = f"{one.qty_left:g} LEFT: {one.why}" if one.qty_left else "closed"
    return f"{one.symbol}  {one.qty_before:g}  {left}"


def _preview_lines(preview: risk_pb2.RiskPreview) -> list[str]:
    held = ", ".join(f"{one.qty:g} {one.symbol}" for one in preview.positions) or "nothing"
    return [
        f"risk      {preview.from_state} -> {preview.to_state}",
        f"drawdown  {preview.drawdown:.2%} -> {preview.drawdown_after:.2%}",
        f"peak      {preview.peak_equity_usd:.2f} -> {preview.peak_after_usd:.2f} USD",
        f"equity    {preview.equity_usd:.2f} USD",
        f"orders    {preview.open_orders} without a known end; held: {held}",
    ]


def _order_line(order: trade_pb2.Order) -> str:
    when = order.create_time.ToJsonString()
    filled = f"{order.filled_usd:.2f} of {order.qty_usd:.2f} USD"
    state = order.state if order.evidence in {"", "paper"} else f"{order.state} by {order.evidence}"
    return f"{when}  {order.idempotency_key}  {order.side} {order.symbol}  {state}  {filled}"


def _fill_line(fill: trade_pb2.Fill) -> str:
    name = f", id {fill.exec_id}" if fill.exec_id else ""
    return f"fill      {fill.qty:g} at {fill.price:g}, fee {fill.fee_usd:g} USD{name}"


def _order_lines(order: trade_pb2.Order) -> list[str]:
    lines = [_order_line(order), f"asked     {order.requested_usd:.2f} USD at confidence {order.confidence:g}"]
    lines.extend(f"adjusted  {step.step}: {step.from_usd:.2f} to {step.to_usd:.2f} USD" for step in order.adjustments)
    if order.venue_order_id:
        lines.append(f"venue id  {order.venue_order_id}, ours {order.order_link_id}")
    lines.extend(_fill_line(fill) for fill in order.fills)
    if order.HasField("refusal"):
        lines.append(f"refused   {order.refusal.reason}: {order.refusal.message}")
    return lines
