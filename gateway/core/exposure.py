"""What an account holds, reckoned at mid prices, with orders under way counted at their worst."""

from collections.abc import Mapping
from decimal import Decimal

from gateway.core.facts import BPS, OtherExposure
from gateway.core.ledger import Position
from gateway.core.model import ZERO, Book, Side, Symbol

Pending = Mapping[tuple[Symbol, Side], Decimal]
"""What orders under way may still trade, US dollars, by symbol and side."""

Mids = Mapping[Symbol, Decimal]
"""Fresh mid prices."""


def exposed(positions: Mapping[Symbol, Position], pending: Pending) -> frozenset[Symbol]:
    """Symbols that are held or under way."""
    return frozenset(positions) | {symbol for symbol, _ in pending}


def other_exposure(
    but: Symbol, positions: Mapping[Symbol, Position], pending: Pending, mids: Mids
) -> OtherExposure | None:
    """The exposure of all symbols but one; None when one that is held has no price."""
    gross = long = short = ZERO
    for symbol in exposed(positions, pending) - {but}:
        held = _held_usd(symbol, positions, mids)
        if held is None:
            return None
        at_most = held + pending.get((symbol, Side.BUY), ZERO)
        at_least = held - pending.get((symbol, Side.SELL), ZERO)
        gross += max(abs(at_most), abs(at_least))
        long += at_most
        short -= at_least
    return OtherExposure(gross_usd=gross, long_usd=long, short_usd=short)


def open_pnl_usd(positions: Mapping[Symbol, Position], mids: Mids) -> Decimal | None:
    """Open profit and loss of all positions; None when one has no price."""
    if any(symbol not in mids for symbol in positions):
        return None
    return sum((held.unrealised_usd(mids[symbol]) for symbol, held in positions.items()), ZERO)


def held_usd(positions: Mapping[Symbol, Position], pending: Pending, mids: Mids) -> dict[Symbol, Decimal] | None:
    """Each symbol's signed exposure when every order under way fills whole; None when a held one has no price."""
    held: dict[Symbol, Decimal] = {}
    for symbol in exposed(positions, pending):
        qty_usd = _held_usd(symbol, positions, mids)
        if qty_usd is None:
            return None
        held[symbol] = qty_usd + pending.get((symbol, Side.BUY), ZERO) - pending.get((symbol, Side.SELL), ZERO)
    return held


def _held_usd(symbol: Symbol, positions: Mapping[Symbol, Position], mids: Mids) -> Decimal | None:
    """The signed exposure; orders under way are dollars already, so that a flat symbol needs no price."""
    if symbol not in positions:
        return ZERO
    return positions[symbol].qty * mids[symbol] if symbol in mids else None


def depth_usd(book: Book, side: Side, within_bps: Decimal) -> Decimal:
    """What stands on the side that an order of `side` takes, within so many basis points of the mid."""
    reach = book.mid * within_bps / BPS
    if side is Side.BUY:
        taken = [level for level in book.asks if level.price <= book.mid + reach]
    else:
        taken = [level for level in book.bids if level.price >= book.mid - reach]
    return sum((level.price * level.qty for level in taken), ZERO)
