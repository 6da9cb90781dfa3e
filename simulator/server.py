"""The simulator as a server: REST, WebSocket and control API on one port."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiohttp import web

from simulator import control, control_trading, front, stream
from simulator.clock import MarketClock
from simulator.listener import Listener
from simulator.local import ExchangeConfig, LocalExchange
from simulator.outages import Part
from simulator.streams import STREAMS, Streams
from simulator.timetable import LoopScheduler

SHUTDOWN_SECONDS = 1.0
"""How long open requests may take to finish on the way down."""
BODY_BYTES_MAX = 65_536

_log = logging.getLogger("simulator")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(ExchangeConfig):
    """What the server runs with."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port."""
    speed: float = 1.0
    """How many market seconds pass in a second. Signatures are judged by the market's time: at another speed than 1,
    only clients that take their time from the server can trade."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that runs."""

    port: int
    local: LocalExchange
    """The exchange behind it; to be touched on the server's event loop only."""


@contextlib.asynccontextmanager
async def running(config: ServerConfig) -> AsyncIterator[int]:
    """Serve while the context is open; yields the port. OSError when it is taken, ValueError on a wrong clock."""
    async with serving(config) as server:
        yield server.port


@contextlib.asynccontextmanager
async def serving(config: ServerConfig) -> AsyncIterator[Serving]:
    """As `running`, with the exchange at hand."""
    scheduler = LoopScheduler(MarketClock(speed=config.speed), asyncio.get_running_loop())
    local = LocalExchange(config, scheduler)
    streams = Streams(local)
    runner = web.AppRunner(_application(local, streams), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    listener = Listener(runner, config.host, config.port)
    local.outages.on_begin.append(lambda part, seconds: listener.down(seconds) if part is Part.ALL else None)
    publisher = asyncio.create_task(streams.public.publish())
    publisher.add_done_callback(_report_failure)
    try:
        await listener.open()
        yield Serving(listener.port, local)
    finally:
        scheduler.close()
        publisher.cancel()
        await listener.close()
        await streams.disconnect_all()
        await runner.cleanup()


async def serve_until_signal(config: ServerConfig) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as port:
        _log.info("listening host=%s port=%d symbols=%s", config.host, port, ",".join(config.symbols))
        await stop.wait()
    _log.info("stopped")


def _application(local: LocalExchange, streams: Streams) -> web.Application:
    application = web.Application(client_max_size=BODY_BYTES_MAX)
    application[front.LOCAL] = local
    application[stream.HUB] = streams.public
    application[STREAMS] = streams
    # Streams stand before the REST door, which takes every path that is left.
    application.add_routes([*streams.routes(), *control.routes(), *control_trading.routes(), *front.routes()])
    return application


def _report_failure(publisher: asyncio.Task[None]) -> None:
    if not publisher.cancelled() and publisher.exception() is not None:
        _log.error("the market stopped: pushing failed", exc_info=publisher.exception())
