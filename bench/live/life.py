"""One life of a gateway that trades live, from its start to its end by a kill: all of it real but the disk, the wires
and the machine's clock.

What is killed acts no more: its tasks are cancelled, its calls end where they wait, and its journal, its requests and
its stream do nothing from then on, whatever a `finally` may still try.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from decimal import Decimal
from random import Random
from typing import Any

import requests

from bench.live.journal import Disk, MemoryJournal
from bench.live.relay import KilledError, Relay
from gateway.adapters.ban import AddressBan
from gateway.adapters.facts import LocalFacts
from gateway.adapters.venue_bybit.socket import WAIT_SECONDS_MIN
from gateway.core.facts import UNRESTRICTED, CalibrationStanding
from gateway.core.model import Book, Instrument, Level, OrderKey, OrderRecord, Symbol, WatchState
from gateway.guard import RiskGuard
from gateway.order_path import OrderPath
from gateway.policy import policy_of
from gateway.ports import Step, Venue
from gateway.reconcile import Reconciler
from gateway.settings import Settings, load
from gateway.side import Core
from gateway.venue_health import VenueHealth
from gateway.wiring_live import LiveSide, Way
from simulator.inprocess import LocalExchange, LocalTransport
from simulator.outages import Part
from simulator.private_stream import PrivateHub, PrivateSession
from simulator.trading.markets import SimulatedMarkets
from simulator.virtual import VirtualTime

KEY, SECRET = "SIMKEY0001", "SIMSECRET0001"
UID = 1
CREATE = "/v5/order/create"
BOOK_LEVELS = 5

OWNER: ContextVar["Life | None"] = ContextVar("OWNER", default=None)
"""The life that a task belongs to."""


class GatewayClock:
    """The gateway's machine's clock, which may be wrong."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self.off_ms = 0
        """How far it is ahead."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return self._time.now_ms() + self.off_ms


class LocalMarket:
    """The exchange's prices, always fresh."""

    source = "simulated"

    def __init__(self, local: LocalExchange, clock: GatewayClock) -> None:
        self._local = local
        self._clock = clock
        self._markets = SimulatedMarkets(local.exchange)

    def book(self, symbol: Symbol) -> Book | None:
        """The newest book; None while a side of it is empty."""
        ladder = self._markets.book("linear", symbol, self._local.scheduler.now_ms(), BOOK_LEVELS)
        if not ladder.bids or not ladder.asks:
            return None
        return Book(
            bids=tuple(Level(price=price, qty=qty) for price, qty in ladder.bids[:BOOK_LEVELS]),
            asks=tuple(Level(price=price, qty=qty) for price, qty in ladder.asks[:BOOK_LEVELS]),
            received_ms=self._clock.now_ms(),
        )

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The venue's rules."""
        listing = self._markets.listing("linear", symbol)
        return listing and Instrument(
            symbol=symbol,
            qty_step=listing.qty_step,
            min_qty=listing.qty_min,
            max_market_qty=listing.market_qty_max,
            min_notional_usd=listing.notional_min,
            tick_size=listing.tick,
        )

    def bars(self, _symbol: Symbol) -> None:
        """Nobody decides here."""
        return

    def mark_price(self, symbol: Symbol) -> Decimal:
        """The venue's mark price."""
        return self._markets.mark_price(symbol, self._local.scheduler.now_ms())

    def refresh_instruments(self) -> None:
        """They never change."""


class SteadyCalibration:
    """The model is as good as it says."""

    def standing(self, _model_version: str | None = None) -> CalibrationStanding:
        """What is asked of an order."""
        return CalibrationStanding(state=WatchState.OK, threshold=0.6, slope=1.0)


class Wire(LocalTransport):
    """What the requests of one life go through."""

    def __init__(self, life: "Life", local: LocalExchange, relay: Relay) -> None:
        super().__init__(local, relay.wait)
        self._life = life

    def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
        """Send a request, unless nobody is there to send it."""
        if self._life.dead:
            raise KilledError
        if CREATE in (request.url or ""):
            self._life.watcher.sends(self._life, json.loads(request.body or "")["orderLinkId"])
        return super().send(request, *args, **options)


class Line:
    """One connection of the private stream, as the gateway's socket."""

    def __init__(self, life: "Life", session: PrivateSession) -> None:
        self._life = life
        self._session = session
        self._news = asyncio.Event()
        self._frames: list[str] = []
        session.outbox.on_change = self._news.set

    async def send(self, text: str) -> None:
        """Say something. Raises ConnectionError."""
        self._check()
        self._frames += self._session.receive(text)
        self._news.set()

    async def receive(self, seconds: float) -> str | None:
        """The next frame; None when none came. Raises ConnectionError."""
        try:
            # As the real socket waits: a wait of less than the time can tell apart would be repeated without an end.
            async with asyncio.timeout(max(seconds, WAIT_SECONDS_MIN)):
                while not self._frames:
                    self._check()
                    self._news.clear()
                    self._frames = self._session.outbox.take()
                    if not self._frames:
                        await self._news.wait()
        except TimeoutError:
            return None
        return self._frames.pop(0)

    def _check(self) -> None:
        if self._life.dead or self._session.outbox.close_code is not None:
            raise ConnectionResetError("the stream was cut")


class Watcher:
    """Told of what a gateway is about to do; the audit listens here."""

    def stages(self, life: "Life", record: OrderRecord) -> None:
        """An order is about to be journaled, or what became of it."""

    def sends(self, life: "Life", link: str) -> None:
        """The create of an order leaves the gateway."""

    def failed(self, what: str) -> None:
        """Something in the gateway raised what nobody took."""


def live_settings(symbols: tuple[str, ...], **changes: str) -> Settings:
    """The settings of a live gateway on the simulated exchange, read from an environment as ever."""
    environment: Mapping[str, str] = {
        "TRADING_MODE": "live",
        "BYBIT_ENV": "simulator",
        "BYBIT_API_KEY": KEY,
        "BYBIT_API_SECRET": SECRET,
        "SYMBOLS": ",".join(symbols),
        "ORDER_RATE_MAX": "0",
        "DUPLICATE_WINDOW_MS": "0",  # orders are drawn, and may be alike
        "REQUIRE_DECISION": "off",  # there is no model
    }
    return load({**environment, **changes})


class Life:
    """A gateway process, as far as orders go."""

    def __init__(
        self,
        *,
        settings: Settings,
        local: LocalExchange,
        hub: PrivateHub,
        relay: Relay,
        time: VirtualTime,
        clock: GatewayClock,
        disk: Disk,
        chance: Random,
        watcher: Watcher,
        venue_of: Callable[[Venue], Venue],
    ) -> None:
        live = settings.live
        if live is None:
            raise ValueError("these are no settings of live trading")
        self.dead = False
        self.ready = False
        """Whether it serves."""
        self.tasks: set[asyncio.Task[Any]] = set()
        self.watcher = watcher
        self.dies_at: Step | None = None
        """The step at which the next order kills it."""
        self.on_death: Callable[[], None] = _nothing
        self._relay, self._hub, self._local, self._chance = relay, hub, local, chance
        self._market = LocalMarket(local, clock)
        self.journal = MemoryJournal(disk, time, on_stage=lambda record: watcher.stages(self, record))
        way = Way(
            runner=relay.runner,
            transport=Wire(self, local, relay),
            connect=self._connect,
            chance=Random(chance.random()),
        )
        ban = AddressBan(clock=clock, seconds=live.ban_seconds)
        self.side = LiveSide(settings, live, self._market, clock, ban, way=way)
        self.venue = venue_of(self.side.venue)
        self.account = self.side.account
        self._build(settings, clock)

    def _build(self, settings: Settings, clock: GatewayClock) -> None:
        """What wiring.py builds around a side."""
        account, journal, venue, market = self.account, self.journal, self.venue, self._market
        policy = policy_of(settings)
        self.guard = RiskGuard(
            account=account,
            journal=journal,
            equity=self.side.equity,
            clock=clock,
            drawdown_max=settings.max_drawdown_pct,
        )
        facts = LocalFacts(
            account=account,
            guard=self.guard,
            venue=venue,
            market=market,
            calibration=SteadyCalibration(),
            journal=journal,
            clock=clock,
            policy=policy,
            permission=lambda: UNRESTRICTED,
        )
        self.path = OrderPath(
            account=account,
            policy=policy,
            facts=facts,
            journal=journal,
            venue=venue,
            clock=clock,
            tracer=self,
            held_back=self.guard.holds_back,
        )
        self.reconciler = Reconciler(
            account=account,
            path=self.path,
            guard=self.guard,
            journal=journal,
            venue=venue,
            market=market,
            clock=clock,
            interval_seconds=self.side.reconcile_seconds,
            order_age_ms_max=settings.order_age_seconds_max * 1000,
            decision_age_ms_max=settings.decision_age_seconds_max * 1000,
        )
        self.beside = self.side.attach(Core(journal=journal, guard=self.guard, reconciler=self.reconciler))

    def reached(self, step: Step, key: OrderKey) -> None:  # noqa: ARG002 - any order will do
        """Die at the step that was named."""
        if step is self.dies_at:
            self.kill()
        if self.dead:
            raise KilledError

    async def run(self) -> None:
        """Start as wiring.py does, and serve for ever. Raises StartError."""
        OWNER.set(self)
        task = asyncio.current_task()
        if task is not None:
            self.tasks.add(task)
        await self.journal.claim(await self.side.open())
        await self.side.listen()
        self.account.load(self.journal.filled_orders(), self.journal.open_orders())
        self.guard.load()
        await self.reconciler.run()
        await self.beside.settle()
        watches = (self.guard.watch(), self.reconciler.watch(), *self.beside.watches())
        self.ready = True
        await asyncio.gather(*watches)

    async def health(self) -> VenueHealth | None:
        """How the way to the exchange is."""
        return self.beside.health() if self.beside.health else None

    def ended(self, task: asyncio.Task[Any]) -> None:
        """A task of this life is over; how it ended does not matter once the process is dead."""
        self.tasks.discard(task)
        if self.dead and not task.cancelled():
            task.exception()

    def kill(self) -> None:
        """End this process at once."""
        if self.dead:
            return
        self.dead, self.ready = True, False
        self.journal.kill(self._chance)
        for task in self.tasks:
            task.cancel()
        self._relay.kill()
        self.on_death()

    @asynccontextmanager
    async def _connect(self, _url: str) -> AsyncIterator[Line]:
        if self.dead or self._local.outages.down(Part.STREAMS):
            raise ConnectionRefusedError("nobody answers")
        session = self._hub.open()
        try:
            yield Line(self, session)
        finally:
            self._hub.forget(session)


def owned_task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: object) -> asyncio.Task[Any]:
    """Makes tasks that die with the life that made them; a loop's task factory."""
    task = asyncio.Task(coro, loop=loop, **options)
    owner = OWNER.get()
    if owner is not None:
        owner.tasks.add(task)
        task.add_done_callback(owner.ended)
        if owner.dead:
            task.cancel()
    return task


def _nothing() -> None:
    """Nobody waits for the end."""
