"""Tells readers of events what became durable; a slow reader is cut off, and never slows the journal."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from gateway.ports import Event

EVENTS_MAX: Final = 1000
"""How far a reader may fall behind; the contract of WatchEvents names this number."""


class Watchers:
    """The readers of events at this moment."""

    def __init__(self) -> None:
        self._readers: set[_Reader] = set()

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[Event]]:
        """Events from now on; the iterator ends when its reader is cut off, or the journal closes."""
        reader = _Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def publish(self, make_events: Callable[[], Sequence[Event]]) -> None:
        """Give events to every reader; they are made only when there is one."""
        if not self._readers:
            return
        events = make_events()
        self._readers = {reader for reader in self._readers if reader.take(events)}

    def end(self) -> None:
        """End every reader, after what it has not read yet."""
        for reader in self._readers:
            reader.end()
        self._readers.clear()


class _Reader(AsyncIterator[Event]):
    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._woken = asyncio.Event()
        self._ended = False

    def take(self, events: Sequence[Event]) -> bool:
        """Queue as many as there is room for; False when that was not all, and the reader ends after them."""
        room = EVENTS_MAX - len(self._events)
        self._events.extend(events[:room])
        self._woken.set()
        if len(events) > room:
            self.end()
        return not self._ended

    def end(self) -> None:
        self._ended = True
        self._woken.set()

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._woken.clear()
            await self._woken.wait()
        return self._events.popleft()
