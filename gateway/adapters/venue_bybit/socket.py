"""One WebSocket connection: what the private stream asks of it, and the one over the network."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from types import SimpleNamespace
from typing import Protocol

import aiohttp

FRAME_BYTES_MAX = 1 << 20
"""A longer frame ends the connection."""
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0
"""How long the other side may take to answer our goodbye; one that is gone never does."""
WAIT_SECONDS_MIN = 0.001
"""aiohttp takes a wait of zero for one without an end."""


class Socket(Protocol):
    """One open connection."""

    async def send(self, text: str) -> None:
        """Send one frame. Raises ConnectionError when the connection has ended."""
        ...

    async def receive(self, seconds: float) -> str | None:
        """The next frame; None when none came within so long. Raises ConnectionError when the connection has ended."""
        ...


Connect = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Opens a connection to an address. Raises OSError when there is none to be had."""


@contextlib.asynccontextmanager
async def open_socket(url: str) -> AsyncIterator[Socket]:
    """A connection over the network. Raises ConnectionError, TimeoutError."""
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trace_configs=[_no_redirects()]) as session:
        try:
            socket = await session.ws_connect(url, max_msg_size=FRAME_BYTES_MAX, autoclose=False)
        except aiohttp.ClientError as fault:
            raise ConnectionError(f"{type(fault).__name__}: {fault}"[:200]) from fault
        try:
            yield _NetworkSocket(socket)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await socket.close()


class _NetworkSocket:
    """aiohttp's socket, in our words."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        try:
            await self._socket.send_str(text)
        except aiohttp.ClientError as fault:
            raise ConnectionError(type(fault).__name__) from fault

    async def receive(self, seconds: float) -> str | None:
        try:
            message = await self._socket.receive(timeout=max(seconds, WAIT_SECONDS_MIN))
        except TimeoutError:
            return None
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"the stream ended: {message.type.name}, {self._socket.close_code}")
        text: str = message.data
        return text


def _no_redirects() -> aiohttp.TraceConfig:
    """Refuses to be sent elsewhere: the address was checked, and the next one would be shown the key."""

    async def refuse(_session: object, _context: SimpleNamespace, _params: object) -> None:
        raise ConnectionError("the stream redirects")

    config = aiohttp.TraceConfig()
    config.on_request_redirect.append(refuse)
    return config
