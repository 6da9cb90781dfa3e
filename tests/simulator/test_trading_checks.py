"""What order/create, amend and the settings of positions refuse, with Bybit's codes."""

from decimal import Decimal

import pytest
from trading_kit import BIDS, a_book, a_world, an_account

from simulator.trading.contract import TradeError

SPOT = {"category": "spot"}
LIMIT = {"orderType": "Limit", "price": "59000"}
RICH = {"USDT": "100000000", "BTC": "5"}


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"category": None}, 10001, "Illegal category"),
        ({"category": "futures"}, 10001, "Illegal category"),
        ({"category": ["linear"]}, 10001, "Illegal category"),
        ({"category": "inverse"}, 10001, "Not supported symbols"),
        ({"symbol": "DOGEUSDT"}, 10001, "Not supported symbols"),
        ({"symbol": None}, 10001, "symbol"),
        ({"side": "buy"}, 10001, "side"),
        ({"side": None}, 10001, "side"),
        ({"orderType": "Stop"}, 10001, "orderType"),
        ({"timeInForce": "GTX"}, 10001, "timeInForce"),
        ({"qty": None}, 10001, "qty"),
        ({"qty": 0.1}, 10001, "qty"),
        ({"qty": "1e-05"}, 10001, "qty"),
        ({"qty": "-0.1"}, 10001, "qty"),
        ({"qty": "0"}, 10001, "qty"),
        ({"qty": "NaN"}, 10001, "qty"),
        ({"qty": "9" * 40}, 10001, "qty"),
        ({"reduceOnly": "true"}, 10001, "reduceOnly"),
        ({"closeOnTrigger": 1}, 10001, "closeOnTrigger"),
        ({"positionIdx": "0"}, 10001, "positionIdx"),
        ({"positionIdx": True}, 10001, "positionIdx"),
        ({"positionIdx": 1}, 10001, "position idx not match position mode"),
        ({"orderLinkId": "a b"}, 10001, "orderLinkId"),
        ({"orderLinkId": "é"}, 10001, "orderLinkId"),
        ({"orderLinkId": "a" * 37}, 10001, "orderLinkId"),
        ({"marketUnit": "baseCoin"}, 10001, "marketUnit"),
        ({"triggerPrice": "61000"}, 10001, "conditional orders are not simulated"),
        ({"takeProfit": "61000"}, 10001, "conditional orders are not simulated"),
        ({"slippageTolerance": "1"}, 10001, "slippageToleranceType"),
        ({"slippageToleranceType": "Percent"}, 10001, "slippageTolerance"),
        ({"slippageToleranceType": "Percent", "slippageTolerance": "10.01"}, 10001, "slippageTolerance"),
        ({"slippageToleranceType": "Percent", "slippageTolerance": "0.125"}, 10001, "slippageTolerance"),
        ({"slippageToleranceType": "TickSize", "slippageTolerance": "1.5"}, 10001, "slippageTolerance"),
        ({"slippageToleranceType": "TickSize", "slippageTolerance": "10001"}, 10001, "slippageTolerance"),
        ({**LIMIT, "slippageToleranceType": "TickSize", "slippageTolerance": "1"}, 10001, "slippageTolerance"),
        ({**LIMIT, "price": None}, 10001, "price"),
        ({**LIMIT, "price": "59000.05"}, 110003, "price is invalid"),
        ({**LIMIT, "price": "20000000"}, 110003, "price is invalid"),
        ({"qty": "0.0009"}, 110017, "truncated to zero"),
        ({"qty": "500.001"}, 10001, "exceeds maximum limit"),
        ({**LIMIT, "qty": "1190.001"}, 10001, "exceeds maximum limit"),
        ({**LIMIT, "price": "4999.9", "qty": "0.001"}, 110094, "minimum order value 5USDT"),
        ({"reduceOnly": True}, 110017, "current position is zero"),
        ({"qty": "100"}, 110007, "ab not enough"),
        ({**SPOT, "qty": "4.9"}, 170140, "lower limit"),
        ({**SPOT, "qty": "10.00000001"}, 170137, "decimal too long"),
        ({**SPOT, "marketUnit": "baseCoin", "qty": "0.0000001"}, 170137, "decimal too long"),
        ({**SPOT, "marketUnit": "baseCoin", "qty": "0.00001"}, 170140, "lower limit"),
        ({**SPOT, "marketUnit": "baseCoin", "qty": "41.6"}, 170124, "too large"),
        ({**SPOT, "marketUnit": "coin"}, 10001, "marketUnit"),
        ({**SPOT, **LIMIT, "marketUnit": "baseCoin"}, 10001, "marketUnit"),
        ({**SPOT, **LIMIT, "qty": "83.1"}, 170124, "too large"),
        ({**SPOT, **LIMIT, "price": "59000.05"}, 170134, "decimal too long"),
        ({**SPOT, **LIMIT, "price": "20000000"}, 170132, "too high"),
        ({**SPOT, "isLeverage": 1}, 10001, "isLeverage"),
        ({**SPOT, "orderFilter": "tpslOrder"}, 10001, "orderFilter"),
        ({**SPOT, "qty": "100001"}, 170131, "Insufficient balance."),
        ({**SPOT, "side": "Sell", "qty": "0.1"}, 170131, "Insufficient balance."),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_and_leaves_no_trace(changes, code, says):
    world = a_world()
    answer = world.refusal(**changes)
    assert (answer[0], says in answer[1]) == (code, True), answer
    assert world.engine.all_orders(1) == []


def test_a_link_id_is_used_once_for_ever_in_both_categories():
    world = a_world(an_account(coins=RICH), an_account(2, coins=RICH))
    world.filled(orderLinkId="once")
    assert world.refusal(orderLinkId="once") == (110072, "OrderLinkedID is duplicate")
    assert world.refusal(orderLinkId="once", category="spot", qty="10") == (170141, "Duplicate clientOrderId")
    assert world.filled(uid=2, orderLinkId="once").status == "Filled"


def test_a_link_id_of_a_refused_order_is_free():
    world = a_world()
    world.refusal(orderLinkId="again", qty="100")
    assert world.filled(orderLinkId="again").status == "Filled"


def test_a_linear_quantity_is_cut_to_the_step_without_a_word():
    assert a_world().filled(qty="0.1239").qty == Decimal("0.123")


def test_funds_count_orders_that_are_accepted_and_not_yet_matched():
    world = a_world(an_account(coins={"USDT": "10000"}))
    world.create(qty="1")
    assert world.refusal(qty="1")[0] == 110007


def test_a_refusal_for_funds_tells_the_margin_rates_it_would_have_needed():
    with pytest.raises(TradeError) as refused:
        a_world().send(qty="100")
    assert refused.value.ext["postImrE4"] > 10_000


def test_an_order_that_only_reduces_needs_no_funds():
    world = a_world(an_account(coins={"USDT": "6100"}))
    world.filled(qty="0.9")
    assert world.refusal(qty="0.5")[0] == 110007
    assert world.filled(side="Sell", qty="0.9").status == "Filled"


def test_hedged_accounts_refuse_index_zero_and_hedged_orders_are_not_simulated():
    world = a_world(an_account(hedge=True))
    assert world.refusal(positionIdx=0) == (10001, "position idx not match position mode")
    assert "not simulated" in world.refusal(positionIdx=1)[1]


def test_five_hundred_open_orders_of_a_symbol_are_the_most():
    world = a_world(an_account(coins=RICH))
    for _ in range(500):
        world.limit(qty="0.001")
    assert world.refusal(orderType="Limit", price="59000", qty="0.001")[0] == 110020


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": "59000", "qty": "0.1"}, 10001),
        ({"price": "59000.05"}, 110003),
        ({"qty": "0.0001"}, 110017),
        ({"qty": "50"}, 110007),
        ({"orderLinkId": "nobody"}, 110001),
        ({"orderLinkId": ""}, 10001),
    ],
)
def test_an_amend_that_breaks_a_rule_is_refused(changes, code):
    world = a_world()
    link = world.limit()
    world.clock.advance(1)
    with pytest.raises(TradeError) as refused:
        world.engine.amend_order(1, {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": link, **changes})
    assert refused.value.code == code


@pytest.mark.parametrize(("category", "code"), [("linear", 110001), ("spot", 170213)])
def test_a_cancel_of_an_ended_order_is_too_late(category, code):
    world = a_world(an_account(coins=RICH))
    link = world.filled(category=category, qty="10").order_link_id
    for act in (world.engine.cancel_order, world.engine.amend_order):
        with pytest.raises(TradeError) as refused:
            act(1, {"category": category, "symbol": "BTCUSDT", "orderLinkId": link, "price": "1000", "qty": "10"})
        assert refused.value.code == code


def test_cancel_all_of_linear_must_be_told_what_of():
    with pytest.raises(TradeError) as refused:
        a_world().engine.cancel_all(1, {"category": "linear"})
    assert refused.value.code == 10001


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"buyLeverage": "10", "sellLeverage": "10"}, 110043),
        ({"buyLeverage": "5", "sellLeverage": "6"}, 10001),
        ({"buyLeverage": "0.5", "sellLeverage": "0.5"}, 10001),
        ({"buyLeverage": "101", "sellLeverage": "101"}, 110013),
        ({"buyLeverage": 5, "sellLeverage": 5}, 10001),
        ({"category": "spot", "buyLeverage": "5", "sellLeverage": "5"}, 10001),
    ],
)
def test_a_leverage_that_breaks_a_rule_is_refused(fields, code):
    with pytest.raises(TradeError) as refused:
        a_world().engine.set_leverage(1, {"category": "linear", "symbol": "BTCUSDT", **fields})
    assert refused.value.code == code


def test_the_position_mode_is_switched_only_without_positions_and_orders():
    world = a_world()
    switch = {"category": "linear", "coin": "USDT"}

    def code(mode):
        with pytest.raises(TradeError) as refused:
            world.engine.switch_mode(1, {**switch, "mode": mode})
        return refused.value.code

    assert code(0) == 110025
    assert code(1) == 10001
    link = world.limit()
    assert code(3) == 110028
    world.engine.cancel_order(1, {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": link})
    world.filled()
    assert code(3) == 110024
    world.filled(side="Sell")
    world.engine.switch_mode(1, {**switch, "mode": 3})
    assert [row["positionIdx"] for row in world.engine.positions(1, {"category": "linear", "symbol": "BTCUSDT"})] == [
        1,
        2,
    ]


def test_a_book_without_a_side_still_gives_a_market_order_its_cap():
    world = a_world()
    world.markets.books["BTCUSDT"] = a_book(BIDS, ())
    order = world.filled(slippageToleranceType="Percent", slippageTolerance="0.5")
    assert (order.price, order.status) == (Decimal(60300), "Cancelled")
