"""The world of one case of live trading: its account at the exchange, and its gateway, one process after the other."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from trading.v1.trade_pb2_grpc import TradeServiceStub

from bench.crash.modes import ANSWER_MS, CREATE, LAG_MS_MAX, RECV_WINDOW_MS, SKEW_MS_MAX
from bench.processes import ROOT, Server
from gateway.adapters.journal_sqlite.reader import JournalReader
from gateway.core.model import OrderKey, OrderRecord

START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05
BALANCE_USD = "100000"
NAIVE = Path(__file__).with_name("naive_gateway.py")


class WorldError(Exception):
    """A case could not be set up, or did not go as it was meant to."""


class Exchange:
    """The simulator's process, by its control API."""

    def __init__(self, port: int, client: aiohttp.ClientSession) -> None:
        self.port = port
        self._client = client

    async def tell(self, what: str, **fields: object) -> dict[str, Any]:
        """POST to the control API."""
        async with self._client.post(f"http://127.0.0.1:{self.port}/_control/{what}", json=fields) as answer:
            return _checked(await answer.json())

    async def ask(self, what: str, **query: int) -> dict[str, Any]:
        """GET from the control API."""
        async with self._client.get(f"http://127.0.0.1:{self.port}/_control/{what}", params=query) as answer:
            return _checked(await answer.json())


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if not answer["ok"]:
        raise WorldError(answer["error"])
    return answer


@asynccontextmanager
async def an_exchange() -> AsyncIterator[Exchange]:
    """A simulator of its own: one address may open only so many connections within minutes."""
    server = Server(["-m", "simulator", "serve", "--seed", "7", "--symbols", "BTCUSDT"])
    try:
        await asyncio.to_thread(server.wait)
        async with aiohttp.ClientSession() as client:
            yield Exchange(server.port, client)
    finally:
        server.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An account at the exchange with a key of its own."""

    exchange: Exchange
    uid: int
    since: int
    """How many requests of all accounts there were before it."""

    @property
    def key(self) -> str:
        """The API key."""
        return f"CRASHKEY{self.uid}"

    @property
    def secret(self) -> str:
        """Its secret."""
        return f"CRASHSECRET{self.uid}"

    async def arm(self, *rules: dict[str, object]) -> None:
        """Add fault rules that meet this account alone."""
        await self.exchange.tell("faults", rules=[{**rule, "key": self.key} for rule in rules])

    async def truth(self) -> dict[str, Any]:
        """All that the exchange knows of the account."""
        return await self.exchange.ask("truth", uid=self.uid)

    async def sends(self) -> list[Any]:
        """Every time that it sent an order, as the exchange saw it."""
        seen = (await self.exchange.ask("requests", after=self.since))["requests"]
        return [entry for entry in seen if entry["path"] == CREATE and entry["apiKey"] == self.key]


async def a_holder(exchange: Exchange, uid: int) -> Holder:
    """Open an account."""
    since = (await exchange.ask("requests", after=10**12))["total"]
    holder = Holder(exchange=exchange, uid=uid, since=since)
    await exchange.tell("accounts", uid=uid, balances={"USDT": BALANCE_USD})
    await exchange.tell("keys", uid=uid, key=holder.key, secret=holder.secret)
    return holder


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A running gateway."""

    process: subprocess.Popen[bytes]
    trade: TradeServiceStub


class Gateways:
    """Gateway processes of one account, one after the other, over one journal."""

    def __init__(self, holder: Holder, folder: Path, *, naive: bool) -> None:
        self.journal = folder / "journal.sqlite3"
        self._folder = folder
        self._program = (str(NAIVE),) if naive else ("-m", "gateway")
        self._lives = 0
        address = f"127.0.0.1:{holder.exchange.port}"
        self._environment = {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
            "TRADING_MODE": "live",
            "BYBIT_ENV": "simulator",
            "BYBIT_API_KEY": holder.key,
            "BYBIT_API_SECRET": holder.secret,
            "BYBIT_REST_URL": f"http://{address}",
            "BYBIT_PRIVATE_WS_URL": f"ws://{address}/v5/private",
            "MARKET_REST_URL": f"http://{address}",
            "MARKET_WS_URL": f"ws://{address}/v5/public/linear",
            "MODEL_SERVICE_ADDR": "127.0.0.1:1",
            "GATEWAY_LISTEN_ADDR": "127.0.0.1:0",
            "JOURNAL_PATH": str(self.journal),
            "SYMBOLS": "BTCUSDT",
            "RATE_LIMIT_MAX": "1000000",
            "ORDER_RATE_MAX": "0",
            "OPEN_ORDERS_MAX": "100000",
            "DUPLICATE_WINDOW_MS": "0",  # its orders are alike on purpose
            "REQUIRE_DECISION": "off",  # there is no model
            "RECV_WINDOW_MS": str(RECV_WINDOW_MS),
            "VENUE_LAG_MS_MAX": str(LAG_MS_MAX),
            "CLOCK_SKEW_MS_MAX": str(SKEW_MS_MAX),
            "VENUE_ANSWER_MS": str(ANSWER_MS),
            "RECONCILE_SECONDS": "1",
        }

    @asynccontextmanager
    async def running(self, **environment: str) -> AsyncIterator[Life]:
        """One life, killed at the end if it still goes on. Raises WorldError when it does not begin."""
        self._lives += 1
        log = self._folder / f"life-{self._lives}.log"
        child = self._begun(log, environment)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{await _port(child, log)}") as channel:
                yield Life(process=child, trade=TradeServiceStub(channel))
        finally:
            child.kill()
            child.wait()

    def _begun(self, log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, *self._program],
                cwd=ROOT,
                env={**os.environ, **self._environment, **environment},
                stdout=output,
                stderr=output,
            )

    async def journaled(self, key: str) -> bool:
        """Whether the journal has the order."""
        return self.record(key) is not None

    def record(self, key: str) -> OrderRecord | None:
        """The newest record of an order, read from the file."""
        reader = JournalReader(self.journal)
        reader.open()
        try:
            return reader.order(OrderKey(key))
        finally:
            reader.close()


async def _port(child: subprocess.Popen[bytes], log: Path) -> int:
    """Where the gateway serves, once it does, by its own log."""
    async with asyncio.timeout(START_SECONDS_MAX):
        while True:
            told = _told(log)
            for line in told.splitlines():
                if '"gateway_started"' in line:
                    return int(json.loads(line)["port"])
            if child.poll() is not None:
                raise WorldError(told)
            await asyncio.sleep(POLL_SECONDS)


def _told(log: Path) -> str:
    return log.read_text(encoding="utf8")


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait for what another process does."""
    while not await holds():  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(POLL_SECONDS)
