"""One account: its coins, positions and orders, and the indexes that answer questions about them."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from simulator.trading.contract import AccountConfig
from simulator.trading.decimals import ZERO
from simulator.trading.instruments import QUOTE_COIN
from simulator.trading.orders import Execution, Order, Versions
from simulator.trading.position import Position

CLOSED_SHOWN_MAX = 500
"""How many ended orders of a category order/realtime still tells of."""
FLAT = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What an account holds at one moment, as it is shown after its lag."""

    balances: Mapping[str, Decimal]
    positions: Mapping[str, Position]
    locked: Mapping[str, Decimal]
    """Coins that open spot orders hold back."""
    order_margin: Decimal
    """Initial margin of open linear orders, in USDT."""
    realised: Decimal
    """All that linear trading made, fees and funding taken off, in USDT."""


class Account:
    """The mutable state of one account; the engine changes it, nobody else."""

    def __init__(self, config: AccountConfig, now_ms: int) -> None:
        self.config = config
        self.created_ms = now_ms
        self.hedge = config.hedge
        self.leverages: defaultdict[str, Decimal] = defaultdict(lambda: config.leverage)
        self.balances: defaultdict[str, Decimal] = defaultdict(Decimal, config.balances)
        self.positions: dict[str, Position] = {}
        self.realised = self.fees = self.funding = ZERO
        self.orders: list[Order] = []
        self.executions: list[Execution] = []
        self.live: dict[str, Order] = {}
        """Accepted and not ended, oldest first, by orderId."""
        self.closed_shown: defaultdict[str, dict[str, Order]] = defaultdict(dict)
        """By category, the newest ended orders that order/realtime may tell of, oldest first."""
        self.holdings: Versions[Holdings] = []
        self.push_ms = now_ms
        """When the latest push is due: no later change is pushed before it."""
        self._by_id: dict[str, Order] = {}
        self._by_link: dict[str, Order] = {}

    def position(self, symbol: str) -> Position:
        """The position of a linear symbol, flat or not."""
        return self.positions.get(symbol, FLAT)

    def accept(self, order: Order) -> None:
        """Take an order in, for ever."""
        self.orders.append(order)
        self.live[order.order_id] = self._by_id[order.order_id] = order
        if order.intent.link_id:
            self._by_link[order.intent.link_id] = order

    def knows_link(self, link_id: str) -> bool:
        """Whether the id was ever used."""
        return link_id in self._by_link

    def find(self, order_id: str, link_id: str) -> Order | None:
        """The order of an orderId, or where that is empty, of an orderLinkId."""
        return self._by_id.get(order_id) if order_id else self._by_link.get(link_id)

    def end(self, order: Order) -> None:
        """Move an ended order from the live ones to those still shown."""
        del self.live[order.order_id]
        shown = self.closed_shown[order.intent.listing.category]
        shown[order.order_id] = order
        if len(shown) > CLOSED_SHOWN_MAX:
            del shown[next(iter(shown))]

    def live_of(self, category: str, symbol: str = "") -> list[Order]:
        """Open orders of a category, of one symbol where it is given, oldest first."""
        return [
            order
            for order in self.live.values()
            if order.intent.listing.category == category and symbol in {"", order.intent.listing.symbol}
        ]

    def orders_between(self, start_ms: int, end_ms: int) -> Iterator[Order]:
        """Orders created in a span, ends included, newest first."""
        first = bisect_left(self.orders, start_ms, key=lambda order: order.created_ms)
        last = bisect_left(self.orders, end_ms + 1, key=lambda order: order.created_ms)
        return (self.orders[place] for place in range(last - 1, first - 1, -1))

    def executions_between(self, start_ms: int, end_ms: int) -> Iterator[Execution]:
        """Executions made in a span, ends included, newest first."""
        first = bisect_left(self.executions, start_ms, key=lambda execution: execution.at_ms)
        last = bisect_left(self.executions, end_ms + 1, key=lambda execution: execution.at_ms)
        return (self.executions[place] for place in range(last - 1, first - 1, -1))

    def add(self, coin: str, amount: Decimal) -> None:
        """Change a coin's balance."""
        self.balances[coin] += amount

    def charge(self, symbol: str, fee: Decimal, at_ms: int) -> None:
        """Take a linear trading fee, in USDT."""
        self.fees += fee
        self.add(QUOTE_COIN, -fee)
        self.positions[symbol] = self.position(symbol).charged(fee, at_ms)
