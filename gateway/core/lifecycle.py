"""The states of an order and of the account's risk, and the moves between them.

docs/states.md is generated from these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

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


def drawdown(equity_usd: Decimal, peak_equity_usd: Decimal) -> Decimal:
    """How far the equity stands below its peak, as a fraction of the peak; 0 at or above it."""
    if peak_equity_usd <= 0:
        return Decimal(1)
    return max(Decimal(0), (peak_equity_usd - equity_usd) / peak_equity_usd)
