"""One symbol's live market: price, candles, trades and book at a moment, all derived from the process.

Nothing here knows the time: the caller says which moment it asks about. Only two things are state, both set by the
control API of tests: price jumps and the depth factor.
"""

import uuid
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Protocol

from simulator.book import Book, book_around
from simulator.jumps import Jumps
from simulator.process import (
    HOUR_MS,
    MINUTE_MS,
    MINUTES_PER_HOUR,
    SLOT_MS,
    SLOTS_PER_MINUTE,
    Bar,
    MarketProcess,
    aggregate,
)
from simulator.symbols import Instrument

LIVE_ORIGIN_MS = 1_788_220_800_000
"""2026-09-01T00:00Z, where the served market has its start prices. Fixed: a restart continues the same prices."""
HISTORY_HOURS = 2_000
"""How far back candles are served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One public trade."""

    trade_id: str
    at_ms: int
    price: float
    qty: float
    buy: bool
    """Whether the taker bought."""


class Market(Protocol):
    """One symbol of one category, as everything that serves or trades it sees it."""

    @property
    def instrument(self) -> Instrument:
        """What is traded."""
        ...

    depth_factor: float
    """Scales the book; 1 is usual, 0 empties it."""

    def jump(self, factor: float, at_ms: int) -> None:
        """Multiply the price by `factor` from a moment on; ValueError when the result is out of range."""
        ...

    def price(self, at_ms: int) -> float:
        """The last traded price in USDT."""
        ...

    def book(self, at_ms: int, levels: int) -> Book:
        """The resting orders."""
        ...

    def candles(self, *, interval_minutes: int, first_ms: int, last_ms: int, at_ms: int) -> list[Bar]:
        """Candles that open from `first_ms` to `last_ms`, oldest first; the open one is as it stands at `at_ms`."""
        ...

    def trades(self, *, after_ms: int, at_ms: int) -> list[Trade]:
        """Trades after one moment up to another, oldest first."""
        ...


class _Drawn:
    """What the process of one symbol draws, kept: an hour of seconds and the served history, with some to spare."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        process = MarketProcess(instrument=instrument, seed=seed, origin_ms=LIVE_ORIGIN_MS)
        self.slots = lru_cache(maxsize=8)(process.slots)
        self.minutes = lru_cache(maxsize=48)(process.minutes)
        self.hour_bar = lru_cache(maxsize=HISTORY_HOURS + 100)(process.bar)


_drawn = lru_cache(maxsize=64)(_Drawn)
"""Shared by all markets of one seed: an exchange that is made anew in the same process need not draw again."""


class SymbolMarket:
    """The live market of one symbol, drawn from a seed."""

    def __init__(self, *, instrument: Instrument, seed: int) -> None:
        self.instrument = instrument
        self._key = f"{seed}:{instrument.symbol}"
        self._jumps = Jumps(instrument)
        self.depth_factor = 1.0
        drawn = _drawn(instrument, seed)
        self._slots, self._minutes, self._hour_bar = drawn.slots, drawn.minutes, drawn.hour_bar

    def jump(self, factor: float, at_ms: int) -> None:
        """Multiply the price by `factor` from a moment on; ValueError when the result is out of range."""
        self._jumps.add(factor, at_ms, price=self.price(at_ms))

    def price(self, at_ms: int) -> float:
        """The last traded price in USDT."""
        index, minute, slot = _place(at_ms)
        return self._jumps.price(self._slots(index, minute)[slot], at_ms)

    def book(self, at_ms: int, levels: int) -> Book:
        """The resting orders."""
        return book_around(
            instrument=self.instrument,
            mid=self.price(at_ms),
            at_ms=at_ms,
            levels=levels,
            depth_factor=self.depth_factor,
        )

    def candles(self, *, interval_minutes: int, first_ms: int, last_ms: int, at_ms: int) -> list[Bar]:
        """Candles that open from `first_ms` to `last_ms`, oldest first; the open one is as it stands at `at_ms`."""
        interval_ms = interval_minutes * MINUTE_MS
        earliest = max(LIVE_ORIGIN_MS, (at_ms // HOUR_MS - HISTORY_HOURS) * HOUR_MS, first_ms)
        start = -(-earliest // interval_ms) * interval_ms
        end = min(last_ms, at_ms)
        return [self._candle(opens_ms, interval_ms, at_ms) for opens_ms in range(start, end + 1, interval_ms)]

    def trades(self, *, after_ms: int, at_ms: int) -> list[Trade]:
        """Trades after one moment up to another, oldest first: one in each slot."""
        first = after_ms // SLOT_MS + 1
        return [self._trade(slot) for slot in range(first, at_ms // SLOT_MS + 1)]

    def _trade(self, slot_number: int) -> Trade:
        at_ms = slot_number * SLOT_MS
        price = self.price(at_ms)
        index, minute, _ = _place(at_ms)
        random = Random(f"{self._key}:trade:{slot_number}")
        step = float(self.instrument.qty_step)
        typical_steps = self._minutes(index)[minute].volume / SLOTS_PER_MINUTE / step
        return Trade(
            trade_id=str(uuid.UUID(int=random.getrandbits(128), version=4)),
            at_ms=at_ms,
            price=price,
            qty=max(1, int(2.0 * random.random() * typical_steps)) * step,
            buy=price > self.price(at_ms - SLOT_MS),
        )

    def _candle(self, opens_ms: int, interval_ms: int, at_ms: int) -> Bar:
        closed = opens_ms + interval_ms <= at_ms
        if closed and interval_ms >= HOUR_MS and not self._jumps.between(opens_ms, opens_ms + interval_ms):
            first = (opens_ms - LIVE_ORIGIN_MS) // HOUR_MS
            bars = [self._hour_bar(index) for index in range(first, first + interval_ms // HOUR_MS)]
            return self._jumps.bar(aggregate(bars), interval_ms)
        last_ms = min(opens_ms + interval_ms - 1, at_ms)
        return aggregate([self._minute(start, at_ms) for start in range(opens_ms, last_ms + 1, MINUTE_MS)])

    def _minute(self, opens_ms: int, at_ms: int) -> Bar:
        """A minute, in full or as far as it has come."""
        index, minute, _ = _place(opens_ms)
        bar = self._minutes(index)[minute]
        if at_ms < opens_ms + MINUTE_MS:
            slots = self._slots(index, minute)[: (at_ms - opens_ms) // SLOT_MS + 1]
            bar = Bar(
                open_time_ms=opens_ms,
                open=bar.open,
                high=max(bar.open, *slots),
                low=min(bar.open, *slots),
                close=slots[-1],
                volume=round(bar.volume * len(slots) / SLOTS_PER_MINUTE, self.instrument.qty_decimals),
            )
        return self._jumps.bar(bar, MINUTE_MS)


def _place(at_ms: int) -> tuple[int, int, int]:
    """Hour, minute and slot of a moment."""
    index, within_ms = divmod(at_ms - LIVE_ORIGIN_MS, HOUR_MS)
    minute, slot_ms = divmod(within_ms, MINUTE_MS)
    return index, minute % MINUTES_PER_HOUR, slot_ms // SLOT_MS
