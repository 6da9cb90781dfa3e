"""Reads tapes from CSV files, plain or gzipped, with a header that names the columns; other columns are ignored.

Bars, oldest first, of one length (1, 3, 5, 15, 30 minutes, 1, 2, 4, 6, 12 hours or a day); gaps are allowed:

    open_time_ms,open,high,low,close,volume       Unix milliseconds, volume in the base coin

Trades, in order of time (several at one moment are allowed):

    time,price,qty,side                           names that count as the same:
    time    timestamp                             Unix milliseconds, Unix seconds, or ISO 8601 (UTC unless it says)
    qty     quantity, amount, size, volume        in the base coin
    side    or buyer_maker                        buy | sell, what the taker did; true | false

A file that is anything else is refused with the number of the first line that is wrong.
"""

import contextlib
import csv
import gzip
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TextIO

from simulator.exchange import INTERVALS
from simulator.jumps import PRICE_MAX, PRICE_TICKS_MIN
from simulator.process import MINUTE_MS, Bar
from simulator.symbols import Instrument
from simulator.tapes import BarTape, TapeTrade, TradeTape

ROWS_MAX = 1_000_000
"""Rows of one file: 19 years of five-minute bars, about half a gigabyte of memory."""
TIME_MS_MAX = 4_102_444_800_000
"""2100-01-01T00:00Z; a later time is a wrong unit."""
SECONDS_BELOW = 100_000_000_000
"""A time below this is in seconds: in milliseconds it would be before March 1973."""
TIME_DIGITS_MAX = 20
QTY_MAX = 1e15

BAR_COLUMNS = {name: (name,) for name in ("open_time_ms", "open", "high", "low", "close", "volume")}
TRADE_COLUMNS = {
    "time": ("time", "timestamp"),
    "price": ("price",),
    "qty": ("qty", "quantity", "amount", "size", "volume"),
    "side": ("side", "buyer_maker"),
}
_SIDES = {"buy": True, "sell": False, "true": False, "false": True}
"""Whether the taker bought: a buyer who was the maker was sold to."""

Row = Mapping[str, str]


class TapeError(ValueError):
    """A file is no tape; the text names the file, the line and what is wrong with it."""


def read_bars(path: Path, instrument: Instrument) -> BarTape:
    """The bars of a file; TapeError when they are none, OSError when it cannot be read."""
    bars: list[Bar] = []
    lines: list[int] = []
    for line, row in _rows(path, BAR_COLUMNS):
        with _at(path, line):
            bars.append(_bar(row, instrument))
            if len(bars) > 1 and bars[-1].open_time_ms <= bars[-2].open_time_ms:
                raise ValueError("open_time_ms must be later than in the line before: the oldest bar comes first")
        lines.append(line)
    if len(bars) < 2:  # noqa: PLR2004 - one bar does not tell how long it is
        raise TapeError(f"{path}: at least two bars are needed, got {len(bars)}")
    step_ms = min(after.open_time_ms - before.open_time_ms for before, after in pairwise(bars))
    if step_ms not in {minutes * MINUTE_MS for minutes in INTERVALS.values()}:
        raise TapeError(f"{path}: bars of {step_ms / MINUTE_MS:g} minutes are not replayed, only Bybit's own lengths")
    for line, bar in zip(lines, bars, strict=True):
        if bar.open_time_ms % step_ms:
            raise TapeError(f"{path} line {line}: open_time_ms must be a multiple of {step_ms}, got {bar.open_time_ms}")
    return BarTape(instrument, bars, step_ms)


def read_trades(path: Path, instrument: Instrument) -> TradeTape:
    """The trades of a file; TapeError when they are none, OSError when it cannot be read."""
    trades: list[TapeTrade] = []
    for line, row in _rows(path, TRADE_COLUMNS):
        with _at(path, line):
            trades.append(_trade(row, len(trades), instrument))
            if len(trades) > 1 and trades[-1].at_ms < trades[-2].at_ms:
                raise ValueError("time must not be earlier than in the line before: the oldest trade comes first")
    if not trades:
        raise TapeError(f"{path}: there is no trade in it")
    return TradeTape(instrument, trades)


def moment_ms(text: str) -> int:
    """A time as Unix milliseconds, from milliseconds, seconds or ISO 8601; ValueError when it is none."""
    if len(text) <= TIME_DIGITS_MAX and text.isascii() and text.replace(".", "", 1).isdigit():
        number = float(text)
        at_ms = round(number * 1_000) if number < SECONDS_BELOW else int(number)
    else:
        moment = datetime.fromisoformat(text)
        at_ms = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000)
    if not 0 <= at_ms < TIME_MS_MAX:
        raise ValueError(f"{text!r} is no time before 2100")
    return at_ms


def _bar(row: Row, instrument: Instrument) -> Bar:
    text = row["open_time_ms"]
    if not (text.isascii() and text.isdigit()) or int(text) >= TIME_MS_MAX:
        raise ValueError(f"open_time_ms must be Unix milliseconds, got {text!r}")
    bar = Bar(
        open_time_ms=int(text),
        open=_price(row, "open", instrument),
        high=_price(row, "high", instrument),
        low=_price(row, "low", instrument),
        close=_price(row, "close", instrument),
        volume=_number(row, "volume", least=0.0, most=QTY_MAX),
    )
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise ValueError("low and high must enclose open and close")
    return bar


def _trade(row: Row, number: int, instrument: Instrument) -> TapeTrade:
    buy = _SIDES.get(row["side"].lower())
    if buy is None:
        raise ValueError(f"side must be buy or sell, got {row['side']!r}")
    qty = _number(row, "qty", least=0.0, most=QTY_MAX)
    if not qty:
        raise ValueError("qty must be above 0")
    price = _price(row, "price", instrument)
    return TapeTrade(number=number, at_ms=moment_ms(row["time"]), price=price, qty=qty, buy=buy)


def _price(row: Row, name: str, instrument: Instrument) -> float:
    """A price that the book of this instrument has room around."""
    return _number(row, name, least=PRICE_TICKS_MIN * float(instrument.tick_size), most=PRICE_MAX)


def _number(row: Row, name: str, *, least: float, most: float) -> float:
    try:
        value = float(row[name])
    except ValueError:
        raise ValueError(f"{name} must be a number, got {row[name]!r}") from None
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{name} must be {least:g} to {most:g}, got {row[name]!r}")
    return value


@contextlib.contextmanager
def _at(path: Path, line: int) -> Iterator[None]:
    """Say where what goes wrong inside went wrong."""
    try:
        yield
    except ValueError as error:
        raise TapeError(f"{path} line {line}: {error}") from error


def _rows(path: Path, columns: Mapping[str, Sequence[str]]) -> Iterator[tuple[int, Row]]:
    """Each row with its line number, as texts under the columns' own names."""
    with _opened(path) as text:
        reader = csv.reader(text)
        line = 1
        try:
            places = _places(path, next(reader, []), columns)
            for number, cells in enumerate(reader):
                line = reader.line_num
                if number >= ROWS_MAX:
                    raise TapeError(f"{path} line {line}: at most {ROWS_MAX} rows are replayed")
                if len(cells) <= max(places.values()):
                    raise TapeError(f"{path} line {line}: {len(cells)} columns where the header has more")
                yield line, {name: cells[place].strip() for name, place in places.items()}
        except (csv.Error, UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
            raise TapeError(f"{path} behind line {line}: {error}") from error


def _opened(path: Path) -> TextIO:
    """A file's text; gzip is known by its first bytes."""
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _places(path: Path, header: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Mapping[str, int]:
    """Where each column stands."""
    names = [cell.strip().lower() for cell in header]
    places: dict[str, int] = {}
    for column, others in columns.items():
        place = next((names.index(name) for name in others if name in names), None)
        if place is None:
            raise TapeError(
                f"{path} line 1: the header must name {' or '.join(others)}; it has {','.join(names)[:200]}"
            )
        places[column] = place
    return places
