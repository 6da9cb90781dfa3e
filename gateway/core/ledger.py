"""The ledger: positions, realised profit and loss, fees and equity from fills.

Average-cost accounting of one netted position for each symbol, as a one-way
perpetual account keeps it: a fill on the position's side moves the entry
price to the weighted mean; a fill against it realises
closed_qty * (price - entry) * sign(position); what exceeds the position opens the
other side at the fill's price. Fees are kept apart and reduce equity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from gateway.core.model import ZERO, Fill, Side, Symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A netted position; qty is signed, positive for long."""

    qty: Decimal
    entry_price: Decimal

    def unrealised_usd(self, mid: Decimal) -> Decimal:
        """Open profit or loss at `mid`."""
        return self.qty * (mid - self.entry_price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the account holds and has earned."""

    start_usd: Decimal
    realised_usd: Decimal = ZERO
    """Profit and loss of closed quantity, before fees."""
    fees_usd: Decimal = ZERO
    positions: Mapping[Symbol, Position] = field(default_factory=dict)
    """Open positions only: no entry has a quantity of zero."""

    @property
    def earned_usd(self) -> Decimal:
        """What closed trades have earned, fees taken off: what the account adds to its starting cash."""
        return self.realised_usd - self.fees_usd

    def position_qty(self, symbol: Symbol) -> Decimal:
        """The signed quantity held of `symbol`; zero when flat."""
        position = self.positions.get(symbol)
        return position.qty if position else ZERO

    def equity_usd(self, mids: Mapping[Symbol, Decimal]) -> Decimal:
        """Start, realised and open profit and loss, less fees. `mids` must hold every open symbol (KeyError)."""
        unrealised = sum((held.unrealised_usd(mids[symbol]) for symbol, held in self.positions.items()), ZERO)
        return self.start_usd + self.realised_usd - self.fees_usd + unrealised

    def applied(self, symbol: Symbol, side: Side, fills: tuple[Fill, ...]) -> "Ledger":
        """The ledger after `fills` of one order."""
        ledger = self
        for fill in fills:
            ledger = ledger._with_fill(symbol, fill.qty * side.sign, fill)
        return ledger

    def _with_fill(self, symbol: Symbol, signed_qty: Decimal, fill: Fill) -> "Ledger":
        held = self.positions.get(symbol, Position(qty=ZERO, entry_price=ZERO))
        closed = _closed_qty(held.qty, signed_qty)
        realised = closed * (fill.price - held.entry_price) * (1 if held.qty > 0 else -1)
        positions = {name: position for name, position in self.positions.items() if name != symbol}
        qty = held.qty + signed_qty
        if qty:
            positions[symbol] = Position(qty=qty, entry_price=_entry_price(held, signed_qty, fill.price))
        return replace(
            self,
            realised_usd=self.realised_usd + realised,
            fees_usd=self.fees_usd + fill.fee_usd,
            positions=positions,
        )


def _closed_qty(held: Decimal, signed_qty: Decimal) -> Decimal:
    """How much of `held` a fill closes; zero when it adds to the position."""
    if held * signed_qty >= 0:
        return ZERO
    return min(abs(held), abs(signed_qty))


def _entry_price(held: Position, signed_qty: Decimal, price: Decimal) -> Decimal:
    """The entry price after a fill: the mean when adding, kept when reducing, the fill's when turning."""
    qty = held.qty + signed_qty
    if held.qty * signed_qty >= 0:
        return (held.qty * held.entry_price + signed_qty * price) / qty
    return held.entry_price if held.qty * qty > 0 else price
