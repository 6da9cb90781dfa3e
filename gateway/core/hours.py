"""Trading hours and maintenance windows, in UTC.

Hours are written `Mon-Fri 08:00-20:00` or `Sat 10:00-12:00`, several separated by commas; an end at or before its
beginning reaches into the next day, and 24:00 is the end of a day. Windows are written
`2026-11-24T10:00/2026-11-24T11:00`. A beginning belongs to a span or window, an end does not.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

_DAY = f"({'|'.join(DAYS)})"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_HOURS = re.compile(rf"{_DAY}(?:-{_DAY})? ({_CLOCK})-({_CLOCK}|24:00)", re.ASCII)

MINUTE_MS = 60_000
DAY_MINUTES = 1_440
WEEK_MINUTES = 7 * DAY_MINUTES
MONDAY_MINUTES = 4 * DAY_MINUTES
"""1 January 1970 was a Thursday: the first Monday began so many minutes later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of every week, minutes from Monday 00:00 UTC; it may run over the week's end."""

    from_minute: int
    """0 to 10,079."""
    minutes: int
    """1 to 10,080."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time."""

    from_ms: int
    until_ms: int


def is_within(spans: tuple[Span, ...], at_ms: int) -> bool:
    """Whether a moment lies in one of the spans of the week."""
    minute = (at_ms // MINUTE_MS - MONDAY_MINUTES) % WEEK_MINUTES
    return any((minute - span.from_minute) % WEEK_MINUTES < span.minutes for span in spans)


def window_at(windows: tuple[Window, ...], at_ms: int) -> Window | None:
    """The first window that a moment lies in."""
    return next((window for window in windows if window.from_ms <= at_ms < window.until_ms), None)


def parse_hours(text: str) -> tuple[Span, ...]:
    """Read hours; empty text gives none. Raises ValueError."""
    return tuple(span for part in text.split(",") if part.strip() for span in _spans(part.strip()))


def parse_windows(text: str) -> tuple[Window, ...]:
    """Read windows; empty text gives none. Raises ValueError."""
    return tuple(_window(part.strip()) for part in text.split(",") if part.strip())


def _spans(part: str) -> list[Span]:
    read = _HOURS.fullmatch(part)
    if read is None:
        raise ValueError("must be hours like Mon-Fri 08:00-20:00, separated by commas")
    first, last, *clocks = read.groups()
    begin, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in clocks)
    minutes = end - begin if end > begin else end - begin + DAY_MINUTES
    begin_day, end_day = DAYS.index(first), DAYS.index(last or first)
    count = (end_day - begin_day) % len(DAYS) + 1
    days = ((begin_day + number) % len(DAYS) for number in range(count))
    return [Span(from_minute=day * DAY_MINUTES + begin, minutes=minutes) for day in days]


def _window(text: str) -> Window:
    begin, _, end = text.partition("/")
    try:
        window = Window(from_ms=_ms(begin), until_ms=_ms(end))
    except ValueError:
        raise ValueError("must be windows like 2026-11-24T10:00/2026-11-24T11:00, separated by commas") from None
    if window.until_ms <= window.from_ms:
        raise ValueError("has a window that ends before it begins")
    return window


def _ms(text: str) -> int:
    """A moment of UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.timestamp() * 1_000)
