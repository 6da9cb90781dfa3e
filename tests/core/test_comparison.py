"""What differs between the account at the venue and the journal is found, and nothing else is."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import FILL, a_filled, a_record
from venue_kit import a_position, a_snapshot, a_venue_order, a_wallet, an_execution

from gateway.core.comparison import (
    Difference,
    JournalSide,
    Sight,
    Suspicion,
    WalletBase,
    awaits_its_order,
    compare,
    standing_differences,
    wallet_change,
)
from gateway.core.ledger import Ledger
from gateway.core.model import Fill, OrderLinkId, OrderState, Side, Symbol
from gateway.core.venue import ExecutionKind

LINK = OrderLinkId("tg-key-1")
ETH = Symbol("ETHUSDT")


def a_journal(*orders, moving=(), base=None, earned="0"):
    ledger = Ledger(start_usd=Decimal(0), realised_usd=Decimal(earned))
    for order in orders:
        ledger = ledger.applied(order.order.symbol, order.order.side, order.fills)
    return JournalSide(
        ledger=ledger,
        moving=frozenset(moving),
        orders={order.order_link_id: order for order in orders},
        wallet_base=base,
    )


def found(snapshot, journal, executions=None):
    told = compare(snapshot, snapshot.executions if executions is None else executions, journal)
    return [(one.text, one.certain) for one in told]


def ours(exec_id="e1"):
    return a_filled(fills=(Fill(price=FILL.price, qty=FILL.qty, fee_usd=FILL.fee_usd, exec_id=exec_id),))


def test_an_account_that_is_the_journals_differs_in_nothing():
    snapshot = a_snapshot(executions=(an_execution(),), positions=(a_position("0.029"),))
    assert found(snapshot, a_journal(ours())) == []


def test_an_open_order_that_the_journal_holds_for_open_is_no_surprise():
    assert found(a_snapshot(open_orders=(a_venue_order(),)), a_journal(a_record())) == []


@pytest.mark.parametrize(
    ("link", "who"),
    [
        ("", "a foreign hand uses this account"),
        ("grid-17", "a foreign hand uses this account"),
        ("tg0123", "a second gateway uses this account"),
    ],
)
def test_an_order_and_an_execution_that_nobody_here_ordered_are_told_at_once(link, who):
    order = a_venue_order(order_link_id=OrderLinkId(link), qty=Decimal("0.5"))
    execution = an_execution(order_link_id=OrderLinkId(link), qty=Decimal("0.5"))
    assert found(a_snapshot(open_orders=(order,), executions=(execution,)), a_journal()) == [
        (f"{who}: open order v1, buy 0.5 BTCUSDT", True),
        (f"{who}: execution e1, buy 0.5 BTCUSDT at 60003.0", True),
    ]


def test_an_order_that_ended_in_the_journal_and_is_open_at_the_venue_must_be_seen_twice():
    journal = a_journal(a_record(state=OrderState.CANCELLED))
    snapshot = a_snapshot(open_orders=(a_venue_order(),))
    assert found(snapshot, journal) == [("order key-1 is cancelled in the journal, and open at the venue", False)]
    assert found(snapshot, a_journal(a_record(state=OrderState.CANCELLED), moving=[BTC])) == []


def test_what_the_venue_did_itself_is_told():
    liquidated = an_execution(kind=ExecutionKind.VENUE, order_link_id=OrderLinkId(""), side=Side.SELL)
    assert found(a_snapshot(executions=(liquidated,)), a_journal()) == [
        ("execution e1, sell 0.029 BTCUSDT at 60003.0, made by the venue itself", True)
    ]


def test_a_fill_that_its_ended_order_lacks_is_told():
    told = (
        "execution e1, buy 0.029 BTCUSDT at 60003.0, is missing from order key-1, which is cancelled in the journal",
    )
    cancelled = a_record(state=OrderState.CANCELLED)
    assert found(a_snapshot(executions=(an_execution(),)), a_journal(cancelled)) == [(*told, True)]
    two = a_snapshot(executions=(an_execution(), an_execution(exec_id="e2")), positions=(a_position("0.029"),))
    assert [text for text, _ in found(two, a_journal(ours("e1")))] == [
        "execution e2, buy 0.029 BTCUSDT at 60003.0, is missing from order key-1, which is filled in the journal"
    ]


def test_a_fill_of_an_order_that_has_not_ended_waits_for_its_end():
    for state in (OrderState.PENDING, OrderState.UNKNOWN):
        orders = {LINK: a_record(state=state)}
        assert awaits_its_order(an_execution(), orders)
    assert not awaits_its_order(an_execution(), {LINK: ours()})
    assert not awaits_its_order(an_execution(), {})
    assert not awaits_its_order(an_execution(kind=ExecutionKind.FUNDING), {LINK: a_record()})
    assert found(a_snapshot(executions=(an_execution(),)), a_journal(a_record(), moving=[BTC])) == []


def test_fills_without_ids_are_taken_for_the_venues():
    assert (
        found(a_snapshot(executions=(an_execution(),), positions=(a_position("0.029"),)), a_journal(a_filled())) == []
    )


@pytest.mark.parametrize(
    ("positions", "text"),
    [
        ((), "position BTCUSDT: 0 at the venue, 0.029 in the journal"),
        ((a_position("-0.029"),), "position BTCUSDT: -0.029 at the venue, 0.029 in the journal"),
        ((a_position("0.028"),), "position BTCUSDT: 0.028 at the venue, 0.029 in the journal"),
    ],
)
def test_a_position_that_is_not_the_ledgers_must_be_seen_twice(positions, text):
    assert found(a_snapshot(positions=positions), a_journal(ours())) == [(text, False)]
    assert found(a_snapshot(positions=positions), a_journal(ours(), moving=[BTC])) == []


def test_a_position_in_a_symbol_that_nobody_trades_here_is_found():
    snapshot = a_snapshot(positions=(a_position("3", ETH),))
    assert found(snapshot, a_journal()) == [("position ETHUSDT: 3 at the venue, 0 in the journal", False)]
    assert found(snapshot, a_journal(moving=[BTC])) != []


BASE = WalletBase(balance_usd=Decimal(100_000), earned_usd=Decimal(0))


@pytest.mark.parametrize(
    ("balance", "earned", "funding", "text"),
    [
        ("100000", "0", "0", None),
        ("99900", "0", "0", None),
        ("99899.99", "0", "0", "the wallet fell by 100.01 USD without a cause"),
        ("99400", "-500", "0", None),
        ("99400", "-500", "10", None),
        ("99389", "-500", "10", "the wallet fell by 101.00 USD without a cause"),
        ("100000", "500", "0", "the wallet fell by 500.00 USD without a cause"),
        ("250000", "0", "0", None),
    ],
)
def test_a_wallet_may_only_fall_by_what_was_lost_and_paid(balance, earned, funding, text):
    base = WalletBase(balance_usd=BASE.balance_usd, earned_usd=BASE.earned_usd, funding_usd=Decimal(funding))
    snapshot, journal = a_snapshot(wallet=a_wallet(balance)), a_journal(base=base, earned=earned)
    assert found(snapshot, journal) == ([(text, False)] if text else [])


def test_a_small_wallet_may_fall_by_one_dollar():
    base = WalletBase(balance_usd=Decimal(50), earned_usd=Decimal(0))
    assert found(a_snapshot(wallet=a_wallet("49")), a_journal(base=base)) == []
    assert found(a_snapshot(wallet=a_wallet("48.99")), a_journal(base=base)) != []


def test_the_wallet_is_not_judged_while_orders_move_or_before_there_is_a_base():
    assert wallet_change(a_snapshot(wallet=a_wallet("5")), a_journal(moving=[BTC], base=BASE)) is None
    assert wallet_change(a_snapshot(wallet=a_wallet("5")), a_journal()) is None


def test_what_is_realised_at_the_venue_and_open_in_the_ledger_is_no_fall():
    """The venue books a loss of 6 that the ledger, which knows the fills in another order, still has as open."""
    journal = a_journal(ours(), base=BASE)
    entry_price = journal.ledger.positions[BTC].entry_price
    split = replace(a_position("0.029"), entry_price=entry_price - Decimal(6_000))
    loss = Decimal("0.029") * 6_000
    snapshot = a_snapshot(positions=(split,), wallet=a_wallet(str(100_000 + journal.ledger.earned_usd - loss)))
    assert wallet_change(snapshot, journal) == 0
    assert found(snapshot, journal) == []


def test_the_wallet_is_not_judged_while_a_position_is_another():
    snapshot = a_snapshot(positions=(a_position("0.5"),), wallet=a_wallet("5"))
    assert wallet_change(snapshot, a_journal(base=BASE)) is None


def one(key, symbol=BTC, *, certain=False):
    return Difference(key=key, text=key, symbol=symbol, certain=certain)


LAG_MS = 10_000


def sight(at_ms=NOW_MS, *, at_start=False, moving=(), **moved_ms):
    """A pass, and when each symbol last moved."""
    return Sight(
        begun_ms=at_ms - 100, ended_ms=at_ms, at_start=at_start, lag_ms_max=LAG_MS, moving=moving, moved_ms=moved_ms
    )


def suspected(key, symbol=BTC, since_ms=NOW_MS):
    return Suspicion(difference=one(key, symbol), since_ms=since_ms)


LATER_MS = NOW_MS + LAG_MS + 100


def test_what_was_seen_once_counts_when_it_is_seen_again_after_the_venues_lag():
    counts, suspicions = standing_differences([one("a")], [], sight())
    assert (counts, suspicions) == ([], [suspected("a")])
    assert standing_differences([one("a")], suspicions, sight(LATER_MS - 1)) == ([], [suspected("a")])
    assert standing_differences([one("a")], suspicions, sight(LATER_MS)) == ([one("a")], [])
    other = suspected("b", since_ms=LATER_MS)
    assert standing_differences([one("b")], suspicions, sight(LATER_MS)) == ([], [other])
    assert standing_differences([], suspicions, sight(LATER_MS)) == ([], [])


def test_a_suspicion_begins_anew_when_something_moved_after_it():
    anew = suspected("a", since_ms=LATER_MS)
    moved = sight(LATER_MS, BTCUSDT=NOW_MS)
    assert standing_differences([one("a")], [suspected("a")], moved) == ([], [anew])
    before, elsewhere = sight(LATER_MS, BTCUSDT=NOW_MS - 1), sight(LATER_MS, ETHUSDT=NOW_MS)
    for still in (before, elsewhere):
        assert standing_differences([one("a")], [suspected("a")], still) == ([one("a")], [])
    wallet = standing_differences([one("w", None)], [suspected("w", None)], elsewhere)
    assert wallet == ([], [suspected("w", None, since_ms=LATER_MS)])


def test_at_the_start_and_for_what_is_certain_once_is_enough():
    assert standing_differences([one("a")], [], sight(at_start=True)) == ([one("a")], [])
    sure = one("a", certain=True)
    assert standing_differences([sure], [], sight(BTCUSDT=NOW_MS)) == ([sure], [])


def test_at_the_start_an_order_of_shortly_before_may_not_show_yet():
    shortly, long_ago = NOW_MS - 100 - LAG_MS, NOW_MS - 101 - LAG_MS
    assert standing_differences([one("a")], [], sight(at_start=True, BTCUSDT=shortly)) == ([], [suspected("a")])
    assert standing_differences([one("a")], [], sight(at_start=True, BTCUSDT=long_ago)) == ([one("a")], [])


def test_a_suspicion_outlives_a_pass_in_which_its_symbol_moved():
    assert standing_differences([], [suspected("a")], sight(moving={BTC})) == ([], [suspected("a")])
    assert standing_differences([], [suspected("a")], sight(moving={ETH})) == ([], [])
    wallet = suspected("w", None)
    assert standing_differences([], [wallet], sight(moving={ETH})) == ([], [wallet])


quantities = st.decimals(min_value=-5, max_value=5, places=3)


@given(at_venue=quantities, in_journal=quantities)
def test_positions_differ_exactly_when_their_quantities_do(at_venue, in_journal):
    side = Side.BUY if in_journal > 0 else Side.SELL
    fill = Fill(price=Decimal(60_000), qty=abs(in_journal), fee_usd=Decimal(0), exec_id="e1")
    ledger = Ledger(start_usd=Decimal(0)).applied(BTC, side, (fill,) if in_journal else ())
    journal = JournalSide(ledger=ledger, moving=(), orders={}, wallet_base=None)
    held = (a_position(str(at_venue)),) if at_venue else ()
    assert bool(compare(a_snapshot(positions=held), (), journal)) == (at_venue != in_journal)
