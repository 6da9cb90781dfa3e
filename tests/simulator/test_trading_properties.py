"""Whatever orders come: the sums are exact, the depth is real, the truth agrees with itself."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from trading_kit import HandClock, a_book, a_world, an_account

from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.process import SLOT_MS
from simulator.trading.contract import Lags, TradeError
from simulator.trading.engine import Engine
from simulator.trading.markets import SimulatedMarkets

COINS = {"USDT": "100000", "BTC": "2"}
STEP = Decimal("0.00000001")
STATUSES = {"New", "PartiallyFilled", "Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected"}
LAGS = Lags(apply_ms=(0, 30), visible_ms=(0, 30), history_ms=(0, 30), push_ms=(0, 30))

QTYS = st.sampled_from(["0.001", "0.013", "0.25", "1", "2.5", "9"])
SIDES = st.sampled_from(["Buy", "Sell"])
PRICES = st.sampled_from(["59300", "59990", "59999.9", "60000.1", "60010", "60700"])
FORCES = st.sampled_from(["GTC", "IOC", "FOK", "PostOnly"])
LINEAR = st.fixed_dictionaries({"side": SIDES, "qty": QTYS}, optional={"reduceOnly": st.booleans()})
LIMITS = st.fixed_dictionaries(
    {"side": SIDES, "qty": QTYS, "price": PRICES, "timeInForce": FORCES, "orderType": st.just("Limit")},
    optional={"reduceOnly": st.booleans(), "category": st.sampled_from(["linear", "spot"])},
)
SPOT = st.fixed_dictionaries(
    {
        "category": st.just("spot"),
        "side": SIDES,
        "qty": QTYS,
        "marketUnit": st.sampled_from(["baseCoin", "quoteCoin"]),
    }
)
ORDERS = st.one_of(LINEAR, LIMITS, SPOT).map(lambda order: ("order", order))
WAITS = st.integers(0, 300).map(lambda span: ("wait", span))
MOVES = st.integers(-12, 12).map(lambda move: ("move", move))
CANCELS = st.integers(0, 30).map(lambda place: ("cancel", place))
STEPS = st.lists(st.one_of(ORDERS, ORDERS, WAITS, MOVES, CANCELS, st.just(("fund", None))), max_size=25)


def moved_book(move):
    """A book around a price that moves by seven dollars a step."""
    mid = Decimal(60000) + 7 * move
    bids = [(str(mid - 1 - 10 * place), str(Decimal("0.5") + place)) for place in range(5)]
    asks = [(str(mid + 1 + 10 * place), str(Decimal("0.7") + place)) for place in range(5)]
    return mid, a_book(bids, asks)


def do(world, step):
    name, value = step
    if name == "order":
        world.send(**value)
    elif name == "wait":
        world.clock.advance(value)
    elif name == "move":
        world.markets.prices["BTCUSDT"], world.markets.books["BTCUSDT"] = moved_book(value)
    elif name == "cancel":
        orders = world.engine.all_orders(1)
        chosen = orders[value % len(orders)] if orders else None
        if chosen:
            named = {"category": chosen.category, "symbol": chosen.symbol, "orderId": chosen.order_id}
            world.engine.cancel_order(1, named)
    else:
        world.engine.fund("BTCUSDT", Decimal("0.000123"))


def played(steps):
    world = a_world(an_account(coins=COINS), lags=LAGS)
    world.markets.prices["BTCUSDT"], world.markets.books["BTCUSDT"] = moved_book(0)
    for step in steps:
        try:
            do(world, step)
        except TradeError as refusal:
            assert refusal.code in {110007, 110017, 170131, 170140, 170124, 110001, 170213}  # noqa: PT017 - which ones
    world.clock.advance(300)
    world.markets.books["BTCUSDT"] = a_book((), ())  # no further fill, so that all lags can end
    world.clock.advance(300)
    return world


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_every_coin_is_the_start_plus_what_executions_moved_to_the_last_digit(steps):
    world = played(steps)
    view, executions = world.engine.account_view(1), world.engine.all_executions(1)
    coins = {coin: Decimal(amount) for coin, amount in COINS.items()}
    for each in executions:
        coins[each.fee_coin] -= each.fee
        coins["USDT"] += each.realised
        if each.category == "spot":
            sign = 1 if each.side == "Buy" else -1
            coins["BTC"] += sign * each.qty
            coins["USDT"] -= sign * each.qty * each.price
    assert {coin: amount for coin, amount in coins.items() if amount} == view.balances
    linear = [each for each in executions if each.category == "linear"]
    assert view.realised == sum(each.realised for each in linear)
    assert view.fees == sum(each.fee for each in linear if each.exec_type == "Trade")
    assert view.funding == sum(each.fee for each in linear if each.exec_type == "Funding")
    assert all(amount == amount.quantize(STEP) for amount in view.balances.values())
    assert all(amount >= 0 for coin, amount in view.balances.items() if coin != "USDT")


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_a_position_is_the_sum_of_its_executions_and_equity_is_what_cash_flows_leave(steps):
    world = played(steps)
    view = world.engine.account_view(1)
    trades = [each for each in world.engine.all_executions(1) if (each.category, each.exec_type) == ("linear", "Trade")]
    signed = [(each.qty if each.side == "Buy" else -each.qty, each.price) for each in trades]
    held = view.positions.get("BTCUSDT")
    assert (held.qty if held else 0) == sum(qty for qty, _ in signed)
    paid = sum(qty * price for qty, price in signed)
    assert view.realised - (held.cost if held else 0) == -paid
    for row in world.engine.positions(1, {"category": "linear", "settleCoin": "USDT"}):
        assert Decimal(row["size"]) == abs(held.qty)
        assert row["side"] == ("Buy" if held.qty > 0 else "Sell")


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_orders_are_filled_by_their_executions_within_their_limits(steps):
    world = played(steps)
    executions = defaultdict(list)
    for each in world.engine.all_executions(1):
        executions[each.order_id].append(each)
    for order in world.engine.all_orders(1):
        made = executions[order.order_id]
        assert order.filled_qty == sum(each.qty for each in made)
        assert order.filled_value == sum(each.qty * each.price for each in made)
        assert (order.filled_value if order.quote_qty else order.filled_qty) <= order.qty
        sign = 1 if order.side == "Buy" else -1
        assert all(sign * each.price <= sign * order.price for each in made)
        assert order.status in STATUSES
        if order.status == "Filled" and not order.quote_qty:
            assert order.filled_qty == order.qty
    told = world.engine.executions(1, {"category": "linear"}) + world.engine.executions(1, {"category": "spot"})
    assert len({row["execId"] for row in told}) == len(told) == len(world.engine.all_executions(1))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 3), SIDES, st.sampled_from(["0.4", "3", "40"]), st.integers(0, 90)),
        min_size=1,
        max_size=25,
    )
)
def test_never_more_is_filled_in_a_slot_than_the_book_held(orders):
    clock = HandClock()
    exchange = Exchange(seed=7, symbols=["BTCUSDT"], clock=MarketClock(wall=clock.now_ms))
    pushes = []
    accounts = [an_account(uid, coins={"USDT": "1000000000"}) for uid in (1, 2, 3)]
    engine = Engine(markets=SimulatedMarkets(exchange), scheduler=clock, accounts=accounts, publish=pushes.append)
    for uid, side, qty, wait in orders:
        order = {"category": "linear", "symbol": "BTCUSDT", "side": side, "orderType": "Market", "qty": qty}
        engine.create_order(uid, order)
        clock.advance(wait)
    clock.advance(1000)
    taken = defaultdict(Decimal)
    for uid in (1, 2, 3):
        for each in engine.all_executions(uid):
            taken[each.at_ms // SLOT_MS, each.side, each.price] += each.qty
    assert taken
    for (slot, side, price), qty in taken.items():
        book = exchange.markets["BTCUSDT"].book(slot * SLOT_MS, 500)
        levels = (book.asks if side == "Buy" else book.bids).levels
        assert qty <= {Decimal(level): Decimal(held) for level, held in levels.items()}[price]


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_the_same_calls_give_the_same_run(steps):
    first, second = played(steps), played(steps)
    assert first.engine.all_executions(1) == second.engine.all_executions(1)
    assert first.engine.all_orders(1) == second.engine.all_orders(1)
    assert first.pushes == second.pushes
