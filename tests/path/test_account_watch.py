"""The account at the venue is held against the journal, and what differs stops openings until somebody has looked."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS, a_book, an_order
from structlog.testing import capture_logs
from venue_kit import a_position, a_snapshot, a_venue_order, a_wallet, an_execution
from world import COMPARISON_AGE_MS_MAX, World

from gateway.core.model import Failure, Fill, OrderKey, OrderLinkId, OrderState, RiskState, Side
from gateway.core.reasons import Reason
from gateway.core.report import Answer
from gateway.core.venue import ExecutionKind


@pytest.fixture
def world():
    return World(live=True)


def holds(world, **changes):
    """What the venue tells from now on, read at this moment; its wallet is fresh."""
    values = {"begun_ms": world.clock.at_ms, "ended_ms": world.clock.at_ms, "wallet": a_wallet(at_ms=world.clock.at_ms)}
    world.venue_account.account = a_snapshot(**values | changes)


def later(world, seconds=30):
    world.clock.at_ms += seconds * 1000
    world.market.books[BTC] = a_book(received_ms=world.clock.at_ms)
    world.market.marks[BTC] = Decimal(60_000)


async def bought(world, key="key-1", **changes):
    return await world.path.execute(an_order(key=OrderKey(key), confidence=Decimal(1), **changes))


def reason_of(answer):
    assert isinstance(answer, Failure), answer
    return answer.reason


def changes(world):
    return [(change.to_state, change.actor, change.reason) for change in world.journal.risk]


async def test_live_orders_wait_for_the_first_clean_comparison(world):
    assert reason_of(await bought(world)) is Reason.RECONCILING
    assert await world.account_watch.run()
    assert isinstance(await bought(world), Answer)


async def test_paper_orders_wait_for_none():
    assert isinstance(await bought(World()), Answer)


async def test_a_comparison_that_cannot_be_made_changes_nothing_and_is_told_once(world):
    world.venue_account.account = None
    with capture_logs() as logs:
        assert not await world.account_watch.run()
        assert not await world.account_watch.run()
    assert [entry["event"] for entry in logs] == ["comparison_waits"]
    assert reason_of(await bought(world)) is Reason.RECONCILING
    assert changes(world) == []


async def test_a_clean_comparison_holds_for_three_intervals_and_not_longer(world):
    await world.account_watch.run()
    world.clock.at_ms += COMPARISON_AGE_MS_MAX
    assert world.account.reconciled(world.clock.at_ms)
    world.clock.at_ms += 1
    assert not world.account.reconciled(world.clock.at_ms)


async def test_a_clock_that_goes_back_makes_no_comparison_young(world):
    await world.account_watch.run()
    assert not world.account.reconciled(world.clock.at_ms - 1)


async def test_a_surprise_position_at_the_start_reduces_at_once_and_lets_nothing_pass(world):
    holds(world, positions=(a_position("0.5"),))
    assert not await world.account_watch.run()
    text = "the account differs from the journal: position BTCUSDT: 0.5 at the venue, 0 in the journal"
    assert changes(world) == [(RiskState.REDUCING, "tollgate", text)]
    assert reason_of(await bought(world)) is Reason.RECONCILING


async def test_a_surprise_position_while_running_reduces_at_the_second_sight_and_lets_reductions_pass(world):
    await world.account_watch.run()
    await bought(world)
    held = world.account.ledger.position_qty(BTC)
    later(world)
    holds(world, positions=(a_position(str(held)),))
    assert await world.account_watch.run()
    later(world)
    holds(world, positions=(a_position("0.5"),))
    assert not await world.account_watch.run()
    assert world.guard.standing().state is RiskState.ACTIVE
    later(world, 10)
    holds(world, positions=(a_position("0.5"),))
    assert not await world.account_watch.run()
    assert world.guard.standing().state is RiskState.REDUCING
    assert reason_of(await bought(world, "key-2")) is Reason.REDUCE_ONLY
    closing = an_order(key=OrderKey("exit"), side=Side.SELL, reduce_only=True, confidence=None)
    assert isinstance(await world.path.execute(closing), Answer)


async def test_a_position_that_was_late_at_the_venue_is_no_difference(world):
    await world.account_watch.run()
    await bought(world)
    later(world)
    holds(world)
    assert not await world.account_watch.run()
    later(world, 10)
    holds(world, positions=(a_position(str(world.account.ledger.position_qty(BTC))),))
    assert await world.account_watch.run()
    assert changes(world) == []


async def test_a_restart_shortly_after_an_order_waits_until_the_venue_must_show_it(world):
    await world.account_watch.run()
    await bought(world)
    later(world, 1)
    world.restart()
    holds(world)
    assert not await world.account_watch.run()
    assert reason_of(await bought(world, "key-2")) is Reason.RECONCILING
    later(world, 10)
    holds(world, positions=(a_position(str(world.account.ledger.position_qty(BTC))),))
    assert await world.account_watch.run()
    assert changes(world) == []


async def test_a_position_that_never_came_reduces_after_a_restart(world):
    await world.account_watch.run()
    await bought(world)
    later(world, 1)
    world.restart()
    for _ in range(2):
        holds(world)
        assert not await world.account_watch.run()
        later(world, 10)
    assert [state for state, _, _ in changes(world)] == [RiskState.REDUCING]


async def test_two_sights_within_the_venues_lag_prove_nothing(world):
    await world.account_watch.run()
    await bought(world)
    for _ in range(3):
        later(world, 3)
        holds(world)
        assert not await world.account_watch.run()
    assert changes(world) == []


async def test_an_order_that_moves_during_the_comparison_is_left_out_of_it(world):
    await world.account_watch.run()
    holds(world)
    await bought(world)
    assert await world.account_watch.run()
    assert changes(world) == []


async def test_a_symbol_with_an_unknown_order_is_left_out_of_the_comparison(world):
    await world.account_watch.run()
    world.venue.answer = OrderState.UNKNOWN
    await bought(world)
    for _ in range(3):
        later(world)
        holds(world, positions=(a_position("0.033"),))
        await world.account_watch.run()
    assert changes(world) == []


@pytest.mark.parametrize(
    ("link", "what"),
    [("", "a foreign hand uses this account"), ("tg00112233", "a second gateway uses this account")],
)
async def test_a_foreign_order_reduces_at_once_and_stands_until_somebody_resumes(world, link, what):
    await world.account_watch.run()
    holds(world, open_orders=(a_venue_order(order_link_id=OrderLinkId(link)),))
    with capture_logs() as logs:
        assert not await world.account_watch.run()
    told = next(entry for entry in logs if entry["event"] == "account_differs")
    assert (told["log_level"], told["count"]) == ("error", 1)
    assert what in told["differences"][0]
    holds(world)
    assert await world.account_watch.run()
    assert world.guard.standing().state is RiskState.REDUCING
    assert (await world.guard.resume("ada", "closed by hand")).state is RiskState.ACTIVE
    assert [state for state, _, _ in changes(world)] == [RiskState.REDUCING, RiskState.ACTIVE]


async def test_a_difference_that_stands_is_journaled_once_and_again_after_a_resume(world):
    holds(world, positions=(a_position("0.5"),))
    for _ in range(3):
        await world.account_watch.run()
    assert len(world.journal.risk) == 1
    await world.guard.resume("ada", "seen")
    for _ in range(2):
        await world.account_watch.run()
        later(world, 10)
        holds(world, positions=(a_position("0.5"),))
    assert [state for state, _, _ in changes(world)] == [RiskState.REDUCING, RiskState.ACTIVE, RiskState.REDUCING]


async def test_reducing_survives_a_restart(world):
    holds(world, positions=(a_position("0.5"),))
    await world.account_watch.run()
    world.restart()
    assert world.guard.standing().state is RiskState.REDUCING


async def test_a_foreign_execution_is_judged_once_however_often_it_is_read(world):
    await world.account_watch.run()
    foreign = an_execution(order_link_id=OrderLinkId(""))
    holds(world, executions=(foreign,))
    assert not await world.account_watch.run()
    await world.guard.resume("ada", "sold again by hand")
    assert await world.account_watch.run()
    assert world.guard.standing().state is RiskState.ACTIVE


async def test_a_liquidation_reduces(world):
    await world.account_watch.run()
    holds(world, executions=(an_execution(kind=ExecutionKind.VENUE, order_link_id=OrderLinkId("")),))
    await world.account_watch.run()
    assert "made by the venue itself" in changes(world)[0][2]


async def test_a_fill_that_came_before_its_order_ended_is_judged_when_it_has(world):
    await world.account_watch.run()
    world.venue.answer = OrderState.UNKNOWN
    answer = await bought(world)
    link = answer.record.order_link_id
    execution = an_execution(order_link_id=link)
    later(world)
    holds(world, executions=(execution,))
    assert await world.account_watch.run()
    fill = Fill(price=execution.price, qty=execution.qty, fee_usd=execution.fee_usd, exec_id="other")
    ended = replace(answer.record, state=OrderState.FILLED, fills=(fill,), evidence="stream")
    world.journal.stage(ended)
    world.account.settle(ended)
    later(world, 120)
    holds(world, positions=(a_position("0.029"),))
    assert not await world.account_watch.run()
    assert "execution e1" in changes(world)[0][2]
    assert "is missing from order key-1" in changes(world)[0][2]


async def test_executions_are_read_from_now_in_a_new_journal_and_then_from_the_last_pass(world):
    for _ in range(5):
        holds(world)
        await world.account_watch.run()
        later(world, 40)
    overlap_ms = 60_000 + 10_000
    later_on = [NOW_MS + 80_000 - overlap_ms, NOW_MS + 120_000 - overlap_ms]
    assert world.venue_account.asked == [NOW_MS, NOW_MS, NOW_MS, *later_on]


async def test_executions_are_read_from_shortly_before_the_last_fill_after_a_restart(world):
    await world.account_watch.run()
    await bought(world)
    for seconds, since_ms in ((40, NOW_MS), (40, NOW_MS + 80_000 - 60_000)):
        later(world, seconds)
        world.restart()
        holds(world, positions=(a_position(str(world.account.ledger.position_qty(BTC))),))
        assert await world.account_watch.run()
        assert world.venue_account.asked[-1] == since_ms
        later(world, 40)
        await bought(world, f"key-{world.clock.at_ms}")


async def test_executions_are_read_a_week_back_at_most(world):
    await world.account_watch.run()
    await bought(world)
    later(world, 30 * 86_400)
    world.restart()
    await world.account_watch.run()
    assert world.venue_account.asked[-1] == world.clock.at_ms - 7 * 86_400_000


async def test_a_wallet_that_falls_without_a_cause_reduces_at_the_second_sight_and_is_told_once(world):
    await world.account_watch.run()
    for _ in range(4):
        later(world)
        holds(world, wallet=a_wallet("90000", at_ms=world.clock.at_ms))
        await world.account_watch.run()
    assert [reason for _, _, reason in changes(world)] == [
        "the account differs from the journal: the wallet fell by 10000.00 USD without a cause",
        "the wallet changed by -10000.00 USD that no trade explains: not a profit",
    ]


async def test_a_withdrawal_is_no_drawdown_and_a_deposit_hides_none(world):
    await world.account_watch.run()
    for _ in range(3):
        later(world)
        holds(world, wallet=a_wallet("90000", at_ms=world.clock.at_ms))
        await world.account_watch.run()
    standing = world.guard.standing()
    assert (standing.peak_equity_usd, standing.drawdown) == (90_000, 0)
    world.guard._status = replace(world.guard._status, peak_equity_usd=Decimal(100_000))  # noqa: SLF001 - a loss
    later(world)
    holds(world, wallet=a_wallet("90000", at_ms=world.clock.at_ms))
    await world.account_watch.run()
    later(world)
    holds(world, wallet=a_wallet("190000", at_ms=world.clock.at_ms))
    assert world.guard.standing().drawdown == 0, "what came is taken for profit until it is compared"
    await world.account_watch.run()
    standing = world.guard.standing()
    assert (standing.peak_equity_usd, standing.drawdown) == (200_000, Decimal("0.05"))
    assert (changes(world)[-1][0], world.journal.risk[-1].peak_equity_usd) == (RiskState.REDUCING, 200_000)


async def test_funding_and_own_losses_explain_a_fall_of_the_wallet(world):
    await world.account_watch.run()
    paid = an_execution(kind=ExecutionKind.FUNDING, order_link_id=OrderLinkId(""), fee_usd=Decimal(3000))
    later(world)
    holds(world, executions=(paid,), wallet=a_wallet("97000", at_ms=world.clock.at_ms))
    assert await world.account_watch.run()
    await bought(world)
    world.venue.price = Decimal(40_000)
    await bought(world, "exit", side=Side.SELL, reduce_only=True)
    lost, held = world.account.ledger.earned_usd, world.account.ledger.position_qty(BTC)
    assert lost < -600
    for _ in range(3):
        later(world)
        wallet = a_wallet(str(97_000 + lost), at_ms=world.clock.at_ms)
        position = replace(a_position(str(held)), entry_price=world.account.ledger.positions[BTC].entry_price)
        holds(world, positions=(position,), wallet=wallet)
        assert await world.account_watch.run()
    assert changes(world) == []


async def test_a_rise_of_the_wallet_is_logged_and_no_difference(world):
    await world.account_watch.run()
    holds(world, wallet=a_wallet("150000", at_ms=world.clock.at_ms))
    with capture_logs() as logs:
        assert await world.account_watch.run()
    assert [(entry["event"], entry["usd"]) for entry in logs] == [("wallet_rose", "50000")]
    assert [state for state, _, _ in changes(world)] == [RiskState.ACTIVE]


async def test_a_woken_watch_does_not_wait_for_its_timer(world):
    watch = asyncio.create_task(world.account_watch.watch())
    await asyncio.sleep(0.01)
    assert world.venue_account.asked == []
    world.account_watch.wake()
    await asyncio.sleep(0.01)
    assert len(world.venue_account.asked) == 1
    watch.cancel()


async def test_a_reduction_that_cannot_be_journaled_stands_and_is_recorded_later(world):
    await world.account_watch.run()
    world.journal.full = True
    holds(world, open_orders=(a_venue_order(order_link_id=OrderLinkId("")),))
    await world.account_watch.run()
    assert world.guard.standing().state is RiskState.REDUCING
    world.journal.full = False
    await world.guard.reduce("tollgate", "another reason")
    assert [state for state, _, _ in changes(world)] == [RiskState.REDUCING, RiskState.REDUCING]
