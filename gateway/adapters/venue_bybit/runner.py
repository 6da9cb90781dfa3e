"""Where pybit's blocking calls run: one thread for each session, since neither pybit nor requests shares one safely."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

QUEUE_MAX = 64
"""Calls that may wait for the thread: more would be too old when their turn came."""

T = TypeVar("T")


class RunnerBusyError(Exception):
    """Too many calls wait already: this one was not taken."""


class Runner(Protocol):
    """Runs blocking work, one piece at a time, in the order in which it came."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """The result of `work`. Raises RunnerBusyError when it was not taken."""
        ...


class ThreadRunner:
    """One thread with a bounded queue."""

    def __init__(self, name: str, *, queue_max: int = QUEUE_MAX) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._queue_max = queue_max
        self._taken = 0

    async def __call__(self, work: Callable[[], T], /) -> T:
        """The result of `work`. Raises RunnerBusyError when it was not taken."""
        if self._taken > self._queue_max:
            raise RunnerBusyError
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._taken -= 1

    async def close(self) -> None:
        """End the thread once what it was given is done, without blocking the loop."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
