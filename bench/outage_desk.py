"""A live gateway's ears and hands on a simulated exchange in a process of its own: what an outage is measured with.

Everything between the order path and the exchange is the real thing: sessions with their threads, budget, venue, order
events, private stream, account, public market stream. The desk sends an order every so often, asks again for those
whose end is not known, as reconciliation does, and holds all that it was told against the exchange's own books.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp

from bench.processes import Server
from gateway.adapters.ban import AddressBan
from gateway.adapters.clock import SystemClock
from gateway.adapters.market_bybit import BybitMarket
from gateway.adapters.venue_bybit.account import BybitAccount
from gateway.adapters.venue_bybit.alarms import Alarm
from gateway.adapters.venue_bybit.budget import Budget
from gateway.adapters.venue_bybit.endpoint import checked_endpoint
from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.runner import ThreadRunner
from gateway.adapters.venue_bybit.session import BybitSession
from gateway.adapters.venue_bybit.stream import Patience, PrivateStream
from gateway.adapters.venue_bybit.venue import BybitVenue
from gateway.core.credentials import Credentials, Secret
from gateway.core.model import Fill, Order, OrderKey, OrderLinkId, OrderRecord, OrderState, Outcome, Side, Symbol
from gateway.core.risk import Approved, restore
from gateway.core.venue import Execution, VenueOrder
from gateway.ports import VenueUnavailableError

BTC, ETH = Symbol("BTCUSDT"), Symbol("ETHUSDT")
CREDENTIALS = Credentials(key="SIMKEY0001", secret=Secret("SIMSECRET0001"))
ORDER_USD = Decimal(700)
FIND_SECONDS = 0.5
"""Between two rounds of questions about orders of unknown end."""
LATE_MS = 1000
"""So much later than its time limit an answer may be, on a machine that does other things as well."""
SETTLE_SECONDS = 60.0
"""So long after the last order every end must be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Time limits of the gateway, and how fast the desk trades."""

    patience: Patience = field(default_factory=Patience)
    market_silence_seconds: float = 10.0
    recv_window_ms: int = 5000
    answer_ms: int = 5000
    lag_ms_max: int = 10_000
    clock_skew_ms_max: int = 500
    price_age_ms_max: int = 5000
    order_seconds: float = 0.5
    """Between two orders."""
    calm_seconds: float = 3.0
    """Of trading before the outage and after it."""


QUICK = Pace(
    patience=Patience(hello=1.0, ping=0.3, silence=1.0, reconnect=(0.1, 0.5), refused=(0.3, 0.6)),
    market_silence_seconds=1.0,
    recv_window_ms=1000,
    answer_ms=1500,
    lag_ms_max=1000,
    clock_skew_ms_max=200,
    price_age_ms_max=500,
    order_seconds=0.2,
    calm_seconds=0.6,
)
"""The same with a tenth of the patience, for the test suite."""


class Exchange:
    """The simulated exchange in a process of its own, and its control API."""

    def __init__(self, http: aiohttp.ClientSession, port: int) -> None:
        self._http = http
        self.port = port

    async def control(self, name: str, **body: object) -> None:
        async with self._http.post(f"http://127.0.0.1:{self.port}/_control/{name}", json=body) as answer:
            told = await answer.json()
            if not told["ok"]:
                raise RuntimeError(f"{name}: {told}")

    async def break_stream(self, kind: str, path: str, *, times: int = 1) -> None:
        await self.control("faults", rules=[{"kind": kind, "path": path, "times": times}])

    async def truth(self) -> dict[str, Any]:
        return await self._get("truth", uid="1")

    async def requests(self) -> list[dict[str, Any]]:
        told = await self._get("requests", after="0")
        return list(told["requests"])

    async def _get(self, name: str, **query: str) -> dict[str, Any]:
        async with self._http.get(f"http://127.0.0.1:{self.port}/_control/{name}", params=query) as answer:
            return dict(await answer.json())


class News:
    """Order events that can be made to fail, as a listener with a fault would."""

    def __init__(self, events: OrderEvents) -> None:
        self._events = events
        self.fails = False
        self.failed_at = 0.0
        """When it last failed, by the loop's clock."""

    def took_order(self, order: VenueOrder) -> None:
        self._may_fail()
        self._events.took_order(order)

    def took_execution(self, execution: Execution) -> None:
        self._may_fail()
        self._events.took_execution(execution)

    def _may_fail(self) -> None:
        if self.fails:
            self.failed_at = asyncio.get_running_loop().time()
            raise RuntimeError("on purpose")


@dataclass
class Told:
    """What the desk was told of its orders."""

    records: dict[OrderLinkId, OrderRecord] = field(default_factory=dict)
    ends: dict[OrderLinkId, Outcome | None] = field(default_factory=dict)
    """None: proven never to have arrived."""
    was_unknown: set[OrderLinkId] = field(default_factory=set)

    @property
    def open(self) -> list[OrderRecord]:
        return [record for link, record in self.records.items() if link not in self.ends]

    @property
    def fills(self) -> dict[str, Fill]:
        outcomes = [outcome for outcome in self.ends.values() if outcome]
        return {fill.exec_id: fill for outcome in outcomes for fill in outcome.fills}

    @property
    def evidence(self) -> Mapping[str, int]:
        """How each end became known; absence is one."""
        return Counter(
            str(outcome.evidence.value if outcome.evidence else "none") if outcome else "absence"
            for outcome in self.ends.values()
        )


class Desk:
    """A gateway without its order path."""

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self.exchange, self.pace = exchange, pace
        self.clock = SystemClock()
        self.alarms: list[Alarm] = []
        self.swept_at = 0.0
        """When the account was last asked for, since something was lost or the stream made anew."""
        self.told = Told()
        self._asking = asyncio.Event()
        self._numbers = itertools.count(1)
        address = f"127.0.0.1:{exchange.port}"
        self._endpoint = checked_endpoint("simulator", f"http://{address}", f"ws://{address}/v5/private")
        ban = AddressBan(clock=self.clock)
        self.budget = Budget(clock=self.clock, alarm=self.alarms.append, ban=ban)
        self.openings, self.reductions, self.reads = (
            self._session(name) for name in ("openings", "reductions", "reads")
        )
        self.sessions: Sequence[BybitSession] = (self.openings, self.reductions, self.reads)
        events = OrderEvents()
        self.news = News(events)
        self.account = BybitAccount(reads=self.reads, clock=self.clock)
        self.market = self._market(ban)
        self.stream = self._stream()
        self.venue = BybitVenue(
            openings=self.openings,
            reductions=self.reductions,
            reads=self.reads,
            events=events,
            market=self.market,
            clock=self.clock,
            alarm=self.alarms.append,
            recv_window_ms=pace.recv_window_ms,
            answer_ms=pace.answer_ms,
            lag_ms_max=pace.lag_ms_max,
            clock_skew_ms_max=pace.clock_skew_ms_max,
            slippage_tolerance_pct=Decimal(1),
        )

    def _session(self, name: str) -> BybitSession:
        return BybitSession(
            endpoint=self._endpoint,
            credentials=CREDENTIALS,
            recv_window_ms=self.pace.recv_window_ms,
            clock=self.clock,
            budget=self.budget,
            name=name,
            run=ThreadRunner(f"bybit-{name}"),
        )

    def _market(self, ban: AddressBan) -> BybitMarket:
        return BybitMarket(
            source="simulated",
            rest_url=self._endpoint.rest_url,
            ws_url=f"ws://127.0.0.1:{self.exchange.port}/v5/public/linear",
            symbols=(BTC, ETH),
            clock=self.clock,
            bar_minutes=1,
            price_age_ms_max=self.pace.price_age_ms_max,
            ban=ban,
            silence_seconds=self.pace.market_silence_seconds,
        )

    def _stream(self) -> PrivateStream:
        return PrivateStream(
            url=self._endpoint.private_ws_url,
            credentials=CREDENTIALS,
            clock=self.clock,
            events=self.news,
            on_wallet=self.account.took_wallet,
            on_position=lambda _symbol, _position: None,
            on_connected=self._swept,
            alarm=self.alarms.append,
            chance=random.Random(7),
            patience=self.pace.patience,
        )

    def _swept(self) -> None:
        self.swept_at = asyncio.get_running_loop().time()
        self._asking.set()

    @property
    def book_age_ms(self) -> int:
        """The age of the older of the two books."""
        books = [self.market.book(symbol) for symbol in (BTC, ETH)]
        return max(10**9 if book is None else self.clock.now_ms() - book.received_ms for book in books)

    @property
    def is_priced(self) -> bool:
        """Whether risk would take the prices for fresh."""
        return self.book_age_ms <= self.pace.price_age_ms_max

    async def trade(self, stop: asyncio.Event) -> None:
        """Send orders until told to stop, and return when every one of them was answered."""
        async with asyncio.TaskGroup() as sending:
            while not stop.is_set():
                number = next(self._numbers)
                sending.create_task(self._order(number))
                await asyncio.sleep(self.pace.order_seconds)

    async def _order(self, number: int) -> None:
        approved = an_approval(number, self.clock.now_ms())
        link, begun = approved.order_link_id, asyncio.get_running_loop().time()
        self.told.records[link] = a_record(approved)
        outcome = await self.venue.submit(approved)
        took_ms = (asyncio.get_running_loop().time() - begun) * 1000
        if took_ms > self.pace.answer_ms + LATE_MS:
            raise RuntimeError(f"an order was answered after {took_ms:.0f} ms")
        self._take(link, outcome)

    async def submit(self, name: str, side: Side = Side.BUY, *, reduce_only: bool = False) -> Outcome:
        """Send one order of BTCUSDT."""
        return await self.venue.submit(approval(name, BTC, side, self.clock.now_ms(), reduce_only=reduce_only))

    async def ask(self) -> None:
        """Ask for ever what became of orders of unknown end, as reconciliation does."""
        while True:
            try:
                async with asyncio.timeout(FIND_SECONDS):
                    await self._asking.wait()
            except TimeoutError:
                pass
            self._asking.clear()
            for record in self.told.open:
                if record.order_link_id not in self.told.was_unknown:
                    continue  # it is on its way
                try:
                    self._take(record.order_link_id, await self.venue.find(record))
                except VenueUnavailableError:
                    continue

    def _take(self, link: OrderLinkId, outcome: Outcome | None) -> None:
        if outcome is not None and outcome.state is OrderState.UNKNOWN:
            self.told.was_unknown.add(link)
        else:
            self.told.ends[link] = outcome

    async def settled(self) -> None:
        """Return once the end of every order is known. Raises TimeoutError."""
        await until(lambda: not self.told.open, SETTLE_SECONDS)


@asynccontextmanager
async def an_exchange(*options: str) -> AsyncIterator[Exchange]:
    """The simulator as a child process. Raises RuntimeError when it does not listen."""
    server = Server(["-m", "simulator", "serve", "--symbols", "BTCUSDT,ETHUSDT", *options])
    try:
        await asyncio.to_thread(server.wait)
        # No connection is kept: an outage would leave a dead one.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            yield Exchange(http, server.port)
    finally:
        await asyncio.to_thread(server.stop)


@asynccontextmanager
async def a_desk(exchange: Exchange, pace: Pace) -> AsyncIterator[Desk]:
    """A desk that hears and sees."""
    async with AsyncExitStack() as stack:
        desk = Desk(exchange, pace)
        for session in desk.sessions:
            stack.push_async_callback(session.close)
        await desk.market.start()
        stack.push_async_callback(desk.market.close)
        await desk.stream.start()
        stack.push_async_callback(desk.stream.close)
        await until(lambda: desk.stream.connected and desk.is_priced and desk.market.instrument(ETH), 20.0)
        yield desk


async def until(condition: Callable[[], Any], seconds: float) -> float:
    """Wait for a condition; how long it took. Raises TimeoutError."""
    begun = asyncio.get_running_loop().time()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no events
            await asyncio.sleep(0.005)
    return asyncio.get_running_loop().time() - begun


async def beside(task: Awaitable[None], work: Awaitable[None]) -> None:
    """Do some work while a task without an end runs."""
    running = asyncio.ensure_future(task)
    try:
        await work
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def an_approval(number: int, at_ms: int) -> Approved:
    """The next order: both symbols by turns, bought and sold so that little is held; every fourth one reduces."""
    symbol, side = (BTC, ETH)[number % 2], (Side.BUY, Side.SELL)[number // 2 % 2]
    return approval(f"outage-{number}", symbol, side, at_ms, reduce_only=number % 4 == 3)


def approval(name: str, symbol: Symbol, side: Side, at_ms: int, *, reduce_only: bool) -> Approved:
    """An order that risk let through."""
    order = Order(
        key=OrderKey(name),
        symbol=symbol,
        side=side,
        requested_usd=ORDER_USD,
        confidence=Decimal("0.9"),
        decision_id=None,
        reduce_only=reduce_only,
    )
    return restore(
        order=order,
        order_link_id=OrderLinkId(name),
        qty_usd=ORDER_USD,
        confidence=Decimal("0.9"),
        adjustments=(),
        mid_price=Decimal(0),
        at_ms=at_ms,
    )


def a_record(approved: Approved) -> OrderRecord:
    """What the journal would have of it."""
    return OrderRecord(
        order=approved.order,
        order_link_id=approved.order_link_id,
        state=OrderState.PENDING,
        approved_usd=approved.qty_usd,
        confidence=approved.confidence,
        adjustments=(),
        fills=(),
        failure=None,
        mid_price=approved.mid_price,
        created_ms=approved.at_ms,
        updated_ms=approved.at_ms,
    )
