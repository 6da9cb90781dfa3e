"""Sizing: how much of what was asked for may be traded.

qty = request x confidence, then the room under the symbol's cap. Every step
only makes an order smaller, and is named in the order's adjustments.
"""

from decimal import ROUND_DOWN, Decimal

from gateway.core.model import ZERO, Adjustment, Side

MONEY_STEP = Decimal("0.00000001")
"""Sized amounts are rounded down to this many dollars: never up, so that no limit is passed."""


def scaled_by_confidence(requested_usd: Decimal, confidence: Decimal) -> Decimal:
    """The request times the confidence, rounded down."""
    return _rounded_down(requested_usd * confidence)


def room_usd(*, cap_usd: Decimal, side: Side, position_usd: Decimal, pending_usd: Decimal) -> Decimal:
    """How much more may be traded on `side` before the exposure on that side could pass the cap.

    `position_usd` is the signed exposure at the mid price, `pending_usd` what orders
    under way on the same side may still add (positive). An order that first
    closes an opposite position has that much more room.
    """
    return max(ZERO, cap_usd - position_usd * side.sign - pending_usd)


def clipped(qty_usd: Decimal, limit_usd: Decimal) -> Decimal:
    """The smaller of the two, rounded down."""
    return min(qty_usd, _rounded_down(limit_usd))


def step(name: str, before_usd: Decimal, after_usd: Decimal, limit: Decimal) -> tuple[Adjustment, ...]:
    """The adjustment from `before_usd` to `after_usd`; none when nothing changed."""
    if after_usd == before_usd:
        return ()
    return (Adjustment(step=name, from_usd=before_usd, to_usd=after_usd, limit=limit),)


def _rounded_down(amount_usd: Decimal) -> Decimal:
    """In whole steps, written without needless zeros or an exponent."""
    return Decimal(format(amount_usd.quantize(MONEY_STEP, rounding=ROUND_DOWN).normalize(), "f"))
