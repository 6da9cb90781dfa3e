"""Which bar stands for a moment: arithmetic of opening times, since a bar is named by when it opened."""

from gateway.core.model import BarSeries

MS = 1_000

HISTORY_BARS_MIN = 250
"""Bars that features need: smoothed ones depend on where their history began, after so many by less than 1e-5."""

ARRIVAL_MS_MAX = 30_000
"""How long after its close a bar may take to reach the gateway before the one ahead of it counts as old."""


def last_closed_open_ms(at_ms: int, bar_seconds: int) -> int:
    """When the last bar that had closed by `at_ms` opened; one that closes at this very moment has closed."""
    span_ms = bar_seconds * MS
    return at_ms // span_ms * span_ms - span_ms


def is_fresh(series: BarSeries, at_ms: int) -> bool:
    """Whether the newest bar is the one that should be here by now, `ARRIVAL_MS_MAX` allowed for its arrival."""
    due_ms = last_closed_open_ms(at_ms - ARRIVAL_MS_MAX, series.bar_seconds)
    return bool(series.bars) and series.bars[-1].open_time_ms >= due_ms
