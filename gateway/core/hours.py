"""Trading hours and maintenance windows, in UTC.

Hours are written `Mon-Fri 08:00-20:00` or `Sat 10:00-12:00`, several separated by commas; an end at or before its
beginning reaches into the next day, and 24:00 is the end of a day. Windows are written
`2026-11-24T10:00/2026-11-24T11:00`. A beginning belongs to a span or window, an end does not.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

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
    return tuple(span for part in text.split(",") if part.strip() for span in _spans(part.split()))


def parse_windows(text: str) -> tuple[Window, ...]:
    """Read windows; empty text gives none. Raises ValueError."""
    return tuple(_window(part.strip()) for part in text.split(",") if part.strip())


def _spans(words: list[str]) -> list[Span]:
    try:
        days, hours = words
        first, _, last = days.partition("-")
        begin, end = (_minute(clock) for clock in hours.split("-"))
        begin_day, end_day = DAYS.index(first), DAYS.index(last or first)
    except ValueError:
        raise ValueError("must be hours like Mon-Fri 08:00-20:00, separated by commas") from None
    minutes = end - begin if end > begin else end - begin + DAY_MINUTES
    count = (end_day - begin_day) % len(DAYS) + 1
    days_of = ((begin_day + number) % len(DAYS) for number in range(count))
    return [Span(from_minute=day * DAY_MINUTES + begin % DAY_MINUTES, minutes=minutes) for day in days_of]


def _minute(clock: str) -> int:
    """The minute of the day. Raises ValueError."""
    hour, minute = (int(part) for part in clock.split(":") if part.isdecimal())
    total = hour * 60 + minute
    if minute >= 60 or total > DAY_MINUTES:  # noqa: PLR2004 - of an hour
        raise ValueError(clock)
    return total


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
