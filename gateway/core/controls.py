"""The checks of the verdict in their order, and which class of control each of them is; docs/risk.md has the table.

The classes are those of rules that bind brokers and investment firms, and are the yardstick here: the SEC's market
access rule 15c3-5, the EU's RTS 6 (2017/589), and the FIA's list of pre-trade controls. gateway/core/risk.py has the
same order.
"""

from dataclasses import dataclass

from gateway.core.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One check of the verdict."""

    reason: Reason
    rule: str
    """What must hold for the order to pass, in Markdown."""
    reduce_only: str
    """What becomes of a reduce-only order here."""
    control_class: str


CHECKED = "checked"
PASSES = "passes"

_PERMISSIONS = "restricted products and permissions: 15c3-5(c)(2)(ii)-(iii)"
_KILL_SWITCH = "kill switch: RTS 6 Art 12; FIA"
_GATES = "testing and controlled deployment: RTS 6 Art 5-8"
_RECONCILIATION = "reconciliation: 15c3-5(c)(2)(iv); RTS 6 Art 17; FIA drop copy"
_THROTTLE = "message throttle: RTS 6 Art 15; FIA"
_MODEL = "calibrated confidence: Tollgate's own"
_ERRONEOUS = "erroneous orders: 15c3-5(c)(1)(ii); RTS 6 Art 15; FIA order size and price tolerance"
_DUPLICATES = "duplicative orders: 15c3-5(c)(1)(ii)"
_MARKET_DATA = "market data reasonability: FIA"
_LOSSES = "loss limits: industry practice"
_POSITIONS = "positions: FIA maximum intraday position"
_CREDIT = "credit and capital: 15c3-5(c)(1)(i); RTS 6 Art 15; FIA"


def _control(reason: Reason, rule: str, reduce_only: str, control_class: str) -> Control:
    return Control(reason=reason, rule=rule, reduce_only=reduce_only, control_class=control_class)


CONTROLS: tuple[Control, ...] = (
    _control(Reason.SYMBOL_NOT_ALLOWED, "the symbol is on the allow-list (`SYMBOLS`)", CHECKED, _PERMISSIONS),
    _control(Reason.HALTED, "no operator's halt stands", CHECKED, _KILL_SWITCH),
    _control(Reason.NOT_PROMOTED, "the account has earned opening orders at its stage", PASSES, _GATES),
    _control(
        Reason.OUTSIDE_HOURS,
        "the moment is within `TRADING_HOURS`, and in no window of `MAINTENANCE`",
        PASSES,
        _PERMISSIONS,
    ),
    _control(
        Reason.VENUE_UNAVAILABLE,
        "the venue takes such orders at this moment: no ban and no breaker stands",
        CHECKED,
        _THROTTLE,
    ),
    _control(
        Reason.RECONCILING,
        "the account at the venue was compared and is the journal's; no order on the symbol has an unknown end",
        "checked, but for the unknown end",
        _RECONCILIATION,
    ),
    _control(
        Reason.ORDER_RATE,
        "fewer than `ORDER_RATE_MAX` orders were sent for this client and symbol in the last minute",
        PASSES,
        _THROTTLE,
    ),
    _control(Reason.OPEN_ORDERS, "fewer than `OPEN_ORDERS_MAX` orders are under way", PASSES, _THROTTLE),
    _control(Reason.DECISION_REQUIRED, "a decision is named, where `REQUIRE_DECISION` is on", PASSES, _MODEL),
    _control(
        Reason.DECISION_MISMATCH,
        "the named decision exists and says the same symbol, side and confidence",
        "checked, but for the side",
        _MODEL,
    ),
    _control(
        Reason.DECISION_EXPIRED,
        "the named decision is at most `DECISION_AGE_SECONDS_MAX` old",
        CHECKED,
        _MODEL,
    ),
    _control(
        Reason.OUT_OF_DISTRIBUTION,
        "the named decision was not forbidden for features further out than `DISSIMILARITY_MAX`",
        PASSES,
        _MODEL,
    ),
    _control(
        Reason.CALIBRATION_DRIFT,
        "the calibration watch does not abstain, and did not at the named decision",
        PASSES,
        _MODEL,
    ),
    _control(
        Reason.MODEL_EXPIRED, "the model of the named decision was not older than its card allows", PASSES, _MODEL
    ),
    _control(
        Reason.MODEL_MARKET_MISMATCH,
        "the model of the named decision speaks for a real market, where prices are a real market's",
        PASSES,
        _MODEL,
    ),
    _control(
        Reason.LOW_CONFIDENCE,
        "the confidence has reached `CONFIDENCE_THRESHOLD`, and what the calibration watch has raised it to",
        PASSES,
        _MODEL,
    ),
    _control(Reason.ORDER_TOO_LARGE, "`qtyUsd` is at most `ORDER_USD_MAX`, before any sizing", PASSES, _ERRONEOUS),
    _control(
        Reason.DUPLICATE_ORDER,
        "no order of the same symbol, side and `qtyUsd` was sent under another key within `DUPLICATE_WINDOW_MS`",
        PASSES,
        _DUPLICATES,
    ),
    _control(
        Reason.MARKET_DATA_STALE,
        "there is a price, at most `PRICE_AGE_MS_MAX` old, finite and not crossed, and the venue's rules for the"
        " symbol; the equity, the exposure, and what the limits that are set need can be told",
        "checked, but for what only limits need",
        _MARKET_DATA,
    ),
    _control(
        Reason.RISK_LOCKED,
        "no drawdown lock stands, and `MAX_DRAWDOWN_PCT` is not reached now",
        PASSES,
        _LOSSES,
    ),
    _control(
        Reason.REDUCE_ONLY,
        "the account at the venue does not differ from the journal, or an operator has resumed since",
        PASSES,
        _RECONCILIATION,
    ),
    _control(
        Reason.DAILY_LOSS,
        "the UTC day has lost less than `DAILY_LOSS_USD_MAX` and `DAILY_LOSS_PCT_MAX`",
        PASSES,
        _LOSSES,
    ),
    _control(
        Reason.COOL_DOWN,
        "fewer than `LOSING_TRADES_MAX` closes in a row have lost, or the newest was `COOL_DOWN_SECONDS` ago",
        PASSES,
        _LOSSES,
    ),
    _control(Reason.SPREAD_TOO_WIDE, "bid and ask lie at most `SPREAD_BPS_MAX` apart", PASSES, _MARKET_DATA),
    _control(
        Reason.PRICE_COLLAR,
        "the mid price lies at most `PRICE_COLLAR_BPS` from the mark price",
        PASSES,
        _ERRONEOUS,
    ),
    _control(Reason.NO_POSITION, "a reduce-only order has a position to reduce", "clipped to it", _POSITIONS),
    _control(
        Reason.SYMBOL_CAP,
        "there is room under `PER_SYMBOL_USD_CAP`, and under the cap of the stage",
        PASSES,
        _POSITIONS,
    ),
    _control(Reason.GROSS_CAP, "there is room under `GROSS_USD_CAP`", PASSES, _CREDIT),
    _control(Reason.NET_CAP, "there is room under `NET_USD_CAP` on the order's side", PASSES, _CREDIT),
    _control(Reason.LEVERAGE, "there is room under `LEVERAGE_MAX` times the equity", PASSES, _CREDIT),
    _control(
        Reason.DEPTH_TOO_THIN,
        "the book holds the sized order, and `DEPTH_USD_MIN`, within `DEPTH_WITHIN_BPS` of the mid price",
        PASSES,
        _MARKET_DATA,
    ),
    _control(Reason.MIN_NOTIONAL, "what is left is not below the venue's minimum", CHECKED, _ERRONEOUS),
)
"""In order of precedence: the first that fails is the answer."""
