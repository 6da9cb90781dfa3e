"""The market adapter, started on something that it can read."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.adapters.ban import AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.market_bybit import BybitMarket
from gateway.core.model import Symbol
from simulator.server import ServerConfig

BTC = Symbol("BTCUSDT")
ETH = Symbol("ETHUSDT")


async def until(condition: Callable[[], Any], seconds: float = 4.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the market has no events, on purpose
            await asyncio.sleep(0.02)


@asynccontextmanager
async def a_market(
    port: int,
    *symbols: Symbol,
    silence_seconds: float = 10.0,
    bar_minutes: int = 1,
    price_age_ms_max: int = 5_000,
    instruments_pause_seconds: float = 60.0,
    ban: AddressBan | None = None,
) -> AsyncIterator[BybitMarket]:
    market = BybitMarket(
        source="simulated",
        rest_url=f"http://127.0.0.1:{port}/",
        ws_url=f"ws://127.0.0.1:{port}/v5/public/linear",
        symbols=symbols or (BTC, ETH),
        clock=SystemClock(),
        bar_minutes=bar_minutes,
        price_age_ms_max=price_age_ms_max,
        instruments_pause_seconds=instruments_pause_seconds,
        silence_seconds=silence_seconds,
        ban=ban or AddressBan(clock=SystemClock()),
    )
    await market.start()
    try:
        yield market
    finally:
        await market.close()


def config(port: int = 0) -> ServerConfig:
    return ServerConfig(seed=7, symbols=[BTC, ETH], port=port)
