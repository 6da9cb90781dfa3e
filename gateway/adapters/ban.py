"""The exclusion of this machine's address by HTTP 403: no HTTP to the exchange until it is over, whoever wants to ask.

The exchange counts requests by address. Orders, questions about the account and market data come from one address, so
one object is shared by all who send.
"""

from gateway.adapters.pause import Pause
from gateway.ports import Clock

BAN_SECONDS = 600
"""Bybit lifts its ban ten minutes after the last request."""
_WORDS = "too frequent"
"""What a 403 for too many requests says ("access too frequent"); any other 403 is policy, which no waiting mends."""


def tells_of_ban(text: str) -> bool:
    """Whether the body of a 403 is that of a ban."""
    return _WORDS in text.lower()


class AddressBan:
    """The ban of one address."""

    def __init__(self, *, clock: Clock, seconds: int = BAN_SECONDS) -> None:
        self._clock = clock
        self._length_ms = seconds * 1000
        self._pause = Pause()

    def begin(self) -> bool:
        """The exchange has said so, now; True when that is news."""
        now_ms = self._clock.now_ms()
        is_news = not self._pause.left_ms(now_ms)
        self._pause.begin(now_ms, self._length_ms)
        return is_news

    def left_ms(self) -> int:
        """How long nothing may be sent yet; 0 when there is no ban."""
        return self._pause.left_ms(self._clock.now_ms())
