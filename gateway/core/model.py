"""The words of the gateway: orders, decisions, prices, fills and what becomes of them.

Money is Decimal in US dollars (the quote currency); quantities are Decimal in
units of the base asset; times are integer milliseconds since 1970 UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

from gateway.core.reasons import CODES, Reason

if TYPE_CHECKING:  # facts are made of the words of this file
    from gateway.core.facts import OrderFacts

Symbol = NewType("Symbol", str)
OrderKey = NewType("OrderKey", str)
DecisionId = NewType("DecisionId", str)
OrderLinkId = NewType("OrderLinkId", str)

ZERO = Decimal(0)


class Side(StrEnum):
    """The side of an order or a position."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Signal(StrEnum):
    """What the ensemble favours."""

    LONG = "long"
    SHORT = "short"
    FLAT = "flat"


class OrderState(StrEnum):
    """Where an order stands; see docs/states.md for the moves between them."""

    PENDING = "pending"
    FILLED = "filled"
    PARTIALLY_FILLED = "partially_filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    REFUSED = "refused"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class RiskState(StrEnum):
    """What the account may do."""

    ACTIVE = "active"
    REDUCING = "reducing"
    """What the venue holds is not what the journal says: only orders that reduce a position pass."""
    LOCKED = "locked"
    HALTED = "halted"


class Evidence(StrEnum):
    """How the end of an order became known."""

    PAPER = "paper"
    """This process filled it itself."""
    REPLY = "reply"
    """The venue's own answer to the order."""
    STREAM = "stream"
    """The venue's private stream."""
    REALTIME = "realtime"
    """The venue's list of open and recent orders."""
    HISTORY = "history"
    """The venue's list of closed orders."""
    ABSENCE = "absence"
    """No trace of it at the venue after the last moment at which it could still have been taken."""
    UNSENT = "unsent"
    """This process did not send it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something did not happen: the value that every refusal is."""

    reason: Reason
    message: str
    """What did not happen, then what to do."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The limit and the value that met it, by name, as decimal text."""
    field_name: str | None = None
    """The field at fault, as the JSON names it; None when no single field is."""
    retry_after_seconds: int | None = None
    """When to retry; None: the reason's own."""

    @property
    def retry_seconds(self) -> int | None:
        """When a retry can help, in seconds; None when it cannot."""
        if self.retry_after_seconds is not None:
            return self.retry_after_seconds
        return CODES[self.reason].retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as its caller asks for it, checked for form."""

    key: OrderKey
    symbol: Symbol
    side: Side
    requested_usd: Decimal
    confidence: Decimal | None
    """0 to 1; None when a decision or reduce_only stands in for it."""
    decision_id: DecisionId | None
    reduce_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One step that made an order smaller."""

    step: str
    """confidence, kelly, volatility, symbol_cap, stage_cap, gross_cap, net_cap, leverage or position."""
    from_usd: Decimal
    to_usd: Decimal
    limit: Decimal
    """What bound: the confidence for its step, else US dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One fill."""

    price: Decimal
    qty: Decimal
    fee_usd: Decimal
    """Positive is a cost."""
    exec_id: str = ""
    """The venue's id of it; empty on paper."""

    @property
    def notional_usd(self) -> Decimal:
        """Price times quantity."""
        return self.price * self.qty


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One price of a book and the quantity that stands there."""

    price: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The resting orders of one symbol, best price first on each side; never empty, never crossed."""

    bids: Sequence[Level]
    asks: Sequence[Level]
    received_ms: int
    """When the newest message of it arrived, by the gateway's clock."""

    @property
    def mid(self) -> Decimal:
        """Half way between the best bid and the best ask."""
        return (self.bids[0].price + self.asks[0].price) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The venue's rules for one symbol."""

    symbol: Symbol
    qty_step: Decimal
    """Quantities are whole multiples of this."""
    min_qty: Decimal
    max_market_qty: Decimal
    min_notional_usd: Decimal
    tick_size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A closed bar. Floats: it feeds the model's mathematics, never money."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BarSeries:
    """Closed bars of one symbol, oldest first, their opening times rising; a gap is an outage of the market."""

    bar_seconds: int
    bars: Sequence[Bar]


class BarLabel(StrEnum):
    """What became of a bar's label, as the model service defines it."""

    UP = "up"
    DOWN = "down"
    NONE = "none"
    """It can never be known."""
    OPEN = "open"
    """Its horizon has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What the shadow model says of the same row."""

    model_version: str
    prob_long: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model service says of one row."""

    prob_long: float
    confidence: float
    """The calibrated probability that the favoured side is right."""
    members: tuple[float, ...]
    """Each member's probability of a rise; empty when the server does not tell."""
    disagreement: float | None
    """The standard deviation of the members; None when the server does not tell."""
    dissimilarity: float | None
    """The distance from the training set as a multiple of the card's limit; None when the server does not tell."""
    model_version: str
    horizon_seconds: int
    bar_seconds: int
    market: str
    """The market that the model speaks for, "simulated" or "real"; empty when nobody says."""
    expire_ms: int | None
    """From when the model is too old; None when it does not age, or its server does not tell."""
    shadow: Shadow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A recorded judgement. Its probabilities are the model's floats, rounded to 6 places."""

    decision_id: DecisionId
    symbol: Symbol
    signal: Signal
    prob_long: float
    prob_short: float
    confidence: float
    """What was promised: the model's own, or the recalibrated one where that is on."""
    model_confidence: float
    """The model's own."""
    model_version: str
    horizon_seconds: int
    threshold: float
    """The confidence that was asked for at that moment."""
    allow: bool
    reasons: tuple[Reason, ...]
    features: Mapping[str, float]
    members: tuple[float, ...]
    disagreement: float | None
    dissimilarity: float | None
    bar_open_ms: int | None
    """When the bar that is labelled opened: the newest that the features were computed from, or, where the caller sent
    them, the last that had closed by then; None in records of version 1."""
    scored: bool
    """The first of its symbol, bar and model version: the one that calibration counts."""
    shadow: Shadow | None
    at_ms: int


class Verdict(StrEnum):
    """What became of a matured decision."""

    RIGHT = "right"
    WRONG = "wrong"
    NONE = "none"
    """It can never be known, or the decision favoured no side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matured:
    """A scored decision after its horizon, with what judging it needs."""

    decision_id: DecisionId
    symbol: Symbol
    model_version: str
    bar_open_ms: int
    horizon_seconds: int
    signal: Signal
    confidence: float
    model_confidence: float
    label: BarLabel
    """UP, DOWN or NONE."""
    verdict: Verdict
    shadow: Shadow | None
    at_ms: int
    """When it was judged."""


class WatchState(StrEnum):
    """What the calibration watch makes of live outcomes, in rising order."""

    OK = "ok"
    WARNED = "warned"
    RAISED = "raised"
    ABSTAINING = "abstaining"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchMove:
    """One recorded move of the calibration watch."""

    from_state: WatchState
    to_state: WatchState
    model_version: str
    reason: str
    evidence: float
    """The likelihood ratio that moved it."""
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a venue says became of an order. UNKNOWN: its answer was lost, and only reconciliation may settle it."""

    state: OrderState
    fills: tuple[Fill, ...] = ()
    detail: str = ""
    """The venue's words for a rejection, safe to show; empty otherwise."""
    evidence: Evidence | None = None
    """How it is known; None while it is not."""
    venue_order_id: str = ""
    """The venue's id of the order; empty while it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """All that the journal keeps of an order; the newest record of a key is the order."""

    order: Order
    order_link_id: OrderLinkId
    state: OrderState
    approved_usd: Decimal
    confidence: Decimal
    adjustments: tuple[Adjustment, ...]
    fills: tuple[Fill, ...]
    failure: Failure | None
    mid_price: Decimal | None
    """The mid price that the order was judged at; None for a refusal without one."""
    created_ms: int
    updated_ms: int
    evidence: Evidence | None = None
    """How its end is known; None while it is open, and for a refusal."""
    venue_order_id: str = ""
    """The venue's id of the order; empty on paper and while it is not known."""
    facts: "OrderFacts | None" = None
    """What it was judged by; told in an order's first record alone."""
    policy_id: str = ""
    """The limits that it was judged by, see fact_records.py; told in an order's first record alone."""

    @property
    def filled_usd(self) -> Decimal:
        """The notional of all fills."""
        return sum((fill.notional_usd for fill in self.fills), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskChange:
    """One audited move of the risk state."""

    from_state: RiskState
    to_state: RiskState
    halted: bool
    locked: bool
    reducing: bool
    """Which latches stand after the move: the operator's halt, the drawdown lock, an account that differs."""
    actor: str
    reason: str
    equity_usd: Decimal
    peak_equity_usd: Decimal
    """The peak after the move."""
    at_ms: int
