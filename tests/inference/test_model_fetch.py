"""Klines fetched through pybit: from the project's simulator, and from a server with every fault that is known."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from inference.train.bars import DataFaultError, read_market
from inference.train.fetch import BannedError, Endpoint, FetchFaultError, Klines, Series
from inference.train.pages import Shelf, Span, fetch_market, missing_spans
from simulator.server import ServerConfig, running

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NOW_MS = 1_700_000_000_000
FIRST_MS, LAST_MS = NOW_MS // HOUR_MS * HOUR_MS - 2_500 * HOUR_MS, NOW_MS // HOUR_MS * HOUR_MS
BTC = Series(symbol="BTCUSDT")

Answer = Callable[["Exchange", web.Request], Awaitable[web.StreamResponse | None]]


def row(opened_ms: int) -> list[str]:
    """A bar of a price that depends on the moment alone."""
    price = 40_000 + (opened_ms // HOUR_MS * 7919) % 1000
    return [str(opened_ms), str(price), str(price + 40), str(price - 30), str(price + 10), str(price % 97 + 1), "0"]


@dataclass
class Exchange:
    """Bybit's kline endpoint, newest first, the open bar included; its faults are answered one after the other."""

    first_ms: int = FIRST_MS
    missing: range = range(0)
    faults: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    pages_before_gate: int = 10_000

    async def time(self, request: web.Request) -> web.Response:
        return self.answer({"timeSecond": str(NOW_MS // 1000), "timeNano": str(NOW_MS * 1_000_000)})

    async def kline(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if len(self.asked) > self.pages_before_gate:
            self.waiting.set()
            await self.gate.wait()
        if self.faults:
            told = await self.faults.pop(0)(self, request)
            if told is not None:
                return told
        return self.klines(self.rows(request))

    def rows(self, request: web.Request) -> list[list[str]]:
        end = min(int(request.query.get("end", NOW_MS)), NOW_MS)
        start = max(int(request.query.get("start", 0)), self.first_ms)
        opened = range(-(-start // HOUR_MS) * HOUR_MS, end + 1, HOUR_MS)
        kept = [at for at in opened if at not in self.missing]
        return [row(at) for at in reversed(kept)][: int(request.query["limit"])]

    def klines(self, rows: list[list[str]]) -> web.Response:
        return self.answer({"symbol": "BTCUSDT", "category": "linear", "list": rows})

    def answer(self, result: Any, *, code: int = 0, **more: Any) -> web.Response:
        body = {"retCode": code, "retMsg": "", "result": result, "retExtInfo": {}, "time": NOW_MS}
        return web.json_response(body, **more)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(url=f"http://127.0.0.1:{self.port}")


@asynccontextmanager
async def serving(exchange: Exchange):
    application = web.Application()
    application.add_routes([web.get("/v5/market/time", exchange.time), web.get("/v5/market/kline", exchange.kline)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    exchange.port = runner.addresses[0][1]
    try:
        yield exchange
    finally:
        exchange.gate.set()
        await runner.cleanup()


@dataclass
class Slept:
    """A clock that does not wait."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)

    @property
    def back_offs(self) -> list[float]:
        return [seconds for seconds in self.seconds if seconds > 0.05]


def refusing(code: int, **headers: str) -> Answer:
    async def told(exchange: Exchange, _: web.Request) -> web.Response:
        return exchange.answer({}, code=code, headers=headers)

    return told


def status(number: int) -> Answer:
    async def told(_exchange: Exchange, _request: web.Request) -> web.Response:
        return web.Response(status=number, text="<html>", headers={"Location": "/v5/market/time"})

    return told


def saying(change: Callable[[list[list[str]]], list[list[str]]]) -> Answer:
    async def told(exchange: Exchange, request: web.Request) -> web.Response:
        return exchange.klines(change(exchange.rows(request)))

    return told


async def truncated(exchange: Exchange, request: web.Request) -> web.Response:
    return web.Response(text=exchange.klines(exchange.rows(request)).text[:900], content_type="application/json")


async def torn(_: Exchange, request: web.Request) -> web.StreamResponse:
    cut = web.StreamResponse(headers={"Content-Length": "5000"})
    await cut.prepare(request)
    await cut.write(b"{")
    request.transport.close()
    return cut


async def a_list(_exchange: Exchange, _request: web.Request) -> web.Response:
    return web.json_response([1])


async def fetched(
    exchange: Exchange, folder: Path, *, slept: Slept | None = None, start_ms: int = FIRST_MS, end_ms: int | None = None
) -> Any:
    klines = Klines(exchange.endpoint, sleep=slept or Slept(), wall=lambda: NOW_MS / 1000)
    return await asyncio.to_thread(
        fetch_market, klines, shelf(folder), start_ms=start_ms, end_ms=end_ms, progress=lambda *_: None
    )


def shelf(folder: Path) -> Shelf:
    return Shelf(folder=folder, series=BTC, on_this_machine=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def closes(first_ms: int, last_ms: int) -> list[float]:
    return [float(row(at)[4]) for at in range(first_ms, last_ms + 1, HOUR_MS)]


async def test_all_pages_are_fetched_and_the_open_bar_is_left_out(tmp_path: Path) -> None:
    async with serving(Exchange()) as exchange:
        market = await fetched(exchange, tmp_path)
    assert market.bars.close.tolist() == closes(FIRST_MS, LAST_MS - HOUR_MS)
    assert (market.symbol, market.simulated) == ("BTCUSDT", True)
    assert market.source == "Bybit v5 kline of a simulator on this machine, linear, BTCUSDT, 60 minutes"
    assert [int(query["limit"]) for query in exchange.asked] == [1000, 1000, 1000]
    assert names(tmp_path) == ["BTCUSDT_60_bybit-linear.parquet"]
    assert read_market(tmp_path / "BTCUSDT_60_bybit-linear.parquet").sha256 == market.sha256


async def test_an_open_bar_that_is_sent_all_the_same_is_dropped(tmp_path: Path) -> None:
    async with serving(Exchange(faults=[saying(lambda rows: [row(LAST_MS), *rows])])) as exchange:
        market = await fetched(exchange, tmp_path)
    assert int(market.bars.open_time_ms[-1]) == LAST_MS - HOUR_MS
    assert len(exchange.asked) == 3


async def test_what_a_file_holds_is_never_fetched_again_and_one_file_has_no_unasked_hole(tmp_path: Path) -> None:
    async with serving(Exchange()) as exchange:
        await fetched(exchange, tmp_path, start_ms=LAST_MS - 100 * HOUR_MS)
        asked = len(exchange.asked)
        await fetched(exchange, tmp_path, start_ms=LAST_MS - 50 * HOUR_MS)
        assert len(exchange.asked) == asked
        market = await fetched(exchange, tmp_path, end_ms=LAST_MS - 2_000 * HOUR_MS)
    assert market.bars.close.tolist() == closes(FIRST_MS, LAST_MS - HOUR_MS)
    spans = [(int(query["start"]), int(query["end"])) for query in exchange.asked[asked:]]
    assert max(end for _, end in spans) == LAST_MS - 101 * HOUR_MS
    assert sum((end - start) // HOUR_MS + 1 for start, end in spans) == 2_400


async def test_years_before_a_listing_cost_two_requests(tmp_path: Path) -> None:
    async with serving(Exchange(first_ms=LAST_MS - 500 * HOUR_MS)) as exchange:
        market = await fetched(exchange, tmp_path, start_ms=0)
    assert len(market.bars) == 500
    assert len(exchange.asked) == 3


async def test_an_outage_of_the_exchange_becomes_a_gap(tmp_path: Path) -> None:
    outage = range(LAST_MS - 2_300 * HOUR_MS, LAST_MS - 200 * HOUR_MS, HOUR_MS)
    async with serving(Exchange(missing=outage)) as exchange:
        market = await fetched(exchange, tmp_path)
    assert len(market.bars) == 2_500 - len(outage)
    assert int(np.diff(market.bars.open_time_ms).max()) == (len(outage) + 1) * HOUR_MS


async def test_a_symbol_without_bars_is_refused(tmp_path: Path) -> None:
    async with serving(Exchange(first_ms=NOW_MS)) as exchange:
        with pytest.raises(DataFaultError, match="no bars of BTCUSDT"):
            await fetched(exchange, tmp_path)


@pytest.mark.parametrize(
    "fault",
    [
        refusing(10006),
        refusing(10016),
        status(429),
        status(502),
        truncated,
        torn,
        a_list,
        saying(lambda rows: [*rows, [*rows[0][:4], "9", *rows[0][5:]]]),
        saying(lambda rows: [[*rows[0][:4], "NaN", *rows[0][5:]], *rows[1:]]),
        saying(lambda rows: [["soon", *rows[0][1:]], *rows[1:]]),
        saying(lambda rows: [rows[0][:3], *rows[1:]]),
        saying(lambda rows: [*rows, row(FIRST_MS - 5 * HOUR_MS)]),
    ],
    ids=[
        "10006", "10016", "429", "502", "truncated JSON", "cut connection", "other JSON", "contradiction", "NaN",
        "no time", "short row", "rows that were not asked for",
    ],
)  # fmt: skip
async def test_a_passing_fault_is_asked_again_after_a_pause_and_leaves_no_trace(tmp_path: Path, fault: Answer) -> None:
    slept = Slept()
    async with serving(Exchange(faults=[fault, fault])) as exchange:
        market = await fetched(exchange, tmp_path, slept=slept)
    assert market.bars.close.tolist() == closes(FIRST_MS, LAST_MS - HOUR_MS)
    assert len(exchange.asked) == 5
    assert slept.back_offs == [1.0, 2.0]


async def test_duplicated_and_shuffled_rows_are_the_same_bars(tmp_path: Path) -> None:
    shuffled = saying(lambda rows: [*rows[500:], *rows[:500], *rows[300:310]])
    async with serving(Exchange(faults=[shuffled] * 3)) as exchange:
        market = await fetched(exchange, tmp_path)
    assert market.bars.close.tolist() == closes(FIRST_MS, LAST_MS - HOUR_MS)
    assert len(exchange.asked) == 3


async def test_an_exhausted_limit_waits_for_the_time_that_the_headers_name_and_believes_no_long_one(
    tmp_path: Path,
) -> None:
    reset = {"X-Bapi-Limit-Reset-Timestamp": str(NOW_MS + 700)}
    far = {"X-Bapi-Limit-Reset-Timestamp": str(NOW_MS + 3_600_000)}
    past = {"X-Bapi-Limit-Reset-Timestamp": str(NOW_MS - 5_000)}
    slept = Slept()
    faults = [refusing(10006, **reset), refusing(10006, **far), refusing(10006, **past)]
    async with serving(Exchange(faults=faults)) as exchange:
        await fetched(exchange, tmp_path, slept=slept)
    assert [round(seconds, 3) for seconds in slept.back_offs] == [0.7, 1.0, 10.0, 2.0, 4.0]


async def test_the_last_requests_of_a_window_are_left_to_others(tmp_path: Path) -> None:
    async def nearly(exchange: Exchange, request: web.Request) -> web.Response:
        answer = exchange.klines(exchange.rows(request))
        answer.headers.update({"X-Bapi-Limit-Status": "2", "X-Bapi-Limit-Reset-Timestamp": str(NOW_MS + 900)})
        return answer

    slept = Slept()
    async with serving(Exchange(faults=[nearly])) as exchange:
        await fetched(exchange, tmp_path, slept=slept)
    assert [round(seconds, 3) for seconds in slept.back_offs] == [0.9]
    assert len(exchange.asked) == 3


async def test_after_a_403_nothing_more_is_asked_and_the_pages_are_kept(tmp_path: Path) -> None:
    async def good(_exchange: Exchange, _request: web.Request) -> None:
        return None

    async with serving(Exchange(faults=[good, status(403)])) as exchange:
        with pytest.raises(BannedError, match="wait ten minutes"):
            await fetched(exchange, tmp_path)
        assert len(exchange.asked) == 2
        await fetched(exchange, tmp_path)
    assert len(exchange.asked) == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [(refusing(10001), "retCode 10001"), (status(404), "HTTP 404"), (status(302), "redirect")],
    ids=["10001", "404", "302"],
)
async def test_what_asking_again_cannot_change_ends_at_once(tmp_path: Path, fault: Answer, said: str) -> None:
    async with serving(Exchange(faults=[fault])) as exchange:
        with pytest.raises(FetchFaultError, match=said):
            await fetched(exchange, tmp_path)
    assert len(exchange.asked) == 1


async def test_attempts_come_to_an_end_and_what_was_fetched_stays(tmp_path: Path) -> None:
    slept = Slept()
    async with serving(Exchange(faults=[refusing(10016)] * 6)) as exchange:
        with pytest.raises(FetchFaultError, match=r"no good answer in 6 attempts; the last: retCode 10016"):
            await fetched(exchange, tmp_path, slept=slept)
        assert len(exchange.asked) == 6
        assert slept.back_offs == [1.0, 2.0, 4.0, 8.0, 16.0]


async def test_an_exchange_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with serving(Exchange()) as exchange:
        pass
    with pytest.raises(FetchFaultError, match="did not answer"):
        await fetched(exchange, tmp_path)


async def test_a_page_that_is_no_market_is_refused_and_no_file_is_written(tmp_path: Path) -> None:
    swapped = saying(lambda rows: [[r[0], r[1], r[3], r[2], *r[4:]] for r in rows])
    async with serving(Exchange(faults=[swapped])) as exchange:
        with pytest.raises(DataFaultError, match=r"ohlc.*remove it|remove it"):
            await fetched(exchange, tmp_path)
    assert not shelf(tmp_path).market.exists()


async def test_a_file_of_another_source_is_never_mixed_in(tmp_path: Path) -> None:
    async with serving(Exchange()) as exchange:
        await fetched(exchange, tmp_path)
        real = Shelf(folder=tmp_path, series=BTC, on_this_machine=False)
        klines = Klines(exchange.endpoint, sleep=Slept())
        with pytest.raises(FetchFaultError, match="choose another folder"):
            await asyncio.to_thread(
                fetch_market, klines, real, start_ms=FIRST_MS, end_ms=None, progress=lambda *_: None
            )


async def test_a_run_that_was_killed_goes_on_where_it_stopped(tmp_path: Path) -> None:
    exchange = Exchange(first_ms=0, pages_before_gate=4)
    async with serving(exchange):
        command = [
            sys.executable, "-c", "import sys; from inference.train.data_cli import main; sys.exit(main(sys.argv[1:]))",
            "fetch", "BTCUSDT", "--start", "2022-12-01", "--endpoint", exchange.endpoint.url, "--out", str(tmp_path),
        ]  # fmt: skip
        killed = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        await exchange.waiting.wait()
        killed.send_signal(signal.SIGKILL)
        await killed.communicate()
        assert not shelf(tmp_path).market.exists()
        assert len(names(shelf(tmp_path).pages)) == 4
        (shelf(tmp_path).pages / ".5-6.parquet.1.unfinished").write_bytes(b"torn")
        exchange.gate.set()
        again = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await again.communicate()
    assert again.returncode == 0, err
    assert b"BTCUSDT, 8374 bars of 3600 s" in out
    assert b"BTCUSDT: 4000 of 8374 bars" in err
    starts = [int(query["start"]) for query in exchange.asked[:4] + exchange.asked[5:]]
    assert len(starts) == len(set(starts)) == 9
    assert len(read_market(shelf(tmp_path).market).bars) == 8_374


async def test_the_projects_simulator_is_fetched_as_it_says_itself(tmp_path: Path) -> None:
    async with running(ServerConfig(seed=7, symbols=["BTCUSDT"])) as port, aiohttp.ClientSession() as session:
        endpoint = Endpoint(url=f"http://127.0.0.1:{port}")
        series = Series(symbol="BTCUSDT", interval="15")
        async with session.get(
            f"{endpoint.url}/v5/market/kline?category=linear&symbol=BTCUSDT&interval=15&limit=1000"
        ) as got:
            said = {int(line[0]): float(line[4]) for line in json.loads(await got.text())["result"]["list"][1:]}
        market = await asyncio.to_thread(
            fetch_market,
            Klines(endpoint),
            Shelf(folder=tmp_path, series=series, on_this_machine=endpoint.on_this_machine),
            start_ms=min(said) - 600 * series.step_ms,
            end_ms=None,
            progress=lambda *_: None,
        )
    found = dict(zip(market.bars.open_time_ms.tolist(), market.bars.close.tolist(), strict=True))
    assert len(found) >= 1_599
    assert said.items() <= found.items()
    assert market.bars.bar_seconds == 900


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bybit.com",
        "https://api.bybit.com.evil.example",
        "https://evil.example/api.bybit.com",
        "https://user@api.bybit.com",
        "https://api.bybit.com:8443",
        "https://api-testnet.bybit.com",
        "http://10.0.0.1:80",
        "http://localhost.evil.example",
        "https://127.0.0.1",
        "http://127.0.0.1:5/path",
        "",
    ],
)
def test_an_endpoint_that_is_neither_the_exchange_nor_this_machine_is_refused(url: str) -> None:
    with pytest.raises(FetchFaultError, match="is neither"):
        Endpoint(url=url)


def test_the_exchange_is_a_real_market_and_this_machine_is_not() -> None:
    assert not Endpoint().on_this_machine
    assert not Endpoint(url="https://api.bytick.com").on_this_machine
    assert Endpoint(url="http://127.0.0.1:5").on_this_machine
    assert Endpoint(url="http://[::1]:5").on_this_machine


@pytest.mark.parametrize(
    "wrong", [{"symbol": "BTC&limit=5"}, {"symbol": "btcusdt"}, {"category": "inverse"}, {"interval": "W"}]
)
def test_a_series_that_bybit_does_not_have_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(FetchFaultError):
        Series(**({"symbol": "BTCUSDT"} | wrong))


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), max_size=8)


@given(spans, st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted))
def test_missing_spans_are_exactly_the_wanted_bars_that_no_span_answers_for(
    answered: list[list[int]], wanted: list[int]
) -> None:
    missing = missing_spans(
        Span(first_ms=wanted[0], last_ms=wanted[1]), [Span(first_ms=a, last_ms=b) for a, b in answered], 1
    )
    left = [at for span in missing for at in range(span.first_ms, span.last_ms + 1)]
    held = {at for a, b in answered for at in range(a, b + 1)}
    assert left == [at for at in range(wanted[0], wanted[1] + 1) if at not in held]


def test_one_file_of_the_model_side_knows_pybit() -> None:
    root = Path(__file__).parents[2]
    files = sorted(path for folder in ("inference", "simulator") for path in (root / folder).rglob("*.py"))
    knowing = [
        path.relative_to(root).as_posix()
        for path in files
        if "import pybit" in path.read_text() or "from pybit" in path.read_text()
    ]
    assert knowing == ["inference/train/fetch.py"]
