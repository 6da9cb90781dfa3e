"""What state a gateway starts in, over a real journal: the stored one; active when new; halted when it is lost."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from fakes import FakeClock
from journal_kit import a_change, a_filled, a_record, keep, opened, problems, running

from gateway.account import Account
from gateway.core.ledger import Ledger
from gateway.core.model import RiskState
from gateway.guard import UNREADABLE, RiskGuard


@dataclass
class FixedEquity:
    told: Decimal | None = Decimal(100_000)

    def usd(self):
        return self.told


def a_guard(journal):
    guard = RiskGuard(
        account=Account("paper", Ledger(start_usd=Decimal(100_000))),
        journal=journal,
        equity=FixedEquity(),
        clock=FakeClock(),
        drawdown_max=Decimal("0.15"),
    )
    guard.load()
    return guard


@pytest.fixture
async def used(tmp_path):
    """A journal that a gateway began, and that holds an order and nothing of the risk state but what a start notes."""
    path = tmp_path / "journal.sqlite3"
    async with running(path) as journal:
        assert a_guard(journal).standing().state is RiskState.ACTIVE
        await keep(journal, a_record(), a_filled())
    return path


async def test_a_used_journal_without_a_move_of_the_state_starts_active(used):
    async with running(used) as journal:
        guard = a_guard(journal)
        assert (guard.standing().state, guard.standing().peak_equity_usd) == (RiskState.ACTIVE, 100_000)


async def test_a_journal_that_has_lost_its_risk_state_starts_halted_says_why_and_can_be_resumed(used):
    with opened(used) as connection:
        connection.execute("DELETE FROM notes")
    async with running(used) as journal:
        guard = a_guard(journal)
        assert guard.standing().state is RiskState.HALTED
        assert (await guard.resume("ada", "looked")).state is RiskState.ACTIVE
        trail = [(change.to_state, change.actor, change.reason) for change in journal.risk_changes(9)]
        assert trail == [(RiskState.ACTIVE, "ada", "looked"), (RiskState.HALTED, "tollgate", UNREADABLE)]
    async with running(used) as journal:
        assert a_guard(journal).standing().state is RiskState.ACTIVE
    assert problems(used) == []


async def test_a_halt_whose_note_was_lost_starts_halted_and_not_active(used):
    async with running(used) as journal:
        await journal.append_risk(a_change(halted=True))
    with opened(used) as connection:
        connection.execute("DELETE FROM notes")
    async with running(used) as journal:
        assert a_guard(journal).standing().state is RiskState.HALTED


async def test_a_risk_record_that_cannot_be_read_starts_halted(used):
    async with running(used) as journal:
        await journal.append_risk(a_change(to_state=RiskState.REDUCING, halted=False, reducing=True))
    with opened(used) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE records SET body = '{}' WHERE kind = 'risk'")
    async with running(used) as journal:
        guard = a_guard(journal)
        assert guard.is_halted
        assert (await guard.resume("ada", "looked")).state is RiskState.ACTIVE


@pytest.mark.parametrize(
    ("latches", "state"),
    [
        ({"halted": True}, RiskState.HALTED),
        ({"halted": False, "locked": True, "to_state": RiskState.LOCKED}, RiskState.LOCKED),
        ({"halted": False, "reducing": True, "to_state": RiskState.REDUCING}, RiskState.REDUCING),
        ({"halted": False, "to_state": RiskState.ACTIVE}, RiskState.ACTIVE),
    ],
)
async def test_the_stored_state_is_taken_up(used, latches, state):
    async with running(used) as journal:
        await journal.append_risk(a_change(**latches, peak_equity_usd=Decimal(110_000)))
    async with running(used) as journal:
        standing = a_guard(journal).standing()
        assert (standing.state, standing.peak_equity_usd) == (state, 110_000)
