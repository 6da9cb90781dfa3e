"""pybit's own WebSocket classes as clients of the simulator, without special cases but the address."""

import asyncio
import queue
import time
from decimal import Decimal
from typing import Any

import pytest
from pybit import unified_trading
from server_kit import Server, server, until
from stream_kit import ORDER, OWN

__all__ = ["server"]


class PybitStream(unified_trading.WebSocket):
    """pybit's stream client, pointed at the simulator."""

    def __init__(self, url: str, channel: str, **options: Any) -> None:
        self.url = url
        super().__init__(channel_type=channel, **options)

    def _connect(self, url: str) -> None:
        super()._connect(self.url)


class PybitOrders(unified_trading.WebSocketTrading):
    """pybit's order-entry client, pointed at the simulator."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        super().__init__(**options)

    def _connect(self, url: str) -> None:
        super()._connect(self.url)


def leave(client: Any) -> None:
    """Close a client of pybit and wait for its thread."""
    client.exit()
    client.wst.join(timeout=5)
    assert not client.wst.is_alive()


QUICK = {"testnet": False, "restart_on_error": False, "ping_interval": 60, "ping_timeout": 0.3}
"""The thread of a closed client ends after ping_timeout; no ping is sent, whose answer a busy machine may delay."""
KEY = QUICK | {"api_key": OWN.key, "api_secret": OWN.secret, "private_auth_expire": 5}


async def test_pybit_hears_of_an_order_on_the_private_stream(server: Server) -> None:
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> PybitStream:
        client = PybitStream(server.url("/v5/private"), "private", **KEY)
        for subscribe in (client.order_stream, client.execution_stream, client.position_stream, client.wallet_stream):
            subscribe(heard.put)
        return client

    client = await asyncio.to_thread(listen)
    try:
        await until(lambda: len(client.subscriptions) == 4 and client.auth)
        await asyncio.sleep(0.1)  # the last acknowledgement is behind its request
        server.order(orderLinkId="p-1")
        frames = [await asyncio.to_thread(heard.get, timeout=3) for _ in range(4)]
    finally:
        await asyncio.to_thread(leave, client)
    assert {frame["topic"] for frame in frames} == {"order", "execution", "position", "wallet"}
    assert next(frame for frame in frames if frame["topic"] == "order")["data"][0]["orderLinkId"] == "p-1"


async def test_pybit_trades_over_the_order_entry_stream(server: Server) -> None:
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    client = await asyncio.to_thread(PybitOrders, server.url("/v5/trade"), **KEY)
    try:
        low = ORDER | {"orderType": "Limit", "price": "10000", "orderLinkId": "p-2"}
        which = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "p-2"}

        def trade() -> list[dict[str, Any]]:
            got = []
            for act, order in ((client.place_order, low), (client.cancel_order, which), (client.cancel_order, which)):
                act(answers.put, error_callback=answers.put, **order)
                got.append(answers.get(timeout=3))
            return got

        placed, cancelled, late = await asyncio.to_thread(trade)
    finally:
        await asyncio.to_thread(leave, client)
    assert (placed["retCode"], placed["data"]["orderLinkId"]) == (0, "p-2")
    assert cancelled["retCode"] == 0
    assert late["retCode"] in (0, 110001)
    await until(lambda: [order.status for order in server.serving.local.engine.all_orders(1)] == ["Cancelled"])


@pytest.mark.parametrize("channel", ["linear", "spot"])
async def test_pybit_reads_the_public_streams(server: Server, channel: str) -> None:
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    def listen() -> PybitStream:
        client = PybitStream(server.url(f"/v5/public/{channel}"), channel, **QUICK)
        client.ticker_stream("BTCUSDT", heard.put)
        client.orderbook_stream(50, "BTCUSDT", heard.put)
        client.trade_stream("BTCUSDT", heard.put)
        client.kline_stream(1, "BTCUSDT", heard.put)
        return client

    client = await asyncio.to_thread(listen)
    topics: set[str] = set()
    try:
        async with asyncio.timeout(5):
            while len(topics) < 4:
                topics.add((await asyncio.to_thread(heard.get, timeout=3))["topic"])
    finally:
        await asyncio.to_thread(leave, client)
    assert topics == {"tickers.BTCUSDT", "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "kline.1.BTCUSDT"}


async def test_what_pybit_hears_is_what_the_account_holds(server: Server) -> None:
    """An order that fills, one that rests, is amended and cancelled: every change of them, in its order."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    def trade() -> list[dict[str, Any]]:
        stream = PybitStream(server.url("/v5/private"), "private", **KEY)
        for subscribe in (stream.order_stream, stream.execution_stream, stream.position_stream, stream.wallet_stream):
            subscribe(heard.put)
        orders = PybitOrders(server.url("/v5/trade"), **KEY)
        try:
            exchange(orders)
            return frames_until(heard, "Cancelled")
        finally:
            leave(orders)
            leave(stream)

    frames = await asyncio.to_thread(trade)
    told = [row for frame in frames if frame["topic"] == "order" for row in frame["data"]]
    assert [(row["orderLinkId"], row["orderStatus"]) for row in told if row["orderLinkId"] == "t-1"][-1:] == [
        ("t-1", "Filled")
    ]
    assert [(row["orderStatus"], row["price"]) for row in told if row["orderLinkId"] == "t-2"] == [
        ("New", "10000"),
        ("New", "10500"),
        ("Cancelled", "10500"),
    ]
    engine = server.serving.local.engine
    executions = [row for frame in frames if frame["topic"] == "execution" for row in frame["data"]]
    assert {row["execId"] for row in executions} == {each.exec_id for each in engine.all_executions(1)}
    positions = [row for frame in frames if frame["topic"] == "position" for row in frame["data"]]
    assert (positions[-1]["symbol"], positions[-1]["side"], positions[-1]["size"]) == ("BTCUSDT", "Buy", "0.01")
    [*_, wallet] = [frame["data"][0] for frame in frames if frame["topic"] == "wallet"]
    assert Decimal(wallet["coin"][0]["walletBalance"]) == engine.account_view(1).balances["USDT"]


def exchange(orders: PybitOrders) -> None:
    """Orders over the order-entry stream, each answer awaited."""
    which = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "t-2"}
    low = ORDER | {"orderType": "Limit", "price": "10000", "orderLinkId": "t-2"}
    answers: queue.Queue[dict[str, Any]] = queue.Queue()
    for act, order, code in (
        (orders.place_order, ORDER | {"orderLinkId": "t-1"}, 0),
        (orders.place_order, low, 0),
        (orders.place_order, low, 110072),
        (orders.amend_order, which | {"price": "10500"}, 0),
        (orders.cancel_order, which, 0),
    ):
        time.sleep(0.05)  # the order before has been applied
        act(answers.put, error_callback=answers.put, **order)
        answer = answers.get(timeout=3)
        assert answer["retCode"] == code
        assert bool(answer["data"]) is (code == 0)
        assert answer["header"]["X-Bapi-Limit"] == "10"


def frames_until(heard: queue.Queue[dict[str, Any]], status: str) -> list[dict[str, Any]]:
    """All that was heard up to an order of this status, and what belongs to it."""
    frames = []
    while not any(row.get("orderStatus") == status for frame in frames[-1:] for row in frame["data"]):
        frames.append(heard.get(timeout=3))
    time.sleep(0.1)
    while not heard.empty():
        frames.append(heard.get())
    return frames


async def test_pybit_with_a_wrong_secret_is_not_logged_in(server: Server) -> None:
    wrong = KEY | {"api_secret": "wrong"}
    client = await asyncio.to_thread(PybitStream, server.url("/v5/private"), "private", **wrong)
    await asyncio.to_thread(client.wst.join, 5)
    assert not client.wst.is_alive()
    assert client.auth is False
