"""One-way netted positions: what is held, what it cost, what closing it realises.

A position is a signed quantity and its signed cost; the entry price is their quotient and is never stored, so nothing
is rounded on the way in. What a close realises is rounded to CENT_MILLIONTH, and what the rounding left out stays in
the cost: once the position is flat, the sum of all realised amounts is exactly what was received less what was paid.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from simulator.trading.decimals import CENT_MILLIONTH, ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One symbol's position; flat when qty is zero."""

    qty: Decimal = ZERO
    """Positive is long."""
    cost: Decimal = ZERO
    """Signed as qty."""
    realised: Decimal = ZERO
    """All that was ever realised, fees and funding taken off."""
    realised_now: Decimal = ZERO
    """The same since it was last flat."""
    opened_ms: int = 0
    updated_ms: int = 0
    sequence: int = -1

    @property
    def entry_price(self) -> Decimal:
        """The average price paid for what is held; zero when flat."""
        return self.cost / self.qty if self.qty else ZERO

    def unrealised(self, mark: Decimal) -> Decimal:
        """Open profit or loss."""
        return self.qty * mark - self.cost

    def charged(self, amount: Decimal, at_ms: int) -> "Position":
        """With a fee or funding (positive is a cost) in its realised figures."""
        return replace(self, realised=self.realised - amount, realised_now=self.realised_now - amount, updated_ms=at_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a fill did."""

    position: Position
    closed_qty: Decimal
    realised: Decimal
    """Before fees, a multiple of CENT_MILLIONTH."""


def reducible(position: Position, sign: int) -> Decimal:
    """How much an order of this sign could take off the position; zero when it would add to it."""
    return max(ZERO, -position.qty * sign)


def filled(position: Position, qty: Decimal, price: Decimal, *, at_ms: int, sequence: int) -> Moved:
    """The position after a fill of signed `qty`: it closes first; what exceeds the position opens the other side."""
    direction = 1 if qty > 0 else -1
    closed = min(reducible(position, direction), abs(qty))
    realised, cost = _closed(position, closed, price)
    opened = abs(qty) - closed
    after = position.qty + qty
    fresh = opened > 0 and closed == abs(position.qty)
    moved = replace(
        position,
        qty=after,
        cost=cost + direction * opened * price,
        realised=position.realised + realised,
        realised_now=(ZERO if fresh else position.realised_now) + (ZERO if fresh else realised),
        opened_ms=at_ms if fresh else position.opened_ms,
        updated_ms=at_ms,
        sequence=sequence,
    )
    return Moved(position=moved, closed_qty=closed, realised=realised)


def _closed(position: Position, closed: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
    """What closing realises, and the cost of what stays."""
    if not closed:
        return ZERO, position.cost
    held = abs(position.qty)
    received = closed * price if position.qty > 0 else -closed * price
    if closed == held:
        return received - position.cost, ZERO
    share = position.cost * closed / held
    realised = (received - share).quantize(CENT_MILLIONTH, ROUND_HALF_EVEN)
    return realised, position.cost - (received - realised)
