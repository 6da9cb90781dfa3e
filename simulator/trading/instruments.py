"""The filters of what can be traded, from the very texts that instruments-info prints: shown and enforced are the same.

The spot markets have the symbols and the prices of the linear ones, and filters of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from simulator.shapes import Json, instrument_info
from simulator.symbols import Instrument
from simulator.trading.contract import Listing

LINEAR, SPOT = "linear", "spot"
CATEGORIES = (LINEAR, SPOT)
UNTRADED_CATEGORIES = ("inverse", "option")
"""Bybit's other categories: known words with nothing listed."""
QUOTE_COIN = "USDT"
SPOT_PRICE_MAX = Decimal(19_999_998)
"""Spot has no published price maximum; this one is the linear one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotFilter:
    """The lot sizes of one spot symbol, as Bybit would print them."""

    base_precision: str
    quote_precision: str
    limit_qty_max: str
    market_qty_max: str


SPOT_FILTERS: Mapping[str, SpotFilter] = {
    "BTCUSDT": SpotFilter(
        base_precision="0.000001", quote_precision="0.0000001", limit_qty_max="83", market_qty_max="41.5"
    ),
    "ETHUSDT": SpotFilter(
        base_precision="0.00001", quote_precision="0.0000001", limit_qty_max="2200", market_qty_max="1100"
    ),
    "SOLUSDT": SpotFilter(
        base_precision="0.001", quote_precision="0.000001", limit_qty_max="50000", market_qty_max="25000"
    ),
}
SPOT_AMOUNT_MIN = "5"


def spot_instrument_info(instrument: Instrument) -> dict[str, Json]:
    """One row of /v5/market/instruments-info, category spot."""
    lots = SPOT_FILTERS[instrument.symbol]
    return {
        "symbol": instrument.symbol,
        "baseCoin": instrument.base_coin,
        "quoteCoin": QUOTE_COIN,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": lots.base_precision,
            "quotePrecision": lots.quote_precision,
            "minOrderQty": lots.base_precision,
            "maxOrderQty": lots.limit_qty_max,
            "minOrderAmt": SPOT_AMOUNT_MIN,
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": lots.limit_qty_max,
            "maxMarketOrderQty": lots.market_qty_max,
            "postOnlyMaxLimitOrderSize": lots.limit_qty_max,
        },
        "priceFilter": {"tickSize": instrument.tick_size.rstrip("0")},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
    }


def linear_listing(instrument: Instrument) -> Listing:
    """The linear contract's filters, read from what its instruments-info says."""
    row = instrument_info(instrument)
    lots, prices, leverage = _part(row, "lotSizeFilter"), _part(row, "priceFilter"), _part(row, "leverageFilter")
    return Listing(
        category=LINEAR,
        symbol=instrument.symbol,
        base_coin=instrument.base_coin,
        quote_coin=QUOTE_COIN,
        tick=Decimal(prices["tickSize"]),
        price_max=Decimal(prices["maxPrice"]),
        qty_step=Decimal(lots["qtyStep"]),
        qty_min=Decimal(lots["minOrderQty"]),
        limit_qty_max=Decimal(lots["maxOrderQty"]),
        market_qty_max=Decimal(lots["maxMktOrderQty"]),
        notional_min=Decimal(lots["minNotionalValue"]),
        quote_step=Decimal(prices["tickSize"]),
        leverage_max=Decimal(leverage["maxLeverage"]),
    )


def spot_listing(instrument: Instrument) -> Listing:
    """The spot symbol's filters, read from what its instruments-info says."""
    row = spot_instrument_info(instrument)
    lots, prices = _part(row, "lotSizeFilter"), _part(row, "priceFilter")
    return Listing(
        category=SPOT,
        symbol=instrument.symbol,
        base_coin=instrument.base_coin,
        quote_coin=QUOTE_COIN,
        tick=Decimal(prices["tickSize"]),
        price_max=SPOT_PRICE_MAX,
        qty_step=Decimal(lots["basePrecision"]),
        qty_min=Decimal(lots["basePrecision"]),
        limit_qty_max=Decimal(lots["maxLimitOrderQty"]),
        market_qty_max=Decimal(lots["maxMarketOrderQty"]),
        notional_min=Decimal(lots["minOrderAmt"]),
        quote_step=Decimal(lots["quotePrecision"]),
        leverage_max=Decimal(1),
    )


def _part(row: Mapping[str, Json], name: str) -> dict[str, str]:
    """One nested object of texts."""
    part = row[name]
    if not isinstance(part, Mapping):
        raise TypeError(f"{name} is no object")
    return {key: str(value) for key, value in part.items()}
