"""What is known when an order is judged, gathered once and time-stamped, and the limits it is judged by."""

from dataclasses import dataclass
from decimal import Decimal

from gateway.core.model import Book, Decision, Instrument, RiskState, Symbol, WatchState
from gateway.core.venue import VenueBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's limits, from the settings."""

    symbols: frozenset[Symbol]
    confidence_threshold: Decimal
    symbol_cap_usd: Decimal
    drawdown_max: Decimal
    """A fraction of the peak equity."""
    price_age_ms_max: int
    decision_age_ms_max: int
    dissimilarity_max: float
    """How far from the training set features may lie, in multiples of the card's limit."""
    real_market: bool
    """Whether prices are those of a real market."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationStanding:
    """What live outcomes ask of a decision or an order."""

    state: WatchState
    threshold: float
    """The confidence that is asked for at this moment: the operator's, raised while the watch has raised it."""
    slope: float
    """What the log odds of the model's confidence are multiplied by, 0 to 1; 1 when recalibration is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What the account has earned: the stage of promotion that an order is judged in."""

    stage: str
    """The stage's name, PAPER to LIVE; empty where no stage counts."""
    refusal: str
    """Why no opening order may go out at this stage; empty when it may. One sentence without a full stop."""
    cap_usd: Decimal | None
    """The most notional of one order and of one symbol's exposure at this stage, US dollars.

    None: the settings alone.
    """


UNRESTRICTED = Permission(stage="", refusal="", cap_usd=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFacts:
    """The world at the moment of a decision."""

    at_ms: int
    risk_state: RiskState
    calibration: CalibrationStanding


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """The world at the moment of judgement. None stands for what could not be learned, and refuses."""

    at_ms: int
    risk_state: RiskState
    drawdown: Decimal | None
    """The fraction below the peak equity; None when a held symbol has no fresh price."""
    book: Book | None
    instrument: Instrument | None
    position_qty: Decimal
    """Signed, in base units."""
    pending_buy_usd: Decimal
    """What buys under way on this symbol may still add, at worst."""
    pending_sell_usd: Decimal
    calibration: CalibrationStanding
    decision: Decision | None
    """The recorded decision that the order names; None when it names none or none is found."""
    venue_block: VenueBlock | None
    """Why the venue takes no such order at this moment; None when it takes them."""
    reconciled: bool
    """Whether the account at the venue was found to be the journal's, and lately enough; on paper always."""
    unknown_orders: bool
    """Whether an order on this symbol has an end that is not known."""
