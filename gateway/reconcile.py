"""Resolves every order whose end is not recorded: before serving, then on a timer.

The venue is asked first, always. What it knows is recorded. What is proven never
to have arrived is sent when it is still fresh, and expires when it is not: an old
decision must not fire after a restart. What cannot be told stays as it is.
"""

import asyncio

import structlog

from gateway.account import Account
from gateway.core.model import ZERO, OrderRecord, OrderState, Outcome, RiskState
from gateway.core.risk import Approved, restore
from gateway.guard import RiskGuard
from gateway.order_path import OrderPath
from gateway.ports import Clock, MarketData, Venue, VenueUnavailableError

INTERVAL_SECONDS = 5.0
"""How often open orders are looked at while serving."""

log = structlog.get_logger()


class Reconciler:
    """Brings the journal and the venue to one account of every open order."""

    def __init__(
        self,
        *,
        account: Account,
        path: OrderPath,
        guard: RiskGuard,
        venue: Venue,
        market: MarketData,
        clock: Clock,
        order_age_ms_max: int,
    ) -> None:
        self._account = account
        self._path = path
        self._guard = guard
        self._venue = venue
        self._market = market
        self._clock = clock
        self._order_age_ms_max = order_age_ms_max

    async def watch(self) -> None:
        """Look at open orders for ever; those that are being sent right now are left alone."""
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self.run(settled_for_ms=int(INTERVAL_SECONDS * 1000))

    async def run(self, *, settled_for_ms: int = 0) -> None:
        """Resolve what can be resolved; orders younger than `settled_for_ms` may still be on their way."""
        for record in self._account.open_orders():
            if self._path.is_running(record.order.key) or self._clock.now_ms() - record.updated_ms < settled_for_ms:
                continue
            try:
                await self._resolve(record)
            except VenueUnavailableError as fault:
                log.warning("reconcile_waits", key=record.order.key, detail=str(fault))

    async def _resolve(self, record: OrderRecord) -> None:
        outcome = await self._venue.find(record.order_link_id)
        if outcome is not None:
            resolved = await self._path.settle(record, outcome)
        elif self._clock.now_ms() - record.created_ms > self._order_age_ms_max:
            resolved = await self._path.settle(record, Outcome(state=OrderState.EXPIRED))
        elif self._may_send(record):
            resolved = await self._path.resume(_restored(record), record)
        else:
            return
        log.info("order_reconciled", key=record.order.key, state=resolved.state)

    def _may_send(self, record: OrderRecord) -> bool:
        """Only while trading is allowed and the market has a price; until then the order waits, and may expire."""
        active = self._guard.standing().state is RiskState.ACTIVE
        return active and self._market.book(record.order.symbol) is not None


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
