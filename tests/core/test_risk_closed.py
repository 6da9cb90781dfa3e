"""The verdict as a whole: its order of precedence, that it fails closed, and that no limit keeps a position open."""

import json
import pathlib
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from builders import NOW_MS, a_decision, a_policy, a_quote, a_standing, an_instrument, an_order, the_facts
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.controls import CONTROLS, PASSES
from gateway.core.facts import OrderFacts, OtherExposure, Permission, VolatilityFacts
from gateway.core.hours import Window, parse_hours
from gateway.core.model import DecisionId, Failure, OrderLinkId, RiskState, Side, Symbol, WatchState
from gateway.core.reasons import Reason
from gateway.core.risk import Approved, approve
from gateway.core.venue import VenueBlock

LINK = OrderLinkId("tglink")
MODEL_REASONS = (
    Reason.OUT_OF_DISTRIBUTION,
    Reason.CALIBRATION_DRIFT,
    Reason.MODEL_EXPIRED,
    Reason.MODEL_MARKET_MISMATCH,
)
USED_UP = OtherExposure(gross_usd=Decimal(10**6), long_usd=Decimal(10**6), short_usd=Decimal(10**6))
NOT_EARNED = Permission(stage="LIVE_TINY", refusal="it is not earned", cap_usd=Decimal(1))
D1 = DecisionId("d1")

EVERY_LIMIT = {
    "order_usd_max": Decimal(1000),
    "symbol_cap_usd": Decimal(0),
    "open_orders_max": 1,
    "order_rate_max": 1,
    "duplicate_window_ms": 1000,
    "price_collar_bps": Decimal(1),
    "spread_bps_max": Decimal("0.1"),
    "maintenance": (Window(from_ms=0, until_ms=NOW_MS * 2),),
    "trading_hours": parse_hours("Wed 00:00-00:01"),
    "daily_loss_usd_max": Decimal(1),
    "daily_loss_max": Decimal("0.00001"),
    "losing_trades_max": 1,
    "require_decision": True,
}
EVERY_FAULT = {
    "risk_state": RiskState.HALTED,
    "permission": NOT_EARNED,
    "drawdown": Decimal("0.5"),
    "day_pnl_usd": Decimal(-1000),
    "losing_streak": 5,
    "last_loss_ms": NOW_MS,
    "quote": None,
    "reference_price": Decimal(50_000),
    "others": USED_UP,
    "open_orders": 9,
    "orders_in_minute": 9,
    "like_order_age_ms": 0,
    "calibration": a_standing(state=WatchState.ABSTAINING),
    "decision": a_decision(symbol=Symbol("ETHUSDT"), at_ms=0, confidence=0.1, reasons=MODEL_REASONS, allow=False),
    "venue_block": VenueBlock(what="it is banned", retry_after_seconds=1),
    "reconciled": False,
}


class Spoiled:
    """An order that everything is wrong with; each fault can be mended for itself."""

    def __init__(self):
        self.order = an_order(symbol=Symbol("DOGEUSDT"), confidence=None)
        self.facts = the_facts(**EVERY_FAULT)
        self.policy = a_policy(**EVERY_LIMIT)

    def verdict(self):
        return approve(self.order, LINK, self.facts, self.policy)

    def mend(self, reason):
        for part, changes in MENDED[reason].items():
            now = getattr(self, part)
            setattr(self, part, replace(now, **(changes(now) if callable(changes) else changes)))


def without(reason):
    """The decision, no longer held against the model for this."""

    def changes(facts):
        decision = facts.decision
        return {"decision": replace(decision, reasons=tuple(held for held in decision.reasons if held is not reason))}

    return changes


MENDED = {
    Reason.SYMBOL_NOT_ALLOWED: {"order": {"symbol": Symbol("BTCUSDT")}},
    Reason.HALTED: {"facts": {"risk_state": RiskState.LOCKED}},
    Reason.NOT_PROMOTED: {"facts": {"permission": replace(NOT_EARNED, refusal="")}},
    Reason.OUTSIDE_HOURS: {"policy": {"maintenance": (), "trading_hours": ()}},
    Reason.VENUE_UNAVAILABLE: {"facts": {"venue_block": None}},
    Reason.RECONCILING: {"facts": {"reconciled": True}},
    Reason.ORDER_RATE: {"facts": {"orders_in_minute": 0}},
    Reason.OPEN_ORDERS: {"facts": {"open_orders": 0}},
    Reason.DECISION_REQUIRED: {"order": {"decision_id": D1}},
    Reason.DECISION_MISMATCH: {"facts": lambda now: {"decision": replace(now.decision, symbol=Symbol("BTCUSDT"))}},
    Reason.DECISION_EXPIRED: {"facts": lambda now: {"decision": replace(now.decision, at_ms=NOW_MS)}},
    Reason.OUT_OF_DISTRIBUTION: {"facts": without(Reason.OUT_OF_DISTRIBUTION)},
    Reason.CALIBRATION_DRIFT: {
        "facts": lambda now: without(Reason.CALIBRATION_DRIFT)(now) | {"calibration": a_standing()}
    },
    Reason.MODEL_EXPIRED: {"facts": without(Reason.MODEL_EXPIRED)},
    Reason.MODEL_MARKET_MISMATCH: {"facts": without(Reason.MODEL_MARKET_MISMATCH)},
    Reason.LOW_CONFIDENCE: {"facts": lambda now: {"decision": replace(now.decision, confidence=0.9)}},
    Reason.ORDER_TOO_LARGE: {"policy": {"order_usd_max": Decimal(5000)}},
    Reason.DUPLICATE_ORDER: {"facts": {"like_order_age_ms": None}},
    Reason.MARKET_DATA_STALE: {
        "facts": {
            "quote": a_quote(depth_usd=Decimal(1)),
            "instrument": an_instrument(min_notional_usd=Decimal(10**6)),
        }
    },
    Reason.RISK_LOCKED: {"facts": {"risk_state": RiskState.REDUCING, "drawdown": Decimal(0)}},
    Reason.REDUCE_ONLY: {"facts": {"risk_state": RiskState.ACTIVE}},
    Reason.DAILY_LOSS: {"facts": {"day_pnl_usd": Decimal(0)}},
    Reason.COOL_DOWN: {"facts": {"losing_streak": 0}},
    Reason.SPREAD_TOO_WIDE: {"policy": {"spread_bps_max": Decimal(100)}},
    Reason.PRICE_COLLAR: {"facts": {"reference_price": Decimal(60_000)}},
    Reason.SYMBOL_CAP: {
        "policy": {"symbol_cap_usd": Decimal(5000)},
        "facts": {"permission": replace(NOT_EARNED, refusal="", cap_usd=None)},
    },
    Reason.GROSS_CAP: {"policy": {"gross_cap_usd": Decimal(10**7)}},
    Reason.NET_CAP: {"policy": {"net_cap_usd": Decimal(10**7)}},
    Reason.LEVERAGE: {"policy": {"leverage_max": Decimal(100)}},
    Reason.DEPTH_TOO_THIN: {"facts": {"quote": a_quote()}},
    Reason.MIN_NOTIONAL: {"facts": {"instrument": an_instrument()}},
}


def test_of_all_that_is_wrong_the_first_in_the_documented_order_is_told():
    spoiled, told = Spoiled(), []
    while isinstance(verdict := spoiled.verdict(), Failure):
        told.append(verdict.reason)
        spoiled.mend(verdict.reason)
    documented = [control.reason for control in CONTROLS if control.reason is not Reason.NO_POSITION]
    assert told == documented


def told(failure):
    return {"message": failure.message, "metadata": dict(failure.metadata), "field": failure.field_name}


def test_every_refusal_tells_exactly_this():
    """risk_told.json is read by people too: what did not happen, then what to do, with the limit and the value."""
    spoiled, found = Spoiled(), {}
    while isinstance(verdict := spoiled.verdict(), Failure):
        found[verdict.reason] = told(verdict)
        spoiled.mend(verdict.reason)
    verdict = approve(an_order(reduce_only=True, confidence=None), LINK, the_facts(), a_policy())
    found[verdict.reason] = told(verdict)
    assert found == json.loads(pathlib.Path(__file__).with_name("risk_told.json").read_text(encoding="utf8"))
    assert set(found) == {control.reason for control in CONTROLS}


def test_no_position_is_told_before_what_is_too_small():
    facts = the_facts(instrument=an_instrument(min_notional_usd=Decimal(10**6)))
    verdict = approve(an_order(reduce_only=True, confidence=None), LINK, facts, a_policy())
    assert isinstance(verdict, Failure)
    assert verdict.reason is Reason.NO_POSITION


def test_what_the_table_says_passes_does_pass_a_reduce_only_order():
    """Everything is wrong but what the table says is checked of a reduce-only order too."""
    spoiled = Spoiled()
    for control in CONTROLS:
        if control.reduce_only != PASSES and control.reason in MENDED:
            spoiled.mend(control.reason)
    spoiled.order = replace(spoiled.order, side=Side.SELL, reduce_only=True, decision_id=D1)
    depth = a_quote(depth_usd=Decimal(0))
    spoiled.facts = replace(
        spoiled.facts, position_qty=Decimal("0.01"), risk_state=RiskState.LOCKED, unknown_orders=True, quote=depth
    )
    verdict = spoiled.verdict()
    assert isinstance(verdict, Approved), verdict
    assert verdict.qty_usd == 600


NAN = Decimal("NaN")
ABSENT = {
    "drawdown": [None, NAN],
    "equity_usd": [None, NAN],
    "day_pnl_usd": [None, NAN],
    "quote": [None],
    "reference_price": [None, NAN, Decimal(0), Decimal(-1), Decimal("Infinity")],
    "instrument": [None],
    "position_qty": [NAN, Decimal("Infinity")],
    "pending_buy_usd": [NAN, Decimal("Infinity")],
    "pending_sell_usd": [NAN],
    "others": [
        None,
        OtherExposure(gross_usd=NAN, long_usd=Decimal(0), short_usd=Decimal(0)),
        OtherExposure(gross_usd=Decimal(0), long_usd=NAN, short_usd=Decimal(0)),
        OtherExposure(gross_usd=Decimal(0), long_usd=Decimal(0), short_usd=NAN),
    ],
    "volatility": [
        None,
        VolatilityFacts(symbol=0.0, portfolio_usd=0.0, shared_usd=0.0),
        VolatilityFacts(symbol=float("nan"), portfolio_usd=0.0, shared_usd=0.0),
        VolatilityFacts(symbol=0.5, portfolio_usd=float("inf"), shared_usd=0.0),
        VolatilityFacts(symbol=0.5, portfolio_usd=-1.0, shared_usd=0.0),
        VolatilityFacts(symbol=0.5, portfolio_usd=0.0, shared_usd=float("nan")),
    ],
}
"""Facts that prices make, and the forms in which they can be missing."""
OTHERWISE = {
    "at_ms": "the moment itself",
    "risk_state": "HALTED",
    "permission": "NOT_PROMOTED",
    "losing_streak": "a count",
    "last_loss_ms": "a count",
    "open_orders": "a count",
    "orders_in_minute": "a count",
    "like_order_age_ms": "None says that there is none",
    "calibration": "LOW_CONFIDENCE",
    "decision": "DECISION_MISMATCH",
    "venue_block": "None says that there is none",
    "reconciled": "RECONCILING",
    "unknown_orders": "RECONCILING",
}
"""Facts that are no prices, and what has their tests."""
ALL_ON = a_policy(
    price_collar_bps=Decimal(500),
    daily_loss_usd_max=Decimal(1000),
    target_ann_vol=Decimal("0.5"),
    kelly_fraction=Decimal("0.5"),
)
KNOWN = the_facts(volatility=VolatilityFacts(symbol=0.5, portfolio_usd=0.0, shared_usd=0.0))
ABSENCES = [(name, value) for name, values in ABSENT.items() for value in values]


def test_every_fact_has_its_absence_tested():
    assert {field.name for field in fields(OrderFacts)} == ABSENT.keys() | OTHERWISE.keys()


@pytest.mark.parametrize(("name", "value"), ABSENCES, ids=str)
def test_drop_any_one_fact_and_the_order_is_refused(name, value):
    assert isinstance(approve(an_order(), LINK, KNOWN, ALL_ON), Approved)
    verdict = approve(an_order(), LINK, replace(KNOWN, **{name: value}), ALL_ON)
    assert isinstance(verdict, Failure)
    assert verdict.reason is Reason.MARKET_DATA_STALE
    assert verdict.message.endswith("Retry with the same key.")


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"position_qty": NAN}, "position"),
        ({"equity_usd": None}, "equity"),
        ({"others": None}, "exposure"),
        ({"day_pnl_usd": None}, "day_pnl"),
        ({"reference_price": None}, "reference_price"),
        ({"volatility": None}, "volatility"),
    ],
)
def test_a_missing_fact_is_told_by_its_name(facts, name):
    verdict = approve(an_order(), LINK, replace(KNOWN, **facts), ALL_ON)
    assert verdict.metadata == {"symbol": "BTCUSDT", "unknown": name}


@pytest.mark.parametrize(("name", "value"), ABSENCES, ids=str)
def test_a_reduction_needs_its_own_price_and_position_alone(name, value):
    order = an_order(side=Side.SELL, reduce_only=True, confidence=None)
    facts = replace(KNOWN, position_qty=Decimal("0.01"))
    verdict = approve(order, LINK, replace(facts, **{name: value}), ALL_ON)
    needed = {"quote", "instrument", "position_qty", "pending_buy_usd", "pending_sell_usd"}
    assert isinstance(verdict, Failure) == (name in needed)


usd = st.decimals(min_value=0, max_value=10**6, places=2)
signed = st.decimals(min_value=-(10**6), max_value=10**6, places=2)


@given(
    position=st.decimals(min_value=Decimal(-5), max_value=Decimal(5), places=3).filter(bool),
    exposure=st.builds(OtherExposure, gross_usd=usd, long_usd=signed, short_usd=signed),
    caps=st.tuples(usd, usd, usd, usd),
    equity=signed,
    pnl=signed,
    counts=st.integers(0, 1000),
    state=st.sampled_from([RiskState.ACTIVE, RiskState.REDUCING, RiskState.LOCKED]),
    depth=usd,
    requested=st.decimals(min_value=Decimal(200), max_value=10**6, places=2),
    reduce_only=st.booleans(),
)
def test_a_reducing_order_is_never_refused_by_a_cap(  # noqa: PLR0917 - all that a limit may be made of
    position, exposure, caps, equity, pnl, counts, state, depth, requested, reduce_only
):
    """Reduce-only by nothing but a halt, the venue and the market; on the other side without it, by no cap."""
    symbol_cap, gross_cap, net_cap, order_max = caps
    policy = a_policy(
        symbol_cap_usd=symbol_cap,
        gross_cap_usd=gross_cap,
        net_cap_usd=net_cap,
        order_usd_max=order_max if reduce_only else Decimal(10**9),
        leverage_max=Decimal("0.01"),
        order_rate_max=1 if reduce_only else 0,
        open_orders_max=1 if reduce_only else 10**6,
        duplicate_window_ms=1000 if reduce_only else 0,
        daily_loss_usd_max=Decimal(1) if reduce_only else None,
        losing_trades_max=1 if reduce_only else 0,
    )
    facts = the_facts(
        position_qty=position,
        others=exposure,
        equity_usd=equity,
        day_pnl_usd=pnl,
        losing_streak=counts,
        last_loss_ms=NOW_MS,
        open_orders=counts,
        orders_in_minute=counts,
        like_order_age_ms=0,
        risk_state=state if reduce_only else RiskState.ACTIVE,
        permission=NOT_EARNED if reduce_only else replace(NOT_EARNED, refusal=""),
        quote=a_quote(depth_usd=depth if reduce_only else Decimal(10**9)),
        instrument=an_instrument(min_qty=Decimal("0.001"), min_notional_usd=Decimal(5)),
    )
    side = Side.SELL if position > 0 else Side.BUY
    confidence = None if reduce_only else Decimal(1)
    order = an_order(side=side, requested_usd=requested, confidence=confidence, reduce_only=reduce_only)
    verdict = approve(order, LINK, facts, policy)
    assert isinstance(verdict, Approved), verdict
    assert verdict.qty_usd >= min(requested, abs(position) * 60_000)
