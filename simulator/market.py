"""One symbol's live market: price, candles, trades and book at a moment, all derived from the process.

Nothing here knows the time: the caller says which moment it asks about. Only two things are state, both set by the
control API of tests: price jumps and the depth factor.
"""

import uuid
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from simulator.book import Book, book_around
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
JUMPS_MAX = 1_000
"""Most price jumps in one run."""
PRICE_TICKS_MIN = 1_000
"""A jump may not leave a price below this many ticks: the book needs room below it."""
PRICE_MAX = 10_000_000.0
"""A jump may not leave a price above this, in USDT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One public trade."""

    trade_id: str
    at_ms: int
    price: float
    qty: float
    buy: bool
    """Whether the taker bought."""


class SymbolMarket:
    """The live market of one symbol."""

    def __init__(self, *, instrument: Instrument, seed: int) -> None:
        self.instrument = instrument
        self._key = f"{seed}:{instrument.symbol}"
        self._process = MarketProcess(instrument=instrument, seed=seed, origin_ms=LIVE_ORIGIN_MS)
        self._jump_times: list[int] = []
        self._jump_factors: list[float] = [1.0]
        self.depth_factor = 1.0
        # Derived values only: an hour of seconds and the served history, with some to spare.
        self._slots = lru_cache(maxsize=8)(self._process.slots)
        self._minutes = lru_cache(maxsize=48)(self._process.minutes)
        self._hour_bar = lru_cache(maxsize=HISTORY_HOURS + 100)(self._process.bar)

    def jump(self, factor: float, at_ms: int) -> None:
        """Multiply the price by `factor` from a moment on; ValueError when the result is out of range."""
        if len(self._jump_times) >= JUMPS_MAX:
            raise ValueError(f"at most {JUMPS_MAX} price jumps in one run")
        price = self.price(at_ms) * factor
        if not PRICE_TICKS_MIN * float(self.instrument.tick_size) <= price <= PRICE_MAX:
            raise ValueError(f"the factor would bring the price to {price:.4f}, which is out of range")
        # Times must rise for the search in _factor; two jumps in one millisecond are told apart by one.
        earliest = self._jump_times[-1] + 1 if self._jump_times else at_ms
        self._jump_times.append(max(at_ms, earliest))
        self._jump_factors.append(self._jump_factors[-1] * factor)

    def price(self, at_ms: int) -> float:
        """The last traded price in USDT."""
        index, minute, slot = _place(at_ms)
        return self._scaled(self._slots(index, minute)[slot], at_ms)

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
        if closed and interval_ms >= HOUR_MS and not self._jumped(opens_ms, opens_ms + interval_ms):
            first = (opens_ms - LIVE_ORIGIN_MS) // HOUR_MS
            bars = [self._hour_bar(index) for index in range(first, first + interval_ms // HOUR_MS)]
            return self._scaled_bar(aggregate(bars), interval_ms)
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
        return self._scaled_bar(bar, MINUTE_MS)

    def _scaled_bar(self, bar: Bar, interval_ms: int) -> Bar:
        if not self._jump_times:
            return bar
        last_ms = bar.open_time_ms + interval_ms - 1
        opening, close = self._scaled(bar.open, bar.open_time_ms), self._scaled(bar.close, last_ms)
        return Bar(
            open_time_ms=bar.open_time_ms,
            open=opening,
            high=max(opening, close, self._scaled(bar.high, last_ms)),
            low=min(opening, close, self._scaled(bar.low, last_ms)),
            close=close,
            volume=bar.volume,
        )

    def _scaled(self, price: float, at_ms: int) -> float:
        if not self._jump_times:
            return price
        factor = self._jump_factors[bisect_right(self._jump_times, at_ms)]
        tick = float(self.instrument.tick_size)
        return round(round(price * factor / tick) * tick, self.instrument.tick_digits)

    def _jumped(self, from_ms: int, to_ms: int) -> bool:
        return bisect_right(self._jump_times, from_ms) != bisect_right(self._jump_times, to_ms - 1)


def _place(at_ms: int) -> tuple[int, int, int]:
    """Hour, minute and slot of a moment."""
    index, within_ms = divmod(at_ms - LIVE_ORIGIN_MS, HOUR_MS)
    minute, slot_ms = divmod(within_ms, MINUTE_MS)
    return index, minute % MINUTES_PER_HOUR, slot_ms // SLOT_MS
