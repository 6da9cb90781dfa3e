"""Prices from Bybit's public linear stream, or from anything that speaks it.

One task keeps a WebSocket to `orderbook.50` of every allowed symbol, another the instruments' filters
by REST, a third their closed bars by REST. None ever ends by itself:

- A lost, refused or silent connection is made anew, with back-off; the last book stays and grows old.
- A message that cannot be read, or a book that it leaves crossed, costs that symbol its book until the
  next snapshot, which is asked for. Other symbols go on.
- A book's `received_ms` moves only when the matching engine's time stamp moves: a stopped market that
  is still served looks as old as it is.
- A bar is closed when the exchange's own clock says so. Each is asked for shortly after its close, and again until it
  is there. An answer that cannot be read costs itself: the bars that are known stay, and grow old.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence

import aiohttp
import structlog

from gateway.adapters.market_bybit.bars import BARS_MAX, KeptBars
from gateway.adapters.market_bybit.local_book import LocalBook
from gateway.adapters.market_bybit.messages import BadMessageError, parse_instrument, parse_json, parse_klines
from gateway.core.bars import MS
from gateway.core.model import BarSeries, Book, Instrument, Symbol
from gateway.ports import Clock

DEPTH = 50
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
BAR_DELAY_SECONDS = 1.0
"""So long after its close a bar is asked for; the exchange needs a moment to make it."""
BAR_RETRY_SECONDS = 2.0
"""So long after that it is asked for again while it is not there."""
BARS_PAUSE_SECONDS = 60.0
"""The longest time between two looks at the bars, however long they are: corrections come, and machines sleep."""
DAY_MINUTES = 1440
"""Bybit names shorter bars by their minutes."""
MESSAGE_BYTES_MAX = 1 << 20

log = structlog.get_logger()

Attempt = Callable[[Callable[[], None]], Coroutine[None, None, None]]


class BybitMarket:
    """Books and filters of the allowed symbols; start it once, close it once."""

    def __init__(
        self,
        *,
        source: str,
        rest_url: str,
        ws_url: str,
        symbols: Sequence[Symbol],
        clock: Clock,
        bar_minutes: int,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.source = source
        self._rest_url = rest_url.rstrip("/")
        self._ws_url = ws_url
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._books = {_topic(symbol): LocalBook() for symbol in symbols}
        self._symbols = tuple(symbols)
        self._instruments: dict[Symbol, Instrument] = {}
        self._bar_seconds = bar_minutes * 60
        self._interval = "D" if bar_minutes == DAY_MINUTES else str(bar_minutes)
        self._exchange_ahead_ms = 0
        self._bars = {symbol: KeptBars(self._bar_seconds) for symbol in symbols}
        self._tasks: list[asyncio.Task[None]] = []

    def book(self, symbol: Symbol) -> Book | None:
        """The newest book, or None when there is none."""
        local = self._books.get(_topic(symbol))
        return local.book() if local else None

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The venue's rules for `symbol`, or None when they are not known or it does not trade."""
        return self._instruments.get(symbol)

    def bars(self, symbol: Symbol) -> BarSeries | None:
        """The closed bars that are known, the newest last; None when there are none."""
        kept = self._bars.get(symbol)
        return kept.series() if kept else None

    async def start(self) -> None:
        """Begin to read; returns at once, with or without a connection."""
        self._tasks = [
            asyncio.create_task(_forever("market_stream", self._stream)),
            asyncio.create_task(_forever("market_instruments", self._refresh_instruments)),
            asyncio.create_task(_forever("market_bars", self._follow_bars)),
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
            await _Reader(socket, self._books, self._clock, healthy, self._silence_seconds).run()

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
        return await self._get(session, "instruments-info", {"category": "linear", "symbol": symbol})

    async def _follow_bars(self, healthy: Callable[[], None]) -> None:
        """The bars of every symbol, then each new one shortly after it has closed."""
        timeout = aiohttp.ClientTimeout(total=CONNECT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            asked = self._symbols
            while True:
                unread = [symbol for symbol in asked if not await self._read_bars(session, symbol)]
                if unread:
                    raise BadMessageError(f"the bars of {', '.join(unread)} were not read")
                healthy()
                now_ms = self._exchange_ms()
                behind = tuple(symbol for symbol in self._symbols if not self._bars[symbol].has_closed_by(now_ms))
                await asyncio.sleep(BAR_RETRY_SECONDS if behind else self._seconds_to_next_bar(now_ms))
                asked = behind or self._symbols

    async def _read_bars(self, session: aiohttp.ClientSession, symbol: Symbol) -> bool:
        """Take the newest bars of one symbol; False when the answer cannot be used, which costs no other symbol."""
        kept = self._bars[symbol]
        query = {"category": "linear", "symbol": symbol, "interval": self._interval, "limit": str(BARS_MAX)}
        start_ms = kept.reread_from_ms()
        if start_ms is not None:
            query["start"] = str(start_ms)
        try:
            answer = parse_klines(symbol, self._bar_seconds, await self._get(session, "kline", query))
        except BadMessageError as fault:
            log.warning("market_bars_unreadable", symbol=symbol, detail=str(fault))
            return False
        kept.merge(answer.bars)
        self._exchange_ahead_ms = answer.answered_ms - _loop_ms()
        return True

    def _exchange_ms(self) -> int:
        """The time by the exchange's clock, as its last answer told it."""
        return _loop_ms() + self._exchange_ahead_ms

    def _seconds_to_next_bar(self, now_ms: int) -> float:
        span_ms = self._bar_seconds * MS
        return min((span_ms - now_ms % span_ms) / MS + BAR_DELAY_SECONDS, BARS_PAUSE_SECONDS)

    async def _get(self, session: aiohttp.ClientSession, name: str, query: Mapping[str, str]) -> object:
        """The JSON of one public market endpoint. Raises BadMessageError."""
        url = f"{self._rest_url}/v5/market/{name}"
        async with session.get(url, params=query, allow_redirects=False) as answer:
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise BadMessageError(f"{name} answered HTTP {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > MESSAGE_BYTES_MAX:
                    raise BadMessageError(f"{name} is too long")
        return parse_json(body.decode("utf-8", "replace"))


class _Reader:
    """Reads one connection; ends, by a named error, when it must be made anew."""

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        books: Mapping[str, LocalBook],
        clock: Clock,
        healthy: Callable[[], None],
        silence_seconds: float,
    ) -> None:
        self._silence_seconds = silence_seconds
        self._socket = socket
        self._books = books
        self._clock = clock
        self._healthy = healthy
        now = asyncio.get_running_loop().time()
        self._heard = dict.fromkeys(books, now)
        self._asked = dict.fromkeys(books, now - RESUBSCRIBE_SECONDS)

    async def run(self) -> None:
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
        if not isinstance(topic, str) or topic not in self._books:
            return
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

    async def _ask_again(self, topic: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._asked[topic] < RESUBSCRIBE_SECONDS:
            return
        self._asked[topic] = now
        await self._socket.send_json({"op": "unsubscribe", "args": [topic]})
        await self._socket.send_json({"op": "subscribe", "req_id": "again", "args": [topic]})


def _loop_ms() -> int:
    return round(asyncio.get_running_loop().time() * MS)


def _topic(symbol: Symbol) -> str:
    return f"orderbook.{DEPTH}.{symbol}"


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
