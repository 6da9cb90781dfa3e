"""Markets to train on: bars with their symbol, where they came from, and the digest of their canonical text.

The canonical text has the header open_time_ms,open,high,low,close,volume and one bar a line, oldest first, numbers in
their shortest form. A file holds that text, gzipped when its name ends in .gz.
"""

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.core.bars import MS, Bars

COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")
_SIMULATOR_SECONDS_MAX = 120.0
_BARS_MIN = 2


class DataFaultError(ValueError):
    """Bars that are refused."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """Bars of one market."""

    symbol: str
    source: str
    bars: Bars
    simulated: bool = False
    """Whether the market is this project's simulated one."""

    @property
    def sha256(self) -> str:
        """Of the canonical text."""
        return hashlib.sha256(canonical_text(self.bars).encode("ascii")).hexdigest()


def read_market(path: Path) -> Market:
    """The market of a file. Raises DataFaultError when it holds no bars."""
    raw = path.read_bytes()
    text = gzip.decompress(raw).decode("ascii") if path.suffix == ".gz" else raw.decode("ascii")
    return _market(text.splitlines(), symbol=path.name.split("_")[0].split(".")[0], source=f"file {path.name}")


def write_market(market: Market, path: Path) -> None:
    """Write the canonical text of the market, gzipped when the name ends in .gz."""
    text = canonical_text(market.bars).encode("ascii")
    path.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def simulated_market(*, symbol: str, seed: int, count: int) -> Market:
    """Hourly bars of the simulated market, with its seed and its true edge in `source`."""
    text = _simulator(["-m", "simulator", "bars", "--symbol", symbol, "--seed", str(seed), "--count", str(count)])
    # The edge is asked of another process: training shares no code with the market that it learns from.
    edge = _simulator(["-c", "from simulator.process import EDGE; print(EDGE)"]).strip()
    source = f"simulated market of this project: symbol {symbol}, seed {seed}, {count} hourly bars, true edge {edge}"
    return _market(text.splitlines(), symbol=symbol, source=source, simulated=True)


def canonical_text(bars: Bars) -> str:
    """The text whose digest names the bars."""
    columns = [bars.open_time_ms.tolist(), *(getattr(bars, name).tolist() for name in COLUMNS[1:])]
    rows = (",".join(map(repr, row)) for row in zip(*columns, strict=True))
    return "\n".join([",".join(COLUMNS), *rows]) + "\n"


def _simulator(arguments: Sequence[str]) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SIMULATOR_SECONDS_MAX)  # noqa: S603 # our own program, no shell
    return done.stdout


def _market(lines: Sequence[str], *, symbol: str, source: str, simulated: bool = False) -> Market:
    if not lines or tuple(lines[0].split(",")) != COLUMNS:
        raise DataFaultError(f"{source}: the header is not {','.join(COLUMNS)}")
    if len(lines) <= _BARS_MIN:
        raise DataFaultError(f"{source}: there are too few bars")
    times = np.array([int(line.split(",", 1)[0]) for line in lines[1:]], np.int64)
    values = np.loadtxt(lines[1:], delimiter=",", dtype=np.float64, usecols=range(1, len(COLUMNS)))
    bars = Bars(
        bar_seconds=int(np.diff(times).min()) // MS,
        open_time_ms=times,
        **{name: np.ascontiguousarray(values[:, column]) for column, name in enumerate(COLUMNS[1:])},
    )
    return Market(symbol=symbol, source=source, bars=bars, simulated=simulated)
