"""Pauses between attempts at something that fails: longer each time, partly random, short again once it went well."""

import asyncio
import random

BACKOFF_SECONDS = (0.2, 5.0)
"""The first and the longest pause between two connections; each failure doubles it."""


class Backoff:
    """The pauses of one connection."""

    def __init__(self, seconds: tuple[float, float], chance: random.Random) -> None:
        self._shortest, self._longest = seconds
        self._next = self._shortest
        self._chance = chance

    def reset(self) -> None:
        """It went well: the next pause is the shortest."""
        self._next = self._shortest

    async def pause(self) -> None:
        """Wait. Half of each pause is random, so that many gateways do not come back in step."""
        await asyncio.sleep(self._next * self._chance.uniform(0.5, 1.0))
        self._next = min(self._next * 2, self._longest)
