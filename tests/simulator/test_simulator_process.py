import hashlib
import io
import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bars import bars, write_csv
from simulator.process import (
    EDGE,
    HOUR_MS,
    Bar,
    MarketProcess,
    aggregate,
    directed_return,
    probability_up,
)
from simulator.symbols import INSTRUMENTS

BTC = INSTRUMENTS["BTCUSDT"]
BARS_COUNT = 8_000


@pytest.fixture(scope="module")
def hourly() -> list[Bar]:
    return list(bars(instrument=BTC, interval_minutes=60, count=BARS_COUNT, seed=7))


def momenta_and_returns(hourly: list[Bar]) -> list[tuple[float, float]]:
    closes = [bar.close for bar in hourly]
    return [
        (100.0 * (closes[t] / closes[t - 20] - 1.0), closes[t + 1] / closes[t] - 1.0)
        for t in range(20, len(closes) - 1)
    ]


def test_a_seed_gives_the_same_bytes_every_time() -> None:
    def text() -> str:
        out = io.StringIO()
        write_csv(out, BTC, bars(instrument=BTC, interval_minutes=60, count=200, seed=7))
        return out.getvalue()

    assert text() == text()
    assert text().startswith("open_time_ms,open,high,low,close,volume\n1577836800000,60000.00,")


def test_seed_symbol_and_origin_each_give_another_market() -> None:
    def closes(symbol: str, seed: int, origin_ms: int) -> str:
        process = MarketProcess(instrument=INSTRUMENTS[symbol], seed=seed, origin_ms=origin_ms)
        returns = [round(process.hour(hour).close / process.hour(hour).open, 4) for hour in range(30)]
        return hashlib.sha256(repr(returns).encode()).hexdigest()

    markets = {closes("BTCUSDT", 7, 0), closes("BTCUSDT", 8, 0), closes("ETHUSDT", 7, 0), closes("BTCUSDT", 7, HOUR_MS)}
    assert len(markets) == 4


def test_every_bar_holds_together_and_opens_where_the_last_one_closed(hourly: list[Bar]) -> None:
    for bar in hourly:
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
        assert bar.volume > 0
    assert all(later.open == earlier.close for earlier, later in pairwise(hourly))
    assert all(later.open_time_ms - earlier.open_time_ms == HOUR_MS for earlier, later in pairwise(hourly))
    assert all(bar.close != bar.open for bar in hourly)


@pytest.mark.parametrize("symbol", INSTRUMENTS)
def test_long_bars_are_the_aggregate_of_their_minutes_and_slots(symbol: str) -> None:
    process = MarketProcess(instrument=INSTRUMENTS[symbol], seed=3, origin_ms=0)
    for index in (0, 1, 50):
        minutes = process.minutes(index)
        whole, made = process.bar(index), aggregate(minutes)
        assert (made.open, made.high, made.low, made.close) == (whole.open, whole.high, whole.low, whole.close)
        assert made.volume == pytest.approx(whole.volume, abs=1e-6)
        slots = process.slots(index, 17)
        bar = minutes[17]
        assert (max(slots), min(slots), slots[-1]) == (bar.high, bar.low, bar.close)


@pytest.mark.parametrize("symbol", INSTRUMENTS)
def test_every_price_lies_on_the_tick(symbol: str) -> None:
    instrument = INSTRUMENTS[symbol]
    process = MarketProcess(instrument=instrument, seed=3, origin_ms=0)
    for price in process.slots(2, 5) + [
        value for bar in process.minutes(2) for value in (bar.high, bar.low, bar.close)
    ]:
        ticks = price / float(instrument.tick_size)
        assert abs(ticks - round(ticks)) < 1e-6


def test_the_direction_follows_momentum_with_the_documented_edge(hourly: list[Bar]) -> None:
    strong = [(momentum > 0) == (move > 0) for momentum, move in momenta_and_returns(hourly) if abs(momentum) > 1.2]
    assert len(strong) > BARS_COUNT // 2
    assert statistics.mean(strong) == pytest.approx(0.5 + EDGE, abs=0.025)


def test_the_mean_return_is_zero_whatever_the_momentum_says(hourly: list[Bar]) -> None:
    rows = momenta_and_returns(hourly)
    for side in (1, -1):
        returns = [move for momentum, move in rows if momentum * side > 0]
        assert abs(statistics.mean(returns)) < 4 * statistics.stdev(returns) / math.sqrt(len(returns))


def test_volatility_and_momentum_have_the_documented_size(hourly: list[Bar]) -> None:
    rows = momenta_and_returns(hourly)
    rv_5 = [100.0 * math.sqrt(sum(rows[place - back][1] ** 2 for back in range(5))) for place in range(5, len(rows))]
    assert (
        0.5 < statistics.quantiles(rv_5, n=10)[1] < statistics.median(rv_5) < statistics.quantiles(rv_5, n=10)[8] < 2.6
    )
    assert 2.0 < statistics.stdev(momentum for momentum, _ in rows) < 3.6


def test_an_edge_that_changes_turns_the_direction_and_leaves_what_came_before() -> None:
    usual = list(bars(instrument=BTC, interval_minutes=60, count=3000, seed=7))
    turned = list(
        bars(instrument=BTC, interval_minutes=60, count=3000, seed=7, edge_changes=[(1000, -EDGE), (2500, 0.1)])
    )
    assert turned[:1000] == usual[:1000]
    assert turned[1000:] != usual[1000:]

    def share(first: int, last: int) -> float:
        rows = momenta_and_returns(turned)[first - 21 : last - 21]  # the row that ends in an hour stands 21 before it
        return statistics.mean((momentum > 0) == (move > 0) for momentum, move in rows if abs(momentum) > 1.2)

    assert share(100, 1000) == pytest.approx(0.5 + EDGE, abs=0.05)
    assert share(1000, 2500) == pytest.approx(0.5 - EDGE, abs=0.05)
    assert share(2500, 3000) == pytest.approx(0.6, abs=0.08)


def test_a_change_to_the_edge_that_holds_anyway_changes_no_byte() -> None:
    usual = list(bars(instrument=BTC, interval_minutes=60, count=300, seed=7))
    assert list(bars(instrument=BTC, interval_minutes=60, count=300, seed=7, edge_changes=[(50, EDGE)])) == usual


@pytest.mark.parametrize("changes", [[(5, 0.5)], [(5, float("nan"))], [(5, 0.1), (5, 0.2)], [(9, 0.1), (5, 0.2)]])
def test_edge_changes_outside_the_range_are_refused(changes: list[tuple[int, float]]) -> None:
    with pytest.raises(ValueError, match="must"):
        bars(instrument=BTC, interval_minutes=60, count=1, seed=1, edge_changes=changes)


@given(momentum=st.floats(-1e6, 1e6))
def test_the_probability_is_symmetric_and_bounded_by_the_edge(momentum: float) -> None:
    assert 0.5 - EDGE <= probability_up(momentum) <= 0.5 + EDGE
    assert probability_up(momentum) + probability_up(-momentum) == pytest.approx(1.0)


@given(size=st.floats(0, 0.1), probability=st.floats(0.05, 0.95))
def test_a_drawn_return_has_mean_zero_and_the_drawn_variance(size: float, probability: float) -> None:
    up, down = directed_return(size, probability, up=True), directed_return(size, probability, up=False)
    assert down <= 0.0 <= up
    assert probability * up + (1 - probability) * down == pytest.approx(0.0, abs=1e-12)
    assert probability * up**2 + (1 - probability) * down**2 == pytest.approx(size**2, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(interval=st.sampled_from([1, 5, 15, 30, 60, 240]), count=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_bars_of_every_interval_follow_each_other(interval: int, count: int, seed: int) -> None:
    rows = list(bars(instrument=BTC, interval_minutes=interval, count=count, seed=seed))
    assert len(rows) == count
    assert all(row.low <= min(row.open, row.close) and row.high >= max(row.open, row.close) for row in rows)
    assert [row.open_time_ms for row in rows] == [rows[0].open_time_ms + n * interval * 60_000 for n in range(count)]


@pytest.mark.parametrize(("interval", "count"), [(7, 1), (60, 0), (60, -1), (60, 1_000_001)])
def test_bars_outside_the_range_are_refused(interval: int, count: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        bars(instrument=BTC, interval_minutes=interval, count=count, seed=1)
