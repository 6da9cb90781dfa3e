"""The order book around a price: a pure function of the mid price and the time."""

from dataclasses import dataclass
from random import Random

from simulator.symbols import Instrument

SPREAD_BPS = 1.0
"""Distance of best bid and best ask, before both are moved outwards to the grid of levels."""
LEVEL_SPACING_BPS = 0.2
DEPTH_GROWTH = 0.15
"""How much deeper each level is than the touch: level i holds (1 + DEPTH_GROWTH * i) times as much."""
LEVELS_MAX = 500
TURN_MS = 250
SIZE_HOLD_TURNS = 8
"""A level keeps its size for this many turns; in each turn one level in as many gets a new one."""
WOBBLE_ENTRIES = 1021
"""Length of the table of size factors; a prime, so that levels and times do not beat against each other."""

_WOBBLE = tuple(map(Random("simulator.book").uniform, [0.6] * WOBBLE_ENTRIES, [1.4] * WOBBLE_ENTRIES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a book, best price first: price text to quantity text, as Bybit prints them."""

    levels: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Bids and asks, never crossed; a side is empty only when the depth was scaled to nothing."""

    bids: Side
    asks: Side


def book_around(*, instrument: Instrument, mid: float, at_ms: int, levels: int, depth_factor: float = 1.0) -> Book:
    """The book of `levels` levels a side around `mid` (USDT) at a time (Unix ms)."""
    tick = float(instrument.tick_size)
    mid_ticks = round(mid / tick)
    half = max(1, round(mid_ticks * SPREAD_BPS / 20_000))
    gap = max(1, round(mid_ticks * LEVEL_SPACING_BPS / 10_000))
    best_bid = (mid_ticks - half) // gap
    best_ask = -(-(mid_ticks + half) // gap)
    shape = _Shape(instrument=instrument, gap=gap, turn=at_ms // TURN_MS, depth_factor=depth_factor)
    return Book(bids=shape.side(best_bid, -1, levels), asks=shape.side(best_ask, 1, levels))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    instrument: Instrument
    gap: int
    """Distance of two levels in ticks."""
    turn: int
    depth_factor: float

    def side(self, best: int, direction: int, levels: int) -> Side:
        """Levels from `best` (a multiple of the gap) outwards; those too small for one step are left out."""
        instrument = self.instrument
        tick, step = float(instrument.tick_size), float(instrument.qty_step)
        depth_usd = instrument.touch_depth_usd * self.depth_factor
        side: dict[str, str] = {}
        for place in range(levels):
            level = best + direction * place
            price = level * self.gap * tick
            if price <= 0:
                break
            held = (self.turn + level) // SIZE_HOLD_TURNS
            wobble = _WOBBLE[(level + 7 * held + direction) % WOBBLE_ENTRIES]
            steps = int(depth_usd * (1.0 + DEPTH_GROWTH * place) * wobble / price / step)
            if steps:
                side[f"{price:.{instrument.price_decimals}f}"] = f"{steps * step:.{instrument.qty_decimals}f}"
        return Side(levels=side)
