"""The order path with fakes: once each, durable first, and honest about what is not known."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, a_book, a_decision, a_policy, an_order
from fakes import FakeJournal, FakeVenue
from journal_kit import FILL, a_record
from venue_kit import a_snapshot, a_wallet
from world import World

from gateway.core.model import (
    DecisionId,
    Evidence,
    Failure,
    OrderKey,
    OrderLinkId,
    OrderState,
    Outcome,
    RiskState,
    Side,
)
from gateway.core.plan import order_link_id
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.core.venue import VenueBlock
from gateway.ports import JournalUnavailableError, Step


@pytest.fixture
def world():
    return World()


async def test_an_order_is_journaled_before_the_venue_knows_and_again_after(world):
    answer = await world.path.execute(an_order())
    assert isinstance(answer, Answer)
    assert answer.record.state is OrderState.FILLED
    assert world.states() == [OrderState.PENDING, OrderState.FILLED]
    assert world.tracer.steps == list(Step)
    assert world.account.ledger.position_qty(BTC) == Decimal("0.03")


async def test_fifty_copies_at_once_are_one_order_and_fifty_equal_answers(world):
    answers = await asyncio.gather(*(world.path.execute(an_order()) for _ in range(50)))
    assert len(world.venue.submitted) == 1
    assert answers == [answers[0]] * 50


async def test_a_later_copy_is_replayed(world):
    first = await world.path.execute(an_order())
    again = await world.path.execute(an_order())
    assert isinstance(first, Answer)
    assert again == replace(first, replayed=True)
    assert len(world.venue.submitted) == 1


class SlowVenue(FakeVenue):
    """Answers nothing before it is let."""

    def __init__(self):
        super().__init__()
        self.found, self.answers = asyncio.Event(), asyncio.Event()

    async def submit(self, approved):
        await self.answers.wait()
        return await super().submit(approved)

    async def find(self, record):
        await self.found.wait()
        return self.known.get(record.order_link_id)


async def test_an_order_that_ends_while_the_venue_is_asked_about_another_is_booked_once(world):
    world.venue = SlowVenue()
    lost = a_record(key="lost", symbol="ETHUSDT", state=OrderState.UNKNOWN)
    world.journal.records.append(lost)
    world.restart()
    running = asyncio.create_task(world.path.execute(an_order()))
    await asyncio.sleep(0)
    reconciling = asyncio.create_task(world.reconciler.run())
    await asyncio.sleep(0)
    world.venue.answers.set()
    filled = (await running).record
    world.venue.known = {
        lost.order_link_id: Outcome(state=OrderState.UNKNOWN),
        filled.order_link_id: Outcome(state=OrderState.FILLED, fills=filled.fills, evidence=Evidence.STREAM),
    }
    world.venue.found.set()
    await reconciling
    assert world.account.ledger.position_qty(BTC) == filled.fills[0].qty


class SlowJournal(FakeJournal):
    """Keeps outcomes only when it is let, or loses them."""

    def __init__(self):
        super().__init__()
        self.written, self.loses = asyncio.Event(), False
        self.staged = {}

    def find(self, key):
        return self.staged.get(key) or self.find_order(key)

    def stage(self, record):
        self.staged[record.order.key] = record
        return SlowTicket(self, record)


class SlowTicket:
    def __init__(self, journal, record):
        self.journal, self.record = journal, record

    async def durable(self):
        await self.journal.written.wait()
        staged = self.journal.staged.pop(self.record.order.key, None)
        if self.journal.loses:
            raise JournalUnavailableError("full")
        if staged:
            self.journal.records.append(staged)


@pytest.mark.parametrize(("loses", "state"), [(False, OrderState.FILLED), (True, OrderState.UNKNOWN)])
async def test_a_retry_is_told_an_end_that_reconciliation_found_once_it_is_on_the_disk(world, loses, state):
    world.journal = SlowJournal()
    lost = a_record(state=OrderState.UNKNOWN, order=an_order())
    world.journal.records.append(lost)
    world.venue.known[lost.order_link_id] = Outcome(
        state=OrderState.FILLED, fills=(FILL,), evidence=Evidence.REALTIME, venue_order_id="v1"
    )
    world.restart()
    reconciling = asyncio.create_task(world.reconciler.run())
    await asyncio.sleep(0)
    retry = asyncio.create_task(world.path.execute(an_order()))
    await asyncio.sleep(0.01)
    assert not retry.done()
    world.journal.loses = loses
    world.journal.written.set()
    answer = await retry
    await reconciling
    assert (answer.record.state, answer.replayed) == (state, True)
    assert world.journal.find_order(an_order().key).state is state


@pytest.mark.parametrize(
    "change",
    [{"side": Side.SELL}, {"requested_usd": Decimal(2001)}, {"confidence": Decimal("0.8")}, {"reduce_only": True}],
)
async def test_a_key_with_other_content_is_refused_running_or_finished(world, change):
    other = an_order(**change)
    first, joined = await asyncio.gather(world.path.execute(an_order()), world.path.execute(other))
    assert isinstance(first, Answer)
    for failure in (joined, await world.path.execute(other)):
        assert isinstance(failure, Failure)
        assert failure.reason is Reason.IDEMPOTENCY_KEY_REUSED
    assert len(world.venue.submitted) == 1


async def test_a_refusal_is_kept_and_replayed_even_when_the_world_has_changed(world):
    order = an_order(confidence=Decimal("0.5"))
    first = await world.path.execute(order)
    world.path._policy = a_policy(confidence_threshold=Decimal("0.5"))  # noqa: SLF001 - the operator lowers the threshold
    assert await world.path.execute(order) == first
    assert world.states() == [OrderState.REFUSED]


async def test_what_a_retry_may_change_is_not_kept(world):
    world.market.books.clear()
    failure = await world.path.execute(an_order())
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.MARKET_DATA_STALE
    assert world.journal.records == []
    world.market.books[BTC] = a_book()
    assert isinstance(await world.path.execute(an_order()), Answer)


async def test_a_journal_that_cannot_be_written_sends_nothing_and_reserves_nothing(world):
    world.journal.full = True
    failure = await world.path.execute(an_order())
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.JOURNAL_UNAVAILABLE
    assert world.venue.submitted == []
    assert world.account.open_orders() == ()


async def test_an_outcome_that_cannot_be_kept_is_unknown_and_goes_on_counting(world):
    world.journal.full_after = 1
    answer = await world.path.execute(an_order())
    assert isinstance(answer, Answer)
    assert answer.record.state is OrderState.UNKNOWN
    assert world.account.pending_usd(BTC, Side.BUY) == 1800
    world.journal.full_after = None
    world.venue.known[answer.record.order_link_id] = Outcome(
        state=OrderState.FILLED, fills=(FILL,), evidence=Evidence.REALTIME
    )
    await world.reconciler.run()
    assert world.states() == [OrderState.PENDING, OrderState.FILLED]
    assert world.account.open_orders() == ()


async def test_a_caller_that_hangs_up_leaves_the_order_running(world):
    caller = asyncio.create_task(world.path.execute(an_order()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await world.path.drain()
    assert world.states() == [OrderState.PENDING, OrderState.FILLED]


async def test_orders_at_once_share_the_room_under_the_cap(world):
    orders = [an_order(key=OrderKey(f"k{number}"), confidence=Decimal(1)) for number in range(5)]
    answers = await asyncio.gather(*(world.path.execute(order) for order in orders))
    approved = [answer.record.approved_usd for answer in answers if isinstance(answer, Answer)]
    assert approved == [2000, 2000, 1000]
    assert [answer.reason for answer in answers if isinstance(answer, Failure)] == [Reason.SYMBOL_CAP] * 2


async def test_a_venues_rejection_is_told_as_one_and_kept(world):
    world.venue.answer = OrderState.REJECTED
    failure = await world.path.execute(an_order())
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.metadata) == (Reason.VENUE_REJECTED, {"detail": "as told"})
    assert world.states() == [OrderState.PENDING, OrderState.REJECTED]
    assert await world.path.execute(an_order()) == failure


async def test_a_lost_answer_is_unknown_and_never_sent_again(world):
    world.venue.answer = OrderState.UNKNOWN
    answer = await world.path.execute(an_order())
    again = await world.path.execute(an_order())
    assert isinstance(answer, Answer)
    assert isinstance(again, Answer)
    assert answer.record.state is again.record.state is OrderState.UNKNOWN
    assert len(world.venue.submitted) == 1


def crashed_world():
    """An order was journaled, and the process died before it knew more."""
    world = World()
    world.venue.answer = OrderState.UNKNOWN
    return world


async def test_after_a_crash_what_the_venue_knows_is_recorded():
    world = crashed_world()
    await world.path.execute(an_order())
    world.restart()
    world.venue.known[order_link_id("paper", OrderKey("key-1"))] = Outcome(
        state=OrderState.CANCELLED, evidence=Evidence.HISTORY, venue_order_id="v1"
    )
    await world.reconciler.run()
    ended = world.journal.records[-1]
    assert (ended.state, ended.evidence, ended.venue_order_id) == (OrderState.CANCELLED, Evidence.HISTORY, "v1")


async def test_after_a_crash_a_fresh_order_that_never_arrived_is_sent_once():
    world = crashed_world()
    await world.path.execute(an_order())
    world.restart()
    world.venue.answer = OrderState.FILLED
    await world.reconciler.run()
    await world.reconciler.run()
    assert world.states()[-1] is OrderState.FILLED
    assert len(world.venue.submitted) == 2


async def test_after_a_crash_an_old_order_that_never_arrived_expires():
    world = crashed_world()
    await world.path.execute(an_order())
    world.restart()
    world.clock.at_ms += 15_001
    await world.reconciler.run()
    assert (world.states()[-1], world.journal.records[-1].evidence) == (OrderState.EXPIRED, Evidence.ABSENCE)
    assert len(world.venue.submitted) == 1


async def test_what_the_venue_cannot_tell_of_an_order_of_an_earlier_run_is_recorded_as_unknown():
    world = World()
    world.journal.records.append(a_record(order=an_order(), order_link_id=order_link_id("paper", OrderKey("key-1"))))
    world.restart()
    world.venue.known[order_link_id("paper", OrderKey("key-1"))] = Outcome(state=OrderState.UNKNOWN)
    await world.reconciler.run()
    await world.reconciler.run()
    assert world.states() == [OrderState.PENDING, OrderState.UNKNOWN]
    assert world.account.has_unknown(BTC)
    assert world.venue.submitted == []


@pytest.mark.parametrize(("age_ms", "state"), [(15_000, OrderState.FILLED), (15_001, OrderState.EXPIRED)])
async def test_an_order_that_never_arrived_is_sent_up_to_its_age_limit(age_ms, state):
    world = crashed_world()
    await world.path.execute(an_order())
    world.restart()
    world.venue.answer = OrderState.FILLED
    world.clock.at_ms += age_ms
    world.market.books[BTC] = a_book(received_ms=world.clock.at_ms)
    await world.reconciler.run()
    assert world.states()[-1] is state


@pytest.mark.parametrize(("age_ms", "state"), [(10_000, OrderState.FILLED), (10_001, OrderState.EXPIRED)])
async def test_an_order_whose_decision_has_expired_is_never_sent_after_a_restart(age_ms, state):
    world = World(decision_age_ms_max=10_000)
    world.venue.answer = OrderState.UNKNOWN
    await world.journal.append_decisions([a_decision()])
    await world.path.execute(an_order(decision_id=DecisionId("d1"), confidence=None))
    world.restart()
    world.venue.answer = OrderState.FILLED
    world.clock.at_ms += age_ms
    await world.reconciler.run()
    assert world.states()[-1] is state


async def test_an_order_whose_decision_is_not_there_is_never_sent_after_a_restart():
    world = crashed_world()
    await world.journal.append_decisions([a_decision()])
    await world.path.execute(an_order(decision_id=DecisionId("d1"), confidence=None))
    world.journal.decisions.clear()
    world.restart()
    await world.reconciler.run()
    assert world.states()[-1] is OrderState.EXPIRED


async def forbid_by_reducing(world):
    await world.guard.reduce("tollgate", "a position differs")


async def forbid_by_a_block(world):
    world.venue.blocked = VenueBlock(what="it is banned", retry_after_seconds=5)


async def forbid_by_an_old_comparison(world):
    world.clock.at_ms += 10_001


async def forbid_by_another_order(world):
    world.account.reserve(a_record("other", state=OrderState.UNKNOWN))
    world.venue.known[OrderLinkId("tg-other")] = Outcome(state=OrderState.UNKNOWN)


async def forbid_by_the_drawdown(world):
    world.venue_account.account = a_snapshot(wallet=a_wallet("84999", at_ms=world.clock.at_ms))


@pytest.mark.parametrize(
    "forbid",
    [
        forbid_by_reducing,
        forbid_by_a_block,
        forbid_by_an_old_comparison,
        forbid_by_another_order,
        forbid_by_the_drawdown,
    ],
)
async def test_an_order_that_never_arrived_is_sent_only_as_a_new_one_would_be(forbid):
    world = World(live=True)
    assert await world.account_watch.run()
    world.clock.at_ms += 80_000
    world.market.books[BTC] = a_book(received_ms=world.clock.at_ms)
    world.venue.answer = OrderState.UNKNOWN
    assert isinstance(await world.path.execute(an_order()), Answer)
    await forbid(world)
    await world.reconciler.run()
    assert len(world.venue.submitted) == 1
    assert world.account.open_orders()[0].state is OrderState.UNKNOWN


async def test_nothing_that_forbids_lets_it_be_sent():
    world = World(live=True)
    await world.account_watch.run()
    world.venue.answer = OrderState.UNKNOWN
    await world.path.execute(an_order())
    world.venue.answer = OrderState.FILLED
    await world.reconciler.run()
    assert len(world.venue.submitted) == 2
    assert world.states()[-1] is OrderState.FILLED


async def test_a_woken_look_does_not_wait_for_the_timer():
    world = crashed_world()
    await world.path.execute(an_order())
    world.venue.known[order_link_id("paper", OrderKey("key-1"))] = Outcome(
        state=OrderState.CANCELLED, evidence=Evidence.STREAM
    )
    watch = asyncio.create_task(world.reconciler.watch())
    await asyncio.sleep(0.01)
    assert world.states()[-1] is OrderState.UNKNOWN
    world.reconciler.wake()
    await asyncio.sleep(0.01)
    assert world.states()[-1] is OrderState.CANCELLED
    watch.cancel()


async def test_an_order_that_is_being_sent_is_not_looked_for():
    world = World()
    running = asyncio.create_task(world.path.execute(an_order()))
    await asyncio.sleep(0)
    world.venue.unreachable = True
    await world.reconciler.run()
    assert isinstance(await running, Answer)
    assert world.states() == [OrderState.PENDING, OrderState.FILLED]


async def test_a_venue_that_cannot_be_asked_leaves_the_order_open():
    world = crashed_world()
    await world.path.execute(an_order())
    world.restart()
    world.venue.unreachable = True
    await world.reconciler.run()
    assert world.states()[-1] is OrderState.UNKNOWN
    assert world.account.pending_usd(BTC, Side.BUY) == 1800


async def test_nothing_is_sent_after_a_crash_while_halted():
    world = crashed_world()
    await world.path.execute(an_order())
    await world.guard.halt("operator", "drill")
    world.restart()
    await world.reconciler.run()
    assert len(world.venue.submitted) == 1


async def test_an_order_may_name_a_recorded_decision(world):
    await world.journal.append_decisions([a_decision()])
    answer = await world.path.execute(an_order(decision_id=DecisionId("d1"), confidence=None))
    assert isinstance(answer, Answer)
    assert answer.record.approved_usd == 1300


async def fallen(world, mid):
    await world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(5000)))
    world.market.books[BTC] = a_book(mid, received_ms=world.clock.at_ms)
    await world.guard.latch()


async def test_the_drawdown_lock_latches_survives_a_restart_and_is_lifted_by_a_reset():
    world = World(symbol_cap_usd=Decimal(5000), drawdown_max=Decimal("0.02"))
    await fallen(world, "30000")
    assert world.guard.standing().state is RiskState.LOCKED
    world.market.books[BTC] = a_book("60000", received_ms=world.clock.at_ms)
    world.restart()
    failure = await world.path.execute(an_order(key=OrderKey("after")))
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.RISK_LOCKED
    await world.guard.reset("alice", "reviewed")
    assert world.guard.standing().state is RiskState.ACTIVE
    assert [(change.actor, change.to_state) for change in world.journal.risk] == [
        ("tollgate", RiskState.LOCKED),
        ("alice", RiskState.ACTIVE),
    ]
    reducing = an_order(key=OrderKey("exit"), side=Side.SELL, reduce_only=True, confidence=None)
    assert isinstance(await world.path.execute(reducing), Answer)


async def test_a_lock_that_cannot_be_journaled_holds_and_is_recorded_later():
    world = World(drawdown_max=Decimal("0.02"))
    await world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(5000)))
    world.journal.full = True
    world.market.books[BTC] = a_book("30000", received_ms=world.clock.at_ms)
    await world.guard.latch()
    assert world.guard.standing().state is RiskState.LOCKED
    world.journal.full = False
    await world.guard._record_owed()  # noqa: SLF001 - what its timer does
    assert [change.to_state for change in world.journal.risk] == [RiskState.LOCKED]


async def test_a_reset_does_not_lift_a_halt_nor_a_resume_a_lock():
    world = World(drawdown_max=Decimal("0.02"))
    await fallen(world, "30000")
    await world.guard.halt("bob", "news")
    assert (await world.guard.resume("bob", "over")).state is RiskState.LOCKED
    await world.guard.halt("bob", "news")
    assert (await world.guard.reset("bob", "reviewed")).state is RiskState.HALTED


async def test_the_equity_is_not_told_while_a_held_symbol_has_no_fresh_price(world):
    await world.path.execute(an_order())
    world.clock.at_ms += 5_001
    standing = world.guard.standing()
    assert (standing.equity_usd, standing.drawdown) == (None, None)
