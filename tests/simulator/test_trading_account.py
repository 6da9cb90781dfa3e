"""Positions, coins, fees, margin; funding and liquidation."""

from decimal import Decimal

import pytest
from trading_kit import a_book, a_world, an_account

from simulator.trading.contract import TradeError
from simulator.trading.position import Position, filled

START = Decimal(100_000)
BTC = {"category": "linear", "symbol": "BTCUSDT"}


def wallet(world, **query):
    return world.engine.wallet_balance(1, {"accountType": "UNIFIED", **query})["list"][0]


def at_one_price(world, price):
    world.markets.prices["BTCUSDT"] = Decimal(price)
    world.markets.books["BTCUSDT"] = a_book(((price, "1000"),), ((price, "1000"),))
    world.clock.advance(250)


def test_entry_price_is_the_mean_of_what_was_paid():
    world = a_world()
    at_one_price(world, "60000")
    world.filled(qty="0.1")
    at_one_price(world, "61000")
    world.filled(qty="0.3")
    held = world.engine.account_view(1).positions["BTCUSDT"]
    assert (held.qty, held.entry_price) == (Decimal("0.4"), Decimal(60750))


def test_a_sale_realises_profit_and_a_larger_one_turns_the_position():
    world = a_world()
    at_one_price(world, "60000")
    world.filled(qty="0.1")
    at_one_price(world, "61000")
    world.filled(side="Sell", qty="0.25")
    view = world.engine.account_view(1)
    assert view.realised == Decimal(100)
    assert (view.positions["BTCUSDT"].qty, view.positions["BTCUSDT"].entry_price) == (Decimal("-0.15"), 61000)
    fees = (Decimal(6000) + 15250) * Decimal("0.00055")
    assert (view.fees, world.balance()) == (fees, START + 100 - fees)
    at_one_price(world, "60000")
    assert world.engine.account_view(1).equity == world.balance() + 150


def test_what_rounding_leaves_out_of_one_close_comes_with_the_last():
    bought = filled(Position(), Decimal(3), Decimal("1.00000001"), at_ms=0, sequence=1).position
    bought = filled(bought, Decimal(4), Decimal("1.1"), at_ms=0, sequence=2).position
    moved, total = bought, Decimal(0)
    for _ in range(7):
        done = filled(moved, Decimal(-1), Decimal("1.2"), at_ms=0, sequence=3)
        assert done.realised == done.realised.quantize(Decimal("0.00000001"))
        moved, total = done.position, total + done.realised
    assert (moved.qty, moved.cost) == (0, 0)
    assert total == Decimal("8.4") - Decimal("7.40000003")


def test_a_spot_buy_pays_its_fee_in_what_it_buys_so_less_can_be_sold():
    world = a_world(an_account(coins={"USDT": "100000"}))
    at_one_price(world, "60000")
    world.filled(category="spot", marketUnit="baseCoin", qty="1")
    assert (world.balance("BTC"), world.balance()) == (Decimal("0.999"), Decimal(40000))
    assert world.refusal(category="spot", side="Sell", qty="1") == (170131, "Insufficient balance.")
    world.filled(category="spot", side="Sell", qty="0.999")
    assert (world.balance("BTC"), world.balance()) == (0, 40000 + Decimal(59940) * Decimal("0.999"))
    fees = [(each.fee, each.fee_coin) for each in world.engine.all_executions(1)]
    assert fees == [(Decimal("0.001"), "BTC"), (Decimal("59.94"), "USDT")]


def test_coins_of_open_spot_orders_are_held_back_until_they_end():
    world = a_world(an_account(coins={"USDT": "1000", "BTC": "1"}))
    link = world.limit(category="spot", price="50000", qty="0.02")
    assert world.refusal(category="spot", qty="10")[0] == 170131
    world.clock.advance(1)
    assert [(coin["coin"], coin["locked"]) for coin in wallet(world)["coin"]] == [("BTC", "0"), ("USDT", "1000")]
    world.engine.cancel_order(1, {"category": "spot", "symbol": "BTCUSDT", "orderLinkId": link})
    world.clock.advance(1)
    assert world.filled(category="spot", qty="10").status == "Filled"


def test_a_wallet_adds_up():
    world = a_world(an_account(coins={"USDT": "100000", "BTC": "0.5", "ETH": "0", "XYZ": "3"}))
    at_one_price(world, "60000")
    world.filled(qty="1")
    at_one_price(world, "60100.5")
    row = wallet(world)
    assert row["totalWalletBalance"] == "130017.25"  # less the fee of 33
    assert (row["totalPerpUPL"], row["totalEquity"]) == ("100.5", "130117.75")
    assert (row["totalMarginBalance"], row["totalInitialMargin"]) == ("100067.5", "6010.05")
    assert row["totalAvailableBalance"] == "94057.45"
    coins = {coin["coin"]: coin for coin in row["coin"]}
    assert list(coins) == ["BTC", "USDT", "XYZ"]
    assert (coins["BTC"]["usdValue"], coins["XYZ"]["usdValue"]) == ("30050.25", "0")
    assert (coins["USDT"]["equity"], coins["USDT"]["walletBalance"]) == ("100067.5", "99967")
    assert coins["USDT"]["cumRealisedPnl"] == "-33"


def test_a_wallet_tells_of_the_coins_asked_for_and_of_one_account_type():
    world = a_world(an_account(coins={"USDT": "1", "BTC": "1"}))
    assert [coin["coin"] for coin in wallet(world, coin="BTC,ETH")["coin"]] == ["BTC"]
    with pytest.raises(TradeError):
        world.engine.wallet_balance(1, {"accountType": "SPOT"})


def test_an_isolated_account_has_no_account_wide_margin_figures():
    world = a_world(an_account(margin_mode="ISOLATED_MARGIN"))
    assert world.engine.account_info(1, {})["marginMode"] == "ISOLATED_MARGIN"
    assert (wallet(world)["totalAvailableBalance"], wallet(world)["totalEquity"]) == ("", "100000")


def test_leverage_decides_how_much_can_be_bought():
    world = a_world(an_account(coins={"USDT": "10000"}))
    at_one_price(world, "60000")
    world.engine.set_leverage(1, {**BTC, "buyLeverage": "2", "sellLeverage": "2"})
    assert world.refusal(qty="0.5")[0] == 110007
    world.engine.set_leverage(1, {**BTC, "buyLeverage": "100", "sellLeverage": "100"})
    assert world.filled(qty="0.5").status == "Filled"
    assert world.engine.positions(1, BTC)[0]["leverage"] == "100"


def test_a_pre_check_says_the_margin_rates_and_does_nothing():
    world = a_world()
    order = {**BTC, "side": "Buy", "orderType": "Limit", "price": "50000", "qty": "1", "orderLinkId": "p"}
    assert world.engine.pre_check(1, order) == {
        "orderId": "",
        "orderLinkId": "p",
        "preImrE4": 0,
        "preMmrE4": 0,
        "postImrE4": 502,
        "postMmrE4": 0,
    }
    assert world.engine.all_orders(1) == []
    with pytest.raises(TradeError) as refused:
        world.engine.pre_check(1, {**order, "qty": "100"})
    assert (refused.value.code, refused.value.ext["postImrE4"]) == (110007, 50275)


def test_funding_moves_money_and_never_the_position():
    world = a_world(an_account(), an_account(2))
    at_one_price(world, "60000")
    world.filled(qty="1")
    world.filled(uid=2, side="Sell", qty="1")
    before = {uid: world.balance(uid=uid) for uid in (1, 2)}
    world.engine.fund("BTCUSDT", Decimal("0.0001"))
    assert {uid: world.balance(uid=uid) - before[uid] for uid in (1, 2)} == {1: -6, 2: 6}
    assert (world.position(), world.engine.account_view(1).funding) == (1, 6)
    world.clock.advance(1)
    row = world.engine.executions(1, {"category": "linear", "execType": "Funding"})[0]
    assert (row["orderType"], row["orderLinkId"], row["execFee"], row["execQty"]) == ("UNKNOWN", "", "6", "1")
    assert row["orderId"] not in {order.order_id for order in world.engine.all_orders(1)}


def test_a_liquidation_closes_by_an_order_without_link_id():
    world = a_world()
    world.filled(qty="0.5")
    world.engine.liquidate(1, "BTCUSDT")
    world.clock.advance(1)
    assert world.position() == 0
    order, execution = world.engine.all_orders(1)[-1], world.engine.all_executions(1)[-1]
    assert (order.order_link_id, order.status, order.side) == ("", "Filled", "Sell")
    assert (execution.exec_type, execution.qty, execution.order_link_id) == ("BustTrade", Decimal("0.5"), "")
    assert [push.topic for push in world.pushes[-4:]] == ["order", "execution", "position", "wallet"]
    with pytest.raises(ValueError, match="no position"):
        world.engine.liquidate(1, "BTCUSDT")


def test_accounts_can_be_opened_later_but_not_twice():
    world = a_world()
    world.engine.add_account(an_account(5))
    assert world.filled(uid=5).status == "Filled"
    with pytest.raises(ValueError, match="there already"):
        world.engine.add_account(an_account(5))
