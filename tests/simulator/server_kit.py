"""A running exchange with its WebSockets, and a client of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest_asyncio
from aiohttp import WSMsgType
from stream_kit import ORDER, OWN, auth_args

from simulator.faults import FaultRule, Kind
from simulator.server import ServerConfig, Serving, serving

ENDED = {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR}


@dataclass
class Server:
    """A running exchange and a client of it."""

    session: aiohttp.ClientSession
    serving: Serving

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.serving.port}{path}"

    def connect(self, path: str = "/v5/private", **options: Any) -> Any:
        return self.session.ws_connect(self.url(path), **options)

    def fault(self, kind: Kind, **fields: Any) -> None:
        self.serving.local.faults.add(FaultRule(kind=kind, **fields))

    def order(self, **fields: Any) -> str:
        return str(self.serving.local.engine.create_order(1, ORDER | fields)["orderId"])  # type: ignore[index, call-overload]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(ServerConfig(seed=7, symbols=["BTCUSDT"])) as running, aiohttp.ClientSession() as session:
        yield Server(session, running)


async def log_in(server: Server, socket: Any, *topics: str) -> None:
    expires = server.serving.local.clock.server_ms() + 5_000
    await socket.send_json({"op": "auth", "args": auth_args(OWN, expires)})
    assert (await socket.receive_json(timeout=2))["success"]
    if topics:
        await socket.send_json({"op": "subscribe", "args": list(topics)})
        assert (await socket.receive_json(timeout=2))["success"]


async def ended(socket: Any) -> bool:
    """Whether the connection ends within two seconds."""
    with contextlib.suppress(ConnectionError):
        return (await socket.receive(timeout=2)).type in ENDED
    return True


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(3):
        while not holds():  # noqa: ASYNC110 - the condition is of another thread or of the server
            await asyncio.sleep(0.01)
