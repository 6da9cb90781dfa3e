"""Markets from CSV files: what is read, what is refused, and how the price walks."""

import gzip
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_kit import until
from stream_kit import a_venue

from simulator.bars import bars, write_csv
from simulator.cli import main
from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.feeds import feed_for
from simulator.market import LIVE_ORIGIN_MS
from simulator.process import HOUR_MS, MINUTE_MS, SLOT_MS, Bar, aggregate
from simulator.replay import Replay, ReplayMarket
from simulator.server import ServerConfig, serving
from simulator.symbols import INSTRUMENTS
from simulator.tape_files import TapeError, moment_ms, read_bars, read_trades
from simulator.tapes import BarTape, TapeTrade, TradeTape

BTC = INSTRUMENTS["BTCUSDT"]
FILE_MS = 1_672_531_200_000
"""2023-01-01T00:00Z."""
NOW_MS = LIVE_ORIGIN_MS + 1_200 * HOUR_MS + 37 * MINUTE_MS + 11_111
"""37 minutes and some seconds into an hour."""
BARS = [(100.0, 130.0, 90.0, 120.0, 24.0), (121.0, 125.0, 101.0, 103.5, 0.004), (103.5, 103.5, 103.5, 103.5, 0.0)]


def tape_of(rows: list[tuple[float, float, float, float, float]], step_ms: int = HOUR_MS, gap_at: int = -1) -> BarTape:
    """Bars one behind the other, with two missing in front of the one at `gap_at`."""
    made = []
    for place, (opening, high, low, close, volume) in enumerate(rows):
        steps = place + 2 if 0 <= gap_at <= place else place
        made.append(
            Bar(open_time_ms=FILE_MS + steps * step_ms, open=opening, high=high, low=low, close=close, volume=volume)
        )
    return BarTape(BTC, made, step_ms)


def market_of(tape: BarTape | TradeTape, start_ms: int = NOW_MS, from_ms: int | None = None) -> ReplayMarket:
    return Replay(symbol="BTCUSDT", tape=tape, from_ms=from_ms).market(BTC, start_ms)


def candles(market: ReplayMarket, minutes: int, at_ms: int, hours: int = 30) -> list[Bar]:
    return market.candles(interval_minutes=minutes, first_ms=at_ms - hours * HOUR_MS, last_ms=at_ms, at_ms=at_ms)


def prices_of(bar: Bar) -> tuple[float, float, float, float, float]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


@st.composite
def rows(draw: Any) -> list[tuple[float, float, float, float, float]]:
    """Bars on ticks of 0.1 and steps of 0.001, each any shape."""
    made = []
    for _ in range(draw(st.integers(2, 5))):
        ticks = sorted(draw(st.lists(st.integers(10_000, 12_000), min_size=4, max_size=4)))
        low, first, second, high = (tick / 10 for tick in ticks)
        opening, close = (first, second) if draw(st.booleans()) else (second, first)
        made.append((opening, high, low, close, draw(st.integers(0, 2_000_000)) / 1_000))
    return made


@given(rows=rows(), gap_at=st.sampled_from([-1, 1, 2, 4]), step=st.sampled_from([1, 5, 60]))
@settings(max_examples=60, deadline=None)
def test_the_candles_of_a_replay_are_the_bars_of_its_file(rows: list[Any], gap_at: int, step: int) -> None:
    tape = tape_of(rows, step * MINUTE_MS, gap_at)
    market = market_of(tape)
    at_ms = NOW_MS + 8 * step * MINUTE_MS
    told = {bar.open_time_ms: prices_of(bar) for bar in candles(market, step, at_ms)}
    first = NOW_MS // (step * MINUTE_MS) * step * MINUTE_MS
    assert min(told) == first
    closes = rows[0][0]
    opens = {(place + 2 if 0 <= gap_at <= place else place): row for place, row in enumerate(rows)}
    for place in range(len(told)):
        expected = opens.get(place, (closes, closes, closes, closes, 0.0))
        assert told[first + place * step * MINUTE_MS] == expected
        closes = expected[3]


@given(rows=rows(), minutes=st.sampled_from([1, 3, 15, 30]))
@settings(max_examples=40, deadline=None)
def test_shorter_candles_add_up_to_the_bar_and_hang_together(rows: list[Any], minutes: int) -> None:
    market = market_of(tape_of(rows))
    begins = NOW_MS // HOUR_MS * HOUR_MS
    short = [bar for bar in candles(market, minutes, begins + HOUR_MS) if bar.open_time_ms < begins + HOUR_MS]
    assert len(short) == 60 // minutes
    total = aggregate(short)
    assert (total.open, total.high, total.low, total.close) == rows[0][:4]
    assert total.volume == pytest.approx(rows[0][4])
    assert all(after.open == before.close for before, after in pairwise(short))


@given(rows=rows(), offsets=st.lists(st.integers(0, 2 * HOUR_MS), min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_the_open_candle_ends_at_the_price_and_the_price_keeps_within_its_bar(
    rows: list[Any], offsets: list[int]
) -> None:
    market = market_of(tape_of(rows))
    begins = NOW_MS // HOUR_MS * HOUR_MS
    for offset in offsets:
        at_ms = begins + offset
        for minutes in (1, 60):
            assert candles(market, minutes, at_ms)[-1].close == market.price(at_ms)
        place = min(offset // HOUR_MS, len(rows) - 1)
        assert rows[place][2] <= market.price(at_ms) <= rows[place][1]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((100.0, 130.0, 90.0, 120.0, 1.0), [100.0, 90.0, 130.0, 120.0]),
        ((120.0, 130.0, 90.0, 100.0, 1.0), [120.0, 130.0, 90.0, 100.0]),
    ],
)
def test_a_bar_that_rose_goes_by_its_low_first_and_one_that_fell_by_its_high(row: Any, expected: list[float]) -> None:
    market = market_of(tape_of([row, row]), start_ms=NOW_MS // HOUR_MS * HOUR_MS)
    begins = NOW_MS // HOUR_MS * HOUR_MS
    turns = [begins + third * HOUR_MS // 3 - SLOT_MS for third in (1, 2, 3)]
    assert [candles(market, 60, begins)[-1].open, *(market.price(at_ms) for at_ms in turns)] == expected


def test_trades_of_bars_add_up_to_their_volume_and_stop_where_the_file_does() -> None:
    market = market_of(tape_of(BARS, gap_at=1))
    begins = NOW_MS // HOUR_MS * HOUR_MS
    hours = [market.trades(after_ms=begins + h * HOUR_MS - 1, at_ms=begins + (h + 1) * HOUR_MS - 1) for h in range(6)]
    assert [sum(trade.qty for trade in trades) for trades in hours] == pytest.approx([24.0, 0, 0, 0.004, 0, 0])
    assert len({trade.trade_id for trades in hours for trade in trades}) == sum(map(len, hours)) > 4
    for trade in hours[0]:
        assert trade.price == market.price(trade.at_ms)


def test_a_replay_ends_by_standing_still() -> None:
    market = market_of(tape_of(BARS))
    end_ms = NOW_MS + 10 * HOUR_MS
    assert market.price(end_ms) == 103.5
    assert market.trades(after_ms=end_ms - HOUR_MS, at_ms=end_ms) == []
    assert market.book(end_ms, 5).bids.levels
    assert prices_of(candles(market, 60, end_ms)[-1]) == (103.5, 103.5, 103.5, 103.5, 0.0)


def test_what_is_before_the_chosen_moment_is_history() -> None:
    tape = tape_of(BARS)
    market = market_of(tape, from_ms=FILE_MS + 2 * HOUR_MS + 5)
    opens = NOW_MS // HOUR_MS * HOUR_MS
    told = candles(market, 60, NOW_MS)
    assert [bar.open_time_ms for bar in told] == [opens - 2 * HOUR_MS, opens - HOUR_MS, opens]
    assert [prices_of(bar) for bar in told[:2]] == BARS[:2]


@pytest.mark.parametrize("from_ms", [FILE_MS - 1, FILE_MS + 3 * HOUR_MS])
def test_a_replay_cannot_begin_outside_its_file(from_ms: int) -> None:
    with pytest.raises(ValueError, match="cannot begin at"):
        market_of(tape_of(BARS), from_ms=from_ms)


def some_trades() -> TradeTape:
    told = [
        (0, 20_000.0, 0.5, True),
        (100, 20_001.0, 0.25, False),
        (100, 20_002.0, 1e-6, True),
        (61_000, 19_990.0, 1.0, False),
    ]
    return TradeTape(
        BTC,
        [
            TapeTrade(number=number, at_ms=FILE_MS + at_ms, price=price, qty=qty, buy=buy)
            for number, (at_ms, price, qty, buy) in enumerate(told)
        ],
    )


def test_trades_are_told_once_each_with_their_own_sides_and_times() -> None:
    market = market_of(some_trades())
    told = []
    for at_ms in range(NOW_MS, NOW_MS + 62_000, 333):
        told += market.trades(after_ms=at_ms - 333, at_ms=at_ms)
    assert [(trade.at_ms - NOW_MS, trade.price, trade.buy) for trade in told] == [
        (0, 20_000.0, True), (100, 20_001.0, False), (100, 20_002.0, True), (61_000, 19_990.0, False),
    ]  # fmt: skip
    assert len({trade.trade_id for trade in told}) == 4
    assert [trade.qty for trade in told] == [0.5, 0.25, 0.001, 1.0]


def test_the_candles_of_trades_hold_them_and_stand_still_without() -> None:
    market = market_of(some_trades())
    last = candles(market, 1, NOW_MS + 3 * MINUTE_MS)
    assert prices_of(last[0]) == (20_000.0, 20_002.0, 20_000.0, 20_002.0, 0.751)
    assert prices_of(last[1]) == (19_990.0, 19_990.0, 19_990.0, 19_990.0, 1.0)
    assert prices_of(last[2]) == (19_990.0, 19_990.0, 19_990.0, 19_990.0, 0.0)
    assert market.price(NOW_MS - HOUR_MS) == 20_000.0


def test_the_price_moves_from_slot_to_slot_only() -> None:
    market = market_of(some_trades(), start_ms=NOW_MS // SLOT_MS * SLOT_MS + 100)
    slot = NOW_MS // SLOT_MS * SLOT_MS + SLOT_MS
    assert len({market.price(slot + ms) for ms in range(SLOT_MS)}) == 1


@given(factor=st.floats(0.5, 2.0), minutes=st.integers(1, 90))
@settings(max_examples=30, deadline=None)
def test_a_jump_moves_what_is_quoted_from_then_on(factor: float, minutes: int) -> None:
    rows = [(20_000.0, 20_100.0, 19_900.0, 20_050.0, 5.0)] * 3
    calm, jumped = market_of(tape_of(rows)), market_of(tape_of(rows))
    at_ms = NOW_MS + minutes * MINUTE_MS
    jumped.jump(factor, at_ms)
    assert jumped.price(at_ms - 1) == calm.price(at_ms - 1)
    assert jumped.price(at_ms) == pytest.approx(calm.price(at_ms) * factor, abs=0.06)
    for bar in candles(jumped, 60, at_ms + HOUR_MS):
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high


def test_the_bars_that_the_simulator_writes_are_read_back_as_they_were(tmp_path: Path) -> None:
    written = list(bars(instrument=BTC, interval_minutes=15, count=50, seed=3))
    with (tmp_path / "bars.csv").open("w") as out:
        write_csv(out, BTC, written)
    tape = read_bars(tmp_path / "bars.csv", BTC)
    assert (tape.first_ms, tape.grid_ms) == (written[0].open_time_ms, 15 * MINUTE_MS)
    told = [tape.span(bar.open_time_ms, bar.open_time_ms + tape.grid_ms - 1) for bar in written]
    assert [(bar.open_time_ms, *prices_of(bar)[:4]) for bar in told] == [
        (bar.open_time_ms, *prices_of(bar)[:4]) for bar in written
    ]
    assert [bar.volume for bar in told] == pytest.approx([bar.volume for bar in written])


GOOD_BARS = (
    "open_time_ms,open,high,low,close,volume,rsi\n"
    f"{FILE_MS},200,210,190,205,1,\n"
    f"{FILE_MS + HOUR_MS},205,206,204,205,0,5\n"
)


def test_a_gzipped_file_with_other_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(gzip.compress(GOOD_BARS.encode("utf-8-sig")))
    assert read_bars(path, BTC).last_ms == FILE_MS + 2 * HOUR_MS - 1


TRADES = {
    "ours": ["time,price,qty,side", "1672531200000,20000,0.5,Buy", "1672531200000,20000,0.5,SELL"],
    "makers": [
        "timestamp,trade_id,price,quantity,buyer_maker",
        "2023-01-01 00:00:00.000+00:00,7,20000,0.5,False",
        "2023-01-01T00:00:00Z,8,20000,0.5,True",
    ],
    "seconds": [
        ",timestamp,id,type,side,price,amount",
        "0,1672531200,7,,buy,20000,0.5",
        "1,1672531200.000,8,,sell,20000,0.5",
    ],
}


@pytest.mark.parametrize("form", TRADES)
def test_trades_are_read_in_the_forms_that_exchanges_publish(tmp_path: Path, form: str) -> None:
    path = tmp_path / "trades.csv"
    path.write_text("\n".join(TRADES[form]))
    trades = read_trades(path, BTC).trades(FILE_MS - 1, FILE_MS)
    assert [(trade.at_ms, trade.price, trade.qty) for trade in trades] == [(FILE_MS, 20_000.0, 0.5)] * 2
    assert [trade.buy for trade in trades] == [True, False]


HEADER = "open_time_ms,open,high,low,close,volume\n"
ROW = f"{FILE_MS},200,210,190,205,1\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "line 1: the header must name open_time_ms"),
        ("unix,date,open\n1,2,3\n", "line 1: the header must name open_time_ms; it has unix,date,open"),
        (HEADER, "at least two bars are needed, got 0"),
        (HEADER + ROW, "at least two bars are needed, got 1"),
        (HEADER + ROW + f"{FILE_MS + HOUR_MS},200,210,190\n", "line 3: 4 columns where the header has more"),
        (HEADER + ROW + "\n" + ROW, "line 3: 0 columns"),
        (HEADER + ROW + f"{FILE_MS},200,210,190,205,1\n", "line 3: open_time_ms must be later"),
        (HEADER + ROW + f"{FILE_MS - HOUR_MS},200,210,190,205,1\n", "line 3: open_time_ms must be later"),
        (HEADER + "2023-01-01,200,210,190,205,1\n", "line 2: open_time_ms must be Unix milliseconds"),
        (HEADER + f"{FILE_MS}000,200,210,190,205,1\n", "line 2: open_time_ms must be Unix milliseconds"),
        (HEADER + f"{FILE_MS},nan,210,190,205,1\n", "line 2: open must be 100 to"),
        (HEADER + f"{FILE_MS},,210,190,205,1\n", "line 2: open must be a number, got ''"),
        (HEADER + f"{FILE_MS},200,inf,190,205,1\n", "line 2: high must be"),
        (HEADER + f"{FILE_MS},20,21,19,20,1\n", "line 2: open must be 100 to"),
        (HEADER + f"{FILE_MS},200,210,190,205,-1\n", "line 2: volume must be 0 to"),
        (HEADER + f"{FILE_MS},200,204,190,205,1\n", "line 2: low and high must enclose"),
        (HEADER + f"{FILE_MS},200,210,201,205,1\n", "line 2: low and high must enclose"),
        (HEADER + ROW + f"{FILE_MS + 7 * MINUTE_MS},200,210,190,205,1\n", "bars of 7 minutes are not replayed"),
        (
            HEADER + "".join(f"{FILE_MS + ms},200,210,190,205,1\n" for ms in (0, HOUR_MS, 2 * HOUR_MS + 60_000)),
            "line 4: open_time_ms must be a multiple of 3600000",
        ),
        (HEADER + ROW + '"' + "x" * 200_000, "behind line 2: field larger"),
    ],
)  # fmt: skip
def test_what_are_no_bars_is_refused_with_its_line(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TapeError) as refusal:
        read_bars(path, BTC)
    assert str(refusal.value).startswith(f"{path}")
    assert error in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("price,qty,side\n", "line 1: the header must name time or timestamp"),
        ("time,price,qty,side\n", "there is no trade in it"),
        ("time,price,qty,side\nsoon,20000,1,buy\n", "line 2: Invalid isoformat"),
        ("time,price,qty,side\n9999999999999999,20000,1,buy\n", "line 2: '9999999999999999' is no time"),
        ("time,price,qty,side\n1672531200000,20000,0,buy\n", "line 2: qty must be above 0"),
        ("time,price,qty,side\n1672531200000,20000,1,hold\n", "line 2: side must be buy or sell, got 'hold'"),
        ("time,price,qty,side\n1672531200000,0,1,buy\n", "line 2: price must be"),
        ("time,price,qty,side\n1672531200001,200,1,buy\n1672531200000,200,1,buy\n", "line 3: time must not be earlier"),
    ],
)  # fmt: skip
def test_what_are_no_trades_is_refused_with_its_line(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TapeError) as refusal:
        read_trades(path, BTC)
    assert error in str(refusal.value)


@pytest.mark.parametrize("content", [b"\x1f\x8bnot gzip", b"\x1f\x8b\x08\x00", b"open_time_ms,\xff\xfe", b"\x00" * 10])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(TapeError):
        read_bars(path, BTC)


@given(text=st.text(max_size=40))
@settings(max_examples=200)
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert 0 <= moment_ms(text) < 4_102_444_800_000
    except ValueError:
        return


def test_a_replay_takes_the_place_of_one_symbol_and_spot_follows_it() -> None:
    clock = MarketClock(wall=lambda: NOW_MS)
    replay = Replay(symbol="BTCUSDT", tape=tape_of([(20_000.0, 20_000.0, 20_000.0, 20_000.0, 5.0)] * 2))
    exchange = Exchange(seed=7, symbols=["BTCUSDT", "ETHUSDT"], clock=clock, replay=replay)
    plain = Exchange(seed=7, symbols=["ETHUSDT"], clock=clock)
    assert exchange.markets["BTCUSDT"].price(NOW_MS) == 20_000.0
    assert exchange.spot["BTCUSDT"].price(NOW_MS) == 19_996.0
    assert exchange.markets["ETHUSDT"].price(NOW_MS) == plain.markets["ETHUSDT"].price(NOW_MS)
    with pytest.raises(ValueError, match="must be one of ETHUSDT"):
        Exchange(seed=7, symbols=["ETHUSDT"], clock=clock, replay=replay)


def test_a_replay_alone_needs_no_particular_year() -> None:
    replay = Replay(symbol="BTCUSDT", tape=tape_of(BARS))
    exchange = Exchange(seed=7, symbols=["BTCUSDT"], clock=MarketClock(wall=lambda: FILE_MS), replay=replay)
    assert exchange.day("BTCUSDT").open == 100.0


def test_every_topic_of_a_replay_has_its_feed() -> None:
    clock = MarketClock(wall=lambda: NOW_MS)
    tape = tape_of([(20_000.0, 20_100.0, 19_900.0, 20_050.0, 500.0)] * 3)
    exchange = Exchange(seed=7, symbols=["BTCUSDT"], clock=clock, replay=Replay(symbol="BTCUSDT", tape=tape))
    for category in ("linear", "spot"):
        for topic in ("orderbook.50", "tickers", "publicTrade", "kline.60"):
            feed = feed_for(f"{topic}.BTCUSDT", exchange, NOW_MS, category)
            assert feed is not None
            assert [message for second in range(1, 60) for message in feed.due(NOW_MS + second * 1_000)]


def test_an_order_on_a_replayed_market_is_filled_at_its_prices() -> None:
    tape = tape_of([(20_000.0, 20_000.0, 20_000.0, 20_000.0, 5.0)] * 2)
    venue = a_venue(replay=Replay(symbol="BTCUSDT", tape=tape))
    venue.order()
    [fill] = venue.local.engine.all_executions(1)
    assert float(fill.price) == pytest.approx(20_000.0, rel=0.001)


async def test_a_replay_goes_faster_with_the_clock() -> None:
    rows = [(20_000.0 + hour, 20_001.0 + hour, 20_000.0 + hour, 20_001.0 + hour, 5.0) for hour in range(200)]
    replay = Replay(symbol="BTCUSDT", tape=tape_of(rows))
    config = ServerConfig(seed=7, symbols=["BTCUSDT"], replay=replay, speed=3_600.0)
    async with serving(config) as server:
        market, clock = server.local.exchange.markets["BTCUSDT"], server.local.clock
        await until(lambda: market.price(clock.market_ms()) > 20_001.0)


async def test_a_replay_is_served_over_rest(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(GOOD_BARS)
    replay = Replay(symbol="BTCUSDT", tape=read_bars(path, BTC), from_ms=FILE_MS + HOUR_MS)
    async with (
        serving(ServerConfig(seed=7, symbols=["BTCUSDT"], replay=replay)) as server,
        aiohttp.ClientSession() as session,
    ):
        query = {"category": "linear", "symbol": "BTCUSDT", "interval": "60"}
        url = f"http://127.0.0.1:{server.port}/v5/market/kline"
        async with session.get(url, params=query) as answer:
            newest, oldest = (await answer.json())["result"]["list"]
    assert oldest[1:6] == ["200.00", "210.00", "190.00", "205.00", "1.000"]
    assert newest[1] == "205.00"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--replay-bars", "no-such-file.csv"], "no-such-file.csv"),
        (["--replay-trades", "bars.csv"], "bars.csv line 1: the header must name time"),
        (["--replay-from", "2023-01-01"], "--replay-from needs"),
    ],
)
def test_a_replay_that_cannot_be_is_told_like_a_wrong_argument(
    arguments: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bars.csv").write_text(GOOD_BARS)
    named = [str(tmp_path / word) if word.endswith(".csv") else word for word in arguments]
    assert main(["serve", *named]) == 2
    assert error in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["--replay-from", "soon"], ["--replay-symbol", "DOGEUSDT"], ["--replay-bars", "a", "--replay-trades", "b"]],
)
def test_a_wrong_option_of_a_replay_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["serve", *arguments])
    assert stopped.value.code == 2
    assert "--replay" in capsys.readouterr().err


def test_a_start_outside_the_file_stops_the_server_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(GOOD_BARS)
    run = subprocess.run(
        [sys.executable, "-m", "simulator", "serve", "--replay-bars", path, "--replay-from", "2022-01-01"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "cannot begin at" in run.stderr
    assert "Traceback" not in run.stderr
