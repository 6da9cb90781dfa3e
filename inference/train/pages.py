"""A span of klines fetched page by page into one Parquet file, so that a run that was killed goes on where it stopped.

Every page that was fetched stands by itself in a folder beside the file to be, named by the span that it answers for:

    bars/BTCUSDT_60_bybit-linear.parquet                         the market, whole and checked
    bars/.BTCUSDT_60_bybit-linear.pages/1585130400000-1588726800000.parquet

What a page or the market already answers for is never asked for again; only whole files have these names (they are
written beside their place and moved there). When nothing is missing, the pages become the market and are removed.

Pages run from the newest to the oldest: an empty one leads straight to the newest bar before it, so that an outage
costs one request and the years before a listing cost none. Bars that the exchange does not have are a gap.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from inference.core.bars import MS
from inference.train.bars import COLUMNS, Market, Origin, market_of, read_market, write_market, write_parquet
from inference.train.fetch import CLOSE_MARGIN_MS, PAGE_ROWS, FetchFaultError, Series, klines_table
from inference.train.findings import DataFaultError
from inference.train.found import found_in, read_table

Progress = Callable[[int, int], None]
"""Told how many bars of the span are answered for, and how many there are."""

BARS_MAX = 10_000_000
"""Nineteen years of minutes: ten thousand pages, a quarter of an hour at the pace of inference/train/fetch.py."""


class KlineSource(Protocol):
    """What the pages come from; inference/train/fetch.py has the one that asks an exchange."""

    def server_ms(self) -> int:
        """The exchange's time."""
        ...

    def between(self, series: Series, first_ms: int, last_ms: int) -> pa.Table:
        """The closed bars that opened from the one moment to the other."""
        ...

    def newest_until(self, series: Series, last_ms: int) -> int | None:
        """When the newest bar opened up to a moment."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """Bars by the opening times of the first and the last of them, both inclusive, Unix milliseconds."""

    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The files of one series."""

    folder: Path
    series: Series
    on_this_machine: bool
    """Whether the klines come from a simulator: the market is marked as simulated then."""

    @property
    def market(self) -> Path:
        """The market's file."""
        return self.folder / f"{self._stem}.parquet"

    @property
    def pages(self) -> Path:
        """The folder of the pages."""
        return self.folder / f".{self._stem}.pages"

    @property
    def source(self) -> str:
        """The source that the market names."""
        server = " of a simulator on this machine" if self.on_this_machine else ""
        series = self.series
        minutes = series.step_ms // 60_000
        return f"Bybit v5 kline{server}, {series.category}, {series.symbol}, {minutes} minutes"

    @property
    def _stem(self) -> str:
        return f"{self.series.symbol}_{self.series.interval}_bybit-{self.series.category}"


def fetch_market(klines: KlineSource, shelf: Shelf, *, start_ms: int, end_ms: int | None, progress: Progress) -> Market:
    """Bars that opened from `start_ms` on and closed by `end_ms`, or by now, together with what the file already has.

    Raises FetchFaultError when they cannot be fetched, DataFaultError when they are no market; what was fetched stays
    on the shelf in both cases.
    """
    kept = _kept(shelf)
    wanted, answered = _wanted(shelf.series, start_ms, end_ms, klines.server_ms()), _answered(shelf, kept)
    # One file has no hole that was never asked for: what lies between two spans is fetched too.
    wanted = Span(
        first_ms=min(span.first_ms for span in (wanted, *answered)),
        last_ms=max(span.last_ms for span in (wanted, *answered)),
    )
    if (wanted.last_ms - wanted.first_ms) // shelf.series.step_ms >= BARS_MAX:
        raise FetchFaultError(f"the span holds more than {BARS_MAX} bars: fetch a part of it")
    _fill(klines, shelf, wanted, answered, progress)
    return _bound(shelf, kept)


def _wanted(series: Series, start_ms: int, end_ms: int | None, now_ms: int) -> Span:
    """The span on the grid of bars, without the bar that is still open."""
    step = series.step_ms
    settled_ms = now_ms - CLOSE_MARGIN_MS
    until_ms = settled_ms if end_ms is None else min(end_ms, settled_ms)
    span = Span(first_ms=-(-start_ms // step) * step, last_ms=(until_ms // step - 1) * step)
    if span.first_ms > span.last_ms:
        raise FetchFaultError("no bar of this span has closed yet")
    return span


def _kept(shelf: Shelf) -> Market | None:
    """The market that is already there."""
    if not shelf.market.exists():
        return None
    market = read_market(shelf.market)
    if (market.source, market.symbol) != (shelf.source, shelf.series.symbol):
        raise FetchFaultError(f"{shelf.market} is there and holds {market.source!r}: choose another folder")
    return market


def _fill(klines: KlineSource, shelf: Shelf, wanted: Span, answered: list[Span], progress: Progress) -> None:
    """Fetches every page that is missing; `answered` grows by each."""
    step = shelf.series.step_ms
    total = (wanted.last_ms - wanted.first_ms) // step + 1
    while missing := missing_spans(wanted, answered, step):
        left = sum((span.last_ms - span.first_ms) // step + 1 for span in missing)
        progress(total - left, total)
        newest = missing[-1]
        page = Span(first_ms=max(newest.first_ms, newest.last_ms - (PAGE_ROWS - 1) * step), last_ms=newest.last_ms)
        table = klines.between(shelf.series, page.first_ms, page.last_ms)
        if not table.num_rows:
            before = klines.newest_until(shelf.series, page.first_ms - step)
            first_ms = newest.first_ms if before is None else max(newest.first_ms, before + step)
            page = Span(first_ms=first_ms, last_ms=page.last_ms)
        shelf.pages.mkdir(parents=True, exist_ok=True)
        write_parquet(table, shelf.pages / f"{page.first_ms}-{page.last_ms}.parquet")
        answered.append(page)
    progress(total, total)


def missing_spans(wanted: Span, answered: Sequence[Span], step_ms: int) -> list[Span]:
    """What of the wanted bars no span answers for, oldest first."""
    missing, next_ms = [], wanted.first_ms
    for span in sorted(answered):
        if span.first_ms > next_ms:
            missing.append(Span(first_ms=next_ms, last_ms=min(span.first_ms - step_ms, wanted.last_ms)))
        next_ms = max(next_ms, span.last_ms + step_ms)
        if next_ms > wanted.last_ms:
            break
    if next_ms <= wanted.last_ms:
        missing.append(Span(first_ms=next_ms, last_ms=wanted.last_ms))
    return [span for span in missing if span.first_ms <= span.last_ms]


def _answered(shelf: Shelf, kept: Market | None) -> list[Span]:
    spans = [span for span, _ in _pages(shelf)]
    if kept is not None:
        times = kept.bars.open_time_ms
        spans.append(Span(first_ms=int(times[0]), last_ms=int(times[-1])))
    return spans


def _pages(shelf: Shelf) -> Iterator[tuple[Span, Path]]:
    """The pages that are there; a file of another name is not one."""
    for path in sorted(shelf.pages.glob("*.parquet")):
        first, _, last = path.stem.partition("-")
        if first.isdecimal() and last.isdecimal():
            yield Span(first_ms=int(first), last_ms=int(last)), path


def _bound(shelf: Shelf, kept: Market | None) -> Market:
    """The pages and what was there before, as one market in one file."""
    tables = [read_table(path) for _, path in _pages(shelf)]
    if kept is not None:
        tables.append(pa.table({name: getattr(kept.bars, name) for name in COLUMNS}))
    table = pa.concat_tables([klines_table(()), *tables]).sort_by("open_time_ms")
    if not table.num_rows:
        raise DataFaultError(f"the exchange has no bars of {shelf.series.symbol} in this span")
    market = market_of(
        found_in(table),
        Origin(symbol=shelf.series.symbol, source=shelf.source, simulated=shelf.on_this_machine),
        name=f"what was fetched ({shelf.pages}; remove it to fetch it anew)",
    )
    if market.bars.bar_seconds * MS != shelf.series.step_ms:
        raise DataFaultError(
            f"the exchange sends bars of {market.bars.bar_seconds} s as interval {shelf.series.interval}"
        )
    write_market(market, shelf.market)
    if shelf.pages.exists():
        shutil.rmtree(shelf.pages)
    return market
