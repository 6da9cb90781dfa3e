"""From an approved notional to whole steps of quantity, never rounded up."""

from decimal import Decimal
from typing import Any

import pytest
from builders import NOW_MS, a_book, an_instrument, an_order
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.model import OrderLinkId, Side
from gateway.core.quantity import floored, market_qty, refusal_of
from gateway.core.risk import Approved, restore

SLIPPAGE = Decimal("0.005")


def approved(qty_usd: str, side: Side, **order: Any) -> Approved:
    return restore(
        order=an_order(side=side, **order),
        order_link_id=OrderLinkId("tg1"),
        qty_usd=Decimal(qty_usd),
        confidence=Decimal("0.9"),
        adjustments=(),
        mid_price=Decimal(50_000),
        at_ms=NOW_MS,
    )


@given(st.decimals("0", "1e9", places=9), st.sampled_from(["0.001", "0.1", "1", "10", "0.0000001"]))
def test_a_quantity_is_rounded_down_to_whole_steps_and_loses_less_than_one(qty: Decimal, step: str) -> None:
    whole = floored(qty, Decimal(step))
    assert whole % Decimal(step) == 0
    assert whole <= qty < whole + Decimal(step)


@pytest.mark.parametrize(
    ("side", "qty_usd", "qty"),
    [
        (Side.BUY, "603.030150", "0.010"),  # 0.010 at 60003 and half a percent
        (Side.BUY, "603.030149", "0.009"),
        (Side.SELL, "600.00", "0.010"),
        (Side.SELL, "599.99", "0.009"),
    ],
)
def test_a_buy_is_priced_at_the_worst_it_may_pay_and_a_sell_at_the_mid(side: Side, qty_usd: str, qty: str) -> None:
    assert market_qty(approved(qty_usd, side), a_book(), an_instrument(), SLIPPAGE) == Decimal(qty)


@pytest.mark.parametrize("side", list(Side))
def test_a_reduction_closes_what_risk_judged_at_the_price_it_judged_it_at(side: Side) -> None:
    """Whatever the book says now: the position is a quantity."""
    order = approved("499.99999999", side, reduce_only=True)
    assert market_qty(order, a_book("90000"), an_instrument(), SLIPPAGE) == Decimal("0.010")


@pytest.mark.parametrize(
    ("qty", "words"),
    [("0.001", "order value is below"), ("0.0001", "below the minimum 0.001"), ("501", "above the maximum 500")],
)
def test_the_filters_say_what_they_refuse(qty: str, words: str) -> None:
    assert words in refusal_of(Decimal(qty), an_instrument(min_notional_usd=Decimal(100)), Decimal(60_000))


def test_what_keeps_to_the_filters_is_not_refused() -> None:
    assert refusal_of(Decimal("0.010"), an_instrument(), Decimal(60_000)) == ""
