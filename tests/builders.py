"""Values for tests: complete, ordinary, and changed in the one respect that a test is about."""

from decimal import Decimal
from typing import Any

from gateway.core.facts import (
    UNRESTRICTED,
    CalibrationStanding,
    DecisionFacts,
    OrderFacts,
    OtherExposure,
    Policy,
    Quote,
)
from gateway.core.model import (
    Bar,
    BarLabel,
    BarSeries,
    Book,
    Decision,
    DecisionId,
    Instrument,
    Level,
    Matured,
    Order,
    OrderKey,
    Prediction,
    RiskState,
    Shadow,
    Side,
    Signal,
    Symbol,
    Verdict,
    WatchMove,
    WatchState,
)

NOW_MS = 1_700_000_000_000
BAR_MS = 1_699_995_600_000
"""The last hour that had closed at NOW_MS opened then."""
BTC = Symbol("BTCUSDT")
HOUR_MS = 3_600_000
NOTHING_ELSE = OtherExposure(gross_usd=Decimal(0), long_usd=Decimal(0), short_usd=Decimal(0))
VERSION = "20261123_000000"
FEATURES = {"mom_20": 1.2, "rv_5": 0.8, "rsi_14": 62.0}


def an_order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "key": OrderKey("key-1"),
        "symbol": BTC,
        "side": Side.BUY,
        "requested_usd": Decimal(2000),
        "confidence": Decimal("0.9"),
        "decision_id": None,
        "reduce_only": False,
    }
    return Order(**values | changes)


def a_book(mid: str = "60000", received_ms: int = NOW_MS) -> Book:
    price = Decimal(mid)
    return Book(
        bids=(Level(price=price - 3, qty=Decimal(10)),),
        asks=(Level(price=price + 3, qty=Decimal(10)),),
        received_ms=received_ms,
    )


def a_quote(mid: str = "60000", **changes: Any) -> Quote:
    """What a_book shows, with 600,000 dollars near the mid."""
    price = Decimal(mid)
    values: dict[str, Any] = {
        "bid": price - 3,
        "ask": price + 3,
        "depth_usd": Decimal(600_000),
        "received_ms": NOW_MS,
    }
    return Quote(**values | changes)


def an_instrument(**changes: Any) -> Instrument:
    values: dict[str, Any] = {
        "symbol": BTC,
        "qty_step": Decimal("0.001"),
        "min_qty": Decimal("0.001"),
        "max_market_qty": Decimal(500),
        "min_notional_usd": Decimal(5),
        "tick_size": Decimal("0.1"),
    }
    return Instrument(**values | changes)


def a_policy(**changes: Any) -> Policy:
    values: dict[str, Any] = {
        "symbols": frozenset({BTC}),
        "confidence_threshold": Decimal("0.6"),
        "order_usd_max": Decimal(10**9),
        "symbol_cap_usd": Decimal(5000),
        "gross_cap_usd": Decimal(15_000),
        "net_cap_usd": Decimal(15_000),
        "leverage_max": Decimal(3),
        "open_orders_max": 100,
        "order_rate_max": 0,
        "duplicate_window_ms": 0,
        "price_collar_bps": Decimal(0),
        "spread_bps_max": Decimal(100),
        "depth_usd_min": Decimal(0),
        "depth_within_bps": Decimal(50),
        "trading_hours": (),
        "maintenance": (),
        "daily_loss_usd_max": None,
        "daily_loss_max": None,
        "losing_trades_max": 0,
        "cool_down_ms": 3_600_000,
        "require_decision": False,
        "kelly_fraction": Decimal(0),
        "target_ann_vol": None,
        "drawdown_max": Decimal("0.15"),
        "price_age_ms_max": 5000,
        "decision_age_ms_max": 60_000,
        "dissimilarity_max": 1.0,
        "real_market": False,
    }
    return Policy(**values | changes)


def a_standing(**changes: Any) -> CalibrationStanding:
    values: dict[str, Any] = {"state": WatchState.OK, "threshold": 0.6, "slope": 1.0}
    return CalibrationStanding(**values | changes)


def decision_facts(**changes: Any) -> DecisionFacts:
    values: dict[str, Any] = {"at_ms": NOW_MS, "risk_state": RiskState.ACTIVE, "calibration": a_standing()}
    return DecisionFacts(**values | changes)


def the_facts(**changes: Any) -> OrderFacts:
    values: dict[str, Any] = {
        "at_ms": NOW_MS,
        "risk_state": RiskState.ACTIVE,
        "drawdown": Decimal(0),
        "permission": UNRESTRICTED,
        "equity_usd": Decimal(100_000),
        "day_pnl_usd": Decimal(0),
        "losing_streak": 0,
        "last_loss_ms": 0,
        "quote": a_quote(),
        "reference_price": Decimal(60_000),
        "others": NOTHING_ELSE,
        "volatility": None,
        "open_orders": 0,
        "orders_in_minute": 0,
        "like_order_age_ms": None,
        "instrument": an_instrument(),
        "position_qty": Decimal(0),
        "pending_buy_usd": Decimal(0),
        "pending_sell_usd": Decimal(0),
        "calibration": a_standing(),
        "decision": None,
        "venue_block": None,
        "reconciled": True,
        "unknown_orders": False,
    }
    return OrderFacts(**values | changes)


def a_decision(**changes: Any) -> Decision:
    values: dict[str, Any] = {
        "decision_id": DecisionId("d1"),
        "symbol": BTC,
        "signal": Signal.LONG,
        "prob_long": 0.75,
        "prob_short": 0.25,
        "confidence": 0.65,
        "model_confidence": 0.65,
        "model_version": "20261123_000000",
        "horizon_seconds": 3600,
        "threshold": 0.6,
        "allow": True,
        "reasons": (),
        "features": dict(FEATURES),
        "members": (0.7, 0.8, 0.75),
        "disagreement": 0.04,
        "dissimilarity": 0.4,
        "bar_open_ms": BAR_MS,
        "scored": False,
        "shadow": None,
        "at_ms": NOW_MS,
    }
    return Decision(**values | changes)


def an_outcome(**changes: Any) -> Matured:
    values: dict[str, Any] = {
        "decision_id": DecisionId("d1"),
        "symbol": BTC,
        "model_version": "20261123_000000",
        "bar_open_ms": BAR_MS,
        "horizon_seconds": 3600,
        "signal": Signal.LONG,
        "confidence": 0.65,
        "model_confidence": 0.65,
        "label": BarLabel.UP,
        "verdict": Verdict.RIGHT,
        "shadow": None,
        "at_ms": NOW_MS + 3_600_000,
    }
    return Matured(**values | changes)


def a_watch_move(**changes: Any) -> WatchMove:
    values: dict[str, Any] = {
        "from_state": WatchState.OK,
        "to_state": WatchState.WARNED,
        "model_version": "20261123_000000",
        "reason": "promised 0.650, right 0.400",
        "evidence": 20_400.5,
        "at_ms": NOW_MS + 3_600_000,
    }
    return WatchMove(**values | changes)


def a_prediction(**changes: Any) -> Prediction:
    values: dict[str, Any] = {
        "prob_long": 0.75,
        "confidence": 0.65,
        "members": (0.7, 0.8, 0.75),
        "disagreement": 0.04,
        "dissimilarity": 0.5,
        "model_version": VERSION,
        "horizon_seconds": 3600,
        "bar_seconds": 3600,
        "market": "simulated",
        "expire_ms": None,
        "shadow": None,
    }
    return Prediction(**values | changes)


def a_shadow(**changes: Any) -> Shadow:
    values: dict[str, Any] = {"model_version": "20261201_000000", "prob_long": 0.7, "confidence": 0.62}
    return Shadow(**values | changes)


def a_series(count: int = 300, newest_open_ms: int = BAR_MS, bar_seconds: int = 3600) -> BarSeries:
    """Bars without a gap, up to the one that opened at `newest_open_ms`."""
    span_ms = bar_seconds * 1000
    opened = range(newest_open_ms - (count - 1) * span_ms, newest_open_ms + span_ms, span_ms)
    return BarSeries(bar_seconds=bar_seconds, bars=tuple(a_bar(open_time_ms=open_ms) for open_ms in opened))


def a_bar(**changes: Any) -> Bar:
    """A bar whose close tells it from its neighbours."""
    values: dict[str, Any] = {"open_time_ms": BAR_MS, "open": 60_000.0, "high": 60_100.0, "low": 59_900.0}
    values |= {"volume": 10.0} | changes
    return Bar(**{"close": 60_000.0 + values["open_time_ms"] // 60_000 % 7} | values)
