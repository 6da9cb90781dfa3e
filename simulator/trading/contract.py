"""What the trading engine, the REST side and the streams of the simulator agree on.

The engine (engine.py) is synchronous and knows neither sockets nor the wall clock. It is called with the decoded
parameters of one private endpoint, after signature, rate limit and permission were judged; it answers with `result` or
raises TradeError. What happens later (the match, the push) it hands to the Scheduler.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, TypeAlias

from simulator.shapes import Json

Params: TypeAlias = Mapping[str, object]
"""The query of a GET (texts) or the decoded JSON body of a POST."""
Level: TypeAlias = tuple[Decimal, Decimal]
"""Price and quantity of one level of a book."""


class Scheduler(Protocol):
    """Time, and what is to happen in it."""

    def now_ms(self) -> int:
        """The exchange's own clock, Unix milliseconds: the same one that the market runs by."""
        ...

    def call_at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Run `act` once, never before `at_ms`, in order of time; those of one time in the order they were given."""
        ...


class TradeError(Exception):
    """A refusal with Bybit's retCode and retMsg; `ext` is retExtInfo."""

    def __init__(self, code: int, message: str, ext: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ext: Json = {} if ext is None else ext


@dataclass(frozen=True, slots=True, kw_only=True)
class Lags:
    """Milliseconds; each is drawn uniformly from (low, high) by the engine's seeded Random."""

    apply_ms: tuple[int, int] = (1, 5)
    """From the accepted request to the match."""
    visible_ms: tuple[int, int] = (0, 20)
    """From a change to its being seen in order/realtime, position/list and wallet-balance."""
    history_ms: tuple[int, int] = (50, 200)
    """From an order's end to its being seen in order/history; the same for executions in execution/list."""
    push_ms: tuple[int, int] = (0, 5)
    """From a change to its push."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """One unified trading account as it starts."""

    uid: int
    balances: Mapping[str, Decimal]
    """Coin to amount: {"USDT": Decimal("100000")}; coins of the spot market as well."""
    margin_mode: str = "REGULAR_MARGIN"
    hedge: bool = False
    """Position mode of linear. Hedged positions are not simulated: orders are refused while it is on."""
    leverage: Decimal = Decimal(10)
    taker_rate: Decimal = Decimal("0.00055")
    maker_rate: Decimal = Decimal("0.0002")
    spot_rate: Decimal = Decimal("0.001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """One private message before it is framed."""

    uid: int
    topic: str
    """order, execution, position or wallet."""
    category: str
    """linear or spot; empty for wallet."""
    rows: Sequence[Json]
    at_ms: int
    """When the change happened; it is published after Lags.push_ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One tradable symbol of one category: Bybit's filters as numbers."""

    category: str
    symbol: str
    base_coin: str
    quote_coin: str
    tick: Decimal
    price_max: Decimal
    qty_step: Decimal
    """qtyStep (linear) or basePrecision (spot)."""
    qty_min: Decimal
    limit_qty_max: Decimal
    market_qty_max: Decimal
    notional_min: Decimal
    """minNotionalValue (linear) or minOrderAmt (spot), in the quote coin."""
    quote_step: Decimal
    """quotePrecision (spot): the step of amounts in the quote coin."""
    leverage_max: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A book as far as it was asked for, best level first on both sides, never crossed."""

    bids: Sequence[Level]
    asks: Sequence[Level]


class Markets(Protocol):
    """Prices and filters, for the engine; every price may move only from one slot (SLOT_MS) to the next, or by a jump.

    Unknown symbols and categories: `listing` is None, and the rest is never asked.
    """

    def symbols(self, category: str) -> Sequence[str]:
        """What is listed in the category."""
        ...

    def listing(self, category: str, symbol: str) -> Listing | None:
        """The filters."""
        ...

    def book(self, category: str, symbol: str, now_ms: int, levels: int) -> Ladder:
        """At least the best `levels` levels a side, if there are so many; a deeper book begins with the same ones."""
        ...

    def last_price(self, category: str, symbol: str, now_ms: int) -> Decimal:
        """The last traded price."""
        ...

    def mark_price(self, symbol: str, now_ms: int) -> Decimal:
        """The mark price of the linear contract, in USDT."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """The truth about one accepted order."""

    order_id: str
    order_link_id: str
    category: str
    symbol: str
    side: str
    order_type: str
    qty: Decimal
    """In the base coin, or in the quote coin where `quote_qty`."""
    quote_qty: bool
    price: Decimal
    """The limit, or the cap of a market order."""
    reduce_only: bool
    filled_qty: Decimal
    filled_value: Decimal
    status: str
    """Bybit's orderStatus; empty while the engine has not applied the order."""
    reject_reason: str
    cancel_type: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionView:
    """The truth about one execution."""

    exec_id: str
    order_id: str
    order_link_id: str
    category: str
    symbol: str
    side: str
    exec_type: str
    price: Decimal
    qty: Decimal
    fee: Decimal
    """Positive is a cost, in `fee_coin`."""
    fee_coin: str
    realised: Decimal
    """Realised profit or loss of the part that closed a position, before fees, in USDT."""
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """The truth about one linear position that is not flat."""

    symbol: str
    qty: Decimal
    """Signed: positive is long."""
    cost: Decimal
    """What was paid for what is held, signed as `qty`: the entry price is cost / qty."""
    entry_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """The truth about one account."""

    uid: int
    balances: Mapping[str, Decimal]
    """Coin to wallet balance; coins of zero are left out."""
    realised: Decimal
    """All realised profit and loss of linear, before fees and funding, in USDT."""
    fees: Decimal
    """All trading fees of linear, in USDT; positive is a cost."""
    funding: Decimal
    """All funding, in USDT; positive is a cost."""
    equity: Decimal
    """The USDT balance with open profit and loss at mark prices."""
    positions: Mapping[str, PositionView] = field(default_factory=dict)
