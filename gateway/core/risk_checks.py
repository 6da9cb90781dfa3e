"""The checks of an order that need no price: permission, venue, pace, decision, model, confidence and request.

gateway/core/risk.py has their order; each function keeps it within its own reasons. An order that is reduce-only passes
all but those that say otherwise.
"""

import math
from decimal import Decimal

from gateway.core.facts import OrderFacts, Policy
from gateway.core.hours import is_within, window_at
from gateway.core.model import ZERO, Decision, Failure, Order, RiskState, Side, Signal, WatchState
from gateway.core.reasons import Reason

SIDE_OF_SIGNAL = {Signal.LONG: Side.BUY, Signal.SHORT: Side.SELL}

_MODEL_REASONS = {
    Reason.OUT_OF_DISTRIBUTION: "the features lie outside what the model was trained on. Wait for a usual market",
    Reason.CALIBRATION_DRIFT: "live outcomes fall short of the confidence. Wait, or activate another model",
    Reason.MODEL_EXPIRED: "the model is older than its card allows. Train and activate a new version",
    Reason.MODEL_MARKET_MISMATCH: "the model was made for another market. Activate a model of this one",
}
"""What the model itself can be held against, in order of precedence: what is wrong, and what to do."""


def ruling_confidence(order: Order, decision: Decision | None) -> Decimal:
    """The decision's confidence where there is one, else the caller's; zero when there is neither."""
    if decision is not None:
        return Decimal(repr(decision.confidence))
    return order.confidence if order.confidence is not None else ZERO


def check_permission(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    """SYMBOL_NOT_ALLOWED and HALTED, also for reduce-only orders; NOT_PROMOTED, OUTSIDE_HOURS."""
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
    if order.reduce_only:
        return None
    if facts.permission.refusal:
        return Failure(
            reason=Reason.NOT_PROMOTED,
            message=f"No order was sent: {facts.permission.refusal}. Only reduce-only orders pass.",
            metadata={"stage": facts.permission.stage},
        )
    return _check_hours(facts, policy)


def _check_hours(facts: OrderFacts, policy: Policy) -> Failure | None:
    window = window_at(policy.maintenance, facts.at_ms)
    if window is not None:
        what = {"maintenance_from_ms": str(window.from_ms), "maintenance_until_ms": str(window.until_ms)}
    elif policy.trading_hours and not is_within(policy.trading_hours, facts.at_ms):
        what = {}
    else:
        return None
    return Failure(
        reason=Reason.OUTSIDE_HOURS,
        message="No order was sent: this is outside the trading hours, or in a maintenance window. Only reduce-only"
        " orders pass; ask anew within the hours.",
        metadata={"at_ms": str(facts.at_ms)} | what,
    )


def check_venue(order: Order, facts: OrderFacts) -> Failure | None:
    """VENUE_UNAVAILABLE and RECONCILING, also for reduce-only orders: whether what the venue holds is known."""
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


def check_pace(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    """ORDER_RATE, OPEN_ORDERS: how many orders go out, and how many are under way."""
    if order.reduce_only:
        return None
    if policy.order_rate_max and facts.orders_in_minute >= policy.order_rate_max:
        return Failure(
            reason=Reason.ORDER_RATE,
            message=f"No order was sent: too many {order.symbol} orders in a minute. Retry later with the same key.",
            metadata={"orders_in_minute": str(facts.orders_in_minute), "order_rate_max": str(policy.order_rate_max)},
        )
    if facts.open_orders >= policy.open_orders_max:
        return Failure(
            reason=Reason.OPEN_ORDERS,
            message="No order was sent: too many orders are under way. Retry with the same key.",
            metadata={"open_orders": str(facts.open_orders), "open_orders_max": str(policy.open_orders_max)},
        )
    return None


def check_decision(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    """DECISION_REQUIRED; DECISION_MISMATCH and DECISION_EXPIRED, also for a reduce-only order that names one."""
    if order.decision_id is None:
        return _required(policy) if policy.require_decision and not order.reduce_only else None
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
    if not 0 <= age_ms <= policy.decision_age_ms_max:
        return Failure(
            reason=Reason.DECISION_EXPIRED,
            message="No order was sent: the decision is too old. Ask for a new one.",
            metadata={"age_ms": str(age_ms), "age_ms_max": str(policy.decision_age_ms_max)},
            field_name="decisionId",
        )
    return None


def _required(policy: Policy) -> Failure:
    return Failure(
        reason=Reason.DECISION_REQUIRED,
        message="No order was sent: it names no decision. Ask for one, and name it in decisionId.",
        metadata={"decision_age_ms_max": str(policy.decision_age_ms_max)},
        field_name="decisionId",
    )


def _mismatch(order: Order, decision: Decision) -> str:
    """What in the order contradicts its decision; empty when nothing does."""
    if decision.symbol != order.symbol:
        return f"the decision is about {decision.symbol}"
    if not order.reduce_only and SIDE_OF_SIGNAL.get(decision.signal) is not order.side:
        return f"the decision says {decision.signal.value}"
    if order.confidence is not None and order.confidence != Decimal(repr(decision.confidence)):
        return f"the decision's confidence is {decision.confidence}"
    return ""


def check_model(order: Order, facts: OrderFacts) -> Failure | None:
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


def check_confidence(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    """LOW_CONFIDENCE: what is asked at this moment is never less than what the operator asks."""
    if order.reduce_only:
        return None
    confidence, raised = ruling_confidence(order, facts.decision), facts.calibration.threshold
    # Only a finite number can be compared; no other is a confidence, or a threshold that anything reaches.
    known = confidence.is_finite() and confidence <= 1 and math.isfinite(raised)
    asked = max(policy.confidence_threshold, Decimal(repr(raised))) if known else policy.confidence_threshold
    if known and confidence >= asked:
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


def check_request(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    """ORDER_TOO_LARGE, DUPLICATE_ORDER: what looks like a slip of the caller."""
    if order.reduce_only:
        return None
    if not order.requested_usd.is_finite() or order.requested_usd > policy.order_usd_max:
        return Failure(
            reason=Reason.ORDER_TOO_LARGE,
            message="No order was sent: it asks for more than one order may. Ask for less, or raise ORDER_USD_MAX.",
            metadata={
                "requested_usd": format(order.requested_usd, "f"),
                "order_usd_max": format(policy.order_usd_max, "f"),
            },
            field_name="qtyUsd",
        )
    age_ms = facts.like_order_age_ms
    if age_ms is not None and age_ms < policy.duplicate_window_ms:
        return Failure(
            reason=Reason.DUPLICATE_ORDER,
            message="No order was sent: one of the same symbol, side and size has just been sent under another key."
            " If it is meant, send it again later under a new key.",
            metadata={"age_ms": str(age_ms), "duplicate_window_ms": str(policy.duplicate_window_ms)},
        )
    return None
