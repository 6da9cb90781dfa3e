"""The ledger against hand-worked accounts, and its balance under any fills."""

from decimal import Decimal

from builders import BTC
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.ledger import Ledger, Position
from gateway.core.model import Fill, Side


def fill(price: int | str, qty: int | str, fee: int | str = 0) -> Fill:
    return Fill(price=Decimal(price), qty=Decimal(qty), fee_usd=Decimal(fee))


def test_buying_twice_averages_the_entry_price():
    ledger = Ledger(start_usd=Decimal(1000)).applied(BTC, Side.BUY, (fill(100, 1), fill(110, 1)))
    assert ledger.positions == {BTC: Position(qty=Decimal(2), entry_price=Decimal(105))}


def test_selling_half_realises_half_and_keeps_the_entry_price():
    ledger = Ledger(start_usd=Decimal(1000)).applied(BTC, Side.BUY, (fill(100, 2),))
    ledger = ledger.applied(BTC, Side.SELL, (fill(120, 1, 3),))
    assert ledger.realised_usd == 20
    assert ledger.fees_usd == 3
    assert ledger.positions == {BTC: Position(qty=Decimal(1), entry_price=Decimal(100))}
    assert ledger.equity_usd({BTC: Decimal(130)}) == 1000 + 20 - 3 + 30


def test_selling_more_than_is_held_turns_the_position_at_the_fills_price():
    ledger = Ledger(start_usd=Decimal(1000)).applied(BTC, Side.BUY, (fill(100, 1),))
    ledger = ledger.applied(BTC, Side.SELL, (fill(90, 3),))
    assert ledger.realised_usd == -10
    assert ledger.positions == {BTC: Position(qty=Decimal(-2), entry_price=Decimal(90))}


def test_a_short_earns_when_the_price_falls():
    ledger = Ledger(start_usd=Decimal(1000)).applied(BTC, Side.SELL, (fill(100, 1),))
    assert ledger.equity_usd({BTC: Decimal(80)}) == 1020
    assert ledger.applied(BTC, Side.BUY, (fill(80, 1),)).realised_usd == 20


def test_a_flat_account_has_no_positions():
    ledger = Ledger(start_usd=Decimal(1000)).applied(BTC, Side.BUY, (fill(100, 1),))
    assert ledger.applied(BTC, Side.SELL, (fill(100, 1),)).positions == {}


trades = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 500), st.integers(1, 9), st.integers(0, 3)), max_size=20
)


@given(trades=trades, mark=st.integers(1, 500))
def test_equity_is_always_cash_and_holdings(trades, mark):
    """Equity by positions and realised profit equals equity by cash flow, which needs neither."""
    ledger, cash, held = Ledger(start_usd=Decimal(10_000)), Decimal(10_000), Decimal(0)
    for side, price, qty, fee in trades:
        ledger = ledger.applied(BTC, side, (fill(price, qty, fee),))
        cash -= side.sign * price * qty + fee
        held += side.sign * qty
    assert abs(ledger.equity_usd({BTC: Decimal(mark)}) - (cash + held * mark)) < Decimal("1e-15")
    assert ledger.position_qty(BTC) == held
