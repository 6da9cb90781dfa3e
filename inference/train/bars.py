"""Hourly bars to train on, from the simulator's command or from a file of the same form.

A file has the header open_time_ms,open,high,low,close,volume and one hourly bar a line, oldest first, without gaps.
"""

import csv
import itertools
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HOUR_MS = 3_600_000
_SIMULATOR_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Consecutive hourly bars: open times in Unix milliseconds, closes in quote currency, and where they came from."""

    open_time_ms: tuple[int, ...]
    closes: tuple[float, ...]
    source: str

    def closed_at(self, row: int) -> str:
        """When the bar of that row closed, UTC, ISO 8601."""
        moment = datetime.fromtimestamp((self.open_time_ms[row] + HOUR_MS) / 1000, tz=UTC)
        return moment.isoformat().replace("+00:00", "Z")


def simulated_bars(*, symbol: str, seed: int, count: int) -> Bars:
    """Bars of the simulated market, with its seed and its true edge in `source`."""
    text = _simulator(["-m", "simulator", "bars", "--symbol", symbol, "--seed", str(seed), "--count", str(count)])
    # The edge is asked of another process: training shares no code with the market that it learns from.
    edge = _simulator(["-c", "from simulator.process import EDGE; print(EDGE)"]).strip()
    source = f"simulated market of this project: symbol {symbol}, seed {seed}, {count} hourly bars, true edge {edge}"
    return _parse(text.splitlines(), source)


def _simulator(arguments: Sequence[str]) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SIMULATOR_SECONDS_MAX)  # noqa: S603 # our own program, no shell
    return done.stdout


def bars_of_file(path: Path) -> Bars:
    """Bars of a CSV file. Raises ValueError when a line is missing, out of order or not a number."""
    return _parse(path.read_text(encoding="ascii").splitlines(), f"file {path.name}")


def _parse(lines: Sequence[str], source: str) -> Bars:
    rows = list(csv.DictReader(lines))
    times = tuple(int(row["open_time_ms"]) for row in rows)
    for before, after in itertools.pairwise(times):
        if after - before != HOUR_MS:
            raise ValueError(f"bars are not hourly and consecutive: {before} is followed by {after}")
    return Bars(open_time_ms=times, closes=tuple(float(row["close"]) for row in rows), source=source)
