"""What becomes of accepted orders: caps, partial fills, resting, cancelling, and depth that is shared."""

from decimal import Decimal

import pytest
from trading_kit import ASKS, BIDS, START_MS, a_book, a_world, an_account

from simulator.trading.contract import Lags

SLOT_MS = 250
BTC = {"category": "linear", "symbol": "BTCUSDT"}
RICH = {"USDT": "10000000", "BTC": "50"}


def a_rich_world():
    return a_world(an_account(coins=RICH), an_account(2, coins=RICH))


def prices(world, uid=1):
    return [(str(each.price), str(each.qty.normalize())) for each in world.engine.all_executions(uid)]


def test_a_market_order_walks_the_book_in_several_executions():
    world = a_rich_world()
    order = world.filled(qty="2.5")
    assert (order.status, order.filled_qty) == ("Filled", Decimal("2.5"))
    assert prices(world) == [("60001", "1"), ("60010", "1.5")]
    assert order.filled_value == Decimal(150016)


def test_a_market_order_is_an_immediate_limit_order_one_percent_from_the_last_price():
    world = a_rich_world()
    order = world.filled(qty="10")
    assert (order.price, order.status, order.filled_qty) == (Decimal(60600), "Cancelled", Decimal(8))
    assert order.reject_reason == "EC_NoImmediateQtyToFill"
    assert world.filled(side="Sell", qty="0.1").price == Decimal(59400)


def test_a_partly_filled_spot_market_order_has_a_status_of_its_own():
    order = a_rich_world().filled(category="spot", marketUnit="baseCoin", qty="10")
    assert (order.status, order.filled_qty) == ("PartiallyFilledCanceled", Decimal(8))


@pytest.mark.parametrize(
    ("tolerance", "cap", "filled"),
    [
        (("TickSize", "90"), "60010", "3"),
        (("TickSize", "89"), "60009.9", "1"),
        (("Percent", "0.01"), "60007", "1"),
        (("Percent", "10"), "66001.1", "17"),
    ],
)
def test_a_slippage_tolerance_counts_from_the_best_price(tolerance, cap, filled):
    kind, value = tolerance
    order = a_rich_world().filled(qty="17", slippageToleranceType=kind, slippageTolerance=value)
    assert (order.price, order.filled_qty) == (Decimal(cap), Decimal(filled))


def test_with_nothing_in_reach_a_market_order_ends_unfilled():
    world = a_world()
    world.markets.books["BTCUSDT"] = a_book(BIDS, (("60700", "9"),))
    order = world.filled()
    assert (order.status, order.filled_qty, order.reject_reason) == ("Cancelled", 0, "EC_NoImmediateQtyToFill")


def test_a_spot_market_buy_spends_an_amount_and_a_market_sell_sells_a_quantity():
    world = a_rich_world()
    bought = world.filled(category="spot", qty="90000")
    assert (bought.status, bought.quote_qty) == ("Filled", True)
    assert bought.filled_value <= 90_000 < bought.filled_value + Decimal("0.07")
    sold = world.filled(category="spot", side="Sell", qty="0.5")
    assert (sold.status, sold.quote_qty, sold.filled_qty) == ("Filled", False, Decimal("0.5"))


def test_a_spot_sell_for_an_amount_stops_when_it_is_reached():
    sold = a_rich_world().filled(category="spot", side="Sell", marketUnit="quoteCoin", qty="1000")
    assert sold.status == "Filled"
    assert 999 < sold.filled_value <= 1000


def test_what_one_account_took_is_gone_for_all_until_the_next_slot():
    world = a_rich_world()
    world.create(qty="8")
    world.clock.advance(1)
    link = world.create(uid=2, qty="1")
    world.clock.advance(1)
    assert world.order(link, 2).status == "Cancelled"
    world.clock.advance(SLOT_MS)
    assert world.filled(uid=2, qty="1").status == "Filled"


def test_spot_and_linear_have_books_of_their_own():
    world = a_rich_world()
    world.create(qty="8")
    link = world.create(category="spot", marketUnit="baseCoin", qty="8")
    world.clock.advance(1)
    assert world.order(link).status == "Filled"


def test_a_limit_order_takes_what_it_reaches_and_rests_with_the_rest():
    world = a_rich_world()
    link = world.limit(price="60001", qty="1.5")
    world.clock.advance(1)
    order = world.order(link)
    assert (order.status, order.filled_qty) == ("PartiallyFilled", Decimal(1))
    world.markets.books["BTCUSDT"] = a_book(BIDS, ASKS[1:])
    world.clock.advance(10 * SLOT_MS)
    assert world.order(link) == order


def test_a_resting_order_fills_at_its_own_price_as_maker_when_the_book_comes_to_it():
    world = a_rich_world()
    link = world.limit(price="59000", qty="3")
    world.clock.advance(5 * SLOT_MS)
    assert world.order(link).status == "New"
    world.markets.books["BTCUSDT"] = a_book((), (("58900", "2"), ("59000", "0.5"), ("59100", "9")))
    world.clock.advance(SLOT_MS)
    assert (world.order(link).status, prices(world)) == ("PartiallyFilled", [("59000", "2.5")])
    world.clock.advance(SLOT_MS)
    assert (world.order(link).status, prices(world)[1:]) == ("Filled", [("59000", "0.5")])
    fees = [each.fee for each in world.engine.all_executions(1)]
    assert fees == [Decimal("29.5"), Decimal("5.9")]


def test_resting_orders_share_what_comes_to_them():
    world = a_rich_world()
    first, second = world.limit(qty="1"), world.limit(uid=2, qty="1")
    world.clock.advance(1)
    world.markets.books["BTCUSDT"] = a_book((), (("58900", "1.5"),))
    world.clock.advance(SLOT_MS)
    assert (world.order(first).filled_qty, world.order(second, 2).filled_qty) == (1, Decimal("0.5"))


@pytest.mark.parametrize(("category", "status"), [("linear", "Cancelled"), ("spot", "Rejected")])
def test_a_post_only_order_that_would_take_ends_at_once(category, status):
    world = a_rich_world()
    order = world.filled(category=category, orderType="Limit", timeInForce="PostOnly", price="60001")
    assert (order.status, order.filled_qty) == (status, 0)
    assert order.reject_reason == "EC_PostOnlyWillTakeLiquidity"


def test_a_post_only_order_below_the_market_rests():
    assert a_world().filled(orderType="Limit", timeInForce="PostOnly", price="60000").status == "New"


def test_fill_or_kill_fills_all_or_nothing():
    world = a_rich_world()
    order = {"orderType": "Limit", "timeInForce": "FOK", "price": "60010"}
    killed = world.filled(**order, qty="3.001")
    assert (killed.status, killed.filled_qty, killed.reject_reason) == ("Cancelled", 0, "EC_CancelForNoFullFill")
    assert world.filled(**order, qty="3").status == "Filled"


def test_an_order_larger_than_the_first_levels_finds_the_deep_ones():
    world = a_rich_world()
    asks = [(str(60001 + place), "0.1") for place in range(60)]
    world.markets.books["BTCUSDT"] = a_book(BIDS, asks)
    assert world.filled(qty="6").filled_qty == Decimal(6)


def test_a_cancel_ends_what_is_left():
    world = a_world()
    link = world.limit()
    world.clock.advance(1)
    world.engine.cancel_order(1, {**BTC, "orderLinkId": link})
    world.clock.advance(1)
    order = world.order(link)
    assert (order.status, order.cancel_type) == ("Cancelled", "CancelByUser")


def test_a_cancel_never_overtakes_the_order_it_cancels():
    world = a_world(lags=Lags(apply_ms=(0, 50)))
    for _ in range(20):
        link = world.create(qty="0.001")
        world.engine.cancel_order(1, {**BTC, "orderLinkId": link})
        world.clock.advance(100)
        assert world.order(link).status == "Filled"


def test_a_cancel_that_comes_after_the_fill_changes_nothing():
    world = a_world(lags=Lags(apply_ms=(5, 5)))
    link = world.create()
    world.engine.cancel_order(1, {**BTC, "orderLinkId": link})
    world.clock.advance(100)
    assert (world.order(link).status, world.position()) == ("Filled", Decimal("0.1"))


def test_cancel_all_cancels_the_orders_it_names():
    world = a_world(an_account(coins=RICH))
    linear, spot = world.limit(), world.limit(category="spot")
    world.clock.advance(1)
    result = world.engine.cancel_all(1, {"category": "linear", "settleCoin": "USDT"})
    assert result["success"] == "1"
    assert [row["orderLinkId"] for row in result["list"]] == [linear]
    assert world.engine.cancel_all(1, {"category": "linear", "baseCoin": "ETH"})["list"] == []
    world.clock.advance(1)
    assert [world.order(link).status for link in (linear, spot)] == ["Cancelled", "New"]
    assert [row["orderLinkId"] for row in world.engine.cancel_all(1, {"category": "spot"})["list"]] == [spot]


def test_an_amended_order_takes_what_its_new_price_reaches():
    world = a_world()
    link = world.limit()
    world.clock.advance(1)
    world.engine.amend_order(1, {**BTC, "orderLinkId": link, "price": "60001", "qty": "0.2"})
    world.clock.advance(1)
    order = world.order(link)
    assert (order.status, order.filled_qty, order.price) == ("Filled", Decimal("0.2"), Decimal(60001))


def test_an_amend_that_is_overtaken_by_fills_beyond_its_quantity_cancels_the_rest():
    world = a_rich_world()
    link = world.limit(price="60001", qty="3")
    world.engine.amend_order(1, {**BTC, "orderLinkId": link, "qty": "1"})
    world.clock.advance(1)
    order = world.order(link)
    assert (order.status, order.filled_qty, order.cancel_type) == ("Cancelled", Decimal(1), "CancelByUser")


def test_a_reduce_only_order_is_cut_to_the_position():
    world = a_world()
    world.filled(qty="0.3")
    order = world.filled(side="Sell", qty="5", reduceOnly=True)
    assert (order.status, order.qty, world.position()) == ("Filled", Decimal("0.3"), 0)
    assert world.refusal(side="Sell", reduceOnly=True)[0] == 110017


def test_a_reduce_only_order_on_the_positions_own_side_is_refused():
    world = a_world()
    world.filled()
    assert world.refusal(reduceOnly=True)[0] == 110017


def test_a_position_that_shrank_before_the_match_is_never_turned_by_a_reduce_only_order():
    world = a_world()
    world.filled(qty="0.3")
    links = [world.create(side="Sell", qty="0.3", reduceOnly=True) for _ in range(2)]
    world.clock.advance(1)
    second = world.order(links[1])
    assert (second.status, second.cancel_type, second.filled_qty) == ("Cancelled", "CancelByReduceOnly", 0)
    assert world.position() == 0


def test_a_resting_reduce_only_order_ends_with_its_position():
    world = a_world()
    world.filled()
    link = world.limit(side="Sell", price="61000", reduceOnly=True)
    world.clock.advance(1)
    assert world.order(link).status == "New"
    world.filled(side="Sell")
    assert (world.order(link).status, world.order(link).cancel_type) == ("Cancelled", "CancelByReduceOnly")


def test_close_on_trigger_with_quantity_zero_closes_the_position():
    world = a_world()
    world.filled(qty="0.3")
    world.filled(side="Sell", qty="0", reduceOnly=True, closeOnTrigger=True)
    assert world.position() == 0


def test_ids_have_the_shape_of_their_category_and_repeat_with_the_seed():
    def ids(seed):
        world = a_world(an_account(coins=RICH), seed=seed)
        made = [world.send(category=category, orderLinkId=None, qty="10") for category in ("linear", "spot")]
        world.clock.advance(1)
        return made, [each.exec_id for each in world.engine.all_executions(1)]

    (linear, spot), _ = ids(1)
    assert (len(linear["orderId"]), linear["orderId"][14], linear["orderLinkId"]) == (36, "4", "")
    assert (len(spot["orderId"]), int(spot["orderLinkId"])) == (19, int(spot["orderId"]) + 1)
    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_a_clock_that_is_put_back_makes_no_order_older_than_the_one_before():
    world = a_world()
    world.filled()
    world.clock.ms = START_MS - 1000
    later = world.order(world.create())
    assert later.created_ms >= START_MS
