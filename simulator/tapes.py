"""Recorded prices that a market can be made of: bars or trades of one symbol, in the time of their file.

A tape is asked about moments of slots (SLOT_MS long) and answers the same whenever it is asked. Where it has nothing
(before its first row, in a gap, behind its last) the price stands still at the last one and nothing is traded.

Inside a bar the price walks in straight lines, a third of the bar each: from the open to the low, to the high and to
the close in a bar that rose or stood, and by way of the high first in one that fell. So a bar touches its high and its
low, ends at its close, and any shorter candle can be cut out of it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from simulator.process import SLOT_MS, Bar
from simulator.symbols import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class TapeTrade:
    """One trade of a tape."""

    number: int
    """Its own within the tape."""
    at_ms: int
    price: float
    qty: float
    buy: bool
    """Whether the taker bought."""


class Tape(Protocol):
    """Recorded prices of one symbol; all times are those of the file, Unix milliseconds."""

    @property
    def first_ms(self) -> int:
        """Where it begins."""
        ...

    @property
    def last_ms(self) -> int:
        """The last moment of which it says something."""
        ...

    @property
    def grid_ms(self) -> int:
        """It may be moved in time by multiples of this."""
        ...

    def price(self, at_ms: int) -> float:
        """The price in the slot that begins at a moment."""
        ...

    def span(self, first_ms: int, last_ms: int) -> Bar:
        """The candle of a stretch of time, both ends included."""
        ...

    def trades(self, after_ms: int, last_ms: int) -> list[TapeTrade]:
        """The trades behind one moment up to another, oldest first."""
        ...


class Grid:
    """The steps of price and quantity that an instrument allows, for numbers that come from elsewhere."""

    def __init__(self, instrument: Instrument) -> None:
        self._tick, self._tick_digits = float(instrument.tick_size), instrument.tick_digits
        self._step, self._qty_digits = float(instrument.qty_step), instrument.qty_decimals

    def price(self, price: float) -> float:
        """The nearest price on a tick."""
        return round(round(price / self._tick) * self._tick, self._tick_digits)

    def qty(self, qty: float) -> float:
        """The nearest quantity on a step; may be 0."""
        return round(round(qty / self._step) * self._step, self._qty_digits)

    def traded(self, qty: float) -> float:
        """The nearest quantity that can have been traded: at least one step."""
        return max(self.qty(qty), self._step)


class BarTape:
    """Bars of one length, in rising order of time and aligned to it; gaps are allowed."""

    def __init__(self, instrument: Instrument, bars: Sequence[Bar], step_ms: int) -> None:
        self._grid = Grid(instrument)
        self._bars = bars
        self._opens = [bar.open_time_ms for bar in bars]
        self._slots = step_ms // SLOT_MS
        self.grid_ms = step_ms

    @property
    def first_ms(self) -> int:
        """Where it begins."""
        return self._opens[0]

    @property
    def last_ms(self) -> int:
        """The last moment of which it says something."""
        return self._opens[-1] + self.grid_ms - 1

    def price(self, at_ms: int) -> float:
        """The price in the slot that begins at a moment."""
        place = bisect_right(self._opens, at_ms) - 1
        if place < 0:
            return self._grid.price(self._bars[0].open)
        slot = min((at_ms - self._opens[place]) // SLOT_MS + 1, self._slots)
        return self._path(self._bars[place], slot)

    def span(self, first_ms: int, last_ms: int) -> Bar:
        """The candle of a stretch of time, both ends included."""
        place = max(bisect_right(self._opens, first_ms) - 1, 0)
        parts = []
        while place < len(self._bars) and self._opens[place] <= last_ms:
            opens_ms = self._opens[place]
            begin = max(first_ms - opens_ms, 0) // SLOT_MS
            end = min((last_ms - opens_ms) // SLOT_MS + 1, self._slots)
            if begin < end:
                parts.append(self._part(self._bars[place], begin, end))
            place += 1
        covered = bool(parts) and parts[0].open_time_ms <= first_ms
        opening = parts[0].open if covered else self.price(first_ms - SLOT_MS)
        prices = [opening, *(price for part in parts for price in (part.high, part.low))]
        return Bar(
            open_time_ms=first_ms,
            open=opening,
            high=max(prices),
            low=min(prices),
            close=parts[-1].close if parts else opening,
            volume=self._grid.qty(sum(part.volume for part in parts)),
        )

    def trades(self, after_ms: int, last_ms: int) -> list[TapeTrade]:
        """One trade in each slot in which the bar's volume, spread over its slots, grew by a step."""
        first = (after_ms // SLOT_MS + 1) * SLOT_MS
        found = (self._trade(at_ms) for at_ms in range(first, last_ms + 1, SLOT_MS))
        return [trade for trade in found if trade is not None]

    def _trade(self, at_ms: int) -> TapeTrade | None:
        place = bisect_right(self._opens, at_ms) - 1
        if place < 0 or at_ms >= self._opens[place] + self.grid_ms:
            return None
        bar, slot = self._bars[place], (at_ms - self._opens[place]) // SLOT_MS
        qty = self._grid.qty(self._volume(bar, slot + 1) - self._volume(bar, slot))
        if not qty:
            return None
        price = self._path(bar, slot + 1)
        return TapeTrade(number=at_ms // SLOT_MS, at_ms=at_ms, price=price, qty=qty, buy=price >= self._path(bar, slot))

    def _part(self, bar: Bar, begin: int, end: int) -> Bar:
        """The candle of some slots of a bar, the last one excluded."""
        first_turn, second_turn = self._slots // 3, 2 * self._slots // 3
        turns = [self._path(bar, slot) for slot in (begin, first_turn, second_turn, end) if begin <= slot <= end]
        return Bar(
            open_time_ms=bar.open_time_ms + begin * SLOT_MS,
            open=turns[0],
            high=max(turns),
            low=min(turns),
            close=turns[-1],
            volume=self._volume(bar, end) - self._volume(bar, begin),
        )

    def _path(self, bar: Bar, slot: int) -> float:
        """Where the price is once so many slots of the bar have passed."""
        rose = bar.close >= bar.open
        corners = (bar.open, bar.low, bar.high, bar.close) if rose else (bar.open, bar.high, bar.low, bar.close)
        side, walked = divmod(3 * slot, self._slots)
        if not walked:
            return self._grid.price(corners[side])
        share = walked / self._slots
        return self._grid.price(corners[side] + (corners[side + 1] - corners[side]) * share)

    def _volume(self, bar: Bar, slot: int) -> float:
        """What was traded once so many slots of the bar have passed: differences add up to the bar's volume."""
        return self._grid.qty(bar.volume * slot / self._slots)


class TradeTape:
    """Trades in rising order of time; the price is that of the last one."""

    grid_ms = 1

    def __init__(self, instrument: Instrument, trades: Sequence[TapeTrade]) -> None:
        self._grid = Grid(instrument)
        self._trades = [
            replace(trade, price=self._grid.price(trade.price), qty=self._grid.traded(trade.qty)) for trade in trades
        ]
        self._times = [trade.at_ms for trade in trades]

    @property
    def first_ms(self) -> int:
        """Where it begins."""
        return self._times[0]

    @property
    def last_ms(self) -> int:
        """The last moment of which it says something."""
        return self._times[-1]

    def price(self, at_ms: int) -> float:
        """The price in the slot that begins at a moment."""
        return self._trades[max(bisect_right(self._times, at_ms) - 1, 0)].price

    def span(self, first_ms: int, last_ms: int) -> Bar:
        """The candle of a stretch of time, both ends included; it opens with its first trade."""
        trades = self._trades[bisect_left(self._times, first_ms) : bisect_right(self._times, last_ms)]
        prices = [trade.price for trade in trades] or [self.price(first_ms)]
        return Bar(
            open_time_ms=first_ms,
            open=prices[0],
            high=max(prices),
            low=min(prices),
            close=prices[-1],
            volume=self._grid.qty(sum(trade.qty for trade in trades)),
        )

    def trades(self, after_ms: int, last_ms: int) -> list[TapeTrade]:
        """The trades behind one moment up to another, oldest first."""
        return self._trades[bisect_right(self._times, after_ms) : bisect_right(self._times, last_ms)]
