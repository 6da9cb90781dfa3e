"""The simulated instruments: Bybit's filters (linear perpetuals and spot) and the market character of each symbol."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One USDT-margined linear perpetual; prices in USDT, quantities in the base coin."""

    category: ClassVar[str] = "linear"

    symbol: str
    base_coin: str
    tick_size: str
    """Smallest price step, as the text that Bybit would print."""
    qty_step: str
    """Smallest quantity step, which is also the smallest order."""
    max_order_qty: str
    max_market_qty: str
    min_notional: str
    """Smallest order value in USDT."""
    start_price: float
    """Price in USDT at the origin of the process."""
    hourly_volume: float
    """Typical traded quantity an hour, in the base coin."""
    volatility_factor: float
    """Hourly volatility as a multiple of the regimes in process.py."""
    touch_depth_usd: float
    """Typical value in USDT at the best bid and at the best ask."""

    @property
    def price_decimals(self) -> int:
        """Digits after the point of a price."""
        return decimals(self.tick_size)

    @property
    def tick_digits(self) -> int:
        """Digits to round to, so that a price lies on the tick: a power of ten, some printed with more zeros."""
        return decimals(self.tick_size.rstrip("0"))

    @property
    def qty_decimals(self) -> int:
        """Digits after the point of a quantity."""
        return decimals(self.qty_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotInstrument(Instrument):
    """One spot pair. Here qty_step is Bybit's basePrecision and min_notional its minOrderAmt."""

    category: ClassVar[str] = "spot"

    quote_precision: str
    """Smallest step of an amount in USDT, as of a market order by value."""


def decimals(step: str) -> int:
    """Digits after the point in a step such as "0.10"."""
    return len(step.partition(".")[2])


INSTRUMENTS: dict[str, Instrument] = {
    instrument.symbol: instrument
    for instrument in (
        Instrument(
            symbol="BTCUSDT",
            base_coin="BTC",
            tick_size="0.10",
            qty_step="0.001",
            max_order_qty="1190.000",
            max_market_qty="500.000",
            min_notional="5",
            start_price=60_000.0,
            hourly_volume=3_000.0,
            volatility_factor=1.0,
            touch_depth_usd=20_000.0,
        ),
        Instrument(
            symbol="ETHUSDT",
            base_coin="ETH",
            tick_size="0.01",
            qty_step="0.01",
            max_order_qty="7240.00",
            max_market_qty="3620.00",
            min_notional="5",
            start_price=3_000.0,
            hourly_volume=40_000.0,
            volatility_factor=1.15,
            touch_depth_usd=12_000.0,
        ),
        Instrument(
            symbol="SOLUSDT",
            base_coin="SOL",
            tick_size="0.010",
            qty_step="0.1",
            max_order_qty="79770.0",
            max_market_qty="15950.0",
            min_notional="5",
            start_price=150.0,
            hourly_volume=300_000.0,
            volatility_factor=1.35,
            touch_depth_usd=6_000.0,
        ),
    )
}
"""Every symbol that the simulator knows, by name: its linear perpetual."""


def _spot(
    symbol: str, *, tick: str, base_precision: str, quote_precision: str, limit_max: str, market_max: str
) -> SpotInstrument:
    """The spot pair of a symbol: filters of its own, a third of the perpetual's volume and half of its depth."""
    linear = INSTRUMENTS[symbol]
    return SpotInstrument(
        symbol=symbol,
        base_coin=linear.base_coin,
        tick_size=tick,
        qty_step=base_precision,
        max_order_qty=limit_max,
        max_market_qty=market_max,
        min_notional="5",
        start_price=linear.start_price,
        hourly_volume=linear.hourly_volume / 3.0,
        volatility_factor=linear.volatility_factor,
        touch_depth_usd=linear.touch_depth_usd / 2.0,
        quote_precision=quote_precision,
    )


SPOT_INSTRUMENTS: dict[str, SpotInstrument] = {
    "BTCUSDT": _spot(
        "BTCUSDT",
        tick="0.1",
        base_precision="0.000001",
        quote_precision="0.0000001",
        limit_max="83",
        market_max="41.5",
    ),
    "ETHUSDT": _spot(
        "ETHUSDT",
        tick="0.01",
        base_precision="0.00001",
        quote_precision="0.0000001",
        limit_max="2240",
        market_max="1120",
    ),
    "SOLUSDT": _spot(
        "SOLUSDT",
        tick="0.01",
        base_precision="0.001",
        quote_precision="0.00001",
        limit_max="36000",
        market_max="18000",
    ),
}
"""The spot pair of every symbol."""
