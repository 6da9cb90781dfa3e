"""ccxt, a second client that nobody here wrote, against the simulator: only its ordinary options point it there."""

import itertools
from collections.abc import Iterator
from typing import Any

import ccxt
import pytest
from thread_server import Exchange, Login, exchange_in_a_thread, soon

from simulator.api.limits import LimitConfig

SWAP, SPOT = "BTC/USDT:USDT", "BTC/USDT"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with exchange_in_a_thread(limits=LimitConfig(address_requests=1_000_000)) as running:
        yield running


@pytest.fixture
def login(exchange: Exchange) -> Login:
    return exchange.login()


@pytest.fixture
def trader(exchange: Exchange, login: Login) -> Iterator[ccxt.bybit]:
    client = client_of(exchange, login.key, login.secret)
    with client.session:
        client.load_markets()
        yield client


def client_of(exchange: Exchange, key: str, secret: str) -> ccxt.bybit:
    names = ("spot", "futures", "v2", "public", "private")
    client = ccxt.bybit(
        {
            "apiKey": key,
            "secret": secret,
            "enableRateLimit": False,
            "urls": {"api": dict.fromkeys(names, exchange.http_url)},
        }
    )
    client.session.trust_env = False
    return client


def acknowledged(trader: ccxt.bybit, order_id: str, symbol: str = SWAP) -> Any:
    """ccxt wants it said that only the newest 500 orders can be looked up."""
    return trader.fetch_order(order_id, symbol, {"acknowledged": True})


def ended(trader: ccxt.bybit, order_id: str, symbol: str = SWAP) -> Any:
    """A market order, once ccxt can look it up and it is over."""
    return soon(lambda: found(trader, order_id, symbol, {"closed", "canceled"}))


def found(trader: ccxt.bybit, order_id: str, symbol: str, states: set[str]) -> Any:
    try:
        order = acknowledged(trader, order_id, symbol)
    except ccxt.OrderNotFound:
        return None
    return order if order["status"] in states else None


def test_markets_carry_the_filters_of_both_kinds(trader: ccxt.bybit) -> None:
    assert set(trader.markets) == {SWAP, SPOT, "ETH/USDT:USDT", "ETH/USDT"}
    swap, spot = trader.market(SWAP), trader.market(SPOT)
    assert (swap["swap"], swap["linear"], swap["settle"], swap["contractSize"]) == (True, True, "USDT", 1)
    assert (swap["precision"]["amount"], swap["precision"]["price"]) == (0.001, 0.1)
    assert (spot["spot"], spot["precision"]["amount"], spot["limits"]["cost"]["min"]) == (True, 0.000001, 5)


@pytest.mark.parametrize("symbol", [SWAP, SPOT])
def test_public_prices_are_read(trader: ccxt.bybit, symbol: str) -> None:
    ticker = trader.fetch_ticker(symbol)
    assert ticker["bid"] < ticker["ask"]
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    book = trader.fetch_order_book(symbol, 5)
    assert (len(book["bids"]), len(book["asks"])) == (5, 5)
    candles = trader.fetch_ohlcv(symbol, "1h", limit=3)
    assert [after[0] - before[0] for before, after in itertools.pairwise(candles)] == [3_600_000] * 2
    assert len(trader.fetch_trades(symbol, limit=4)) == 4
    assert abs(trader.fetch_time() - trader.milliseconds()) < 2_000


def test_a_market_order_of_a_swap_is_traded_and_seen(trader: ccxt.bybit) -> None:
    made = trader.create_order(SWAP, "market", "buy", 0.01, params={"clientOrderId": "m-1"})
    assert made["clientOrderId"] == "m-1"
    order = ended(trader, made["id"])
    assert (order["status"], order["type"], order["side"]) == ("closed", "market", "buy")
    assert (order["filled"], order["remaining"], order["clientOrderId"]) == (0.01, 0, "m-1")
    soon(lambda: [each["id"] for each in trader.fetch_closed_orders(SWAP)] == [made["id"]])
    # Each execution is told after a lag of its own.
    soon(lambda: sum(trade["amount"] for trade in trader.fetch_my_trades(SWAP)) == pytest.approx(0.01))
    trades = trader.fetch_my_trades(SWAP)
    assert {(trade["order"], trade["takerOrMaker"], trade["fee"]["currency"]) for trade in trades} == {
        (made["id"], "taker", "USDT")
    }
    assert trades == trader.fetch_order_trades(made["id"], SWAP)
    [position] = trader.fetch_positions([SWAP])
    assert (position["side"], position["contracts"], position["hedged"]) == ("long", 0.01, False)
    assert position["entryPrice"] == pytest.approx(order["average"], rel=1e-9)
    paid = sum(trade["fee"]["cost"] for trade in trades)
    assert trader.fetch_balance()["USDT"]["total"] == pytest.approx(100_000 - paid, abs=1e-6)
    trader.create_order(SWAP, "market", "sell", 0.01, params={"reduceOnly": True})
    soon(lambda: trader.fetch_position(SWAP)["contracts"] == 0)


def test_a_limit_order_of_a_swap_is_amended_and_cancelled(trader: ccxt.bybit) -> None:
    made = trader.create_order(SWAP, "limit", "buy", 0.001, 10_000, {"clientOrderId": "l-1"})
    [order] = soon(lambda: trader.fetch_open_orders(SWAP))
    assert (order["id"], order["clientOrderId"], order["price"], order["amount"], order["status"]) == (
        made["id"], "l-1", 10_000, 0.001, "open",
    )  # fmt: skip
    assert trader.fetch_open_order(made["id"], SWAP)["id"] == made["id"]
    trader.edit_order(made["id"], SWAP, "limit", "buy", 0.002, 11_000)
    soon(lambda: [(each["amount"], each["price"]) for each in trader.fetch_open_orders(SWAP)] == [(0.002, 11_000)])
    trader.cancel_order(made["id"], SWAP)
    assert ended(trader, made["id"])["status"] == "canceled"
    soon(lambda: [each["id"] for each in trader.fetch_canceled_orders(SWAP)] == [made["id"]])
    assert trader.fetch_open_orders(SWAP) == []
    with pytest.raises(ccxt.OrderNotFound):
        trader.cancel_order(made["id"], SWAP)
    with pytest.raises(ccxt.OrderNotFound):
        acknowledged(trader, "no-such-order")


def test_many_orders_are_made_at_once_and_cancelled_at_once(trader: ccxt.bybit) -> None:
    wanted = [
        {"symbol": SWAP, "type": "limit", "side": "buy", "amount": 0.001, "price": price} for price in (9_000, 9_100)
    ]
    made = [order["id"] for order in trader.create_orders(wanted)]
    soon(lambda: len(trader.fetch_open_orders(SWAP)) == 2)
    trader.cancel_orders(made[:1], SWAP)
    soon(lambda: [order["id"] for order in trader.fetch_open_orders(SWAP)] == made[1:])
    trader.cancel_all_orders(SWAP)
    soon(lambda: trader.fetch_open_orders(SWAP) == [])


def test_spot_is_bought_by_value_and_sold_by_quantity(trader: ccxt.bybit) -> None:
    made = trader.create_order(SPOT, "market", "buy", 1, params={"cost": 600})
    order = ended(trader, made["id"], SPOT)
    assert (order["symbol"], order["side"], order["fee"]["currency"]) == (SPOT, "buy", "BTC")
    assert order["cost"] == pytest.approx(600, abs=0.1)
    held = order["filled"] - order["fee"]["cost"]
    soon(lambda: trader.fetch_balance().get("BTC", {}).get("total") == pytest.approx(held))
    sold = trader.create_order(SPOT, "market", "sell", held)
    assert ended(trader, sold["id"], SPOT)["side"] == "sell"
    soon(lambda: {trade["order"] for trade in trader.fetch_my_trades(SPOT)} == {made["id"], sold["id"]})


def test_a_limit_order_of_spot_rests_and_is_cancelled(trader: ccxt.bybit) -> None:
    made = trader.create_order(SPOT, "limit", "buy", 0.001, 10_000, {"clientOrderId": "s-1"})
    [order] = soon(lambda: trader.fetch_open_orders(SPOT))
    assert (order["id"], order["clientOrderId"], order["symbol"]) == (made["id"], "s-1", SPOT)
    assert trader.fetch_balance()["USDT"]["total"] == 100_000
    trader.cancel_all_orders(SPOT)
    assert ended(trader, made["id"], SPOT)["status"] == "canceled"


def test_leverage_position_mode_and_fees_are_read_and_set(trader: ccxt.bybit) -> None:
    trader.set_leverage(5, SWAP)
    soon(lambda: trader.fetch_leverage(SWAP)["longLeverage"] == 5)
    with pytest.raises(ccxt.BadRequest, match="110043"):
        trader.set_leverage(5, SWAP)
    with pytest.raises(ccxt.NoChange):
        trader.set_position_mode(False, SWAP)
    fee = trader.fetch_trading_fee(SWAP)
    assert (fee["symbol"], fee["taker"], fee["maker"]) == (SWAP, 0.00055, 0.0002)
    assert trader.fetch_status()["status"] == "ok"


@pytest.mark.parametrize(
    ("error", "order"),
    [
        (ccxt.InsufficientFunds, (SWAP, "limit", "buy", 200, 60_000)),
        (ccxt.InsufficientFunds, (SPOT, "limit", "buy", 80, 60_000)),
        (ccxt.InvalidOrder, (SWAP, "limit", "buy", 0.001, 100)),
        (ccxt.InvalidOrder, (SWAP, "market", "sell", 0.001, None, {"reduceOnly": True})),
        (ccxt.BadRequest, (SWAP, "limit", "buy", 0.001, 10_000, {"clientOrderId": "x" * 37})),
    ],
)
def test_refusals_reach_the_error_that_ccxt_has_for_them(trader: ccxt.bybit, error: Any, order: Any) -> None:
    with pytest.raises(error):
        trader.create_order(*order)
    assert trader.fetch_open_orders(SWAP) == trader.fetch_open_orders(SPOT) == []


@pytest.mark.parametrize(("symbol", "code"), [(SWAP, "110072"), (SPOT, "170141")])
def test_a_name_that_is_taken_is_refused(trader: ccxt.bybit, symbol: str, code: str) -> None:
    trader.create_order(symbol, "limit", "buy", 0.001, 10_000, {"clientOrderId": "d-1"})
    with pytest.raises(ccxt.InvalidOrder, match=code):
        trader.create_order(symbol, "limit", "buy", 0.001, 10_000, {"clientOrderId": "d-1"})


def test_wrong_keys_and_rights_are_told_apart(exchange: Exchange, login: Login) -> None:
    reader = exchange.login(readOnly=True)
    cases = [
        ("NOKEY", login.secret, ccxt.AuthenticationError),
        (login.key, "wrong", ccxt.AuthenticationError),
        (reader.key, reader.secret, ccxt.PermissionDenied),
    ]
    for key, secret, error in cases:
        client = client_of(exchange, key, secret)
        with client.session, pytest.raises(error):
            client.create_order(SWAP, "market", "buy", 0.001)
    assert exchange.truth(login)["orders"] == []


def test_one_order_too_many_in_a_second_is_its_rate_limit(trader: ccxt.bybit) -> None:
    with pytest.raises(ccxt.RateLimitExceeded):
        for _ in range(12):
            trader.create_order(SWAP, "limit", "buy", 0.001, 10_000)


def test_a_clock_that_is_off_is_its_nonce_error(exchange: Exchange, trader: ccxt.bybit) -> None:
    exchange.control("clock", {"skewMs": 8_000})
    try:
        with pytest.raises(ccxt.InvalidNonce):
            trader.fetch_balance()
    finally:
        exchange.control("clock", {"skewMs": 0})
