"""Bybit's private stream as a script under virtual time: it can be down, dumb, half open, or refuse a key."""

import asyncio
import hmac
import json
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Literal

from canary import VECTOR_SECRET

from gateway.adapters.venue_bybit.alarms import Alarm
from gateway.adapters.venue_bybit.stream import Patience, PrivateStream
from gateway.core.credentials import Credentials, Secret
from gateway.core.model import Symbol
from gateway.core.venue import Execution, VenueOrder, VenuePosition, Wallet
from simulator.virtual import VirtualTime, run

KEY, SECRET = "TESTKEY0001", VECTOR_SECRET
URL = "ws://venue/v5/private"
START_MS = 1_699_999_991_000


class Line:
    """One connection, seen from both sides."""

    def __init__(self, venue: "PrivateVenue") -> None:
        self._venue = venue
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.sent: list[Any] = []
        """What the gateway sent."""
        self.open = True

    async def send(self, text: str) -> None:
        if not self.open:
            raise ConnectionResetError("cut")
        message = json.loads(text)
        self.sent.append(message)
        for answer in self._venue.answers(message):
            self.push(answer)

    async def receive(self, seconds: float) -> str | None:
        try:
            async with asyncio.timeout(seconds):
                text = await self._inbox.get()
        except TimeoutError:
            return None
        if text is None:
            raise ConnectionResetError("cut")
        return text

    def push(self, frame: Any) -> None:
        """Send a frame, unless nothing gets through; a text goes as it is."""
        if not self._venue.dumb:
            self._inbox.put_nowait(frame if isinstance(frame, str) else json.dumps(frame))

    def cut(self) -> None:
        """End the connection."""
        self.open = False
        self._inbox.put_nowait(None)


class PrivateVenue:
    """What the gateway connects to."""

    def __init__(self) -> None:
        self.up = True
        self.dumb = False
        self.pongs = True
        self.auth: Literal["checked", "refused", "silent"] = "checked"
        self.subscribe: Literal["taken", "refused", "silent", "cut"] = "taken"
        self.lines: list[Line] = []
        self.tried_ms: list[int] = []
        """When somebody tried to connect."""
        self.time = VirtualTime(START_MS)

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[Line]:
        assert url == URL
        self.tried_ms.append(self.time.now_ms())
        if not self.up:
            raise ConnectionRefusedError("down")
        line = Line(self)
        self.lines.append(line)
        try:
            yield line
        finally:
            line.open = False

    @property
    def line(self) -> Line:
        return self.lines[-1]

    def go_down(self) -> None:
        self.up = False
        for line in self.lines:
            if line.open:
                line.cut()

    def answers(self, message: Any) -> list[Any]:
        match message["op"]:
            case "auth":
                return self._auth(*message["args"])
            case "subscribe":
                return self._subscribed()
            case "ping" if self.pongs:
                return [{"req_id": "", "op": "pong", "args": [str(self.time.now_ms())], "conn_id": "c"}]
            case _:
                return []

    def _auth(self, key: str, expires_ms: int, signature: str) -> list[Any]:
        if self.auth == "silent":
            return []
        expected = hmac.new(SECRET.encode(), f"GET/realtime{expires_ms}".encode(), "sha256").hexdigest()
        good = key == KEY and signature == expected and expires_ms > self.time.now_ms()
        if self.auth == "checked" and good:
            return [{"success": True, "ret_msg": "", "op": "auth", "conn_id": "c"}]
        return [{"success": False, "ret_msg": f"bad {key}", "retCode": 10003, "op": "auth", "connId": "c"}]

    def _subscribed(self) -> list[Any]:
        if self.subscribe == "cut":
            self.line.push({"success": True, "ret_msg": "", "op": "subscribe"})
            self.line.cut()
        if self.subscribe in ("silent", "cut"):
            return []
        return [{"success": self.subscribe == "taken", "ret_msg": "", "req_id": "private", "op": "subscribe"}]


class Listener:
    """Keeps what the stream says; fails on purpose where `fails` says so."""

    def __init__(self) -> None:
        self.orders: list[VenueOrder] = []
        self.executions: list[Execution] = []
        self.positions: list[tuple[Symbol, VenuePosition | None]] = []
        self.wallets: list[Wallet] = []
        self.alarms: list[Alarm] = []
        self.sweeps = 0
        self.fails: set[str] = set()

    def took_order(self, order: VenueOrder) -> None:
        self._may_fail("order")
        self.orders.append(order)

    def took_execution(self, execution: Execution) -> None:
        self._may_fail("execution")
        self.executions.append(execution)

    def on_position(self, symbol: Symbol, position: VenuePosition | None) -> None:
        self._may_fail("position")
        self.positions.append((symbol, position))

    def on_wallet(self, wallet: Wallet) -> None:
        self._may_fail("wallet")
        self.wallets.append(wallet)

    def on_connected(self) -> None:
        self.sweeps += 1
        self._may_fail("connected")

    def alarm(self, alarm: Alarm) -> None:
        self.alarms.append(alarm)
        self._may_fail("alarm")

    def _may_fail(self, name: str) -> None:
        if name in self.fails:
            raise RuntimeError(f"{name}: on purpose, with {SECRET}")


def a_stream(venue: PrivateVenue, listener: Listener, **changes: Any) -> PrivateStream:
    parts: dict[str, Any] = {
        "url": URL,
        "credentials": Credentials(key=KEY, secret=Secret(SECRET)),
        "clock": venue.time,
        "events": listener,
        "on_wallet": listener.on_wallet,
        "on_position": listener.on_position,
        "on_connected": listener.on_connected,
        "alarm": listener.alarm,
        "connect": venue.connect,
        "chance": random.Random(7),  # noqa: S311 - no secret
        "patience": Patience(),
    }
    return PrivateStream(**(parts | changes))


def played(venue: PrivateVenue, stream: PrivateStream, play: Coroutine[Any, Any, None]) -> None:
    """Run a play in virtual time with the stream started."""

    async def main() -> None:
        await stream.start()
        try:
            await asyncio.sleep(0.1)
            await play
        finally:
            await stream.close()

    run(venue.time, main())
