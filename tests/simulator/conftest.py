from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest_asyncio

from simulator.server import ServerConfig, running


@dataclass
class Client:
    """A plain HTTP and WebSocket client of a running simulator."""

    session: aiohttp.ClientSession
    port: int

    async def get(self, name: str, **query: Any) -> dict[str, Any]:
        async with self.session.get(f"http://127.0.0.1:{self.port}/v5/market/{name}", params=query) as answer:
            assert answer.status == 200
            return await answer.json()

    async def control(self, name: str, body: Any) -> tuple[int, dict[str, Any]]:
        async with self.session.post(f"http://127.0.0.1:{self.port}/_control/{name}", json=body) as answer:
            return answer.status, await answer.json()

    def stream(self) -> Any:
        return self.session.ws_connect(f"ws://127.0.0.1:{self.port}/v5/public/linear")


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    config = ServerConfig(seed=7, symbols=["BTCUSDT", "ETHUSDT", "SOLUSDT"])
    async with running(config) as port, aiohttp.ClientSession() as session:
        yield Client(session, port)
