"""Bybit's v5 JSON shapes of the public market: numbers are strings, exactly as Bybit prints them.

The field names and types follow Bybit's documentation of the v5 market endpoints and public WebSocket topics.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from simulator.book import Book, Side
from simulator.market import Market, Trade
from simulator.process import HOUR_MS, SLOT_MS, Bar
from simulator.symbols import Instrument

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

FUNDING_INTERVAL_HOURS = 8
FUNDING_RATE = "0.0001"
OPEN_INTEREST_HOURS = 20.0
"""Open interest as a multiple of the typical hourly volume."""


def envelope(result: Json, *, now_ms: int, code: int = 0, message: str = "OK") -> dict[str, Json]:
    """The envelope of every REST answer; business errors have a code other than 0 and an empty result."""
    return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}, "time": now_ms}


def server_time(now_ms: int) -> dict[str, Json]:
    """The result of /v5/market/time."""
    return {"timeSecond": str(now_ms // 1000), "timeNano": f"{now_ms}000000"}


def instrument_info(instrument: Instrument) -> dict[str, Json]:
    """One row of /v5/market/instruments-info, category linear."""
    return {
        "symbol": instrument.symbol,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": instrument.base_coin,
        "quoteCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(instrument.price_decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {
            "minPrice": instrument.tick_size,
            "maxPrice": "19999998.00",
            "tickSize": instrument.tick_size,
        },
        "lotSizeFilter": {
            "maxOrderQty": instrument.max_order_qty,
            "minOrderQty": instrument.qty_step,
            "qtyStep": instrument.qty_step,
            "postOnlyMaxOrderQty": instrument.max_order_qty,
            "maxMktOrderQty": instrument.max_market_qty,
            "minNotionalValue": instrument.min_notional,
        },
        "unifiedMarginTrade": True,
        "fundingInterval": FUNDING_INTERVAL_HOURS * 60,
        "settleCoin": "USDT",
        "copyTrading": "none",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "displayName": "",
        "symbolType": "",
    }


def price_text(instrument: Instrument, price: float) -> str:
    """A price with the digits of the tick."""
    return f"{price:.{instrument.price_decimals}f}"


def qty_text(instrument: Instrument, qty: float) -> str:
    """A quantity with the digits of the step."""
    return f"{qty:.{instrument.qty_decimals}f}"


def turnover_text(bar: Bar) -> str:
    """The traded value of a candle in USDT, at the mean of its four prices."""
    return f"{bar.volume * (bar.open + bar.high + bar.low + bar.close) / 4.0:.4f}"


def kline_row(instrument: Instrument, bar: Bar) -> list[Json]:
    """One candle of /v5/market/kline."""
    prices = (price_text(instrument, price) for price in (bar.open, bar.high, bar.low, bar.close))
    return [str(bar.open_time_ms), *prices, qty_text(instrument, bar.volume), turnover_text(bar)]


def kline_push(instrument: Instrument, bar: Bar, *, interval_minutes: int, interval: str, now_ms: int) -> Json:
    """One element of a kline topic's `data`; `confirm` says that the candle is closed."""
    end_ms = bar.open_time_ms + interval_minutes * 60_000 - 1
    return {
        "start": bar.open_time_ms,
        "end": end_ms,
        "interval": interval,
        "open": price_text(instrument, bar.open),
        "close": price_text(instrument, bar.close),
        "high": price_text(instrument, bar.high),
        "low": price_text(instrument, bar.low),
        "volume": qty_text(instrument, bar.volume),
        "turnover": turnover_text(bar),
        "confirm": end_ms < now_ms,
        "timestamp": now_ms,
    }


def book_levels(side: Side) -> list[Json]:
    """One side of a book as [price, quantity] pairs."""
    return [[price, qty] for price, qty in side.levels.items()]


def rest_book(instrument: Instrument, book: Book, *, update_id: int, now_ms: int) -> dict[str, Json]:
    """The result of /v5/market/orderbook."""
    return {
        "s": instrument.symbol,
        "a": book_levels(book.asks),
        "b": book_levels(book.bids),
        "ts": now_ms,
        "u": update_id,
        "seq": update_id,
        "cts": now_ms // SLOT_MS * SLOT_MS,
    }


def rest_trade(instrument: Instrument, trade: Trade) -> dict[str, Json]:
    """One row of /v5/market/recent-trade."""
    return {
        "execId": trade.trade_id,
        "symbol": instrument.symbol,
        "price": price_text(instrument, trade.price),
        "size": qty_text(instrument, trade.qty),
        "side": "Buy" if trade.buy else "Sell",
        "time": str(trade.at_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade.at_ms),
    }


def trade_push(instrument: Instrument, trade: Trade) -> dict[str, Json]:
    """One element of a publicTrade topic's `data`."""
    return {
        "T": trade.at_ms,
        "s": instrument.symbol,
        "S": "Buy" if trade.buy else "Sell",
        "v": qty_text(instrument, trade.qty),
        "p": price_text(instrument, trade.price),
        "L": "PlusTick" if trade.buy else "MinusTick",
        "i": trade.trade_id,
        "BT": False,
        "seq": trade.at_ms,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The last 24 hours of a symbol."""

    open: float
    high: float
    low: float
    volume: float
    turnover: float
    hour_ago: float


def day_of(market: Market, at_ms: int) -> Day:
    """Figures of the open hour and the 24 before it, which is how far this ticker's day goes."""
    bars = market.candles(interval_minutes=60, first_ms=at_ms - 25 * HOUR_MS, last_ms=at_ms, at_ms=at_ms)
    return Day(
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        volume=sum(bar.volume for bar in bars),
        turnover=sum(bar.volume * (bar.open + bar.close) / 2.0 for bar in bars),
        hour_ago=market.price(at_ms - HOUR_MS),
    )


def ticker(market: Market, day: Day, at_ms: int) -> dict[str, Json]:
    """The fields that the REST ticker and the ticker topic share."""
    instrument = market.instrument
    price, book = market.price(at_ms), market.book(at_ms, 1)
    bid, ask = next(iter(book.bids.levels.items()), ("", "")), next(iter(book.asks.levels.items()), ("", ""))
    interest = instrument.hourly_volume * OPEN_INTEREST_HOURS
    funding_ms = FUNDING_INTERVAL_HOURS * HOUR_MS
    return {
        "symbol": instrument.symbol,
        "price24hPcnt": f"{price / day.open - 1.0:.6f}",
        "lastPrice": price_text(instrument, price),
        "prevPrice24h": price_text(instrument, day.open),
        "highPrice24h": price_text(instrument, day.high),
        "lowPrice24h": price_text(instrument, day.low),
        "prevPrice1h": price_text(instrument, day.hour_ago),
        "markPrice": price_text(instrument, price),
        "indexPrice": price_text(instrument, price),
        "openInterest": qty_text(instrument, interest),
        "openInterestValue": f"{interest * price:.2f}",
        "turnover24h": f"{day.turnover:.4f}",
        "volume24h": qty_text(instrument, day.volume),
        "nextFundingTime": str((at_ms // funding_ms + 1) * funding_ms),
        "fundingRate": FUNDING_RATE,
        "bid1Price": bid[0],
        "bid1Size": bid[1],
        "ask1Price": ask[0],
        "ask1Size": ask[1],
    }


def rest_ticker(market: Market, day: Day, at_ms: int) -> dict[str, Json]:
    """One row of /v5/market/tickers, category linear."""
    return {
        **ticker(market, day, at_ms),
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
        "basis": "",
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
        "fundingIntervalHour": str(FUNDING_INTERVAL_HOURS),
        "fundingCap": "0.00375",
    }
