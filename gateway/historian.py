"""Gathers the history that evidence is computed from, out of the journal, a little at a time.

What has ended never changes, so each look reads only what is new. Reading is on the event loop in small steps, between
which orders go on.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from gateway.account import Account
from gateway.core.documents import DocumentKind
from gateway.core.evidence import DAY_MS
from gateway.core.evidence_statistics import Scored
from gateway.core.history import UNRESOLVED_MS, EndedOrder, History, ended_order
from gateway.core.json_fields import parsed
from gateway.core.lifecycle import OPEN_STATES, drawdown
from gateway.core.model import (
    Decision,
    DecisionId,
    Matured,
    OrderKey,
    OrderState,
    RiskChange,
    Signal,
    Verdict,
    WatchState,
)
from gateway.core.promotion import WINDOW_DAYS
from gateway.guard import ACTOR, RiskGuard
from gateway.ports import Clock, Journal

OUTCOMES_MAX: Final = 20_000
"""The newest outcomes that are read: three symbols of hourly bars make so many in nine months."""
ORDERS_MAX: Final = 5_000
"""The newest orders that count; more would tell no more."""
CHANGES_MAX: Final = 1_000
MOVES_MAX: Final = 200
TWINS_MAX: Final = 1_000
STEP: Final = 50
"""So many records are read at once: a few milliseconds."""


class Historian:
    """Keeps what it has read of one account and the served model."""

    def __init__(
        self,
        *,
        journal: Journal,
        account: Account,
        guard: RiskGuard,
        clock: Clock,
        drawdown_max: Decimal,
        real_market: bool,
    ) -> None:
        self._journal = journal
        self._account = account
        self._guard = guard
        self._clock = clock
        self._drawdown_max = drawdown_max
        self._real_market = real_market
        self._version = ""
        self._scored: dict[DecisionId, Scored | None] = {}
        """Outcomes of the version, oldest first; None for one that tells of nothing."""
        self._orders: dict[OrderKey, EndedOrder] = {}
        self._open: set[OrderKey] = set()
        """Orders that had not ended at the last look."""
        self._drawdowns: dict[int, float] = {}
        """The largest drawdown seen, by the day."""

    async def history(self, *, model_version: str, promoted_version: str, from_ms: int, whole: bool) -> History:
        """The history of the stage that began at `from_ms`. Raises JournalUnavailableError.

        `whole`: outcomes and decisions of the whole window count, for earning a stage; else those since it began.
        """
        now_ms = self._clock.now_ms()
        window_ms = now_ms - WINDOW_DAYS * DAY_MS
        began_ms = max(from_ms, window_ms)
        await self._read_outcomes(model_version)
        await self._read_orders(window_ms)
        found = [scored for scored in self._scored.values() if scored is not None]
        found.sort(key=lambda scored: scored.at_ms)
        first_ms = window_ms if whole else began_ms
        outcomes = found[bisect_left(found, first_ms, key=lambda scored: scored.at_ms) :]
        orders = [order for order in self._orders.values() if order.at_ms >= began_ms]
        moments = [order.at_ms for order in orders] + [o.at_ms for o in outcomes if o.at_ms >= began_ms]
        moves = _with_before(self._journal.risk_changes(CHANGES_MAX)[::-1])
        changes = [change for _, change in moves if change.at_ms >= began_ms]
        own = [(before, change) for before, change in moves if change.at_ms >= began_ms and change.actor == ACTOR]
        return History(
            from_ms=began_ms,
            to_ms=now_ms,
            model_version=model_version,
            promoted_version=promoted_version,
            outcomes=outcomes,
            decisions=len(self._scored) + self._waiting(model_version),
            orders=orders,
            days=len({moment // DAY_MS for moment in moments}),
            unresolved=sum(now_ms - record.updated_ms > UNRESOLVED_MS for record in self._account.open_orders()),
            breaches=[change.reason for before, change in own if _stops(before, change)],
            differences=[change.reason for before, change in own if change.reducing and not before.reducing],
            reconciled=self._account.reconciled(now_ms),
            watch_state=self._watch_state(model_version, began_ms),
            drawdown=self._worst_drawdown(changes, began_ms),
            drawdown_max=float(self._drawdown_max),
            real_market=self._real_market,
            paper_bias_bps=self._paper_biases(began_ms),
        )

    def note_drawdown(self) -> None:
        """Remember today's largest drawdown; the journal keeps only those that locked."""
        found = self._guard.standing().drawdown
        if found is not None:
            day = self._clock.now_ms() // DAY_MS
            self._drawdowns[day] = max(self._drawdowns.get(day, 0.0), float(found))

    def _waiting(self, model_version: str) -> int:
        return sum(decision.model_version == model_version for decision in self._journal.unmatured_decisions())

    async def _read_outcomes(self, model_version: str) -> None:
        """Take up outcomes that are new, with what their decisions tell of the market."""
        if model_version != self._version:
            self._version, self._scored = model_version, {}
        limit = STEP if self._scored else OUTCOMES_MAX
        newest = self._journal.matured_decisions(model_version, limit)
        if self._scored and newest and newest[0].decision_id not in self._scored:
            newest = self._journal.matured_decisions(model_version, OUTCOMES_MAX)
        fresh = [outcome for outcome in newest if outcome.decision_id not in self._scored]
        for place, outcome in enumerate(fresh):
            if place % STEP == 0:
                await asyncio.sleep(0)
            if model_version != self._version:
                return  # another look has begun meanwhile, for another version
            decision = self._journal.find_decision(outcome.decision_id)
            self._scored[outcome.decision_id] = scored_of(outcome, decision)

    async def _read_orders(self, window_ms: int) -> None:
        """Take up orders that have ended, newest first, until one is met that is known or too old."""
        found = [self._journal.find_order(key) for key in self._open]
        self._open = {record.order.key for record in self._account.open_orders()}
        before: int | None = None
        for _ in range(ORDERS_MAX // STEP):
            page = self._journal.list_orders(limit=STEP, before=before, symbol=None)
            found += [record for _, record in page]
            known = any(record.order.key in self._orders for _, record in page)
            if known or len(page) < STEP or page[-1][1].created_ms < window_ms:
                break
            before = page[-1][0]
            await asyncio.sleep(0)
        for record in found:
            if record and record.state is not OrderState.REFUSED and record.state not in OPEN_STATES:
                self._orders[record.order.key] = ended_order(record)
        newest = sorted(self._orders.items(), key=lambda item: item[1].at_ms)[-ORDERS_MAX:]
        self._orders = dict(newest)

    def _watch_state(self, model_version: str, began_ms: int) -> str:
        order = list(WatchState)
        moves = [move for move in self._journal.watch_moves(MOVES_MAX) if move.model_version == model_version]
        states = [move.to_state for move in moves if move.at_ms >= began_ms]
        states += [move.to_state for move in moves if move.at_ms < began_ms][:1]
        return max(states, key=order.index, default=WatchState.OK).value

    def _paper_biases(self, began_ms: int) -> list[float]:
        """Of the newest live orders that have a twin with a fill."""
        twins = [twin for twin in self._journal.documents(DocumentKind.TWIN, TWINS_MAX) if twin.at_ms >= began_ms]
        told = [_paper_bias(twin.text) for twin in twins]
        return [bias for bias in told if bias is not None]

    def _worst_drawdown(self, changes: list[RiskChange], began_ms: int) -> float | None:
        if self._guard.standing().drawdown is None:
            return None
        self.note_drawdown()
        # Before a live account has told its first equity there is no peak to measure from.
        measured = [change for change in changes if change.peak_equity_usd > 0]
        recorded = [float(drawdown(change.equity_usd, change.peak_equity_usd)) for change in measured]
        seen = [worst for day, worst in self._drawdowns.items() if day >= began_ms // DAY_MS]
        return max((*recorded, *seen), default=0.0)


def scored_of(outcome: Matured, decision: Decision | None) -> Scored | None:
    """An outcome in figures; None when it was neither right nor wrong."""
    if outcome.verdict is Verdict.NONE:
        return None
    features: Mapping[str, float] = decision.features if decision else {}
    return Scored(
        at_ms=outcome.bar_open_ms,
        horizon_ms=outcome.horizon_seconds * 1000,
        confidence=outcome.confidence,
        is_long=outcome.signal is Signal.LONG,
        right=outcome.verdict is Verdict.RIGHT,
        volatility=_first(features, "rv_"),
        trend=_first(features, "mom_"),
    )


def _first(features: Mapping[str, float], prefix: str) -> float | None:
    """The first feature of a family by name; None when there is none."""
    name = min((name for name in features if name.startswith(prefix)), default=None)
    return None if name is None else features[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latches:
    halted: bool = False
    locked: bool = False
    reducing: bool = False


def _with_before(changes: Sequence[RiskChange]) -> list[tuple[_Latches, RiskChange]]:
    """Each move, oldest first, with what stood before it: what is only told again is no new breach."""
    made, stood = [], _Latches()
    for change in changes:
        made.append((stood, change))
        stood = _Latches(halted=change.halted, locked=change.locked, reducing=change.reducing)
    return made


def _stops(before: _Latches, change: RiskChange) -> bool:
    return (change.locked and not before.locked) or (change.halted and not before.halted)


def _paper_bias(text: str) -> float | None:
    """What a twin's record says that live was worse by, price and fee; None where paper would have filled nothing."""
    told = parsed(text, "twin")
    price, fee = (
        (told.get(name) for name in ("price_worse_bps", "fee_worse_bps")) if isinstance(told, dict) else ("", "")
    )
    return float(price) + float(fee) if isinstance(price, str) and isinstance(fee, str) and price and fee else None
