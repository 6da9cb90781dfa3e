"""Builds live trading on Bybit; only a gateway with TRADING_MODE=live imports this, and with it pybit.

Nothing is sent before the endpoint is one of the allowed ones and the start checks have found no fault. The account is
compared before the gateway serves; orders wait for a comparison without a difference all the same.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import structlog
from requests.adapters import BaseAdapter

from gateway.account import Account
from gateway.account_watch import AccountWatch
from gateway.adapters.ban import AddressBan
from gateway.adapters.market_bybit import BybitMarket
from gateway.adapters.venue_bybit.account import BybitAccount
from gateway.adapters.venue_bybit.alarms import Alarm, AlarmKind
from gateway.adapters.venue_bybit.budget import Budget
from gateway.adapters.venue_bybit.checks import accepted_in, gather_start_facts, owner_of, start_faults
from gateway.adapters.venue_bybit.endpoint import checked_endpoint
from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.runner import Runner, ThreadRunner
from gateway.adapters.venue_bybit.session import BybitSession
from gateway.adapters.venue_bybit.skew import measure_skew
from gateway.adapters.venue_bybit.socket import Connect, open_socket
from gateway.adapters.venue_bybit.stream import PrivateStream
from gateway.adapters.venue_bybit.venue import BybitVenue
from gateway.adapters.venue_paper import PaperVenue
from gateway.alarm_desk import AlarmDesk, Answer
from gateway.core.ledger import Ledger
from gateway.core.model import ZERO, Symbol
from gateway.core.venue import Execution, VenueOrder, VenuePosition
from gateway.equity import Equity, LiveEquity
from gateway.guard import ACTOR, RiskGuard
from gateway.ports import Clock, StartError, Venue, VenueAccount, VenueUnavailableError
from gateway.settings import LiveSettings, Settings
from gateway.side import Beside, Core
from gateway.twin import Twins
from gateway.venue_health import VenueHealth, VenueLook

RECONCILE_SECONDS: Final = 1.0
"""How often live orders without a known end are looked for."""

COMPARISONS_KEPT: Final = 3
"""So many intervals a comparison and a wallet count for."""

CLOCK_SECONDS: Final = 60.0
"""How often this machine's clock is held against Bybit's."""

UNKNOWN_AGE_FACTOR: Final = 3
"""So many times the venue may hide an order, an unknown one may be old before health tells it."""

ANSWERS: Final[Mapping[AlarmKind, tuple[Answer, str]]] = {
    AlarmKind.AUTH: (Answer.HALT, "Bybit does not accept the API key or the address"),
    AlarmKind.CLOCK: (Answer.REDUCE, "Bybit refused a time stamp: this machine's clock or the line is too far off"),
    AlarmKind.MISMATCH: (Answer.REDUCE, "an order at Bybit is not the one that was sent under its id"),
    AlarmKind.FOREIGN: (Answer.COMPARE, ""),
    AlarmKind.BANNED: (Answer.TELL, ""),
    AlarmKind.BREAKER: (Answer.TELL, ""),
}
"""What is done about each alarm, and the reason that is journaled for it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How Bybit is reached: over the network, unless an exchange within this process stands in for it."""

    runner: Callable[[str], Runner] = ThreadRunner
    """Where the blocking calls of a session of that name run."""
    transport: BaseAdapter | None = None
    """What requests are sent through; None for sockets."""
    connect: Connect = open_socket
    chance: random.Random = field(default_factory=random.Random)
    """What the pauses between connections are drawn from."""


class LiveSide:
    """Live trading on one Bybit account."""

    reconcile_seconds = RECONCILE_SECONDS

    def __init__(
        self,
        settings: Settings,
        live: LiveSettings,
        market: BybitMarket,
        clock: Clock,
        ban: AddressBan,
        *,
        way: Way = Way(),
    ) -> None:
        self._way = way
        self._settings = settings
        self._live = live
        self._clock = clock
        self._kept_ms = COMPARISONS_KEPT * live.reconcile_seconds * 1000
        self._endpoint = checked_endpoint(live.env, live.rest_url, live.private_ws_url)
        self.account = Account(f"live-{live.env}", Ledger(start_usd=ZERO), comparison_age_ms_max=self._kept_ms)
        self._budget = Budget(clock=clock, alarm=self._alarmed, ban=ban, halted=self._is_halted)
        self._reads = self._session("reads")
        self._openings = self._session("openings")
        self._reductions = self._session("reductions")
        self._events = OrderEvents(unfollowed=self._unfollowed)
        self._bybit = BybitAccount(reads=self._reads, clock=clock)
        paper = PaperVenue(market=market, fee_bps=settings.paper_fee_bps)
        self._twins = Twins(market=market, fill=paper.fill, clock=clock)
        self.venue_account: VenueAccount | None = self._bybit
        self.venue: Venue = self._venue(market)
        self.equity: Equity = LiveEquity(
            account=self.account, venue=self._bybit, market=market, clock=clock, wallet_age_ms_max=self._kept_ms
        )
        self._stream = PrivateStream(
            url=self._endpoint.private_ws_url,
            credentials=live.credentials,
            clock=clock,
            events=self._events,
            on_wallet=self._bybit.took_wallet,
            on_position=self._position_moved,
            on_connected=self._connected,
            alarm=self._alarmed,
            connect=way.connect,
            chance=way.chance,
        )
        self._desk = AlarmDesk()
        self._guard: RiskGuard | None = None
        self._wakers: list[Callable[[], None]] = []
        """Who looks again when something was heard that nobody waits for."""

    def attach(self, core: Core) -> Beside:
        """The comparison of the account, and what else runs beside the order path."""
        live, self._guard = self._live, core.guard
        watch = AccountWatch(
            account=self.account,
            guard=core.guard,
            journal=core.journal,
            venue=self._bybit,
            clock=self._clock,
            interval_seconds=live.reconcile_seconds,
            lag_ms_max=live.lag_ms_max,
        )
        look = VenueLook(
            env=live.env,
            account=self.account,
            venue=self.venue,
            stream=self._stream,
            clean_ms=lambda: watch.clean_ms,
            clock=self._clock,
            comparison_age_ms_max=self._kept_ms,
            unknown_age_ms_max=UNKNOWN_AGE_FACTOR * (live.recv_window_ms + live.clock_skew_ms_max + live.lag_ms_max),
        )
        self._wakers = [core.reconciler.wake, watch.wake]
        return LiveBeside(
            guard=core.guard,
            watch=watch,
            desk=self._desk,
            look=look,
            clock_watch=partial(self._watch_clock, core.guard),
            twin_watch=partial(self._twins.watch, core.journal),
        )

    async def open(self) -> str:
        """Check the account and its key; its name. Raises StartError with every fault."""
        live = self._live
        facts = await gather_start_facts(self._reads, self._clock, self._settings.symbols)
        accepted = accepted_in(live.env, facts.key, live.accepted)
        faults = start_faults(facts, accepted=accepted, clock_skew_ms_max=live.clock_skew_ms_max)
        if faults:
            raise StartError(f"live trading on {live.env} is refused: {' '.join(_sentence(fault) for fault in faults)}")
        owner = owner_of(live.env, facts.key, live.credentials.key)
        if not owner:
            raise StartError(f"live trading on {live.env} is refused: Bybit does not tell whose API key this is.")
        log.warning("live_trading", env=live.env, accepted=sorted(accepted), without_promotion=live.without_promotion)
        return f"live-{live.env}-{owner}"

    async def listen(self) -> None:
        """Open the private stream; returns at once."""
        await self._stream.start()

    async def close(self) -> None:
        """Give up the connections."""
        await self._stream.close()
        await self._openings.close()
        await self._reductions.close()
        await self._reads.close()

    def _session(self, name: str) -> BybitSession:
        return BybitSession(
            endpoint=self._endpoint,
            credentials=self._live.credentials,
            recv_window_ms=self._live.recv_window_ms,
            clock=self._clock,
            budget=self._budget,
            name=name,
            run=self._way.runner(f"bybit-{name}"),
            transport=self._way.transport,
        )

    def _venue(self, market: BybitMarket) -> BybitVenue:
        live = self._live
        return BybitVenue(
            openings=self._openings,
            reductions=self._reductions,
            reads=self._reads,
            events=self._events,
            market=market,
            clock=self._clock,
            alarm=self._alarmed,
            recv_window_ms=live.recv_window_ms,
            answer_ms=live.answer_ms,
            lag_ms_max=live.lag_ms_max,
            clock_skew_ms_max=live.clock_skew_ms_max,
            slippage_tolerance_pct=live.slippage_tolerance_pct,
            refresh_instruments=market.refresh_instruments,
            sending=self._twins.sending,
        )

    def _is_halted(self, reduce_only: bool) -> bool:
        """Whether no such order may be sent; while a flatten closes, the reductions that the order path sends may."""
        guard = self._guard
        return guard is not None and guard.is_halted and not (reduce_only and guard.is_closing)

    def _alarmed(self, alarm: Alarm) -> None:
        answer, reason = ANSWERS[alarm.kind]
        self._desk.ring(alarm.kind.value, alarm.text, answer, reason)

    def _connected(self) -> None:
        """The stream was made anew, and told nothing of what happened meanwhile."""
        self._wake()

    def _unfollowed(self, told: VenueOrder | Execution) -> None:
        """Something moved that this process did not just send: an order of an earlier run, or a foreign one."""
        log.info("unfollowed_news", symbol=told.symbol, link=told.order_link_id)
        self._wake()

    def _position_moved(self, symbol: Symbol, position: VenuePosition | None) -> None:
        """A position that is not the ledger's while no order of ours is open is to be looked into."""
        self._bybit.took_position(symbol, position)
        qty = position.qty if position else ZERO
        open_here = any(record.order.symbol == symbol for record in self.account.open_orders())
        if not open_here and qty != self.account.ledger.position_qty(symbol):
            self._wake()

    def _wake(self) -> None:
        for wake in self._wakers:
            wake()

    async def _watch_clock(self, guard: RiskGuard) -> None:
        """Hold this machine's clock against Bybit's for ever; one that is off for certain lets only reductions pass."""
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            try:
                skew = await measure_skew(self._reads)
            except VenueUnavailableError as fault:
                log.warning("clock_not_compared", detail=str(fault))
                continue
            certain_ms = abs(skew.ms) - skew.round_trip_ms // 2
            if certain_ms > self._live.clock_skew_ms_max:
                log.error("clock_skewed", skew_ms=skew.ms, round_trip_ms=skew.round_trip_ms)
                await guard.reduce(ACTOR, "this machine's clock is further from Bybit's than CLOCK_SKEW_MS_MAX")


class LiveBeside:
    """What runs beside the order path in live trading."""

    def __init__(
        self,
        *,
        guard: RiskGuard,
        watch: AccountWatch,
        desk: AlarmDesk,
        look: VenueLook,
        clock_watch: Callable[[], Coroutine[Any, Any, None]],
        twin_watch: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._guard = guard
        self._watch = watch
        self._desk = desk
        self._clock_watch = clock_watch
        self._twin_watch = twin_watch
        self.health: Callable[[], VenueHealth] | None = look.health

    async def settle(self) -> None:
        """Compare the account once; without success the gateway serves all the same, and refuses (RECONCILING)."""
        clean = await self._watch.run()
        log.info("account_compared", clean=clean)

    def watches(self) -> Sequence[Coroutine[Any, Any, None]]:
        """The comparison, the alarms, the clock and the paper twins."""
        return (
            self._watch.watch(),
            self._desk.watch(self._guard, self._watch.wake),
            self._clock_watch(),
            self._twin_watch(),
        )


def live_side(settings: Settings, market: BybitMarket, clock: Clock, ban: AddressBan) -> LiveSide:
    """The side of a gateway that trades live. Raises StartError."""
    if settings.live is None:
        raise StartError("live trading has no settings: set TRADING_MODE=live.")
    return LiveSide(settings, settings.live, market, clock, ban)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
