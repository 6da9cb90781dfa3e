"""What an account is told, when, and for how long; what is pushed, and in which order."""

from decimal import Decimal

import pytest
from trading_kit import SETTLE_MS, START_MS, a_book, a_world, an_account

from simulator.trading.contract import Lags, TradeError

LINEAR = {"category": "linear"}
BTC = {**LINEAR, "symbol": "BTCUSDT"}
SPOT = {"category": "spot"}
DAY_MS = 86_400_000
RICH = {"USDT": "10000000", "BTC": "50"}


def links(rows):
    return [row["orderLinkId"] for row in rows]


def test_a_change_is_applied_seen_told_and_pushed_each_after_its_own_lag():
    world = a_world(lags=Lags(apply_ms=(10, 10), visible_ms=(20, 20), history_ms=(100, 100), push_ms=(5, 5)))
    engine, link = world.engine, world.create()
    query = {**BTC, "orderLinkId": link}
    seen = {}
    for _ in range(200):
        world.clock.advance(1)
        told = {
            "truth": bool(engine.all_executions(1)),
            "pushed": bool(world.pushes),
            "realtime": bool(engine.realtime_orders(1, query)),
            "position": engine.positions(1, BTC)[0]["size"] != "0",
            "wallet": engine.wallet_balance(1, {"accountType": "UNIFIED"})["list"][0]["totalWalletBalance"] != "100000",
            "history": bool(engine.order_history(1, query)),
            "executions": bool(engine.executions(1, query)),
        }
        seen.update({name: world.clock.ms - START_MS for name, there in told.items() if there and name not in seen})
    assert seen == {
        "truth": 10,
        "pushed": 15,
        "realtime": 30,
        "position": 30,
        "wallet": 30,
        "history": 110,
        "executions": 110,
    }


def test_what_was_seen_is_never_taken_back():
    world = a_world(lags=Lags(visible_ms=(0, 400)))
    link = world.limit(price="60001", qty="9")
    seen = []
    for _ in range(30):
        world.clock.advance(100)
        seen += [Decimal(row["cumExecQty"]) for row in world.engine.realtime_orders(1, {**BTC, "orderLinkId": link})]
    assert seen == sorted(seen)
    assert seen[-1] == world.order(link).filled_qty == 9


def test_realtime_tells_of_open_orders_or_of_ended_ones():
    world = a_world()
    done, first = world.filled().order_link_id, world.limit()
    world.clock.advance(10)
    second = world.limit()
    world.clock.advance(SETTLE_MS)
    realtime = world.engine.realtime_orders
    assert links(realtime(1, BTC)) == [second, first]
    assert links(realtime(1, {**LINEAR, "settleCoin": "USDT", "openOnly": "0"})) == [second, first]
    assert links(realtime(1, {**LINEAR, "baseCoin": "ETH"})) == []
    assert links(realtime(1, {**BTC, "openOnly": "1"})) == [done]
    assert links(realtime(1, {**LINEAR, "orderLinkId": done})) == [done]
    assert links(realtime(1, {**LINEAR, "orderId": world.order(first).order_id, "orderLinkId": done})) == [first]
    assert links(realtime(1, {"category": "spot", "orderLinkId": done})) == []
    with pytest.raises(TradeError):
        realtime(1, LINEAR)


def test_realtime_keeps_five_hundred_ended_orders_and_forgets_them_in_a_restart():
    world = a_world(an_account(coins={"USDT": "1000000"}))
    made = [world.filled(qty="0.001", side=side).order_link_id for side in ("Buy", "Sell") * 251]
    open_one = world.limit()
    world.clock.advance(SETTLE_MS)
    realtime = world.engine.realtime_orders
    assert len(realtime(1, {**BTC, "openOnly": "1"})) == 500
    assert [realtime(1, {**LINEAR, "orderLinkId": link}) != [] for link in made[:3]] == [False, False, True]
    world.engine.restart()
    assert realtime(1, {**BTC, "openOnly": "1"}) == []
    assert realtime(1, {**LINEAR, "orderLinkId": made[-1]}) == []
    assert links(realtime(1, BTC)) == [open_one]
    assert links(world.engine.order_history(1, {**LINEAR, "orderLinkId": made[-1]})) == [made[-1]]
    assert world.refusal(orderLinkId=made[0])[0] == 110072


def test_history_forgets_unfilled_orders_after_a_day_partly_filled_after_a_week_filled_after_years():
    world = a_world(an_account(coins=RICH))
    filled = world.filled().order_link_id
    partly = world.filled(qty="10").order_link_id
    unfilled = world.filled(orderType="Limit", price="59000", timeInForce="IOC").order_link_id

    def kept(days):
        world.clock.advance(START_MS + days * DAY_MS + SETTLE_MS * 4 - world.clock.ms)
        return [
            link
            for link in (filled, partly, unfilled)
            if world.engine.order_history(1, {**LINEAR, "orderLinkId": link})
        ]

    assert kept(0) == [filled, partly, unfilled]
    assert kept(1) == [filled, partly]
    assert kept(7) == [filled]
    assert kept(731) == []


def test_lists_reach_back_a_week_unless_they_are_told_times():
    world = a_world()
    old = world.filled().order_link_id
    world.clock.advance(8 * DAY_MS)
    new = world.filled().order_link_id
    for ask in (world.engine.order_history, world.engine.executions):
        assert links(ask(1, BTC)) == [new]
        assert links(ask(1, {**BTC, "startTime": str(START_MS)})) == [old]
        assert links(ask(1, {**BTC, "endTime": str(START_MS + 1000)})) == [old]
        now = str(world.clock.ms)
        assert links(ask(1, {**BTC, "startTime": str(world.clock.ms - 1000), "endTime": now})) == [new]
        for times in ({"startTime": str(START_MS), "endTime": now}, {"startTime": now, "endTime": "1"}):
            with pytest.raises(TradeError):
                ask(1, {**BTC, **times})
        with pytest.raises(TradeError):
            ask(1, {**BTC, "startTime": "yesterday"})


def test_history_narrows_by_status_and_category():
    world = a_world(an_account(coins=RICH))
    filled = world.filled().order_link_id
    cancelled = world.filled(qty="10").order_link_id
    spot = world.filled(category="spot", qty="10").order_link_id
    history = world.engine.order_history
    assert links(history(1, {**LINEAR, "orderStatus": "Cancelled"})) == [cancelled]
    assert links(history(1, LINEAR)) == [cancelled, filled]
    assert links(history(1, SPOT)) == [spot]
    assert history(1, {"category": "inverse"}) == []


def test_executions_narrow_by_order_id_then_link_id_then_symbol():
    world = a_world(an_account(coins=RICH))
    first, second = world.filled(qty="2"), world.filled(qty="0.5")
    ask = world.engine.executions
    assert [row["execQty"] for row in ask(1, BTC)] == ["0.5", "1", "1"]
    by_both = {**LINEAR, "orderId": first.order_id, "orderLinkId": second.order_link_id, "symbol": "ETHUSDT"}
    assert [row["execPrice"] for row in ask(1, by_both)] == ["60010", "60001"]
    assert [row["execQty"] for row in ask(1, {**LINEAR, "orderLinkId": second.order_link_id})] == ["0.5"]
    assert ask(1, {**LINEAR, "symbol": "ETHUSDT"}) == []
    assert ask(1, {**LINEAR, "baseCoin": "ETH"}) == []
    assert ask(1, {**LINEAR, "orderLinkId": "nobody"}) == []
    times = [int(row["execTime"]) for row in ask(1, LINEAR)]
    assert times == sorted(times, reverse=True)


def test_positions_of_a_symbol_are_told_even_when_flat_and_of_a_coin_only_when_not():
    world = a_world()
    positions = world.engine.positions
    flat = positions(1, BTC)[0]
    assert (flat["side"], flat["size"], flat["seq"]) == ("", "0", -1)
    assert positions(1, {**LINEAR, "settleCoin": "USDT"}) == []
    world.filled(side="Sell")
    short = positions(1, {**LINEAR, "settleCoin": "USDT"})[0]
    assert (short["side"], short["size"], short["avgPrice"]) == ("Sell", "0.1", "59999")
    assert positions(1, {**LINEAR, "settleCoin": "USDC"}) == []
    assert positions(1, {"category": "inverse"}) == []
    for query in (LINEAR, {**LINEAR, "symbol": "DOGEUSDT"}, SPOT):
        with pytest.raises(TradeError) as refused:
            positions(1, query)
        assert refused.value.code == 10001


def test_fee_rates_are_those_of_the_account():
    world = a_world(an_account(taker_rate=Decimal("0.001")))
    assert world.engine.fee_rates(1, BTC) == [
        {"symbol": "BTCUSDT", "baseCoin": "", "takerFeeRate": "0.001", "makerFeeRate": "0.0002"}
    ]
    assert world.engine.fee_rates(1, SPOT)[0]["takerFeeRate"] == "0.001"
    assert world.engine.fee_rates(1, {"category": "option"}) == []


ORDER_TEXTS = """
    orderId orderLinkId blockTradeId symbol price qty side isLeverage orderStatus createType cancelType
    rejectReason avgPrice leavesQty leavesValue cumExecQty cumExecValue cumExecFee timeInForce orderType
    stopOrderType orderIv marketUnit slippageToleranceType slippageTolerance triggerPrice takeProfit stopLoss
    tpslMode ocoTriggerBy tpLimitPrice slLimitPrice tpTriggerBy slTriggerBy triggerBy placeType
    lastPriceOnCreated smpType smpOrderId createdTime updatedTime extraFees
"""
EXECUTION_TEXTS = """
    symbol orderId orderLinkId side orderPrice orderQty leavesQty createType orderType stopOrderType execFee
    execId execPrice execQty execType execValue execTime feeCurrency feeRate tradeIv markIv markPrice indexPrice
    underlyingPrice blockTradeId closedSize extraFees
"""
POSITION_TEXTS = """
    riskLimitValue symbol side size avgPrice breakEvenPrice positionValue positionBalance leverage markPrice
    liqPrice bustPrice positionIM positionIMByMp positionMM positionMMByMp takeProfit stopLoss trailingStop
    tpslMode sessionAvgPrice unrealisedPnl curRealisedPnl cumRealisedPnl positionStatus mmrSysUpdatedTime
    leverageSysUpdatedTime openTime createdTime updatedTime
"""


def shape(row):
    """The names of a row's fields by the JSON type of their values."""
    types = {}
    for name, value in row.items():
        types.setdefault(type(value).__name__, set()).add(name)
    return types


def test_rows_have_bybits_fields_and_types():
    world = a_world()
    world.filled()
    assert shape(world.engine.realtime_orders(1, {**BTC, "openOnly": "1"})[0]) == {
        "str": set(ORDER_TEXTS.split()),
        "int": {"positionIdx", "triggerDirection", "smpGroup"},
        "bool": {"reduceOnly", "closeOnTrigger"},
        "dict": {"cumFeeDetail"},
    }
    assert shape(world.engine.executions(1, LINEAR)[0]) == {
        "str": set(EXECUTION_TEXTS.split()),
        "int": {"seq"},
        "bool": {"isMaker"},
    }
    assert shape(world.engine.positions(1, BTC)[0]) == {
        "str": set(POSITION_TEXTS.split()),
        "int": {"positionIdx", "riskId", "tradeMode", "autoAddMargin", "adlRankIndicator", "seq"},
        "bool": {"isReduceOnly"},
    }


def test_an_order_row_says_what_became_of_the_order():
    world = a_world(an_account(coins=RICH))
    link = world.filled(qty="10").order_link_id
    row = world.engine.order_history(1, {**LINEAR, "orderLinkId": link})[0]
    told = {name: row[name] for name in ("orderStatus", "qty", "cumExecQty", "leavesQty", "price", "timeInForce")}
    assert told == {
        "orderStatus": "Cancelled",
        "qty": "10",
        "cumExecQty": "8",
        "leavesQty": "0",
        "price": "60600",
        "timeInForce": "IOC",
    }
    value = 60001 + 2 * 60010 + 5 * 60500
    assert (row["cumExecValue"], row["avgPrice"]) == (str(value), format(Decimal(value) / 8, "f"))
    assert row["cumFeeDetail"] == {"USDT": row["cumExecFee"]} == {"USDT": "265.38655"}


def test_a_change_is_pushed_as_order_executions_position_wallet():
    world = a_world(an_account(coins=RICH))
    link = world.filled(qty="2").order_link_id
    assert [push.topic for push in world.pushes] == ["order", "execution", "position", "wallet"]
    assert [push.category for push in world.pushes] == ["linear", "linear", "linear", ""]
    order, executions, position, wallet = (push.rows for push in world.pushes)
    assert (order[0]["orderLinkId"], order[0]["orderStatus"], order[0]["category"]) == (link, "Filled", "linear")
    assert [row["leavesQty"] for row in executions] == ["1", "0"]
    assert (position[0]["entryPrice"], position[0]["size"]) == ("60005.5", "2")
    assert "avgPrice" not in position[0]
    assert wallet[0]["accountType"] == "UNIFIED"


def test_an_order_that_fills_nothing_pushes_order_and_position_alone():
    world = a_world()
    world.markets.books["BTCUSDT"] = a_book((), ())
    world.filled()
    assert [push.topic for push in world.pushes] == ["order", "position"]


def test_pushes_of_an_account_keep_their_order_whatever_the_lag():
    world = a_world(an_account(coins=RICH), lags=Lags(push_ms=(0, 200)))
    for _ in range(40):
        world.create(qty="0.001")
        world.clock.advance(20)
    world.clock.advance(1000)
    sequences = [row["seq"] for push in world.pushes if push.topic == "execution" for row in push.rows]
    assert sequences == sorted(sequences)
    assert len(sequences) == len(world.engine.all_executions(1)) == 40


def test_lags_can_be_changed_while_it_runs():
    world = a_world()
    world.engine.lags = Lags(apply_ms=(1000, 1000))
    link = world.create()
    world.clock.advance(999)
    assert world.order(link).status == ""
    world.clock.advance(1)
    assert (world.order(link).status, world.engine.lags.apply_ms) == ("Filled", (1000, 1000))
