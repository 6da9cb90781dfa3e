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
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.ban import AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.market_bybit import BybitMarket
from gateway.adapters.market_bybit.local_book import LocalBook
from gateway.adapters.market_bybit.messages import BadMessageError, parse_instrument
from gateway.core.model import Instrument, Level, Symbol
from simulator.server import running

TOPIC = "orderbook.50.BTCUSDT"


def message(kind: str, u: Any = 5, cts: Any = 1000, b: Any = (), a: Any = ()) -> dict[str, Any]:
    rows = {"s": "BTCUSDT", "b": [list(row) for row in b], "a": [list(row) for row in a], "u": u, "seq": 1}
    return {"topic": TOPIC, "type": kind, "ts": 9, "data": rows, "cts": cts}


SNAPSHOT = message("snapshot", b=[("100.0", "1"), ("99.0", "2")], a=[("101.0", "3"), ("102.0", "4")])


def a_local_book() -> LocalBook:
    book = LocalBook()
    book.apply(SNAPSHOT, 10)
    return book


def sides(local: LocalBook) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    book = local.book()
    assert book is not None
    return (
        [(str(level.price), str(level.qty)) for level in book.bids],
        [(str(level.price), str(level.qty)) for level in book.asks],
    )


def test_deltas_set_insert_and_remove_levels_in_order() -> None:
    local = a_local_book()
    local.apply(
        message("delta", u=6, cts=1001, b=[("99.5", "7"), ("100.0", "0")], a=[("102.0", "9"), ("200", "0")]), 20
    )
    assert sides(local) == ([("99.5", "7"), ("99.0", "2")], [("101.0", "3"), ("102.0", "9")])
    assert local.book().received_ms == 20  # type: ignore[union-attr] - there is one


def test_a_message_seen_before_or_overtaken_changes_nothing() -> None:
    local = a_local_book()
    local.apply(message("delta", u=7, cts=1001, b=[("99.5", "7")]), 20)
    local.apply(message("delta", u=6, cts=1002, b=[("99.5", "1")]), 30)
    local.apply(message("delta", u=7, cts=1003, b=[("99.5", "2")]), 40)
    book = local.book()
    assert book is not None
    assert (book.bids[1], book.received_ms) == (Level(price=Decimal("99.5"), qty=Decimal(7)), 20)


def test_an_update_id_of_one_is_the_whole_book_whatever_its_type() -> None:
    local = a_local_book()
    local.apply(message("delta", u=1, cts=1001, b=[("50", "1")], a=[("51", "1")]), 20)
    assert sides(local) == ([("50", "1")], [("51", "1")])
    local.apply(message("delta", u=2, cts=1002, b=[("50", "2")]), 30)
    assert sides(local)[0] == [("50", "2")]


def test_a_delta_without_a_snapshot_makes_no_book() -> None:
    local = LocalBook()
    local.apply(message("delta", b=[("100", "1")], a=[("101", "1")]), 10)
    assert local.book() is None


def test_a_book_with_an_empty_side_is_no_book_until_levels_come_back() -> None:
    local = a_local_book()
    local.apply(message("delta", u=6, cts=1001, a=[("101.0", "0"), ("102.0", "0")]), 20)
    assert local.book() is None
    local.apply(message("delta", u=7, cts=1002, a=[("103", "1")]), 30)
    assert sides(local)[1] == [("103", "1")]


def test_a_stopped_exchange_grows_old_although_it_answers() -> None:
    local = a_local_book()
    local.await_snapshot()
    local.apply(SNAPSHOT, 99_000)
    book = local.book()
    assert book is not None
    assert book.received_ms == 10


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"type": "snapshot", "data": None},
        message("other"),
        message("delta", u="6"),
        message("delta", u=True),
        message("delta", u=-1),
        message("delta", u=6, cts=None),
        message("delta", u=6, b=[("NaN", "1")]),
        message("delta", u=6, b=[("Infinity", "1")]),
        message("delta", u=6, b=[("-5", "1")]),
        message("delta", u=6, b=[("1e5", "1")]),
        message("delta", u=6, b=[("0", "1")]),
        message("delta", u=6, b=[("5", "-1")]),
        message("delta", u=6, b=[("5",)]),
        message("delta", u=6, b=[(5.0, 1.0)]),
        message("delta", u=6, b=[("9" * 31, "1")]),
        message("delta", u=6, b=[("\u0661", "1")]),
        message("delta", u=6, b=[("101.0", "1")]),
        message("delta", u=6, b=[(f"{n}", "1") for n in range(1, 2000)]),
        {**message("delta", u=6), "data": {"b": "x", "a": [], "u": 6}},
    ],
    ids=lambda bad: json.dumps(bad)[:60],
)
def test_a_bad_message_is_told_and_costs_the_book(bad: dict[str, Any]) -> None:
    local = a_local_book()
    with pytest.raises(BadMessageError):
        local.apply(bad, 20)
    local.drop()
    assert local.book() is None
    local.apply(message("snapshot", u=9, cts=1005, b=[("1", "1")], a=[("2", "1")]), 30)
    assert sides(local) == ([("1", "1")], [("2", "1")])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("ab19.-", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["data", "type", "b", "a", "u", "cts"]), inner)
    ),
    max_leaves=12,
)


@given(content=st.dictionaries(st.sampled_from(["data", "type", "cts"]), JSON | st.just("snapshot") | st.just("delta")))
def test_no_json_does_more_than_be_refused(content: dict[str, Any]) -> None:
    local = a_local_book()
    with pytest.raises(BadMessageError):
        local.apply(content, 20)


PRICE = st.integers(1, 60).map(str)
ROWS = st.lists(st.tuples(PRICE, st.sampled_from(["0", "0", "1", "2.5"])), max_size=6)


@given(updates=st.lists(st.tuples(ROWS, ROWS, st.booleans()), max_size=20))
def test_a_shown_book_is_sorted_positive_and_never_crossed(updates: list[tuple[Any, Any, bool]]) -> None:
    local = a_local_book()
    for number, (bids, asks, whole) in enumerate(updates, start=6):
        kind = "snapshot" if whole else "delta"
        try:
            local.apply(message(kind, u=number, cts=1000 + number, b=bids, a=asks), number)
        except BadMessageError:
            local.drop()
            assert local.book() is None
        book = local.book()
        if book is None:
            continue
        bid_prices, ask_prices = [level.price for level in book.bids], [level.price for level in book.asks]
        assert bid_prices == sorted(set(bid_prices), reverse=True)
        assert ask_prices == sorted(set(ask_prices))
        assert bid_prices[0] < ask_prices[0]
        assert all(level.qty > 0 for level in (*book.bids, *book.asks))


def instruments_answer(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "status": "Trading",
        "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "maxMktOrderQty": "500", "minNotionalValue": "5"},
    }
    return {"retCode": 0, "result": {"list": [row | changes]}}


def test_filters_are_read_as_decimals() -> None:
    assert parse_instrument(BTC, instruments_answer()) == Instrument(
        symbol=BTC,
        qty_step=Decimal("0.001"),
        min_qty=Decimal("0.001"),
        max_market_qty=Decimal(500),
        min_notional_usd=Decimal(5),
        tick_size=Decimal("0.1"),
    )


@pytest.mark.parametrize("changes", [{"status": "Closed"}, {"symbol": "ETHUSDT"}])
def test_a_symbol_that_does_not_trade_has_no_filters(changes: dict[str, Any]) -> None:
    assert parse_instrument(BTC, instruments_answer(**changes)) is None


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"retCode": 10001},
        {"retCode": 0, "result": []},
        instruments_answer(lotSizeFilter=None),
        instruments_answer(priceFilter={"tickSize": "0"}),
        instruments_answer(lotSizeFilter={"qtyStep": "NaN"}),
    ],
)
def test_filters_that_cannot_be_read_are_refused(answer: Any) -> None:
    with pytest.raises(BadMessageError):
        parse_instrument(BTC, answer)


async def control(port: int, name: str, body: dict[str, Any]) -> None:
    url = f"http://127.0.0.1:{port}/_control/{name}"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()


def received_ms(market: BybitMarket) -> int:
    book = market.book(BTC)
    return book.received_ms if book else 0


async def test_books_and_filters_of_every_symbol_arrive_and_stay_fresh() -> None:
    async with running(config()) as port, a_market(port) as market:
        await until(lambda: all(market.book(symbol) and market.instrument(symbol) for symbol in (BTC, ETH)))
        book, before_ms = market.book(BTC), received_ms(market)
        assert book is not None
        assert len(book.bids) == len(book.asks) == 50
        assert market.instrument(BTC) == Instrument(
            symbol=BTC,
            qty_step=Decimal("0.001"),
            min_qty=Decimal("0.001"),
            max_market_qty=Decimal(500),
            min_notional_usd=Decimal(5),
            tick_size=Decimal("0.1"),
        )
        await until(lambda: received_ms(market) > before_ms)
        assert market.book(Symbol("DOGEUSDT")) is None


async def test_the_book_stays_equal_to_the_exchanges_own() -> None:
    async with running(config()) as port, a_market(port) as market, aiohttp.ClientSession() as session:
        await until(lambda: market.book(BTC))
        await control(port, "restart", {})
        await asyncio.sleep(0.7)
        await control(port, "freeze", {"frozen": True})
        await asyncio.sleep(0.4)
        async with session.ws_connect(f"ws://127.0.0.1:{port}/v5/public/linear") as socket:
            await socket.send_json({"op": "subscribe", "args": [TOPIC]})
            await socket.receive_json(timeout=2)
            shown = (await socket.receive_json(timeout=2))["data"]
        book = market.book(BTC)
        assert book is not None
        assert [(level.price, level.qty) for level in book.bids] == [(Decimal(p), Decimal(q)) for p, q in shown["b"]]
        assert [(level.price, level.qty) for level in book.asks] == [(Decimal(p), Decimal(q)) for p, q in shown["a"]]


async def test_a_frozen_market_goes_stale_and_recovers() -> None:
    async with running(config()) as port, a_market(port) as market:
        await until(lambda: market.book(BTC))
        await control(port, "freeze", {"frozen": True})
        await asyncio.sleep(0.4)  # one push is still due
        frozen_ms = received_ms(market)
        await asyncio.sleep(0.5)
        assert received_ms(market) == frozen_ms
        await control(port, "disconnect", {})
        await asyncio.sleep(0.6)  # connected again, and told the same book
        assert received_ms(market) == frozen_ms
        await control(port, "freeze", {"frozen": False})
        await until(lambda: received_ms(market) > frozen_ms)


async def test_a_cut_connection_is_made_anew() -> None:
    async with running(config()) as port, a_market(port) as market:
        await until(lambda: market.book(BTC))
        await control(port, "disconnect", {})
        cut_ms = SystemClock().now_ms()
        await until(lambda: received_ms(market) > cut_ms + 300)


async def test_an_exchange_that_starts_later_or_comes_back_is_found() -> None:
    async with running(config()) as port:
        pass
    async with a_market(port) as market:
        await asyncio.sleep(0.3)
        assert market.book(BTC) is None
        async with running(config(port)):
            await until(lambda: market.book(BTC) and market.instrument(BTC))
        gone_ms = SystemClock().now_ms()
        await asyncio.sleep(0.3)
        assert 0 < received_ms(market) <= gone_ms
        async with running(config(port)):
            await until(lambda: received_ms(market) > gone_ms + 100)


async def test_jumps_and_thin_books_of_the_exchange_are_seen() -> None:
    async with running(config()) as port, a_market(port, BTC) as market:
        await until(lambda: market.book(BTC))
        book = market.book(BTC)
        assert book is not None
        mid = book.mid
        await control(port, "price", {"symbol": "BTCUSDT", "factor": 0.8})
        await until(lambda: market.book(BTC).mid < mid * Decimal("0.85"))  # type: ignore[union-attr] - there is one
        await control(port, "depth", {"symbol": "BTCUSDT", "factor": 0})
        await until(lambda: market.book(BTC) is None)
        await control(port, "depth", {"symbol": "BTCUSDT", "factor": 1})
        await until(lambda: market.book(BTC))


@asynccontextmanager
async def a_rude_exchange(*frames: str | bytes) -> AsyncIterator[tuple[int, list[Any]]]:
    """Sends the given frames to whoever connects and a good book to who asks again; has no REST."""
    heard: list[Any] = []

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for frame in frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        async for got in socket:
            heard.append(json.loads(got.data))
            if heard[-1].get("req_id") == "again":
                await socket.send_str(json.dumps(message("snapshot", u=9, cts=2000, b=[("1", "1")], a=[("2", "1")])))
        return socket

    application = web.Application()
    application.add_routes([web.get("/v5/public/linear", stream)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], heard
    finally:
        await runner.cleanup()


def subscriptions(heard: list[Any]) -> int:
    return [ask["op"] for ask in heard].count("subscribe")


GOOD = json.dumps(SNAPSHOT)


@pytest.mark.parametrize(
    "noise", ["{", "[]", "7", "[" * 100_000, '{"topic": 7}', '{"topic": "tickers.BTCUSDT", "data": 1}']
)
async def test_what_is_no_book_is_ignored(noise: str) -> None:
    async with a_rude_exchange(noise, GOOD, noise) as (port, _), a_market(port, BTC) as market:
        await until(lambda: market.book(BTC))
        assert market.instrument(BTC) is None


@pytest.mark.parametrize(
    "delta",
    [message("delta", u=6, cts=1001, b=[("500", "1")]), message("delta", u=6, cts=1001, b=[("NaN", "1")])],
    ids=["crossed", "unreadable"],
)
async def test_a_broken_book_is_dropped_and_asked_for_again(delta: dict[str, Any]) -> None:
    async with a_rude_exchange(GOOD, json.dumps(delta)) as (port, heard), a_market(port, BTC) as market:
        await until(lambda: market.book(BTC) and market.book(BTC).mid == Decimal("1.5"))  # type: ignore[union-attr]
        assert [(ask["op"], ask["args"]) for ask in heard] == [
            ("subscribe", [TOPIC, "tickers.BTCUSDT", "kline.1.BTCUSDT"]),
            ("unsubscribe", [TOPIC]),
            ("subscribe", [TOPIC]),
        ]


async def test_deltas_without_their_snapshot_make_the_adapter_ask_for_one() -> None:
    lonely = json.dumps(message("delta", u=6, cts=1001, b=[("5", "1")]))
    async with a_rude_exchange(lonely) as (port, _), a_market(port, BTC) as market:
        await until(lambda: market.book(BTC))


@pytest.mark.parametrize("frame", [b"\x00", '{"success": false, "ret_msg": "no", "op": "subscribe"}'])
async def test_a_binary_or_refusing_exchange_is_left_and_tried_again(frame: str | bytes) -> None:
    async with a_rude_exchange(frame) as (port, heard), a_market(port, BTC) as market:
        await until(lambda: subscriptions(heard) >= 2)
        assert market.book(BTC) is None


@pytest.mark.parametrize("frames", [(), ("noise",)])
async def test_silence_is_noticed(frames: tuple[str, ...]) -> None:
    async with a_rude_exchange(*frames) as (port, heard), a_market(port, BTC, silence_seconds=0.2):
        await until(lambda: subscriptions(heard) >= 2)


def test_a_market_that_never_started_shows_nothing() -> None:
    market = BybitMarket(
        source="s",
        rest_url="http://x",
        ws_url="ws://x",
        symbols=[BTC],
        clock=FakeClock(),
        bar_minutes=1,
        price_age_ms_max=1,
        ban=AddressBan(clock=FakeClock()),
    )
    assert (market.book(BTC), market.instrument(BTC), market.bars(BTC), market.mark_price(BTC)) == (None,) * 4
