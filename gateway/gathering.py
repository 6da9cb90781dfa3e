"""Holds what comes until it should leave together: the list and the timer beside core/pacing.py.

All of it runs on the event loop. Whoever is sent a batch says when it has ended.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.core.pacing import Pace

BATCHES_MAX = 2
"""Batches under way at once: one is worked on, the next is ready."""

ItemT = TypeVar("ItemT")


class Gathering(Generic[ItemT]):
    """Items that wait for company."""

    def __init__(
        self,
        send: Callable[[list[ItemT]], None],
        *,
        linger_seconds: float,
        rows_max: int,
        rows_of: Callable[[ItemT], int] = lambda _: 1,
    ) -> None:
        self._send_batch = send
        self._linger_seconds = linger_seconds
        self._rows_max = rows_max
        self._rows_of = rows_of
        self._waiting: list[ItemT] = []
        self._pace = Pace(batches_max=BATCHES_MAX)
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many items wait."""
        return len(self._waiting)

    def add(self, item: ItemT) -> None:
        """Take an item; it leaves now when it comes alone, else with others, after `linger_seconds` at the latest."""
        self._waiting.append(item)
        self._consider()

    def ended(self, items: int) -> None:
        """A batch of `items` has come back."""
        self._pace.ended(items)
        if self._waiting:
            self._consider()

    def flush(self) -> None:
        """Send all that waits."""
        while self._waiting:
            self._send()

    def clear(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()

    def _consider(self) -> None:
        """Send when it is due, else look again soon."""
        if self._pace.is_due(len(self._waiting)):
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger_seconds, self._linger_over)

    def _linger_over(self) -> None:
        self._timer = None
        if self._waiting and self._pace.may_send():
            self._send()

    def _send(self) -> None:
        """Send as many items as fit into one batch, one at the least."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        rows = count = 0
        while count < len(self._waiting) and rows < self._rows_max:
            rows += self._rows_of(self._waiting[count])
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._pace.sent(len(batch))
        self._send_batch(batch)
