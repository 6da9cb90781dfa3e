"""A test for every refusal of the risk verdict, and for its order of precedence."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS, a_decision, a_policy, a_quote, a_standing, an_instrument, an_order, the_facts
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import (
    Adjustment,
    DecisionId,
    Failure,
    OrderLinkId,
    RiskState,
    Side,
    Signal,
    Symbol,
    WatchState,
)
from gateway.core.reasons import Reason
from gateway.core.risk import Approved, approve
from gateway.core.venue import VenueBlock

LINK = OrderLinkId("tglink")


def verdict(order=None, facts=None, policy=None):
    return approve(order or an_order(), LINK, facts or the_facts(), policy or a_policy())


def refused_for(result):
    assert isinstance(result, Failure), result
    return result.reason


def test_two_thousand_at_confidence_nine_tenths_is_eighteen_hundred():
    result = verdict()
    assert isinstance(result, Approved)
    assert result.qty_usd == 1800
    step = Adjustment(step="confidence", from_usd=Decimal(2000), to_usd=Decimal(1800), limit=Decimal("0.9"))
    assert result.adjustments == (step,)


def test_only_risk_can_make_permission():
    with pytest.raises(TypeError, match="risk alone"):
        replace(verdict(), permit=object())


def test_a_symbol_off_the_list_is_refused():
    assert refused_for(verdict(an_order(symbol=Symbol("DOGEUSDT")))) is Reason.SYMBOL_NOT_ALLOWED


def test_a_halt_refuses_even_an_order_that_reduces():
    facts = the_facts(risk_state=RiskState.HALTED, position_qty=Decimal(1))
    assert refused_for(verdict(an_order(side=Side.SELL, reduce_only=True), facts)) is Reason.HALTED


def closing(**changes):
    return an_order(side=Side.SELL, reduce_only=True, confidence=None, **changes)


def test_a_venue_that_takes_no_order_refuses_and_says_for_how_long():
    block = VenueBlock(what="the venue has banned this address", retry_after_seconds=600)
    for order in (an_order(), closing()):
        refusal = verdict(order, the_facts(venue_block=block, position_qty=Decimal(1)))
        assert refused_for(refusal) is Reason.VENUE_UNAVAILABLE
        assert refusal.retry_seconds == 600
        assert refusal.message == "No order was sent: the venue has banned this address. Retry later with the same key."


def test_an_account_that_was_not_compared_refuses_every_order():
    for order in (an_order(), closing()):
        refusal = verdict(order, the_facts(reconciled=False, position_qty=Decimal(1)))
        assert refused_for(refusal) is Reason.RECONCILING
        assert refusal.retry_seconds == 1


def test_an_order_with_an_unknown_end_refuses_openings_on_its_symbol_and_lets_reductions_pass():
    facts = the_facts(unknown_orders=True, position_qty=Decimal(1))
    assert refused_for(verdict(facts=facts)) is Reason.RECONCILING
    assert isinstance(verdict(closing(), facts), Approved)


def test_reducing_refuses_openings_and_lets_reductions_pass():
    facts = the_facts(risk_state=RiskState.REDUCING, position_qty=Decimal(1))
    refusal = verdict(an_order(requested_usd=Decimal(100)), replace(facts, position_qty=Decimal(0)))
    assert (refused_for(refusal), refusal.metadata) == (Reason.REDUCE_ONLY, {"state": "reducing"})
    assert isinstance(verdict(closing(), facts), Approved)


def test_a_drawdown_that_is_reached_comes_before_reducing():
    facts = the_facts(risk_state=RiskState.REDUCING, drawdown=Decimal("0.15"))
    assert refused_for(verdict(facts=facts)) is Reason.RISK_LOCKED


def test_what_a_retry_may_change_at_the_venue_comes_after_a_halt_and_before_what_is_kept():
    block = VenueBlock(what="it is banned", retry_after_seconds=1)
    unfit = an_order(decision_id=DecisionId("d9"), confidence=Decimal("0.1"))
    facts = the_facts(risk_state=RiskState.HALTED, venue_block=block, reconciled=False)
    assert refused_for(verdict(unfit, facts)) is Reason.HALTED
    facts = replace(facts, risk_state=RiskState.ACTIVE)
    assert refused_for(verdict(unfit, facts)) is Reason.VENUE_UNAVAILABLE
    facts = replace(facts, venue_block=None)
    assert refused_for(verdict(unfit, facts)) is Reason.RECONCILING
    facts = replace(facts, reconciled=True)
    assert refused_for(verdict(unfit, facts)) is Reason.DECISION_MISMATCH


def test_an_order_cannot_name_a_decision_that_is_not_recorded():
    assert refused_for(verdict(an_order(decision_id=DecisionId("d9")))) is Reason.DECISION_MISMATCH


@pytest.mark.parametrize(
    ("order", "decision"),
    [
        (an_order(decision_id=DecisionId("d1"), confidence=None), a_decision(symbol=Symbol("ETHUSDT"))),
        (an_order(decision_id=DecisionId("d1"), confidence=None, side=Side.SELL), a_decision()),
        (an_order(decision_id=DecisionId("d1"), confidence=None), a_decision(signal=Signal.FLAT)),
        (an_order(decision_id=DecisionId("d1"), confidence=Decimal("0.9")), a_decision(confidence=0.65)),
    ],
    ids=["symbol", "side", "flat", "confidence"],
)
def test_an_order_that_contradicts_its_decision_is_refused(order, decision):
    assert refused_for(verdict(order, the_facts(decision=decision))) is Reason.DECISION_MISMATCH


def test_a_decision_rules_the_confidence():
    order = an_order(decision_id=DecisionId("d1"), confidence=None)
    result = verdict(order, the_facts(decision=a_decision(confidence=0.65)))
    assert isinstance(result, Approved)
    assert (result.confidence, result.qty_usd) == (Decimal("0.65"), Decimal(1300))


def test_a_decision_expires_just_after_its_age_limit():
    order = an_order(decision_id=DecisionId("d1"), confidence=None)
    on_time = the_facts(decision=a_decision(at_ms=NOW_MS - 60_000))
    late = the_facts(decision=a_decision(at_ms=NOW_MS - 60_001))
    assert isinstance(verdict(order, on_time), Approved)
    assert refused_for(verdict(order, late)) is Reason.DECISION_EXPIRED


def test_confidence_at_the_threshold_passes_and_below_it_does_not():
    assert isinstance(verdict(an_order(confidence=Decimal("0.6"))), Approved)
    below = verdict(an_order(confidence=Decimal("0.5999")))
    assert refused_for(below) is Reason.LOW_CONFIDENCE
    assert below.metadata == {"confidence": "0.5999", "threshold": "0.6", "threshold_configured": "0.6"}


def test_a_raised_threshold_is_held_against_every_opening_order():
    raised = the_facts(calibration=a_standing(state=WatchState.RAISED, threshold=0.65))
    assert isinstance(verdict(an_order(confidence=Decimal("0.65")), raised), Approved)
    below = verdict(an_order(confidence=Decimal("0.6499")), raised)
    assert refused_for(below) is Reason.LOW_CONFIDENCE
    assert below.metadata == {"confidence": "0.6499", "threshold": "0.65", "threshold_configured": "0.6"}
    decided = replace(raised, decision=a_decision(confidence=0.64))
    assert refused_for(verdict(by_decision(), decided)) is Reason.LOW_CONFIDENCE


def test_the_operators_threshold_holds_whatever_the_watch_says():
    lax = the_facts(calibration=a_standing(threshold=0.5))
    assert refused_for(verdict(an_order(confidence=Decimal("0.5999")), lax)) is Reason.LOW_CONFIDENCE


MODEL_REASONS = (
    Reason.OUT_OF_DISTRIBUTION,
    Reason.CALIBRATION_DRIFT,
    Reason.MODEL_EXPIRED,
    Reason.MODEL_MARKET_MISMATCH,
)


def by_decision(**changes):
    return an_order(decision_id=DecisionId("d1"), confidence=None, **changes)


@pytest.mark.parametrize("reason", MODEL_REASONS)
def test_a_decision_that_the_model_is_held_against_opens_nothing_and_lets_reductions_pass(reason):
    facts = the_facts(decision=a_decision(allow=False, reasons=(reason,)), position_qty=Decimal(1))
    result = verdict(by_decision(), facts)
    assert refused_for(result) is reason
    assert result.field_name == "decisionId"
    assert result.metadata == {
        "calibration": "ok",
        "decisionId": "d1",
        "model_version": "20261123_000000",
        "dissimilarity": "0.4",
    }
    assert isinstance(verdict(by_decision(side=Side.SELL, reduce_only=True), facts), Approved)


@pytest.mark.parametrize("reason", [Reason.LOW_CONFIDENCE, Reason.HALTED, Reason.RISK_LOCKED])
def test_other_reasons_of_a_decision_are_judged_anew(reason):
    facts = the_facts(decision=a_decision(allow=False, reasons=(reason,)))
    assert isinstance(verdict(by_decision(), facts), Approved)


def test_reasons_of_the_model_are_told_in_order():
    for first in range(len(MODEL_REASONS)):
        facts = the_facts(decision=a_decision(allow=False, reasons=MODEL_REASONS[first:][::-1]))
        assert refused_for(verdict(by_decision(), facts)) is MODEL_REASONS[first]


@pytest.mark.parametrize("state", [WatchState.OK, WatchState.WARNED, WatchState.RAISED])
def test_the_watch_refuses_nothing_before_it_abstains(state):
    assert isinstance(verdict(facts=the_facts(calibration=a_standing(state=state))), Approved)


def test_an_abstaining_watch_refuses_every_opening_order_and_lets_reductions_pass():
    facts = the_facts(calibration=a_standing(state=WatchState.ABSTAINING), position_qty=Decimal(1))
    stated = verdict(an_order(confidence=Decimal("0.99")), facts)
    assert refused_for(stated) is Reason.CALIBRATION_DRIFT
    assert (stated.field_name, stated.metadata) == (None, {"calibration": "abstaining"})
    assert refused_for(verdict(by_decision(), replace(facts, decision=a_decision()))) is Reason.CALIBRATION_DRIFT
    assert isinstance(verdict(an_order(side=Side.SELL, reduce_only=True, confidence=None), facts), Approved)


def test_what_the_model_is_held_against_comes_after_the_decisions_age_and_before_its_confidence():
    old = a_decision(at_ms=NOW_MS - 60_001, confidence=0.1, allow=False, reasons=(Reason.OUT_OF_DISTRIBUTION,))
    assert refused_for(verdict(by_decision(), the_facts(decision=old))) is Reason.DECISION_EXPIRED
    fresh = replace(old, at_ms=NOW_MS)
    assert refused_for(verdict(by_decision(), the_facts(decision=fresh))) is Reason.OUT_OF_DISTRIBUTION


@pytest.mark.parametrize(
    "missing",
    [{"quote": None}, {"instrument": None}, {"drawdown": None}, {"quote": a_quote(received_ms=NOW_MS - 5001)}],
    ids=["no book", "no filters", "no equity", "old price"],
)
def test_what_is_not_known_refuses(missing):
    assert refused_for(verdict(facts=the_facts(**missing))) is Reason.MARKET_DATA_STALE


def test_a_price_at_its_age_limit_passes():
    assert isinstance(verdict(facts=the_facts(quote=a_quote(received_ms=NOW_MS - 5000))), Approved)


@pytest.mark.parametrize(
    "facts",
    [the_facts(risk_state=RiskState.LOCKED), the_facts(drawdown=Decimal("0.15"))],
    ids=["latched", "reached now"],
)
def test_the_drawdown_lock_refuses_openings_and_lets_reductions_pass(facts):
    assert refused_for(verdict(facts=facts)) is Reason.RISK_LOCKED
    reducing = replace(facts, position_qty=Decimal(1))
    assert isinstance(verdict(an_order(side=Side.SELL, reduce_only=True, confidence=None), reducing), Approved)


def test_a_drawdown_just_under_the_limit_passes():
    assert isinstance(verdict(facts=the_facts(drawdown=Decimal("0.1499"))), Approved)


@pytest.mark.parametrize("qty", [Decimal(0), Decimal(1)], ids=["flat", "same side"])
def test_a_reduce_only_order_needs_something_to_reduce(qty):
    facts = the_facts(position_qty=qty)
    assert refused_for(verdict(an_order(reduce_only=True), facts)) is Reason.NO_POSITION


def test_a_reduction_is_clipped_to_the_position_and_not_scaled_by_confidence():
    facts = the_facts(position_qty=Decimal("0.02"))
    result = verdict(an_order(side=Side.SELL, reduce_only=True, confidence=None), facts)
    assert isinstance(result, Approved)
    assert result.qty_usd == 1200
    assert [step.step for step in result.adjustments] == ["position"]


def test_the_cap_clips_and_says_so():
    result = verdict(facts=the_facts(pending_buy_usd=Decimal(4000)))
    assert isinstance(result, Approved)
    assert result.qty_usd == 1000
    assert result.adjustments[1] == Adjustment(
        step="symbol_cap", from_usd=Decimal(1800), to_usd=Decimal(1000), limit=Decimal(5000)
    )


def test_no_room_under_the_cap_refuses():
    assert refused_for(verdict(facts=the_facts(pending_buy_usd=Decimal(5000)))) is Reason.SYMBOL_CAP


def test_an_order_against_a_position_has_the_room_that_it_frees():
    result = verdict(an_order(side=Side.SELL), the_facts(position_qty=Decimal("0.08"), pending_buy_usd=Decimal(200)))
    assert isinstance(result, Approved)
    assert result.qty_usd == 1800


def test_what_is_left_must_reach_the_venues_minimum():
    facts = the_facts(instrument=an_instrument(min_qty=Decimal("0.05")))
    assert refused_for(verdict(facts=facts)) is Reason.MIN_NOTIONAL


def test_the_first_reason_in_order_wins():
    facts = the_facts(risk_state=RiskState.HALTED, quote=None)
    assert refused_for(verdict(an_order(confidence=Decimal("0.1")), facts)) is Reason.HALTED


amounts = st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10**9), places=2)
confidences = st.decimals(min_value=0, max_value=1, places=4)
positions = st.decimals(min_value=Decimal("-0.2"), max_value=Decimal("0.2"), places=3)


@given(
    requested=amounts,
    confidence=confidences,
    position=positions,
    buys=st.decimals(min_value=0, max_value=6000, places=2),
    side=st.sampled_from(Side),
)
def test_an_approved_order_never_passes_the_request_nor_the_cap(requested, confidence, position, buys, side):
    facts = the_facts(position_qty=position, pending_buy_usd=buys, pending_sell_usd=buys)
    result = verdict(an_order(requested_usd=requested, confidence=confidence, side=side), facts)
    if isinstance(result, Approved):
        assert 0 < result.qty_usd <= requested * confidence
        assert position * 60_000 * side.sign + buys + result.qty_usd <= 5000
        assert result.order.symbol == BTC


@given(requested=amounts, low=confidences, high=confidences)
def test_more_confidence_never_means_less(requested, low, high):
    low, high = sorted((low, high))
    small, large = (verdict(an_order(requested_usd=requested, confidence=value)) for value in (low, high))
    if isinstance(small, Approved):
        assert isinstance(large, Approved)
        assert small.qty_usd <= large.qty_usd
