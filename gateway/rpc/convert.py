"""Between the wire's messages and the core's values; nothing else knows both."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from google.protobuf.timestamp_pb2 import Timestamp
from trading.v1 import consensus_pb2, risk_pb2, system_pb2, trade_pb2

from gateway.core.ledger import Ledger
from gateway.core.lifecycle import drawdown
from gateway.core.model import (
    Adjustment,
    Decision,
    DecisionId,
    Failure,
    Fill,
    Order,
    OrderKey,
    OrderRecord,
    OrderState,
    RiskChange,
    Side,
    Symbol,
)
from gateway.core.reasons import Reason
from gateway.core.report import FILLED_STATES, Answer, message_of
from gateway.core.validate import CONFIDENCE_PLACES_MAX, MONEY_PLACES_MAX, exact
from gateway.decision_path import Question
from gateway.guard import Standing
from gateway.health import AGE_MS_MAX
from gateway.ports import Event
from gateway.venue_health import VenueHealth


def question_of(request: consensus_pb2.GetConsensusRequest) -> Question:
    """What a consensus request asks."""
    return Question(symbol=Symbol(request.symbol), features=dict(request.features))


def decision_message(decision: Decision) -> consensus_pb2.GetConsensusResponse:
    """A decision as it is answered."""
    return consensus_pb2.GetConsensusResponse(
        signal=decision.signal.value,
        prob_long=decision.prob_long,
        prob_short=decision.prob_short,
        confidence=decision.confidence,
        model_version=decision.model_version,
        allow=decision.allow,
        threshold=decision.threshold,
        decision_id=decision.decision_id,
        reasons=[reason.value for reason in decision.reasons],
        horizon_seconds=decision.horizon_seconds,
    )


def recorded_decision(decision: Decision) -> consensus_pb2.RecordedDecision:
    """A decision as it is listed."""
    return consensus_pb2.RecordedDecision(
        decision=decision_message(decision),
        symbol=decision.symbol,
        scored=decision.scored,
        time=timestamp(decision.at_ms),
    )


def order_of(request: trade_pb2.ExecuteRequest, key: OrderKey) -> Order | Failure:
    """The order that a request asks for, its numbers exact."""
    requested = exact(request.qty_usd, "qtyUsd", MONEY_PLACES_MAX)
    if isinstance(requested, Failure):
        return requested
    confidence: Decimal | Failure | None = None
    if request.HasField("confidence"):
        confidence = exact(request.confidence, "confidence", CONFIDENCE_PLACES_MAX)
    elif not request.HasField("decision_id") and not request.reduce_only:
        return Failure(
            reason=Reason.INVALID_FIELD,
            message="Nothing was done: confidence is missing. Send it, or the decisionId that it came with.",
            metadata={"field": "confidence"},
            field_name="confidence",
        )
    if isinstance(confidence, Failure):
        return confidence
    return Order(
        key=key,
        symbol=Symbol(request.symbol),
        side=Side(request.side),
        requested_usd=requested,
        confidence=confidence,
        decision_id=DecisionId(request.decision_id) if request.HasField("decision_id") else None,
        reduce_only=request.reduce_only,
    )


def execute_message(answer: Answer, *, dry_run: bool) -> trade_pb2.ExecuteResponse:
    """The answer to an order."""
    record = answer.record
    return trade_pb2.ExecuteResponse(
        ok=record.state in FILLED_STATES,
        dry_run=dry_run,
        order=order_message(record),
        message=message_of(record, dry_run=dry_run),
        replayed=answer.replayed,
    )


def order_message(record: OrderRecord) -> trade_pb2.Order:
    """An order as it stands."""
    order = record.order
    refused = record.state is OrderState.REFUSED
    message = trade_pb2.Order(
        symbol=order.symbol,
        side=order.side.value,
        qty_usd=float(order.requested_usd if refused else record.approved_usd),
        confidence=float(record.confidence),
        idempotency_key=order.key,
        state=record.state.value,
        adjustments=[_adjustment(step) for step in record.adjustments],
        fills=[_fill(fill) for fill in record.fills],
        requested_usd=float(order.requested_usd),
        filled_usd=float(record.filled_usd),
        average_price=float(_average_price(record.fills)),
        fee_usd=float(sum((fill.fee_usd for fill in record.fills), Decimal(0))),
        decision_id=order.decision_id or "",
        reduce_only=order.reduce_only,
        order_link_id=record.order_link_id,
        create_time=timestamp(record.created_ms),
        update_time=timestamp(record.updated_ms),
        evidence=record.evidence.value if record.evidence else "",
        venue_order_id=record.venue_order_id,
    )
    if record.failure:
        message.refusal.reason = record.failure.reason.value
        message.refusal.message = record.failure.message
        message.refusal.metadata.update(record.failure.metadata)
    return message


def positions_message(
    ledger: Ledger, prices: Mapping[Symbol, Decimal], equity_usd: Decimal | None = None
) -> trade_pb2.ListPositionsResponse:
    """The positions at `prices`; a symbol without one is valued at its entry price, its mark told as 0.

    The equity is the ledger's own where none is given.
    """
    message = trade_pb2.ListPositionsResponse(fees_usd=float(ledger.fees_usd))
    unrealised = Decimal(0)
    for symbol, held in sorted(ledger.positions.items()):
        price = prices.get(symbol)
        open_usd = held.unrealised_usd(price) if price else Decimal(0)
        unrealised += open_usd
        message.positions.add(
            symbol=symbol,
            side=(Side.BUY if held.qty > 0 else Side.SELL).value,
            qty=float(abs(held.qty)),
            notional_usd=float(abs(held.qty) * (price or held.entry_price)),
            entry_price=float(held.entry_price),
            mark_price=float(price or 0),
            unrealised_pnl_usd=float(open_usd),
        )
    message.realised_pnl_usd = float(ledger.earned_usd)
    message.unrealised_pnl_usd = float(unrealised)
    own_usd = ledger.start_usd + ledger.earned_usd + unrealised
    message.equity_usd = float(own_usd if equity_usd is None else equity_usd)
    return message


def risk_summary(standing: Standing, drawdown_max: Decimal) -> risk_pb2.RiskSummary:
    """The risk state in short, at the newest equity that could be told."""
    known = standing.peak_equity_usd > 0  # a live account has no peak before its venue has told an equity
    fallen = drawdown(standing.last_equity_usd, standing.peak_equity_usd) if known else Decimal(0)
    return risk_pb2.RiskSummary(
        state=standing.state.value,
        drawdown=round(float(fallen), 8),
        max_drawdown_pct=float(drawdown_max),
        equity_usd=float(standing.last_equity_usd),
        peak_equity_usd=float(standing.peak_equity_usd),
        utilization=round(float(fallen / drawdown_max), 8),
    )


def risk_changes(changes: Sequence[RiskChange]) -> list[risk_pb2.RiskChange]:
    """The moves of the risk state."""
    return [
        risk_pb2.RiskChange(
            from_state=change.from_state.value,
            to_state=change.to_state.value,
            actor=change.actor,
            reason=change.reason,
            time=timestamp(change.at_ms),
        )
        for change in changes
    ]


def event_message(event: Event) -> system_pb2.WatchEventsResponse:
    """A recorded event."""
    return system_pb2.WatchEventsResponse(
        sequence=event.sequence,
        kind=event.kind,
        time=timestamp(event.at_ms),
        subject=event.subject,
        state=event.state,
        symbol=event.symbol,
    )


def venue_health(venue: VenueHealth) -> system_pb2.VenueHealth:
    """The venue's health."""
    return system_pb2.VenueHealth(
        ok=venue.ok,
        env=venue.env,
        stream_connected=venue.stream_connected,
        stream_age_ms=_age_ms(venue.stream_age_ms),
        compared_age_ms=_age_ms(venue.compared_age_ms),
        reconciled=venue.reconciled,
        unknown_orders=venue.unknown_orders,
        oldest_unknown_age_ms=_age_ms(venue.oldest_unknown_age_ms),
        blocked=venue.blocked,
    )


def timestamp(at_ms: int) -> Timestamp:
    """A moment on the wire."""
    return Timestamp(seconds=at_ms // 1000, nanos=at_ms % 1000 * 1_000_000)


def _age_ms(age_ms: int | None) -> int:
    """An age on the wire: -1 for never, and no more than its int32 holds."""
    return -1 if age_ms is None else min(max(0, age_ms), AGE_MS_MAX)


def _adjustment(step: Adjustment) -> trade_pb2.Adjustment:
    return trade_pb2.Adjustment(
        step=step.step, from_usd=float(step.from_usd), to_usd=float(step.to_usd), limit=float(step.limit)
    )


def _fill(fill: Fill) -> trade_pb2.Fill:
    return trade_pb2.Fill(
        price=float(fill.price), qty=float(fill.qty), fee_usd=float(fill.fee_usd), exec_id=fill.exec_id
    )


def _average_price(fills: Sequence[Fill]) -> Decimal:
    """Weighted by quantity; 0 without fills."""
    qty = sum((fill.qty for fill in fills), Decimal(0))
    return sum((fill.notional_usd for fill in fills), Decimal(0)) / qty if qty else Decimal(0)
