"""What a venue says of the account: orders, executions, positions and the wallet, as one snapshot.

Quantities are in units of the base asset, money is in US dollars, times are milliseconds since 1970 UTC by the venue's
clock unless their names say otherwise.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gateway.core.model import Fill, OrderLinkId, Side, Symbol


class VenueStatus(StrEnum):
    """Where an order stands at the venue."""

    OPEN = "open"
    """It may still be filled."""
    FILLED = "filled"
    CANCELLED = "cancelled"
    """Ended, perhaps after a part of it was filled."""
    REJECTED = "rejected"
    """Ended by the venue's own rules, as a rule without fills."""


class ExecutionKind(StrEnum):
    """What made an execution."""

    TRADE = "trade"
    VENUE = "venue"
    """Liquidation, auto-deleveraging, delivery or settlement: it moves the position without an order of ours."""
    FUNDING = "funding"
    """It moves the wallet alone."""
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """One order as the venue tells it."""

    venue_order_id: str
    order_link_id: OrderLinkId
    """Empty when the order was given none."""
    symbol: Symbol
    side: Side
    qty: Decimal
    filled_qty: Decimal
    status: VenueStatus
    reduce_only: bool
    detail: str
    """The venue's word for why it ended; empty when there is none."""
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as the venue tells it; `exec_id` tells it from all others."""

    exec_id: str
    venue_order_id: str
    order_link_id: OrderLinkId
    """Empty when its order was given none, and for what the venue does itself."""
    symbol: Symbol
    side: Side
    price: Decimal
    qty: Decimal
    fee_usd: Decimal
    """Positive is a cost."""
    kind: ExecutionKind
    at_ms: int

    @property
    def fill(self) -> Fill:
        """The execution as the journal keeps it."""
        return Fill(price=self.price, qty=self.qty, fee_usd=self.fee_usd, exec_id=self.exec_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """One open position; qty is signed, positive for long, never zero."""

    symbol: Symbol
    qty: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """What the account is worth."""

    balance_usd: Decimal
    """Cash: deposits, realised profit and loss, fees and funding; no open profit or loss."""
    equity_usd: Decimal
    """With open profit and loss, at the venue's mark prices."""
    at_ms: int
    """When the gateway took it up, by the gateway's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """The account as the venue tells it, read between two moments of the gateway's clock."""

    begun_ms: int
    ended_ms: int
    open_orders: tuple[VenueOrder, ...]
    executions: tuple[Execution, ...]
    """Since the moment that was asked for, oldest first, each once."""
    positions: tuple[VenuePosition, ...]
    wallet: Wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueBlock:
    """Why the venue takes no order at this moment, and when it may again."""

    what: str
    """Completes the sentence: No order was sent: ..."""
    retry_after_seconds: int
