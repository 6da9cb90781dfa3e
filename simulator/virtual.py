"""Virtual time: an event loop that never waits, so that hours of an exchange pass in seconds and every run repeats.

`VirtualTime` holds the moment and what the exchange is to do later. `run(time, main)` runs a coroutine on a loop whose
clock is that time: when nothing is ready, the time jumps to the next timer of the loop or the next event of the
exchange, whichever comes first. A synchronous caller that waits for an answer (an HTTP client within the process) lets
the time pass by `advance`: the exchange's events of that span happen in order; the loop's own timers, as with any
blocking call, come late.

Nothing here reads a wall clock. Sockets and threads are no part of it: their waiting would not be seen.
"""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

MS = 1000.0

T = TypeVar("T")


class StalledError(Exception):
    """The loop waits for what can never come: no timer, no event of the exchange, nothing ready."""


class VirtualTime:
    """The moment, in Unix milliseconds, and the exchange's events to come."""

    def __init__(self, at_ms: int) -> None:
        self._start_ms = at_ms
        self._elapsed_ms = 0.0  # counted from the start, where a float tells nanoseconds apart
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def now_ms(self) -> int:
        """The moment, in whole milliseconds."""
        return self._start_ms + int(self._elapsed_ms)

    def call_at(self, at_ms: int, act: Callable[[], None]) -> None:
        """Run `act` once at a moment, or at the next look when that has passed."""
        due_ms = max(float(at_ms - self._start_ms), self._elapsed_ms)
        heapq.heappush(self._events, (due_ms, next(self._numbers), act))

    def advance(self, span_ms: float) -> None:
        """Let time pass; what the exchange was to do in it is done, in order."""
        self._advance_to(self._elapsed_ms + span_ms)

    def elapsed_ms(self) -> float:
        """What has passed since the start, with its fraction; for the loop."""
        return self._elapsed_ms

    def next_ms(self) -> float | None:
        """After what span since the start the exchange acts next; None when it has nothing to do."""
        return self._events[0][0] if self._events else None

    def _advance_to(self, at_ms: float) -> None:
        while self._events and self._events[0][0] <= at_ms:
            due_ms, _, act = heapq.heappop(self._events)
            self._elapsed_ms = max(self._elapsed_ms, due_ms)
            act()
        self._elapsed_ms = max(self._elapsed_ms, at_ms)


class _Jumps(selectors.SelectSelector):
    """Where a loop would wait, the time jumps."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        event_ms = self._time.next_ms()
        if timeout is None:
            if event_ms is None:
                raise StalledError("nothing is left to happen")
            span_ms = event_ms - self._time.elapsed_ms()
        else:
            span_ms = timeout * MS
            if event_ms is not None:
                span_ms = min(span_ms, event_ms - self._time.elapsed_ms())
        self._time.advance(max(0.0, span_ms))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lives in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__(_Jumps(time))
        self._virtual = time

    def time(self) -> float:
        """Seconds since the start of the virtual time."""
        return self._virtual.elapsed_ms() / MS


def run(time: VirtualTime, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time, and cancel what it left."""
    loop = VirtualLoop(time)
    try:
        return loop.run_until_complete(main)
    finally:
        _end(loop)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    try:
        loop.run_until_complete(_ended(tasks))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
