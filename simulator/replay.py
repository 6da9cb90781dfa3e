"""A market that replays a tape, moved in time to when it is served."""

import uuid
from dataclasses import dataclass
from functools import lru_cache

from simulator.book import Book, book_around
from simulator.jumps import Jumps
from simulator.market import HISTORY_HOURS, Trade
from simulator.process import HOUR_MS, MINUTE_MS, SLOT_MS, Bar, aggregate
from simulator.symbols import Instrument
from simulator.tapes import Tape, TapeTrade

CANDLES_HELD = 4_096
_TRADE_NAMES = uuid.UUID("8a1c3f0e-6f0b-4a53-9a3e-4b2f5d0c7e11")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Which symbol's market is a tape, and where in it the exchange begins."""

    symbol: str
    tape: Tape
    from_ms: int | None = None
    """The moment of the tape that is reached when the exchange starts, Unix milliseconds; what is before it is
    history. None: the tape's beginning."""

    def market(self, instrument: Instrument, start_ms: int) -> "ReplayMarket":
        """The market of an exchange that starts at a time; ValueError when `from_ms` is outside the tape.

        Bars are moved by whole bars, so that they stay the candles that they are: the bar of `from_ms` is the one that
        is open at the start, and the price stands in it as far as the clock does.
        """
        tape, from_ms = self.tape, self.tape.first_ms if self.from_ms is None else self.from_ms
        if not tape.first_ms <= from_ms <= tape.last_ms:
            raise ValueError(f"the replay has {tape.first_ms} to {tape.last_ms}, and cannot begin at {from_ms}")
        shift_ms = start_ms // tape.grid_ms * tape.grid_ms - from_ms // tape.grid_ms * tape.grid_ms
        return ReplayMarket(instrument=instrument, tape=tape, shift_ms=shift_ms)


class ReplayMarket:
    """The market of one symbol, from a tape. Behind the tape's end it stands still: a book, and no trades."""

    def __init__(self, *, instrument: Instrument, tape: Tape, shift_ms: int) -> None:
        self.instrument = instrument
        self.depth_factor = 1.0
        self._tape = tape
        self._shift_ms = shift_ms
        self._jumps = Jumps(instrument)
        self._closed = lru_cache(maxsize=CANDLES_HELD)(self._span)

    def jump(self, factor: float, at_ms: int) -> None:
        """Multiply the price by `factor` from a moment on; ValueError when the result is out of range."""
        self._jumps.add(factor, at_ms, price=self.price(at_ms))

    def price(self, at_ms: int) -> float:
        """The last traded price in USDT."""
        return self._jumps.price(self._tape.price(_slot(at_ms) - self._shift_ms), at_ms)

    def book(self, at_ms: int, levels: int) -> Book:
        """The resting orders: the tape has none, so they are made around the price as in the seeded market."""
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
        # The candle in which the tape begins counts; none before it is known.
        begins = (self._tape.first_ms + self._shift_ms) // interval_ms * interval_ms
        asked = -(-max((at_ms // HOUR_MS - HISTORY_HOURS) * HOUR_MS, first_ms) // interval_ms) * interval_ms
        opens = range(max(begins, asked), min(last_ms, at_ms) + 1, interval_ms)
        return [self._candle(opens_ms, interval_ms, at_ms) for opens_ms in opens]

    def trades(self, *, after_ms: int, at_ms: int) -> list[Trade]:
        """Trades after one moment up to another, oldest first."""
        found = self._tape.trades(_slot(after_ms) - self._shift_ms, _slot(at_ms) - self._shift_ms)
        return [self._trade(trade) for trade in found]

    def _trade(self, trade: TapeTrade) -> Trade:
        at_ms = trade.at_ms + self._shift_ms
        return Trade(
            trade_id=str(uuid.uuid5(_TRADE_NAMES, f"{self.instrument.symbol}:{trade.number}")),
            at_ms=at_ms,
            price=self._jumps.price(trade.price, at_ms),
            qty=trade.qty,
            buy=trade.buy,
        )

    def _candle(self, opens_ms: int, interval_ms: int, at_ms: int) -> Bar:
        last_ms = opens_ms + interval_ms - 1
        if interval_ms > MINUTE_MS and self._jumps.between(opens_ms, min(last_ms, at_ms) + 1):
            minutes = range(opens_ms, min(last_ms, at_ms) + 1, MINUTE_MS)
            return aggregate([self._candle(start, MINUTE_MS, at_ms) for start in minutes])
        bar = self._closed(opens_ms, last_ms) if last_ms < at_ms else self._span(opens_ms, _slot(at_ms))
        return self._jumps.bar(bar, interval_ms)

    def _span(self, first_ms: int, last_ms: int) -> Bar:
        told = self._tape.span(first_ms - self._shift_ms, last_ms - self._shift_ms)
        return Bar(
            open_time_ms=first_ms, open=told.open, high=told.high, low=told.low, close=told.close, volume=told.volume
        )


def _slot(at_ms: int) -> int:
    """The beginning of the slot of a moment: prices move from slot to slot only, as in the seeded market."""
    return at_ms // SLOT_MS * SLOT_MS
