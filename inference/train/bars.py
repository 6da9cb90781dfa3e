"""Markets to train on: read from files, written to Parquet, or made by the simulator.

A market is one symbol's bars and a sentence on where they came from. `sha256` is the hash of their canonical text:

    open_time_ms,open,high,low,close,volume
    1585130400000,6500.0,6591.5,6500.0,6591.5,0.004

one line a bar, oldest first, lines ended by one line feed, times as whole numbers, the other numbers as the shortest
text that reads back as the same float64 (Python's repr). The same bars have the same hash whatever file they came from.

Reading checks the bars (inference/train/quality.py) and refuses them for every error; nothing is repaired here.
"""

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from inference.core.bars import PRICES, Bars, Series
from inference.train.findings import DataFaultError, Severity
from inference.train.found import Found, found_in, found_of, read_table
from inference.train.quality import check, step_seconds

__all__ = [
    "DataFaultError",
    "Market",
    "Origin",
    "market_of",
    "origin_of",
    "read_market",
    "simulated_market",
    "write_market",
]

COLUMNS = ("open_time_ms", *PRICES, "volume")
_METADATA = "tollgate."
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{1,23}")
_SIMULATOR_SECONDS_MAX = 240.0
"""A million bars take the simulator about a minute."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """One series to train on."""

    symbol: str
    """As the exchange writes it: BTCUSDT."""
    source: str
    """Where it came from, in one sentence."""
    bars: Bars
    simulated: bool = False
    """Whether the market is this project's simulated one, which no real market may be judged by."""

    @property
    def sha256(self) -> str:
        """The hash of the bars' canonical text, lower-case hexadecimal; computed anew each time, 0.2 s for 50,000."""
        numbers = zip(*(map(repr, getattr(self.bars, name).tolist()) for name in COLUMNS), strict=True)
        text = "\n".join([",".join(COLUMNS), *map(",".join, numbers), ""])
        return hashlib.sha256(text.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is said of a market beside its bars."""

    symbol: str
    source: str
    simulated: bool = False


def read_market(path: Path, *, symbol: str | None = None) -> Market:
    """The market of a CSV or Parquet file; inference/train/found.py says which columns it may have.

    The symbol is the given one, else the one that the file names inside, else the file name up to the first
    underscore. Raises DataFaultError that lists what is wrong with the file.
    """
    table = read_table(path)
    written = _metadata(table)
    if "sha256" in written:
        return _read_back(path, table, written)
    found = found_in(table)
    origin = origin_of(path, table, found)
    return market_of(found, dataclasses.replace(origin, symbol=symbol or origin.symbol), name=str(path))


def origin_of(path: Path, table: pa.Table, found: Found) -> Origin:
    """What a file says of its market, or its name does."""
    written = _metadata(table)
    named = found.symbols[0] if found.symbols else path.name.split("_")[0].split(".")[0]
    return Origin(
        symbol=written.get("symbol", named),
        source=written.get("source", f"file {path.name}"),
        simulated=written.get("simulated") == "true",
    )


def market_of(found: Found, origin: Origin, *, name: str) -> Market:
    """The market of columns as found. Raises DataFaultError, naming `name`, when they have an error or no symbol."""
    findings = check(found)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise DataFaultError.of(name, findings)
    plain = origin.symbol.replace("/", "").upper()
    if not _SYMBOL.fullmatch(plain):
        raise DataFaultError(f"{name}: {origin.symbol!r} is no symbol: name it")
    return Market(symbol=plain, source=origin.source, bars=_bars(found), simulated=origin.simulated)


def _bars(found: Found) -> Bars:
    return Bars(
        bar_seconds=step_seconds(found),
        open_time_ms=found.time_ms,
        open=found.open,
        high=found.high,
        low=found.low,
        close=found.close,
        volume=found.volume,
    )


def write_market(market: Market, path: Path) -> None:
    """Writes Parquet with symbol, source, bar_seconds, simulated and sha256 in its schema's metadata.

    The file appears whole or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "symbol": market.symbol,
        "source": market.source,
        "bar_seconds": str(market.bars.bar_seconds),
        "simulated": str(market.simulated).lower(),
        "sha256": market.sha256,
    }
    table = pa.table({name: getattr(market.bars, name) for name in COLUMNS})
    write_parquet(table.replace_schema_metadata({_METADATA + key: value for key, value in said.items()}), path)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Writes it beside its place, then moves it there: after a crash there is the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        pq.write_table(table, unfinished)
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _metadata(table: pa.Table) -> dict[str, str]:
    """What `write_market` said of the table; empty for another's file."""
    found = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return {key.removeprefix(_METADATA): value for key, value in found.items() if key.startswith(_METADATA)}


def _read_back(path: Path, table: pa.Table, written: dict[str, str]) -> Market:
    """A file that `write_market` wrote, refused when it is not as it was written."""
    try:
        columns: dict[str, Series] = {name: table.column(name).to_numpy() for name in COLUMNS}
        times = columns.pop("open_time_ms").astype(np.int64)
        bars = Bars(bar_seconds=int(written["bar_seconds"]), open_time_ms=times, **columns)
        simulated = {"true": True, "false": False}[written["simulated"]]
        market = Market(symbol=written["symbol"], source=written["source"], bars=bars, simulated=simulated)
    except (KeyError, ValueError) as fault:
        raise DataFaultError(f"{path} is not as it was written: {fault}") from fault
    if market.sha256 != written["sha256"]:
        raise DataFaultError(f"{path} is not as it was written: its bars have another sha256 than it says")
    findings = check(found_of(market.bars))
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise DataFaultError.of(path, findings)
    return market


def simulated_market(*, symbol: str, seed: int, count: int) -> Market:
    """Hourly bars of the simulated market, with its seed and its true edge in `source`."""
    text = _simulator(["-m", "simulator", "bars", "--symbol", symbol, "--seed", str(seed), "--count", str(count)])
    # The edge is asked of another process: training shares no code with the market that it learns from.
    edge = _simulator(["-c", "from simulator.process import EDGE; print(EDGE)"]).strip()
    source = f"simulated market of this project: symbol {symbol}, seed {seed}, {count} hourly bars, true edge {edge}"
    found = found_in(pyarrow.csv.read_csv(pa.BufferReader(text.encode("ascii"))))
    origin = Origin(symbol=symbol, source=source, simulated=True)
    return market_of(found, origin, name="the simulator's bars")


def _simulator(arguments: Sequence[str]) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SIMULATOR_SECONDS_MAX)  # noqa: S603 # our own program, no shell
    return done.stdout
