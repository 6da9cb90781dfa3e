"""Time and what is to happen in it: the exchange's Scheduler, driven by hand or by an event loop."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

from simulator.clock import MarketClock

Act = Callable[[], None]


class Timetable:
    """What is to happen, by time; what has the same time keeps the order in which it was put."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, int, Act]] = []
        self._numbers = itertools.count()

    @property
    def next_ms(self) -> int | None:
        """When the next thing is to happen."""
        return self._entries[0][0] if self._entries else None

    def put(self, at_ms: int, act: Act) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._entries, (at_ms, next(self._numbers), act))

    def pop(self, until_ms: int) -> tuple[int, Act] | None:
        """The next thing that is to happen until then, with its time; it waits no longer."""
        if not self._entries or self._entries[0][0] > until_ms:
            return None
        at_ms, _, act = heapq.heappop(self._entries)
        return at_ms, act


class HandScheduler:
    """A clock that stands still until it is told to go on."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._timetable = Timetable()

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._now_ms

    def call_at(self, at_ms: int, act: Act) -> None:
        """Run `act` once, when the clock is moved to that time or past it; a time that has passed counts as now."""
        self._timetable.put(max(at_ms, self._now_ms), act)

    def advance(self, ms: int) -> None:
        """Let so much time pass; what is due runs in order of time, at its time.

        What runs may itself let time pass; the clock never goes back.
        """
        until_ms = self._now_ms + ms
        while (due := self._timetable.pop(until_ms)) is not None:
            at_ms, act = due
            self._now_ms = max(self._now_ms, at_ms)
            act()
        self._now_ms = max(self._now_ms, until_ms)


class LoopScheduler:
    """The clock of a server, with an event loop that runs what is due."""

    def __init__(self, clock: MarketClock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock, self._loop = clock, loop
        self._timetable = Timetable()
        self._timer: asyncio.TimerHandle | None = None

    def now_ms(self) -> int:
        """Unix milliseconds."""
        return self._clock.now_ms()

    def call_at(self, at_ms: int, act: Act) -> None:
        """Run `act` once, on the loop; never before its time."""
        soonest_ms = self._timetable.next_ms
        self._timetable.put(at_ms, act)
        if soonest_ms is None or at_ms < soonest_ms:
            self._arm()

    def close(self) -> None:
        """Nothing happens any more."""
        self._timetable = Timetable()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        """Wake up when the next thing is due."""
        if self._timer is not None:
            self._timer.cancel()
        next_ms = self._timetable.next_ms
        if next_ms is not None:
            wait_ms = max(0, next_ms - self._clock.now_ms())
            self._timer = self._loop.call_later(wait_ms / 1000 / self._clock.speed, self._run)

    def _run(self) -> None:
        try:
            while (due := self._timetable.pop(self._clock.now_ms())) is not None:
                due[1]()
        finally:
            # What failed is the loop's to report; the rest goes on.
            self._arm()
