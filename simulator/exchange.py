"""The exchange as its servers see it: the clock and the listed markets."""

from collections.abc import Mapping, Sequence

from simulator.clock import MarketClock
from simulator.market import LIVE_ORIGIN_MS, Market, SymbolMarket
from simulator.process import HOUR_MS
from simulator.replay import Replay
from simulator.shapes import Day, day_of
from simulator.spot_market import SpotMarket
from simulator.symbols import INSTRUMENTS, SPOT_INSTRUMENTS

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
CATEGORIES = ("linear", "spot")
UNTRADED = ("inverse", "option")
"""Bybit's other categories, in which nothing is listed here."""
DAY_HOLD_MS = 5_000
"""How long the 24-hour figures are reused."""


class Exchange:
    """What is listed, and the moment that the market is at."""

    def __init__(self, *, seed: int, symbols: Sequence[str], clock: MarketClock, replay: Replay | None = None) -> None:
        """`replay` takes the place of the seeded market of its symbol; ValueError when that is not listed."""
        replayed = None if replay is None else replay.symbol
        if replayed is not None and replayed not in symbols:
            raise ValueError(f"the replayed symbol {replayed} must be one of {', '.join(symbols)}")
        seeded = [symbol for symbol in symbols if symbol != replayed]
        if seeded and clock.now_ms() < LIVE_ORIGIN_MS + HISTORY_HOURS_MIN * HOUR_MS:
            raise ValueError("the clock of this machine is before 2026-10-13, where the market has no history: set it")
        self.clock = clock
        self.markets: dict[str, Market] = {
            symbol: SymbolMarket(instrument=INSTRUMENTS[symbol], seed=seed)
            if replay is None or symbol != replayed
            else replay.market(INSTRUMENTS[symbol], clock.now_ms())
            for symbol in symbols
        }
        """The linear perpetuals, by symbol."""
        self.spot: dict[str, Market] = {
            symbol: SpotMarket(instrument=SPOT_INSTRUMENTS[symbol], perpetual=market)
            for symbol, market in self.markets.items()
        }
        """The spot pairs, by symbol."""
        self._days: dict[tuple[str, str], tuple[int, Day]] = {}

    def listed(self, category: str) -> Mapping[str, Market]:
        """What is traded in a category, by symbol; empty for categories that are not simulated."""
        return {"linear": self.markets, "spot": self.spot}.get(category, {})

    def day(self, symbol: str, category: str = "linear") -> Day:
        """The last 24 hours, at most DAY_HOLD_MS old."""
        at_ms = self.clock.market_ms()
        held = self._days.get((category, symbol))
        if held is None or not 0 <= at_ms - held[0] < DAY_HOLD_MS:
            held = (at_ms, day_of(self.listed(category)[symbol], at_ms))
            self._days[category, symbol] = held
        return held[1]
