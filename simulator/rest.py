"""Bybit's public REST endpoints, categories linear and spot; nothing is listed in the others.

An endpoint is a function of the exchange and the decoded query; simulator/api answers with what it returns.
"""

from collections.abc import Callable, Collection, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TypeAlias

from simulator.book import LEVELS_MAX
from simulator.exchange import CATEGORIES, INTERVALS, UNTRADED, Exchange
from simulator.market import Market
from simulator.process import MINUTE_MS, SLOT_MS
from simulator.shapes import (
    Json,
    instrument_info,
    kline_row,
    rest_book,
    rest_ticker,
    rest_trade,
    server_time,
)
from simulator.shapes_spot import rest_spot_ticker, spot_info
from simulator.symbols import Instrument, SpotInstrument

LIMIT_MAX = 1_000
RECENT_SPOT_MAX = 60
"""Most trades of spot that recent-trade answers."""
INTEGER_DIGITS_MAX = 15

PRICE_LIMIT_RATIO = Decimal("0.01")
"""How far from the last price a limit order may buy above or sell below it."""

Query: TypeAlias = Mapping[str, str]
Endpoint: TypeAlias = Callable[[Exchange, Query], Json]


class ParameterError(Exception):
    """A query parameter is missing or wrong; the text is what Bybit's retMsg would say."""


def _status(_exchange: Exchange, _query: Query) -> Json:
    """No maintenance is announced."""
    return {"list": []}


def _time(exchange: Exchange, _query: Query) -> Json:
    return server_time(exchange.clock.server_ms())


def _instruments_info(exchange: Exchange, query: Query) -> Json:
    category = _category(query)
    _integer(query, "limit", default=500, least=1, most=LIMIT_MAX)
    rows = [_instrument_row(market.instrument) for market in _markets(exchange, category, query)]
    # Spot is not paged.
    return {"category": category, "list": rows} | ({} if category == "spot" else {"nextPageCursor": ""})


def _instrument_row(instrument: Instrument) -> Json:
    return spot_info(instrument) if isinstance(instrument, SpotInstrument) else instrument_info(instrument)


def _kline(exchange: Exchange, query: Query) -> Json:
    category = _category({"category": "linear", **query})
    market = _market(exchange, category, query)
    interval = query.get("interval", "")
    if interval not in INTERVALS:
        raise ParameterError("params error: interval invalid")
    at_ms = exchange.clock.market_ms()
    limit = _integer(query, "limit", default=200, least=1, most=LIMIT_MAX)
    end_ms = min(_integer(query, "end", default=at_ms, least=0), at_ms)
    span_ms = INTERVALS[interval] * MINUTE_MS
    # Where the range holds more than `limit` candles, the newest of them are returned.
    latest_start = (end_ms // span_ms - limit + 1) * span_ms
    start_ms = max(_integer(query, "start", default=0, least=0), latest_start)
    bars = market.candles(interval_minutes=INTERVALS[interval], first_ms=start_ms, last_ms=end_ms, at_ms=at_ms)
    rows = [kline_row(market.instrument, bar) for bar in reversed(bars)]
    return {"symbol": market.instrument.symbol, "category": category, "list": rows}


def _tickers(exchange: Exchange, query: Query) -> Json:
    category = _category(query)
    row = rest_spot_ticker if category == "spot" else rest_ticker
    at_ms = exchange.clock.market_ms()
    rows = [
        row(market, exchange.day(market.instrument.symbol, category), at_ms)
        for market in _markets(exchange, category, query)
    ]
    return {"category": category, "list": rows}


def _orderbook(exchange: Exchange, query: Query) -> Json:
    market = _market(exchange, _category(query), query)
    limit = _integer(query, "limit", default=25, least=1, most=LEVELS_MAX)
    at_ms = exchange.clock.market_ms()
    book = market.book(at_ms, limit)
    return rest_book(market.instrument, book, update_id=at_ms // SLOT_MS, now_ms=at_ms)


def _price_limit(exchange: Exchange, query: Query) -> Json:
    market = _market(exchange, _category({"category": "linear", **query}), query)
    at_ms = exchange.clock.market_ms()
    last, tick = Decimal(str(market.price(at_ms))), Decimal(market.instrument.tick_size)
    # Both on the tick and within the ratio: the upper limit is rounded down, the lower up.
    highest = (last * (1 + PRICE_LIMIT_RATIO) / tick).to_integral_value(ROUND_FLOOR) * tick
    lowest = (last * (1 - PRICE_LIMIT_RATIO) / tick).to_integral_value(ROUND_CEILING) * tick
    return {
        "symbol": market.instrument.symbol,
        "buyLmt": format(highest, "f"),
        "sellLmt": format(lowest, "f"),
        "ts": str(at_ms),
    }


def _recent_trade(exchange: Exchange, query: Query) -> Json:
    category = _category(query)
    market = _market(exchange, category, query)
    most = RECENT_SPOT_MAX if category == "spot" else LIMIT_MAX
    limit = _integer(query, "limit", default=min(500, most), least=1, most=most)
    at_ms = exchange.clock.market_ms()
    trades = market.trades(after_ms=at_ms - limit * SLOT_MS, at_ms=at_ms)[-limit:]
    return {"category": category, "list": [rest_trade(market.instrument, trade) for trade in reversed(trades)]}


def _category(query: Query) -> str:
    category = query.get("category", "")
    if category not in {*CATEGORIES, *UNTRADED}:
        raise ParameterError("params error: category invalid")
    return category


def _markets(exchange: Exchange, category: str, query: Query) -> Collection[Market]:
    """The one that was asked for, or all of the category."""
    return [_market(exchange, category, query)] if "symbol" in query else exchange.listed(category).values()


def _market(exchange: Exchange, category: str, query: Query) -> Market:
    market = exchange.listed(category).get(query.get("symbol", ""))
    if market is None:
        raise ParameterError("params error: symbol invalid")
    return market


def _integer(query: Query, name: str, *, default: int, least: int, most: int | None = None) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= INTEGER_DIGITS_MAX):
        raise ParameterError(f"params error: {name} invalid")
    value = int(text)
    if value < least or (most is not None and value > most):
        raise ParameterError(f"params error: {name} invalid")
    return value


ENDPOINTS: Mapping[str, Endpoint] = {
    "/v5/market/time": _time,
    "/v5/market/instruments-info": _instruments_info,
    "/v5/market/kline": _kline,
    "/v5/market/tickers": _tickers,
    "/v5/market/orderbook": _orderbook,
    "/v5/market/price-limit": _price_limit,
    "/v5/market/recent-trade": _recent_trade,
    "/v5/system/status": _status,
}
"""Every public endpoint, all GET, by its path."""
