"""When the exchange is not there at all: REST, the streams or both, for a while."""

from collections.abc import Callable
from enum import StrEnum

SECONDS_MAX = 3_600.0


class Part(StrEnum):
    """What is down."""

    REST = "rest"
    STREAMS = "streams"
    ALL = "all"


class Outages:
    """What is down, and until when."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._until = {Part.REST: 0, Part.STREAMS: 0}
        self.on_begin: list[Callable[[Part, float], None]] = []
        """Told of every outage and its seconds: who holds connections cuts them."""

    def begin(self, part: Part, seconds: float) -> None:
        """From now on, for so long; a later end than the one before counts."""
        until_ms = self._now_ms() + int(seconds * 1000)
        for each in self._until if part is Part.ALL else (part,):
            self._until[each] = max(self._until[each], until_ms)
        for told in self.on_begin:
            told(part, seconds)

    def down(self, part: Part) -> bool:
        """Whether REST, or the streams, are down."""
        return self._now_ms() < self._until[part]
