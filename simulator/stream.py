"""The public WebSocket, /v5/public/linear: subscriptions, pings and the pushing of feeds."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import WSCloseCode, WSMsgType, web

from simulator.exchange import Exchange
from simulator.feeds import BookFeed, Feed, feed_for
from simulator.shapes import Json

PATH = "/v5/public/linear"
TICK_SECONDS = 0.25
"""The market is looked at this often: once in each slot of the process at normal speed."""
CONNECTIONS_MAX = 200
TOPICS_MAX = 100
"""Topics of one connection."""
QUEUE_MAX = 1_000
"""Unsent messages of one connection; a reader slower than that is cut off."""
MESSAGE_BYTES_MAX = 65_536
IDLE_SECONDS = 600.0
"""A client that says nothing for this long is cut off, as Bybit does."""


class Connection:
    """One client: its topics and what is still to be sent to it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.conn_id = str(uuid.uuid4())
        self.topics: set[str] = set()
        self._outbox: asyncio.Queue[str] = asyncio.Queue(QUEUE_MAX)

    def offer(self, text: str) -> bool:
        """Queue a message; False when the reader is too slow for it."""
        try:
            self._outbox.put_nowait(text)
        except asyncio.QueueFull:
            return False
        return True

    async def write(self) -> None:
        """Send what is queued until the socket closes."""
        while not self.socket.closed:
            text = await self._outbox.get()
            try:
                await self.socket.send_str(text)
            except ConnectionError:
                return


@dataclass(slots=True)
class _Topic:
    feed: Feed
    readers: set[Connection] = field(default_factory=set)


class Hub:
    """All connections and the topics that someone listens to."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._topics: dict[str, _Topic] = {}
        self._connections: set[Connection] = set()

    async def publish(self) -> None:
        """Push what is due, for ever; once more when the market freezes, and then nothing until it goes on."""
        pushed_ms = 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            at_ms = self._exchange.clock.market_ms()
            if at_ms == pushed_ms:
                continue
            pushed_ms = at_ms
            for topic in list(self._topics.values()):
                await self._send(topic, topic.feed.due(at_ms))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One client from handshake to close."""
        if len(self._connections) >= CONNECTIONS_MAX:
            raise web.HTTPServiceUnavailable(text="too many connections")
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX)
        await socket.prepare(request)
        connection = Connection(socket)
        self._connections.add(connection)
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(connection)
        finally:
            self._connections.discard(connection)
            self._forget(connection, set(connection.topics))
            writer.cancel()
        return socket

    async def disconnect_all(self) -> None:
        """Close every socket."""
        for connection in list(self._connections):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    async def restart_books(self) -> None:
        """Send every book again with u = 1, as Bybit does after a restart of its service."""
        at_ms = self._exchange.clock.market_ms()
        for topic in list(self._topics.values()):
            if isinstance(topic.feed, BookFeed):
                await self._send(topic, topic.feed.restart(at_ms))

    async def _send(self, topic: _Topic, messages: list[Json]) -> None:
        for message in messages:
            text = json.dumps(message, separators=(",", ":"))
            for connection in list(topic.readers):
                if not connection.offer(text):
                    await connection.socket.close(code=WSCloseCode.TRY_AGAIN_LATER)

    async def _read(self, connection: Connection) -> None:
        while not connection.socket.closed:
            try:
                message = await connection.socket.receive(timeout=IDLE_SECONDS)
            except TimeoutError:
                await connection.socket.close(code=WSCloseCode.GOING_AWAY)
                return
            if message.type is not WSMsgType.TEXT:
                return
            for answer in self._answer(connection, message.data):
                connection.offer(json.dumps(answer, separators=(",", ":")))

    def _answer(self, connection: Connection, text: str) -> list[Json]:
        try:
            request: object = json.loads(text)
        except ValueError:
            return [_ack(connection, "", "", success=False, message="Invalid JSON")]
        if not isinstance(request, dict):
            return [_ack(connection, "", "", success=False, message="Request must be an object")]
        operation, request_id, args = request.get("op"), request.get("req_id", ""), request.get("args", [])
        request_id = request_id if isinstance(request_id, str) else ""
        match operation:
            case "ping":
                return [_ack(connection, "ping", request_id, message="pong")]
            case "subscribe" | "unsubscribe" if _is_topic_list(args):
                act = self._subscribe if operation == "subscribe" else self._unsubscribe
                return act(connection, args, request_id)
            case "subscribe" | "unsubscribe":
                return [_ack(connection, operation, request_id, success=False, message="args must be topic names")]
            case _:
                return [_ack(connection, str(operation)[:40], request_id, success=False, message="Invalid op")]

    def _subscribe(self, connection: Connection, args: list[str], request_id: str) -> list[Json]:
        """All topics or none; the acknowledgement comes before the snapshots."""
        refusal = self._refusal(connection, args)
        if refusal:
            return [_ack(connection, "subscribe", request_id, success=False, message=refusal)]
        at_ms = self._exchange.clock.market_ms()
        answers = [_ack(connection, "subscribe", request_id)]
        for name in args:
            topic = self._topics.get(name) or self._open(name, at_ms)
            topic.readers.add(connection)
            connection.topics.add(name)
            answers += topic.feed.opening(at_ms)
        return answers

    def _refusal(self, connection: Connection, args: list[str]) -> str:
        if len(connection.topics | set(args)) > TOPICS_MAX:
            return f"args size >{TOPICS_MAX}"
        at_ms = self._exchange.clock.market_ms()
        unknown = [name for name in args if name not in self._topics and not feed_for(name, self._exchange, at_ms)]
        return f"error:handler not found,topic:{unknown[0][:80]}" if unknown else ""

    def _open(self, name: str, at_ms: int) -> _Topic:
        feed = feed_for(name, self._exchange, at_ms)
        if feed is None:
            raise LookupError(name)
        topic = self._topics[name] = _Topic(feed)
        return topic

    def _unsubscribe(self, connection: Connection, args: list[str], request_id: str) -> list[Json]:
        self._forget(connection, set(args))
        return [_ack(connection, "unsubscribe", request_id)]

    def _forget(self, connection: Connection, names: set[str]) -> None:
        connection.topics -= names
        for name in names:
            topic = self._topics.get(name)
            if topic is None:
                continue
            topic.readers.discard(connection)
            if not topic.readers:
                del self._topics[name]


HUB = web.AppKey("hub", Hub)


def route() -> web.RouteDef:
    """The WebSocket's route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await request.app[HUB].serve(request)

    handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = handle
    return web.get(PATH, handler)


def _is_topic_list(args: object) -> bool:
    return isinstance(args, list) and 0 < len(args) <= TOPICS_MAX and all(isinstance(name, str) for name in args)


def _ack(connection: Connection, operation: str, request_id: str, *, success: bool = True, message: str = "") -> Json:
    return {
        "success": success,
        "ret_msg": message,
        "conn_id": connection.conn_id,
        "req_id": request_id,
        "op": operation,
    }
