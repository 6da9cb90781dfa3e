"""Collects what is asked for at the same time into one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gateway.gathering import Gathering

LINGER_SECONDS = 0.008
"""How long the first of a batch waits for the others at most."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class TooManyWaitingError(Exception):
    """More items wait than can be answered in reasonable time."""


class Collector(Generic[ItemT, ResultT]):
    """Answers items one by one, and works on them many at a time."""

    def __init__(
        self, work: Callable[[Sequence[ItemT]], Awaitable[Sequence[ResultT]]], *, rows_max: int, waiting_max: int
    ) -> None:
        self._work = work
        self._waiting_max = waiting_max
        self._gathering: Gathering[tuple[ItemT, asyncio.Future[ResultT]]] = Gathering(
            self._begin, linger_seconds=LINGER_SECONDS, rows_max=rows_max
        )
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, item: ItemT) -> ResultT:
        """The result for one item. Raises what the work raises, and TooManyWaitingError."""
        if len(self._gathering) >= self._waiting_max:
            raise TooManyWaitingError
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._gathering.add((item, future))
        return await future

    def _begin(self, batch: Sequence[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        task = asyncio.create_task(self._answer(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: Sequence[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        gathered = await asyncio.gather(self._work([item for item, _ in batch]), return_exceptions=True)
        outcome = gathered[0]
        for index, (_, future) in enumerate(batch):
            if future.done():  # its caller has gone
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome[index])
        self._gathering.ended(len(batch))
