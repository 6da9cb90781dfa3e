"""Reads one connection to the public stream: books, which must speak, and topics that may be silent."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

import aiohttp
import structlog

from gateway.adapters.market_bybit.local_book import LocalBook
from gateway.adapters.market_bybit.messages import BadMessageError, parse_json
from gateway.ports import Clock

PING_SECONDS = 5.0
"""Bybit asks for a ping at least every 20 s; ours also shows that the line lives."""
RESUBSCRIBE_SECONDS = 1.0
"""The least time between two requests for a new snapshot of one symbol."""
SUBSCRIBE_ARGS_MAX = 10
"""Topics of one request; Bybit takes no more on some of its streams."""

log = structlog.get_logger()

Take = Callable[[Mapping[str, object]], None]
"""Uses one message; raises BadMessageError."""


class Reader:
    """Reads one connection; ends, by a named error, when it must be made anew."""

    def __init__(
        self,
        *,
        socket: aiohttp.ClientWebSocketResponse,
        books: Mapping[str, LocalBook],
        others: Mapping[str, Take],
        clock: Clock,
        healthy: Callable[[], None],
        silence_seconds: float,
    ) -> None:
        self._silence_seconds = silence_seconds
        self._socket = socket
        self._books = books
        self._others = others
        self._clock = clock
        self._healthy = healthy
        now = asyncio.get_running_loop().time()
        self._heard = dict.fromkeys(books, now)
        self._asked = dict.fromkeys(books, now - RESUBSCRIBE_SECONDS)

    async def subscribe(self) -> None:
        """Ask for all topics, books first."""
        for topics in _batched([*self._books, *self._others], SUBSCRIBE_ARGS_MAX):
            await self._socket.send_json({"op": "subscribe", "req_id": "topics", "args": topics})

    async def run(self) -> None:
        """Read until the connection is of no more use."""
        for book in self._books.values():
            book.await_snapshot()
        pinger = asyncio.create_task(self._ping())
        try:
            while True:
                message = await self._socket.receive(timeout=self._silence_seconds)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise BadMessageError(f"the stream ended: {message.type.name}, {self._socket.close_code}")
                await self._take(message.data)
                self._check_silence()
        finally:
            pinger.cancel()

    async def _ping(self) -> None:
        """Ping for ever; a failure to send shows as silence to the reader."""
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(PING_SECONDS)
                await self._socket.send_json({"op": "ping"})

    def _check_silence(self) -> None:
        now = asyncio.get_running_loop().time()
        for topic, heard in self._heard.items():
            if now - heard > self._silence_seconds:
                raise BadMessageError(f"{topic} is silent")

    async def _take(self, text: str) -> None:
        """Use one message; a bad one costs at most its own symbol's book."""
        try:
            message = parse_json(text)
        except BadMessageError as fault:
            log.warning("market_message_ignored", detail=str(fault))
            return
        if not isinstance(message, dict):
            return
        if message.get("success") is False:
            raise BadMessageError("the subscription was refused")
        topic = message.get("topic")
        if not isinstance(topic, str):
            return
        if topic in self._books:
            await self._take_book(topic, message)
        elif topic in self._others:
            self._take_other(topic, message)

    async def _take_book(self, topic: str, message: Mapping[str, object]) -> None:
        book = self._books[topic]
        try:
            used = book.apply(message, self._clock.now_ms())
        except BadMessageError as fault:
            book.drop()
            used = False
            log.warning("market_book_dropped", topic=topic, detail=str(fault))
        if used:
            self._heard[topic] = asyncio.get_running_loop().time()
            self._healthy()
        elif book.awaits_snapshot:
            await self._ask_again(topic)

    def _take_other(self, topic: str, message: Mapping[str, object]) -> None:
        try:
            self._others[topic](message)
        except BadMessageError as fault:
            log.warning("market_message_ignored", topic=topic, detail=str(fault))

    async def _ask_again(self, topic: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._asked[topic] < RESUBSCRIBE_SECONDS:
            return
        self._asked[topic] = now
        await self._socket.send_json({"op": "unsubscribe", "args": [topic]})
        await self._socket.send_json({"op": "subscribe", "req_id": "again", "args": [topic]})


def _batched(topics: Sequence[str], size: int) -> list[Sequence[str]]:
    return [topics[first : first + size] for first in range(0, len(topics), size)]
