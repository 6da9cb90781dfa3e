"""Bybit's v5 JSON shapes of the public spot market, where they differ from those of linear in shapes.py."""

from simulator.market import Market, Trade
from simulator.shapes import Day, Json, price_text, qty_text, trade_push
from simulator.symbols import Instrument, SpotInstrument


def spot_info(instrument: SpotInstrument) -> dict[str, Json]:
    """One row of /v5/market/instruments-info, category spot."""
    return {
        "symbol": instrument.symbol,
        "baseCoin": instrument.base_coin,
        "quoteCoin": "USDT",
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": instrument.qty_step,
            "quotePrecision": instrument.quote_precision,
            # Both are deprecated at Bybit and not checked by it; the limits below are.
            "minOrderQty": instrument.qty_step,
            "maxOrderQty": instrument.max_order_qty,
            "minOrderAmt": instrument.min_notional,
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": instrument.max_order_qty,
            "maxMarketOrderQty": instrument.max_market_qty,
            "postOnlyMaxLimitOrderSize": instrument.max_order_qty,
        },
        "priceFilter": {"tickSize": instrument.tick_size},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }


def spot_ticker(market: Market, day: Day, at_ms: int) -> dict[str, Json]:
    """The data of the spot ticker topic: no best bid and ask in it."""
    instrument, price = market.instrument, market.price(at_ms)
    return {
        "symbol": instrument.symbol,
        "lastPrice": price_text(instrument, price),
        "highPrice24h": price_text(instrument, day.high),
        "lowPrice24h": price_text(instrument, day.low),
        "prevPrice24h": price_text(instrument, day.open),
        "volume24h": qty_text(instrument, day.volume),
        "turnover24h": f"{day.turnover:.4f}",
        "price24hPcnt": f"{price / day.open - 1.0:.4f}",
        "usdIndexPrice": price_text(instrument, price),
    }


def rest_spot_ticker(market: Market, day: Day, at_ms: int) -> dict[str, Json]:
    """One row of /v5/market/tickers, category spot."""
    book = market.book(at_ms, 1)
    bid, ask = next(iter(book.bids.levels.items()), ("", "")), next(iter(book.asks.levels.items()), ("", ""))
    best: dict[str, Json] = {"bid1Price": bid[0], "bid1Size": bid[1], "ask1Price": ask[0], "ask1Size": ask[1]}
    return {**spot_ticker(market, day, at_ms), **best}


def spot_trade_push(instrument: Instrument, trade: Trade) -> dict[str, Json]:
    """One element of a spot publicTrade topic's `data`: no direction of the tick in it."""
    return {name: value for name, value in trade_push(instrument, trade).items() if name != "L"} | {"RPI": False}
