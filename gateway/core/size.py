"""Sizing: how much of what was asked for may be traded.

qty = request x confidence, then the Kelly bet and the volatility target where they are set, then the caps. Every step
only makes an order smaller, and is named in the order's adjustments; risk_sizing.py has their order.
"""

import math
from decimal import ROUND_DOWN, Decimal

from gateway.core.facts import VolatilityFacts
from gateway.core.model import ZERO, Adjustment, Side

MONEY_STEP = Decimal("0.00000001")
"""Sized amounts are rounded down to this many dollars: never up, so that no limit is passed."""


def scaled_by_confidence(requested_usd: Decimal, confidence: Decimal) -> Decimal:
    """The request times the confidence, rounded down."""
    return _rounded_down(requested_usd * confidence)


def kelly_usd(*, equity_usd: Decimal, confidence: Decimal, fraction: Decimal) -> Decimal:
    """A fraction of the Kelly bet at even odds: fraction x (2 x confidence - 1) x equity; never below zero.

    The growth of a stake that is won or lost whole with the probabilities p and 1 - p is largest at the share 2p - 1
    of the equity. Source: J. L. Kelly, A New Interpretation of Information Rate, Bell System Technical Journal 35,
    1956.
    """
    return max(ZERO, fraction * (2 * confidence - 1) * equity_usd)


def volatility_room_usd(volatility: VolatilityFacts, *, side: Side, equity_usd: Decimal, target: Decimal) -> Decimal:
    """The most of the symbol that keeps the account's annual volatility at `target` of the equity, US dollars.

    With x dollars more, the account's variance is x^2 v^2 + 2 x c + p^2: v the symbol's volatility, c its covariance
    with what is held, signed by the side, p the volatility of what is held. The room is the larger root of
    variance = (target x equity)^2, and zero where no x reaches it.
    """
    own = volatility.symbol * volatility.symbol
    shared = volatility.shared_usd * side.sign
    borne = float(target * equity_usd)
    spare = (borne - volatility.portfolio_usd) * (borne + volatility.portfolio_usd)
    inner = shared * shared + own * spare
    if not (borne > 0 and own > 0 and inner >= 0):
        return ZERO
    room = (math.sqrt(inner) - shared) / own
    return max(ZERO, Decimal(repr(room))) if math.isfinite(room) else ZERO


def room_usd(*, cap_usd: Decimal, side: Side, position_usd: Decimal, pending_usd: Decimal) -> Decimal:
    """How much more may be traded on `side` before the exposure on that side could pass the cap.

    `position_usd` is the signed exposure at the mid price, `pending_usd` what orders
    under way on the same side may still add (positive). An order that first
    closes an opposite position has that much more room.
    """
    return max(ZERO, cap_usd - position_usd * side.sign - pending_usd)


def clipped(qty_usd: Decimal, limit_usd: Decimal) -> Decimal:
    """The smaller of the two, rounded down."""
    return qty_usd if qty_usd <= limit_usd else _rounded_down(limit_usd)


def step(name: str, before_usd: Decimal, after_usd: Decimal, limit: Decimal) -> tuple[Adjustment, ...]:
    """The adjustment from `before_usd` to `after_usd`; none when nothing changed."""
    if after_usd == before_usd:
        return ()
    return (Adjustment(step=name, from_usd=before_usd, to_usd=after_usd, limit=limit),)


def _rounded_down(amount_usd: Decimal) -> Decimal:
    """In whole steps, written without needless zeros or an exponent."""
    return Decimal(format(amount_usd.quantize(MONEY_STEP, rounding=ROUND_DOWN).normalize(), "f"))
