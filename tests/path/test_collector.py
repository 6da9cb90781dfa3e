"""Requests in flight are worked on together; a lone one never waits."""

import asyncio

import pytest

from gateway.collector import LINGER_SECONDS, Collector, TooManyWaitingError


class Work:
    """Doubles numbers, remembers the batches, and can be held up."""

    def __init__(self):
        self.batches = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items):
        self.batches.append(list(items))
        await self.gate.wait()
        if "bad" in items:
            raise LookupError("bad")
        return [item * 2 for item in items]


def collector(work, waiting_max=1000):
    return Collector(work, rows_max=100, waiting_max=waiting_max)


async def test_a_lone_request_never_waits():
    work = Work()
    work.gate.clear()
    asked = collector(work)
    for number in range(5):
        task = asyncio.create_task(asked.ask(number))
        for _ in range(4):  # turns of the event loop, in no time: a timer would need its milliseconds
            await asyncio.sleep(0)
        assert work.batches[-1] == [number]
        work.gate.set()
        assert await task == number * 2
        work.gate.clear()


async def test_what_comes_while_batches_run_leaves_together_and_each_gets_its_own_answer():
    work = Work()
    work.gate.clear()
    asked = collector(work)
    tasks = [asyncio.create_task(asked.ask(number)) for number in range(50)]
    await asyncio.sleep(LINGER_SECONDS * 3)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [number * 2 for number in range(50)]
    assert sorted(number for batch in work.batches for number in batch) == list(range(50))
    assert len(work.batches) < 10


async def test_a_batch_leaves_by_the_timer_when_those_expected_never_come():
    work = Work()
    asked = collector(work)
    await asyncio.gather(*(asked.ask(number) for number in range(64)))
    async with asyncio.timeout(LINGER_SECONDS * 20):
        assert await asked.ask(7) == 14


async def test_a_fault_reaches_every_caller_of_its_batch_and_no_other():
    work = Work()
    work.gate.clear()
    asked = collector(work)
    first = asyncio.create_task(asked.ask(1))
    await asyncio.sleep(0)
    bad = asyncio.create_task(asked.ask("bad"))
    await asyncio.sleep(LINGER_SECONDS * 2)
    work.gate.set()
    assert await first == 2
    with pytest.raises(LookupError):
        await bad
    assert await asked.ask(3) == 6


async def test_a_caller_who_hangs_up_disturbs_nobody():
    work = Work()
    work.gate.clear()
    asked = collector(work)
    gone, stays = asyncio.create_task(asked.ask(1)), asyncio.create_task(asked.ask(2))
    await asyncio.sleep(LINGER_SECONDS * 2)
    gone.cancel()
    work.gate.set()
    assert await stays == 4


async def test_no_more_wait_than_may():
    work = Work()
    work.gate.clear()
    asked = collector(work, waiting_max=3)
    tasks = [asyncio.create_task(asked.ask(number)) for number in range(12)]
    await asyncio.sleep(LINGER_SECONDS * 3)
    work.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert any(isinstance(result, TooManyWaitingError) for result in results)
    assert [result for result in results if isinstance(result, int)]
