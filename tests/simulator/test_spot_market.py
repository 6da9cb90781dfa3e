"""The public spot market: filters, shapes and streams where they differ from linear."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.feeds import SpotTickerFeed, feed_for
from simulator.market import LIVE_ORIGIN_MS
from simulator.process import HOUR_MS, MINUTE_MS
from simulator.spot_market import BASIS_BPS
from simulator.symbols import SPOT_INSTRUMENTS

START_MS = LIVE_ORIGIN_MS + 1_100 * HOUR_MS + 30_000
SPOT = {"category": "spot", "symbol": "BTCUSDT"}
SYMBOLS = list(SPOT_INSTRUMENTS)


def an_exchange() -> Exchange:
    return Exchange(seed=7, symbols=SYMBOLS, clock=MarketClock(wall=lambda: START_MS))


EXCHANGE = an_exchange()
MOMENTS = st.integers(LIVE_ORIGIN_MS + 30 * HOUR_MS, START_MS + 40 * HOUR_MS)


@given(symbol=st.sampled_from(SYMBOLS), at_ms=MOMENTS)
@settings(max_examples=60, deadline=None)
def test_spot_is_always_just_below_the_perpetual_and_on_its_own_tick(symbol: str, at_ms: int) -> None:
    spot, linear = EXCHANGE.spot[symbol], EXCHANGE.markets[symbol]
    price, tick = spot.price(at_ms), float(spot.instrument.tick_size)
    assert price == pytest.approx(linear.price(at_ms) * (1 - BASIS_BPS / 10_000), abs=tick)
    assert round(price / tick) * tick == pytest.approx(price, abs=tick / 1_000)
    book = spot.book(at_ms, 1)
    assert float(next(iter(book.bids.levels))) < price < float(next(iter(book.asks.levels)))


@given(symbol=st.sampled_from(SYMBOLS), at_ms=MOMENTS, interval=st.sampled_from([1, 15, 60, 1440]))
@settings(max_examples=40, deadline=None)
def test_spot_candles_hold_their_prices_and_end_at_the_price(symbol: str, at_ms: int, interval: int) -> None:
    spot = EXCHANGE.spot[symbol]
    first_ms = at_ms - 3 * interval * MINUTE_MS
    bars = spot.candles(interval_minutes=interval, first_ms=first_ms, last_ms=at_ms, at_ms=at_ms)
    assert bars[-1].close == spot.price(at_ms)
    for bar in bars:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume >= 0


def test_spot_trades_have_numbers_for_names_and_sizes_on_the_step() -> None:
    trades = EXCHANGE.spot["SOLUSDT"].trades(after_ms=START_MS, at_ms=START_MS + MINUTE_MS)
    assert len({trade.trade_id for trade in trades}) == len(trades) == 240
    for trade in trades:
        assert trade.trade_id.isdigit()
        assert Decimal(f"{trade.qty:.3f}") > 0


def test_a_jump_and_a_thin_book_of_the_perpetual_are_those_of_spot() -> None:
    exchange = an_exchange()
    spot = exchange.spot["BTCUSDT"]
    before = spot.price(START_MS)
    exchange.markets["BTCUSDT"].jump(0.5, START_MS)
    assert spot.price(START_MS) == pytest.approx(before / 2, rel=1e-4)
    spot.jump(2.0, START_MS + 1)
    assert exchange.markets["BTCUSDT"].price(START_MS + 1) == pytest.approx(before, rel=1e-3)
    exchange.markets["BTCUSDT"].depth_factor = 0.0
    assert spot.book(START_MS, 5).asks.levels == {}
    spot.depth_factor = 1.0
    assert exchange.markets["BTCUSDT"].depth_factor == 1.0


def test_a_ticker_that_did_not_change_is_not_told() -> None:
    exchange = an_exchange()
    feed = feed_for("tickers.BTCUSDT", exchange, START_MS, "spot")
    assert isinstance(feed, SpotTickerFeed)
    assert feed.due(START_MS) == []
    later = feed.due(START_MS + 60_000)
    assert [message["type"] for message in later] == ["snapshot"]


async def test_instruments_tell_the_filters_of_spot(client: Any) -> None:
    result = (await client.get("instruments-info", category="spot"))["result"]
    assert "nextPageCursor" not in result
    assert [row["symbol"] for row in result["list"]] == SYMBOLS
    btc = result["list"][0]
    assert btc["priceFilter"] == {"tickSize": "0.1"}
    lots = btc["lotSizeFilter"]
    assert (lots["basePrecision"], lots["quotePrecision"]) == ("0.000001", "0.0000001")
    assert (lots["minOrderAmt"], lots["maxLimitOrderQty"], lots["maxMarketOrderQty"]) == ("5", "83", "41.5")
    assert "qtyStep" not in lots
    assert "leverageFilter" not in btc


async def test_the_ticker_and_the_book_of_spot_agree_and_are_not_those_of_linear(client: Any) -> None:
    await client.control("freeze", {"frozen": True})
    ticker = (await client.get("tickers", **SPOT))["result"]["list"][0]
    book = (await client.get("orderbook", **SPOT, limit=50))["result"]
    linear = (await client.get("tickers", category="linear", symbol="BTCUSDT"))["result"]["list"][0]
    assert [ticker["bid1Price"], ticker["bid1Size"]] == book["b"][0]
    assert [ticker["ask1Price"], ticker["ask1Size"]] == book["a"][0]
    assert "fundingRate" not in ticker
    assert Decimal(ticker["lastPrice"]) < Decimal(linear["lastPrice"])
    assert all(Decimal(price) % Decimal("0.1") == 0 and "." in price for price, _ in book["a"] + book["b"])


async def test_klines_and_recent_trades_of_spot_have_their_shapes(client: Any) -> None:
    kline = (await client.get("kline", **SPOT, interval="60", limit=3))["result"]
    assert (kline["category"], len(kline["list"])) == ("spot", 3)
    trades = (await client.get("recent-trade", **SPOT, limit=60))["result"]
    assert (trades["category"], len(trades["list"])) == ("spot", 60)
    assert (await client.get("recent-trade", **SPOT, limit=61))["retCode"] == 10001


async def heard(client: Any, *topics: str) -> dict[str, Any]:
    """The acknowledgement and the first message of every topic."""
    first: dict[str, Any] = {}
    async with client.session.ws_connect(f"ws://127.0.0.1:{client.port}/v5/public/spot") as socket:
        await socket.send_json({"req_id": "s", "op": "subscribe", "args": list(topics)})
        while len(first) <= len(topics):
            message = await socket.receive_json(timeout=3)
            first.setdefault(message.get("topic", "ack"), message)
    return first


async def test_a_subscription_is_acknowledged_in_the_words_of_spot(client: Any) -> None:
    ack = (await heard(client, "tickers.BTCUSDT"))["ack"]
    assert (ack["success"], ack["ret_msg"], ack["req_id"], ack["op"]) == (True, "subscribe", "s", "subscribe")


async def test_the_spot_topics_have_their_shapes(client: Any) -> None:
    topics = (
        "tickers.BTCUSDT",
        "orderbook.1.BTCUSDT",
        "orderbook.50.BTCUSDT",
        "publicTrade.BTCUSDT",
        "kline.1.BTCUSDT",
    )
    first = await heard(client, *topics)
    assert {first[topic]["type"] for topic in topics} == {"snapshot"}
    assert set(first["tickers.BTCUSDT"]["data"]) == {
        "symbol", "lastPrice", "highPrice24h", "lowPrice24h", "prevPrice24h", "volume24h", "turnover24h",
        "price24hPcnt", "usdIndexPrice",
    }  # fmt: skip
    assert set(first["publicTrade.BTCUSDT"]["data"][0]) == {"T", "s", "S", "v", "p", "i", "BT", "RPI", "seq"}
    assert [len(first[topic]["data"]["b"]) for topic in topics[1:3]] == [1, 50]


async def test_a_request_takes_at_most_ten_topics(client: Any) -> None:
    topics = [f"kline.{minutes}.{symbol}" for symbol in SYMBOLS for minutes in (1, 3, 5, 15)]
    async with client.session.ws_connect(f"ws://127.0.0.1:{client.port}/v5/public/spot") as socket:
        await socket.send_json({"op": "subscribe", "args": topics[:11]})
        refusal = await socket.receive_json(timeout=2)
        assert (refusal["success"], refusal["ret_msg"]) == (False, "args size >10")
        await socket.send_json({"op": "subscribe", "args": topics[:10]})
        assert (await socket.receive_json(timeout=2))["success"]


async def test_the_two_public_streams_do_not_share_topics(client: Any) -> None:
    spot = await heard(client, "orderbook.1.BTCUSDT")
    async with client.stream() as socket:
        await socket.send_json({"op": "subscribe", "args": ["orderbook.1.BTCUSDT"]})
        await socket.receive_json(timeout=2)
        linear = await socket.receive_json(timeout=2)
    asks = [message["data"]["a"][0][0] for message in (spot["orderbook.1.BTCUSDT"], linear)]
    assert [len(ask.partition(".")[2]) for ask in asks] == [1, 2]
