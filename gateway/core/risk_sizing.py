"""Sizing as a part of the verdict: the steps in their order, and what is refused when a limit leaves nothing.

confidence, kelly, volatility, symbol_cap, stage_cap, gross_cap, net_cap, leverage; a reduce-only order has the step
position alone. No limit after the confidence cuts what an order closes of an opposite position.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from gateway.core.facts import OrderFacts, OtherExposure, Policy
from gateway.core.model import ZERO, Adjustment, Failure, Order, Side
from gateway.core.reasons import Reason
from gateway.core.size import clipped, kelly_usd, room_usd, scaled_by_confidence, step, volatility_room_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """An order on its way through the sizing steps."""

    qty_usd: Decimal
    adjustments: tuple[Adjustment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    step: str
    room_usd: Decimal
    """How much of the order it allows."""
    limit_usd: Decimal
    """What the adjustment names."""
    reason: Reason | None
    """What an order without any room is refused for; None: it is cut to nothing, and falls below the minimum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """The symbol's exposure as the order's side sees it."""

    order: Order
    held_usd: Decimal
    """Signed, at the mid price."""
    pending_usd: Decimal
    """What orders under way on the same side may still add."""

    @property
    def closing_usd(self) -> Decimal:
        """What of the order would only close an opposite position."""
        return max(ZERO, -self.held_usd * self.order.side.sign - self.pending_usd)

    def room_under(self, cap_usd: Decimal) -> Decimal:
        """What a cap on the symbol's exposure allows."""
        side = self.order.side
        return room_usd(cap_usd=cap_usd, side=side, position_usd=self.held_usd, pending_usd=self.pending_usd)


def size(order: Order, confidence: Decimal, facts: OrderFacts, policy: Policy, mid: Decimal) -> Sized | Failure:
    """How much of an order may be traded, or why nothing may. Facts are known and finite (MARKET_DATA_STALE)."""
    pending_usd = facts.pending_buy_usd if order.side is Side.BUY else facts.pending_sell_usd
    book = _Book(order=order, held_usd=facts.position_qty * mid, pending_usd=pending_usd)
    if order.reduce_only:
        return _size_reduction(book, facts)
    qty_usd = scaled_by_confidence(order.requested_usd, confidence)
    adjustments = step("confidence", order.requested_usd, qty_usd, confidence)
    closing_usd = book.closing_usd
    for limit in _limits(book, confidence, facts, policy):
        room = max(limit.room_usd, closing_usd)
        if room <= 0 and limit.reason:
            return _no_room(order, limit, limit.reason, facts)
        if room < qty_usd:
            before, qty_usd = qty_usd, clipped(qty_usd, room)
            adjustments += step(limit.step, before, qty_usd, limit.limit_usd)
    return Sized(qty_usd=qty_usd, adjustments=adjustments)


def _limits(book: _Book, confidence: Decimal, facts: OrderFacts, policy: Policy) -> Iterator[_Limit]:
    """Every limit in its order; a fact that is not known, which cannot be here, leaves no room."""
    equity_usd, others = facts.equity_usd or ZERO, facts.others or _NO_ROOM
    if policy.kelly_fraction:
        bet_usd = kelly_usd(equity_usd=equity_usd, confidence=confidence, fraction=policy.kelly_fraction)
        yield _Limit(step="kelly", room_usd=bet_usd, limit_usd=bet_usd, reason=None)
    if policy.target_ann_vol is not None:
        room = ZERO
        if facts.volatility is not None:
            room = volatility_room_usd(
                facts.volatility, side=book.order.side, equity_usd=equity_usd, target=policy.target_ann_vol
            )
        yield _Limit(step="volatility", room_usd=room, limit_usd=room, reason=None)
    yield _symbol_limit("symbol_cap", book, policy.symbol_cap_usd)
    if facts.permission.cap_usd is not None:
        yield _symbol_limit("stage_cap", book, facts.permission.cap_usd)
    yield from _account_limits(book, equity_usd, others, policy)


_NO_ROOM = OtherExposure(gross_usd=Decimal("1e30"), long_usd=Decimal("1e30"), short_usd=Decimal("1e30"))


def _symbol_limit(name: str, book: _Book, cap_usd: Decimal) -> _Limit:
    room = book.room_under(cap_usd)
    if name == "stage_cap":
        room = min(room, cap_usd)  # of one order too
    return _Limit(step=name, room_usd=room, limit_usd=cap_usd, reason=Reason.SYMBOL_CAP)


def _account_limits(book: _Book, equity_usd: Decimal, others: OtherExposure, policy: Policy) -> Iterator[_Limit]:
    """What the whole account may hold: the other symbols' exposure is taken off, the rest is this symbol's cap."""
    gross, same_side = others.gross_usd, others.long_usd if book.order.side is Side.BUY else others.short_usd
    leveraged_usd = policy.leverage_max * equity_usd
    for name, cap_usd, taken_usd, reason in (
        ("gross_cap", policy.gross_cap_usd, gross, Reason.GROSS_CAP),
        ("net_cap", policy.net_cap_usd, same_side, Reason.NET_CAP),
        ("leverage", leveraged_usd, gross, Reason.LEVERAGE),
    ):
        room = book.room_under(cap_usd - taken_usd)
        yield _Limit(step=name, room_usd=room, limit_usd=cap_usd, reason=reason)


_CAPS = {
    Reason.SYMBOL_CAP: "{symbol} has no room under its cap. Reduce it, or raise the cap",
    Reason.GROSS_CAP: "all symbols together have no room under the gross cap. Reduce one, or raise GROSS_USD_CAP",
    Reason.NET_CAP: "the account has no room on this side under the net cap. Reduce it, or raise NET_USD_CAP",
    Reason.LEVERAGE: "the equity bears no more exposure. Reduce a position, or raise LEVERAGE_MAX",
}


def _no_room(order: Order, limit: _Limit, reason: Reason, facts: OrderFacts) -> Failure:
    metadata = {"cap_usd": format(limit.limit_usd, "f"), "room_usd": "0", "symbol": order.symbol}
    if limit.step == "stage_cap":
        metadata["stage"] = facts.permission.stage
    return Failure(
        reason=reason,
        message=f"No order was sent: {_CAPS[reason].format(symbol=order.symbol)}.",
        metadata=metadata,
        field_name="qtyUsd",
    )


def _size_reduction(book: _Book, facts: OrderFacts) -> Sized | Failure:
    """Clip a reduce-only order to what stands open against it, orders under way taken off."""
    order, closable_usd = book.order, book.closing_usd
    if closable_usd <= 0:
        return Failure(
            reason=Reason.NO_POSITION,
            message=f"No order was sent: there is no {order.symbol} position that a {order.side.value} would reduce.",
            metadata={"symbol": order.symbol, "position_qty": format(facts.position_qty, "f")},
            field_name="reduceOnly",
        )
    final = clipped(order.requested_usd, closable_usd)
    return Sized(qty_usd=final, adjustments=step("position", order.requested_usd, final, closable_usd))
