"""The spot pair of a symbol: its own ticks, book and volume around the price of its perpetual."""

import uuid
from dataclasses import replace

from simulator.book import Book, book_around
from simulator.market import Market, Trade
from simulator.process import Bar
from simulator.symbols import SpotInstrument

BASIS_BPS = 2.0
"""How far spot is below the perpetual, always."""


class SpotMarket:
    """One spot pair. It follows its perpetual in everything, jumps and depth factor included, and has no state."""

    def __init__(self, *, instrument: SpotInstrument, perpetual: Market) -> None:
        self.instrument = instrument
        self._perpetual = perpetual
        self._volume_factor = instrument.hourly_volume / perpetual.instrument.hourly_volume

    @property
    def depth_factor(self) -> float:
        """That of the perpetual."""
        return self._perpetual.depth_factor

    @depth_factor.setter
    def depth_factor(self, factor: float) -> None:
        self._perpetual.depth_factor = factor

    def jump(self, factor: float, at_ms: int) -> None:
        """The perpetual jumps, and spot with it."""
        self._perpetual.jump(factor, at_ms)

    def price(self, at_ms: int) -> float:
        """The last traded price in USDT."""
        return self._price(self._perpetual.price(at_ms))

    def book(self, at_ms: int, levels: int) -> Book:
        """The resting orders."""
        return book_around(
            instrument=self.instrument,
            mid=self.price(at_ms),
            at_ms=at_ms,
            levels=levels,
            depth_factor=self.depth_factor,
        )

    def candles(self, *, interval_minutes: int, first_ms: int, last_ms: int, at_ms: int) -> list[Bar]:
        """Candles that open from `first_ms` to `last_ms`, oldest first; the open one is as it stands at `at_ms`."""
        bars = self._perpetual.candles(
            interval_minutes=interval_minutes, first_ms=first_ms, last_ms=last_ms, at_ms=at_ms
        )
        return [self._bar(bar) for bar in bars]

    def trades(self, *, after_ms: int, at_ms: int) -> list[Trade]:
        """Trades after one moment up to another, oldest first: one for each of the perpetual."""
        return [self._trade(trade) for trade in self._perpetual.trades(after_ms=after_ms, at_ms=at_ms)]

    def _price(self, perpetual: float) -> float:
        tick = float(self.instrument.tick_size)
        # At least one tick: the perpetual's smallest price is above it.
        ticks = max(1, round(perpetual * (1.0 - BASIS_BPS / 10_000.0) / tick))
        return round(ticks * tick, self.instrument.tick_digits)

    def _bar(self, bar: Bar) -> Bar:
        return Bar(
            open_time_ms=bar.open_time_ms,
            open=self._price(bar.open),
            high=self._price(bar.high),
            low=self._price(bar.low),
            close=self._price(bar.close),
            volume=round(bar.volume * self._volume_factor, self.instrument.qty_decimals),
        )

    def _trade(self, trade: Trade) -> Trade:
        step = float(self.instrument.qty_step)
        qty = max(1, int(trade.qty * self._volume_factor / step)) * step
        # Spot trades have numbers for names.
        number = f"22{uuid.UUID(trade.trade_id).int % 10**17:017d}"
        return replace(trade, trade_id=number, price=self._price(trade.price), qty=qty)
