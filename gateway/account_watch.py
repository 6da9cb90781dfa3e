"""Compares the account at the venue with the journal: at the start, on a timer, and whenever it is woken.

A difference puts the gateway into reducing, journaled with what was found; nothing is mended by itself, since what is
wrong is not known. Orders wait (RECONCILING) for the first pass without a difference, and while passes do not finish.
What each comparison looks at stands in gateway/core/comparison.py.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from gateway.account import Account
from gateway.core.comparison import (
    WALLET_KEY,
    Difference,
    JournalSide,
    Sight,
    Suspicion,
    WalletBase,
    awaits_its_order,
    compare,
    cost_gap_usd,
    fall_tolerated_usd,
    standing_differences,
    wallet_change,
)
from gateway.core.model import ZERO, OrderLinkId, OrderRecord, Symbol
from gateway.core.venue import AccountSnapshot, Execution, ExecutionKind
from gateway.guard import ACTOR, RiskGuard
from gateway.ports import Clock, Journal, JournalUnavailableError, VenueAccount, VenueUnavailableError

WOKEN_SECONDS_MIN: Final = 1.0
"""The least time between two passes, however often it is woken: each asks the venue four times and more."""

OVERLAP_MS: Final = 60_000
"""So much of what was read before is read again, beyond the venue's lag: clocks differ."""

SINCE_MS_MAX: Final = 7 * 24 * 3_600_000
"""How far back executions are read at a start: a venue has a week of them at hand. What is older shows as positions."""

SEEN_MAX: Final = 50_000
"""Judged executions that are remembered, far more than the overlap can hold."""

TOLD_MAX: Final = 10
"""Differences that a journaled reason names; the log has as many, and their count."""

log = structlog.get_logger()


class AccountWatch:
    """Holds the account at the venue against the journal."""

    def __init__(
        self,
        *,
        account: Account,
        guard: RiskGuard,
        journal: Journal,
        venue: VenueAccount,
        clock: Clock,
        interval_seconds: float,
        lag_ms_max: int,
    ) -> None:
        self._account = account
        self._guard = guard
        self._journal = journal
        self._venue = venue
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._lag_ms_max = lag_ms_max
        self._woken = asyncio.Event()
        self._first_ms: int | None = None
        """From when executions are this journal's to explain; None before the first finished pass."""
        self._since_ms = 0
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._awaiting: dict[str, Execution] = {}
        """Executions of orders that have not ended, to be judged when they have."""
        self._suspected: Sequence[Suspicion] = ()
        self._told: frozenset[str] = frozenset()
        """The keys of the differences that the guard was told of."""
        self._wallet_base: WalletBase | None = None
        self._base_peak_usd = ZERO
        """The peak when the wallet was measured from: a deposit raises it before it is known for one."""
        self._waits_for = ""
        self.clean_ms: int | None = None
        """When the newest pass without a difference ended, by the gateway's clock; None before the first."""

    def wake(self) -> None:
        """Compare at once: the stream was made anew, or told of what nobody here did."""
        self._woken.set()

    async def watch(self) -> None:
        """Compare for ever; what must be confirmed is looked at again as soon as the venue can hide it no longer."""
        while True:
            pause = self._interval_seconds
            if self._suspected:
                pause = min(pause, self._lag_ms_max / 1000)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), pause)
            self._woken.clear()
            await self.run()
            await asyncio.sleep(WOKEN_SECONDS_MIN)

    async def run(self) -> bool:
        """One pass; True when it ended without a difference."""
        try:
            since_ms = self._first_since_ms() if self._first_ms is None else self._since_ms
            snapshot = await self._venue.snapshot(since_ms)
            orders = self._orders(snapshot)
        except (VenueUnavailableError, JournalUnavailableError) as fault:
            if str(fault) != self._waits_for:
                log.warning("comparison_waits", detail=str(fault))
            self._waits_for = str(fault)
            return False
        self._waits_for = ""
        at_start = self._first_ms is None
        self._first_ms = since_ms if self._first_ms is None else self._first_ms
        self._since_ms = max(self._first_ms, snapshot.begun_ms - OVERLAP_MS - self._lag_ms_max)
        return await self._judge(snapshot, orders, at_start=at_start)

    async def _judge(
        self, snapshot: AccountSnapshot, orders: dict[OrderLinkId, OrderRecord], *, at_start: bool
    ) -> bool:
        executions = self._unjudged(snapshot.executions)
        journal = JournalSide(
            ledger=self._account.ledger,
            moving=self._moving(snapshot),
            orders=orders,
            wallet_base=self._with_funding(executions),
        )
        found = compare(snapshot, executions, journal)
        sight = Sight(
            begun_ms=snapshot.begun_ms,
            ended_ms=snapshot.ended_ms,
            at_start=at_start,
            lag_ms_max=self._lag_ms_max,
            moving=journal.moving,
            moved_ms=self._account.moved_ms(),
        )
        counts, self._suspected = standing_differences(found, self._suspected, sight)
        self._remember(executions, orders)
        clean = not counts and not self._suspected
        if counts:
            await self._tell(counts)
        elif clean:
            self._told, self.clean_ms = frozenset(), self._clock.now_ms()
        await self._follow_wallet(snapshot, journal)
        self._account.compared(self._clock.now_ms(), clean=clean)
        return clean

    async def _tell(self, counts: Sequence[Difference]) -> None:
        """Put the gateway into reducing; what was told already is not told again while nobody has resumed."""
        texts = [one.text for one in counts]
        keys = frozenset(one.key for one in counts)
        if self._guard.is_reducing and keys <= self._told:
            return
        self._told |= keys
        log.error("account_differs", count=len(texts), differences=texts[:TOLD_MAX])
        more = f"; and {len(texts) - TOLD_MAX} more" if len(texts) > TOLD_MAX else ""
        await self._guard.reduce(ACTOR, f"the account differs from the journal: {'; '.join(texts[:TOLD_MAX])}{more}")

    def _first_since_ms(self) -> int:
        """From when executions are read at the start. Raises JournalUnavailableError.

        Shortly before the newest recorded fill, but not from before the first order that was filled: what was traded
        before a journal began is not its to explain. From now on where there is no fill.
        """
        now_ms, filled = self._clock.now_ms(), self._journal.filled_orders()
        if not filled:
            return now_ms
        newest_ms, oldest_ms = filled[-1].updated_ms, min(record.created_ms for record in filled)
        return max(newest_ms - OVERLAP_MS, oldest_ms, now_ms - SINCE_MS_MAX)

    def _orders(self, snapshot: AccountSnapshot) -> dict[OrderLinkId, OrderRecord]:
        """The journal's orders that the snapshot names. Raises JournalUnavailableError."""
        links = {order.order_link_id for order in snapshot.open_orders}
        links |= {one.order_link_id for one in self._unjudged(snapshot.executions)}
        found = ((link, self._journal.find_link(link)) for link in links if link)
        return {link: record for link, record in found if record is not None}

    def _unjudged(self, executions: Iterable[Execution]) -> list[Execution]:
        """What no pass has judged, each once."""
        fresh = {one.exec_id: one for one in executions if one.exec_id not in self._seen}
        return list((self._awaiting | fresh).values())

    def _remember(self, executions: Sequence[Execution], orders: dict[OrderLinkId, OrderRecord]) -> None:
        self._awaiting = {one.exec_id: one for one in executions if awaits_its_order(one, orders)}
        self._seen.update((one.exec_id, None) for one in executions if one.exec_id not in self._awaiting)
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def _moving(self, snapshot: AccountSnapshot) -> frozenset[Symbol]:
        """Symbols with an open order, or with one that moved since the snapshot was begun."""
        return frozenset(record.order.symbol for record in self._account.open_orders()) | self._account.moved_since(
            snapshot.begun_ms
        )

    def _with_funding(self, executions: Sequence[Execution]) -> WalletBase | None:
        """What the wallet is measured from, the funding that was read now counted."""
        if self._wallet_base is None:
            return None
        paid = sum((one.fee_usd for one in executions if one.kind is ExecutionKind.FUNDING), ZERO)
        self._wallet_base = replace(self._wallet_base, funding_usd=self._wallet_base.funding_usd + paid)
        return self._wallet_base

    async def _follow_wallet(self, snapshot: AccountSnapshot, journal: JournalSide) -> None:
        """Measure from this pass on, unless orders move, or a fall waits to be confirmed.

        A change that nothing explains is a deposit or a withdrawal until a person finds otherwise: neither profit nor
        loss, so the peak moves with it. A fall has put the gateway into reducing as well.
        """
        if journal.moving or any(one.difference.key == WALLET_KEY for one in self._suspected):
            return
        change, balance = wallet_change(snapshot, journal), snapshot.wallet.balance_usd
        gap_usd = cost_gap_usd(snapshot, journal.ledger)
        if gap_usd is None:
            return
        if change is not None and abs(change) > fall_tolerated_usd(balance):
            log.warning("wallet_rose" if change > 0 else "wallet_fell", usd=format(change, "f"))
            await self._guard.transferred(change, self._base_peak_usd)
        self._base_peak_usd = self._guard.standing().peak_equity_usd
        self._wallet_base = WalletBase(balance_usd=balance, earned_usd=journal.ledger.earned_usd, cost_gap_usd=gap_usd)
