"""The states of an order and of the account's risk, and the moves between them.

docs/states.md is generated from these tables.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from gateway.core.model import OrderState, RiskState

ORDER_MOVES: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.PENDING: frozenset(
        {
            OrderState.FILLED,
            OrderState.PARTIALLY_FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,
            OrderState.UNKNOWN,
            OrderState.EXPIRED,
        }
    ),
    OrderState.UNKNOWN: frozenset(
        {
            OrderState.FILLED,
            OrderState.PARTIALLY_FILLED,
            OrderState.CANCELLED,
            OrderState.REJECTED,
            OrderState.EXPIRED,
        }
    ),
    OrderState.FILLED: frozenset(),
    OrderState.PARTIALLY_FILLED: frozenset(),
    OrderState.CANCELLED: frozenset(),
    OrderState.REJECTED: frozenset(),
    OrderState.REFUSED: frozenset(),
    OrderState.EXPIRED: frozenset(),
}
"""Where an order may go from each state; an empty set ends it."""

OPEN_STATES = frozenset(state for state, moves in ORDER_MOVES.items() if moves)
"""States in which an order may still be filled, and so counts against the limits."""


class RiskEvent(StrEnum):
    """What can happen to the risk state."""

    HALT = "halt"
    """An operator, or an alarm of the venue, stops every order."""
    RESUME = "resume"
    """An operator has looked, and lets orders pass again."""
    DIFFERENCE_FOUND = "difference found"
    """The account at the venue is not what the journal says, or cannot be trusted to be."""
    DRAWDOWN_REACHED = "drawdown reached"
    """The equity has fallen to the limit below its peak."""
    RESET = "reset"
    """An operator has looked at the loss, and counts from today's equity."""
    TRANSFER = "transfer"
    """Money came or went that no trade explains: the peak moves with it, and no latch does."""
    REPORT = "report"
    """What a halt cancelled or a flatten closed is told; nothing moves."""


class Latch(StrEnum):
    """What holds orders back until a person lifts it."""

    HALTED = "halted"
    LOCKED = "locked"
    REDUCING = "reducing"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchMove:
    """What an event does to the latches; one that it does not name stays as it is."""

    sets: frozenset[Latch] = frozenset()
    lifts: frozenset[Latch] = frozenset()


RISK_MOVES: Mapping[RiskEvent, LatchMove] = {
    RiskEvent.HALT: LatchMove(sets=frozenset({Latch.HALTED})),
    RiskEvent.RESUME: LatchMove(lifts=frozenset({Latch.HALTED, Latch.REDUCING})),
    RiskEvent.DIFFERENCE_FOUND: LatchMove(sets=frozenset({Latch.REDUCING})),
    RiskEvent.DRAWDOWN_REACHED: LatchMove(sets=frozenset({Latch.LOCKED})),
    RiskEvent.RESET: LatchMove(lifts=frozenset({Latch.LOCKED})),
    RiskEvent.TRANSFER: LatchMove(),
    RiskEvent.REPORT: LatchMove(),
}
"""What every event does, whatever stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskStatus:
    """The stored risk state: three latches and the peak that the drawdown is measured from."""

    halted: bool
    locked: bool
    reducing: bool
    peak_equity_usd: Decimal

    @property
    def state(self) -> RiskState:
        """The one that is told when several stand: halted forbids most; locked is what a reset lifts."""
        if self.halted:
            return RiskState.HALTED
        if self.locked:
            return RiskState.LOCKED
        return RiskState.REDUCING if self.reducing else RiskState.ACTIVE


def moved(status: RiskStatus, event: RiskEvent) -> RiskStatus:
    """The status after an event; its peak is not this table's to move."""
    move = RISK_MOVES[event]

    def stands(latch: Latch, before: bool) -> bool:
        return latch in move.sets or (before and latch not in move.lifts)

    return replace(
        status,
        halted=stands(Latch.HALTED, status.halted),
        locked=stands(Latch.LOCKED, status.locked),
        reducing=stands(Latch.REDUCING, status.reducing),
    )


def folded(status: RiskStatus, events: Iterable[RiskEvent]) -> RiskStatus:
    """The status after several events, the first one first."""
    for event in events:
        status = moved(status, event)
    return status


def peak_after_transfer(
    *, base_peak_usd: Decimal, peak_usd: Decimal, equity_usd: Decimal | None, change_usd: Decimal
) -> Decimal:
    """The peak once money came (positive) or went, so that it is neither a profit nor a loss.

    `base_peak_usd` was the peak before the change, `peak_usd` is it now: equity that came has raised it by itself
    already, and must not count twice. Never below the equity, where that can be told, nor below zero.
    """
    peak = max(base_peak_usd + change_usd, peak_usd) if change_usd > 0 else peak_usd + change_usd
    return max(peak, Decimal(0) if equity_usd is None else equity_usd, Decimal(0))


def drawdown(equity_usd: Decimal, peak_equity_usd: Decimal) -> Decimal:
    """How far the equity stands below its peak, as a fraction of the peak; 0 at or above it."""
    if peak_equity_usd <= 0:
        return Decimal(1)
    return max(Decimal(0), (peak_equity_usd - equity_usd) / peak_equity_usd)
