"""A span of time in which something does not happen."""


class Pause:
    """Begins, and ends by itself. A clock that was set back starts it anew: it never grows beyond its length."""

    def __init__(self) -> None:
        self._begun_ms = 0
        self._length_ms = 0

    def begin(self, now_ms: int, length_ms: int) -> None:
        """Last so long from now on, or as long as it lasted already when that is longer."""
        self._length_ms = max(length_ms, self.left_ms(now_ms))
        self._begun_ms = now_ms

    def end(self) -> None:
        """End at once."""
        self._length_ms = 0

    def left_ms(self, now_ms: int) -> int:
        """How long it still lasts; 0 when it is over."""
        self._begun_ms = min(self._begun_ms, now_ms)
        return max(0, self._begun_ms + self._length_ms - now_ms)
