"""The live venue on a scripted exchange, in virtual time and without threads."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

from builders import BTC, NOW_MS, a_book, an_instrument, an_order
from bybit_exchange import KEY, SECRET, ScriptedBybit
from fakes import FakeMarket

from gateway.adapters.ban import AddressBan
from gateway.adapters.venue_bybit.alarms import Alarm
from gateway.adapters.venue_bybit.budget import Budget
from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.messages import parse_execution, parse_order
from gateway.adapters.venue_bybit.session import BybitSession, Runner, checked_endpoint
from gateway.adapters.venue_bybit.venue import BybitVenue
from gateway.core.credentials import Credentials, Secret
from gateway.core.model import OrderLinkId, OrderRecord, OrderState, Side
from gateway.core.risk import Approved, restore
from gateway.ports import Clock
from simulator.virtual import VirtualTime
from simulator.virtual import run as run_virtually

T = TypeVar("T")

CREDENTIALS = Credentials(key=KEY, secret=Secret(SECRET))
ENDPOINT = checked_endpoint("simulator", "http://127.0.0.1:15050", "ws://127.0.0.1:15050/v5/private")
RECV_MS, ANSWER_MS, LAG_MS, SKEW_MS = 5000, 5000, 10_000, 500
MARGIN_MS = RECV_MS + LAG_MS + SKEW_MS


async def inline(work: Callable[[], T], /) -> T:
    """Run a call where the loop is: under virtual time nothing else may wait."""
    return work()


def a_session(
    clock: Clock,
    exchange: ScriptedBybit,
    budget: Budget,
    *,
    name: str = "openings",
    run: Runner = inline,
    credentials: Credentials = CREDENTIALS,
) -> BybitSession:
    return BybitSession(
        endpoint=ENDPOINT,
        credentials=credentials,
        recv_window_ms=RECV_MS,
        clock=clock,
        budget=budget,
        name=name,
        run=run,
        transport=exchange,
    )


@dataclass
class Live:
    """A live venue and all that it stands on."""

    time: VirtualTime = field(default_factory=lambda: VirtualTime(NOW_MS))
    tolerance: Decimal = Decimal("0.5")
    events: OrderEvents = field(default_factory=OrderEvents)
    clock: Clock | None = None
    """The machine's; None for the time itself."""
    runner: Runner | None = None
    """Of the sessions that send; None to run where the loop is."""
    alarms: list[Alarm] = field(default_factory=list)
    refreshed: list[bool] = field(default_factory=list)
    sending: Callable[[Approved], None] | None = None

    def __post_init__(self) -> None:
        self.exchange = ScriptedBybit(self.time)
        self.market = FakeMarket({BTC: a_book()}, {BTC: an_instrument()})
        self.build()

    def restart(self) -> None:
        """A new process on the same exchange, which has heard nothing of the stream."""
        self.events = OrderEvents()
        self.build()

    def build(self) -> None:
        clock = self.clock or self.time
        self.budget = Budget(clock=clock, alarm=self.alarms.append, ban=AddressBan(clock=clock))
        self.openings = a_session(clock, self.exchange, self.budget, name="openings", run=self.runner or inline)
        self.reductions = a_session(clock, self.exchange, self.budget, name="reductions", run=self.runner or inline)
        self.reads = a_session(clock, self.exchange, self.budget, name="reads")
        self.venue = BybitVenue(
            openings=self.openings,
            reductions=self.reductions,
            reads=self.reads,
            events=self.events,
            market=self.market,
            clock=clock,
            alarm=self.alarms.append,
            recv_window_ms=RECV_MS,
            answer_ms=ANSWER_MS,
            lag_ms_max=LAG_MS,
            clock_skew_ms_max=SKEW_MS,
            slippage_tolerance_pct=self.tolerance,
            refresh_instruments=lambda: self.refreshed.append(True),
            sending=self.sending,
        )

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return run_virtually(self.time, main)

    def stream(self, link: str, after_ms: int, *, orders: bool = True, executions: bool = True) -> None:
        """Let the private stream tell of an order of the exchange after so long."""

        def tell() -> None:
            taken = self.exchange.taken[link]
            for row in taken.executions if executions else ():
                self.events.took_execution(parse_execution(row))
            if orders:
                self.events.took_order(parse_order(taken.order))

        self.time.call_at(self.time.now_ms() + after_ms, tell)


def approved(qty_usd: str = "660", side: Side = Side.BUY, link: str = "tg1", **order: Any) -> Approved:
    return restore(
        order=an_order(side=side, **order),
        order_link_id=OrderLinkId(link),
        qty_usd=Decimal(qty_usd),
        confidence=Decimal("0.9"),
        adjustments=(),
        mid_price=Decimal(60_000),
        at_ms=NOW_MS,
    )


def a_record(order: Approved | None = None, **changes: Any) -> OrderRecord:
    order = order or approved()
    values: dict[str, Any] = {
        "order": order.order,
        "order_link_id": order.order_link_id,
        "state": OrderState.UNKNOWN,
        "approved_usd": order.qty_usd,
        "confidence": order.confidence,
        "adjustments": (),
        "fills": (),
        "failure": None,
        "mid_price": order.mid_price,
        "created_ms": NOW_MS,
        "updated_ms": NOW_MS,
    }
    return OrderRecord(**values | changes)
