"""How much worse a live order did than its paper twin, and what many of them say of the paper venue."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BTC, NOW_MS
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import FILL, a_filled

from gateway.core.json_fields import RecordFormatError
from gateway.core.model import Evidence, Fill, OrderKey, OrderState, Outcome, Side
from gateway.core.twin_records import (
    Bought,
    Twin,
    paper_bias,
    t_quantile,
    twin_document,
    twin_from,
    twin_of,
)

AMOUNT = st.decimals(min_value="0.001", max_value="100000", places=3)
BOUGHT = st.builds(Bought, qty=AMOUNT, price=AMOUNT, fee_usd=AMOUNT)
TWINS = st.builds(
    Twin,
    key=st.just(OrderKey("k")),
    symbol=st.just(BTC),
    side=st.sampled_from(Side),
    live=BOUGHT,
    paper=BOUGHT | st.just(Bought(qty=Decimal(0), price=Decimal(0), fee_usd=Decimal(0))),
    at_ms=st.just(NOW_MS),
)


def a_twin(live="100.1", paper="100", side=Side.BUY, fee="0.1"):
    return Twin(
        key=OrderKey("key-1"),
        symbol=BTC,
        side=side,
        live=Bought(qty=Decimal(1), price=Decimal(live), fee_usd=Decimal(fee)),
        paper=Bought(qty=Decimal(1), price=Decimal(paper), fee_usd=Decimal("0.05")),
        at_ms=NOW_MS,
    )


@pytest.mark.parametrize(
    ("live", "side", "worse"),
    [("100.1", Side.BUY, "10"), ("99.9", Side.BUY, "-10"), ("99.9", Side.SELL, "10"), ("100", Side.SELL, "0")],
)
def test_a_difference_is_positive_when_live_was_worse(live, side, worse):
    assert a_twin(live=live, side=side).price_worse_bps == Decimal(worse)


def test_fees_are_compared_by_their_share_of_the_notional():
    assert a_twin(live="100", fee="0.1").fee_worse_bps == Decimal(5)
    assert a_twin(live="100", fee="0.05").fee_worse_bps == 0


def test_the_price_of_several_fills_is_their_mean():
    fills = (FILL, Fill(price=Decimal("60009.0"), qty=Decimal("0.029"), fee_usd=Decimal(1), exec_id="e"))
    outcome = Outcome(state=OrderState.FILLED, fills=(FILL,), evidence=Evidence.PAPER)
    twin = twin_of(a_filled(fills=fills), outcome, NOW_MS)
    assert (twin.live.price, twin.live.qty, twin.live.fee_usd) == (
        Decimal(60_006),
        Decimal("0.058"),
        FILL.fee_usd + 1,
    )
    assert twin.paper == Bought(qty=FILL.qty, price=FILL.price, fee_usd=FILL.fee_usd)


def test_a_twin_that_was_not_filled_says_nothing_of_prices():
    twin = twin_of(a_filled(), Outcome(state=OrderState.CANCELLED, evidence=Evidence.PAPER), NOW_MS)
    assert (twin.price_worse_bps, twin.fee_worse_bps) == (None, None)
    assert twin_from(twin_document(twin)) == twin
    assert paper_bias([twin] * 5) is None


@given(TWINS)
def test_a_twin_comes_back_exactly(twin):
    assert twin_from(twin_document(twin)) == twin


def test_a_difference_that_does_not_follow_is_refused():
    document = twin_document(a_twin())
    with pytest.raises(RecordFormatError, match="do not follow"):
        twin_from(replace(document, text=document.text.replace('"100.1"', '"100.2"')))


def test_the_bias_is_the_mean_with_its_interval():
    twins = [a_twin(live=live) for live in ("100.1", "100.2", "100.3", "100.0")] + [
        replace(a_twin(), paper=Bought(qty=Decimal(0), price=Decimal(0), fee_usd=Decimal(0)))
    ]
    bias = paper_bias(twins)
    assert bias.count == 4
    assert bias.price_bps == pytest.approx(15.0)
    # the standard deviation is 12.909944, its mean's 6.454972, and t is 3.182 for 3 degrees of freedom
    assert (bias.low_bps, bias.high_bps) == pytest.approx((15 - 20.5397, 15 + 20.5397), abs=1e-3)
    assert bias.fee_bps == pytest.approx(4.985, abs=0.01)


def test_one_twin_has_no_interval():
    assert paper_bias([]) is None
    assert paper_bias([a_twin()]) is None


@pytest.mark.parametrize(("degrees", "t"), [(1, 12.706), (10, 2.228), (11, 2.201), (30, 2.042), (1000, 1.962)])
def test_the_quantiles_are_students(degrees, t):
    assert t_quantile(degrees) == pytest.approx(t, abs=1e-3)
