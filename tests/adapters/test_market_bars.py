"""Closed bars: from the simulator's klines, and from answers that are late, corrected or bad."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web
from bybit_kit import BTC, ETH, a_market, config, until
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.clock import SystemClock
from gateway.adapters.market_bybit.bars import KeptBars
from gateway.adapters.market_bybit.messages import BadMessageError, parse_klines
from gateway.core.bars import is_fresh
from gateway.core.model import Bar, Symbol
from simulator.server import running

MINUTE_MS = 60_000


def kline(open_ms: int, close: str = "100.5", **changes: str) -> list[str]:
    columns = {"start": str(open_ms), "open": "100", "high": "101", "low": "99.5", "close": close, "volume": "12.5"}
    return [*(columns | changes).values(), "1250"]


def klines(*rows: Any, time: Any = 10 * MINUTE_MS, **changes: Any) -> dict[str, Any]:
    """A kline answer of one-minute bars, newest first, at the end of the tenth minute."""
    result = {"symbol": "BTCUSDT", "category": "linear", "list": list(rows)}
    return {"retCode": 0, "retMsg": "OK", "result": result, "time": time} | changes


def opened(bars: Any) -> list[int]:
    return [bar.open_time_ms // MINUTE_MS for bar in bars]


def test_a_bar_is_closed_from_its_end_on_by_the_exchanges_clock() -> None:
    rows = [kline(minute * MINUTE_MS) for minute in (9, 8)]
    assert opened(parse_klines(BTC, 60, klines(*rows)).bars) == [9, 8]
    assert opened(parse_klines(BTC, 60, klines(*rows, time=10 * MINUTE_MS - 1)).bars) == [8]


def test_a_bar_is_read_as_floats() -> None:
    assert parse_klines(BTC, 60, klines(kline(0))).bars == [
        Bar(open_time_ms=0, open=100.0, high=101.0, low=99.5, close=100.5, volume=12.5)
    ]


def test_a_bar_without_a_trade_is_a_bar() -> None:
    flat = kline(0, close="100", open="100", high="100", low="100", volume="0")
    assert parse_klines(BTC, 60, klines(flat)).bars[0].volume == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        klines(retCode=10001),
        klines(result={}),
        klines(result=None),
        klines(result={"symbol": "ETHUSDT", "list": []}),
        klines(result={"symbol": "BTCUSDT", "list": "none"}),
        klines(*[kline(0)] * 1001),
        klines(time=None),
        klines(time="600000"),
        klines(time=-1),
        klines(7),
        klines(kline(0)[:6]),
        klines(kline(0), kline(0)),
        klines(kline(11 * MINUTE_MS)),
        klines(kline(1)),
        klines(kline(0, start="0.5")),
        klines(kline(0, start="-60000")),
        klines(kline(0, low="0")),
        klines(kline(0, close="NaN")),
        klines(kline(0, close="1e2")),
        klines(kline(0, volume="-1")),
        klines(kline(0, volume="")),
        klines(kline(0, close="101.1")),
        klines(kline(0, close="99.4")),
        klines(kline(0, open="101.1")),
        klines(kline(0, high="99")),
    ],
)
def test_bars_that_cannot_be_read_are_refused(answer: Any) -> None:
    with pytest.raises(BadMessageError):
        parse_klines(BTC, 60, answer)


def bars_of(*minutes: int, close: float = 100.0) -> list[Bar]:
    return [
        Bar(open_time_ms=minute * MINUTE_MS, open=100.0, high=101.0, low=99.0, close=close, volume=1.0)
        for minute in minutes
    ]


def test_bars_are_kept_in_order_with_their_gaps_and_a_corrected_one_replaces() -> None:
    kept = KeptBars(60)
    assert kept.series() is None
    kept.merge(bars_of(7, 5, 3))
    kept.merge(bars_of(6, 5, close=99.5))
    series = kept.series()
    assert series is not None
    assert (series.bar_seconds, opened(series.bars)) == (60, [3, 5, 6, 7])
    assert [bar.close for bar in series.bars] == [100.0, 99.5, 99.5, 100.0]
    kept.merge(bars_of(7))
    assert kept.series() is series


def test_at_most_a_thousand_bars_are_kept_the_newest() -> None:
    kept = KeptBars(60)
    kept.merge(bars_of(*range(1000)))
    kept.merge(bars_of(1000, 1001))
    series = kept.series()
    assert series is not None
    assert (len(series.bars), opened(series.bars)[0], opened(series.bars)[-1]) == (1000, 2, 1001)


def test_the_newest_bars_are_asked_for_again() -> None:
    kept = KeptBars(60)
    assert (kept.reread_from_ms(), kept.has_closed_by(0)) == (None, False)
    kept.merge(bars_of(7, 8, 9))
    assert kept.reread_from_ms() == 5 * MINUTE_MS
    assert (kept.has_closed_by(11 * MINUTE_MS - 1), kept.has_closed_by(11 * MINUTE_MS)) == (True, False)


@given(batches=st.lists(st.lists(st.tuples(st.integers(0, 50), st.sampled_from([99.5, 100.5])), max_size=20)))
def test_kept_bars_rise_and_hold_what_came_last(batches: list[list[tuple[int, float]]]) -> None:
    kept, newest = KeptBars(60), dict[int, float]()
    for batch in batches:
        kept.merge(bar for minute, close in batch for bar in bars_of(minute, close=close))
        newest |= dict(batch)
    series = kept.series()
    assert (dict(zip(opened(series.bars), (bar.close for bar in series.bars), strict=True)) if series else {}) == newest
    assert series is None or opened(series.bars) == sorted(newest)


async def test_three_hundred_closed_bars_and_more_of_every_symbol_arrive() -> None:
    async with running(config()) as port, a_market(port) as market:
        await until(lambda: market.bars(BTC) and market.bars(ETH))
        series, now_ms = market.bars(BTC), SystemClock().now_ms()
        assert series is not None
        assert is_fresh(series, now_ms)
        assert 300 <= len(series.bars) <= 1000
        assert series.bars[-1].open_time_ms + MINUTE_MS <= now_ms
        steps = {after.open_time_ms - before.open_time_ms for before, after in pairwise(series.bars)}
        assert steps == {MINUTE_MS}
        assert market.bars(Symbol("DOGEUSDT")) is None


class FaultyRest:
    """A market's REST whose kline answers are told to it; it is asked nothing else in earnest."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[dict[str, str]] = []

    async def kline(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        answer = self.answers[request.query["symbol"]]
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.Response(text=answer if isinstance(answer, str) else json.dumps(answer))


@asynccontextmanager
async def faulty_rest() -> AsyncIterator[tuple[int, FaultyRest]]:
    rest = FaultyRest()
    application = web.Application()
    application.add_routes([web.get("/v5/market/kline", rest.kline)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1], rest
    finally:
        await runner.cleanup()


def of_symbol(symbol: Symbol, answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"result": answer["result"] | {"symbol": symbol}}


@pytest.mark.parametrize("bad", ["{", 500, 403, klines(kline(0, close="NaN")), klines(retCode=10006), "x" * (1 << 21)])
async def test_a_bad_answer_costs_no_other_symbol_and_is_asked_for_again(bad: Any) -> None:
    async with faulty_rest() as (port, rest):
        rest.answers = {BTC: bad, ETH: of_symbol(ETH, klines(kline(9 * MINUTE_MS)))}
        async with a_market(port) as market:
            await until(lambda: market.bars(ETH))
            assert market.bars(BTC) is None
            rest.answers[BTC] = klines(kline(9 * MINUTE_MS))
            await until(lambda: market.bars(BTC))


async def test_bars_that_are_known_stay_while_answers_are_bad() -> None:
    async with faulty_rest() as (port, rest):
        rest.answers = {BTC: klines(kline(8 * MINUTE_MS))}
        async with a_market(port, BTC) as market:
            await until(lambda: market.bars(BTC))
            rest.answers = {BTC: klines(7)}
            await until(lambda: len(rest.asked) >= 3)
            series = market.bars(BTC)
            assert series is not None
            assert opened(series.bars) == [8]


async def test_a_bar_that_has_closed_and_is_not_there_yet_is_asked_for_until_it_is() -> None:
    async with faulty_rest() as (port, rest):
        rest.answers = {BTC: klines(kline(8 * MINUTE_MS))}
        async with a_market(port, BTC) as market:
            await until(lambda: market.bars(BTC))
            rest.answers = {BTC: klines(kline(9 * MINUTE_MS), kline(8 * MINUTE_MS, close="100.25"))}
            await until(lambda: len(rest.asked) >= 2)
            await until(lambda: opened(market.bars(BTC).bars) == [8, 9])  # type: ignore[union-attr] - there are
            assert market.bars(BTC).bars[0].close == 100.25  # type: ignore[union-attr]
        first, second = rest.asked[:2]
        assert first == {"category": "linear", "symbol": "BTCUSDT", "interval": "1", "limit": "1000"}
        assert second == first | {"start": str(4 * MINUTE_MS)}


async def test_a_day_is_named_as_bybit_names_it() -> None:
    async with faulty_rest() as (port, rest):
        rest.answers = {BTC: klines()}
        async with a_market(port, BTC, bar_minutes=1440):
            await until(lambda: rest.asked)
        assert rest.asked[0]["interval"] == "D"
