"""The filters of what can be traded, read from the very texts that instruments-info prints: shown is enforced."""

from collections.abc import Mapping
from decimal import Decimal

from simulator.shapes import Json, instrument_info
from simulator.shapes_spot import spot_info
from simulator.symbols import Instrument, SpotInstrument
from simulator.trading.contract import Listing

LINEAR, SPOT = CATEGORIES = ("linear", "spot")
UNTRADED_CATEGORIES = ("inverse", "option")
"""Bybit's other categories: known words with nothing listed."""
QUOTE_COIN = "USDT"
SPOT_PRICE_MAX = Decimal(19_999_998)
"""Spot has no published price maximum; this one is the linear one."""


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


def spot_listing(instrument: SpotInstrument) -> Listing:
    """The spot symbol's filters, read from what its instruments-info says."""
    row = spot_info(instrument)
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


def listing_of(instrument: Instrument) -> Listing:
    """The filters of an instrument of either category."""
    return spot_listing(instrument) if isinstance(instrument, SpotInstrument) else linear_listing(instrument)
