"""The kill switch over fakes: halt, cancel, flatten, and the two steps back."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS, a_book, an_order
from fakes import SlowRisk
from venue_kit import a_position, a_snapshot, a_venue_order
from world import World

from gateway.confirmations import KEPT_MS, TOKENS_MAX, Confirmations
from gateway.core.lifecycle import RiskEvent
from gateway.core.model import Evidence, Failure, OrderKey, OrderState, RiskState, Side
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.guard import UNREADABLE, OvertakenError
from gateway.ports import JournalUnavailableError, Step


@pytest.fixture
def world():
    return World()


def closing(key="exit"):
    return an_order(key=OrderKey(key), side=Side.SELL, reduce_only=True, confidence=None)


class HaltAt:
    """Halts when an order reaches a step, as a halt that comes in the middle of it does."""

    def __init__(self, world, step):
        self.world, self.step, self.halts = world, step, []

    def reached(self, step, key):
        if step is self.step:
            self.halts.append(asyncio.ensure_future(self.world.guard.halt("ada", "now")))
            self.world.guard._status = replace(self.world.guard._status, halted=True)  # noqa: SLF001 - at once


@pytest.mark.parametrize("step", [Step.PLANNED, Step.STAGED, Step.JOURNALED, Step.SENDING])
async def test_an_order_that_passed_its_verdict_is_not_sent_after_a_halt(world, step):
    world.tracer = HaltAt(world, step)
    world.restart()
    answer = await world.path.execute(an_order())
    await asyncio.gather(*world.tracer.halts)
    assert isinstance(answer, Answer)
    assert (answer.record.state, answer.record.evidence) == (OrderState.EXPIRED, Evidence.UNSENT)
    assert world.venue.submitted == []
    assert world.account.open_orders() == ()


async def test_a_halt_with_the_journal_full_holds_and_still_begins_to_cancel(world):
    world = World(live=True)
    world.journal.full = True
    with pytest.raises(JournalUnavailableError):
        await world.kill_switch.halt("ada", "now")
    assert world.guard.is_halted
    await asyncio.sleep(0)
    assert world.venue.cancels == 1
    await world.kill_switch.stop()


async def test_after_a_halt_the_venue_is_asked_to_cancel_and_the_journal_tells_what_came_of_it():
    world = World(live=True)
    await world.kill_switch.halt("ada", "now")
    await until(lambda: len(world.journal.risk) == 2)
    assert world.venue.cancels == 1
    assert [change.reason for change in world.journal.risk] == [
        "now",
        "after the halt: 0 orders cancelled; the venue has none open",
    ]
    assert [change.to_state for change in world.journal.risk] == [RiskState.HALTED, RiskState.HALTED]


async def test_a_venue_that_answers_later_is_asked_again():
    world = World(live=True)
    world.venue.unreachable = True
    await world.kill_switch.halt("ada", "now")
    await world.kill_switch.halt("ada", "again")
    await asyncio.sleep(0.05)
    world.venue.unreachable = False
    await until(lambda: len(world.journal.risk) == 3)
    assert world.journal.risk[-1].reason == "after the halt: 0 orders cancelled; the venue has none open"


async def test_a_venue_that_never_answers_is_told_as_not_known():
    world = World(live=True)
    world.venue.unreachable = True
    await world.kill_switch.halt("ada", "now")
    await until(lambda: len(world.journal.risk) == 2)
    assert "NOT known whether an order is open at the venue: unreachable" in world.journal.risk[-1].reason


async def until(holds):
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("held", "against"), [(Side.BUY, Side.SELL), (Side.SELL, Side.BUY)])
async def test_a_flatten_closes_what_is_held_under_a_halt_that_refuses_everybody_else(world, held, against):
    await world.path.execute(an_order(side=held, confidence=Decimal(1)))
    await world.guard.halt("ada", "now")
    assert isinstance(await world.path.execute(closing()), Failure)
    result = await world.kill_switch.flatten("ada", "out")
    assert result.flat
    assert [(one.symbol, one.left, one.why) for one in result.positions] == [(BTC, 0, "")]
    assert result.positions[0].before * held.sign > 0
    assert world.account.ledger.positions == {}
    closed = world.journal.records[-1].order
    assert (closed.side, closed.reduce_only, closed.confidence) == (against, True, None)
    assert closed.key.startswith("flatten-")
    assert world.guard.standing().state is RiskState.HALTED
    refusal = await world.path.execute(closing("later"))
    assert isinstance(refusal, Failure)
    assert refusal.reason is Reason.HALTED
    assert "the account is flat" in world.journal.risk[-1].reason


async def test_nobody_else_passes_the_halt_while_a_flatten_runs(world):
    await world.path.execute(an_order(confidence=Decimal(1)))
    await world.guard.halt("ada", "now")
    with world.guard.closing(OrderKey("flatten-mine")):
        assert world.guard.state_for(closing("flatten-mine")) is RiskState.REDUCING
        assert world.guard.state_for(closing("flatten-other")) is RiskState.HALTED
        opening = an_order(key=OrderKey("flatten-mine"))
        assert world.guard.state_for(opening) is RiskState.HALTED
        assert world.guard.holds_back(opening)
        assert not world.guard.holds_back(closing("flatten-mine"))
    assert world.guard.holds_back(closing("flatten-mine"))


async def test_a_flatten_goes_on_until_a_thin_venue_has_taken_all(world):
    await world.path.execute(an_order(confidence=Decimal(1)))
    world.venue.answer = OrderState.CANCELLED
    running = asyncio.create_task(world.kill_switch.flatten("ada", "out"))
    await until(lambda: len(world.venue.submitted) == 3)
    world.venue.answer = OrderState.FILLED
    assert (await running).flat


async def test_a_flatten_that_cannot_close_says_what_is_left_and_why(world):
    await world.path.execute(an_order(confidence=Decimal(1)))
    world.clock.at_ms += 60_000
    result = await world.kill_switch.flatten("ada", "out")
    assert not result.flat
    assert result.positions[0].left == result.positions[0].before
    assert result.positions[0].why.startswith("MARKET_DATA_STALE")
    assert "NOT known to be flat" in world.journal.risk[-1].reason


async def test_a_flatten_asks_for_no_more_at_once_than_the_venue_takes(world):
    await world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(2400)))
    largest = Decimal("0.0134")
    world.market.instruments[BTC] = replace(world.market.instruments[BTC], max_market_qty=largest)
    assert (await world.kill_switch.flatten("ada", "out")).flat
    closing_orders = world.venue.submitted[1:]
    assert [sent.qty_usd for sent in closing_orders] == [600, 600, 600, 600]
    assert all(sent.qty_usd / 60_000 <= largest for sent in closing_orders)


async def test_a_position_that_only_the_venue_has_is_told_and_left():
    world = World(live=True)
    world.venue_account.account = a_snapshot(positions=(a_position("0.5", "ETHUSDT"),))
    result = await world.kill_switch.flatten("ada", "out")
    assert not result.flat
    assert [(one.symbol, one.left, one.why) for one in result.positions] == [
        ("ETHUSDT", Decimal("0.5"), "the ledger does not have it")
    ]
    assert world.venue.submitted == []


async def test_an_order_that_the_venue_has_open_still_keeps_a_flatten_from_being_flat():
    world = World(live=True)
    world.venue_account.account = a_snapshot(open_orders=(a_venue_order(),))
    result = await world.kill_switch.flatten("ada", "out")
    assert (result.flat, result.open_orders) == (False, 1)
    assert world.venue.cancels > 1


async def test_two_flattens_at_once_are_one(world):
    await world.path.execute(an_order(confidence=Decimal(1)))
    first, second = await asyncio.gather(
        world.kill_switch.flatten("ada", "out"), world.kill_switch.flatten("bob", "out")
    )
    assert first is second
    assert len(world.venue.submitted) == 2


async def test_a_resume_ends_a_flatten(world):
    await world.path.execute(an_order(confidence=Decimal(1)))
    world.venue.answer = OrderState.CANCELLED
    running = asyncio.create_task(world.kill_switch.flatten("ada", "out"))
    await until(lambda: len(world.venue.submitted) == 2)
    await world.guard.resume("ada", "never mind")
    assert not (await running).flat
    assert len(world.venue.submitted) < 5


async def test_a_live_flatten_is_flat_only_by_the_venues_own_word():
    world = World(live=True)
    world.venue_account.account = None
    result = await world.kill_switch.flatten("ada", "out")
    assert (result.flat, result.detail) == (False, "the venue could not be asked: unreachable")


async def test_a_journal_with_records_and_no_risk_state_starts_halted_and_a_new_one_active(world):
    assert world.guard.standing().state is RiskState.ACTIVE
    await world.path.execute(an_order())
    world.restart()
    assert world.guard.standing().state is RiskState.ACTIVE
    world.journal.peak = None
    world.restart()
    assert world.guard.standing().state is RiskState.HALTED
    await world.guard._record_owed()  # noqa: SLF001 - what its timer does
    assert [(change.actor, change.reason) for change in world.journal.risk] == [("tollgate", UNREADABLE)]


async def test_a_risk_state_that_cannot_be_read_starts_halted(world):
    def unreadable():
        raise JournalUnavailableError("damaged")

    world.journal.risk_status = unreadable
    world.restart()
    assert world.guard.is_halted


async def test_a_halt_that_comes_while_a_resume_is_recorded_stands_and_the_caller_is_told(world):
    await world.guard.reduce("tollgate", "a position differs")
    slow = SlowRisk(world.journal)
    resuming = asyncio.create_task(world.guard.resume("ada", "over"))
    await asyncio.sleep(0)
    halting = asyncio.create_task(world.guard.halt("bob", "wait"))
    await asyncio.sleep(0)
    slow.go.set()
    with pytest.raises(OvertakenError, match="halt by bob: wait"):
        await resuming
    assert (await halting).state is RiskState.HALTED
    assert not world.guard.is_reducing
    assert [(change.from_state, change.to_state) for change in world.journal.risk[1:]] == [
        (RiskState.REDUCING, RiskState.ACTIVE),
        (RiskState.ACTIVE, RiskState.HALTED),
    ]


async def test_a_halt_that_comes_while_a_resume_waits_for_its_turn_stands_and_the_resume_is_not_recorded(world):
    slow = SlowRisk(world.journal)
    reducing = asyncio.create_task(world.guard.reduce("tollgate", "a position differs"))
    await slow.waiting.wait()
    resuming = asyncio.create_task(world.guard.resume("ada", "over"))
    await asyncio.sleep(0)
    halting = asyncio.create_task(world.guard.halt("bob", "wait"))
    await asyncio.sleep(0)
    slow.go.set()
    with pytest.raises(OvertakenError, match="halt by bob: wait"):
        await resuming
    await asyncio.gather(reducing, halting)
    assert [change.to_state for change in world.journal.risk] == [RiskState.REDUCING, RiskState.HALTED]
    assert world.guard.is_reducing


async def test_a_reset_overtaken_by_a_halt_stays_reset_after_a_restart():
    world = World(drawdown_max=Decimal("0.02"))
    await world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(5000)))
    world.market.books[BTC] = a_book("30000", received_ms=world.clock.at_ms)
    await world.guard.latch()
    slow = SlowRisk(world.journal)
    resetting = asyncio.create_task(world.guard.reset("ada", "reviewed"))
    await asyncio.sleep(0)
    halting = asyncio.create_task(world.guard.halt("bob", "wait"))
    await asyncio.sleep(0)
    slow.go.set()
    with pytest.raises(OvertakenError):
        await resetting
    await halting
    world.restart()
    assert world.guard.is_halted
    assert (await world.guard.resume("bob", "over")).state is RiskState.ACTIVE


async def test_a_resume_while_a_halt_is_owed_to_the_journal_records_both_or_nothing(world):
    world.journal.full = True
    with pytest.raises(JournalUnavailableError):
        await world.guard.halt("bob", "wait")
    with pytest.raises(JournalUnavailableError):
        await world.guard.resume("ada", "over")
    assert world.guard.is_halted
    world.journal.full = False
    assert (await world.guard.resume("ada", "over")).state is RiskState.ACTIVE
    assert [change.to_state for change in world.journal.risk] == [RiskState.HALTED, RiskState.ACTIVE]


def test_a_token_counts_once_for_its_own_event_within_a_minute_and_while_nothing_moves(world):
    tokens = Confirmations(world.clock)

    def issued():
        return tokens.issue(RiskEvent.RESUME, 3).token

    token = issued()
    assert tokens.use(token, RiskEvent.RESUME, 3) == ""
    assert "not known" in tokens.use(token, RiskEvent.RESUME, 3)
    assert tokens.use(issued(), RiskEvent.RESET, 3) == "the token confirms a resume"
    assert "has moved" in tokens.use(issued(), RiskEvent.RESUME, 4)
    token = issued()
    world.clock.at_ms = NOW_MS + KEPT_MS - 1
    assert tokens.use(token, RiskEvent.RESUME, 3) == ""
    world.clock.at_ms = NOW_MS
    token = issued()
    world.clock.at_ms = NOW_MS + KEPT_MS
    assert "older than 60 seconds" in tokens.use(token, RiskEvent.RESUME, 3)


def test_the_oldest_of_too_many_tokens_gives_way(world):
    tokens = Confirmations(world.clock)
    first, *others = [tokens.issue(RiskEvent.RESET, 0).token for _ in range(TOKENS_MAX + 1)]
    assert "not known" in tokens.use(first, RiskEvent.RESET, 0)
    assert {tokens.use(token, RiskEvent.RESET, 0) for token in others} == {""}


async def test_a_stale_price_neither_locks_nor_lifts_and_the_first_fresh_one_does():
    world = World(drawdown_max=Decimal("0.02"))
    await world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(5000)))
    world.market.books[BTC] = a_book("30000", received_ms=world.clock.at_ms)
    world.clock.at_ms += 5_001
    await world.guard.latch()
    assert world.guard.standing().state is RiskState.ACTIVE
    world.market.books[BTC] = a_book("30000", received_ms=world.clock.at_ms)
    await world.guard.latch()
    assert world.guard.standing().state is RiskState.LOCKED
    world.clock.at_ms += 5_001
    world.market.books[BTC] = a_book("60000", received_ms=world.clock.at_ms - 5_001)
    await world.guard.latch()
    assert world.guard.standing().state is RiskState.LOCKED
