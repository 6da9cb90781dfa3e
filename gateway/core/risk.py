"""The risk verdict: the ordered checks that an order must pass, and the only maker of Approved.

Order of precedence; the first check that fails is the answer:

1. SYMBOL_NOT_ALLOWED     the symbol is not on the allow-list
2. HALTED                 an operator's halt stands
3. VENUE_UNAVAILABLE      the venue takes no such order at this moment
4. RECONCILING            the account is not compared with the venue yet; or an order on the symbol has an unknown end
                          (that not for reduce-only)
5. DECISION_MISMATCH      the named decision is missing, or says something else
6. DECISION_EXPIRED       the named decision is too old
7. OUT_OF_DISTRIBUTION    the named decision was forbidden for this (7 to 11: not for reduce-only)
8. CALIBRATION_DRIFT      the calibration watch abstains, or the named decision was forbidden for this
9. MODEL_EXPIRED          the named decision was forbidden for this
10. MODEL_MARKET_MISMATCH the named decision was forbidden for this
11. LOW_CONFIDENCE        the confidence is below the threshold, which the watch may have raised
12. MARKET_DATA_STALE     no fresh price, no filters, or an equity that cannot be told
13. RISK_LOCKED           the drawdown lock stands, or is reached now (not for reduce-only)
14. REDUCE_ONLY           the account differs from the journal, and nobody has resumed yet (not for reduce-only)
15. NO_POSITION           a reduce-only order met nothing to reduce
16. SYMBOL_CAP            no room under the symbol's cap (not for reduce-only)
17. MIN_NOTIONAL          what is left is below the venue's minimum

Every check fails closed: a fact that is None refuses. docs/risk.md has the same table for readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.core.facts import OrderFacts, Policy, Quote
from gateway.core.model import (
    ZERO,
    Adjustment,
    Decision,
    Failure,
    Instrument,
    Order,
    OrderLinkId,
    RiskState,
    Side,
    Signal,
    WatchState,
)
from gateway.core.reasons import Reason
from gateway.core.size import clipped, room_usd, scaled_by_confidence, step

_PERMIT = object()

SIDE_OF_SIGNAL = {Signal.LONG: Side.BUY, Signal.SHORT: Side.SELL}

_MODEL_REASONS = {
    Reason.OUT_OF_DISTRIBUTION: "the features lie outside what the model was trained on. Wait for a usual market",
    Reason.CALIBRATION_DRIFT: "live outcomes fall short of the confidence. Wait, or activate another model",
    Reason.MODEL_EXPIRED: "the model is older than its card allows. Train and activate a new version",
    Reason.MODEL_MARKET_MISMATCH: "the model was made for another market. Activate a model of this one",
}
"""What the model itself can be held against, in order of precedence: what is wrong, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Permission to trade: what a venue takes, and only this file can make."""

    order: Order
    order_link_id: OrderLinkId
    qty_usd: Decimal
    confidence: Decimal
    """The confidence that ruled; zero for a reduce-only order without one."""
    adjustments: tuple[Adjustment, ...]
    mid_price: Decimal
    at_ms: int
    permit: object
    """This file's own token; anything else is a TypeError."""

    def __post_init__(self) -> None:
        if self.permit is not _PERMIT:
            raise TypeError("Approved is made by gateway.core.risk alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """An order on its way through the sizing steps."""

    qty_usd: Decimal
    adjustments: tuple[Adjustment, ...]


def approve(order: Order, order_link_id: OrderLinkId, facts: OrderFacts, policy: Policy) -> Approved | Failure:
    """Run every check in order; the first failure is the answer."""
    confidence = ruling_confidence(order, facts.decision)
    failure = (
        _check_permission(order, facts, policy)
        or _check_venue(order, facts)
        or _check_decision(order, facts, policy)
        or _check_model(order, facts)
        or _check_confidence(order, confidence, facts, policy)
    )
    if failure:
        return failure
    market = _fresh_market(order, facts, policy)
    if isinstance(market, Failure):
        return market
    quote, instrument = market
    sized = (
        _check_drawdown(order, facts, policy)
        or _check_reducing(order, facts)
        or _size(order, confidence, facts, policy, quote.mid)
    )
    if isinstance(sized, Failure):
        return sized
    if sized.qty_usd < smallest_usd(instrument, quote.mid):
        return _below_minimum(sized.qty_usd, instrument, quote.mid)
    return Approved(
        order=order,
        order_link_id=order_link_id,
        qty_usd=sized.qty_usd,
        confidence=confidence,
        adjustments=sized.adjustments,
        mid_price=quote.mid,
        at_ms=facts.at_ms,
        permit=_PERMIT,
    )


def restore(
    *,
    order: Order,
    order_link_id: OrderLinkId,
    qty_usd: Decimal,
    confidence: Decimal,
    adjustments: Sequence[Adjustment],
    mid_price: Decimal,
    at_ms: int,
) -> Approved:
    """The permission that a journaled intent carried; for reconciliation after a restart only."""
    return Approved(
        order=order,
        order_link_id=order_link_id,
        qty_usd=qty_usd,
        confidence=confidence,
        adjustments=tuple(adjustments),
        mid_price=mid_price,
        at_ms=at_ms,
        permit=_PERMIT,
    )


def ruling_confidence(order: Order, decision: Decision | None) -> Decimal:
    """The decision's confidence where there is one, else the caller's; zero when there is neither."""
    if decision is not None:
        return Decimal(repr(decision.confidence))
    return order.confidence if order.confidence is not None else ZERO


def smallest_usd(instrument: Instrument, mid: Decimal) -> Decimal:
    """The least notional that the venue takes: its minimum, or one minimum quantity at the mid price."""
    return max(instrument.min_notional_usd, instrument.min_qty * mid)


def _check_permission(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    if order.symbol not in policy.symbols:
        return Failure(
            reason=Reason.SYMBOL_NOT_ALLOWED,
            message=f"No order was sent: {order.symbol} is not on the allow-list. Add it to SYMBOLS or use another.",
            metadata={"symbol": order.symbol, "allowed": ",".join(sorted(policy.symbols))},
            field_name="symbol",
        )
    if facts.risk_state is RiskState.HALTED:
        return Failure(
            reason=Reason.HALTED,
            message="No order was sent: trading is halted. An operator must resume it.",
            metadata={"state": facts.risk_state.value},
        )
    return None


def _check_venue(order: Order, facts: OrderFacts) -> Failure | None:
    """Whether the venue takes orders, and whether what it holds is known well enough to add to it."""
    if facts.venue_block is not None:
        return Failure(
            reason=Reason.VENUE_UNAVAILABLE,
            message=f"No order was sent: {facts.venue_block.what}. Retry later with the same key.",
            metadata={"symbol": order.symbol},
            retry_after_seconds=facts.venue_block.retry_after_seconds,
        )
    if not facts.reconciled:
        return _reconciling(order, "the account at the venue is not known to be what the journal says")
    if facts.unknown_orders and not order.reduce_only:
        return _reconciling(order, f"an earlier {order.symbol} order has an end that is not known yet")
    return None


def _reconciling(order: Order, what: str) -> Failure:
    return Failure(
        reason=Reason.RECONCILING,
        message=f"No order was sent: {what}. Retry with the same key.",
        metadata={"symbol": order.symbol},
    )


def _check_decision(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    if order.decision_id is None:
        return None
    decision = facts.decision
    mismatch = "there is no such decision" if decision is None else _mismatch(order, decision)
    if mismatch:
        return Failure(
            reason=Reason.DECISION_MISMATCH,
            message=f"No order was sent: {mismatch}. Ask for a new decision and follow it.",
            metadata={"decisionId": order.decision_id},
            field_name="decisionId",
        )
    age_ms = facts.at_ms - decision.at_ms if decision else 0
    if age_ms > policy.decision_age_ms_max:
        return Failure(
            reason=Reason.DECISION_EXPIRED,
            message="No order was sent: the decision is too old. Ask for a new one.",
            metadata={"age_ms": str(age_ms), "age_ms_max": str(policy.decision_age_ms_max)},
            field_name="decisionId",
        )
    return None


def _mismatch(order: Order, decision: Decision) -> str:
    """What in the order contradicts its decision; empty when nothing does."""
    if decision.symbol != order.symbol:
        return f"the decision is about {decision.symbol}"
    if not order.reduce_only and SIDE_OF_SIGNAL.get(decision.signal) is not order.side:
        return f"the decision says {decision.signal.value}"
    if order.confidence is not None and order.confidence != Decimal(repr(decision.confidence)):
        return f"the decision's confidence is {decision.confidence}"
    return ""


def _check_model(order: Order, facts: OrderFacts) -> Failure | None:
    """What the model is held against: by the named decision, and by the watch for every order that opens."""
    if order.reduce_only:
        return None
    decision = facts.decision
    held = set(decision.reasons) if decision else set()
    if facts.calibration.state is WatchState.ABSTAINING:
        held.add(Reason.CALIBRATION_DRIFT)
    for reason, what in _MODEL_REASONS.items():
        if reason in held:
            return Failure(
                reason=reason,
                message=f"No order was sent: {what}.",
                metadata=_told_of_model(facts, decision),
                field_name="decisionId" if decision else None,
            )
    return None


def _told_of_model(facts: OrderFacts, decision: Decision | None) -> dict[str, str]:
    told = {"calibration": facts.calibration.state.value}
    if decision is None:
        return told
    told |= {"decisionId": decision.decision_id, "model_version": decision.model_version}
    return told if decision.dissimilarity is None else told | {"dissimilarity": str(decision.dissimilarity)}


def _check_confidence(order: Order, confidence: Decimal, facts: OrderFacts, policy: Policy) -> Failure | None:
    """Hold the confidence against what is asked at this moment, which is never less than what the operator asks."""
    asked = max(policy.confidence_threshold, Decimal(repr(facts.calibration.threshold)))
    if order.reduce_only or confidence >= asked:
        return None
    return Failure(
        reason=Reason.LOW_CONFIDENCE,
        message="No order was sent: the confidence is below the threshold. Wait for a better signal.",
        metadata={
            "confidence": format(confidence, "f"),
            "threshold": format(asked, "f"),
            "threshold_configured": format(policy.confidence_threshold, "f"),
        },
        field_name="confidence",
    )


def _fresh_market(order: Order, facts: OrderFacts, policy: Policy) -> tuple[Quote, Instrument] | Failure:
    """The book and the filters, or why they cannot be trusted."""
    quote, instrument = facts.quote, facts.instrument
    if quote is None or instrument is None:
        return _stale(order, {"symbol": order.symbol}, "there is no price for it yet")
    age_ms = facts.at_ms - quote.received_ms
    if age_ms > policy.price_age_ms_max:
        limits = {"age_ms": str(age_ms), "age_ms_max": str(policy.price_age_ms_max), "symbol": order.symbol}
        return _stale(order, limits, "its price is too old")
    if facts.drawdown is None and not order.reduce_only:
        return _stale(order, {"symbol": order.symbol}, "a held symbol has no fresh price, so the equity is unknown")
    return quote, instrument


def _stale(order: Order, metadata: dict[str, str], what: str) -> Failure:
    return Failure(
        reason=Reason.MARKET_DATA_STALE,
        message=f"No order was sent for {order.symbol}: {what}. Retry with the same key.",
        metadata=metadata,
    )


def _check_drawdown(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    reached = facts.drawdown is not None and facts.drawdown >= policy.drawdown_max
    if order.reduce_only or not (reached or facts.risk_state is RiskState.LOCKED):
        return None
    drawdown = "unknown" if facts.drawdown is None else f"{facts.drawdown:.6f}"
    return Failure(
        reason=Reason.RISK_LOCKED,
        message="No order was sent: the drawdown lock stands. Only reduce-only orders pass until it is reset.",
        metadata={"drawdown": drawdown, "drawdown_max": format(policy.drawdown_max, "f")},
    )


def _check_reducing(order: Order, facts: OrderFacts) -> Failure | None:
    if order.reduce_only or facts.risk_state is not RiskState.REDUCING:
        return None
    return Failure(
        reason=Reason.REDUCE_ONLY,
        message="No order was sent: the account at the venue differs from the journal. Only reduce-only orders pass"
        " until an operator resumes.",
        metadata={"state": facts.risk_state.value},
    )


def _size(order: Order, confidence: Decimal, facts: OrderFacts, policy: Policy, mid: Decimal) -> Sized | Failure:
    if order.reduce_only:
        return _size_reduction(order, facts, mid)
    scaled = scaled_by_confidence(order.requested_usd, confidence)
    adjustments = step("confidence", order.requested_usd, scaled, confidence)
    room = room_usd(
        cap_usd=policy.symbol_cap_usd,
        side=order.side,
        position_usd=facts.position_qty * mid,
        pending_usd=facts.pending_buy_usd if order.side is Side.BUY else facts.pending_sell_usd,
    )
    if room <= 0:
        return Failure(
            reason=Reason.SYMBOL_CAP,
            message=f"No order was sent: {order.symbol} has no room under its cap. Reduce it, or raise the cap.",
            metadata={"cap_usd": format(policy.symbol_cap_usd, "f"), "room_usd": "0", "symbol": order.symbol},
            field_name="qtyUsd",
        )
    final = clipped(scaled, room)
    return Sized(qty_usd=final, adjustments=adjustments + step("symbol_cap", scaled, final, policy.symbol_cap_usd))


def _size_reduction(order: Order, facts: OrderFacts, mid: Decimal) -> Sized | Failure:
    """Clip a reduce-only order to what stands open against it, orders under way taken off."""
    pending = facts.pending_buy_usd if order.side is Side.BUY else facts.pending_sell_usd
    closable_usd = -facts.position_qty * order.side.sign * mid - pending
    if closable_usd <= 0:
        return Failure(
            reason=Reason.NO_POSITION,
            message=f"No order was sent: there is no {order.symbol} position that a {order.side.value} would reduce.",
            metadata={"symbol": order.symbol, "position_qty": format(facts.position_qty, "f")},
            field_name="reduceOnly",
        )
    final = clipped(order.requested_usd, closable_usd)
    return Sized(qty_usd=final, adjustments=step("position", order.requested_usd, final, closable_usd))


def _below_minimum(qty_usd: Decimal, instrument: Instrument, mid: Decimal) -> Failure:
    return Failure(
        reason=Reason.MIN_NOTIONAL,
        message="No order was sent: what is left after sizing is below the venue's minimum. Ask for more.",
        metadata={"qty_usd": format(qty_usd, "f"), "min_usd": f"{smallest_usd(instrument, mid):.8f}"},
        field_name="qtyUsd",
    )
