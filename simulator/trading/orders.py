"""Orders and executions as the engine keeps them. The state of an order is a value, replaced as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from simulator.trading.contract import ExecutionView, Listing, OrderView
from simulator.trading.decimals import ZERO
from simulator.trading.instruments import SPOT

BUY, SELL = "Buy", "Sell"
NEW, PARTIALLY_FILLED = "New", "PartiallyFilled"
FILLED, CANCELLED, REJECTED = "Filled", "Cancelled", "Rejected"
PARTIALLY_FILLED_CANCELED = "PartiallyFilledCanceled"
CLOSED = frozenset({FILLED, CANCELLED, REJECTED, PARTIALLY_FILLED_CANCELED})

NO_ERROR, NO_CANCEL = "EC_NoError", "UNKNOWN"

State = TypeVar("State")
Versions = list[tuple[int, State]]
"""States with the moment from which each may be seen, oldest change first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A checked order request."""

    listing: Listing
    side: str
    market: bool
    time_in_force: str
    qty: Decimal
    quote_qty: bool
    """Whether qty is an amount of the quote coin."""
    price: Decimal
    """The limit; of a market order the cap: the worst price that it may be filled at."""
    link_id: str
    reduce_only: bool = False
    close_on_trigger: bool = False
    market_unit: str = ""
    slippage_type: str = "UNKNOWN"
    slippage: str = ""
    smp_type: str = "None"

    @property
    def sign(self) -> int:
        """+1 buys, -1 sells."""
        return 1 if self.side == BUY else -1

    @property
    def spot(self) -> bool:
        """Whether coins change hands, rather than a position."""
        return self.listing.category == SPOT


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """Where an order stands."""

    status: str
    """Bybit's orderStatus; empty from acceptance until the engine has applied the order."""
    qty: Decimal
    price: Decimal
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    fee: Decimal = ZERO
    """In the coin that the fees of this order are taken in."""
    closed_pnl: Decimal = ZERO
    reject_reason: str = NO_ERROR
    cancel_type: str = NO_CANCEL
    updated_ms: int

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self.status in CLOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution, or a funding row."""

    exec_id: str
    order_id: str
    link_id: str
    listing: Listing
    side: str
    order_type: str
    exec_type: str
    order_price: Decimal
    order_qty: Decimal
    left_qty: Decimal
    price: Decimal
    qty: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    maker: bool
    closed_qty: Decimal
    realised: Decimal
    mark_price: Decimal
    create_type: str
    sequence: int
    at_ms: int
    visible_ms: int

    @property
    def view(self) -> ExecutionView:
        """The truth for tests."""
        return ExecutionView(
            exec_id=self.exec_id,
            order_id=self.order_id,
            order_link_id=self.link_id,
            category=self.listing.category,
            symbol=self.listing.symbol,
            side=self.side,
            exec_type=self.exec_type,
            price=self.price,
            qty=self.qty,
            fee=self.fee,
            fee_coin=self.fee_coin,
            realised=self.realised,
            at_ms=self.at_ms,
        )


@dataclass(slots=True, kw_only=True)
class Order:
    """One accepted order."""

    intent: Intent
    order_id: str
    created_ms: int
    state: OrderState
    create_type: str
    last_price: Decimal
    """The last price when it was created."""
    busy_until_ms: int
    """When the latest thing asked of it is done: the next one is not done before."""
    versions: Versions[OrderState] = field(default_factory=list)
    history_ms: int | None = None
    """From when order/history tells of it."""
    executions: list[Execution] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether it was accepted and has not ended."""
        return not self.state.closed

    @property
    def left(self) -> Decimal:
        """What is still to fill, in the unit of qty."""
        state = self.state
        return state.qty - (state.filled_value if self.intent.quote_qty else state.filled_qty)

    @property
    def ids(self) -> dict[str, str]:
        """What every acknowledgement says."""
        return {"orderId": self.order_id, "orderLinkId": self.intent.link_id}

    @property
    def view(self) -> OrderView:
        """The truth for tests."""
        intent, state = self.intent, self.state
        return OrderView(
            order_id=self.order_id,
            order_link_id=intent.link_id,
            category=intent.listing.category,
            symbol=intent.listing.symbol,
            side=intent.side,
            order_type="Market" if intent.market else "Limit",
            qty=state.qty,
            quote_qty=intent.quote_qty,
            price=state.price,
            reduce_only=intent.reduce_only,
            filled_qty=state.filled_qty,
            filled_value=state.filled_value,
            status=state.status,
            reject_reason=state.reject_reason,
            cancel_type=state.cancel_type,
            created_ms=self.created_ms,
            updated_ms=state.updated_ms,
        )


def seen(versions: Sequence[tuple[int, State]], now_ms: int) -> State | None:
    """The newest state that may be seen; None when there is none yet."""
    return next((state for at_ms, state in reversed(versions) if at_ms <= now_ms), None)


def add_version(versions: Versions[State], visible_ms: int, state: State, now_ms: int) -> None:
    """Add a state, and forget those that nobody can see any more."""
    last_seen = next((i for i in range(len(versions) - 1, -1, -1) if versions[i][0] <= now_ms), 0)
    del versions[:last_seen]
    versions.append((visible_ms, state))
