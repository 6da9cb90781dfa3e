"""Virtual time: it jumps, in order, and never waits."""

import asyncio
import time as wall

import pytest

from simulator.virtual import StalledError, VirtualTime, run

START_MS = 1_700_000_000_000


def test_an_hour_of_sleep_takes_no_time():
    clock = VirtualTime(START_MS)
    begun = wall.monotonic()
    run(clock, asyncio.sleep(3600))
    assert clock.now_ms() == START_MS + 3_600_000
    assert wall.monotonic() - begun < 1


def test_timers_of_the_loop_and_events_of_the_exchange_happen_in_order_of_time():
    clock = VirtualTime(START_MS)
    seen = []

    async def main():
        clock.call_at(START_MS + 1500, lambda: seen.append(("exchange", clock.now_ms() - START_MS)))
        clock.call_at(START_MS + 500, lambda: seen.append(("exchange", clock.now_ms() - START_MS)))
        await asyncio.sleep(1)
        seen.append(("loop", clock.now_ms() - START_MS))
        await asyncio.sleep(1)

    run(clock, main())
    assert seen == [("exchange", 500), ("loop", 1000), ("exchange", 1500)]


def test_an_event_wakes_a_task_that_waits_without_a_limit():
    clock = VirtualTime(START_MS)

    async def main():
        told = asyncio.Event()
        clock.call_at(START_MS + 250, told.set)
        await told.wait()
        return clock.now_ms() - START_MS

    assert run(clock, main()) == 250


def test_what_waits_for_ever_is_told_as_stalled():
    clock = VirtualTime(START_MS)

    async def main():
        await asyncio.Event().wait()

    with pytest.raises(StalledError):
        run(clock, main())


def test_time_that_a_blocking_caller_lets_pass_brings_the_events_of_that_span_only():
    clock = VirtualTime(START_MS)
    seen = []
    clock.call_at(START_MS + 100, lambda: seen.append(clock.now_ms() - START_MS))
    clock.call_at(START_MS + 100, lambda: seen.append("second"))
    clock.call_at(START_MS + 101, lambda: seen.append("late"))
    clock.advance(100)
    assert seen == [100, "second"]
    assert clock.now_ms() == START_MS + 100


def test_an_event_made_within_an_event_happens_in_its_own_turn():
    clock = VirtualTime(START_MS)
    seen = []

    def first():
        clock.call_at(clock.now_ms() + 10, lambda: seen.append(clock.now_ms() - START_MS))

    clock.call_at(START_MS + 5, first)
    clock.advance(20)
    assert seen == [15]
    assert clock.now_ms() == START_MS + 20
