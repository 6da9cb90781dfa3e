"""Trading hours and maintenance windows: how they are written, and what belongs to them."""

from datetime import UTC, datetime

import pytest

from gateway.core.hours import Span, Window, is_within, parse_hours, parse_windows, window_at

MINUTE = 60_000


def at(text):
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


MONDAY = at("2026-11-23T00:00")


def test_a_day_of_the_week_is_the_calendars():
    for number, day in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")):
        inside = [
            hour for hour in range(7 * 24) if is_within(parse_hours(f"{day} 00:00-24:00"), MONDAY + hour * 60 * MINUTE)
        ]
        assert inside == list(range(24 * number, 24 * number + 24))


def test_a_beginning_belongs_to_its_span_and_an_end_does_not():
    hours = parse_hours("Mon-Fri 08:00-20:30")
    assert [is_within(hours, at(f"2026-11-27T{clock}")) for clock in ("07:59:59", "08:00", "20:29:59", "20:30")] == [
        False,
        True,
        True,
        False,
    ]
    assert not is_within(hours, at("2026-11-28T10:00"))


def test_a_span_may_run_over_midnight_and_over_the_weeks_end():
    hours = parse_hours("Sun 22:00-02:00")
    assert hours == (Span(from_minute=6 * 1440 + 1320, minutes=240),)
    inside = [hour for hour in range(-3, 5) if is_within(hours, MONDAY + hour * 60 * MINUTE)]
    assert inside == [-2, -1, 0, 1]


def test_days_may_run_over_the_weeks_end_and_several_spans_add_up():
    spans = parse_hours("Sat-Mon 10:00-11:00, Wed 12:00-12:01")
    assert sorted(span.from_minute // 1440 for span in spans) == [0, 2, 5, 6]
    assert is_within(spans, at("2026-11-25T12:00:59"))
    assert is_within(spans, at("2026-11-22T10:30"))
    assert not is_within(spans, at("2026-11-24T10:30"))


def test_the_same_beginning_and_end_are_a_whole_day():
    assert parse_hours("Mon 09:00-09:00") == (Span(from_minute=540, minutes=1440),)


def test_nothing_is_no_hours_and_no_windows():
    assert (parse_hours(""), parse_windows(" ")) == ((), ())
    assert not is_within((), MONDAY)
    assert window_at((), MONDAY) is None


@pytest.mark.parametrize(
    "text",
    [
        "Mon",
        "08:00-20:00",
        "Moon 08:00-20:00",
        "Mon 8-20",
        "Mon 08:60-09:00",
        "Mon 08:00-24:01",
        "Mon 24:00-10:00",
        "Mon 08:00",
        "Mon 08:00-09:00-10:00",
        "Mon-Xxx 08:00-09:00",
        "Mon 08:00-09:00 UTC",
        "Mon -1:00-09:00",
    ],
)
def test_hours_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match="must be hours like Mon-Fri 08:00-20:00"):
        parse_hours(text)


def test_windows_are_utc_and_may_say_otherwise():
    text = "2026-11-24T10:00/2026-11-24T11:00,2026-11-25T10:00+02:00/2026-11-25T11:00+02:00"
    first, second = parse_windows(text)
    assert first == Window(from_ms=at("2026-11-24T10:00"), until_ms=at("2026-11-24T11:00"))
    assert second.from_ms == at("2026-11-25T08:00")
    assert window_at((first, second), second.from_ms) is second
    assert window_at((first, second), first.until_ms - 1) is first
    assert window_at((first, second), first.until_ms) is None


@pytest.mark.parametrize("text", ["today", "2026-11-24T10:00", "2026-11-24T10:00/later"])
def test_windows_that_cannot_be_read_are_refused(text):
    with pytest.raises(ValueError, match="must be windows like"):
        parse_windows(text)


@pytest.mark.parametrize("end", ["10:00", "09:00"])
def test_a_window_ends_after_it_begins(end):
    with pytest.raises(ValueError, match="ends before it begins"):
        parse_windows(f"2026-11-24T10:00/2026-11-24T{end}")
