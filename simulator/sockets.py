"""WebSockets of every kind, as aiohttp carries them: the door, reading, writing, idle clients and the end.

What is said is a Session's matter, which knows no sockets.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from simulator.frame_gate import Line
from simulator.outbox import ABORT, GOING_AWAY, Outbox
from simulator.sessions import Session

CONNECTIONS_MAX = 200
"""Open at one time, of all kinds."""
OPENS_MAX = 500
"""Connections of one address within OPENS_SECONDS, as Bybit allows."""
OPENS_SECONDS = 300.0
ADDRESSES_MAX = 10_000
MESSAGE_BYTES_MAX = 65_536
IDLE_SECONDS = 600.0
"""A client that says nothing for this long is cut off, as Bybit does."""
IDLE_SECONDS_MIN = 30.0
HOLD_SECONDS = 0.25
"""How often a half-open connection is asked whether its client is still there."""
WAY_SECONDS = 0.02
"""How long a client's message is on its way: what the way to Bybit and back takes at least. pybit notes who waits for
an answer after it has sent the request; an answer that is there before the note is dropped, and one to a subscription
even ends its connection."""
CLOSE_SECONDS = 1.0
"""How long a client may take to answer a close."""


class Sockets:
    """Every open WebSocket of the server, and the door that lets them in."""

    def __init__(
        self,
        *,
        opens_max: int = OPENS_MAX,
        way_seconds: float = WAY_SECONDS,
        seconds: Callable[[], float] = time.monotonic,
        down: Callable[[], bool] = lambda: False,
    ) -> None:
        """While `down`, whoever comes is cut off without an answer."""
        self._opens_max = opens_max
        self._way_seconds = way_seconds
        self._down = down
        self._seconds = seconds
        self._opened: dict[str, deque[float]] = {}
        self._open: dict[Session, asyncio.Event] = {}

    async def serve(
        self, request: web.Request, session: Session, *, idle_seconds: float = IDLE_SECONDS
    ) -> web.StreamResponse:
        """One client from handshake to end; an HTTP refusal is raised."""
        if self._down():
            return _hung_up(request)
        self._admit(request.remote or "")
        # Pings are answered here and not by aiohttp: a connection that is stalled on purpose answers none.
        socket = web.WebSocketResponse(
            max_msg_size=MESSAGE_BYTES_MAX, timeout=CLOSE_SECONDS, autoping=False, autoclose=False
        )
        try:
            await socket.prepare(request)
        except ConnectionError:
            # Gone before it was let in, as a client that is killed.
            return _hung_up(request)
        ended = self._open[session] = asyncio.Event()
        try:
            await _converse(request, socket, session, _Pace(idle=idle_seconds, way=self._way_seconds))
        finally:
            await _end(request, socket, session)
            # What is still on its way to the session comes to nothing.
            session.outbox.close(GOING_AWAY)
            del self._open[session]
            ended.set()
        return socket

    def cut_all(self) -> None:
        """Cut everyone off without a word."""
        for session in self._open:
            session.outbox.close(ABORT)

    async def disconnect_all(self) -> None:
        """Close every connection and wait for their ends."""
        ends = [ended.wait() for ended in self._open.values()]
        for session in self._open:
            session.outbox.close(GOING_AWAY)
        await asyncio.gather(*ends)

    def _admit(self, remote: str) -> None:
        """Count a connection, or raise the HTTP refusal of it."""
        now = self._seconds()
        if len(self._open) >= CONNECTIONS_MAX:
            raise web.HTTPServiceUnavailable(text=f"more than {CONNECTIONS_MAX} connections are open")
        if remote not in self._opened and len(self._opened) >= ADDRESSES_MAX:
            del self._opened[next(iter(self._opened))]
        opened = self._opened.setdefault(remote, deque())
        while opened and opened[0] <= now - OPENS_SECONDS:
            opened.popleft()
        if len(opened) >= self._opens_max:
            raise web.HTTPForbidden(text=f"more than {self._opens_max} connections in {OPENS_SECONDS:.0f} seconds")
        opened.append(now)


def idle_seconds(request: web.Request) -> float:
    """How long this client may be silent: `?max_active_time=30s` up to 600s or 10m; a wrong one is an HTTP refusal."""
    text = request.query.get("max_active_time")
    if text is None:
        return IDLE_SECONDS
    digits, unit = text[:-1], {"s": 1.0, "m": 60.0}.get(text[-1:])
    if unit is None or not (digits.isascii() and digits.isdigit() and len(digits) <= 3):  # noqa: PLR2004 - 600
        raise web.HTTPBadRequest(text="max_active_time must be a number of seconds or minutes, as in 30s or 1m")
    seconds = int(digits) * unit
    if not IDLE_SECONDS_MIN <= seconds <= IDLE_SECONDS:
        raise web.HTTPBadRequest(text=f"max_active_time must be {IDLE_SECONDS_MIN:.0f}s to {IDLE_SECONDS:.0f}s")
    return seconds


def _hung_up(request: web.Request) -> web.StreamResponse:
    """End the connection without a word; the response is only what the framework wants to hold."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """The times of one conversation, in seconds."""

    idle: float
    """How long the client may be silent."""
    way: float
    """How long each of its messages is on its way."""


async def _converse(request: web.Request, socket: web.WebSocketResponse, session: Session, pace: _Pace) -> None:
    """Read and write until the client leaves, falls silent, or is to be cut off."""
    outbox, waiting, ending = session.outbox, asyncio.Event(), asyncio.Event()

    def changed() -> None:
        waiting.set()
        if outbox.close_code is not None:
            ending.set()

    outbox.on_change = changed
    changed()
    tasks = [
        asyncio.create_task(_read(request, socket, session, pace)),
        asyncio.create_task(_write(socket, outbox, waiting)),
        asyncio.create_task(_until(ending)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _until(ending: asyncio.Event) -> None:
    await ending.wait()


async def _read(request: web.Request, socket: web.WebSocketResponse, session: Session, pace: _Pace) -> None:
    """Hand on what the client says; ends when it leaves or says nothing for so long."""
    later = asyncio.get_running_loop().call_later
    while session.outbox.close_code is None:
        try:
            message = await socket.receive(timeout=pace.idle)
        except TimeoutError:
            session.outbox.close(GOING_AWAY)
            return
        if message.type is WSMsgType.TEXT:
            later(pace.way, _hear, session, message.data)
        elif message.type is WSMsgType.PING:
            if session.gate.line is Line.OPEN:
                await socket.pong(message.data)
        elif message.type is not WSMsgType.PONG:
            return
        if session.gate.line is Line.HALF_OPEN:
            await _hold(request, pace.idle)
            return


def _hear(session: Session, text: str) -> None:
    """Carry out what the client said, if it is still there for the answers."""
    if session.outbox.close_code is not None:
        return
    for answer in session.receive(text):
        session.outbox.put(answer)


async def _hold(request: web.Request, seconds: float) -> None:
    """Keep a connection that nothing passes, until the client's side of it is gone."""
    for _ in range(int(seconds / HOLD_SECONDS)):
        if request.transport is None:
            return
        await asyncio.sleep(HOLD_SECONDS)


async def _write(socket: web.WebSocketResponse, outbox: Outbox, waiting: asyncio.Event) -> None:
    """Send what waits, for ever."""
    with contextlib.suppress(ConnectionError):
        while True:
            await waiting.wait()
            waiting.clear()
            for text in outbox.take():
                await socket.send_str(text)


async def _end(request: web.Request, socket: web.WebSocketResponse, session: Session) -> None:
    """Close politely, or abort a connection that is to fail."""
    code = session.outbox.close_code
    if code == ABORT or session.gate.line is not Line.OPEN:
        if request.transport is not None:
            request.transport.abort()
        return
    # Not drained: whoever does not read would hold the close up.
    await socket.close(code=WSCloseCode.OK if code is None else code, drain=False)
