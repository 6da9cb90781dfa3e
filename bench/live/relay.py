"""Blocking calls under virtual time: each runs in a thread of its own, and of these and the loop one runs at a time.

A call goes on until it waits; then the loop goes on, and virtual time with it, until the wait is over. So a request is
under way while everything else happens, as over a network, and every run repeats to the last step: what runs next is
said by the time alone, never by the machine.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from simulator.virtual import VirtualTime

T = TypeVar("T")


class KilledError(BaseException):
    """The process that this ran in is no more; nothing may catch it."""


class Relay:
    """The threads of one world; close it once."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._idle: list[_Thread] = []
        self._busy: dict[_Thread, asyncio.Future[object]] = {}
        self._current: _Thread | None = None

    def runner(self, _name: str) -> Callable[[Callable[[], T]], Awaitable[T]]:
        """What a session runs its calls with."""
        return self._run

    def wait(self, ms: int) -> None:
        """From within a call: let so much time pass."""
        thread = self._current
        if thread is None:
            raise RuntimeError("only a call that runs in a thread can wait")
        call = thread.call
        self._time.call_at(self._time.now_ms() + ms, lambda: self._go_on(thread, call))
        thread.park()

    def kill(self) -> None:
        """End every call that is under way, where it waits."""
        for thread in list(self._busy):
            thread.killed = True
            self._go_on(thread, thread.call)

    def close(self) -> None:
        """End the threads."""
        self.kill()
        for thread in self._idle:
            thread.end()

    async def _run(self, work: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        thread = self._idle.pop() if self._idle else _Thread()
        self._busy[thread] = future
        thread.begin(work)
        self._follow(thread)
        return await future

    def _go_on(self, thread: "_Thread", call: int) -> None:
        if thread in self._busy and thread.call == call:
            self._follow(thread)

    def _follow(self, thread: "_Thread") -> None:
        """Let a thread run until it waits or has ended."""
        self._current = thread
        thread.run()
        self._current = None
        if not thread.ended:
            return
        future = self._busy.pop(thread)
        self._idle.append(thread)
        if future.done():
            return
        if isinstance(thread.fault, KilledError):
            future.cancel()
        elif thread.fault is not None:
            future.set_exception(thread.fault)
        else:
            future.set_result(thread.result)


class _Thread:
    """One thread, which runs only while the loop's thread stands in `run`."""

    def __init__(self) -> None:
        self.call = 0
        """Counts the calls, so that a wait of an earlier one wakes nobody."""
        self.ended = True
        self.killed = False
        self.result: object = None
        self.fault: BaseException | None = None
        self._work: Callable[[], object] | None = None
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def begin(self, work: Callable[[], object]) -> None:
        """Take up a call; `run` starts it."""
        self.call += 1
        self.ended, self.killed, self.result, self.fault = False, False, None, None
        self._work = work

    def run(self) -> None:
        """From the loop: go on until the call waits or ends."""
        self._go.release()
        self._back.acquire()

    def park(self) -> None:
        """From the thread: wait until the loop says to go on. Raises KilledError."""
        self._back.release()
        self._go.acquire()
        if self.killed:
            raise KilledError

    def end(self) -> None:
        """From the loop, between two calls."""
        self._work = None
        self._go.release()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            self._go.acquire()
            if self._work is None:
                return
            try:
                self.result = self._work()
            except BaseException as fault:  # noqa: BLE001 - it is raised where the call was made
                self.fault = fault
            self._work, self.ended = None, True
            self._back.release()
