"""Whatever happens to the risk state, and to its journal: what forbids holds at once, what permits holds recorded."""

import asyncio
import itertools
from decimal import Decimal

from builders import BTC, a_book, an_order
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from gateway.core.model import RiskState
from gateway.ports import JournalUnavailableError

OPERATIONS = ["halt", "difference", "crash", "resume", "reset", "report", "full", "writable", "restart"]
SETS = {"halt": {"halted"}, "difference": {"reducing"}, "crash": {"locked"}}
LIFTS = {"resume": {"halted", "reducing"}, "reset": {"locked"}}


class Story:
    """A guard beside what it should be: two sets of latches, in force and recorded."""

    def __init__(self):
        self.world = World(drawdown_max=Decimal("0.02"))
        self.in_force, self.recorded, self.number = set(), set(), 0

    async def begin(self):
        await self.world.path.execute(an_order(confidence=Decimal(1), requested_usd=Decimal(5000)))

    async def do(self, operation):
        guard, journal = self.world.guard, self.world.journal
        self.number += 1
        try:
            match operation:
                case "halt" | "resume" | "reset" | "report":
                    await getattr(guard, operation)("ada", f"{self.number}")
                case "difference":
                    await guard.reduce("ada", f"{self.number}")
                case "crash":
                    await self.at_price("30000")
                case "full" | "writable":
                    journal.full = operation == "full"
                case "restart":
                    self.world.restart()
                    self.in_force = set(self.recorded)
        except JournalUnavailableError:
            assert journal.full
        self.expect(operation, full=journal.full)
        await self.at_price("60000")

    async def at_price(self, price):
        self.world.market.books[BTC] = a_book(price, received_ms=self.world.clock.at_ms)
        await self.world.guard.latch()

    def expect(self, operation, *, full):
        if operation == "crash" and "locked" in self.in_force:
            return  # it is locked already, and its timer alone records what is owed
        self.in_force |= SETS.get(operation, set())
        if not full and operation in {*SETS, *LIFTS, "report"}:
            self.in_force -= LIFTS.get(operation, set())
            self.recorded = set(self.in_force)

    def check(self):
        named = (RiskState.HALTED, RiskState.LOCKED, RiskState.REDUCING)
        told = next((state for state in named if state.value in self.in_force), RiskState.ACTIVE)
        assert self.world.guard.standing().state is told
        changes = self.world.journal.risk
        last = changes[-1] if changes else None
        stored = {latch for latch in ("halted", "locked", "reducing") if last and getattr(last, latch)}
        assert stored == self.recorded
        pairs = itertools.pairwise(changes)
        assert all(before.to_state is after.from_state for before, after in pairs), "the trail has a gap"


@settings(deadline=None)  # the machine may be busy
@given(operations=st.lists(st.sampled_from(OPERATIONS), max_size=14))
def test_the_state_is_the_fold_of_what_happened_and_the_trail_has_no_gap(operations):
    async def live():
        story = Story()
        await story.begin()
        for operation in operations:
            await story.do(operation)
            story.check()

    asyncio.run(live())
