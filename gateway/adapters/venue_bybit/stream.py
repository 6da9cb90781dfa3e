"""The private stream: orders, executions, positions and the wallet as they change, under a supervisor that never ends.

- A connection counts once it has signed in and subscribed; all of that has one deadline.
- It is pinged, and is made anew when no answer to a ping came for `silence_seconds`, whatever else it said: a line that
  works one way only, a server that stalls and a machine that slept all look like that.
- Nothing is replayed after a reconnect, so after each connect `on_connected` has the account read by REST; so it does
  after a row that could not be read or a listener that failed, at most every few seconds.
- A refused sign-in is told once, until one succeeds, and tried again after long pauses.
- Time is the loop's own, sockets are passed in: all of it runs under virtual time.
"""

import asyncio
import hmac
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from gateway.adapters.backoff import BACKOFF_SECONDS, Backoff
from gateway.adapters.venue_bybit.alarms import Alarm, AlarmKind
from gateway.adapters.venue_bybit.dispatch import Dispatch, OnPosition, OnWallet, OrderNews
from gateway.adapters.venue_bybit.socket import Connect, Socket, open_socket
from gateway.core.credentials import Credentials
from gateway.ports import Clock

TOPICS = ("order", "execution", "position", "wallet")
FRAME_CHARS_MAX = 1 << 20
AUTH_EXPIRES_MS = 10_000
"""How long a signature for the sign-in is good; a clock that is so much slow still signs in."""
SWEEP_SECONDS_MIN = 5.0
"""The least time between two requests to read the account because of something that was lost."""
MS = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the stream waits, in seconds."""

    hello: float = 5.0
    """For a connection that has signed in and subscribed."""
    ping: float = 4.0
    """Between two pings; Bybit asks for one every 20 s."""
    silence: float = 10.0
    """Without an answer to a ping, until the connection is taken to be dead."""
    reconnect: tuple[float, float] = BACKOFF_SECONDS
    """Between two connections: at first, at most."""
    refused: tuple[float, float] = (10.0, 120.0)
    """Between two refused sign-ins: at first, at most."""


class StreamFaultError(Exception):
    """The connection is of no more use; the text says why."""


class SignInRefusedError(Exception):
    """Bybit does not take the key; `code` is its retCode, -1 when it gave none."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the sign-in was refused, retCode {code}")
        self.code = code


class PrivateStream:
    """Keeps one private connection; start it once, close it once."""

    def __init__(
        self,
        *,
        url: str,
        credentials: Credentials,
        clock: Clock,
        events: OrderNews,
        on_wallet: OnWallet,
        on_position: OnPosition,
        on_connected: Callable[[], None],
        alarm: Callable[[Alarm], None],
        connect: Connect = open_socket,
        chance: random.Random,
        patience: Patience = Patience(),
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._clock = clock
        self._on_connected = on_connected
        self._alarm = alarm
        self._connect = connect
        self._patience = patience
        self._dispatch = Dispatch(events=events, on_position=on_position, on_wallet=on_wallet, clock=clock)
        self._backoff = Backoff(patience.reconnect, chance)
        self._refused_backoff = Backoff(patience.refused, chance)
        self._refused = False
        self._connected = False
        self._connects = 0
        self._heard_at: float | None = None
        self._ponged_at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has signed in and subscribed."""
        return self._connected

    @property
    def age_ms(self) -> int | None:
        """How long ago the last frame came, pongs included; None before the first."""
        if self._heard_at is None:
            return None
        return round((asyncio.get_running_loop().time() - self._heard_at) * MS)

    @property
    def reconnects(self) -> int:
        """How often a connection was made again."""
        return max(0, self._connects - 1)

    @property
    def callback_faults(self) -> int:
        """How often a listener failed."""
        return self._dispatch.callback_faults

    @property
    def unreadable(self) -> int:
        """How many frames or rows could not be read."""
        return self._dispatch.unreadable

    async def start(self) -> None:
        """Begin to listen; returns at once, with or without a connection."""
        self._task = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _supervise(self) -> None:
        """One connection after another, for ever."""
        while True:
            backoff = self._backoff
            try:
                await self._one_connection()
            except SignInRefusedError as fault:
                backoff = self._refused_backoff
                self._tell_refused(fault)
            except (StreamFaultError, OSError) as fault:
                log.warning("private_stream_reconnecting", detail=f"{type(fault).__name__}: {fault}"[:200])
            except Exception as fault:  # noqa: BLE001 - a stream that ended unseen would be worse than any fault of it
                log.error("private_stream_fault", fault=type(fault).__name__)  # noqa: TRY400 - its locals hold a signature
            finally:
                self._connected = False
            await backoff.pause()

    def _tell_refused(self, fault: SignInRefusedError) -> None:
        log.warning("private_stream_refused", code=fault.code)
        if not self._refused:
            self._refused = True
            text = f"Bybit refused the private stream's sign-in (retCode {fault.code})"
            self._dispatch.call("alarm", lambda: self._alarm(Alarm(kind=AlarmKind.AUTH, text=text)))

    async def _one_connection(self) -> None:
        """One connection from hello to loss; ends by raising."""
        async with asyncio.timeout(self._patience.hello) as limit, self._connect(self._url) as socket:
            await self._sign_in(socket)
            await self._subscribe(socket)
            limit.reschedule(None)
            self._ponged_at = _now()
            self._connects += 1
            self._connected = True
            log.info("private_stream_connected", reconnects=self.reconnects)
            self._sweep()
            await self._listen(socket)

    async def _sign_in(self, socket: Socket) -> None:
        expires_ms = self._clock.now_ms() + AUTH_EXPIRES_MS
        signed = f"GET/realtime{expires_ms}".encode()
        signature = hmac.new(self._credentials.secret.reveal().encode(), signed, "sha256").hexdigest()
        await socket.send(json.dumps({"op": "auth", "args": [self._credentials.key, expires_ms, signature]}))
        answer = await self._answer(socket, "auth")
        if answer.get("success") is not True:
            code = answer.get("retCode")
            raise SignInRefusedError(code if isinstance(code, int) else -1)
        self._refused = False
        self._refused_backoff.reset()

    async def _subscribe(self, socket: Socket) -> None:
        await socket.send(json.dumps({"op": "subscribe", "req_id": "private", "args": TOPICS}))
        answer = await self._answer(socket, "subscribe")
        if answer.get("success") is not True:
            raise StreamFaultError("the subscription was refused")

    async def _answer(self, socket: Socket, operation: str) -> Mapping[str, object]:
        """The answer to a request; what comes before it is used as ever."""
        while True:
            text = await socket.receive(self._patience.hello)
            message = self._take(text) if text is not None else None
            if message is not None and message.get("op") == operation:
                return message

    async def _listen(self, socket: Socket) -> None:
        """Use what comes, ping, and look at the time, until the connection is of no more use."""
        ping_at = _now() + self._patience.ping
        sweep_at = _now() + SWEEP_SECONDS_MIN
        while True:
            now = _now()
            if now - self._ponged_at >= self._patience.silence:
                raise StreamFaultError(f"no ping was answered for {self._patience.silence:g} s")
            if now >= ping_at:
                await self._ping(socket)
                ping_at = now + self._patience.ping
            if self._dispatch.lost and now >= sweep_at:
                sweep_at = now + SWEEP_SECONDS_MIN
                self._sweep()
            text = await socket.receive(min(ping_at, self._ponged_at + self._patience.silence) - now)
            if text is not None:
                self._take(text)

    async def _ping(self, socket: Socket) -> None:
        """A line that takes no more is as dead as one that says nothing."""
        async with asyncio.timeout(self._patience.silence):
            await socket.send('{"op": "ping"}')

    def _sweep(self) -> None:
        self._dispatch.lost = False
        self._dispatch.call("on_connected", self._on_connected)

    def _take(self, text: str) -> Mapping[str, object] | None:
        """Use one frame, and return it; None when it is not one. Raises StreamFaultError."""
        if len(text) > FRAME_CHARS_MAX:
            raise StreamFaultError("a frame is too long")
        self._heard_at = _now()
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._dispatch.note_unreadable("a frame is no JSON object")
            return None
        if message.get("op") in ("ping", "pong"):
            self._ponged_at = _now()
            self._backoff.reset()  # not before: a server that takes us and drops us at once is left in peace
        self._dispatch.take(message)
        return message


def _now() -> float:
    return asyncio.get_running_loop().time()
