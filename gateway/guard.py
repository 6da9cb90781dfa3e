"""The risk guard: watches the equity, latches what forbids orders, and moves the risk state by audited calls.

What each event does to the latches stands in gateway/core/lifecycle.py. A move that forbids holds at once, and is
journaled as soon as the journal can be written; a move that permits holds once it is journaled. What is in force is
therefore what the journal says, and on top of it, in their order, the moves that are still owed to it.

A new journal starts active. One that has records but no readable risk state starts halted: nobody knows what forbade
orders when it was last used.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import structlog

from gateway.account import Account
from gateway.core.lifecycle import RiskEvent, RiskStatus, drawdown, folded, moved, peak_after_transfer
from gateway.core.model import Order, OrderKey, RiskChange, RiskState
from gateway.equity import Equity
from gateway.ports import Clock, Journal, JournalUnavailableError

WATCH_SECONDS = 1.0
"""How often the equity is looked at when no order does it."""

ACTOR = "tollgate"

UNREADABLE: Final = "the stored risk state cannot be read"

log = structlog.get_logger()


class OvertakenError(Exception):
    """A halt, a lock or a difference came while a resume or a reset was under way, and stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the account stands against its drawdown limit."""

    state: RiskState
    equity_usd: Decimal | None
    """None when it cannot be told at this moment."""
    last_equity_usd: Decimal
    """The newest equity that could be told; for showing, never for judging."""
    peak_equity_usd: Decimal
    drawdown: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """One thing that happened, on its way to the journal."""

    event: RiskEvent
    actor: str
    reason: str
    equity_usd: Decimal
    at_ms: int


class RiskGuard:
    """Keeps the risk state; every move of it is journaled."""

    def __init__(
        self,
        *,
        account: Account,
        journal: Journal,
        equity: Equity,
        clock: Clock,
        drawdown_max: Decimal,
    ) -> None:
        self._account = account
        self._journal = journal
        self._equity = equity
        self._clock = clock
        self._drawdown_max = drawdown_max
        self._moving = asyncio.Lock()
        self._owed: list[_Move] = []
        self._forbade: _Move | None = None
        """The newest move that forbids something."""
        self._last_equity_usd = account.ledger.start_usd
        self._reducing_for = ""
        self._closing: set[OrderKey] = set()
        """The orders of a running flatten."""
        self.moves = 0
        """How often the risk state was moved in this run: a confirmation is good for one number alone."""
        # A live account starts at nothing: the first equity that the venue tells is its first peak.
        self._status = RiskStatus(halted=False, locked=False, reducing=False, peak_equity_usd=account.ledger.start_usd)
        self._recorded = self._status

    def load(self) -> None:
        """Take up the stored state; a new journal starts active, at the starting equity."""
        ledger = self._account.ledger
        self._last_equity_usd = ledger.start_usd + ledger.realised_usd - ledger.fees_usd
        try:
            stored, is_new = self._journal.risk_status(), self._journal.health()[1] == 0
        except JournalUnavailableError as fault:
            log.error("risk_state_unreadable", detail=str(fault))  # noqa: TRY400 - it halts, and is told
            stored, is_new = None, False
        if stored is not None:
            self._status = self._recorded = stored
        elif is_new:
            # Kept with its first record: a journal that has records and not this note has lost its risk state.
            self._journal.note_peak(self._status.peak_equity_usd)
        else:
            self._forbid(RiskEvent.HALT, ACTOR, UNREADABLE)

    def standing(self) -> Standing:
        """The risk state, equity and drawdown now, raising the peak on the way."""
        equity = self._equity.usd()
        if equity is not None:
            self._last_equity_usd = equity
            if equity > self._status.peak_equity_usd:
                self._status = replace(self._status, peak_equity_usd=equity)
                self._journal.note_peak(equity)
        peak = self._status.peak_equity_usd
        return Standing(
            state=self._status.state,
            equity_usd=equity,
            last_equity_usd=self._last_equity_usd,
            peak_equity_usd=peak,
            drawdown=None if equity is None else drawdown(equity, peak),
        )

    async def watch(self) -> None:
        """Look at the equity for ever: latch the lock when the limit is reached, and record what is still owed."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await self.latch()
            await self._record_owed()

    async def latch(self) -> None:
        """Lock when the drawdown has reached its limit; the lock holds even while it cannot be journaled."""
        standing = self.standing()
        if self._status.locked or standing.drawdown is None or standing.drawdown < self._drawdown_max:
            return
        log.error("risk_locked", drawdown=str(standing.drawdown), drawdown_max=str(self._drawdown_max))
        reason = f"drawdown {standing.drawdown:.6f} reached the limit {self._drawdown_max}"
        self._forbid(RiskEvent.DRAWDOWN_REACHED, ACTOR, reason)
        await self._record_owed()

    async def reduce(self, actor: str, reason: str) -> None:
        """Let only reduce-only orders pass from now on; it holds even while it cannot be journaled.

        A reason that stands already is not journaled again.
        """
        if self._status.reducing and reason == self._reducing_for:
            return
        self._reducing_for = reason
        self._forbid(RiskEvent.DIFFERENCE_FOUND, actor, reason)
        await self._record_owed()

    @property
    def is_halted(self) -> bool:
        """Whether every order is refused, those of a running flatten aside."""
        return self._status.halted

    @property
    def is_closing(self) -> bool:
        """Whether an order of a flatten is on its way."""
        return bool(self._closing)

    @property
    def is_reducing(self) -> bool:
        """Whether the account was found to differ, and nobody has resumed since; also beneath a halt or a lock."""
        return self._status.reducing

    def after(self, event: RiskEvent) -> RiskState:
        """The state that would be told after an event."""
        return moved(self._status, event).state

    def state_for(self, order: Order) -> RiskState:
        """The state that an order is judged in: a flatten's own reductions pass a halt, as they pass the reducing."""
        state = self._status.state
        return RiskState.REDUCING if state is RiskState.HALTED and self._is_of_flatten(order) else state

    def holds_back(self, order: Order) -> bool:
        """Whether an order that was approved must not be sent any more, since trading was halted meanwhile."""
        return self._status.halted and not self._is_of_flatten(order)

    @contextlib.contextmanager
    def closing(self, key: OrderKey) -> Iterator[None]:
        """Let one order of a flatten pass a halt; for gateway/flatten.py alone."""
        self._closing.add(key)
        try:
            yield
        finally:
            self._closing.discard(key)

    async def halt(self, actor: str, reason: str) -> Standing:
        """Refuse every order from now on. Raises JournalUnavailableError: halted all the same, recorded later."""
        self._forbid(RiskEvent.HALT, actor, reason)
        await self._record_owed()
        if self._owed:
            raise JournalUnavailableError("the halt stands, but is not recorded yet")
        return self.standing()

    async def resume(self, actor: str, reason: str) -> Standing:
        """Lift a halt and the reducing. Raises JournalUnavailableError: nothing was changed; OvertakenError."""
        return await self._permit(RiskEvent.RESUME, actor, reason)

    async def reset(self, actor: str, reason: str) -> Standing:
        """Lift the drawdown lock and measure from today's equity.

        Raises JournalUnavailableError: nothing changed; OvertakenError.
        """
        return await self._permit(RiskEvent.RESET, actor, reason)

    async def report(self, actor: str, reason: str) -> None:
        """Journal what a halt cancelled or a flatten closed; later when the journal cannot be written."""
        self._owe(RiskEvent.REPORT, actor, reason)
        await self._record_owed()

    async def transferred(self, change_usd: Decimal, base_peak_usd: Decimal) -> None:
        """Move the peak by money that came or went without a trade, the peak before it being `base_peak_usd`."""
        peak = peak_after_transfer(
            base_peak_usd=base_peak_usd,
            peak_usd=self._status.peak_equity_usd,
            equity_usd=self._equity.usd(),
            change_usd=change_usd,
        )
        self._status = replace(self._status, peak_equity_usd=peak)
        self._owe(
            RiskEvent.TRANSFER,
            ACTOR,
            f"the wallet changed by {change_usd:+.2f} USD that no trade explains: not a profit",
        )
        await self._record_owed()

    def _forbid(self, event: RiskEvent, actor: str, reason: str) -> None:
        """Hold from this moment on; owed to the journal."""
        self._forbade = self._owe(event, actor, reason)
        before, self._status = self._status, moved(self._status, event)
        self.moves += 1
        log.warning("risk_change", from_state=before.state, to_state=self._status.state, actor=actor, reason=reason)

    def _owe(self, event: RiskEvent, actor: str, reason: str) -> _Move:
        self._owed.append(self._move(event, actor, reason))
        return self._owed[-1]

    async def _permit(self, event: RiskEvent, actor: str, reason: str) -> Standing:
        """Hold once it is journaled, beneath what came meanwhile."""
        known = self._forbade
        async with self._moving:
            if not await self._write_owed():
                raise JournalUnavailableError("what came before is not recorded yet")
            self._check_overtaken(known)  # what came while this waited for its turn, nobody has looked at yet
            move = self._move(event, actor, reason)
            equity = self._equity.usd() if event is RiskEvent.RESET else None
            change = self._change(move, self._status.peak_equity_usd if equity is None else equity)
            await self._journal.append_risk(change)
            self._recorded = moved(self._recorded, event)
            in_force = folded(self._recorded, (owed.event for owed in self._owed))
            peak = change.peak_equity_usd if event is RiskEvent.RESET else self._status.peak_equity_usd
            self._status = replace(in_force, peak_equity_usd=peak)
            self.moves += 1
            log.warning(
                "risk_change", from_state=change.from_state, to_state=in_force.state, actor=actor, reason=reason
            )
        self._check_overtaken(known)
        return self.standing()

    def _check_overtaken(self, known: _Move | None) -> None:
        """Raises OvertakenError when something newer than `known` forbids."""
        newest = self._forbade
        if newest is not None and newest is not known:
            raise OvertakenError(f"{newest.event.value} by {newest.actor}: {newest.reason}")

    async def _record_owed(self) -> None:
        """Journal the moves that are in force but not recorded, oldest first."""
        async with self._moving:
            await self._write_owed()

    async def _write_owed(self) -> bool:
        """Whether nothing is owed any more; only with the lock."""
        while self._owed:
            try:
                await self._journal.append_risk(self._change(self._owed[0], self._status.peak_equity_usd))
            except JournalUnavailableError:
                log.error("risk_change_not_recorded", owed=len(self._owed))  # noqa: TRY400 - expected, no traceback
                return False
            self._recorded = moved(self._recorded, self._owed.pop(0).event)
        return True

    def _move(self, event: RiskEvent, actor: str, reason: str) -> _Move:
        equity = self._equity.usd()
        return _Move(
            event=event,
            actor=actor,
            reason=reason,
            equity_usd=self._last_equity_usd if equity is None else equity,
            at_ms=self._clock.now_ms(),
        )

    def _change(self, move: _Move, peak_equity_usd: Decimal) -> RiskChange:
        """A move as the journal keeps it: from what it says to what it will say."""
        before, after = self._recorded, moved(self._recorded, move.event)
        return RiskChange(
            from_state=before.state,
            to_state=after.state,
            halted=after.halted,
            locked=after.locked,
            reducing=after.reducing,
            actor=move.actor,
            reason=move.reason,
            equity_usd=move.equity_usd,
            peak_equity_usd=peak_equity_usd,
            at_ms=move.at_ms,
        )

    def _is_of_flatten(self, order: Order) -> bool:
        return order.reduce_only and order.key in self._closing
