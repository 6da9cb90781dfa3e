"""A trading engine on hand-set books, under a hand-driven clock."""

import heapq
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from simulator.symbols import INSTRUMENTS, SPOT_INSTRUMENTS
from simulator.trading.contract import AccountConfig, Ladder, Lags, Listing, Push, TradeError
from simulator.trading.engine import Engine
from simulator.trading.instruments import CATEGORIES, listing_of

START_MS = 1_792_180_800_000
SETTLE_MS = 300
"""Longer than all default lags of a request together, but the slot's."""
NO_LAGS = Lags(apply_ms=(0, 0), visible_ms=(0, 0), history_ms=(0, 0), push_ms=(0, 0))

Levels = Sequence[tuple[str, str]]
BIDS: Levels = (("59999", "1"), ("59990", "2"), ("59500", "5"), ("59300", "9"))
ASKS: Levels = (("60001", "1"), ("60010", "2"), ("60500", "5"), ("60700", "9"))
"""Around 60000: three levels within one percent, the fourth beyond."""


class HandClock:
    """The Scheduler port, moved by hand."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.ms = now_ms
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return self.ms

    def call_at(self, at_ms: int, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (max(at_ms, self.ms), next(self._order), act))

    def advance(self, span_ms: int) -> None:
        """Let time pass, with all that happens in it."""
        end_ms = self.ms + span_ms
        while self._queue and self._queue[0][0] <= end_ms:
            at_ms, _, act = heapq.heappop(self._queue)
            self.ms = max(self.ms, at_ms)
            act()
        self.ms = end_ms


class HandMarkets:
    """The Markets port with prices and books that stand until they are set anew."""

    def __init__(self, prices: Mapping[str, str] | None = None) -> None:
        self.prices = {symbol: Decimal(price) for symbol, price in (prices or {"BTCUSDT": "60000"}).items()}
        self.books = {symbol: a_book(BIDS, ASKS) for symbol in self.prices}
        self._listings = {
            **{("linear", symbol): listing_of(INSTRUMENTS[symbol]) for symbol in self.prices},
            **{("spot", symbol): listing_of(SPOT_INSTRUMENTS[symbol]) for symbol in self.prices},
        }

    def symbols(self, category: str) -> Sequence[str]:
        return tuple(self.prices) if category in CATEGORIES else ()

    def listing(self, category: str, symbol: str) -> Listing | None:
        return self._listings.get((category, symbol))

    def book(self, category: str, symbol: str, now_ms: int, levels: int) -> Ladder:
        book = self.books[symbol]
        return Ladder(bids=book.bids[:levels], asks=book.asks[:levels])

    def last_price(self, category: str, symbol: str, now_ms: int) -> Decimal:
        return self.prices[symbol]

    def mark_price(self, symbol: str, now_ms: int) -> Decimal:
        return self.prices[symbol]


def a_book(bids: Levels, asks: Levels) -> Ladder:
    return Ladder(
        bids=[(Decimal(price), Decimal(qty)) for price, qty in bids],
        asks=[(Decimal(price), Decimal(qty)) for price, qty in asks],
    )


def an_account(uid: int = 1, *, coins: Mapping[str, str] | None = None, **fields: Any) -> AccountConfig:
    balances = {coin: Decimal(amount) for coin, amount in (coins or {"USDT": "100000"}).items()}
    return AccountConfig(uid=uid, balances=balances, **fields)


@dataclass
class World:
    """An engine with all around it."""

    clock: HandClock
    markets: HandMarkets
    engine: Engine
    pushes: list[Push] = field(default_factory=list)
    made: int = 0

    def create(self, uid: int = 1, **changes: Any) -> str:
        """Send an order and return its orderLinkId; unless it is said otherwise a market buy of 0.1 BTC, linear."""
        return str(self.send(uid, **changes)["orderLinkId"])

    def send(self, uid: int = 1, **changes: Any) -> Any:
        self.made += 1
        order = {**MARKET_BUY, "orderLinkId": f"link-{self.made}", **changes}
        return self.engine.create_order(uid, {name: value for name, value in order.items() if value is not None})

    def refusal(self, uid: int = 1, **changes: Any) -> tuple[int, str]:
        try:
            self.send(uid, **changes)
        except TradeError as error:
            return error.code, error.message
        raise AssertionError("the order was accepted")

    def limit(self, uid: int = 1, **changes: Any) -> str:
        """A limit buy of 0.1 BTC below the market."""
        return self.create(uid, **{"orderType": "Limit", "price": "59000", **changes})

    def filled(self, uid: int = 1, **changes: Any) -> Any:
        """Send an order, let it be done, and return the truth about it."""
        link = self.create(uid, **changes)
        self.clock.advance(SETTLE_MS)
        return self.order(link, uid)

    def order(self, link: str, uid: int = 1) -> Any:
        return next(order for order in self.engine.all_orders(uid) if order.order_link_id == link)

    def position(self, uid: int = 1, symbol: str = "BTCUSDT") -> Decimal:
        held = self.engine.account_view(uid).positions.get(symbol)
        return held.qty if held else Decimal(0)

    def balance(self, coin: str = "USDT", uid: int = 1) -> Decimal:
        return self.engine.account_view(uid).balances.get(coin, Decimal(0))


MARKET_BUY = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}


def a_world(*accounts: AccountConfig, lags: Lags | None = None, seed: int = 7) -> World:
    clock, markets = HandClock(), HandMarkets()
    pushes: list[Push] = []
    engine = Engine(
        markets=markets,
        scheduler=clock,
        accounts=accounts or (an_account(),),
        publish=pushes.append,
        seed=seed,
        lags=lags or NO_LAGS,
    )
    return World(clock=clock, markets=markets, engine=engine, pushes=pushes)
