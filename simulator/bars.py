"""Bars of the simulated market as CSV: the training and test material, oldest first."""

from collections.abc import Iterator, Sequence
from typing import TextIO

from simulator.process import HOUR_MS, MINUTES_PER_HOUR, Bar, MarketProcess, aggregate
from simulator.symbols import Instrument

HEADER = "open_time_ms,open,high,low,close,volume"
INTERVALS_MINUTES = (1, 5, 15, 30, 60, 240)
BARS_COUNT_MAX = 1_000_000
"""Most bars in one run: 114 years of hours, about a minute of work and 300 MB of memory at the very end."""
BARS_ORIGIN_MS = 1_577_836_800_000
"""2020-01-01T00:00Z. The served market has another origin, so that no training set contains its future."""


def bars(
    *,
    instrument: Instrument,
    interval_minutes: int,
    count: int,
    seed: int,
    origin_ms: int = BARS_ORIGIN_MS,
    edge_changes: Sequence[tuple[int, float]] = (),
) -> Iterator[Bar]:
    """The first `count` bars of a market, oldest first; ValueError when an argument is outside its range."""
    if interval_minutes not in INTERVALS_MINUTES:
        raise ValueError(f"interval_minutes must be one of {INTERVALS_MINUTES}, got {interval_minutes}")
    if not 1 <= count <= BARS_COUNT_MAX:
        raise ValueError(f"count must be 1 to {BARS_COUNT_MAX}, got {count}")
    process = MarketProcess(instrument=instrument, seed=seed, origin_ms=origin_ms, edge_changes=edge_changes)
    return _bars(process, interval_minutes, count)


def _bars(process: MarketProcess, interval_minutes: int, count: int) -> Iterator[Bar]:
    for place in range(count):
        yield bar_at(process, process.origin_ms + place * interval_minutes * 60_000, interval_minutes)


def bar_at(process: MarketProcess, open_time_ms: int, interval_minutes: int) -> Bar:
    """The complete bar that opens at a time aligned to the interval."""
    index, offset_ms = divmod(open_time_ms - process.origin_ms, HOUR_MS)
    if interval_minutes >= MINUTES_PER_HOUR:
        return aggregate([process.bar(index + hour) for hour in range(interval_minutes // MINUTES_PER_HOUR)])
    first = offset_ms // 60_000
    return aggregate(process.minutes(index)[first : first + interval_minutes])


def write_csv(out: TextIO, instrument: Instrument, rows: Iterator[Bar]) -> None:
    """Header and one line a bar, prices with the digits of the tick."""
    price, qty = instrument.price_decimals, instrument.qty_decimals
    out.write(HEADER + "\n")
    out.writelines(
        f"{bar.open_time_ms},{bar.open:.{price}f},{bar.high:.{price}f},{bar.low:.{price}f},"
        f"{bar.close:.{price}f},{bar.volume:.{qty}f}\n"
        for bar in rows
    )
