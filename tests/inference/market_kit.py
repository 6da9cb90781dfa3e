"""Made-up markets for tests, and their files."""

from pathlib import Path
from typing import Any

import numpy as np

from inference.core.bars import Bars
from inference.train.found import Found, TimeUnit

HOUR_MS = 3_600_000
START_MS = 1_577_836_800_000


def a_market(
    count: int = 400, *, price: float = 40_000.0, seed: int = 1, tick: float = 0.1, volume: float = 50.0
) -> dict[str, Any]:
    """Columns of an hourly market that wanders by half a percent an hour on a grid of prices."""
    generator = np.random.default_rng(seed)
    closes = np.round(price * np.exp(np.cumsum(generator.normal(0, 0.005, count))) / tick) * tick
    opens = np.concatenate(([np.round(price / tick) * tick], closes[:-1]))
    reach = np.abs(generator.normal(0, 0.002, (2, count)))
    return {
        "time": START_MS + HOUR_MS * np.arange(count),
        "open": np.round(opens, 8),
        "high": np.round(np.ceil(np.maximum(opens, closes) * (1 + reach[0]) / tick) * tick, 8),
        "low": np.round(np.floor(np.minimum(opens, closes) * (1 - reach[1]) / tick) * tick, 8),
        "close": np.round(closes, 8),
        "volume": np.round(volume * generator.lognormal(0, 0.5, count), 3),
    }


def found(columns: dict[str, Any], **more: Any) -> Found:
    return Found(time_unit=TimeUnit.UNSAID, **{**columns, **more})


def bars(columns: dict[str, Any]) -> Bars:
    prices = {name: columns[name] for name in ("open", "high", "low", "close", "volume")}
    return Bars(bar_seconds=3600, open_time_ms=columns["time"], **prices)


def joined(*parts: dict[str, Any]) -> dict[str, Any]:
    """One market's rows after another's, in time as well."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["time"] = START_MS + HOUR_MS * np.arange(columns["time"].size)
    return columns


def write_csv(path: Path, columns: dict[str, Any], header: str = "open_time_ms,open,high,low,close,volume") -> Path:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    path.write_text("\n".join([header, *(",".join(map(repr, row)) for row in rows), ""]))
    return path
