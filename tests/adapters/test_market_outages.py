"""Market data through outages, over real sockets: what risk says meanwhile, and what is left of the bars afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from itertools import pairwise

import pytest
from builders import a_policy, an_order, the_facts
from bybit_kit import BTC, a_market, until

from gateway.adapters.ban import AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.facts import Quotes
from gateway.adapters.market_bybit import BybitMarket
from gateway.core.model import Failure, OrderLinkId, Side
from gateway.core.reasons import Reason
from gateway.core.risk import approve
from simulator.api.limits import LimitConfig
from simulator.faults import FaultRule, Kind
from simulator.local import LocalExchange
from simulator.outages import Part
from simulator.server import ServerConfig, serving

PUBLIC = "/v5/public/linear"
PRICE_AGE_MS_MAX = 500
SILENCE_SECONDS = 0.6
SPEED = 60.0
"""A bar of a minute closes every second."""
MINUTE_MS = 60_000
IN_FLIGHT_MS = 20


@dataclass
class Eyes:
    market: BybitMarket
    local: LocalExchange

    def refusal(self) -> Reason | None:
        """What risk says to an order at this moment; None when it is let through."""
        quote = Quotes(self.market, Decimal(50)).quote(BTC, Side.BUY)
        facts = the_facts(at_ms=SystemClock().now_ms(), quote=quote, instrument=self.market.instrument(BTC))
        verdict = approve(an_order(), OrderLinkId("tg1"), facts, a_policy(price_age_ms_max=PRICE_AGE_MS_MAX))
        return verdict.reason if isinstance(verdict, Failure) else None

    @property
    def last_bar(self) -> int:
        series = self.market.bars(BTC)
        return series.bars[-1].open_time_ms if series else 0

    def gaps(self) -> list[int]:
        series = self.market.bars(BTC)
        opened = [bar.open_time_ms for bar in series.bars] if series else []
        return [earlier for earlier, later in pairwise(opened) if later - earlier != MINUTE_MS]


@asynccontextmanager
async def eyes(*, speed: float = 1.0, limits: LimitConfig | None = None, ban_seconds: int = 600) -> AsyncIterator[Eyes]:
    config = ServerConfig(seed=7, symbols=[BTC], speed=speed, limits=limits or LimitConfig())
    ban = AddressBan(clock=SystemClock(), seconds=ban_seconds)
    async with (
        serving(config) as server,
        a_market(
            server.port, BTC, silence_seconds=SILENCE_SECONDS, price_age_ms_max=PRICE_AGE_MS_MAX, ban=ban
        ) as market,
    ):
        yield Eyes(market, server.local)


def down(local: LocalExchange) -> None:
    local.outages.begin(Part.ALL, 1.5)


def streams_down(local: LocalExchange) -> None:
    local.outages.begin(Part.STREAMS, 1.5 * SPEED)  # seconds of the market


def silent(local: LocalExchange) -> None:
    local.faults.add(FaultRule(kind=Kind.WS_STALL, path=PUBLIC))


def half_open(local: LocalExchange) -> None:
    local.faults.add(FaultRule(kind=Kind.WS_HALF_OPEN, path=PUBLIC))


@pytest.mark.parametrize("begin", [down, streams_down, silent, half_open])
async def test_in_an_outage_orders_are_refused_for_old_prices_and_afterwards_no_bar_is_missing(
    begin: Callable[[LocalExchange], None],
) -> None:
    async with eyes(speed=SPEED) as seen:
        await until(lambda: seen.refusal() is None and seen.last_bar)
        begin(seen.local)
        await until(lambda: seen.refusal() is Reason.MARKET_DATA_STALE)
        blind_at = seen.last_bar
        await until(lambda: seen.refusal() is None, 8.0)
        # The bars that closed meanwhile, and two that were heard since.
        ahead_ms = blind_at + 4 * MINUTE_MS
        await until(lambda: seen.last_bar >= ahead_ms, 8.0)
        assert seen.gaps() == []


async def test_while_the_address_is_banned_market_data_asks_for_nothing() -> None:
    """The ban is met by the market data's own requests: for filters over and over, and for bars at every connect."""
    limits = LimitConfig(address_requests=2, address_window_ms=1000, ban_ms=1000)
    async with eyes(limits=limits, ban_seconds=2) as seen:
        log = seen.local.log

        def refused_ms() -> list[int]:
            return [entry.at_ms for entry in log.after(0) if entry.status == HTTPStatus.FORBIDDEN]

        def asked_after_ms() -> list[int]:
            """What was on its way when the refusal came is no wonder."""
            begun_ms = min(refused_ms(), default=None)
            return [entry.at_ms for entry in log.after(0) if begun_ms and entry.at_ms > begun_ms + IN_FLIGHT_MS]

        for _ in range(1_000):  # some seconds more than the ban: a busy machine begins it late
            if asked_after_ms():
                break
            seen.market.refresh_instruments()
            await asyncio.sleep(0.01)
            if refused_ms() and not seen.local.faults.waiting:
                seen.local.faults.add(FaultRule(kind=Kind.WS_DISCONNECT, path=PUBLIC))
        [begun_ms, *_] = refused_ms()
        asked_ms = asked_after_ms()
        assert asked_ms
        assert min(asked_ms) >= begun_ms + 2000
