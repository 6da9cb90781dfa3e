"""Builds the gateway. The wiring files alone name concrete adapters; on paper wiring_live.py stays unread."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from gateway import __version__
from gateway.account import Account
from gateway.adapters.ban import BAN_SECONDS, AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.facts import LocalFacts
from gateway.adapters.journal_sqlite import SqliteJournal
from gateway.adapters.market_bybit import BybitMarket
from gateway.adapters.model_client import OipModel
from gateway.adapters.venue_paper import PaperVenue
from gateway.calibration import Calibration
from gateway.confirmations import Confirmations
from gateway.core.fact_records import policy_document
from gateway.core.ledger import Ledger
from gateway.core.model import OrderKey
from gateway.decision_path import DecisionPath
from gateway.equity import Equity, PaperEquity
from gateway.guard import RiskGuard
from gateway.health import Health
from gateway.kill_switch import KillSwitch
from gateway.live_features import LiveFeatures
from gateway.order_path import OrderPath
from gateway.outcomes import Maturing
from gateway.policies import keep_policy
from gateway.policy import policy_of
from gateway.ports import Clock, MarketData, Step, Venue, VenueAccount
from gateway.promotion import Promotion
from gateway.reconcile import Reconciler
from gateway.rpc.server import Server
from gateway.rpc.servicers import servicers
from gateway.settings import Settings
from gateway.side import Beside, Core, Side
from gateway.venue_health import VenueHealth
from gateway.wiring_promotion import new_promotion

log = structlog.get_logger()

GARBAGE_THRESHOLD = 20_000
"""New objects between two collections; Python's own 700 collects several times in one batch."""

RECONCILE_SECONDS = 5.0
"""How often open paper orders are looked at."""

MARKET_WAIT_SECONDS = 2.0
"""How long a start with open orders waits for prices before it serves."""


class PaperSide:
    """Trading on paper: orders go nowhere, and the account is the journal's alone."""

    reconcile_seconds = RECONCILE_SECONDS
    health: Callable[[], VenueHealth] | None = None

    def __init__(self, settings: Settings, market: MarketData, clock: Clock) -> None:
        self.account = Account("paper", Ledger(start_usd=settings.paper_equity_usd))
        self.venue_account: VenueAccount | None = None
        self.venue: Venue = PaperVenue(market=market, fee_bps=settings.paper_fee_bps)
        self.equity: Equity = PaperEquity(
            account=self.account, market=market, clock=clock, price_age_ms_max=settings.price_age_ms_max
        )

    def attach(self, core: Core) -> Beside:  # noqa: ARG002 - there is nothing to compare
        """Nothing runs beside paper trading."""
        return self

    async def open(self) -> str:
        """The name of the account."""
        return self.account.name

    async def listen(self) -> None:
        """Nothing to hear: fills exist only as answers."""

    async def settle(self) -> None:
        """Nothing to compare."""

    def watches(self) -> Sequence[Coroutine[Any, Any, None]]:
        """Nothing."""
        return ()

    async def close(self) -> None:
        """Nothing to give up."""


SideMaker = Callable[[Settings, BybitMarket, Clock, AddressBan], Side]


class Gateway:
    """The running gateway."""

    def __init__(self, settings: Settings, make_side: SideMaker | None = None) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._policy = policy_of(settings)
        ban = AddressBan(clock=self._clock, seconds=settings.live.ban_seconds if settings.live else BAN_SECONDS)
        self._market = _market(settings, self._clock, ban)
        self._side = (make_side or _side)(settings, self._market, self._clock, ban)
        self._account = self._side.account
        self._journal = SqliteJournal(settings.journal_path)
        self._model = _model(settings)
        self._calibration = _calibration(settings, self._journal, self._clock)
        self._guard = RiskGuard(
            account=self._account,
            journal=self._journal,
            equity=self._side.equity,
            clock=self._clock,
            drawdown_max=settings.max_drawdown_pct,
        )
        self._promotion = self._new_promotion()
        self._path = self._order_path()
        self._kill_switch = KillSwitch(
            account=self._account,
            path=self._path,
            guard=self._guard,
            venue=self._side.venue,
            market=self._market,
            clock=self._clock,
            venue_account=self._side.venue_account,
        )
        self._reconciler = self._new_reconciler()
        self._beside = self._side.attach(Core(journal=self._journal, guard=self._guard, reconciler=self._reconciler))
        self._maturing = Maturing(
            calibration=self._calibration, market=self._market, model=self._model, clock=self._clock
        )
        self._health = self._new_health()
        self._servicers = servicers(
            settings=settings,
            path=self._path,
            decisions=self._decision_path(),
            guard=self._guard,
            kill_switch=self._kill_switch,
            confirmations=Confirmations(self._clock),
            health=self._health,
            calibration=self._calibration,
            journal=self._journal,
            account=self._account,
            market=self._market,
            promotion=self._promotion,
            dry_run=self._side.venue.dry_run,
        )

    def _new_health(self) -> Health:
        return Health(
            model=self._model,
            calibration=self._calibration,
            market=self._market,
            journal=self._journal,
            clock=self._clock,
            symbols=self._settings.symbols,
            price_age_ms_max=self._settings.price_age_ms_max,
            venue=self._beside.health,
        )

    def _new_promotion(self) -> Promotion:
        return new_promotion(
            self._settings,
            self._policy,
            journal=self._journal,
            account=self._account,
            guard=self._guard,
            model=self._model,
            served=lambda: self._health.model_version,
            clock=self._clock,
        )

    def _order_path(self) -> OrderPath:
        facts = LocalFacts(
            account=self._account,
            guard=self._guard,
            venue=self._side.venue,
            market=self._market,
            calibration=self._calibration,
            journal=self._journal,
            clock=self._clock,
            policy=self._policy,
            permission=self._promotion.permission,
        )
        return OrderPath(
            account=self._account,
            policy=self._policy,
            facts=facts,
            journal=self._journal,
            venue=self._side.venue,
            clock=self._clock,
            tracer=CrashTracer(self._settings.crash_at),
            held_back=self._guard.holds_back,
        )

    def _new_reconciler(self) -> Reconciler:
        return Reconciler(
            account=self._account,
            path=self._path,
            guard=self._guard,
            journal=self._journal,
            venue=self._side.venue,
            market=self._market,
            clock=self._clock,
            interval_seconds=self._side.reconcile_seconds,
            order_age_ms_max=self._settings.order_age_seconds_max * 1000,
            decision_age_ms_max=self._settings.decision_age_seconds_max * 1000,
        )

    def _decision_path(self) -> DecisionPath:
        return DecisionPath(
            policy=self._policy,
            model=self._model,
            live=LiveFeatures(market=self._market, model=self._model, clock=self._clock),
            guard=self._guard,
            calibration=self._calibration,
            journal=self._journal,
            clock=self._clock,
            bar_seconds=self._settings.bar_minutes * 60,
        )

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is under way."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await self._journal.start()
            await self._open()
            await self._market.start()
            await self._side.listen()
            await self._recover()
            await self._beside.settle()
            await self._serve(stop)
        finally:
            await self._side.close()
            await self._market.close()
            await self._model.close()
            await self._journal.close()

    async def _open(self) -> None:
        """Make sure that this account may trade here before anything is sent or written. Raises StartError."""
        if self._settings.live:
            await self._health.look()  # a promotion is for one model
        await self._promotion.load()
        await self._journal.claim(await self._side.open())

    async def _recover(self) -> None:
        """Rebuild the account and the risk state, and resolve what a crash left open, before anything is served."""
        self._account.load(self._journal.filled_orders(), self._journal.open_orders())
        self._guard.load()  # before anything is recorded: a journal with records and no risk state starts halted
        await self._promotion.begin()
        await keep_policy(self._journal, policy_document(self._policy, self._account.name, self._clock.now_ms()))
        await self._health.look()  # what the served version's calibration asks for holds from the first order on
        waits = MARKET_WAIT_SECONDS if self._account.open_orders() else 0.0
        while waits > 0 and not all(self._market.book(symbol) for symbol in self._settings.symbols):
            await asyncio.sleep(0.05)
            waits -= 0.05
        await self._reconciler.run()

    async def _serve(self, stop: asyncio.Event) -> None:
        settings = self._settings
        server = Server(
            self._servicers,
            address=settings.gateway_listen_addr,
            max_message_bytes=settings.max_message_bytes,
            max_concurrent_calls=settings.max_concurrent_calls,
        )
        await server.start()
        _settle_memory()
        log.info("gateway_started", version=__version__, mode=settings.trading_mode, port=server.port)
        async with asyncio.TaskGroup() as tasks:
            watches = [
                tasks.create_task(self._health.watch(server.model_answers)),
                tasks.create_task(self._guard.watch()),
                tasks.create_task(self._reconciler.watch()),
                tasks.create_task(self._maturing.watch()),
                tasks.create_task(self._promotion.watch()),
                *(tasks.create_task(watch) for watch in self._beside.watches()),
            ]
            await stop.wait()
            log.info("gateway_draining", seconds=settings.drain_seconds)
            await server.drain(settings.drain_seconds)
            await self._kill_switch.stop()
            await self._path.drain()
            for watch in watches:
                watch.cancel()
        log.info("gateway_stopped")


async def serve(settings: Settings, make_side: SideMaker | None = None) -> None:
    """Build inside the running event loop, which the gRPC channel binds to, and serve. Raises StartError.

    `make_side`: where orders go instead of where the settings say; for tests that hold another venue against ours.
    """
    await Gateway(settings, make_side).run()


class CrashTracer:
    """Kills the process at one labelled step, for crash tests; traces nothing when no step is named."""

    def __init__(self, crash_at: str) -> None:
        self._crash_at = Step(crash_at) if crash_at else None

    def reached(self, step: Step, key: OrderKey) -> None:  # noqa: ARG002 - any order will do
        """Die here, as a power cut would, when this is the named step."""
        if step is self._crash_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _settle_memory() -> None:
    """Leave what a start has made out of every later collection, and collect less often: requests make no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def _side(settings: Settings, market: BybitMarket, clock: Clock, ban: AddressBan) -> Side:
    if settings.live is None:
        return PaperSide(settings, market, clock)
    from gateway.wiring_live import live_side  # noqa: PLC0415 - a paper process has no live venue, not even its code

    return live_side(settings, market, clock, ban)


def _market(settings: Settings, clock: SystemClock, ban: AddressBan) -> BybitMarket:
    return BybitMarket(
        source=settings.market_data,
        rest_url=settings.market_rest_url,
        ws_url=settings.market_ws_url,
        symbols=settings.symbols,
        clock=clock,
        bar_minutes=settings.bar_minutes,
        price_age_ms_max=settings.price_age_ms_max,
        ban=ban,
    )


def _model(settings: Settings) -> OipModel:
    return OipModel(
        address=settings.model_service_addr,
        name=settings.model_name,
        timeout_seconds=settings.model_timeout_ms / 1000,
        horizon_seconds=settings.model_horizon_seconds,
        bar_seconds=settings.bar_minutes * 60,
        market=settings.model_market,
    )


def _calibration(settings: Settings, journal: SqliteJournal, clock: SystemClock) -> Calibration:
    return Calibration(
        journal=journal,
        clock=clock,
        threshold=float(settings.confidence_threshold),
        alarm_at=float(settings.calibration_alarm_at),
        raise_by=float(settings.calibration_raise_by),
        window=settings.calibration_window,
        recalibrate=settings.recalibration,
    )
