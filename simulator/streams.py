"""All WebSockets of the server, put together: public, private and order entry behind one door."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from aiohttp import web

from simulator import stream
from simulator.faults import PRIVATE_STREAM
from simulator.local import LocalExchange
from simulator.outages import Part
from simulator.private_stream import private_hub
from simulator.sessions import Session, Sessions
from simulator.sockets import Sockets, idle_seconds
from simulator.trade_socket import PATH as TRADE_STREAM
from simulator.trade_socket import TradeHub

S = TypeVar("S", bound=Session)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Streams:
    """Every stream of one exchange. Made once for it: it hears what the engine publishes from then on."""

    def __init__(self, local: LocalExchange) -> None:
        self.sockets = Sockets(down=lambda: local.outages.down(Part.STREAMS))
        self.public = stream.Hub(local.exchange, sockets=self.sockets, faults=local.faults)
        self.private = private_hub(local)
        self.trade = TradeHub(
            desk=local.api,
            keys=local.keys,
            faults=local.faults,
            now_ms=local.clock.server_ms,
            env=local.config.env,
        )
        local.outages.on_begin.append(self._outage)

    async def disconnect_all(self) -> None:
        """Close every socket and wait for their ends."""
        await self.sockets.disconnect_all()

    def routes(self) -> list[web.RouteDef]:
        """The WebSockets; the application needs stream.HUB for the public ones."""
        private = web.get(PRIVATE_STREAM, self._handler(self.private, self.private.open))
        trade = web.get(TRADE_STREAM, self._handler(self.trade, self.trade.open))
        return [*stream.routes(), private, trade]

    def _outage(self, part: Part, _seconds: float) -> None:
        if part is not Part.REST:
            self.sockets.cut_all()

    def _handler(self, sessions: Sessions[S], open_session: Callable[[str], S]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            seconds = idle_seconds(request)
            session = open_session(request.remote or "")
            try:
                return await self.sockets.serve(request, session, idle_seconds=seconds)
            finally:
                sessions.forget(session)

        return handle


STREAMS = web.AppKey("streams", Streams)
