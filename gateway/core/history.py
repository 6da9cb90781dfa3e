"""The history that evidence is computed from: what the journal holds of one account over one window."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.evidence_statistics import Scored
from gateway.core.model import OrderRecord, OrderState

UNRESOLVED_MS = 60_000
"""An order without a known end for longer than this is unresolved."""

ERROR_STATES = frozenset({OrderState.REJECTED, OrderState.EXPIRED, OrderState.UNKNOWN})
"""What counts as an error of an approved order; a refusal by the risk checks is none, it is their work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedOrder:
    """One approved order that has ended, in figures."""

    at_ms: int
    response_ms: int
    """From the moment of judgement to the record of its end."""
    is_error: bool
    slippage_bps: float | None
    """How much worse than the mid price at its judgement it was filled, basis points; None without a fill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One account's history at one moment."""

    from_ms: int
    """When the present stage began, or the window where that is later: orders, days and changes count from then on."""
    to_ms: int
    model_version: str
    """The served one; empty while none is known."""
    promoted_version: str
    """The one that the present stage was earned with; empty at the first stage."""
    outcomes: Sequence[Scored]
    """Of the served version, oldest first."""
    decisions: int
    """Scored decisions of the served version, those without an outcome included."""
    orders: Sequence[EndedOrder]
    days: int
    """Days of UTC with an order or an outcome."""
    unresolved: int
    """Orders without a known end for longer than UNRESOLVED_MS."""
    breaches: Sequence[str]
    """Why the gateway itself locked or halted trading."""
    differences: Sequence[str]
    """Why the gateway itself let only reductions pass."""
    reconciled: bool
    """Whether the account is known to be the journal's; on paper always."""
    watch_state: str
    """The highest state that the calibration watch over the served version had."""
    drawdown: float | None
    """The largest that was seen, a fraction of the peak equity; None while it cannot be told."""
    drawdown_max: float
    """The one that locks."""
    real_market: bool
    """Whether prices were those of a real market."""
    paper_bias_bps: Sequence[float]
    """By how much each live order was worse than its paper twin, price and fee, basis points; empty on paper."""


def ended_order(record: OrderRecord) -> EndedOrder:
    """An approved order's newest record, in figures."""
    return EndedOrder(
        at_ms=record.created_ms,
        response_ms=record.updated_ms - record.created_ms,
        is_error=record.state in ERROR_STATES,
        slippage_bps=slippage_bps(record),
    )


def slippage_bps(record: OrderRecord) -> float | None:
    """How much worse than the mid price at its judgement an order was filled; negative is better; None without fills.

    The fills' mean price by quantity; basis points of the mid price.
    """
    qty = sum(fill.qty for fill in record.fills)
    if not qty or not record.mid_price:
        return None
    price = record.filled_usd / qty
    return float((price - record.mid_price) / record.mid_price * record.order.side.sign * 10_000)
