"""Resolves every order whose end is not recorded: before serving, then on a timer and whenever it is woken.

The venue is asked first, always. What it knows is recorded, that it cannot tell included. What is proven never to have
arrived, and never can, is sent when it is still fresh, and expires when it is not: an old decision must not fire after
a restart. Until one of these is certain an order stays as it is, and is not sent again.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from gateway.account import Account
from gateway.core.model import ZERO, Evidence, OrderRecord, OrderState, Outcome, RiskState
from gateway.core.risk import Approved, restore
from gateway.guard import RiskGuard
from gateway.order_path import OrderPath
from gateway.ports import Clock, Journal, JournalUnavailableError, MarketData, Venue, VenueUnavailableError

WOKEN_SECONDS_MIN: Final = 0.2
"""The least time between two looks, however often it is woken."""

log = structlog.get_logger()


class Reconciler:
    """Brings the journal and the venue to one account of every open order."""

    def __init__(
        self,
        *,
        account: Account,
        path: OrderPath,
        guard: RiskGuard,
        journal: Journal,
        venue: Venue,
        market: MarketData,
        clock: Clock,
        interval_seconds: float,
        order_age_ms_max: int,
        decision_age_ms_max: int,
    ) -> None:
        self._account = account
        self._path = path
        self._guard = guard
        self._journal = journal
        self._venue = venue
        self._market = market
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._order_age_ms_max = order_age_ms_max
        self._decision_age_ms_max = decision_age_ms_max
        self._woken = asyncio.Event()
        self._told: dict[str, str] = {}
        """What each order waits for, as it was logged last: it is told once, not every second."""

    def wake(self) -> None:
        """Look at once: something was learned that may settle an order."""
        self._woken.set()

    async def watch(self) -> None:
        """Look at open orders for ever; those that are being sent right now are left alone."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._interval_seconds)
            self._woken.clear()
            await self.run()
            await asyncio.sleep(WOKEN_SECONDS_MIN)

    async def run(self) -> None:
        """Resolve what can be resolved."""
        for record in self._account.open_orders():
            key = record.order.key
            # While the venue was asked about the orders before it, this one may have ended by itself.
            if self._path.is_running(key) or not self._account.is_newest(record):
                continue
            try:
                await self._resolve(record)
                self._told.pop(key, None)
            except (VenueUnavailableError, JournalUnavailableError) as fault:
                if self._told.get(key) != str(fault):
                    self._told[key] = str(fault)
                    log.warning("reconcile_waits", key=key, detail=str(fault))

    async def _resolve(self, record: OrderRecord) -> None:
        """Ask the venue, and act on what is certain. Raises VenueUnavailableError, JournalUnavailableError."""
        outcome = await self._venue.find(record)
        if outcome is not None:
            resolved = await self._path.settle(record, outcome)
        elif self._is_too_old(record):
            resolved = await self._path.settle(record, Outcome(state=OrderState.EXPIRED, evidence=Evidence.ABSENCE))
        elif await self._may_send(record):
            resolved = await self._path.resume(_restored(record), record)
        else:
            return
        if resolved.state is not record.state:
            log.info("order_reconciled", key=record.order.key, state=resolved.state)

    def _is_too_old(self, record: OrderRecord) -> bool:
        """Whether the order, or the decision that it acts on, is too old to be sent. Raises JournalUnavailableError."""
        now_ms = self._clock.now_ms()
        if now_ms - record.created_ms > self._order_age_ms_max:
            return True
        if record.order.decision_id is None:
            return False
        decision = self._journal.find_decision(record.order.decision_id)
        return decision is None or now_ms - decision.at_ms > self._decision_age_ms_max

    async def _may_send(self, record: OrderRecord) -> bool:
        """Only as a new order of its kind would pass; until then the order waits, and may expire."""
        await self._guard.latch()
        return (
            self._guard.standing().state is RiskState.ACTIVE
            and self._account.reconciled(self._clock.now_ms())
            and self._venue.block(reduce_only=record.order.reduce_only) is None
            and self._market.book(record.order.symbol) is not None
            and not any(
                other.order.symbol == record.order.symbol
                for other in self._account.unknown_orders()
                if other.order_link_id != record.order_link_id
            )
        )


def _restored(record: OrderRecord) -> Approved:
    return restore(
        order=record.order,
        order_link_id=record.order_link_id,
        qty_usd=record.approved_usd,
        confidence=record.confidence,
        adjustments=record.adjustments,
        mid_price=record.mid_price or ZERO,
        at_ms=record.created_ms,
    )
