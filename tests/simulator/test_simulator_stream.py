"""Topics and operations as Bybit documents them for the public linear WebSocket."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

ACK = {"success": True, "ret_msg": "", "req_id": "r1", "op": "subscribe"}


async def subscribe(socket: Any, *topics: str) -> dict[str, Any]:
    await socket.send_json({"req_id": "r1", "op": "subscribe", "args": list(topics)})
    return await socket.receive_json(timeout=2)


async def messages(socket: Any, count: int) -> list[dict[str, Any]]:
    return [await socket.receive_json(timeout=4) for _ in range(count)]


def without_id(ack: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in ack.items() if name != "conn_id"}


async def until_silence(socket: Any) -> list[dict[str, Any]]:
    """All messages until half a second passes without one; at most twenty."""
    got: list[dict[str, Any]] = []
    with contextlib.suppress(TimeoutError):
        while len(got) < 20:
            got.append(await socket.receive_json(timeout=0.5))
    return got


async def test_a_book_starts_with_a_snapshot_and_deltas_lead_to_what_a_newcomer_is_told(client: Any) -> None:
    async with client.stream() as socket, client.stream() as newcomer:
        assert without_id(await subscribe(socket, "orderbook.50.BTCUSDT")) == ACK
        first, *deltas = await messages(socket, 5)
        await client.control("freeze", {"frozen": True})
        deltas += await until_silence(socket)
        await subscribe(newcomer, "orderbook.50.BTCUSDT")
        [told] = await messages(newcomer, 1)

    assert set(first) == {"topic", "type", "ts", "data", "cts"}
    assert (first["topic"], first["type"]) == ("orderbook.50.BTCUSDT", "snapshot")
    assert [delta["type"] for delta in deltas] == ["delta"] * len(deltas)
    ids = [message["data"]["u"] for message in (first, *deltas)]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert told["data"]["u"] == ids[-1]
    for side in "ab":
        levels: dict[str, str] = dict(first["data"][side])
        for delta in deltas:
            levels |= dict(delta["data"][side])
        assert {price: qty for price, qty in levels.items() if qty != "0"} == dict(told["data"][side])


async def test_level_one_is_snapshots_only(client: Any) -> None:
    async with client.stream() as socket:
        await subscribe(socket, "orderbook.1.ETHUSDT")
        got = await messages(socket, 3)
    assert [message["type"] for message in got] == ["snapshot"] * 3
    assert all(len(message["data"][side]) == 1 for message in got for side in "ab")


async def test_a_restart_sends_the_whole_book_with_u_1(client: Any) -> None:
    async with client.stream() as socket:
        await subscribe(socket, "orderbook.50.BTCUSDT")
        await client.control("restart", {})
        got = await messages(socket, 8)
    restarted = next(place for place, message in enumerate(got) if message["data"]["u"] == 1)
    assert got[restarted]["type"] == "snapshot"
    assert len(got[restarted]["data"]["b"]) == 50
    assert [message["data"]["u"] for message in got[restarted:]] == list(range(1, len(got) - restarted + 1))


async def test_tickers_start_whole_and_go_on_with_what_changed(client: Any) -> None:
    async with client.stream() as socket:
        await subscribe(socket, "tickers.SOLUSDT")
        first, second = await messages(socket, 2)
    assert (first["type"], second["type"]) == ("snapshot", "delta")
    assert {"lastPrice", "bid1Price", "ask1Size", "volume24h", "fundingRate"} <= set(first["data"])
    assert 0 < len(second["data"]) < len(first["data"])
    assert second["data"]["symbol"] == "SOLUSDT"
    assert all(isinstance(value, str) for value in first["data"].values())


async def test_trades_and_klines_have_their_shapes(client: Any) -> None:
    async with client.stream() as socket:
        await subscribe(socket, "publicTrade.BTCUSDT", "kline.1.BTCUSDT")
        got = {message["topic"]: message for message in await messages(socket, 4)}
    trade, candle = got["publicTrade.BTCUSDT"]["data"][0], got["kline.1.BTCUSDT"]["data"][0]
    assert set(trade) == {"T", "s", "S", "v", "p", "L", "i", "BT", "seq"}
    assert trade["S"] in ("Buy", "Sell")
    assert candle["confirm"] is False
    assert candle["end"] - candle["start"] == 59_999
    assert set(candle) == {
        "start", "end", "interval", "open", "close", "high", "low", "volume", "turnover", "confirm", "timestamp",
    }  # fmt: skip


async def test_ping_is_answered_with_pong(client: Any) -> None:
    async with client.stream() as socket:
        await socket.send_json({"op": "ping", "req_id": "p"})
        pong = await socket.receive_json(timeout=2)
    assert without_id(pong) == {"success": True, "ret_msg": "pong", "req_id": "p", "op": "ping"}
    assert pong["conn_id"]


async def test_unsubscribing_ends_the_pushes(client: Any) -> None:
    async with client.stream() as socket:
        await subscribe(socket, "orderbook.50.BTCUSDT")
        await socket.send_json({"op": "unsubscribe", "args": ["orderbook.50.BTCUSDT"]})
        while (await socket.receive_json(timeout=2)).get("op") != "unsubscribe":
            pass
        with pytest.raises(TimeoutError):
            await socket.receive_json(timeout=0.6)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        pytest.param("[" * 60_000, id="nested"),
        '{"op": "subscribe"}',
        '{"op": "subscribe", "args": []}',
        '{"op": "subscribe", "args": [7]}',
        '{"op": "subscribe", "args": ["orderbook.51.BTCUSDT"]}',
        '{"op": "subscribe", "args": ["orderbook.50.BTCUSDT", "tickers.DOGEUSDT"]}',
        '{"op": "subscribe", "args": ["kline.7.BTCUSDT"]}',
        '{"op": "order.create", "args": []}',
        '{"op": {"a": 1}, "req_id": [1]}',
    ],
)
async def test_a_wrong_request_is_refused_whole_and_the_connection_lives(client: Any, text: str) -> None:
    async with client.stream() as socket:
        await socket.send_str(text)
        refusal = await socket.receive_json(timeout=2)
        assert refusal["success"] is False
        assert refusal["ret_msg"]
        await socket.send_json({"op": "ping"})
        assert (await socket.receive_json(timeout=2))["ret_msg"] == "pong"


async def test_a_frozen_market_pushes_nothing_and_goes_on_when_thawed(client: Any) -> None:
    async with client.stream() as socket:
        await subscribe(socket, "orderbook.50.BTCUSDT")
        await client.control("freeze", {"frozen": True})
        assert len(await until_silence(socket)) < 5
        await client.control("freeze", {"frozen": False})
        assert (await socket.receive_json(timeout=2))["topic"] == "orderbook.50.BTCUSDT"


async def test_disconnect_cuts_every_socket(client: Any) -> None:
    async with client.stream() as one, client.stream() as other:
        await client.control("disconnect", {})
        kinds = {(await asyncio.wait_for(socket.receive(), 2)).type for socket in (one, other)}
    assert kinds <= {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}
