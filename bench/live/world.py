"""A gateway that trades live on the simulated exchange, in one process and in virtual time.

The exchange, the disk and the clocks outlive the gateway, which can be killed at any moment and is started again by a
supervisor, as a service would be.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import copy_context
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

import structlog

from bench.live.journal import Disk
from bench.live.life import OWNER, UID, GatewayClock, Life, Watcher, live_settings, owned_task
from bench.live.relay import KilledError, Relay
from gateway.core.model import Order
from gateway.ports import StartError, Venue
from gateway.venue_health import VenueHealth
from simulator.api.limits import LimitConfig
from simulator.inprocess import ExchangeConfig, LocalExchange
from simulator.local import DEFAULT_USDT
from simulator.outages import Part
from simulator.outbox import ABORT
from simulator.private_stream import private_hub
from simulator.trading.contract import AccountConfig
from simulator.virtual import VirtualLoop, VirtualTime

START_MS = 1_795_000_000_000
"""2026-11-18: the market has a history by then."""
SUPERVISOR_MS = 500
"""From the end of a gateway to the start of the next."""

T = TypeVar("T")


class World:
    """All of it; close it once."""

    def __init__(
        self,
        *,
        seed: int,
        symbols: Sequence[str] = ("BTCUSDT",),
        limits: LimitConfig | None = None,
        start_usd: Decimal = DEFAULT_USDT,
        watcher: Watcher | None = None,
        venue_of: Callable[[Venue], Venue] = lambda venue: venue,
        **settings: str,
    ) -> None:
        """`venue_of` puts something else in the place of the gateway's venue, to see that the audit finds it."""
        self._logging = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.time = VirtualTime(START_MS)
        self.loop = VirtualLoop(self.time)
        self.loop.set_task_factory(owned_task)
        self.loop.set_exception_handler(self._failed)
        self.relay = Relay(self.time)
        self.start_usd = start_usd
        accounts = (AccountConfig(uid=UID, balances={"USDT": start_usd}),)
        self.local = LocalExchange(
            ExchangeConfig(
                seed=seed, symbols=symbols, limits=limits or LimitConfig(), faults_seed=seed, accounts=accounts
            ),
            self.time,
        )
        self.hub = private_hub(self.local)
        self.local.outages.on_begin.append(self._went_down)
        self.clock = GatewayClock(self.time)
        self.disk = Disk()
        self.chance = Random(seed)
        self.watcher = watcher or Watcher()
        self._venue_of = venue_of
        self.settings = live_settings(tuple(symbols), **settings)
        self.lives = 0
        """How many gateways there were."""
        self.life: Life | None = None
        self._supervisor = self.loop.create_task(self._supervise())

    @property
    def gateway(self) -> Life | None:
        """The gateway that serves now, if one does."""
        return self.life if self.life is not None and self.life.ready else None

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run something to its end."""
        return self.loop.run_until_complete(main)

    def call(self, main: Coroutine[Any, Any, object]) -> None:
        """Do something with the gateway, which may be killed meanwhile."""
        with suppress(KilledError, asyncio.CancelledError):
            self.run(main)

    def health(self) -> VenueHealth | None:
        """How the gateway finds the way to the exchange; None when none serves."""
        gateway = self.gateway
        return None if gateway is None else self.run(gateway.health())

    def pass_ms(self, ms: int) -> None:
        """Let time pass."""
        self.run(asyncio.sleep(ms / 1000))

    def begin(self, order: Order) -> "asyncio.Task[object] | None":
        """Send a client's order; None when no gateway serves."""
        gateway = self.gateway
        if gateway is None:
            return None
        of_gateway = copy_context()
        of_gateway.run(OWNER.set, gateway)
        return of_gateway.run(self.loop.create_task, gateway.path.execute(order))

    def kill(self) -> None:
        """Kill the gateway."""
        if self.life is not None:
            self.life.kill()
            self.pass_ms(0)

    def until(self, condition: Callable[[], object], *, within_ms: int, look_ms: int = 100) -> bool:
        """Let time pass until something holds; whether it did in time."""
        end_ms = self.time.now_ms() + within_ms
        while not condition():
            if self.time.now_ms() >= end_ms:
                return False
            self.pass_ms(look_ms)
        return True

    def close(self) -> None:
        """End it all."""
        self._supervisor.cancel()
        if self.life is not None:
            self.life.kill()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(_ended(tasks))
        self.relay.close()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        structlog.configure(**self._logging)

    async def _supervise(self) -> None:
        """One gateway after the other, for ever."""
        while True:
            self.life = self._new_life()
            task = asyncio.create_task(self.life.run())
            with suppress(StartError, asyncio.CancelledError, KilledError):
                await asyncio.shield(task)
            if not task.done():
                task.cancel()
                raise asyncio.CancelledError
            self.life.kill()
            await _ended(set(self.life.tasks))
            await asyncio.sleep(SUPERVISOR_MS / 1000)

    def _new_life(self) -> Life:
        self.lives += 1
        return Life(
            settings=self.settings,
            local=self.local,
            hub=self.hub,
            relay=self.relay,
            time=self.time,
            clock=self.clock,
            disk=self.disk,
            chance=self.chance,
            watcher=self.watcher,
            venue_of=self._venue_of,
        )

    def _failed(self, _loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        self.watcher.failed(f"{told['message']}: {told.get('exception')!r}")

    def _went_down(self, part: Part, _seconds: float) -> None:
        if part is not Part.REST:
            self.hub.cut_all(ABORT)


async def _ended(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
