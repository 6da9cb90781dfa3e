"""The machine's clock."""

import time


class SystemClock:
    """Wall-clock time; the machine keeps it right (NTP)."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000
