"""What is known when an order is judged, gathered once and time-stamped, and the limits it is judged by."""

from dataclasses import dataclass
from decimal import Decimal

from gateway.core.hours import Span, Window
from gateway.core.model import Decision, Instrument, RiskState, Symbol, WatchState
from gateway.core.venue import VenueBlock

BPS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's limits, from the settings."""

    symbols: frozenset[Symbol]
    confidence_threshold: Decimal
    order_usd_max: Decimal
    """The most that one order may ask for."""
    symbol_cap_usd: Decimal
    gross_cap_usd: Decimal
    """The most that all symbols together may hold, longs and shorts added up."""
    net_cap_usd: Decimal
    """The most that longs may exceed shorts by, or shorts longs."""
    leverage_max: Decimal
    """Gross exposure as a multiple of the equity."""
    open_orders_max: int
    order_rate_max: int
    """Orders sent in a minute for one client and symbol; 0: no limit."""
    duplicate_window_ms: int
    """For so long an order like one that was sent is taken for its copy; 0: never."""
    price_collar_bps: Decimal
    """How far the mid may lie from the reference price; 0: no matter."""
    spread_bps_max: Decimal
    depth_usd_min: Decimal
    """What must stand on the side that the order takes, within `depth_within_bps` of the mid."""
    depth_within_bps: Decimal
    trading_hours: tuple[Span, ...]
    """When orders that open may go out; empty: always."""
    maintenance: tuple[Window, ...]
    """When none may."""
    daily_loss_usd_max: Decimal | None
    """What a UTC day may lose, US dollars; None: no limit."""
    daily_loss_max: Decimal | None
    """The same as a fraction of the equity without that loss; None: no limit."""
    losing_trades_max: int
    """So many closes with a loss in a row start a cool-down; 0: none does."""
    cool_down_ms: int
    require_decision: bool
    """Whether an order that opens must name a decision."""
    kelly_fraction: Decimal
    """The share of the Kelly bet that an order may be; 0: sized without Kelly."""
    target_ann_vol: Decimal | None
    """The annual volatility of the whole account that sizing keeps to, a fraction of the equity; None: none."""
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
    """The most notional of one order and of one symbol's exposure at this stage, US dollars; None: no other than the
    settings'."""


UNRESTRICTED = Permission(stage="", refusal="", cap_usd=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The best prices of a symbol, and what stands near them."""

    bid: Decimal
    ask: Decimal
    depth_usd: Decimal
    """What stands on the side that the order takes, within the policy's `depth_within_bps` of the mid."""
    received_ms: int
    """When the newest message of it arrived, by the gateway's clock."""

    @property
    def mid(self) -> Decimal:
        """Half way between bid and ask."""
        return (self.bid + self.ask) / 2

    @property
    def spread_bps(self) -> Decimal:
        """What lies between bid and ask, basis points of the mid, which is above zero."""
        return (self.ask - self.bid) / self.mid * BPS


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherExposure:
    """What the account holds of the other symbols at their mid prices, orders under way counted at their worst."""

    gross_usd: Decimal
    """Longs and shorts added up, each symbol on its larger side."""
    long_usd: Decimal
    """Longs less shorts when every buy under way fills and no sell does; negative when shorts outweigh."""
    short_usd: Decimal
    """Shorts less longs when every sell under way fills and no buy does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityFacts:
    """How much the symbol moves, and how much of it the account holds already; by gateway.core.volatility."""

    symbol: float
    """The symbol's annual volatility, a fraction; above zero."""
    portfolio_usd: float
    """The annual standard deviation of what is held and under way, US dollars."""
    shared_usd: float
    """The annual covariance of the symbol's return with the value of what is held and under way, US dollars."""


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
    permission: Permission
    drawdown: Decimal | None
    """The fraction below the peak equity; None when a held symbol has no fresh price."""
    equity_usd: Decimal | None
    day_pnl_usd: Decimal | None
    """What was earned since 00:00 UTC, fees taken off, and all that is open now; None when that cannot be told."""
    losing_streak: int
    """How many closes in a row have lost, up to the newest."""
    last_loss_ms: int
    """When the newest of them ended; 0 without one."""
    quote: Quote | None
    reference_price: Decimal | None
    """What the mid is held against: the mark price, else the close of the newest bar."""
    instrument: Instrument | None
    position_qty: Decimal
    """Signed, in base units."""
    pending_buy_usd: Decimal
    """What buys under way on this symbol may still add, at worst."""
    pending_sell_usd: Decimal
    others: OtherExposure | None
    """None when another symbol that is held has no fresh price."""
    volatility: VolatilityFacts | None
    """None when it is not asked for, or cannot be told."""
    open_orders: int
    """Orders of all symbols that are pending or unknown."""
    orders_in_minute: int
    """Orders sent for this client and symbol in the last minute."""
    like_order_age_ms: int | None
    """How long ago an order of the same symbol, side and size was sent under another key; None: not lately."""
    calibration: CalibrationStanding
    decision: Decision | None
    """The recorded decision that the order names; None when it names none or none is found."""
    venue_block: VenueBlock | None
    """Why the venue takes no such order at this moment; None when it takes them."""
    reconciled: bool
    """Whether the account at the venue was found to be the journal's, and lately enough; on paper always."""
    unknown_orders: bool
    """Whether an order on this symbol has an end that is not known."""
