"""Prices from Bybit's public linear stream, or from anything that speaks it.

One task keeps a WebSocket to `orderbook.50`, `tickers` and `kline` of every allowed symbol, another the instruments'
filters by REST, a third their closed bars by REST. None ever ends by itself:

- A lost, refused or silent connection is made anew, with back-off; the last book stays and grows old.
- A message that cannot be read, or a book that it leaves crossed, costs that symbol its book until the
  next snapshot, which is asked for. Other symbols go on.
- A book's `received_ms` moves only when the matching engine's time stamp moves: a stopped market that
  is still served looks as old as it is.
- A ticker message that cannot be read costs itself: the mark price stays, and grows old until the next one is told.
- The stream tells each bar at its close. A bar that does not follow the last one is not taken from there: all that lie
  between are asked for. So are the newest ones after every connect, and each shortly after its close, again until it is
  there; a bar is closed when the exchange's own clock says so. What cannot be read costs itself: the bars that are
  known stay, and grow old.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal
from functools import partial

import aiohttp
import structlog

from gateway.adapters.backoff import BACKOFF_SECONDS, Backoff
from gateway.adapters.ban import AddressBan
from gateway.adapters.market_bybit.bars import BARS_MAX, KeptBars
from gateway.adapters.market_bybit.local_book import LocalBook
from gateway.adapters.market_bybit.mark_price import MarkPrice
from gateway.adapters.market_bybit.messages import BadMessageError, parse_closed_bars, parse_instrument, parse_klines
from gateway.adapters.market_bybit.reader import Reader, Take
from gateway.adapters.market_bybit.rest import PublicRest
from gateway.core.bars import MS
from gateway.core.model import BarSeries, Book, Instrument, Symbol
from gateway.ports import Clock

DEPTH = 50
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 10.0
"""Without any message for this long the connection, without a book for as long the symbol, is taken to be dead."""
INSTRUMENTS_SECONDS = 6 * 3600.0
"""How often the filters are read again; Bybit moves them twice a month."""
INSTRUMENTS_PAUSE_SECONDS = 60.0
"""They are read no more often than this, whoever asks."""
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
    """Books, mark prices, filters and bars of the allowed symbols; start it once, close it once."""

    def __init__(
        self,
        *,
        source: str,
        rest_url: str,
        ws_url: str,
        symbols: Sequence[Symbol],
        clock: Clock,
        bar_minutes: int,
        price_age_ms_max: int,
        ban: AddressBan,
        silence_seconds: float = SILENCE_SECONDS,
        instruments_pause_seconds: float = INSTRUMENTS_PAUSE_SECONDS,
    ) -> None:
        self.source = source
        self._rest_url = rest_url.rstrip("/")
        self._ws_url = ws_url
        self._clock = clock
        self._price_age_ms_max = price_age_ms_max
        self._ban = ban
        self._silence_seconds = silence_seconds
        self._symbols = tuple(symbols)
        self._books = {symbol: LocalBook() for symbol in symbols}
        self._marks = {symbol: MarkPrice(symbol) for symbol in symbols}
        self._instruments: dict[Symbol, Instrument] = {}
        self._instruments_wanted = asyncio.Event()
        self._instruments_pause_seconds = instruments_pause_seconds
        self._bar_seconds = bar_minutes * 60
        self._interval = "D" if bar_minutes == DAY_MINUTES else str(bar_minutes)
        self._exchange_ahead_ms = 0
        self._bars = {symbol: KeptBars(self._bar_seconds) for symbol in symbols}
        self._bars_wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def book(self, symbol: Symbol) -> Book | None:
        """The newest book, or None when there is none."""
        local = self._books.get(symbol)
        return local.book() if local else None

    def instrument(self, symbol: Symbol) -> Instrument | None:
        """The venue's rules for `symbol`, or None when they are not known or it does not trade."""
        return self._instruments.get(symbol)

    def bars(self, symbol: Symbol) -> BarSeries | None:
        """The closed bars that are known, the newest last; None when there are none."""
        kept = self._bars.get(symbol)
        return kept.series() if kept else None

    def mark_price(self, symbol: Symbol) -> Decimal | None:
        """The price that the exchange values positions at; None when none came within `price_age_ms_max`."""
        mark = self._marks.get(symbol)
        return mark.price(self._clock.now_ms(), self._price_age_ms_max) if mark else None

    def refresh_instruments(self) -> None:
        """Read the filters again soon: an order was refused that they allow."""
        self._instruments_wanted.set()

    async def start(self) -> None:
        """Begin to read; returns at once, with or without a connection."""
        self._tasks = [
            asyncio.create_task(_forever("market_stream", self._stream)),
            asyncio.create_task(_forever("market_instruments", self._follow_instruments)),
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
            reader = Reader(
                socket=socket,
                books={f"orderbook.{DEPTH}.{symbol}": book for symbol, book in self._books.items()},
                others=self._quiet_topics(),
                clock=self._clock,
                healthy=healthy,
                silence_seconds=self._silence_seconds,
            )
            for mark in self._marks.values():
                mark.await_price()
            await reader.subscribe()
            self._bars_wanted.set()
            await reader.run()

    def _quiet_topics(self) -> dict[str, Take]:
        tickers: dict[str, Take] = {f"tickers.{symbol}": partial(self._take_ticker, symbol) for symbol in self._symbols}
        return tickers | {
            f"kline.{self._interval}.{symbol}": partial(self._take_bars, symbol) for symbol in self._symbols
        }

    def _take_ticker(self, symbol: Symbol, message: Mapping[str, object]) -> None:
        self._marks[symbol].apply(message, self._clock.now_ms())

    def _take_bars(self, symbol: Symbol, message: Mapping[str, object]) -> None:
        for bar in parse_closed_bars(self._bar_seconds, message):
            if not self._bars[symbol].extend(bar):
                self._bars_wanted.set()

    async def _follow_instruments(self, healthy: Callable[[], None]) -> None:
        self._instruments_wanted.clear()
        async with PublicRest(self._rest_url, self._ban) as rest:
            for symbol in self._symbols:
                instrument = parse_instrument(symbol, await rest.get("instruments-info", {"symbol": symbol}))
                if instrument is None:
                    self._instruments.pop(symbol, None)
                    log.warning("symbol_not_trading", symbol=symbol)
                else:
                    self._instruments[symbol] = instrument
        healthy()
        await asyncio.sleep(self._instruments_pause_seconds)
        await _wanted(self._instruments_wanted, INSTRUMENTS_SECONDS)

    async def _follow_bars(self, healthy: Callable[[], None]) -> None:
        """The bars of every symbol, then each new one shortly after it has closed."""
        async with PublicRest(self._rest_url, self._ban) as rest:
            asked = self._symbols
            while True:
                self._bars_wanted.clear()
                unread = [symbol for symbol in asked if not await self._read_bars(rest, symbol)]
                if unread:
                    raise BadMessageError(f"the bars of {', '.join(unread)} were not read")
                healthy()
                now_ms = self._exchange_ms()
                behind = tuple(symbol for symbol in self._symbols if not self._bars[symbol].has_closed_by(now_ms))
                pause_seconds = BAR_RETRY_SECONDS if behind else self._seconds_to_next_bar(now_ms)
                wanted = await _wanted(self._bars_wanted, pause_seconds)
                asked = self._symbols if wanted or not behind else behind

    async def _read_bars(self, rest: PublicRest, symbol: Symbol) -> bool:
        """Take the newest bars of one symbol; False when the answer cannot be used, which costs no other symbol."""
        kept = self._bars[symbol]
        query = {"symbol": symbol, "interval": self._interval, "limit": str(BARS_MAX)}
        start_ms = kept.reread_from_ms()
        if start_ms is not None:
            query["start"] = str(start_ms)
        try:
            answer = parse_klines(symbol, self._bar_seconds, await rest.get("kline", query))
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


async def _wanted(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was asked for within so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def _loop_ms() -> int:
    return round(asyncio.get_running_loop().time() * MS)


async def _forever(name: str, attempt: Attempt) -> None:
    """Run `attempt` again whenever it ends; the pause doubles until an attempt calls what it was given."""
    backoff = Backoff(BACKOFF_SECONDS, random.Random())  # noqa: S311 - no secret
    while True:
        try:
            await attempt(backoff.reset)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, BadMessageError) as fault:
            log.warning("market_reconnecting", part=name, detail=f"{type(fault).__name__}: {fault}"[:200])
        await backoff.pause()
