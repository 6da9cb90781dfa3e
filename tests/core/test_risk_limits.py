"""A test on both sides of the boundary of each check that the operator's limits make, and what each of them tells."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS, a_decision, a_policy, a_quote, a_standing, an_instrument, an_order, the_facts

from gateway.core.facts import OtherExposure, Permission
from gateway.core.hours import Window, parse_hours
from gateway.core.model import Adjustment, DecisionId, Failure, OrderLinkId, RiskState, Side
from gateway.core.reasons import CODES, Reason
from gateway.core.risk import Approved, approve, restore
from gateway.core.risk_market import check_losses

LINK = OrderLinkId("tglink")
UNIT = Decimal("0.00000001")


def verdict(order=None, facts=None, policy=None):
    return approve(order or an_order(), LINK, facts or the_facts(), policy or a_policy())


def passes(order=None, facts=None, policy=None):
    result = verdict(order, facts, policy)
    assert isinstance(result, Approved), result
    return result


def refused(reason, order=None, facts=None, policy=None):
    result = verdict(order, facts, policy)
    assert isinstance(result, Failure), result
    assert result.reason is reason, result
    assert result.message.startswith("No order was sent")
    return result


def closing(**changes):
    return an_order(side=Side.SELL, reduce_only=True, confidence=None, **changes)


def reduces(facts, policy=None):
    """Whether a reduce-only order passes in the same circumstances."""
    return passes(closing(), replace(facts, position_qty=Decimal("0.05")), policy)


def test_an_account_that_has_not_earned_it_opens_nothing():
    earned = Permission(stage="LIVE_TINY", refusal="", cap_usd=None)
    passes(facts=the_facts(permission=earned))
    facts = the_facts(permission=replace(earned, refusal="no promotion to LIVE stands for this model"))
    told = refused(Reason.NOT_PROMOTED, facts=facts)
    assert told.message == (
        "No order was sent: no promotion to LIVE stands for this model. Only reduce-only orders pass."
    )
    assert (told.metadata, told.field_name) == ({"stage": "LIVE_TINY"}, None)
    reduces(facts)


def test_a_maintenance_window_begins_at_its_first_moment_and_is_over_at_its_last():
    window = Window(from_ms=NOW_MS, until_ms=NOW_MS + 1)
    policy = a_policy(maintenance=(window,))
    passes(facts=the_facts(at_ms=NOW_MS - 1, quote=a_quote(received_ms=NOW_MS - 1)), policy=policy)
    passes(facts=the_facts(at_ms=NOW_MS + 1), policy=policy)
    told = refused(Reason.OUTSIDE_HOURS, policy=policy)
    assert told.metadata == {
        "at_ms": str(NOW_MS),
        "maintenance_from_ms": str(NOW_MS),
        "maintenance_until_ms": str(NOW_MS + 1),
    }
    reduces(the_facts(), policy)


def test_orders_pass_within_the_trading_hours_alone():
    """NOW_MS is a Tuesday, 22:13:20 UTC."""
    passes(policy=a_policy(trading_hours=parse_hours("Tue 22:13-22:14")))
    for closed in ("Tue 22:14-22:13", "Tue 22:00-22:13", "Wed 22:13-22:14"):
        policy = a_policy(trading_hours=parse_hours(closed))
        assert refused(Reason.OUTSIDE_HOURS, policy=policy).metadata == {"at_ms": str(NOW_MS)}
        reduces(the_facts(), policy)


def test_so_many_orders_of_a_client_and_symbol_pass_in_a_minute():
    policy = a_policy(order_rate_max=60)
    passes(facts=the_facts(orders_in_minute=59), policy=policy)
    passes(facts=the_facts(orders_in_minute=10**6), policy=a_policy(order_rate_max=0))
    told = refused(Reason.ORDER_RATE, facts=the_facts(orders_in_minute=60), policy=policy)
    assert (told.metadata, told.retry_seconds) == ({"orders_in_minute": "60", "order_rate_max": "60"}, 1)
    assert told.message == "No order was sent: too many BTCUSDT orders in a minute. Retry later with the same key."
    reduces(the_facts(orders_in_minute=60), policy)


def test_so_many_orders_may_be_under_way():
    policy = a_policy(open_orders_max=20)
    passes(facts=the_facts(open_orders=19), policy=policy)
    told = refused(Reason.OPEN_ORDERS, facts=the_facts(open_orders=20), policy=policy)
    assert (told.metadata, told.retry_seconds) == ({"open_orders": "20", "open_orders_max": "20"}, 1)
    assert told.message == "No order was sent: too many orders are under way. Retry with the same key."
    reduces(the_facts(open_orders=20), policy)


def test_where_a_decision_is_required_no_caller_makes_up_a_confidence():
    policy = a_policy(require_decision=True)
    told = refused(Reason.DECISION_REQUIRED, an_order(confidence=Decimal(1)), policy=policy)
    assert (told.field_name, told.metadata) == ("decisionId", {"decision_age_ms_max": "60000"})
    named = an_order(decision_id=DecisionId("d1"), confidence=None)
    passes(named, the_facts(decision=a_decision()), policy)
    reduces(the_facts(), policy)


def test_a_decision_from_the_future_is_none():
    named = an_order(decision_id=DecisionId("d1"), confidence=None)
    told = refused(Reason.DECISION_EXPIRED, named, the_facts(decision=a_decision(at_ms=NOW_MS + 1)))
    assert (told.metadata, told.field_name) == ({"age_ms": "-1", "age_ms_max": "60000"}, "decisionId")


def test_a_confidence_above_one_or_no_number_is_none():
    passes(an_order(confidence=Decimal(1)))
    for confidence in ("1.0001", "NaN", "Infinity"):
        refused(Reason.LOW_CONFIDENCE, an_order(confidence=Decimal(confidence)))
    for threshold in (float("nan"), float("inf")):
        refused(Reason.LOW_CONFIDENCE, facts=the_facts(calibration=a_standing(threshold=threshold)))


def test_an_order_asks_for_no_more_than_one_may():
    policy = a_policy(order_usd_max=Decimal(2000))
    passes(policy=policy)
    told = refused(Reason.ORDER_TOO_LARGE, an_order(requested_usd=2000 + UNIT), policy=policy)
    assert told.metadata == {"requested_usd": "2000.00000001", "order_usd_max": "2000"}
    assert told.field_name == "qtyUsd"
    refused(Reason.ORDER_TOO_LARGE, an_order(requested_usd=Decimal("NaN")), policy=policy)
    passes(closing(requested_usd=Decimal(10**6)), the_facts(position_qty=Decimal(1)), policy)


def test_an_order_that_looks_like_one_just_sent_is_its_copy_until_the_window_is_over():
    policy = a_policy(duplicate_window_ms=1000)
    passes(facts=the_facts(like_order_age_ms=1000), policy=policy)
    passes(facts=the_facts(like_order_age_ms=None), policy=policy)
    passes(facts=the_facts(like_order_age_ms=0), policy=a_policy(duplicate_window_ms=0))
    told = refused(Reason.DUPLICATE_ORDER, facts=the_facts(like_order_age_ms=999), policy=policy)
    assert told.metadata == {"age_ms": "999", "duplicate_window_ms": "1000"}
    reduces(the_facts(like_order_age_ms=0), policy)


def test_a_day_may_lose_less_than_its_limit_in_dollars():
    policy = a_policy(daily_loss_usd_max=Decimal(500))
    passes(facts=the_facts(day_pnl_usd=-500 + UNIT), policy=policy)
    passes(facts=the_facts(day_pnl_usd=Decimal(10_000)), policy=policy)
    facts = the_facts(day_pnl_usd=Decimal(-500))
    told = refused(Reason.DAILY_LOSS, facts=facts, policy=policy)
    assert told.metadata == {"loss_usd": "500.00000000", "loss_usd_max": "500.00000000"}
    reduces(facts, policy)
    passes(facts=facts)


def test_a_day_may_lose_less_than_its_fraction_of_the_equity_without_that_loss():
    """95,000 are left of 100,000."""
    policy = a_policy(daily_loss_max=Decimal("0.05"))
    facts = the_facts(equity_usd=Decimal(95_000), day_pnl_usd=Decimal(-5000))
    assert refused(Reason.DAILY_LOSS, facts=facts, policy=policy).metadata["loss_usd_max"] == "5000.00000000"
    passes(facts=replace(facts, equity_usd=95_000 + UNIT), policy=policy)


def test_the_smaller_of_two_daily_limits_binds():
    facts = the_facts(day_pnl_usd=Decimal(-600))
    for usd, fraction in ((Decimal(500), Decimal("0.05")), (Decimal(5000), Decimal("0.005"))):
        refused(Reason.DAILY_LOSS, facts=facts, policy=a_policy(daily_loss_usd_max=usd, daily_loss_max=fraction))


def test_losses_in_a_row_cool_down_until_the_time_is_over():
    policy = a_policy(losing_trades_max=3, cool_down_ms=60_000)
    passes(facts=the_facts(losing_streak=2, last_loss_ms=NOW_MS), policy=policy)
    passes(facts=the_facts(losing_streak=3, last_loss_ms=NOW_MS - 60_000), policy=policy)
    facts = the_facts(losing_streak=3, last_loss_ms=NOW_MS - 59_999)
    told = refused(Reason.COOL_DOWN, facts=facts, policy=policy)
    assert told.metadata == {"losing_trades": "3", "losing_trades_max": "3", "left_ms": "1"}
    reduces(facts, policy)
    passes(facts=facts)


def test_bid_and_ask_lie_no_further_apart_than_the_limit():
    """6 dollars of 60,000 are one basis point."""
    passes(policy=a_policy(spread_bps_max=Decimal(1)))
    policy = a_policy(spread_bps_max=Decimal("0.9999"))
    told = refused(Reason.SPREAD_TOO_WIDE, policy=policy)
    assert (told.metadata, told.retry_seconds) == ({"spread_bps": "1.0000", "spread_bps_max": "0.9999"}, 1)
    reduces(the_facts(), policy)


@pytest.mark.parametrize(("inside", "outside"), [("60600", "60600.01"), ("59400", "59399.99")])
def test_the_mid_lies_within_the_collar_around_the_mark_price(inside, outside):
    policy = a_policy(price_collar_bps=Decimal(100))
    passes(facts=the_facts(quote=a_quote(inside)), policy=policy)
    facts = the_facts(quote=a_quote(outside))
    told = refused(Reason.PRICE_COLLAR, facts=facts, policy=policy)
    assert told.metadata == {
        "distance_bps": "100.0017",
        "price_collar_bps": "100",
        "mid": outside,
        "reference_price": "60000",
    }
    reduces(facts, policy)
    passes(facts=facts)


def test_without_a_collar_no_reference_is_needed():
    passes(facts=the_facts(reference_price=None))


@pytest.mark.parametrize(
    ("step", "reason", "facts", "policy"),
    [
        ("stage_cap", Reason.SYMBOL_CAP, {"permission": Permission(stage="T", refusal="", cap_usd=Decimal(1000))}, {}),
        ("gross_cap", Reason.GROSS_CAP, {}, {"gross_cap_usd": Decimal(1000)}),
        ("net_cap", Reason.NET_CAP, {}, {"net_cap_usd": Decimal(1000)}),
        ("leverage", Reason.LEVERAGE, {"equity_usd": Decimal(500)}, {"leverage_max": Decimal(2)}),
        ("symbol_cap", Reason.SYMBOL_CAP, {}, {"symbol_cap_usd": Decimal(1000)}),
    ],
)
@pytest.mark.parametrize("side", Side)
def test_a_cap_clips_to_its_room_and_refuses_without_any(step, reason, facts, policy, side):
    policy, facts, order = a_policy(**policy), the_facts(**facts), an_order(side=side)
    pending = "pending_buy_usd" if side is Side.BUY else "pending_sell_usd"
    clipped = passes(order, replace(facts, **{pending: Decimal(400)}), policy)
    assert clipped.qty_usd == 600
    assert (clipped.adjustments[-1].step, clipped.adjustments[-1].limit) == (step, 1000)
    barely = passes(order, replace(facts, **{pending: Decimal(940)}), policy)
    assert barely.qty_usd == 60
    told = refused(reason, order, replace(facts, **{pending: Decimal(1000)}), policy)
    stage = {"stage": "T"} if step == "stage_cap" else {}
    assert told.metadata == {"cap_usd": "1000", "room_usd": "0", "symbol": BTC} | stage
    assert told.field_name == "qtyUsd"
    far = refused(reason, order, replace(facts, **{pending: Decimal(4999)}), policy)
    assert far.metadata == told.metadata


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.GROSS_CAP, "all symbols together have no room under the gross cap"),
        (Reason.NET_CAP, "the account has no room on this side under the net cap"),
        (Reason.LEVERAGE, "the equity bears no more exposure"),
    ],
)
def test_a_cap_says_which_it_is(reason, words):
    caps = {Reason.GROSS_CAP: "gross_cap_usd", Reason.NET_CAP: "net_cap_usd", Reason.LEVERAGE: "leverage_max"}
    assert words in refused(reason, policy=a_policy(**{caps[reason]: Decimal(0)})).message


def others(gross=0, long=0, short=0):
    return OtherExposure(gross_usd=Decimal(gross), long_usd=Decimal(long), short_usd=Decimal(short))


def test_the_gross_cap_and_the_leverage_count_what_other_symbols_hold_on_either_side():
    for side in Side:
        order, facts = an_order(side=side), the_facts(others=others(gross=14_000))
        assert passes(order, facts).qty_usd == 1000
        assert passes(order, facts).adjustments[-1].step == "gross_cap"
        leveraged = passes(order, facts, a_policy(leverage_max=Decimal("0.145")))
        assert (leveraged.qty_usd, leveraged.adjustments[-1].step) == (500, "leverage")


def test_the_net_cap_counts_the_same_side_of_other_symbols_and_takes_the_other_side_off():
    policy = a_policy(net_cap_usd=Decimal(3000))
    facts = the_facts(others=others(gross=2500, long=2500, short=-2500))
    assert passes(an_order(side=Side.BUY), facts, policy).qty_usd == 500
    assert passes(an_order(side=Side.SELL), facts, policy).qty_usd == 1800
    assert passes(an_order(side=Side.SELL), replace(facts, others=others(short=2500)), policy).qty_usd == 500


@pytest.mark.parametrize("side", Side)
def test_no_cap_cuts_what_an_order_only_closes(side):
    """1,200 dollars stand against it; all caps are used up by the others and by the account's losses."""
    held = Decimal("-0.02") * side.sign
    facts = the_facts(position_qty=held, others=others(10**6, 10**6, 10**6), equity_usd=Decimal(-5))
    assert passes(an_order(side=side), facts).qty_usd == 1200
    pending = {"pending_buy_usd" if side is Side.BUY else "pending_sell_usd": Decimal(200)}
    assert passes(an_order(side=side), replace(facts, **pending)).qty_usd == 1000
    tiny = Permission(stage="T", refusal="", cap_usd=Decimal(100))
    assert passes(an_order(side=side), replace(facts, permission=tiny)).qty_usd == 1200


def test_a_stage_caps_one_order_and_the_exposure():
    """The position is 600 short: 700 of room under a cap of 100, of which one order may take 600 to close, or 100."""
    tiny = Permission(stage="T", refusal="", cap_usd=Decimal(100))
    assert passes(facts=the_facts(permission=tiny)).qty_usd == 100
    short = the_facts(permission=tiny, position_qty=Decimal("-0.01"))
    assert passes(facts=short).qty_usd == 600
    barely_short = the_facts(permission=tiny, position_qty=Decimal("-0.001"))
    assert passes(facts=barely_short).qty_usd == 100


def test_the_book_near_the_mid_holds_the_whole_sized_order():
    passes(facts=the_facts(quote=a_quote(depth_usd=Decimal(1800))))
    facts = the_facts(quote=a_quote(depth_usd=1800 - UNIT))
    told = refused(Reason.DEPTH_TOO_THIN, facts=facts)
    assert told.metadata == {"depth_usd": "1799.99999999", "depth_usd_min": "1800", "within_bps": "50"}
    assert (told.field_name, told.retry_seconds) == ("qtyUsd", 1)
    reduces(facts)


def test_the_book_holds_at_least_the_minimum_however_small_the_order_is():
    policy = a_policy(depth_usd_min=Decimal(5000))
    passes(facts=the_facts(quote=a_quote(depth_usd=Decimal(5000))), policy=policy)
    refused(Reason.DEPTH_TOO_THIN, facts=the_facts(quote=a_quote(depth_usd=5000 - UNIT)), policy=policy)


def test_what_is_left_may_be_the_venues_minimum_and_no_less():
    """One minimum quantity of 0.03 is 1,800 dollars; so is the order."""
    passes(facts=the_facts(instrument=an_instrument(min_qty=Decimal("0.03"))))
    told = refused(Reason.MIN_NOTIONAL, facts=the_facts(instrument=an_instrument(min_notional_usd=1800 + UNIT)))
    assert told.metadata == {"qty_usd": "1800", "min_usd": "1800.00000001", "step": "confidence"}
    assert told.field_name == "qtyUsd"
    uncut = refused(
        Reason.MIN_NOTIONAL, an_order(confidence=Decimal(1), requested_usd=Decimal(4)), the_facts(), a_policy()
    )
    assert uncut.metadata == {"qty_usd": "4", "min_usd": "60.00000000"}


@pytest.mark.parametrize(
    "quote",
    [
        {"bid": Decimal(60_001), "ask": Decimal(60_000)},
        {"bid": Decimal(0)},
        {"bid": Decimal(-1)},
        {"bid": Decimal("NaN")},
        {"ask": Decimal("NaN")},
        {"ask": Decimal("Infinity")},
        {"depth_usd": Decimal("NaN")},
        {"depth_usd": Decimal(-1)},
    ],
    ids=str,
)
def test_prices_that_are_crossed_or_none_refuse_every_order(quote):
    facts = the_facts(quote=a_quote(**quote), position_qty=Decimal("0.05"))
    told = refused(Reason.MARKET_DATA_STALE, facts=facts)
    assert told.message == (
        "No order was sent for BTCUSDT: its prices are crossed, or are no prices. Retry with the same key."
    )
    assert told.metadata == {"symbol": BTC, "bid": str(facts.quote.bid), "ask": str(facts.quote.ask)}
    refused(Reason.MARKET_DATA_STALE, closing(), facts)


def test_a_locked_market_passes():
    passes(facts=the_facts(quote=a_quote(bid=Decimal(60_000), ask=Decimal(60_000))))


def test_a_price_from_the_future_is_none():
    """A clock that was set back makes no old price young."""
    told = refused(Reason.MARKET_DATA_STALE, facts=the_facts(quote=a_quote(received_ms=NOW_MS + 1)))
    assert told.metadata == {"age_ms": "-1", "age_ms_max": "5000", "symbol": BTC}


def test_filters_that_are_no_numbers_refuse():
    for name in ("min_qty", "min_notional_usd"):
        refused(Reason.MARKET_DATA_STALE, facts=the_facts(instrument=an_instrument(**{name: Decimal("NaN")})))


def test_only_refusals_that_a_retry_cannot_change_are_stored():
    free = {Reason.ORDER_RATE, Reason.OPEN_ORDERS, Reason.SPREAD_TOO_WIDE, Reason.PRICE_COLLAR, Reason.DEPTH_TOO_THIN}
    kept = {Reason.NOT_PROMOTED, Reason.OUTSIDE_HOURS, Reason.DECISION_REQUIRED, Reason.ORDER_TOO_LARGE}
    kept |= {Reason.DUPLICATE_ORDER, Reason.DAILY_LOSS, Reason.COOL_DOWN}
    kept |= {Reason.GROSS_CAP, Reason.NET_CAP, Reason.LEVERAGE}
    assert {reason for reason in free | kept if CODES[reason].stored} == kept


def test_a_lock_tells_its_figures_and_a_drawdown_that_is_not_known_as_unknown():
    facts = the_facts(risk_state=RiskState.LOCKED)
    assert refused(Reason.RISK_LOCKED, facts=facts).metadata == {"drawdown": "0.000000", "drawdown_max": "0.15"}
    unknown = check_losses(an_order(), replace(facts, drawdown=None), a_policy(drawdown_max=Decimal("1E-1")))
    assert isinstance(unknown, Failure)
    assert unknown.metadata == {"drawdown": "unknown", "drawdown_max": "0.1"}


def test_limits_are_told_in_plain_digits():
    """As operators write them, 1E+3 being one thousand."""
    thousand = Decimal("1E+3")
    full = the_facts(pending_buy_usd=thousand)
    assert (
        refused(Reason.SYMBOL_CAP, facts=full, policy=a_policy(symbol_cap_usd=thousand)).metadata["cap_usd"] == "1000"
    )
    told = refused(
        Reason.ORDER_TOO_LARGE, an_order(requested_usd=Decimal("2E+3")), policy=a_policy(order_usd_max=thousand)
    )
    assert told.metadata == {"requested_usd": "2000", "order_usd_max": "1000"}
    thin = the_facts(quote=a_quote(depth_usd=Decimal(1)))
    policy = a_policy(depth_usd_min=Decimal("1E+4"), depth_within_bps=Decimal("5E+1"))
    assert refused(Reason.DEPTH_TOO_THIN, facts=thin, policy=policy).metadata == {
        "depth_usd": "1.00000000",
        "depth_usd_min": "10000",
        "within_bps": "50",
    }
    collar = a_policy(price_collar_bps=Decimal("1E+2"))
    far = the_facts(quote=a_quote("1E+5", bid=thousand * 99, ask=thousand * 101), reference_price=Decimal("6E+4"))
    told = refused(Reason.PRICE_COLLAR, facts=far, policy=replace(collar, spread_bps_max=Decimal(10_000)))
    assert (told.metadata["price_collar_bps"], told.metadata["reference_price"]) == ("100", "60000")
    wide = a_policy(spread_bps_max=Decimal("1E+1"))
    assert refused(Reason.SPREAD_TOO_WIDE, facts=far, policy=wide).metadata["spread_bps_max"] == "10"
    low = refused(Reason.LOW_CONFIDENCE, an_order(confidence=Decimal("1E-1")), policy=a_policy())
    assert low.metadata["confidence"] == "0.1"
    flat = refused(Reason.NO_POSITION, closing(), the_facts(position_qty=Decimal("-1E+1")))
    assert flat.metadata == {"symbol": BTC, "position_qty": "-10"}
    few = refused(Reason.MIN_NOTIONAL, an_order(requested_usd=Decimal("1E+1"), confidence=Decimal(1)))
    assert few.metadata["qty_usd"] == "10"


def test_what_was_approved_carries_all_that_a_venue_needs_and_a_journal_restores_it():
    result = passes()
    told = {
        "order": an_order(),
        "order_link_id": LINK,
        "qty_usd": Decimal(1800),
        "confidence": Decimal("0.9"),
        "adjustments": result.adjustments,
        "mid_price": Decimal(60_000),
        "at_ms": NOW_MS,
    }
    assert {name: getattr(result, name) for name in told} == told
    assert restore(**told) == result


def test_a_reduction_tells_what_it_was_clipped_from_and_to():
    result = passes(closing(), the_facts(position_qty=Decimal("0.02")))
    clip = Adjustment(step="position", from_usd=Decimal(2000), to_usd=Decimal(1200), limit=Decimal(1200))
    assert result.adjustments == (clip,)
    crumbs = the_facts(position_qty=Decimal("0.00001"))
    assert refused(Reason.MIN_NOTIONAL, closing(), crumbs).metadata["qty_usd"] == "0.6"


def test_an_opening_order_without_any_confidence_has_none():
    assert refused(Reason.LOW_CONFIDENCE, an_order(confidence=None)).metadata["confidence"] == "0"


def test_a_model_that_tells_no_dissimilarity_is_told_without_one():
    decision = a_decision(reasons=(Reason.MODEL_EXPIRED,), allow=False, dissimilarity=None)
    named = an_order(decision_id=DecisionId("d1"), confidence=None)
    assert set(refused(Reason.MODEL_EXPIRED, named, the_facts(decision=decision)).metadata) == {
        "calibration",
        "decisionId",
        "model_version",
    }


@pytest.mark.parametrize(
    ("reason", "facts", "words"),
    [
        (Reason.RECONCILING, {"unknown_orders": True}, "an earlier BTCUSDT order has an end that is not known yet"),
        (Reason.DECISION_MISMATCH, {}, "there is no such decision"),
        (Reason.MARKET_DATA_STALE, {"quote": a_quote(received_ms=0)}, "its price is too old"),
        (Reason.MARKET_DATA_STALE, {"others": None}, "another symbol that is held has no fresh price, so the exposure"),
    ],
)
def test_one_reason_has_a_sentence_for_each_cause(reason, facts, words):
    named = {"decision_id": DecisionId("d9")} if reason is Reason.DECISION_MISMATCH else {}
    told = refused(reason, an_order(**named), the_facts(**facts))
    assert f": {words}" in told.message


def test_a_cheap_symbol_has_a_reference_too():
    cheap = the_facts(quote=a_quote("0.5", bid=Decimal("0.499"), ask=Decimal("0.501")), reference_price=Decimal("0.5"))
    passes(facts=cheap, policy=a_policy(price_collar_bps=Decimal(100)))
