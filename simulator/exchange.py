"""The exchange as its servers see it: the clock and the listed markets."""

from collections.abc import Mapping, Sequence

from simulator.clock import MarketClock
from simulator.market import LIVE_ORIGIN_MS, SymbolMarket
from simulator.process import HOUR_MS
from simulator.shapes import Day, day_of
from simulator.symbols import INSTRUMENTS

HISTORY_HOURS_MIN = 1_000
"""Hours between the origin and now that a client may count on; a clock before that is wrong."""
INTERVALS: Mapping[str, int] = {
    "1": 1,
    "3": 3,
    "5": 5,
    "15": 15,
    "30": 30,
    "60": 60,
    "120": 120,
    "240": 240,
    "360": 360,
    "720": 720,
    "D": 1440,
}
"""Bybit's kline intervals that are served, in minutes."""
DAY_HOLD_MS = 5_000
"""How long the 24-hour figures are reused."""


class Exchange:
    """What is listed, and the moment that the market is at."""

    def __init__(self, *, seed: int, symbols: Sequence[str], clock: MarketClock) -> None:
        if clock.now_ms() < LIVE_ORIGIN_MS + HISTORY_HOURS_MIN * HOUR_MS:
            raise ValueError("the clock of this machine is before 2026-10-13, where the market has no history: set it")
        self.clock = clock
        self.markets = {symbol: SymbolMarket(instrument=INSTRUMENTS[symbol], seed=seed) for symbol in symbols}
        self._days: dict[str, tuple[int, Day]] = {}

    def day(self, symbol: str) -> Day:
        """The last 24 hours, at most DAY_HOLD_MS old."""
        at_ms = self.clock.market_ms()
        held = self._days.get(symbol)
        if held is None or not 0 <= at_ms - held[0] < DAY_HOLD_MS:
            held = (at_ms, day_of(self.markets[symbol], at_ms))
            self._days[symbol] = held
        return held[1]
