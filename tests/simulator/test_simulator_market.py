from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.book import book_around
from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.market import LIVE_ORIGIN_MS, SymbolMarket
from simulator.process import HOUR_MS, MINUTE_MS, SLOT_MS
from simulator.symbols import INSTRUMENTS

BTC = INSTRUMENTS["BTCUSDT"]
AT_MS = LIVE_ORIGIN_MS + 1_100 * HOUR_MS + 17 * MINUTE_MS + 31_300


def a_market(symbol: str = "BTCUSDT") -> SymbolMarket:
    return SymbolMarket(instrument=INSTRUMENTS[symbol], seed=7)


def test_the_open_candle_ends_at_the_last_price_and_becomes_the_closed_one() -> None:
    market = a_market()
    opens_ms = AT_MS // HOUR_MS * HOUR_MS
    open_candle = market.candles(interval_minutes=60, first_ms=opens_ms, last_ms=AT_MS, at_ms=AT_MS)[-1]
    later_ms = AT_MS + HOUR_MS
    closed = market.candles(interval_minutes=60, first_ms=opens_ms, last_ms=opens_ms, at_ms=later_ms)[0]
    assert open_candle.close == market.price(AT_MS)
    assert (open_candle.open_time_ms, open_candle.open) == (closed.open_time_ms, closed.open)
    assert closed.low <= open_candle.low <= open_candle.high <= closed.high
    assert open_candle.volume < closed.volume
    assert closed.close == market.price(opens_ms + HOUR_MS - 1)


def test_a_thousand_hours_of_history_are_there() -> None:
    candles = a_market().candles(interval_minutes=60, first_ms=0, last_ms=AT_MS, at_ms=AT_MS)
    assert len(candles) >= 1_000
    assert all(later.open == earlier.close for earlier, later in pairwise(candles))


def test_a_jump_moves_prices_from_its_moment_on_and_no_candle_before_it() -> None:
    calm, jumpy = a_market(), a_market()
    jumpy.jump(0.8, AT_MS)
    hour_ms = AT_MS // HOUR_MS * HOUR_MS
    assert jumpy.price(AT_MS) == pytest.approx(calm.price(AT_MS) * 0.8, abs=0.1)
    assert jumpy.price(AT_MS - 1) == calm.price(AT_MS - 1)
    before, during = jumpy.candles(interval_minutes=60, first_ms=hour_ms - HOUR_MS, last_ms=AT_MS, at_ms=AT_MS)
    calm_before, calm_during = calm.candles(interval_minutes=60, first_ms=hour_ms - HOUR_MS, last_ms=AT_MS, at_ms=AT_MS)
    assert before == calm_before
    assert during.open == calm_during.open
    assert during.low < calm_during.low * 0.9
    assert during.close == jumpy.price(AT_MS)


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_a_jump_out_of_range_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        a_market().jump(factor, AT_MS)


def test_trades_come_one_a_slot_with_prices_of_their_moment() -> None:
    market = a_market("SOLUSDT")
    trades = market.trades(after_ms=AT_MS - 40 * SLOT_MS, at_ms=AT_MS)
    assert len(trades) == 40
    assert len({trade.trade_id for trade in trades}) == 40
    assert all(trade.price == market.price(trade.at_ms) and trade.qty > 0 for trade in trades)
    assert trades == market.trades(after_ms=AT_MS - 40 * SLOT_MS, at_ms=AT_MS)


@settings(deadline=None)
@given(
    symbol=st.sampled_from(list(INSTRUMENTS)),
    mid=st.floats(10.0, 1e6),
    at_ms=st.integers(0, 2**41),
    depth_factor=st.floats(0, 100),
)
def test_a_book_is_sorted_never_crossed_and_on_tick_and_step(
    symbol: str, mid: float, at_ms: int, depth_factor: float
) -> None:
    instrument = INSTRUMENTS[symbol]
    book = book_around(instrument=instrument, mid=mid, at_ms=at_ms, levels=50, depth_factor=depth_factor)
    bids, asks = list(map(Decimal, book.bids.levels)), list(map(Decimal, book.asks.levels))
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    if bids and asks:
        assert bids[0] < asks[0]
    for price, qty in [*book.bids.levels.items(), *book.asks.levels.items()]:
        assert Decimal(price) > 0
        assert Decimal(price) % Decimal(instrument.tick_size) == 0
        assert Decimal(qty) > 0
        assert Decimal(qty) % Decimal(instrument.qty_step) == 0


def test_the_spread_is_about_a_basis_point_and_depth_grows_from_the_touch() -> None:
    book = a_market().book(AT_MS, 50)
    bids = {Decimal(price): Decimal(qty) for price, qty in book.bids.levels.items()}
    asks = {Decimal(price): Decimal(qty) for price, qty in book.asks.levels.items()}
    assert len(bids) == len(asks) == 50
    spread_bps = (min(asks) - max(bids)) / max(bids) * 10_000
    assert Decimal("0.9") < spread_bps < Decimal("1.6")
    assert sum(list(bids.values())[25:]) > 2 * sum(list(bids.values())[:25])


def test_a_frozen_market_stands_while_the_clock_goes_on() -> None:
    times = iter([1_000, 2_000, 5_000, 5_000, 9_000])
    clock = MarketClock(speed=10.0, wall=lambda: next(times))
    clock.freeze(frozen=True)
    assert clock.frozen
    assert clock.market_ms() == 11_000
    assert clock.now_ms() == 41_000
    clock.freeze(frozen=False)
    assert clock.market_ms() == 41_000
    assert clock.now_ms() == 81_000


def test_a_clock_before_the_market_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="clock of this machine"):
        Exchange(seed=7, symbols=["BTCUSDT"], clock=MarketClock(wall=lambda: 0))
