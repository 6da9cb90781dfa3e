"""The market's time: the wall clock, possibly faster, possibly frozen, and what the server takes for it."""

import time
from collections.abc import Callable


def wall_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


class MarketClock:
    """Time as the market lives it: starts at the wall time and runs `speed` times as fast.

    Freezing stops the market, not the clock: `now_ms` goes on, `market_ms` stands still until thawed. A skew bends
    `server_ms` only: what the server tells as its time and judges signatures by, as with a client whose clock is off.
    """

    def __init__(self, *, speed: float = 1.0, wall: Callable[[], int] = wall_ms) -> None:
        self._wall = wall
        self.speed = speed
        """How many of its seconds pass in one of the wall's."""
        self._started_ms = wall()
        self._frozen_ms: int | None = None
        self.skew_ms = 0
        """How far the server's clock is ahead of the market's."""

    @property
    def frozen(self) -> bool:
        """Whether the market stands still."""
        return self._frozen_ms is not None

    def now_ms(self) -> int:
        """The true time, Unix milliseconds."""
        return self._started_ms + int((self._wall() - self._started_ms) * self.speed)

    def server_ms(self) -> int:
        """What the server's clock says, Unix milliseconds."""
        return self.now_ms() + self.skew_ms

    def market_ms(self) -> int:
        """The moment at which the market is: now, or when it was frozen."""
        return self.now_ms() if self._frozen_ms is None else self._frozen_ms

    def freeze(self, *, frozen: bool) -> None:
        """Stop the market where it is, or let it catch up with the clock."""
        if not frozen:
            self._frozen_ms = None
        elif self._frozen_ms is None:
            self._frozen_ms = self.now_ms()
