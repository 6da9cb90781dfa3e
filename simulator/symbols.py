"""The simulated instruments: Bybit's filters (reference: linear perpetuals) and the market character of each symbol."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One USDT-margined linear perpetual; prices in USDT, quantities in the base coin."""

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
"""Every symbol that the simulator knows, by name."""
