"""The simulated market as a pure function of (seed, symbol, origin): no input, no output, no clock.

The process, hour by hour, with c the hourly closes:

    mom_20  = 100 * (c[t] / c[t-20] - 1)                  in percent; 0 while there are fewer than 20 closes
    P(up)   = 0.5 + EDGE * tanh(mom_20 / MOMENTUM_SCALE_PERCENT)
    sigma   = REGIME_SIGMAS[regime] * the symbol's factor  hourly standard deviation, a Markov chain of three regimes
    size    = |z| * sigma, z standard normal              independent of the direction
    return  = +size * sqrt((1 - p) / p)   with probability p = P(up)
              -size * sqrt(p / (1 - p))   with probability 1 - p
    c[t+1]  = c[t] * (1 + return), rounded to the tick, and moved by at least one tick in the drawn direction

So the likely direction moves less and the unlikely one more, such that the mean return is zero whatever mom_20 is and
the variance is sigma squared: the price is a martingale (up to rounding). The DIRECTION can be forecast, the profit
cannot: a model may honestly reach a hit rate of 0.5 + EDGE, earn nothing before costs, and lose the costs after them.

EDGE holds in every hour unless the market is made with `edge_changes`: from each named hour on, another edge holds. A
negative one turns the market round: what momentum said before, it now says wrongly. So is drift made on purpose. The
hours before the first change, and everything drawn but the direction, are those of the market without changes.

Inside an hour the price walks in 60 minutes along a bridge that ends at the drawn close; a minute has its own high and
low and walks in SLOTS_PER_MINUTE slots. Hours, minutes and slots agree with each other: a long bar is exactly the
aggregate of its shorter ones.

Every number comes from random.Random seeded by text (seed, symbol, origin and place), so a run repeats byte for byte.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from random import Random

from simulator.symbols import Instrument

EDGE = 0.22
"""How far P(up) leaves one half when momentum is strong: THE parameter of predictability, 0 (none) to below 0.5."""
MOMENTUM_SCALE_PERCENT = 0.4
"""mom_20 in percent at which tanh reaches 0.76; from twice that on the edge is as good as full."""
MOMENTUM_BARS = 20
REGIME_SIGMAS = (0.0050, 0.0062, 0.0080)
"""Hourly standard deviation of returns (fractions) in the calm, the usual and the wild regime."""
REGIME_CHANGE_PROBABILITY = 0.02
"""Chance in each hour to move to another regime: a regime lasts about two days."""
INTRAHOUR_NOISE = 0.6
"""Standard deviation of the bridge's free part over an hour, as a multiple of sigma."""

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
MINUTES_PER_HOUR = 60
SLOTS_PER_MINUTE = 240
SLOT_MS = MINUTE_MS // SLOTS_PER_MINUTE
UNIFORM_TO_UNIT_VARIANCE = math.sqrt(12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One candle. Prices in USDT on the tick, volume in the base coin."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What is drawn for one hour before its inside is filled in."""

    index: int
    """Hours since the origin of the process."""
    open: float
    close: float
    sigma: float
    volume: float


class MarketProcess:
    """The hours of one symbol, drawn in order and kept; their insides are computed when asked for.

    `origin_ms` (a whole hour, Unix milliseconds) is where the start price stands; another origin is another market.
    `edge_changes` are pairs of an hour's index, rising, and the edge that holds from it on. ValueError when an argument
    is outside its range.
    """

    def __init__(
        self, *, instrument: Instrument, seed: int, origin_ms: int, edge_changes: Sequence[tuple[int, float]] = ()
    ) -> None:
        if origin_ms % HOUR_MS:
            raise ValueError(f"origin_ms must be a whole hour, got {origin_ms}")
        if any(not -0.5 < edge < 0.5 for _, edge in edge_changes):  # noqa: PLR2004 - else P(up) leaves 0 to 1
            raise ValueError(f"an edge must lie between -0.5 and 0.5, got {edge_changes}")
        if any(later[0] <= earlier[0] for earlier, later in pairwise(edge_changes)):
            raise ValueError(f"the hours of edge_changes must rise, got {edge_changes}")
        self.instrument = instrument
        self.origin_ms = origin_ms
        self._key = f"{seed}:{instrument.symbol}:{origin_ms}"
        self._random = Random(self._key)
        self._regime = 1
        self._edge_changes = tuple(edge_changes)
        self._hours: list[Hour] = []

    def hour(self, index: int) -> Hour:
        """The hour that opens `index` hours after the origin; draws all hours up to it on first use."""
        if index < 0:
            raise ValueError(f"no hour before the origin, got index {index}")
        while len(self._hours) <= index:
            self._hours.append(self._draw_next())
        return self._hours[index]

    def minutes(self, index: int) -> list[Bar]:
        """The 60 one-minute bars of an hour."""
        hour = self.hour(index)
        return list(_minutes(hour, self.instrument, self.origin_ms, Random(f"{self._key}:{index}")))

    def slots(self, index: int, minute: int) -> list[float]:
        """The price in each slot of one minute; the last one is the minute's close, all within its low and high."""
        bar = self.minutes(index)[minute]
        return minute_slots(bar, self.instrument.tick_digits, Random(f"{self._key}:{index}:{minute}"))

    def bar(self, index: int) -> Bar:
        """The hourly bar: equal to the aggregate of its minutes, without making them."""
        hour = self.hour(index)
        digits, tick = self.instrument.tick_digits, float(self.instrument.tick_size)
        shape = _shape(hour, Random(f"{self._key}:{index}"))
        return Bar(
            open_time_ms=self.origin_ms + index * HOUR_MS,
            open=hour.open,
            high=max(round(max(shape.highs), digits), tick),
            low=max(round(min(shape.lows), digits), tick),
            close=hour.close,
            volume=round(hour.volume, self.instrument.qty_decimals),
        )

    def _draw_next(self) -> Hour:
        instrument, random = self.instrument, self._random
        if random.random() < REGIME_CHANGE_PROBABILITY:
            self._regime = (self._regime + random.choice((1, 2))) % len(REGIME_SIGMAS)
        opening = self._hours[-1].close if self._hours else instrument.start_price
        sigma = REGIME_SIGMAS[self._regime] * instrument.volatility_factor
        probability = probability_up(self._momentum_percent(), self._edge(len(self._hours)))
        up = random.random() < probability
        size = abs(random.gauss(0.0, 1.0)) * sigma
        move = directed_return(size, probability, up=up)
        volume = instrument.hourly_volume * math.exp(0.4 * random.gauss(0.0, 1.0)) * (0.5 + size / sigma)
        return Hour(
            index=len(self._hours),
            open=opening,
            close=_next_close(opening, move, float(instrument.tick_size), instrument.tick_digits),
            sigma=sigma,
            volume=volume,
        )

    def _edge(self, index: int) -> float:
        """The edge that holds in the hour `index`: that of the newest change."""
        return next((edge for first, edge in reversed(self._edge_changes) if first <= index), EDGE)

    def _momentum_percent(self) -> float:
        if len(self._hours) <= MOMENTUM_BARS:
            return 0.0
        return 100.0 * (self._hours[-1].close / self._hours[-1 - MOMENTUM_BARS].close - 1.0)


def probability_up(mom_20_percent: float, edge: float = EDGE) -> float:
    """The true probability that the next hourly close is higher, given mom_20 in percent."""
    return 0.5 + edge * math.tanh(mom_20_percent / MOMENTUM_SCALE_PERCENT)


def directed_return(size: float, probability: float, *, up: bool) -> float:
    """The signed return (a fraction) for a drawn size, such that its mean over both directions is zero."""
    if up:
        return size * math.sqrt((1.0 - probability) / probability)
    # A fall of more than nine tenths in an hour is cut off: it needs a draw beyond 70 sigma, and keeps prices positive.
    return -min(size * math.sqrt(probability / (1.0 - probability)), 0.9)


def aggregate(bars: Sequence[Bar]) -> Bar:
    """One bar from consecutive shorter ones (at least one)."""
    return Bar(
        open_time_ms=bars[0].open_time_ms,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=sum(bar.volume for bar in bars),
    )


def minute_slots(bar: Bar, tick_digits: int, random: Random) -> list[float]:
    """A walk through one minute: touches its high and its low once each and ends at its close."""
    width = (bar.high - bar.low) / 2.0
    walk = _bridge(bar.open, bar.close, SLOTS_PER_MINUTE, width, random)
    prices = [round(min(max(price, bar.low), bar.high), tick_digits) for price in walk]
    high_slot, low_slot = random.sample(range(SLOTS_PER_MINUTE - 1), 2)
    prices[high_slot] = bar.high
    prices[low_slot] = bar.low
    return prices


def _next_close(opening: float, move: float, tick: float, tick_digits: int) -> float:
    """The close on the tick, at least one tick away in the direction of `move`, and never below one tick."""
    close = round(round(opening * (1.0 + move) / tick) * tick, tick_digits)
    if close == opening:
        close = round(opening + math.copysign(tick, move), tick_digits)
    return max(close, tick)


def _bridge(start: float, end: float, steps: int, width: float, random: Random) -> list[float]:
    """A random walk of `steps` points after `start`, tied down to finish at `end`; free deviation about `width`."""
    scale = width * UNIFORM_TO_UNIT_VARIANCE / math.sqrt(steps)
    draw = random.random
    total = 0.0
    walk = [total := total + (draw() - 0.5) for _ in range(steps)]
    drift = (end - start) / steps - total * scale / steps
    return [start + place * scale + drift * step for step, place in enumerate(walk, start=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """The unrounded minutes of one hour; rounding keeps order, so it may come last."""

    closes: list[float]
    highs: list[float]
    lows: list[float]


def _shape(hour: Hour, random: Random) -> _Shape:
    closes = _bridge(hour.open, hour.close, MINUTES_PER_HOUR, hour.open * hour.sigma * INTRAHOUR_NOISE, random)
    closes[-1] = hour.close
    reach = hour.open * hour.sigma / math.sqrt(MINUTES_PER_HOUR)
    draw = random.random
    opens = [hour.open, *closes[:-1]]
    highs = [max(a, b) + reach * draw() for a, b in zip(opens, closes, strict=True)]
    lows = [min(a, b) - reach * draw() for a, b in zip(opens, closes, strict=True)]
    return _Shape(closes=closes, highs=highs, lows=lows)


def _minutes(hour: Hour, instrument: Instrument, origin_ms: int, random: Random) -> Iterator[Bar]:
    digits, tick = instrument.tick_digits, float(instrument.tick_size)
    shape = _shape(hour, random)
    shares = list(accumulate(0.5 + random.random() for _ in range(MINUTES_PER_HOUR)))
    # Differences of a rounded running total: the minutes add up to the hour's volume to the last digit.
    totals = [round(hour.volume * share / shares[-1], instrument.qty_decimals) for share in shares]
    opening, traded = hour.open, 0.0
    for minute, total in enumerate(totals):
        close = max(round(shape.closes[minute], digits), tick)
        yield Bar(
            open_time_ms=origin_ms + hour.index * HOUR_MS + minute * MINUTE_MS,
            open=opening,
            high=max(round(shape.highs[minute], digits), tick),
            low=max(round(shape.lows[minute], digits), tick),
            close=close,
            volume=round(total - traded, instrument.qty_decimals),
        )
        opening, traded = close, total
