"""All WebSockets of the server, put together: public, private and order entry behind one door."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from aiohttp import web

from simulator import stream
from simulator.api.keys import ENVIRONMENT, KeyRing
from simulator.exchange import Exchange
from simulator.faults import PRIVATE_STREAM, Faults
from simulator.private_stream import PrivateHub
from simulator.sessions import Session, Sessions
from simulator.sockets import Sockets, idle_seconds
from simulator.trade_socket import PATH as TRADE_STREAM
from simulator.trade_socket import Desk, TradeHub

S = TypeVar("S", bound=Session)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Streams:
    """Every stream of one exchange."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        desk: Desk,
        keys: KeyRing,
        faults: Faults,
        now_ms: Callable[[], int],
        env: str = ENVIRONMENT,
    ) -> None:
        self.sockets = Sockets()
        self.public = stream.Hub(exchange, sockets=self.sockets, faults=faults)
        self.private = PrivateHub(keys=keys, faults=faults, now_ms=now_ms, env=env)
        self.trade = TradeHub(desk=desk, keys=keys, faults=faults, now_ms=now_ms, env=env)

    def shut(self, seconds: float) -> None:
        """As if the stream servers were down for so long: everyone is cut off without a word, no one is let in."""
        self.sockets.shut(seconds)

    async def disconnect_all(self) -> None:
        """Close every socket and wait for their ends."""
        await self.sockets.disconnect_all()

    def routes(self) -> list[web.RouteDef]:
        """The WebSockets; the application needs stream.HUB for the public ones."""
        private = web.get(PRIVATE_STREAM, self._handler(self.private, self.private.open))
        trade = web.get(TRADE_STREAM, self._handler(self.trade, self.trade.open))
        return [*stream.routes(), private, trade]

    def _handler(self, sessions: Sessions[S], open_session: Callable[[str], S]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            seconds = idle_seconds(request)
            session = open_session(request.remote or "")
            try:
                return await self.sockets.serve(request, session, idle_seconds=seconds)
            finally:
                sessions.forget(session)

        return handle
