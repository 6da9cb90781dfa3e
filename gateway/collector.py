"""Collects what is asked for at the same time into one piece of work."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gateway.core.pacing import Pace

LINGER_SECONDS = 0.008
"""How long the first of a batch waits for the others at most."""

BATCHES_MAX = 2
"""Batches under way at once: one with the model, one with the journal."""

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
        self._rows_max = rows_max
        self._waiting_max = waiting_max
        self._waiting: list[tuple[ItemT, asyncio.Future[ResultT]]] = []
        self._pace = Pace(batches_max=BATCHES_MAX)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, item: ItemT) -> ResultT:
        """The result for one item. Raises what the work raises, and TooManyWaitingError."""
        if len(self._waiting) >= self._waiting_max:
            raise TooManyWaitingError
        future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._consider()
        return await future

    def _consider(self) -> None:
        """Send what waits when it is due, else look again soon."""
        if self._pace.is_due(len(self._waiting)):
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._linger_over)

    def _linger_over(self) -> None:
        self._timer = None
        if self._waiting and self._pace.may_send():
            self._send()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting[: self._rows_max], self._waiting[self._rows_max :]
        self._pace.sent(len(batch))
        task = asyncio.create_task(self._answer(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: Sequence[tuple[ItemT, asyncio.Future[ResultT]]]) -> None:
        gathered = await asyncio.gather(self._work([item for item, _ in batch]), return_exceptions=True)
        self._pace.ended(len(batch))
        outcome = gathered[0]
        for index, (_, future) in enumerate(batch):
            if future.done():  # its caller has gone
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome[index])
        if self._waiting:
            self._consider()
