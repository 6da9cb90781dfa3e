"""The engine's view of the simulated exchange: the same prices and filters that the public endpoints serve."""

from decimal import Decimal

import pytest
from trading_kit import START_MS, HandClock

from simulator.clock import MarketClock
from simulator.exchange import Exchange
from simulator.shapes import instrument_info
from simulator.shapes_spot import spot_info
from simulator.trading.markets import SimulatedMarkets

AT_MS = START_MS + 100


@pytest.fixture
def exchange():
    return Exchange(seed=7, symbols=["BTCUSDT", "SOLUSDT"], clock=MarketClock(wall=HandClock(AT_MS).now_ms))


@pytest.mark.parametrize("category", ["linear", "spot"])
def test_books_and_prices_are_those_of_the_public_market(exchange, category):
    markets, market = SimulatedMarkets(exchange), exchange.listed(category)["BTCUSDT"]
    for levels in (1, 25, 500):
        book, public = markets.book(category, "BTCUSDT", AT_MS, levels), market.book(AT_MS, levels)
        for ours, theirs in ((book.bids, public.bids), (book.asks, public.asks)):
            assert ours == [(Decimal(price), Decimal(qty)) for price, qty in theirs.levels.items()]
    assert float(markets.last_price(category, "BTCUSDT", AT_MS)) == market.price(AT_MS)


def test_the_mark_price_is_that_of_the_perpetual(exchange):
    assert float(SimulatedMarkets(exchange).mark_price("BTCUSDT", AT_MS)) == exchange.markets["BTCUSDT"].price(AT_MS)


def test_a_jump_and_a_thinner_book_show_at_once(exchange):
    markets, market = SimulatedMarkets(exchange), exchange.markets["BTCUSDT"]
    before, deep = markets.last_price("linear", "BTCUSDT", AT_MS), markets.book("linear", "BTCUSDT", AT_MS, 25)
    market.jump(0.9, AT_MS)
    assert markets.last_price("linear", "BTCUSDT", AT_MS) < before * Decimal("0.91")
    assert markets.book("linear", "BTCUSDT", AT_MS, 25).asks[0][0] < deep.bids[0][0]
    market.depth_factor = 0.0
    assert markets.book("linear", "BTCUSDT", AT_MS, 25).asks == []


def test_a_frozen_market_stands_still(exchange):
    markets = SimulatedMarkets(exchange)
    price = markets.last_price("linear", "BTCUSDT", AT_MS)
    exchange.clock.freeze(frozen=True)
    assert markets.last_price("linear", "BTCUSDT", AT_MS + 60_000) == price
    exchange.clock.freeze(frozen=False)
    assert markets.last_price("linear", "BTCUSDT", AT_MS + 60_000) != price


def test_what_is_enforced_is_what_instruments_info_says(exchange):
    markets = SimulatedMarkets(exchange)
    assert list(markets.symbols("spot")) == ["BTCUSDT", "SOLUSDT"]
    for symbol, market in exchange.markets.items():
        listing, row = markets.listing("linear", symbol), instrument_info(market.instrument)
        assert [listing.tick, listing.qty_step, listing.market_qty_max, listing.notional_min, listing.leverage_max] == [
            Decimal(row[part][name])
            for part, name in (
                ("priceFilter", "tickSize"),
                ("lotSizeFilter", "qtyStep"),
                ("lotSizeFilter", "maxMktOrderQty"),
                ("lotSizeFilter", "minNotionalValue"),
                ("leverageFilter", "maxLeverage"),
            )
        ]
        spot, lots = markets.listing("spot", symbol), spot_info(exchange.spot[symbol].instrument)["lotSizeFilter"]
        assert [spot.qty_step, spot.quote_step, spot.limit_qty_max, spot.notional_min] == [
            Decimal(lots[name]) for name in ("basePrecision", "quotePrecision", "maxLimitOrderQty", "minOrderAmt")
        ]


def test_what_is_not_listed_has_no_filters(exchange):
    markets = SimulatedMarkets(exchange)
    assert markets.listing("linear", "DOGEUSDT") is None
    assert markets.listing("option", "BTCUSDT") is None
    assert list(markets.symbols("option")) == []
