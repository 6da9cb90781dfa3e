"""Prices from Bybit's public linear stream, or from anything that speaks it.

One task keeps a WebSocket to `orderbook.50` of every allowed symbol, another the
instruments' filters by REST. Neither ever ends by itself:

- A lost, refused or silent connection is made anew, with back-off; the last book stays and grows old.
- A message that cannot be read, or a book that it leaves crossed, costs that symbol its book until the
  next snapshot, which is asked for. Other symbols go on.
- A book's `received_ms` moves only when the exchange's own time stamp moves: a stopped market that is
  still served looks as old as it is.

Everything received is untrusted: texts are bounded, numbers plain decimals, prices positive.
"""

import asyncio
import contextlib
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import aiohttp
import structlog

from gateway.core.model import Book, Instrument, Level, Symbol
from gateway.ports import Clock

DEPTH = 50
LEVELS_MAX = 1_000
"""Levels of one side that are kept or read at most; the stream sends 50."""
CONNECT_SECONDS = 5.0
PING_SECONDS = 5.0
"""Bybit asks for a ping at least every 20 s; ours also shows that the line lives."""
SILENCE_SECONDS = 10.0
"""Without any message for this long the connection, without a book for as long the symbol, is taken to be dead."""
BACKOFF_SECONDS = (0.2, 5.0)
"""The first and the longest pause between two attempts; each failure doubles it."""
RESUBSCRIBE_SECONDS = 1.0
"""The least time between two requests for a new snapshot of one symbol."""
INSTRUMENTS_SECONDS = 6 * 3600.0
"""How often the filters are read again; Bybit moves them twice a month."""
MESSAGE_BYTES_MAX = 1 << 20
TEXT_MAX = 30
"""Longest number text that is read."""

_PLAIN = re.compile(r"[0-9]{1,15}(\.[0-9]{1,14})?", re.ASCII)

log = structlog.get_logger()

Attempt = Callable[[Callable[[], None]], Coroutine[None, None, None]]


class BadMessageError(Exception):
    """What the exchange sent cannot be used; the text says why, without repeating it."""


class BybitMarket:
    """Books and filters of the allowed symbols; start it once, close it once."""

    def __init__(self, *, source: str, rest_url: str, ws_url: str, symbols: Sequence[Symbol], clock: Clock) -> None:
        self.source = source
        self._rest_url = rest_url.rstrip("/")
        self._ws_url = ws_url
        self._clock = clock
        self._books = {_topic(symbol): LocalBook() for symbol in symbols}
        self._symbols = tuple(symbols)
        self._instruments: dict[Symbol, Instrument] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def book(self, symbol: Symbol) -> Book | None:
        """The newest book, or None when there is none."""
        local = self._books.get(_topic(symbol))
        return local.book() if local else None

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The venue's rules for `symbol`, or None when they are not known or it does not trade."""
        return self._instruments.get(symbol)

    async def start(self) -> None:
        """Begin to read; returns at once, with or without a connection."""
        self._tasks = [
            asyncio.create_task(_forever("market_stream", self._stream)),
            asyncio.create_task(_forever("market_instruments", self._refresh_instruments)),
        ]

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _stream(self, healthy: Callable[[], None]) -> None:
        """One connection from hello to loss."""
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            asyncio.timeout(CONNECT_SECONDS) as limit,
            session.ws_connect(self._ws_url, max_msg_size=MESSAGE_BYTES_MAX) as socket,
        ):
            limit.reschedule(None)
            await socket.send_json({"op": "subscribe", "req_id": "books", "args": list(self._books)})
            await _Reader(socket, self._books, self._clock, healthy).run()

    async def _refresh_instruments(self, healthy: Callable[[], None]) -> None:
        timeout = aiohttp.ClientTimeout(total=CONNECT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for symbol in self._symbols:
                instrument = parse_instrument(symbol, await self._instruments_info(session, symbol))
                if instrument is None:
                    self._instruments.pop(symbol, None)
                    log.warning("symbol_not_trading", symbol=symbol)
                else:
                    self._instruments[symbol] = instrument
        healthy()
        await asyncio.sleep(INSTRUMENTS_SECONDS)

    async def _instruments_info(self, session: aiohttp.ClientSession, symbol: Symbol) -> object:
        url = f"{self._rest_url}/v5/market/instruments-info"
        query = {"category": "linear", "symbol": symbol}
        async with session.get(url, params=query, allow_redirects=False) as answer:
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise BadMessageError(f"instruments-info answered HTTP {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > MESSAGE_BYTES_MAX:
                    raise BadMessageError("instruments-info is too long")
        return _json(body.decode("utf-8", "replace"))


class _Reader:
    """Reads one connection; ends, by a named error, when it must be made anew."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        books: Mapping[str, "LocalBook"],
        clock: Clock,
        healthy: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._books = books
        self._clock = clock
        self._healthy = healthy
        now = asyncio.get_running_loop().time()
        self._heard = dict.fromkeys(books, now)
        self._asked = dict.fromkeys(books, now)

    async def run(self) -> None:
        for book in self._books.values():
            book.await_snapshot()
        async with _running(self._ping()):
            while True:
                message = await self._socket.receive(timeout=SILENCE_SECONDS)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise BadMessageError(f"the stream ended: {message.type.name}, {self._socket.close_code}")
                await self._take(message.data)
                self._check_silence()

    async def _ping(self) -> None:
        """Ping for ever; a failure to send shows as silence to the reader."""
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(PING_SECONDS)
                await self._socket.send_json({"op": "ping"})

    def _check_silence(self) -> None:
        now = asyncio.get_running_loop().time()
        for topic, heard in self._heard.items():
            if now - heard > SILENCE_SECONDS:
                raise BadMessageError(f"{topic} is silent")

    async def _take(self, text: str) -> None:
        """Use one message; a bad one costs at most its own symbol's book."""
        try:
            message = _json(text)
        except BadMessageError as fault:
            log.warning("market_message_ignored", detail=str(fault))
            return
        if not isinstance(message, dict):
            return
        if message.get("success") is False:
            raise BadMessageError("the subscription was refused")
        topic = message.get("topic")
        if not isinstance(topic, str) or topic not in self._books:
            return
        book = self._books[topic]
        try:
            book.apply(message, self._clock.now_ms())
        except BadMessageError as fault:
            book.drop()
            log.warning("market_book_dropped", topic=topic, detail=str(fault))
            await self._ask_again(topic)
            return
        self._heard[topic] = asyncio.get_running_loop().time()
        self._healthy()

    async def _ask_again(self, topic: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._asked[topic] < RESUBSCRIBE_SECONDS:
            return
        self._asked[topic] = now
        await self._socket.send_json({"op": "unsubscribe", "args": [topic]})
        await self._socket.send_json({"op": "subscribe", "req_id": "again", "args": [topic]})


class LocalBook:
    """One symbol's book as snapshots and deltas build it; no clock, no I/O."""

    def __init__(self) -> None:
        self._bids: dict[Decimal, Decimal] = {}
        self._asks: dict[Decimal, Decimal] = {}
        self._update_id: int | None = None
        self._exchange_ms: int | None = None
        self._received_ms = 0
        self._shown: Book | None = None
        self._changed = False

    def book(self) -> Book | None:
        """The book, sorted once after each change; None before a snapshot or with an empty side."""
        if self._changed:
            self._changed = False
            self._shown = self._sorted()
        return self._shown

    def await_snapshot(self) -> None:
        """Take no delta until a snapshot came; what is shown stays, and grows old."""
        self._update_id = None

    def drop(self) -> None:
        """Show no book until a snapshot came."""
        self._update_id = None
        self._shown = None
        self._changed = False

    def apply(self, message: Mapping[str, object], now_ms: int) -> None:
        """Take one orderbook message. BadMessageError: it cannot be used, and the book may be wrong."""
        update = parse_update(message)
        if update.snapshot or update.update_id == 1:
            # u = 1 is Bybit's service after a restart: whatever the type says, it is the whole book.
            self._bids, self._asks = {}, {}
        elif self._update_id is None:
            return  # a delta to a book that we do not have
        elif update.update_id <= self._update_id:
            return  # seen before, or overtaken by another
        _set_levels(self._bids, update.bids)
        _set_levels(self._asks, update.asks)
        if self._bids and self._asks and max(self._bids) >= min(self._asks):
            raise BadMessageError("the book is crossed")
        self._update_id = update.update_id
        if update.exchange_ms != self._exchange_ms:
            self._exchange_ms, self._received_ms = update.exchange_ms, now_ms
        self._changed = True

    def _sorted(self) -> Book | None:
        if not self._bids or not self._asks:
            return None
        bids = [Level(price=price, qty=self._bids[price]) for price in sorted(self._bids, reverse=True)]
        asks = [Level(price=price, qty=self._asks[price]) for price in sorted(self._asks)]
        return Book(bids=bids, asks=asks, received_ms=self._received_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One orderbook message, checked."""

    snapshot: bool
    update_id: int
    exchange_ms: int
    bids: list[tuple[Decimal, Decimal]]
    """Price and quantity; quantity 0 removes the level."""
    asks: list[tuple[Decimal, Decimal]]


def parse_update(message: Mapping[str, object]) -> Update:
    """Check an orderbook message. Raises BadMessageError."""
    content = message.get("data")
    if not isinstance(content, dict) or message.get("type") not in ("snapshot", "delta"):
        raise BadMessageError("no orderbook message")
    return Update(
        snapshot=message["type"] == "snapshot",
        update_id=_whole(content.get("u")),
        exchange_ms=_whole(message.get("ts")),
        bids=_levels(content.get("b")),
        asks=_levels(content.get("a")),
    )


def parse_instrument(symbol: Symbol, answer: object) -> Instrument | None:
    """The filters in an instruments-info answer; None when the symbol does not trade. Raises BadMessageError."""
    if not isinstance(answer, dict) or answer.get("retCode") != 0:
        raise BadMessageError("instruments-info was refused")
    row = _row(answer, symbol)
    if row is None or row.get("status") != "Trading":
        return None
    lots, prices = row.get("lotSizeFilter"), row.get("priceFilter")
    if not isinstance(lots, dict) or not isinstance(prices, dict):
        raise BadMessageError("instruments-info has no filters")
    return Instrument(
        symbol=symbol,
        qty_step=_positive(lots.get("qtyStep")),
        min_qty=_positive(lots.get("minOrderQty")),
        max_market_qty=_positive(lots.get("maxMktOrderQty")),
        min_notional_usd=_positive(lots.get("minNotionalValue")),
        tick_size=_positive(prices.get("tickSize")),
    )


def _row(answer: Mapping[str, object], symbol: Symbol) -> Mapping[str, object] | None:
    result = answer.get("result")
    rows = result.get("list") if isinstance(result, dict) else None
    if not isinstance(rows, list):
        raise BadMessageError("instruments-info has no list")
    return next((row for row in rows if isinstance(row, dict) and row.get("symbol") == symbol), None)


def _topic(symbol: Symbol) -> str:
    return f"orderbook.{DEPTH}.{symbol}"


def _set_levels(side: dict[Decimal, Decimal], levels: Sequence[tuple[Decimal, Decimal]]) -> None:
    for price, qty in levels:
        if qty:
            side[price] = qty
        else:
            side.pop(price, None)
    if len(side) > LEVELS_MAX:
        raise BadMessageError("the book has too many levels")


def _levels(rows: object) -> list[tuple[Decimal, Decimal]]:
    if not isinstance(rows, list) or len(rows) > LEVELS_MAX:
        raise BadMessageError("the levels are no list, or too long")
    return [_level(row) for row in rows]


def _level(row: object) -> tuple[Decimal, Decimal]:
    if not isinstance(row, list) or len(row) != 2:  # noqa: PLR2004 - price and quantity
        raise BadMessageError("a level is no pair")
    return _positive(row[0]), _decimal(row[1])


def _positive(text: object) -> Decimal:
    value = _decimal(text)
    if not value:
        raise BadMessageError("a number that must be positive is zero")
    return value


def _decimal(text: object) -> Decimal:
    """A plain decimal: no sign, no exponent, no NaN, so finite and not negative."""
    if not isinstance(text, str) or len(text) > TEXT_MAX or not _PLAIN.fullmatch(text):
        raise BadMessageError("a number is no plain decimal text")
    return Decimal(text)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadMessageError("a sequence number or time is no whole number")
    return value


def _json(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise BadMessageError("no JSON") from fault
    return value


@contextlib.asynccontextmanager
async def _running(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


async def _forever(name: str, attempt: Attempt) -> None:
    """Run `attempt` again whenever it ends; the pause doubles until an attempt calls what it was given."""
    shortest, longest = BACKOFF_SECONDS
    pause = shortest

    def healthy() -> None:
        nonlocal pause
        pause = shortest

    while True:
        try:
            await attempt(healthy)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, BadMessageError) as fault:
            log.warning("market_reconnecting", part=name, detail=f"{type(fault).__name__}: {fault}"[:200])
        # Half of the pause is random, so that many gateways do not come back in step.
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        pause = min(pause * 2, longest)
