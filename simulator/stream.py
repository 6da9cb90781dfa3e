"""The public WebSockets, /v5/public/linear and /v5/public/spot: subscriptions, pings and the pushing of feeds.

The two differ: spot takes at most ten topics in a request, and its acknowledgement of a subscription says "subscribe".
"""

import asyncio
import json
import uuid
from dataclasses import dataclass, field

from aiohttp import web

from simulator.exchange import CATEGORIES, Exchange
from simulator.faults import PUBLIC_STREAMS, Faults
from simulator.feeds import BookFeed, Feed, feed_for
from simulator.frame_gate import FrameGate
from simulator.outbox import Outbox
from simulator.sessions import Sessions
from simulator.shapes import Json
from simulator.sockets import Sockets

TICK_SECONDS = 0.25
"""The market is looked at this often: once in each slot of the process at normal speed."""
TOPICS_MAX = 100
"""Topics of one connection."""
SPOT_ARGS_MAX = 10
"""Topics of one request on the spot stream."""


class PublicSession:
    """One client of a public stream: what it listens to, and what is still to be sent to it."""

    def __init__(self, hub: "Hub", category: str, faults: Faults) -> None:
        self._hub = hub
        self.category = category
        self.conn_id = str(uuid.uuid4())
        self.topics: set[str] = set()
        self.outbox = Outbox()
        self.gate = FrameGate(faults, self.outbox, PUBLIC_STREAMS + category)

    def receive(self, text: str) -> list[str]:
        """What the client says, and the answers to it, snapshots included."""
        if not self.gate.hears():
            return []
        return self.gate.answered([json.dumps(answer, separators=(",", ":")) for answer in self._answer(text)])

    def _answer(self, text: str) -> list[Json]:
        try:
            request: object = json.loads(text)
        except (ValueError, RecursionError):
            return [_ack(self, "", "", success=False, message="Invalid JSON")]
        if not isinstance(request, dict):
            return [_ack(self, "", "", success=False, message="Request must be an object")]
        operation, request_id, args = request.get("op"), request.get("req_id", ""), request.get("args", [])
        request_id = request_id if isinstance(request_id, str) else ""
        match operation:
            case "ping":
                return [_ack(self, "ping", request_id, message="pong")]
            case "subscribe" | "unsubscribe" if _is_topic_list(args):
                act = self._subscribe if operation == "subscribe" else self._unsubscribe
                return act(args, request_id)
            case "subscribe" | "unsubscribe":
                return [_ack(self, operation, request_id, success=False, message="args must be topic names")]
            case _:
                return [_ack(self, str(operation)[:40], request_id, success=False, message="Invalid op")]

    def _subscribe(self, args: list[str], request_id: str) -> list[Json]:
        """All topics or none; the acknowledgement comes before the snapshots."""
        refusal = self._refusal(args)
        if refusal:
            return [_ack(self, "subscribe", request_id, success=False, message=refusal)]
        message = "subscribe" if self.category == "spot" else ""
        return [_ack(self, "subscribe", request_id, message=message), *self._hub.join(self, args)]

    def _refusal(self, args: list[str]) -> str:
        if self.category == "spot" and len(args) > SPOT_ARGS_MAX:
            return f"args size >{SPOT_ARGS_MAX}"
        if len(self.topics | set(args)) > TOPICS_MAX:
            return f"args size >{TOPICS_MAX}"
        unknown = [name for name in args if not self._hub.knows(self.category, name)]
        return f"error:handler not found,topic:{unknown[0][:80]}" if unknown else ""

    def _unsubscribe(self, args: list[str], request_id: str) -> list[Json]:
        self._hub.leave(self, set(args))
        return [_ack(self, "unsubscribe", request_id)]


@dataclass(slots=True)
class _Topic:
    feed: Feed
    readers: set[PublicSession] = field(default_factory=set)


class Hub(Sessions[PublicSession]):
    """All public connections and the topics that someone listens to."""

    def __init__(self, exchange: Exchange, *, sockets: Sockets, faults: Faults) -> None:
        self._exchange = exchange
        self._sockets = sockets
        self._faults = faults
        super().__init__(faults)
        self._topics: dict[tuple[str, str], _Topic] = {}

    async def publish(self) -> None:
        """Push what is due, for ever; once more when the market freezes, and then nothing until it goes on."""
        pushed_ms = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            at_ms = self._exchange.clock.market_ms()
            if at_ms == pushed_ms:
                continue
            pushed_ms = at_ms
            for (_, name), topic in list(self._topics.items()):
                _send(name, topic, topic.feed.due(at_ms))

    async def serve(self, request: web.Request, category: str) -> web.StreamResponse:
        """One client from handshake to close."""
        session = self.keep(PublicSession(self, category, self._faults))
        try:
            return await self._sockets.serve(request, session)
        finally:
            self.forget(session)
            self.leave(session, set(session.topics))

    async def disconnect_all(self) -> None:
        """Close every socket, those of private and order-entry streams included."""
        await self._sockets.disconnect_all()

    async def restart_books(self) -> None:
        """Send every book again with u = 1, as Bybit does after a restart of its service."""
        at_ms = self._exchange.clock.market_ms()
        for (_, name), topic in list(self._topics.items()):
            if isinstance(topic.feed, BookFeed):
                _send(name, topic, topic.feed.restart(at_ms))

    def knows(self, category: str, name: str) -> bool:
        """Whether the category has such a topic."""
        at_ms = self._exchange.clock.market_ms()
        return (category, name) in self._topics or feed_for(name, self._exchange, at_ms, category) is not None

    def join(self, session: PublicSession, names: list[str]) -> list[Json]:
        """Subscribe to topics that are known; what a newcomer is told of them."""
        at_ms = self._exchange.clock.market_ms()
        told: list[Json] = []
        for name in names:
            topic = self._topics.get((session.category, name)) or self._open(session.category, name, at_ms)
            topic.readers.add(session)
            session.topics.add(name)
            told += topic.feed.opening(at_ms)
        return told

    def leave(self, session: PublicSession, names: set[str]) -> None:
        """Unsubscribe; topics that no one listens to any more are forgotten."""
        session.topics -= names
        for name in names:
            topic = self._topics.get((session.category, name))
            if topic is None:
                continue
            topic.readers.discard(session)
            if not topic.readers:
                del self._topics[session.category, name]

    def _open(self, category: str, name: str, at_ms: int) -> _Topic:
        feed = feed_for(name, self._exchange, at_ms, category)
        if feed is None:
            raise LookupError(name)
        topic = self._topics[category, name] = _Topic(feed)
        return topic


HUB = web.AppKey("hub", Hub)


def routes() -> list[web.RouteDef]:
    """One WebSocket for each category."""
    return [_route(category) for category in CATEGORIES]


def _route(category: str) -> web.RouteDef:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await request.app[HUB].serve(request, category)

    return web.get(PUBLIC_STREAMS + category, handle)


def _send(name: str, topic: _Topic, messages: list[Json]) -> None:
    for message in messages:
        text = json.dumps(message, separators=(",", ":"))
        for session in topic.readers:
            session.gate.push(name, text)


def _is_topic_list(args: object) -> bool:
    return isinstance(args, list) and 0 < len(args) <= TOPICS_MAX and all(isinstance(name, str) for name in args)


def _ack(session: PublicSession, operation: str, request_id: str, *, success: bool = True, message: str = "") -> Json:
    return {
        "success": success,
        "ret_msg": message,
        "conn_id": session.conn_id,
        "req_id": request_id,
        "op": operation,
    }
