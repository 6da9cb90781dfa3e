"""Shapes as Bybit documents them for v5, category linear: the same keys, numbers as strings."""

from decimal import Decimal
from typing import Any

import pytest

from simulator.control import is_loopback

KLINE = {"category": "linear", "symbol": "BTCUSDT", "interval": "60"}
BTC = {"category": "linear", "symbol": "BTCUSDT"}


def assert_numbers(*texts: str) -> None:
    assert all(isinstance(text, str) and Decimal(text).is_finite() for text in texts), texts


async def test_every_answer_wears_the_envelope(client: Any) -> None:
    answer = await client.get("time")
    assert list(answer) == ["retCode", "retMsg", "result", "retExtInfo", "time"]
    assert (answer["retCode"], answer["retMsg"], answer["retExtInfo"]) == (0, "OK", {})
    assert isinstance(answer["time"], int)
    assert answer["result"]["timeSecond"] == str(answer["time"] // 1000)
    assert answer["result"]["timeNano"].startswith(str(answer["time"]))


async def test_instruments_tell_the_filters(client: Any) -> None:
    result = (await client.get("instruments-info", category="linear"))["result"]
    assert (result["category"], result["nextPageCursor"]) == ("linear", "")
    assert [row["symbol"] for row in result["list"]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    btc = (await client.get("instruments-info", **BTC))["result"]["list"][0]
    assert btc["status"] == "Trading"
    assert btc["priceFilter"]["tickSize"] == "0.10"
    assert btc["lotSizeFilter"] == {
        "maxOrderQty": "1190.000",
        "minOrderQty": "0.001",
        "qtyStep": "0.001",
        "postOnlyMaxOrderQty": "1190.000",
        "maxMktOrderQty": "500.000",
        "minNotionalValue": "5",
    }


async def test_klines_come_newest_first_with_the_open_one(client: Any) -> None:
    answer = await client.get("kline", **KLINE, limit=1000)
    rows = answer["result"]["list"]
    starts = [int(row[0]) for row in rows]
    assert len(rows) == 1000
    assert starts == sorted(starts, reverse=True)
    assert starts[0] <= answer["time"] < starts[0] + 3_600_000
    for row in rows[:50]:
        assert len(row) == 7
        assert_numbers(*row)
        assert Decimal(row[3]) <= min(Decimal(row[1]), Decimal(row[4]))
        assert Decimal(row[2]) >= max(Decimal(row[1]), Decimal(row[4]))


@pytest.mark.parametrize("interval", ["1", "5", "15", "60", "240", "D"])
async def test_klines_of_every_interval_are_cut_by_start_and_end(client: Any, interval: str) -> None:
    rows = (await client.get("kline", **(KLINE | {"interval": interval}), limit=20))["result"]["list"]
    start, end = rows[10][0], rows[3][0]
    part = (await client.get("kline", **(KLINE | {"interval": interval}), start=start, end=end))["result"]["list"]
    assert part == rows[3:11]


async def test_tickers_agree_with_the_book(client: Any) -> None:
    await client.control("freeze", {"frozen": True})
    ticker = (await client.get("tickers", **BTC))["result"]["list"][0]
    book = (await client.get("orderbook", **BTC, limit=1))["result"]
    assert [ticker["bid1Price"], ticker["bid1Size"]] == book["b"][0]
    assert [ticker["ask1Price"], ticker["ask1Size"]] == book["a"][0]
    numbers = set(ticker) - {"symbol", "predictedDeliveryPrice", "basisRate", "deliveryFeeRate", "basis"}
    assert_numbers(*(ticker[name] for name in numbers - {"preOpenPrice", "preQty", "curPreListingPhase"}))
    assert Decimal(ticker["lowPrice24h"]) <= Decimal(ticker["lastPrice"]) <= Decimal(ticker["highPrice24h"])
    assert len((await client.get("tickers", category="linear"))["result"]["list"]) == 3


async def test_the_book_has_the_asked_levels_and_is_not_crossed(client: Any) -> None:
    book = (await client.get("orderbook", **BTC, limit=50))["result"]
    assert set(book) == {"s", "a", "b", "ts", "u", "seq", "cts"}
    assert (book["s"], len(book["a"]), len(book["b"])) == ("BTCUSDT", 50, 50)
    assert Decimal(book["b"][0][0]) < Decimal(book["a"][0][0])


async def test_recent_trades_come_newest_first(client: Any) -> None:
    trades = (await client.get("recent-trade", **BTC, limit=30))["result"]["list"]
    times = [int(trade["time"]) for trade in trades]
    assert len(trades) == 30
    assert times == sorted(times, reverse=True)
    assert_numbers(*(trade[name] for trade in trades for name in ("price", "size")))
    # A steep minute may have thirty on one side; four minutes have both.
    many = (await client.get("recent-trade", **BTC, limit=1000))["result"]["list"]
    assert {trade["side"] for trade in many} == {"Buy", "Sell"}


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("kline", KLINE | {"interval": "7"}),
        ("kline", {"category": "linear", "symbol": "BTCUSDT"}),
        ("kline", KLINE | {"symbol": "DOGEUSDT"}),
        ("kline", KLINE | {"category": "inverse"}),
        ("kline", KLINE | {"limit": "0"}),
        ("kline", KLINE | {"limit": "1001"}),
        ("kline", KLINE | {"start": "-5"}),
        ("kline", KLINE | {"start": "9" * 400}),
        ("kline", KLINE | {"limit": "\u0661"}),
        ("tickers", {"symbol": "BTCUSDT"}),
        ("orderbook", BTC | {"limit": "NaN"}),
        ("orderbook", {"category": "linear"}),
        ("recent-trade", {"category": "linear", "symbol": ""}),
        ("instruments-info", {"category": "stocks"}),
        ("instruments-info", BTC | {"symbol": "btcusdt"}),
    ],
)
async def test_a_wrong_parameter_answers_10001_and_an_empty_result(
    client: Any, name: str, query: dict[str, Any]
) -> None:
    answer = await client.get(name, **query)
    assert answer["retCode"] == 10001
    assert answer["retMsg"].startswith("params error: ")
    assert answer["result"] == {}


async def test_a_start_in_the_future_gives_no_candles(client: Any) -> None:
    answer = await client.get("kline", **KLINE, start="99999999999999")
    assert (answer["retCode"], answer["result"]["list"]) == (0, [])


async def test_an_unknown_path_is_404_in_the_envelope(client: Any) -> None:
    async with client.session.get(f"http://127.0.0.1:{client.port}/v5/order/nothing") as answer:
        assert answer.status == 404
        assert (await answer.json())["retCode"] == 10017


async def test_control_bends_price_and_depth(client: Any) -> None:
    before = (await client.get("tickers", **BTC))["result"]["list"][0]
    assert await client.control("price", {"symbol": "BTCUSDT", "factor": 0.5}) == (200, {"ok": True})
    after = (await client.get("tickers", **BTC))["result"]["list"][0]
    assert float(after["lastPrice"]) == pytest.approx(float(before["lastPrice"]) / 2, rel=0.02)
    assert await client.control("depth", {"symbol": "BTCUSDT", "factor": 0}) == (200, {"ok": True})
    book = (await client.get("orderbook", **BTC))["result"]
    assert (book["a"], book["b"]) == ([], [])


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("freeze", {"frozen": "yes"}, "frozen"),
        ("freeze", [1], "object"),
        ("price", {"symbol": "BTCUSDT"}, "factor must be a number"),
        ("price", {"symbol": "BTCUSDT", "factor": True}, "factor must be a number"),
        ("price", {"symbol": "BTCUSDT", "factor": 0}, "factor must be 0.01"),
        ("price", {"symbol": ["BTCUSDT"], "factor": 2}, "symbol"),
        ("depth", {"symbol": "DOGEUSDT", "factor": 2}, "symbol"),
        ("depth", {"symbol": "BTCUSDT", "factor": -1}, "factor must be 0.0"),
    ],
)
async def test_control_refuses_what_it_cannot_do(client: Any, name: str, body: Any, error: str) -> None:
    status, answer = await client.control(name, body)
    assert status == 400
    assert answer["ok"] is False
    assert error in answer["error"]


async def test_control_refuses_no_json(client: Any) -> None:
    async with client.session.post(f"http://127.0.0.1:{client.port}/_control/freeze", data=b"{") as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "the body must be JSON")


@pytest.mark.parametrize(
    ("remote", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        (None, False),
        ("", False),
    ],
)
def test_control_is_for_loopback_only(remote: str | None, allowed: bool) -> None:
    assert is_loopback(remote) is allowed
