"""Whose turn it is to use a session's thread: one call at a time, in the order in which they came.

A call waits here, on the loop, and not in the thread's queue: so it is judged by what the call before it has learned, a
ban or a limit that is used up.
"""

import asyncio
from collections import deque

WAITING_MAX = 64
"""Calls that may wait: more would be too old when their turn came."""


class TooManyWaitError(Exception):
    """So many calls wait already that this one was not taken."""


class Turns:
    """The turns of one session; for one event loop."""

    def __init__(self, *, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max = waiting_max
        self._taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        """Wait for the turn; whoever has it must give it on. Raises TooManyWaitError."""
        if not self._taken:
            self._taken = True
            return
        if len(self._waiting) >= self._waiting_max:
            raise TooManyWaitError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # it came in the same moment
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def give(self) -> None:
        """The turn is over: the next one has it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller has just gone away
                turn.set_result(None)
                return
        self._taken = False
