"""Bars as a file has them, before anything is known of their quality.

Files are CSV, CSV in gzip, or Parquet. A column is known by its name, whatever its case:

what          names, the first that is there counts
open time     open_time_ms, open_time, unix, timestamp, time (numbers: Unix time, its unit told by its magnitude; or
              ISO 8601), date, datetime (ISO 8601, UTC where no zone is said)
prices        open, high, low, close
volume        volume, base_volume, volume base, volume btc, volume eth, volume sol
quote volume  volume usd, volume usdt, volume usdc, quote_volume, quote_asset_volume, turnover; may be absent
symbol        symbol; may be absent

Other columns are not read. What should be a number and is none becomes NaN, for the checks to find.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from inference.core.bars import PRICES, Bars, Series
from inference.train.findings import DataFaultError

FILE_BYTES_MAX = 1_000_000_000
"""A file above this is no file of bars: ten years of minutes are 300 MB of CSV."""
ROWS_MAX = 10_000_000
"""Rows in a file: nineteen years of minutes; more would fill the memory."""

TIME_NAMES = ("open_time_ms", "open_time", "unix", "timestamp", "time", "date", "datetime")
VOLUME_NAMES = ("volume", "base_volume", "volume base", "volume btc", "volume eth", "volume sol")
QUOTE_NAMES = ("volume usd", "volume usdt", "volume usdc", "quote_volume", "quote_asset_volume", "turnover")

MS_OF_UNIT = (1_000.0, 1.0, 1e-3, 1e-6)
"""Milliseconds in one second, millisecond, microsecond, nanosecond."""
_UNIT_BOUNDS = (100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000)
"""Unix times from 1973 to 5138 fall between these in exactly one unit."""


class TimeUnit(Enum):
    """What is known of the unit of the open times."""

    MS = "ms"
    """Milliseconds, proved: the file is one that this program wrote."""
    SAID_MS = "said_ms"
    """The column's name says milliseconds."""
    UNSAID = "unsaid"
    """By magnitude."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The columns of a file, of equal length, in the file's order."""

    time: NDArray[np.int64]
    """Open times as they stand there."""
    time_unit: TimeUnit
    open: Series
    high: Series
    low: Series
    close: Series
    volume: Series
    quote_volume: Series | None = None
    symbols: tuple[str, ...] = ()
    """The values of the symbol column, each once."""

    def __len__(self) -> int:
        return int(self.time.size)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "Found":
        """Some of the rows."""
        return replace(
            self,
            time=self.time[rows],
            open=self.open[rows],
            high=self.high[rows],
            low=self.low[rows],
            close=self.close[rows],
            volume=self.volume[rows],
            quote_volume=None if self.quote_volume is None else self.quote_volume[rows],
        )

    @property
    def prices(self) -> Series:
        """Open, high, low and close, shape [4, rows]."""
        return np.stack([self.open, self.high, self.low, self.close])

    @property
    def units(self) -> NDArray[np.int64]:
        """The unit of each open time by its magnitude: an index of `MS_OF_UNIT`."""
        return np.searchsorted(np.array(_UNIT_BOUNDS), np.abs(self.time), side="right")

    @property
    def time_ms(self) -> NDArray[np.int64]:
        """The open times in milliseconds."""
        return self.time if self.time_unit is TimeUnit.MS else read_by_magnitude(self.time, self.units)


def read_by_magnitude(time: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Milliseconds of times that each stand in their own unit."""
    up = np.where(units == 0, 1_000, 1)
    down = np.array([1, 1, 1_000, 1_000_000])[units]
    found: NDArray[np.int64] = time * up // down
    return found


def found_of(bars: Bars) -> Found:
    """The columns of bars, to be checked."""
    return Found(
        time=bars.open_time_ms,
        time_unit=TimeUnit.MS,
        open=bars.open,
        high=bars.high,
        low=bars.low,
        close=bars.close,
        volume=bars.volume,
    )


def read_table(path: Path) -> pa.Table:
    """The file's columns. Raises DataFaultError when it is none that can be read."""
    if not path.is_file():
        raise DataFaultError(f"there is no file {path}")
    if path.stat().st_size > FILE_BYTES_MAX:
        raise DataFaultError(f"{path} has more than {FILE_BYTES_MAX} bytes: cut it into spans")
    try:
        if path.suffix == ".parquet":
            return pq.ParquetFile(path).read()  # of this one file: no folder, no partition, is looked for
        if path.name.endswith((".csv", ".csv.gz")):
            return pyarrow.csv.read_csv(path)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as fault:
        raise DataFaultError(f"{path} cannot be read: {fault}") from fault
    raise DataFaultError(f"{path} is neither .csv, .csv.gz nor .parquet")


def found_in(table: pa.Table) -> Found:
    """The bars' columns of a table. Raises DataFaultError when one is missing, or an open time cannot be read."""
    if table.num_rows > ROWS_MAX:
        raise DataFaultError(f"{table.num_rows} rows are more than {ROWS_MAX}: cut the file into spans")
    names = {name.strip().lower(): place for place, name in reversed(list(enumerate(table.column_names)))}

    def column(known: Sequence[str]) -> tuple[str, pa.ChunkedArray] | None:
        return next(((name, table.column(names[name])) for name in known if name in names), None)

    needed = {"time": column(TIME_NAMES), **{name: column((name,)) for name in PRICES}, "volume": column(VOLUME_NAMES)}
    missing = [name for name, found in needed.items() if found is None]
    if missing:
        raise DataFaultError(f"no column of {', '.join(missing)} among {', '.join(table.column_names)}")
    there = {name: found for name, found in needed.items() if found is not None}
    quote, symbols = column(QUOTE_NAMES), column(("symbol",))
    time_name, times = there.pop("time")
    return Found(
        time=_times(times),
        time_unit=TimeUnit.SAID_MS if time_name.endswith("_ms") else TimeUnit.UNSAID,
        **{name: _numbers(values) for name, (_, values) in there.items()},
        quote_volume=None if quote is None else _numbers(quote[1]),
        symbols=() if symbols is None else tuple(sorted(map(str, pc.unique(symbols[1]).to_pylist()))),
    )


def _numbers(column: pa.ChunkedArray) -> Series:
    """The column as floats; NaN where there is no number."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(), np.float64)
    return np.array([_number(value) for value in column.to_pylist()], np.float64)


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return np.nan


def _times(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Whole numbers of a column of Unix times or ISO 8601 moments; a moment is in milliseconds."""
    if column.null_count:
        raise DataFaultError(f"{column.null_count} rows have no open time")
    try:
        if pa.types.is_string(column.type):
            column = _of_text(column)
        if pa.types.is_temporal(column.type):
            column = pc.cast(pc.cast(column, pa.timestamp("ms")), pa.int64())
        return np.asarray(pc.cast(column, pa.int64()).to_numpy(), np.int64)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as fault:
        raise DataFaultError(f"an open time cannot be read: {fault}") from fault


def _of_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text that is neither all numbers nor all moments is refused by the cast; a trailing Z says UTC."""
    if re.fullmatch(r"-?[0-9]+", str(column[0]) if len(column) else ""):
        return pc.cast(column, pa.int64())
    return pc.cast(pc.replace_substring_regex(column, r"(Z|\+00:00)$", ""), pa.timestamp("ms"))
