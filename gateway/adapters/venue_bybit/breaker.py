"""Stops a series of orders that Bybit refuses for one and the same reason.

After REFUSALS_MAX refusals with the same code in a row, within WINDOW_MS, orders that open a position are held back for
PAUSE_MS. Then one is let through: if it is not refused the breaker closes, if it is the pause begins again. Orders that
reduce a position are neither held back nor counted.
"""

from gateway.adapters.pause import Pause

REFUSALS_MAX = 5
"""More than chance makes, fewer than a broken caller could send within a second."""
WINDOW_MS = 60_000
PAUSE_MS = 60_000
"""Long enough for a person to look, short enough that a fault that has passed costs one bar at most."""


class Breaker:
    """Counts refusals; it is given the time, and has no clock."""

    def __init__(self) -> None:
        self._code: int | None = None
        self._refused_ms: list[int] = []
        self._shut = Pause()
        self._tripped = False

    def shut_ms(self, now_ms: int) -> int:
        """How long orders that open a position are still held back."""
        return self._shut.left_ms(now_ms)

    def sending(self, now_ms: int) -> None:
        """An order that opens a position goes out: after a pause it is the one trial, and no second follows it."""
        if self._tripped:
            self._shut.begin(now_ms, PAUSE_MS)

    def passed(self) -> None:
        """An order that opens a position was not refused."""
        self._code = None
        self._refused_ms.clear()
        self._tripped = False
        self._shut.end()

    def refused(self, code: int, now_ms: int) -> bool:
        """An order that opens a position was refused. True when that has shut the breaker."""
        if code != self._code:
            self._code = code
            self._refused_ms.clear()
        recent = [at_ms for at_ms in self._refused_ms if now_ms - WINDOW_MS < at_ms <= now_ms]
        self._refused_ms = [*recent, now_ms][-REFUSALS_MAX:]
        if not self._tripped and len(self._refused_ms) < REFUSALS_MAX:
            return False
        self._tripped = True
        self._shut.begin(now_ms, PAUSE_MS)
        return True
