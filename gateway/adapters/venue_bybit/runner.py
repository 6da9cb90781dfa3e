"""Where pybit's blocking calls run: one thread for each session, since neither pybit nor requests shares one safely."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class Runner(Protocol):
    """Runs blocking work, one piece at a time, in the order in which it came."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """The result of `work`."""
        ...


class ThreadRunner:
    """One thread. It has no bound of its own: a session hands it one piece of work at a time (turns.py)."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def __call__(self, work: Callable[[], T], /) -> T:
        """The result of `work`."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """End the thread once what it was given is done, without blocking the loop."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)
