"""The risk guard: watches the equity, latches what forbids orders, and moves the risk state by audited calls."""

import asyncio
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from gateway.account import Account
from gateway.core.lifecycle import RiskStatus, drawdown
from gateway.core.model import RiskChange, RiskState
from gateway.equity import Equity
from gateway.ports import Clock, Journal, JournalUnavailableError

WATCH_SECONDS = 1.0
"""How often the equity is looked at when no order does it."""

ACTOR = "tollgate"

log = structlog.get_logger()


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
        self._owed: list[RiskChange] = []
        self._last_equity_usd = account.ledger.start_usd
        self._reducing_for = ""
        # A live account starts at nothing: the first equity that the venue tells is its first peak.
        self._status = RiskStatus(halted=False, locked=False, reducing=False, peak_equity_usd=account.ledger.start_usd)

    def load(self) -> None:
        """Take up the stored state; a new journal starts active, at the starting equity."""
        self._status = self._journal.risk_status() or self._status
        ledger = self._account.ledger
        self._last_equity_usd = ledger.start_usd + ledger.realised_usd - ledger.fees_usd

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
        before = self._status
        self._status = replace(before, locked=True)
        self._owed.append(self._change(before, self._status, ACTOR, reason))
        await self._record_owed()

    async def reduce(self, actor: str, reason: str) -> None:
        """Let only reduce-only orders pass from now on; it holds even while it cannot be journaled.

        A reason that stands already is not journaled again.
        """
        if self._status.reducing and reason == self._reducing_for:
            return
        before = self._status
        self._status, self._reducing_for = replace(before, reducing=True), reason
        self._owed.append(self._change(before, self._status, actor, reason))
        await self._record_owed()

    @property
    def is_halted(self) -> bool:
        """Whether every order is refused."""
        return self._status.halted

    @property
    def is_reducing(self) -> bool:
        """Whether the account was found to differ, and nobody has resumed since; also beneath a halt or a lock."""
        return self._status.reducing

    async def halt(self, actor: str, reason: str) -> Standing:
        """Refuse every order from now on. Raises JournalUnavailableError: halted all the same, recorded later."""
        before = self._status
        self._status = replace(before, halted=True)
        self._owed.append(self._change(before, self._status, actor, reason))
        await self._record_owed()
        if self._owed:
            raise JournalUnavailableError("the halt stands, but is not recorded yet")
        return self.standing()

    async def resume(self, actor: str, reason: str) -> Standing:
        """Lift a halt and the reducing. Raises JournalUnavailableError: nothing was changed."""
        async with self._moving:
            target = replace(self._status, halted=False, reducing=False)
            await self._journal.append_risk(self._change(self._status, target, actor, reason))
            if not self._owed:  # what came meanwhile stands
                self._status = replace(self._status, halted=False, reducing=False)
        return self.standing()

    async def reset(self, actor: str, reason: str) -> Standing:
        """Lift the drawdown lock and measure from today's equity. Raises JournalUnavailableError: nothing changed."""
        async with self._moving:
            equity = self._equity.usd()
            peak = self._status.peak_equity_usd if equity is None else equity
            target = replace(self._status, locked=False, peak_equity_usd=peak)
            await self._journal.append_risk(self._change(self._status, target, actor, reason))
            self._status = replace(self._status, locked=False, peak_equity_usd=peak)
        return self.standing()

    async def _record_owed(self) -> None:
        """Journal the moves that are in force but not recorded, oldest first."""
        async with self._moving:
            while self._owed:
                try:
                    await self._journal.append_risk(self._owed[0])
                except JournalUnavailableError:
                    log.error("risk_change_not_recorded", owed=len(self._owed))  # noqa: TRY400 - expected, no traceback
                    return
                self._owed.pop(0)

    def _change(self, before: RiskStatus, after: RiskStatus, actor: str, reason: str) -> RiskChange:
        equity = self._equity.usd()
        log.warning("risk_change", from_state=before.state, to_state=after.state, actor=actor, reason=reason)
        return RiskChange(
            from_state=before.state,
            to_state=after.state,
            halted=after.halted,
            locked=after.locked,
            reducing=after.reducing,
            actor=actor,
            reason=reason,
            equity_usd=self._last_equity_usd if equity is None else equity,
            peak_equity_usd=after.peak_equity_usd,
            at_ms=self._clock.now_ms(),
        )
