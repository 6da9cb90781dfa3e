"""The risk state as a table: what every event makes of every set of latches, and the arithmetic of the peak."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lifecycle import (
    OPEN_STATES,
    ORDER_MOVES,
    RISK_MOVES,
    Latch,
    RiskEvent,
    RiskStatus,
    drawdown,
    folded,
    moved,
    peak_after_transfer,
)
from gateway.core.model import OrderState, RiskState

LATCHES = list(product([True, False], repeat=3))

ENDS = {
    OrderState.FILLED,
    OrderState.PARTIALLY_FILLED,
    OrderState.CANCELLED,
    OrderState.REJECTED,
    OrderState.EXPIRED,
}


def a_status(halted, locked, reducing, peak="1"):
    return RiskStatus(halted=halted, locked=locked, reducing=reducing, peak_equity_usd=Decimal(peak))


def test_an_open_order_may_end_in_every_way_and_only_a_pending_one_becomes_unknown():
    assert ORDER_MOVES[OrderState.PENDING] == ENDS | {OrderState.UNKNOWN}
    assert ORDER_MOVES[OrderState.UNKNOWN] == ENDS
    assert {state for state, moves in ORDER_MOVES.items() if not moves} == ENDS | {OrderState.REFUSED}
    assert {OrderState.PENDING, OrderState.UNKNOWN} == OPEN_STATES
    assert set(ORDER_MOVES) == set(OrderState)


@pytest.mark.parametrize(("halted", "locked", "reducing"), LATCHES)
def test_halted_is_told_before_locked_before_reducing_before_active(halted, locked, reducing):
    stands = [(halted, RiskState.HALTED), (locked, RiskState.LOCKED), (reducing, RiskState.REDUCING)]
    assert a_status(halted, locked, reducing).state is next(
        (state for latch, state in stands if latch), RiskState.ACTIVE
    )


@pytest.mark.parametrize(("halted", "locked", "reducing"), LATCHES)
def test_every_event_moves_its_own_latches_and_no_other(halted, locked, reducing):
    after = {event: moved(a_status(halted, locked, reducing), event) for event in RiskEvent}
    assert after == {
        RiskEvent.HALT: a_status(True, locked, reducing),
        RiskEvent.RESUME: a_status(False, locked, False),
        RiskEvent.DIFFERENCE_FOUND: a_status(halted, locked, True),
        RiskEvent.DRAWDOWN_REACHED: a_status(halted, True, reducing),
        RiskEvent.RESET: a_status(halted, False, reducing),
        RiskEvent.TRANSFER: a_status(halted, locked, reducing),
        RiskEvent.REPORT: a_status(halted, locked, reducing),
    }


def test_the_table_knows_every_event_and_no_event_sets_what_it_lifts():
    assert set(RISK_MOVES) == set(RiskEvent)
    assert all(not move.sets & move.lifts for move in RISK_MOVES.values())
    assert {latch for move in RISK_MOVES.values() for latch in move.sets} == set(Latch)
    assert {latch for move in RISK_MOVES.values() for latch in move.lifts} == set(Latch)


@given(events=st.lists(st.sampled_from(RiskEvent), max_size=12))
def test_a_latch_stands_exactly_when_its_last_event_set_it(events):
    status = folded(a_status(False, False, False), events)
    for latch, standing in (
        (Latch.HALTED, status.halted),
        (Latch.LOCKED, status.locked),
        (Latch.REDUCING, status.reducing),
    ):
        last = [event for event in events if latch in RISK_MOVES[event].sets | RISK_MOVES[event].lifts][-1:]
        assert standing == any(latch in RISK_MOVES[event].sets for event in last)


def test_no_event_moves_the_peak():
    assert {moved(a_status(True, True, True, "7"), event).peak_equity_usd for event in RiskEvent} == {Decimal(7)}


@pytest.mark.parametrize(
    ("equity", "peak", "fallen"),
    [
        ("100", "100", "0"),
        ("101", "100", "0"),
        ("85", "100", "0.15"),
        ("0", "100", "1"),
        ("-10", "100", "1.1"),
        ("100", "0", "1"),
        ("100", "-1", "1"),
        ("0.5", "1", "0.5"),
    ],
)
def test_the_drawdown_is_the_share_of_the_peak_that_is_lost_and_whole_without_a_peak(equity, peak, fallen):
    assert drawdown(Decimal(equity), Decimal(peak)) == Decimal(fallen)


def transferred(change, *, base="100", peak="100", equity="0"):
    return peak_after_transfer(
        base_peak_usd=Decimal(base),
        peak_usd=Decimal(peak),
        equity_usd=None if equity is None else Decimal(equity),
        change_usd=Decimal(change),
    )


@pytest.mark.parametrize(
    ("change", "told", "after"),
    [
        ("50", {}, "150"),
        ("100", {"peak": "190", "equity": "190"}, "200"),
        ("10", {"peak": "130", "equity": "130"}, "130"),
        ("-50", {"equity": "45"}, "50"),
        ("-50", {"peak": "120", "equity": "45"}, "70"),
        ("-50", {"equity": "70"}, "70"),
        ("-150", {"equity": None}, "0"),
        ("-150", {"equity": "-20"}, "0"),
        ("-40", {"equity": None}, "60"),
        ("50", {"equity": "200"}, "200"),
        ("0", {"base": "90", "equity": None}, "100"),
        ("0", {"base": "110", "equity": None}, "100"),
    ],
)
def test_money_that_comes_or_goes_moves_the_peak_by_its_amount_once(change, told, after):
    assert transferred(change, **told) == Decimal(after)


@given(loss=st.integers(0, 90), deposit=st.integers(1, 1000))
def test_a_deposit_leaves_the_loss_in_dollars_where_it_was(loss, deposit):
    equity = 100 - loss + deposit
    peak = transferred(str(deposit), peak=str(max(100, equity)), equity=str(equity))
    assert peak - equity == loss
