"""Reducing beside the other latches, and what an order without a known end keeps others from."""

from decimal import Decimal

import pytest
from builders import BTC, an_order
from world import World

from gateway.core.model import Evidence, Failure, OrderKey, OrderState, Outcome, RiskState, Side
from gateway.core.plan import order_link_id
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.core.venue import VenueBlock
from gateway.ports import JournalUnavailableError


@pytest.fixture
def world():
    return World()


def closing(key="exit"):
    return an_order(key=OrderKey(key), side=Side.SELL, reduce_only=True, confidence=None)


async def test_a_resume_lifts_reducing_and_halt_together_and_a_reset_lifts_neither(world):
    await world.guard.reduce("tollgate", "a position differs")
    assert (await world.guard.halt("ada", "drill")).state is RiskState.HALTED
    assert (await world.guard.reset("ada", "reviewed")).state is RiskState.HALTED
    assert world.guard.is_reducing
    assert (await world.guard.resume("ada", "closed by hand")).state is RiskState.ACTIVE
    assert not world.guard.is_reducing
    assert [(change.from_state, change.to_state) for change in world.journal.risk] == [
        (RiskState.ACTIVE, RiskState.REDUCING),
        (RiskState.REDUCING, RiskState.HALTED),
        (RiskState.HALTED, RiskState.HALTED),
        (RiskState.HALTED, RiskState.ACTIVE),
    ]


async def test_the_same_reason_is_journaled_once_and_another_one_again(world):
    for reason in ("one", "one", "two", "two"):
        await world.guard.reduce("tollgate", reason)
    assert [change.reason for change in world.journal.risk] == ["one", "two"]


async def test_a_resume_that_cannot_be_journaled_lifts_nothing(world):
    await world.guard.reduce("tollgate", "a position differs")
    world.journal.full = True
    with pytest.raises(JournalUnavailableError):
        await world.guard.resume("ada", "closed by hand")
    assert world.guard.is_reducing


async def test_a_refusal_while_reducing_is_kept_and_the_key_is_used_up(world):
    await world.guard.reduce("tollgate", "a position differs")
    refusal = await world.path.execute(an_order())
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.REDUCE_ONLY
    await world.guard.resume("ada", "closed by hand")
    assert await world.path.execute(an_order()) == refusal


async def test_while_an_order_is_unknown_its_symbol_takes_reductions_alone(world):
    await world.path.execute(an_order(confidence=Decimal(1)))
    world.venue.answer = OrderState.UNKNOWN
    await world.path.execute(an_order(key=OrderKey("lost")))
    world.venue.answer = OrderState.FILLED
    refusal = await world.path.execute(an_order(key=OrderKey("next")))
    assert isinstance(refusal, Failure)
    assert (refusal.reason, refusal.retry_seconds) == (Reason.RECONCILING, 1)
    assert isinstance(await world.path.execute(closing()), Answer)
    lost = order_link_id("paper", OrderKey("lost"))
    world.venue.known[lost] = Outcome(state=OrderState.CANCELLED, evidence=Evidence.HISTORY)
    await world.reconciler.run()
    assert isinstance(await world.path.execute(an_order(key=OrderKey("next"))), Answer)


async def test_an_unknown_order_counts_as_filled_whole_against_the_cap(world):
    world.venue.answer = OrderState.UNKNOWN
    await world.path.execute(an_order())
    assert world.account.pending_usd(BTC, Side.BUY) == 1800
    world.restart()
    assert world.account.pending_usd(BTC, Side.BUY) == 1800


async def test_a_blocked_venue_is_sent_nothing_and_the_key_stays_free(world):
    world.venue.blocked = VenueBlock(what="it has banned this address", retry_after_seconds=600)
    refusal = await world.path.execute(an_order())
    assert isinstance(refusal, Failure)
    assert (refusal.reason, refusal.retry_seconds) == (Reason.VENUE_UNAVAILABLE, 600)
    assert (world.venue.submitted, world.journal.records) == ([], [])
    world.venue.blocked = None
    assert isinstance(await world.path.execute(an_order()), Answer)


async def test_a_block_may_let_reductions_through(world):
    await world.path.execute(an_order())
    world.venue.blocked, world.venue.reductions_pass = VenueBlock(what="a breaker", retry_after_seconds=5), True
    assert isinstance(await world.path.execute(closing()), Answer)
    assert isinstance(await world.path.execute(an_order(key=OrderKey("next"))), Failure)
