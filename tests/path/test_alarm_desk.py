"""An alarm of the way to the venue halts, reduces or has the account compared; it never stops who raises it."""

import asyncio

import pytest
from structlog.testing import capture_logs
from world import World

from gateway.alarm_desk import NOTED_MAX, AlarmDesk, Answer
from gateway.core.model import RiskState


async def after(world, *alarms):
    """What became of the world once the desk has acted on all of them; how often a comparison was asked for."""
    desk, compared = AlarmDesk(), []
    for answer, reason in alarms:
        desk.ring("kind", "what happened", answer, reason)
    watching = asyncio.create_task(desk.watch(world.guard, lambda: compared.append(True)))
    await asyncio.sleep(0.01)
    watching.cancel()
    return len(compared)


@pytest.fixture
def world():
    return World()


async def test_a_key_that_is_not_taken_halts(world):
    await after(world, (Answer.HALT, "the key is not taken"))
    change = world.journal.risk[0]
    assert (change.to_state, change.actor, change.reason) == (RiskState.HALTED, "tollgate", "the key is not taken")


async def test_a_halt_that_cannot_be_journaled_stands_and_the_desk_goes_on(world):
    world.journal.full = True
    assert await after(world, (Answer.HALT, "the key is not taken"), (Answer.COMPARE, "")) == 1
    assert world.guard.standing().state is RiskState.HALTED


async def test_a_clock_or_an_order_that_is_another_reduces_and_is_journaled_once(world):
    await after(world, (Answer.REDUCE, "the clock is off"), (Answer.REDUCE, "the clock is off"))
    assert [change.to_state for change in world.journal.risk] == [RiskState.REDUCING]


async def test_a_foreign_hand_has_the_account_compared_and_a_ban_is_only_told(world):
    with capture_logs() as logs:
        assert await after(world, (Answer.COMPARE, ""), (Answer.TELL, "")) == 1
    assert world.journal.risk == []
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("venue_alarm", "error")] * 2


async def test_more_alarms_than_can_wait_are_told_and_dropped():
    desk = AlarmDesk()
    with capture_logs() as logs:
        for _ in range(NOTED_MAX + 1):
            desk.ring("kind", "what happened", Answer.TELL, "")
    assert [entry["event"] for entry in logs].count("venue_alarm_dropped") == 1
