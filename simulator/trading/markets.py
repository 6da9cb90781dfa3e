"""The simulated exchange's prices as the engine asks for them: Decimals, and each book made once in a slot."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from simulator.book import Side
from simulator.exchange import Exchange
from simulator.market import Market
from simulator.process import SLOT_MS
from simulator.shapes import price_text
from simulator.trading.contract import Ladder, Level, Listing
from simulator.trading.instruments import CATEGORIES, LINEAR, listing_of

_NOTHING = Ladder(bids=(), asks=())


@dataclass(slots=True)
class _Held:
    """What was derived for one symbol; good while `key` holds."""

    key: tuple[int, float, float]
    """The slot, the price and the depth factor: a jump inside a slot makes another book."""
    price: Decimal
    ladder: Ladder = _NOTHING
    levels: int = 0


class SimulatedMarkets:
    """The port Markets, filled by simulator.exchange.Exchange; while the market is frozen, its prices stand still."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._listings = {
            (category, symbol): listing_of(market.instrument)
            for category in CATEGORIES
            for symbol, market in exchange.listed(category).items()
        }
        self._held: dict[tuple[str, str], _Held] = {}

    def symbols(self, category: str) -> Sequence[str]:
        """What is listed in the category."""
        return tuple(self._exchange.listed(category))

    def listing(self, category: str, symbol: str) -> Listing | None:
        """The filters; None when it is not listed."""
        return self._listings.get((category, symbol))

    def book(self, category: str, symbol: str, now_ms: int, levels: int) -> Ladder:
        """At least the best `levels` levels a side, if there are so many."""
        market, held, at_ms = self._at(category, symbol, now_ms)
        if held.levels < levels:
            book = market.book(at_ms, levels)
            held.ladder = Ladder(bids=_side(book.bids), asks=_side(book.asks))
            held.levels = levels
        return held.ladder

    def last_price(self, category: str, symbol: str, now_ms: int) -> Decimal:
        """The last traded price."""
        return self._at(category, symbol, now_ms)[1].price

    def mark_price(self, symbol: str, now_ms: int) -> Decimal:
        """The mark price, which this market has equal to the last."""
        return self.last_price(LINEAR, symbol, now_ms)

    def _at(self, category: str, symbol: str, now_ms: int) -> tuple[Market, _Held, int]:
        market, clock = self._exchange.listed(category)[symbol], self._exchange.clock
        at_ms = clock.market_ms() if clock.frozen else now_ms
        price = market.price(at_ms)
        key = (at_ms // SLOT_MS, price, market.depth_factor)
        held = self._held.get((category, symbol))
        if held is None or held.key != key:
            held = _Held(key=key, price=Decimal(price_text(market.instrument, price)))
            self._held[category, symbol] = held
        return market, held, at_ms


def _side(side: Side) -> list[Level]:
    return [(Decimal(price), Decimal(qty)) for price, qty in side.levels.items()]
