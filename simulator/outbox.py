"""What waits to be sent over one connection, and the wish to end it. No sockets here."""

from collections import deque
from collections.abc import Callable

FRAMES_MAX = 1_000
"""Unsent frames of one connection; a reader slower than that is cut off."""
GOING_AWAY = 1001
"""The close code of a server that stops or restarts."""
ABORT = 1006
"""Not a close code that is ever sent: the connection is to end without a word, as after a failure of the network."""
TOO_SLOW = ABORT


class Outbox:
    """The frames of one connection, in order, until its socket takes them."""

    def __init__(self, frames_max: int = FRAMES_MAX) -> None:
        self._frames: deque[str] = deque()
        self._frames_max = frames_max
        self.close_code: int | None = None
        """Once set, the connection is to be closed with this code, or aborted where it is ABORT."""
        self.on_change: Callable[[], None] = _nothing
        """Called whenever there is something to send or to end; it may not raise."""

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, text: str) -> None:
        """Append a frame; the connection ends where its reader is too slow for it."""
        if self.close_code is not None:
            return
        if len(self._frames) >= self._frames_max:
            self.close(TOO_SLOW)
            return
        self._frames.append(text)
        self.on_change()

    def take(self) -> list[str]:
        """All waiting frames, which wait no longer."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def close(self, code: int) -> None:
        """End the connection; what waits is not sent. The first code counts."""
        if self.close_code is None:
            self.close_code = code
            self._frames.clear()
            self.on_change()


def _nothing() -> None:
    """What happens before a socket listens."""
