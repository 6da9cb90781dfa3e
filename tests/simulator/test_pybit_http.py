"""pybit's own HTTP class as a client of the simulator over a socket, without special cases but the address."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP
from simulated_exchange import LINEAR, order, resting
from thread_server import Exchange, Login, exchange_in_a_thread, soon

from simulator.api.limits import LimitConfig

SPOT = {"category": "spot", "symbol": "BTCUSDT"}
WALLET = {"accountType": "UNIFIED"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    with exchange_in_a_thread(limits=LimitConfig(address_requests=1_000_000)) as running:
        yield running


@pytest.fixture
def login(exchange: Exchange) -> Login:
    return exchange.login()


@pytest.fixture
def pybit(exchange: Exchange, login: Login) -> Iterator[HTTP]:
    client = client_of(exchange, login.key, login.secret)
    with client.client:
        yield client


def client_of(exchange: Exchange, key: str, secret: str, **options: Any) -> HTTP:
    """Built so that every retCode comes through and nothing is sent twice."""
    usual = {"timeout": (3, 8), "force_retry": False, "max_retries": 1, "retry_codes": {-999}}
    client = HTTP(api_key=key, api_secret=secret, **(usual | options))
    client.endpoint = exchange.http_url
    client.client.trust_env = False
    client.client.max_redirects = 0
    return client


def rows(answer: Any) -> list[dict[str, Any]]:
    return answer["result"]["list"]


def code_of(act: Any, **fields: Any) -> int:
    with pytest.raises(InvalidRequestError) as refused:
        act(**fields)
    return refused.value.status_code


def ended(pybit: HTTP, link_id: str, **which: str) -> dict[str, Any]:
    """The row of order/history, once it is there."""
    [row] = soon(lambda: rows(pybit.get_order_history(**(which or LINEAR), orderLinkId=link_id)))
    return row


def test_a_market_order_is_seen_in_every_list_and_in_the_wallet(exchange: Exchange, login: Login, pybit: HTTP) -> None:
    ack = pybit.place_order(**order("m-1", qty="0.01"))["result"]
    assert ack == {"orderId": ack["orderId"], "orderLinkId": "m-1"}
    [live] = soon(lambda: rows(pybit.get_open_orders(**LINEAR, orderLinkId="m-1")))
    row = ended(pybit, "m-1")
    assert row["orderId"] == live["orderId"] == ack["orderId"]
    assert (row["orderStatus"], row["cumExecQty"], row["leavesQty"]) == ("Filled", "0.01", "0")

    def executed() -> list[dict[str, Any]]:
        return rows(pybit.get_executions(**LINEAR, orderId=ack["orderId"]))

    # Each execution is told after a lag of its own.
    soon(lambda: sum(Decimal(each["execQty"]) for each in executed()) == Decimal("0.01"))
    executions = executed()
    fees = sum(Decimal(each["execFee"]) for each in executions)
    [position] = rows(pybit.get_positions(**LINEAR))
    assert (position["side"], position["size"], position["positionIdx"]) == ("Buy", "0.01", 0)
    [wallet] = rows(pybit.get_wallet_balance(**WALLET, coin="USDT"))
    [coin] = wallet["coin"]
    assert Decimal(coin["walletBalance"]) == 100_000 - fees
    held = exchange.truth(login)["account"]
    assert Decimal(held["balances"]["USDT"]) == Decimal(coin["walletBalance"])


def test_an_order_that_rests_is_seen_amended_and_cancelled(pybit: HTTP) -> None:
    order_id = pybit.place_order(**resting("r-1"))["result"]["orderId"]
    [row] = soon(lambda: rows(pybit.get_open_orders(**LINEAR)))
    assert (row["orderLinkId"], row["orderStatus"], row["price"]) == ("r-1", "New", "10000")
    amended = pybit.amend_order(**LINEAR, orderId=order_id, qty="0.002", price="11000.0")["result"]
    assert amended == {"orderId": order_id, "orderLinkId": "r-1"}
    soon(lambda: [each["qty"] for each in rows(pybit.get_open_orders(**LINEAR))] == ["0.002"])
    assert pybit.cancel_order(**LINEAR, orderLinkId="r-1")["result"]["orderId"] == order_id
    row = ended(pybit, "r-1")
    assert (row["orderStatus"], row["cancelType"], row["cumExecQty"]) == ("Cancelled", "CancelByUser", "0")
    assert rows(pybit.get_open_orders(**LINEAR)) == []
    assert code_of(pybit.cancel_order, **LINEAR, orderLinkId="r-1") == 110001
    assert code_of(pybit.amend_order, **LINEAR, orderLinkId="r-1", qty="0.003") == 110001


def test_cancel_all_ends_the_open_orders_of_one_symbol(pybit: HTTP) -> None:
    for number in range(3):
        pybit.place_order(**resting(f"a-{number}"))
    pybit.place_order(**resting("eth", price="1000.0", symbol="ETHUSDT", qty="0.01"))
    soon(lambda: len(rows(pybit.get_open_orders(category="linear", settleCoin="USDT"))) == 4)
    answer = pybit.cancel_all_orders(**LINEAR)["result"]
    assert (len(answer["list"]), answer["success"]) == (3, "1")
    soon(lambda: rows(pybit.get_open_orders(**LINEAR)) == [])
    assert [row["orderLinkId"] for row in rows(pybit.get_open_orders(category="linear", settleCoin="USDT"))] == ["eth"]


def test_a_batch_is_placed_amended_and_cancelled_row_by_row(pybit: HTTP) -> None:
    def which(*names: str, **fields: str) -> list[dict[str, str]]:
        return [{"symbol": "BTCUSDT", "orderLinkId": name, **fields} for name in names]

    placed = pybit.place_batch_order(category="linear", request=[resting("b-0"), resting("b-1"), resting("b-0")])
    assert [each["code"] for each in placed["retExtInfo"]["list"]] == [0, 0, 110072]
    soon(lambda: len(rows(pybit.get_open_orders(**LINEAR))) == 2)
    amended = pybit.amend_batch_order(category="linear", request=which("b-0", "none", qty="0.002"))
    assert [each["code"] for each in amended["retExtInfo"]["list"]] == [0, 110001]
    soon(lambda: {row["qty"] for row in rows(pybit.get_open_orders(**LINEAR))} == {"0.001", "0.002"})
    cancelled = pybit.cancel_batch_order(category="linear", request=which("b-0", "b-1", "none"))
    assert [each["code"] for each in cancelled["retExtInfo"]["list"]] == [0, 0, 110001]
    assert [bool(row["orderId"]) for row in rows(cancelled)] == [True, True, False]
    soon(lambda: rows(pybit.get_open_orders(**LINEAR)) == [])


def test_leverage_is_set_once_and_a_flat_position_tells_it(pybit: HTTP) -> None:
    pybit.set_leverage(**LINEAR, buyLeverage="5", sellLeverage="5")
    assert code_of(pybit.set_leverage, **LINEAR, buyLeverage="5", sellLeverage="5") == 110043
    [position] = soon(lambda: rows(pybit.get_positions(**LINEAR)))
    assert (position["size"], position["side"], position["leverage"]) == ("0", "", "5")


def test_more_orders_than_a_page_are_walked_without_gap_or_repetition() -> None:
    with exchange_in_a_thread(limits=LimitConfig(enabled=False)) as exchange:
        login = exchange.login()
        pybit = client_of(exchange, login.key, login.secret)
        with pybit.client:
            wanted = [f"p-{number}" for number in range(107)]
            for link_id in wanted:
                pybit.place_order(**resting(link_id))
            soon(lambda: len(walked(pybit.get_open_orders)[1]) == len(wanted))
            live = walked(pybit.get_open_orders)
            pybit.cancel_all_orders(**LINEAR)
            soon(lambda: len(walked(pybit.get_order_history)[1]) == len(wanted))
            gone = walked(pybit.get_order_history)
    # Orders of one millisecond stand in any order.
    assert [(sizes, sorted(seen)) for sizes, seen in (live, gone)] == [([50, 50, 7], sorted(wanted))] * 2


def walked(listing: Any) -> tuple[list[int], list[str]]:
    """How many rows each page had, and whose they were."""
    sizes: list[int] = []
    seen: list[str] = []
    cursor = None
    while cursor != "":
        result = listing(**LINEAR, limit=50, cursor=cursor)["result"]
        sizes.append(len(result["list"]))
        seen += [row["orderLinkId"] for row in result["list"]]
        cursor = result["nextPageCursor"]
    return sizes, seen


def test_spot_buys_by_value_pay_their_fee_in_the_coin_and_sells_are_limited_by_it(pybit: HTTP) -> None:
    buy = {**SPOT, "side": "Buy", "orderType": "Market", "qty": "600", "marketUnit": "quoteCoin"}
    ack = pybit.place_order(**buy, orderLinkId="s-1")["result"]
    assert ack["orderId"].isdigit()
    row = ended(pybit, "s-1", **SPOT)
    assert row["orderStatus"] in {"Filled", "PartiallyFilledCanceled"}
    bought, fee = Decimal(row["cumExecQty"]), Decimal(row["cumFeeDetail"]["BTC"])

    def balance() -> Decimal:
        [coin] = [each for each in rows(pybit.get_wallet_balance(**WALLET))[0]["coin"] if each["coin"] == "BTC"] or [{}]
        return Decimal(coin.get("walletBalance", 0))

    soon(lambda: balance() == bought - fee)
    sell = {**SPOT, "side": "Sell", "orderType": "Market", "marketUnit": "baseCoin"}
    assert code_of(pybit.place_order, **sell, qty=row["cumExecQty"]) == 170131
    pybit.place_order(**sell, qty=format(balance().quantize(Decimal("0.000001"), "ROUND_DOWN"), "f"), orderLinkId="s-2")
    assert ended(pybit, "s-2", **SPOT)["side"] == "Sell"
    assert code_of(pybit.place_order, **buy, orderLinkId="s-1") == 170141


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"orderLinkId": "x" * 37}, 10001),
        ({"orderLinkId": "a b"}, 10001),
        ({"qty": "0.0004"}, 110017),
        ({"qty": "200", "price": "60000"}, 110007),
        ({"price": "100.0"}, 110094),
        ({"positionIdx": 1}, 10001),
        ({"side": "Sell", "reduceOnly": True}, 110017),
        ({"symbol": "DOGEUSDT"}, 10001),
        ({"side": "buy"}, 10001),
    ],
)
def test_what_bybit_refuses_is_refused_with_its_code(pybit: HTTP, fields: dict[str, Any], code: int) -> None:
    assert code_of(pybit.place_order, **{**resting("x-1"), **fields}) == code
    assert rows(pybit.get_open_orders(**LINEAR)) == []


def test_a_name_is_taken_for_ever(pybit: HTTP) -> None:
    pybit.place_order(**order("d-1"))
    ended(pybit, "d-1")
    assert code_of(pybit.place_order, **order("d-1", side="Sell")) == 110072


def test_a_post_only_order_that_would_take_is_accepted_and_then_ended(pybit: HTTP) -> None:
    pybit.place_order(**order("po", orderType="Limit", price="90000.0", qty="0.001", timeInForce="PostOnly"))
    row = ended(pybit, "po")
    assert (row["orderStatus"], row["rejectReason"]) == ("Cancelled", "EC_PostOnlyWillTakeLiquidity")


def test_wrong_keys_are_told_apart(exchange: Exchange, login: Login) -> None:
    reader = exchange.login(readOnly=True)
    elsewhere = exchange.login(ips=["10.0.0.1"])
    testnet = exchange.login(env="testnet")
    cases = [
        ("NOKEY", login.secret, 10003),
        (testnet.key, testnet.secret, 10003),
        (login.key, "wrong", 10004),
        (elsewhere.key, elsewhere.secret, 10010),
        (reader.key, reader.secret, 10005),
    ]
    for key, secret, code in cases:
        client = client_of(exchange, key, secret)
        with client.client:
            assert code_of(client.place_order, **order("k-1")) == code
    assert exchange.truth(login)["orders"] == []


def test_a_clock_that_is_off_is_refused_in_bybits_words(exchange: Exchange, pybit: HTTP) -> None:
    exchange.control("clock", {"skewMs": 8_000})
    try:
        with pytest.raises(InvalidRequestError) as refused:
            pybit.get_account_info()
    finally:
        exchange.control("clock", {"skewMs": 0})
    assert refused.value.status_code == 10002
    assert "req_timestamp[" in str(refused.value)
    assert "recv_window[5000]" in str(refused.value)


def test_the_one_order_too_many_in_a_second_is_10006_with_the_time_to_come_back(pybit: HTTP) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        for number in range(12):
            pybit.place_order(**resting(f"q-{number}"))
    headers = refused.value.resp_headers
    assert refused.value.status_code == 10006
    assert (headers["X-Bapi-Limit"], headers["X-Bapi-Limit-Status"]) == ("10", "0")
    assert int(headers["X-Bapi-Limit-Reset-Timestamp"]) > 1_000_000_000_000


def test_what_a_start_asks_is_answered(login: Login, pybit: HTTP) -> None:
    assert abs(int(pybit.get_server_time()["result"]["timeNano"]) // 10**6 - pybit.get_server_time()["time"]) < 2_000
    info = pybit.get_api_key_information()["result"]
    assert (info["apiKey"], info["readOnly"], info["userID"], info["secret"]) == (login.key, 0, login.uid, "")
    assert pybit.get_account_info()["result"]["marginMode"] == "REGULAR_MARGIN"
    assert rows(pybit.get_fee_rates(**LINEAR)) == [
        {"symbol": "BTCUSDT", "baseCoin": "", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}
    ]
    assert pybit.get_fee_rates(**SPOT)["result"]["category"] == "spot"
    assert rows(pybit.get_instruments_info(**LINEAR))[0]["lotSizeFilter"]["qtyStep"] == "0.001"
    assert len(rows(pybit.get_kline(**LINEAR, interval=60, limit=5))) == 5
    assert len(pybit.get_orderbook(**LINEAR, limit=5)["result"]["b"]) == 5
    assert rows(pybit.get_tickers(**LINEAR))[0]["symbol"] == "BTCUSDT"
    assert len(rows(pybit.get_public_trade_history(**LINEAR, limit=5))) == 5
    assert Decimal(pybit.get_price_limit(**LINEAR)["result"]["buyLmt"]) > 0
    assert pybit.get_system_status()["result"] == {"list": []}
    assert {"preImrE4", "postImrE4"} <= set(pybit.pre_check_order(**resting("pc"))["result"])
    assert code_of(pybit.switch_position_mode, category="linear", coin="USDT", mode=0) == 110025
    assert rows(pybit.get_open_orders(**LINEAR)) == []


def test_pybit_as_it_comes_out_of_the_box_trades_too(exchange: Exchange, login: Login) -> None:
    client = HTTP(api_key=login.key, api_secret=login.secret)
    client.endpoint = exchange.http_url
    client.client.trust_env = False
    with client.client:
        assert client.place_order(**order("box"))["retCode"] == 0
        assert ended(client, "box")["orderStatus"] == "Filled"
