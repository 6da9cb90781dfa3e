"""The plan of one order: the verdict of risk as the record that the journal keeps."""

import hashlib
from decimal import Decimal

from gateway.core.facts import OrderFacts, Policy
from gateway.core.model import Failure, Order, OrderKey, OrderLinkId, OrderRecord, OrderState
from gateway.core.risk import Approved, approve
from gateway.core.risk_checks import ruling_confidence

LINK_ID_PREFIX = "tg"
"""How every order of a gateway begins: whoever sees another such id on the account sees another gateway."""

LINK_ID_LENGTH = 34
"""Venues take at most 36 characters of [A-Za-z0-9_-]; 32 of a digest are 128 bits."""


def plan_order(order: Order, account: str, facts: OrderFacts, policy: Policy) -> Approved | Failure:
    """Judge one order: permission to send it, or why not."""
    return approve(order, order_link_id(account, order.key), facts, policy)


def order_link_id(account: str, key: OrderKey) -> OrderLinkId:
    """The venue's id of an order, derived from account and key so that a retry can never make another."""
    digest = hashlib.sha256(f"{account}|{key}".encode()).hexdigest()
    return OrderLinkId(LINK_ID_PREFIX + digest[: LINK_ID_LENGTH - len(LINK_ID_PREFIX)])


def intent_record(approved: Approved, facts: OrderFacts, policy_id: str) -> OrderRecord:
    """What the journal keeps before the venue can know of the order, with what it was judged by."""
    return OrderRecord(
        order=approved.order,
        order_link_id=approved.order_link_id,
        state=OrderState.PENDING,
        approved_usd=approved.qty_usd,
        confidence=approved.confidence,
        adjustments=approved.adjustments,
        fills=(),
        failure=None,
        mid_price=approved.mid_price,
        created_ms=approved.at_ms,
        updated_ms=approved.at_ms,
        facts=facts,
        policy_id=policy_id,
    )


def refusal_record(order: Order, account: str, failure: Failure, facts: OrderFacts, policy_id: str) -> OrderRecord:
    """What the journal keeps of a refused order, so that a retry gets the same refusal, with what it was judged by."""
    return OrderRecord(
        order=order,
        order_link_id=order_link_id(account, order.key),
        state=OrderState.REFUSED,
        approved_usd=Decimal(0),
        confidence=ruling_confidence(order, facts.decision),
        adjustments=(),
        fills=(),
        failure=failure,
        mid_price=_told(facts.quote.mid) if facts.quote else None,
        created_ms=facts.at_ms,
        updated_ms=facts.at_ms,
        facts=facts,
        policy_id=policy_id,
    )


def _told(price: Decimal) -> Decimal | None:
    """A price that a record can hold: what is not finite refuses the order, and stands among its facts alone."""
    return price if price.is_finite() else None
