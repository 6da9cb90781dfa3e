"""What a live account is worth is the venue's to say; what cannot be told is not guessed."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS, an_order
from venue_kit import a_position, a_snapshot, a_wallet
from world import COMPARISON_AGE_MS_MAX, World

from gateway.core.model import RiskState


@pytest.fixture
async def world():
    """A live account that holds 5,000 dollars of bitcoin, bought at 60,000."""
    world = World(live=True)
    await world.account_watch.run()
    await world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(5000)))
    world.market.marks[BTC] = Decimal(60_000)
    return world


def test_equity_is_the_wallets_cash_and_what_is_open_at_the_mark_price(world):
    assert world.guard.standing().equity_usd == 100_000
    world.market.marks[BTC] = Decimal(57_000)
    assert world.guard.standing().equity_usd == Decimal(100_000) - Decimal(5000) * 3000 / 60_000


def test_what_is_open_is_measured_from_the_venues_entry_price_of_the_same_position(world):
    held = world.account.ledger.position_qty(BTC)
    at_venue = replace(a_position(str(held)), entry_price=Decimal(59_000))
    world.venue_account.account = a_snapshot(positions=(at_venue,))
    assert world.guard.standing().equity_usd == 100_000 + held * 1000
    world.venue_account.account = a_snapshot(positions=(replace(at_venue, qty=held + 1),))
    assert world.guard.standing().equity_usd == 100_000


def test_equity_is_not_told_without_a_mark_price(world):
    world.market.marks.clear()
    standing = world.guard.standing()
    assert (standing.equity_usd, standing.drawdown) == (None, None)


def test_equity_is_not_told_from_an_old_wallet(world):
    world.clock.at_ms += COMPARISON_AGE_MS_MAX
    assert world.guard.standing().equity_usd == 100_000
    world.clock.at_ms += 1
    assert world.guard.standing().equity_usd is None


def test_equity_is_not_told_before_the_first_wallet():
    world = World(live=True)
    world.venue_account.account = None
    standing = world.guard.standing()
    assert (standing.equity_usd, standing.drawdown, standing.peak_equity_usd) == (None, None, 0)


def test_the_first_equity_that_is_known_is_the_first_peak(world):
    assert world.journal.peak == 100_000
    world.venue_account.account = a_snapshot(wallet=a_wallet("99000"))
    assert world.guard.standing().peak_equity_usd == 100_000


async def test_a_fall_of_the_venues_wallet_locks_like_any_other(world):
    world.venue_account.account = a_snapshot(wallet=a_wallet("85000", at_ms=NOW_MS))
    await world.guard.latch()
    assert world.guard.standing().state is RiskState.LOCKED


async def test_the_peak_outlives_a_restart(world):
    await world.guard.halt("ada", "drill")
    world.venue_account.account = a_snapshot(wallet=a_wallet("99000"))
    world.restart()
    assert world.guard.standing().peak_equity_usd == 100_000
