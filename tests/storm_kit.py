"""The live venue against the simulated exchange in this process, under virtual time: hours of refusals in seconds.

The exchange's own log of requests is the witness of what was sent, and when.
"""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import requests
from builders import BTC, a_book, an_instrument
from fakes import FakeMarket
from live_kit import RECV_MS, SKEW_MS, approved, inline
from simulated_exchange import KEY, SECRET, order, sign

from gateway.adapters.ban import AddressBan
from gateway.adapters.venue_bybit.alarms import Alarm
from gateway.adapters.venue_bybit.budget import Budget
from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.messages import parse_execution, parse_order
from gateway.adapters.venue_bybit.session import BybitSession, checked_endpoint
from gateway.adapters.venue_bybit.venue import BybitVenue
from gateway.core.credentials import Credentials, Secret
from gateway.core.model import Outcome, Side
from simulator.api.log import Entry
from simulator.api.messages import Request
from simulator.faults import FaultRule, Kind
from simulator.inprocess import LocalTransport
from simulator.local import ExchangeConfig, LocalExchange
from simulator.trading.contract import Push
from simulator.virtual import VirtualTime
from simulator.virtual import run as run_virtually

T = TypeVar("T")

START_MS = 1_800_000_000_000
CREATE = "/v5/order/create"
FOREIGN = "SIMKEY0002"


class Heard(LocalTransport):
    """Keeps the resets of every limit that the exchange named."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.resets: list[tuple[str, int, int]] = []
        """Path, when it was heard, and when there is room again; for every 10006 with headers."""

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        response = super().send(request, *arguments, **options)
        reset = response.headers.get("X-Bapi-Limit-Reset-Timestamp")
        if response.headers.get("Ret_code") == "10006" and reset is not None:
            self.resets.append((request.path_url.split("?")[0], self._now_ms(), int(reset)))
        return response


@dataclass
class Storm:
    """An exchange, and a live venue that it can refuse."""

    config: dict[str, Any] = field(default_factory=dict)
    streams: bool = True
    """Whether the private stream tells of orders."""
    alarms: list[Alarm] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.time = VirtualTime(START_MS)
        self.local = LocalExchange(ExchangeConfig(seed=7, symbols=["BTCUSDT"], **self.config), self.time)
        self.events = OrderEvents()
        self.local.listeners.append(self._push)
        self.transport = Heard(self.local, self.time.advance)
        self.ban = AddressBan(clock=self.time)
        self.budget = Budget(clock=self.time, alarm=self.alarms.append, ban=self.ban)
        self.openings, self.reductions, self.reads = (
            self._session(name) for name in ("openings", "reductions", "reads")
        )
        self.market = FakeMarket({BTC: a_book()}, {BTC: an_instrument()})
        self.venue = BybitVenue(
            openings=self.openings,
            reductions=self.reductions,
            reads=self.reads,
            events=self.events,
            market=self.market,
            clock=self.time,
            alarm=self.alarms.append,
            recv_window_ms=RECV_MS,
            answer_ms=5000,
            lag_ms_max=10_000,
            clock_skew_ms_max=SKEW_MS,
            slippage_tolerance_pct=Decimal(1),
        )

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return run_virtually(self.time, main)

    async def open(self, link: str) -> Outcome:
        return await self.venue.submit(approved(link=link))

    async def reduce(self, link: str) -> Outcome:
        return await self.venue.submit(approved(link=link, qty_usd="60", side=Side.SELL, reduce_only=True))

    async def open_many(self, name: str, count: int) -> list[Outcome]:
        """So many openings at the same moment."""
        return list(await asyncio.gather(*(self.open(f"{name}-{number}") for number in range(count))))

    def fault(self, kind: Kind, **fields: Any) -> None:
        self.local.faults.add(FaultRule(kind=kind, **fields))

    def foreign_order(self, link: str) -> None:
        """Another hand on the account, which uses up its limits."""
        body = json.dumps(order(link)).encode()
        headers = sign(body, self.time.now_ms(), key=FOREIGN, secret="SIMSECRET0002")  # noqa: S106 - simulated
        self.local.api.handle(
            Request(method="POST", path=CREATE, raw_query=b"", headers=headers, body=body, remote="127.0.0.1")
        )

    def sent(self, path: str | None = None, key: str = KEY) -> list[Entry]:
        """The gateway's requests as the exchange logged them."""
        entries = self.local.log.after(0)
        return [entry for entry in entries if entry.key == key and path in {None, entry.path}]

    def sent_between(self, after_ms: int, before_ms: int) -> list[str]:
        return [entry.path for entry in self.sent() if after_ms < entry.at_ms < before_ms]

    def _session(self, name: str) -> BybitSession:
        return BybitSession(
            endpoint=checked_endpoint("simulator", "http://127.0.0.1:15050", "ws://127.0.0.1:15050/v5/private"),
            credentials=Credentials(key=KEY, secret=Secret(SECRET)),
            recv_window_ms=RECV_MS,
            clock=self.time,
            budget=self.budget,
            name=name,
            run=inline,
            transport=self.transport,
        )

    def _push(self, push: Push) -> None:
        for row in push.rows if self.streams else ():
            if push.topic == "order":
                self.events.took_order(parse_order(row))  # type: ignore[arg-type] # the simulator's rows are JSON
            elif push.topic == "execution":
                self.events.took_execution(parse_execution(row))  # type: ignore[arg-type] # the same
