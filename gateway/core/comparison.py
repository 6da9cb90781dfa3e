"""Whether the account at the venue is the one that the journal tells of.

Compared, in this order:

1. open orders   one whose id the journal does not know is a foreign order; when the id has our form, a second writer
                 uses the account; one that the journal holds for ended should not be open
2. executions    one of an order that the journal does not know is foreign; what the venue made itself (liquidation,
                 deleveraging) is told; one of ours must be among the fills of its order, once that has ended
3. positions     the signed quantity of every symbol is that of the ledger
4. the wallet    its cash has not fallen by more than the orders of this gateway and funding explain

Positions, orders held for ended and the wallet are read at a moment while orders move, and a venue shows changes late.
A symbol on which something moves is left out of a pass. Such a difference counts only once it is older than the venue
could hide a change, the same to the last digit, while nothing of ours moved there; so it does at the start, unless an
order moved shortly before.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from gateway.core.ledger import Ledger
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import ZERO, OrderLinkId, OrderRecord, Symbol
from gateway.core.plan import LINK_ID_PREFIX
from gateway.core.venue import AccountSnapshot, Execution, ExecutionKind, VenueOrder, VenuePosition

FALL_USD_MIN: Final = Decimal(1)
"""A fall of the wallet up to this much needs no explanation: rounding, and the rate of the settlement coin."""

FALL_FRACTION_MIN: Final = Decimal("0.001")
"""Nor does one up to this fraction of the balance."""


WALLET_KEY: Final = "wallet"
"""The key of the one difference that the wallet can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as the journal says."""

    key: str
    """The same for the same difference in the next pass, to the last digit of a quantity."""
    text: str
    """For the operator."""
    symbol: Symbol | None
    """The symbol that it is about; None for the wallet."""
    certain: bool
    """False when it may be no more than a change that the venue shows late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletBase:
    """What the wallet and the ledger said when nothing moved: what came after must explain the change."""

    balance_usd: Decimal
    earned_usd: Decimal
    """Realised profit and loss less fees, by the ledger."""
    funding_usd: Decimal = ZERO
    """What funding has cost since then."""
    cost_gap_usd: Decimal = ZERO
    """By how much the positions had cost more by the venue's entry prices than by the ledger's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSide:
    """What the journal says of the account."""

    ledger: Ledger
    moving: Collection[Symbol]
    """Symbols with an open order, or with one that moved while the snapshot was taken."""
    orders: Mapping[OrderLinkId, OrderRecord]
    """The orders that the snapshot names, as far as the journal knows them."""
    wallet_base: WalletBase | None
    """None before the first pass in which nothing moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A difference that may be no more than a change that the venue shows late."""

    difference: Difference
    since_ms: int
    """When it was seen first, with nothing moved since then; by the gateway's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """When a pass looked, and what moved before; times are by the gateway's clock."""

    begun_ms: int
    ended_ms: int
    at_start: bool
    """Whether no pass came before it."""
    lag_ms_max: int
    """How long the venue may hide a change."""
    moving: Collection[Symbol]
    """What this pass leaves out."""
    moved_ms: Mapping[Symbol, int]
    """When an order last moved on a symbol."""

    def moved_since(self, symbol: Symbol | None, at_ms: int) -> bool:
        """Whether an order moved on the symbol then or later; None is for any symbol, as the wallet is."""
        return any(moved_ms >= at_ms for name, moved_ms in self.moved_ms.items() if symbol in {None, name})

    def leaves_out(self, symbol: Symbol | None) -> bool:
        """Whether a difference of the symbol could not be seen."""
        return symbol in self.moving or (symbol is None and bool(self.moving))


def compare(snapshot: AccountSnapshot, executions: Sequence[Execution], journal: JournalSide) -> list[Difference]:
    """Every difference. `executions` are those of the snapshot that were not judged by an earlier pass."""
    found = [
        *(_order_difference(order, journal) for order in snapshot.open_orders),
        *(_execution_difference(execution, journal) for execution in executions),
        *_position_differences(snapshot.positions, journal),
        _wallet_difference(snapshot, journal),
    ]
    return [difference for difference in found if difference is not None]


def awaits_its_order(execution: Execution, orders: Mapping[OrderLinkId, OrderRecord]) -> bool:
    """Whether an execution is of an order of ours that has not ended, and so is judged by a later pass."""
    record = orders.get(execution.order_link_id)
    by_order = execution.kind in {ExecutionKind.TRADE, ExecutionKind.OTHER}
    return by_order and record is not None and record.state in OPEN_STATES


def standing_differences(
    found: Sequence[Difference], earlier: Collection[Suspicion], sight: Sight
) -> tuple[list[Difference], list[Suspicion]]:
    """What counts now, and what a later pass must confirm; `earlier` is what this one had to.

    What could not be looked at, since its symbol moves, is neither confirmed nor dropped.
    """
    known = {one.difference.key: one for one in earlier}
    counts, suspected = [], []
    for one in found:
        suspicion = known.get(one.key)
        if suspicion is None or sight.moved_since(one.symbol, suspicion.since_ms):
            suspicion = Suspicion(difference=one, since_ms=sight.ended_ms)
        hidden_until_ms = sight.begun_ms - sight.lag_ms_max
        at_once = one.certain or (sight.at_start and not sight.moved_since(one.symbol, hidden_until_ms))
        if at_once or suspicion.since_ms <= hidden_until_ms:
            counts.append(one)
        else:
            suspected.append(suspicion)
    seen = {one.key for one in found}
    left_out = [one for one in earlier if one.difference.key not in seen and sight.leaves_out(one.difference.symbol)]
    return counts, [*left_out, *suspected]


def wallet_change(snapshot: AccountSnapshot, journal: JournalSide) -> Decimal | None:
    """By how much the cash changed beyond what is explained, US dollars; None while that cannot be told."""
    base, gap_usd = journal.wallet_base, cost_gap_usd(snapshot, journal.ledger)
    if base is None or gap_usd is None or journal.moving:
        return None
    earned = journal.ledger.earned_usd - base.earned_usd - base.funding_usd
    return snapshot.wallet.balance_usd - base.balance_usd - earned - (gap_usd - base.cost_gap_usd)


def cost_gap_usd(snapshot: AccountSnapshot, ledger: Ledger) -> Decimal | None:
    """By how much the positions cost more by the venue's entry prices than by the ledger's, US dollars.

    Fills that are booked in another order than they were made split the same profit otherwise into a realised and an
    open part. None when the quantities differ.
    """
    held = {position.symbol: position for position in snapshot.positions}
    if {symbol: one.qty for symbol, one in held.items()} != {
        symbol: one.qty for symbol, one in ledger.positions.items()
    }:
        return None
    return sum((one.qty * (one.entry_price - ledger.positions[name].entry_price) for name, one in held.items()), ZERO)


def fall_tolerated_usd(balance_usd: Decimal) -> Decimal:
    """How much the wallet may fall without an explanation, US dollars."""
    return max(FALL_USD_MIN, balance_usd * FALL_FRACTION_MIN)


def _order_difference(order: VenueOrder, journal: JournalSide) -> Difference | None:
    record = journal.orders.get(order.order_link_id)
    if record is None:
        what = f"open order {order.venue_order_id}, {order.side.value} {order.qty:f} {order.symbol}"
        return _foreign(f"order {order.venue_order_id}", what, order.order_link_id, order.symbol)
    if record.state in OPEN_STATES or order.symbol in journal.moving:
        return None
    text = f"order {record.order.key} is {record.state.value} in the journal, and open at the venue"
    return Difference(key=f"ended {order.order_link_id}", text=text, symbol=order.symbol, certain=False)


def _execution_difference(execution: Execution, journal: JournalSide) -> Difference | None:
    key, symbol = f"execution {execution.exec_id}", execution.symbol
    what = (
        f"execution {execution.exec_id}, {execution.side.value} {execution.qty:f} {execution.symbol}"
        f" at {execution.price:f}"
    )
    match execution.kind:
        case ExecutionKind.FUNDING:
            return None
        case ExecutionKind.VENUE:
            return Difference(key=key, text=f"{what}, made by the venue itself", symbol=symbol, certain=True)
        case ExecutionKind.TRADE | ExecutionKind.OTHER:
            record = journal.orders.get(execution.order_link_id)
    if record is None:
        return _foreign(key, what, execution.order_link_id, symbol)
    if awaits_its_order(execution, journal.orders) or _is_recorded(execution, record):
        return None
    text = f"{what}, is missing from order {record.order.key}, which is {record.state.value} in the journal"
    return Difference(key=key, text=text, symbol=symbol, certain=True)


def _foreign(key: str, what: str, order_link_id: OrderLinkId, symbol: Symbol) -> Difference:
    """Something that this journal did not order; with an id of our own form another gateway did."""
    ours = order_link_id.startswith(LINK_ID_PREFIX)
    who = "a second gateway uses this account" if ours else "a foreign hand uses this account"
    return Difference(key=key, text=f"{who}: {what}", symbol=symbol, certain=True)


def _is_recorded(execution: Execution, record: OrderRecord) -> bool:
    """Whether the order's fills have it; fills without ids are taken to: a difference shows in the position."""
    return any(fill.exec_id in {execution.exec_id, ""} for fill in record.fills)


def _position_differences(positions: Sequence[VenuePosition], journal: JournalSide) -> list[Difference]:
    held = {position.symbol: position.qty for position in positions}
    differences = []
    for symbol in sorted({*held, *journal.ledger.positions} - set(journal.moving)):
        at_venue, in_journal = held.get(symbol, ZERO), journal.ledger.position_qty(symbol)
        if at_venue != in_journal:
            text = f"position {symbol}: {at_venue:f} at the venue, {in_journal:f} in the journal"
            key = f"position {symbol} {at_venue - in_journal:f}"
            differences.append(Difference(key=key, text=text, symbol=symbol, certain=False))
    return differences


def _wallet_difference(snapshot: AccountSnapshot, journal: JournalSide) -> Difference | None:
    change, base = wallet_change(snapshot, journal), journal.wallet_base
    if change is None or base is None or -change <= fall_tolerated_usd(base.balance_usd):
        return None
    text = f"the wallet fell by {-change:.2f} USD without a cause"
    return Difference(key=WALLET_KEY, text=text, symbol=None, certain=False)
