"""Mark prices and pushed bars: from the simulator's topics, and from messages that are late, missing or bad."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bybit_kit import BTC, ETH, a_market, config, until

from gateway.adapters.clock import SystemClock
from gateway.adapters.market_bybit.bars import KeptBars
from gateway.adapters.market_bybit.mark_price import MarkPrice
from gateway.adapters.market_bybit.messages import BadMessageError, parse_closed_bars
from gateway.core.bars import is_fresh
from gateway.core.model import Bar, Symbol
from simulator.server import running

MINUTE_MS = 60_000


def ticker(kind: str = "snapshot", ts: Any = 1000, symbol: str = "BTCUSDT", **fields: Any) -> dict[str, Any]:
    return {"topic": "tickers.BTCUSDT", "type": kind, "data": {"symbol": symbol, **fields}, "cs": 1, "ts": ts}


def a_mark(at_ms: int = 10, **fields: Any) -> MarkPrice:
    mark = MarkPrice(BTC)
    mark.apply(ticker(**({"markPrice": "100.5"} | fields)), at_ms)
    return mark


def test_the_mark_price_is_shown_while_it_is_no_older_than_allowed() -> None:
    mark = a_mark(at_ms=10)
    assert [mark.price(now_ms, 50) for now_ms in (10, 60, 61)] == [Decimal("100.5"), Decimal("100.5"), None]
    assert MarkPrice(BTC).price(10, 50) is None


def test_a_delta_sets_the_price_or_confirms_it() -> None:
    mark = a_mark(at_ms=10)
    mark.apply(ticker("delta", ts=1001, lastPrice="99"), 40)
    assert mark.price(90, 50) == Decimal("100.5")
    mark.apply(ticker("delta", ts=1002, markPrice="101"), 50)
    assert mark.price(90, 50) == Decimal(101)


def test_a_stopped_exchange_that_answers_grows_old() -> None:
    mark = a_mark(at_ms=10)
    mark.await_price()
    mark.apply(ticker(ts=1000, markPrice="100.5"), 90)
    assert mark.price(90, 50) is None


def test_after_a_connect_a_delta_without_a_price_confirms_nothing() -> None:
    mark = a_mark(at_ms=10)
    mark.await_price()
    mark.apply(ticker("delta", ts=1001, lastPrice="99"), 40)
    assert (mark.price(60, 50), mark.price(61, 50)) == (Decimal("100.5"), None)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        ticker(ts=1001),
        ticker("delta", ts=1001, markPrice=""),
        ticker("delta", ts=1001, markPrice="NaN"),
        ticker("delta", ts=1001, markPrice="0"),
        ticker("delta", ts=1001, markPrice="-5"),
        ticker("delta", ts=1001, markPrice=5.0),
        ticker("delta", ts="1001", markPrice="101"),
        ticker("delta", ts=1001, symbol="ETHUSDT", markPrice="101"),
        ticker("other", ts=1001, markPrice="101"),
        {**ticker(ts=1001), "data": [1]},
    ],
    ids=lambda bad: json.dumps(bad)[:60],
)
def test_a_bad_ticker_costs_itself_and_the_price_grows_old_until_it_is_told_again(bad: dict[str, Any]) -> None:
    mark = a_mark(at_ms=10)
    with pytest.raises(BadMessageError):
        mark.apply(bad, 20)
    mark.apply(ticker("delta", ts=1002, lastPrice="99"), 30)
    assert (mark.price(60, 50), mark.price(61, 50)) == (Decimal("100.5"), None)
    mark.apply(ticker("delta", ts=1003, markPrice="102"), 70)
    assert mark.price(70, 50) == Decimal(102)


def pushed(minute: int, **changes: Any) -> dict[str, Any]:
    start_ms = minute * MINUTE_MS
    return {
        "start": start_ms,
        "end": start_ms + MINUTE_MS - 1,
        "interval": "1",
        "open": "100",
        "close": "100.5",
        "high": "101",
        "low": "99.5",
        "volume": "12.5",
        "turnover": "1250",
        "confirm": True,
        "timestamp": start_ms + MINUTE_MS,
        **changes,
    }


def kline_message(*rows: Any) -> dict[str, Any]:
    return {"topic": "kline.1.BTCUSDT", "type": "snapshot", "ts": 1, "data": list(rows)}


def a_bar(minute: int, close: float = 100.5) -> Bar:
    return Bar(open_time_ms=minute * MINUTE_MS, open=100.0, high=101.0, low=99.5, close=close, volume=12.5)


def test_the_confirmed_bars_of_a_message_are_read_oldest_first() -> None:
    rows = [pushed(9, confirm=False), pushed(8), pushed(7)]
    assert parse_closed_bars(60, kline_message(*rows)) == [a_bar(7), a_bar(8)]


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"data": "x"},
        kline_message(7),
        kline_message(*[pushed(8)] * 1001),
        kline_message(pushed(8, start="480000")),
        kline_message(pushed(8, end=None)),
        kline_message(pushed(8, end=11 * MINUTE_MS - 1)),
        kline_message(pushed(8, start=8 * MINUTE_MS + 1, end=9 * MINUTE_MS)),
        kline_message(pushed(8, close="NaN")),
        kline_message(pushed(8, close="102")),
        kline_message(pushed(8, volume=None)),
    ],
    ids=lambda bad: json.dumps(bad)[:60],
)
def test_a_bad_kline_message_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(BadMessageError):
        parse_closed_bars(60, bad)


def test_a_pushed_bar_is_taken_when_it_is_known_or_follows_the_last_one() -> None:
    kept = KeptBars(60)
    assert not kept.extend(a_bar(5))
    kept.merge([a_bar(4), a_bar(5)])
    assert [kept.extend(bar) for bar in (a_bar(7), a_bar(3), a_bar(6), a_bar(4, close=99.75))] == [
        False,
        False,
        True,
        True,
    ]
    series = kept.series()
    assert series is not None
    assert series.bars == (a_bar(4, close=99.75), a_bar(5), a_bar(6))


class Exchange:
    """Public REST and stream: sends frames to whoever connects, and answers klines of the minutes that it has."""

    def __init__(self, *frames: dict[str, Any]) -> None:
        self.frames = frames
        self.minutes: list[int] = [3, 4, 5]
        self.heard: list[Any] = []
        self.instruments_asked = 0
        self.klines_asked: list[dict[str, str]] = []
        self.sockets: list[web.WebSocketResponse] = []

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        for frame in self.frames:
            await socket.send_str(json.dumps(frame))
        async for got in socket:
            self.heard.append(json.loads(got.data))
        return socket

    async def kline(self, request: web.Request) -> web.Response:
        self.klines_asked.append(dict(request.query))
        start_ms = int(request.query.get("start", "0"))
        times = [minute * MINUTE_MS for minute in reversed(self.minutes)]
        rows = [[str(at_ms), "100", "101", "99.5", "100.5", "12.5", "1250"] for at_ms in times if at_ms >= start_ms]
        result = {"symbol": request.query["symbol"], "category": "linear", "list": rows}
        return web.json_response({"retCode": 0, "result": result, "time": (self.minutes[-1] + 1) * MINUTE_MS})

    async def instruments(self, request: web.Request) -> web.Response:
        self.instruments_asked += 1
        return web.json_response({"retCode": 0, "result": {"list": []}})


@asynccontextmanager
async def serving(exchange: Exchange) -> AsyncIterator[int]:
    application = web.Application()
    application.add_routes(
        [
            web.get("/v5/public/linear", exchange.stream),
            web.get("/v5/market/kline", exchange.kline),
            web.get("/v5/market/instruments-info", exchange.instruments),
        ]
    )
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_topics_are_asked_for_books_first_ten_at_a_time() -> None:
    symbols = [Symbol(f"S{number}USDT") for number in range(5)]
    exchange = Exchange()
    async with serving(exchange) as port, a_market(port, *symbols, bar_minutes=1440):
        await until(lambda: len(exchange.heard) >= 2)
    asked = [topic for message in exchange.heard for topic in message["args"]]
    assert [len(message["args"]) for message in exchange.heard] == [10, 5]
    assert asked == [f"{kind}.{symbol}" for kind in ("orderbook.50", "tickers", "kline.D") for symbol in symbols]


async def test_a_bar_that_is_pushed_at_its_close_is_there_at_once() -> None:
    exchange = Exchange()
    async with serving(exchange) as port, a_market(port, BTC) as market:
        await until(lambda: market.bars(BTC) and exchange.sockets)
        await until(lambda: len(exchange.klines_asked) >= 2)
        await exchange.sockets[0].send_str(json.dumps(kline_message(pushed(6, confirm=False))))
        await exchange.sockets[0].send_str(json.dumps(kline_message(pushed(6))))
        await until(lambda: market.bars(BTC).bars[-1] == a_bar(6), seconds=0.5)  # type: ignore[union-attr] - there are
        assert 6 not in exchange.minutes


async def test_a_pushed_bar_that_leaves_a_gap_makes_the_gateway_ask_for_all_that_lie_between() -> None:
    exchange = Exchange()
    async with serving(exchange) as port, a_market(port, BTC) as market:
        await until(lambda: market.bars(BTC) and len(exchange.klines_asked) >= 2)
        exchange.minutes += range(6, 20)
        await exchange.sockets[0].send_str(json.dumps(kline_message(pushed(19))))
        await until(lambda: len(market.bars(BTC).bars) == 17, seconds=1.0)  # type: ignore[union-attr] - there are
        opened = [bar.open_time_ms // MINUTE_MS for bar in market.bars(BTC).bars]  # type: ignore[union-attr]
        assert opened == list(range(3, 20))


async def test_bars_are_asked_for_again_after_a_reconnect() -> None:
    exchange = Exchange()
    async with serving(exchange) as port, a_market(port, BTC) as market:
        await until(lambda: market.bars(BTC) and len(exchange.klines_asked) >= 2)
        exchange.minutes += [6, 7]
        asked = len(exchange.klines_asked)
        await exchange.sockets[0].close()
        await until(lambda: len(exchange.klines_asked) > asked, seconds=1.5)
        await until(lambda: len(market.bars(BTC).bars) == 5)  # type: ignore[union-attr] - there are


@pytest.mark.parametrize(
    "bad",
    [
        ticker(markPrice="NaN"),
        {"topic": "tickers.BTCUSDT"},
        kline_message(pushed(6, close="-1")),
        {"topic": "kline.1.BTCUSDT", "data": {"a": 1}},
    ],
)
async def test_a_bad_ticker_or_bar_costs_no_connection(bad: dict[str, Any]) -> None:
    exchange = Exchange(bad, ticker(ts=1002, markPrice="101"))
    async with serving(exchange) as port, a_market(port, BTC) as market:
        await until(lambda: market.mark_price(BTC) == Decimal(101))
        assert len(exchange.sockets) == 1


async def test_the_filters_are_read_again_when_asked_for_and_not_before_the_pause_is_over() -> None:
    exchange = Exchange()
    async with serving(exchange) as port, a_market(port, BTC, instruments_pause_seconds=0.5) as market:
        await until(lambda: exchange.instruments_asked == 1)
        for _ in range(5):
            market.refresh_instruments()
        await until(lambda: exchange.instruments_asked == 2)
        for _ in range(5):
            market.refresh_instruments()
        with pytest.raises(TimeoutError):
            await until(lambda: exchange.instruments_asked > 2, seconds=0.4)
        await until(lambda: exchange.instruments_asked == 3)


async def control(port: int, name: str, body: dict[str, Any]) -> None:
    url = f"http://127.0.0.1:{port}/_control/{name}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        assert answer.status == 200


async def test_the_simulators_mark_price_is_near_the_book_and_goes_when_the_market_stops() -> None:
    async with running(config()) as port, a_market(port, price_age_ms_max=600) as market:
        await until(lambda: all(market.mark_price(symbol) and market.book(symbol) for symbol in (BTC, ETH)))
        book, price = market.book(BTC), market.mark_price(BTC)
        assert book is not None
        assert price is not None
        assert abs(price / book.mid - 1) < Decimal("0.01")
        assert market.mark_price(Symbol("DOGEUSDT")) is None
        await control(port, "freeze", {"frozen": True})
        await control(port, "disconnect", {})
        await asyncio.sleep(0.5)  # connected again, and told how the market stood when it stopped
        await until(lambda: market.mark_price(BTC) is None)
        await control(port, "disconnect", {})
        with pytest.raises(TimeoutError):
            await until(lambda: market.mark_price(BTC), seconds=0.6)
        await control(port, "freeze", {"frozen": False})
        await until(lambda: market.mark_price(BTC))
        series = market.bars(BTC)
        assert series is not None
        assert is_fresh(series, SystemClock().now_ms())
