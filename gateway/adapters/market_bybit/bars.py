"""One symbol's closed bars as the exchange's answers build them; no clock, no I/O."""

from collections.abc import Iterable

from gateway.core.bars import MS, last_closed_open_ms
from gateway.core.model import Bar, BarSeries

BARS_MAX = 1_000
"""So many of the newest bars are kept: what one answer of Bybit holds at most."""

REREAD = 5
"""So many of the newest bars are asked for again, since the exchange may correct them."""


class KeptBars:
    """Closed bars of one symbol, oldest first."""

    def __init__(self, bar_seconds: int) -> None:
        self._bar_seconds = bar_seconds
        self._bars: dict[int, Bar] = {}
        self._series: BarSeries | None = None

    def series(self) -> BarSeries | None:
        """The bars, or None when there are none."""
        return self._series

    def merge(self, bars: Iterable[Bar]) -> None:
        """Take bars in, in any order: one of a known opening time replaces it, and the oldest make room."""
        merged = self._bars | {bar.open_time_ms: bar for bar in bars}
        if merged == self._bars:
            return
        newest = sorted(merged)[-BARS_MAX:]
        self._bars = {open_time_ms: merged[open_time_ms] for open_time_ms in newest}
        self._series = BarSeries(bar_seconds=self._bar_seconds, bars=tuple(self._bars.values()))

    def extend(self, bar: Bar) -> bool:
        """Take a bar in that is known or follows the last one; False for any other, which would leave a gap.

        A gap is for `merge` to fill, with all bars from the last known one on.
        """
        follows = bool(self._bars) and bar.open_time_ms == next(reversed(self._bars)) + self._bar_seconds * MS
        if not follows and bar.open_time_ms not in self._bars:
            return False
        self.merge([bar])
        return True

    def has_closed_by(self, at_ms: int) -> bool:
        """Whether the last bar that had closed by then is here."""
        due_ms = last_closed_open_ms(at_ms, self._bar_seconds)
        return bool(self._bars) and next(reversed(self._bars)) >= due_ms

    def reread_from_ms(self) -> int | None:
        """When the oldest bar opened that is to be asked for again; None: everything is."""
        if not self._bars:
            return None
        return next(reversed(self._bars)) - (REREAD - 1) * self._bar_seconds * MS
