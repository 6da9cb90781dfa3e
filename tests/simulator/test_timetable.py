"""The server's scheduler on an event loop; the one moved by hand is met in test_api_inprocess.py."""

import asyncio

from simulator.clock import MarketClock
from simulator.timetable import LoopScheduler


async def test_what_is_due_runs_in_order_of_time_however_it_was_given():
    scheduler, seen = LoopScheduler(MarketClock(), asyncio.get_running_loop()), []
    start = scheduler.now_ms()
    for name, after_ms in (("c", 40), ("a", 10), ("b", 20), ("past", -5), ("b2", 20)):
        scheduler.call_at(start + after_ms, lambda name=name: seen.append((name, scheduler.now_ms() - start)))
    await asyncio.sleep(0.08)
    assert [name for name, _ in seen] == ["past", "a", "b", "b2", "c"]
    assert all(at >= due for (_, at), due in zip(seen, (0, 10, 20, 20, 40), strict=True))


async def test_a_fast_clock_is_waited_for_less_long():
    scheduler, seen = LoopScheduler(MarketClock(speed=100.0), asyncio.get_running_loop()), []
    scheduler.call_at(scheduler.now_ms() + 2_000, lambda: seen.append(1))
    await asyncio.sleep(0.1)
    assert seen == [1]


async def test_what_fails_is_reported_and_the_rest_goes_on():
    loop, reported, seen = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _loop, context: reported.append(str(context["exception"])))
    scheduler = LoopScheduler(MarketClock(), loop)

    def fail():
        raise RuntimeError("no")

    scheduler.call_at(scheduler.now_ms() + 5, fail)
    scheduler.call_at(scheduler.now_ms() + 5, lambda: seen.append(1))
    await asyncio.sleep(0.05)
    assert (reported, seen) == (["no"], [1])


async def test_after_the_close_nothing_happens():
    scheduler, seen = LoopScheduler(MarketClock(), asyncio.get_running_loop()), []
    scheduler.call_at(scheduler.now_ms() + 5, lambda: seen.append(1))
    scheduler.close()
    await asyncio.sleep(0.03)
    assert seen == []
