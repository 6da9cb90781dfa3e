"""The risk verdict: the ordered checks that an order must pass, and the only maker of Approved.

Order of precedence; the first check that fails is the answer:

1. SYMBOL_NOT_ALLOWED     the symbol is not on the allow-list
2. HALTED                 an operator's halt stands
3. NOT_PROMOTED           the account has not earned this (3 and 4: not for reduce-only)
4. OUTSIDE_HOURS          outside the trading hours, or in a maintenance window
5. VENUE_UNAVAILABLE      the venue takes no such order at this moment
6. RECONCILING            the account is not compared with the venue yet; or an order on the symbol has an unknown end
                          (that not for reduce-only)
7. ORDER_RATE             too many orders of this client and symbol in a minute (7 to 9: not for reduce-only)
8. OPEN_ORDERS            too many orders are under way
9. DECISION_REQUIRED      no decision is named, and one must be
10. DECISION_MISMATCH     the named decision is missing, or says something else
11. DECISION_EXPIRED      the named decision is too old
12. OUT_OF_DISTRIBUTION   the named decision was forbidden for this (12 to 18: not for reduce-only)
13. CALIBRATION_DRIFT     the calibration watch abstains, or the named decision was forbidden for this
14. MODEL_EXPIRED         the named decision was forbidden for this
15. MODEL_MARKET_MISMATCH the named decision was forbidden for this
16. LOW_CONFIDENCE        the confidence is below the threshold, which the watch may have raised
17. ORDER_TOO_LARGE       it asks for more than one order may
18. DUPLICATE_ORDER       one like it has just been sent
19. MARKET_DATA_STALE     no fresh, sound price, no filters, or a fact of prices that cannot be told
20. RISK_LOCKED           the drawdown lock stands, or is reached now (20 to 25: not for reduce-only)
21. REDUCE_ONLY           the account differs from the journal, and nobody has resumed yet
22. DAILY_LOSS            the day has lost too much
23. COOL_DOWN             too many trades in a row have lost
24. SPREAD_TOO_WIDE       bid and ask lie too far apart
25. PRICE_COLLAR          the mid lies too far from the mark price
26. NO_POSITION           a reduce-only order met nothing to reduce
27. SYMBOL_CAP            no room under the symbol's cap, or the stage's (27 to 31: not for reduce-only)
28. GROSS_CAP             no room under the cap of all symbols together
29. NET_CAP               no room on this side of the account
30. LEVERAGE              no room under the equity's multiple
31. DEPTH_TOO_THIN        the book near the mid does not hold it
32. MIN_NOTIONAL          what is left is below the venue's minimum

Every check fails closed: a fact that is None or not finite refuses. 1 to 18 stand in risk_checks.py, 19 to 25 and 31 in
risk_market.py, 26 to 30 in risk_sizing.py; controls.py has the same table for docs/risk.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.core.facts import OrderFacts, Policy
from gateway.core.model import Adjustment, Failure, Instrument, Order, OrderLinkId
from gateway.core.reasons import Reason
from gateway.core.risk_checks import (
    check_confidence,
    check_decision,
    check_model,
    check_pace,
    check_permission,
    check_request,
    check_venue,
    ruling_confidence,
)
from gateway.core.risk_market import check_depth, check_losses, check_quote, fresh_market
from gateway.core.risk_sizing import Sized, size

_PERMIT = object()


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


def approve(order: Order, order_link_id: OrderLinkId, facts: OrderFacts, policy: Policy) -> Approved | Failure:
    """Run every check in order; the first failure is the answer."""
    failure = _refused_without_prices(order, facts, policy)
    if failure:
        return failure
    market = fresh_market(order, facts, policy)
    if isinstance(market, Failure):
        return market
    quote, instrument = market
    confidence, mid = ruling_confidence(order, facts.decision), quote.mid
    sized = (
        check_losses(order, facts, policy)
        or check_quote(order, quote, facts, policy)
        or size(order, confidence, facts, policy, mid)
    )
    if isinstance(sized, Failure):
        return sized
    failure = check_depth(order, sized.qty_usd, quote, policy) or _check_minimum(sized, instrument, mid)
    if failure:
        return failure
    return Approved(
        order=order,
        order_link_id=order_link_id,
        qty_usd=sized.qty_usd,
        confidence=confidence,
        adjustments=sized.adjustments,
        mid_price=mid,
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


def smallest_usd(instrument: Instrument, mid: Decimal) -> Decimal:
    """The least notional that the venue takes: its minimum, or one minimum quantity at the mid price."""
    return max(instrument.min_notional_usd, instrument.min_qty * mid)


def _refused_without_prices(order: Order, facts: OrderFacts, policy: Policy) -> Failure | None:
    return (
        check_permission(order, facts, policy)
        or check_venue(order, facts)
        or check_pace(order, facts, policy)
        or check_decision(order, facts, policy)
        or check_model(order, facts)
        or check_confidence(order, facts, policy)
        or check_request(order, facts, policy)
    )


def _check_minimum(sized: Sized, instrument: Instrument, mid: Decimal) -> Failure | None:
    least_usd = smallest_usd(instrument, mid)
    if sized.qty_usd >= least_usd:
        return None
    bound = {"step": sized.adjustments[-1].step} if sized.adjustments else {}
    return Failure(
        reason=Reason.MIN_NOTIONAL,
        message="No order was sent: what is left after sizing is below the venue's minimum. Ask for more.",
        metadata={"qty_usd": format(sized.qty_usd, "f"), "min_usd": f"{least_usd:.8f}"} | bound,
        field_name="qtyUsd",
    )
