"""Price jumps that tests order: from a moment on, everything quoted is multiplied by a factor."""

from bisect import bisect_right

from simulator.process import Bar
from simulator.symbols import Instrument

JUMPS_MAX = 1_000
"""Most price jumps in one run."""
PRICE_TICKS_MIN = 1_000
"""A jump may not leave a price below this many ticks: the book needs room below it."""
PRICE_MAX = 10_000_000.0
"""A jump may not leave a price above this, in USDT."""


class Jumps:
    """The jumps of one symbol, and prices and candles as they are after them."""

    def __init__(self, instrument: Instrument) -> None:
        self._tick = float(instrument.tick_size)
        self._digits = instrument.tick_digits
        self._times: list[int] = []
        self._factors: list[float] = [1.0]

    def add(self, factor: float, at_ms: int, *, price: float) -> None:
        """Multiply what is quoted by `factor` from a moment at which it is `price`; ValueError when out of range."""
        if len(self._times) >= JUMPS_MAX:
            raise ValueError(f"at most {JUMPS_MAX} price jumps in one run")
        jumped = price * factor
        if not PRICE_TICKS_MIN * self._tick <= jumped <= PRICE_MAX:
            raise ValueError(f"the factor would bring the price to {jumped:.4f}, which is out of range")
        # Times must rise for the search; two jumps in one millisecond are told apart by one.
        earliest = self._times[-1] + 1 if self._times else at_ms
        self._times.append(max(at_ms, earliest))
        self._factors.append(self._factors[-1] * factor)

    def price(self, price: float, at_ms: int) -> float:
        """A price of the undisturbed market as it is quoted at a moment."""
        if not self._times:
            return price
        factor = self._factors[bisect_right(self._times, at_ms)]
        return round(round(price * factor / self._tick) * self._tick, self._digits)

    def bar(self, bar: Bar, interval_ms: int) -> Bar:
        """A candle of the undisturbed market as it is told."""
        if not self._times:
            return bar
        last_ms = bar.open_time_ms + interval_ms - 1
        opening, close = self.price(bar.open, bar.open_time_ms), self.price(bar.close, last_ms)
        return Bar(
            open_time_ms=bar.open_time_ms,
            open=opening,
            high=max(opening, close, self.price(bar.high, last_ms)),
            low=min(opening, close, self.price(bar.low, last_ms)),
            close=close,
            volume=bar.volume,
        )

    def between(self, from_ms: int, to_ms: int) -> bool:
        """Whether the price jumped in a stretch of time, its end excluded."""
        return bisect_right(self._times, from_ms) != bisect_right(self._times, to_ms - 1)
