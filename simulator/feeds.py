"""The public topics: what each one tells a new subscriber, and what it pushes as the market moves.

A feed lives as long as someone listens to its topic. It is asked in rising order of time and knows no clock.
"""

from typing import Protocol

from simulator.book import Book, Side
from simulator.exchange import INTERVALS, Exchange
from simulator.market import Market
from simulator.process import MINUTE_MS, SLOT_MS
from simulator.shapes import Json, book_levels, kline_push, ticker, trade_push
from simulator.shapes_spot import spot_ticker, spot_trade_push

SILENCE_MS = 3_000
"""A level-1 book that did not change is sent again after this long, with the same update id."""
KLINE_PUSH_MS = 1_000
CATCH_UP_MS = 5_000
"""After a freeze, trades no older than this are told."""


class Feed(Protocol):
    """One topic."""

    def opening(self, at_ms: int) -> list[Json]:
        """What a new subscriber is told."""
        ...

    def due(self, at_ms: int) -> list[Json]:
        """What every subscriber is told now; empty when nothing changed."""
        ...


def feed_for(topic: str, exchange: Exchange, at_ms: int, category: str = "linear") -> Feed | None:
    """The feed of a topic such as "orderbook.50.BTCUSDT"; None when the category has no such topic."""
    name, _, rest = topic.partition(".")
    argument, _, symbol = rest.rpartition(".")
    market = exchange.listed(category).get(symbol)
    if market is None:
        return None
    feed: Feed | None = None
    match (name, argument):
        case ("orderbook", "1"):
            feed = TopFeed(topic, market, at_ms)
        case ("orderbook", "50"):
            feed = BookFeed(topic, market, at_ms)
        case ("tickers", "") if category == "spot":
            feed = SpotTickerFeed(topic, market, exchange, at_ms)
        case ("tickers", ""):
            feed = TickerFeed(topic, market, exchange, at_ms)
        case ("publicTrade", ""):
            feed = TradeFeed(topic, market, at_ms)
        case ("kline", _) if argument in INTERVALS:
            feed = KlineFeed(topic, market, argument, at_ms)
    return feed


class BookFeed:
    """orderbook.50: a snapshot, then deltas in which the quantity "0" removes a level; u rises by one each time."""

    depth = 50

    def __init__(self, topic: str, market: Market, at_ms: int) -> None:
        self._topic = topic
        self._market = market
        self._book = market.book(at_ms, self.depth)
        # Seeded by time: a feed that is made anew goes on above the ids of the one before.
        self._update_id = max(2, at_ms // SLOT_MS)

    def opening(self, at_ms: int) -> list[Json]:
        """The book as the other subscribers have it."""
        return [self._message("snapshot", self._book, at_ms)]

    def due(self, at_ms: int) -> list[Json]:
        """The levels that changed."""
        before, self._book = self._book, self._market.book(at_ms, self.depth)
        changes = Book(bids=_changes(before.bids, self._book.bids), asks=_changes(before.asks, self._book.asks))
        if not changes.bids.levels and not changes.asks.levels:
            return []
        self._update_id += 1
        return [self._message("delta", changes, at_ms)]

    def restart(self, at_ms: int) -> list[Json]:
        """What Bybit sends after a restart of its service: a snapshot with u = 1, from which ids rise again."""
        self._book = self._market.book(at_ms, self.depth)
        self._update_id = 1
        return [self._message("snapshot", self._book, at_ms)]

    def _message(self, kind: str, book: Book, at_ms: int) -> Json:
        return {
            "topic": self._topic,
            "type": kind,
            "ts": at_ms,
            "data": {
                "s": self._market.instrument.symbol,
                "b": book_levels(book.bids),
                "a": book_levels(book.asks),
                "u": self._update_id,
                "seq": at_ms,
            },
            # When the matching engine made this book: the slot that the process was in.
            "cts": at_ms // SLOT_MS * SLOT_MS,
        }


class TopFeed(BookFeed):
    """orderbook.1: snapshots only; an unchanged one is repeated after SILENCE_MS with the same u."""

    depth = 1

    def __init__(self, topic: str, market: Market, at_ms: int) -> None:
        super().__init__(topic, market, at_ms)
        self._sent_ms = at_ms

    def due(self, at_ms: int) -> list[Json]:
        """The new top of the book, or the old one after a silence."""
        changed = bool(super().due(at_ms))
        if not changed and at_ms - self._sent_ms < SILENCE_MS:
            return []
        self._sent_ms = at_ms
        return self.opening(at_ms)


class TickerFeed:
    """tickers: a snapshot, then the fields that changed."""

    def __init__(self, topic: str, market: Market, exchange: Exchange, at_ms: int) -> None:
        self._topic = topic
        self._market = market
        self._exchange = exchange
        self._fields = self._now(at_ms)

    def opening(self, at_ms: int) -> list[Json]:
        """All fields, as the other subscribers have them."""
        return [self._message("snapshot", self._fields, at_ms)]

    def due(self, at_ms: int) -> list[Json]:
        """The changed fields."""
        fields = self._now(at_ms)
        changed = {name: value for name, value in fields.items() if value != self._fields[name]}
        self._fields = fields
        if not changed:
            return []
        return [self._message("delta", {"symbol": self._market.instrument.symbol, **changed}, at_ms)]

    def _now(self, at_ms: int) -> dict[str, Json]:
        return ticker(self._market, self._exchange.day(self._market.instrument.symbol), at_ms)

    def _message(self, kind: str, fields: dict[str, Json], at_ms: int) -> Json:
        return {"topic": self._topic, "type": kind, "data": fields, "cs": at_ms, "ts": at_ms}


class SpotTickerFeed:
    """tickers of spot: all fields, whenever one changed; snapshots only."""

    def __init__(self, topic: str, market: Market, exchange: Exchange, at_ms: int) -> None:
        self._topic = topic
        self._market = market
        self._exchange = exchange
        self._fields = self._now(at_ms)

    def opening(self, at_ms: int) -> list[Json]:
        """All fields, as the other subscribers have them."""
        return [{"topic": self._topic, "ts": at_ms, "type": "snapshot", "cs": at_ms, "data": self._fields}]

    def due(self, at_ms: int) -> list[Json]:
        """All fields, when one of them changed."""
        before, self._fields = self._fields, self._now(at_ms)
        return self.opening(at_ms) if before != self._fields else []

    def _now(self, at_ms: int) -> dict[str, Json]:
        return spot_ticker(self._market, self._exchange.day(self._market.instrument.symbol, "spot"), at_ms)


class TradeFeed:
    """publicTrade: the trades since the last push."""

    def __init__(self, topic: str, market: Market, at_ms: int) -> None:
        self._topic = topic
        self._market = market
        self._told_ms = at_ms

    def opening(self, at_ms: int) -> list[Json]:  # noqa: ARG002 - trades have no snapshot
        """Nothing: past trades are for REST."""
        return []

    def due(self, at_ms: int) -> list[Json]:
        """One message with all new trades."""
        trades = self._market.trades(after_ms=max(self._told_ms, at_ms - CATCH_UP_MS), at_ms=at_ms)
        self._told_ms = at_ms
        if not trades:
            return []
        instrument = self._market.instrument
        row = spot_trade_push if instrument.category == "spot" else trade_push
        rows: list[Json] = [row(instrument, trade) for trade in trades]
        return [{"topic": self._topic, "type": "snapshot", "ts": at_ms, "data": rows}]


class KlineFeed:
    """kline: the open candle about once a second, and each closed one with confirm = true."""

    def __init__(self, topic: str, market: Market, interval: str, at_ms: int) -> None:
        self._topic = topic
        self._market = market
        self._interval = interval
        self._minutes = INTERVALS[interval]
        self._told_ms = at_ms

    def opening(self, at_ms: int) -> list[Json]:
        """The open candle."""
        return self._messages(at_ms, at_ms)

    def due(self, at_ms: int) -> list[Json]:
        """The candles that closed since the last push, and the open one."""
        span_ms = self._minutes * MINUTE_MS
        rolled = at_ms // span_ms != self._told_ms // span_ms
        if not rolled and at_ms - self._told_ms < KLINE_PUSH_MS:
            return []
        messages = self._messages(self._told_ms, at_ms)
        self._told_ms = at_ms
        return messages

    def _messages(self, from_ms: int, at_ms: int) -> list[Json]:
        span_ms = self._minutes * MINUTE_MS
        bars = self._market.candles(
            interval_minutes=self._minutes, first_ms=from_ms // span_ms * span_ms, last_ms=at_ms, at_ms=at_ms
        )
        rows: list[Json] = [
            kline_push(
                self._market.instrument,
                bar,
                interval_minutes=self._minutes,
                interval=self._interval,
                now_ms=at_ms,
            )
            for bar in bars
        ]
        return [{"topic": self._topic, "data": rows, "ts": at_ms, "type": "snapshot"}]


def _changes(before: Side, after: Side) -> Side:
    """The levels to set, and with quantity "0" those to remove."""
    changed = {price: qty for price, qty in after.levels.items() if before.levels.get(price) != qty}
    removed = {price: "0" for price in before.levels if price not in after.levels}
    return Side(levels=removed | changed)
