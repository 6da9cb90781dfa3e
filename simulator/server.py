"""The simulator as a server: REST, WebSocket and control API on one port."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from aiohttp import web

from simulator import control, rest, stream
from simulator.clock import MarketClock
from simulator.exchange import Exchange

SHUTDOWN_SECONDS = 1.0
"""How long open requests may take to finish on the way down."""
BODY_BYTES_MAX = 16_384

_log = logging.getLogger("simulator")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """What the server runs with."""

    seed: int
    symbols: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port."""
    speed: float = 1.0
    """How many market seconds pass in a second."""


@contextlib.asynccontextmanager
async def running(config: ServerConfig) -> AsyncIterator[int]:
    """Serve while the context is open; yields the port. OSError when it is taken, ValueError on a wrong clock."""
    exchange = Exchange(seed=config.seed, symbols=config.symbols, clock=MarketClock(speed=config.speed))
    hub = stream.Hub(exchange)
    runner = web.AppRunner(_application(exchange, hub), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    publisher = asyncio.create_task(hub.publish())
    publisher.add_done_callback(_report_failure)
    try:
        site = web.TCPSite(runner, config.host, config.port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        publisher.cancel()
        await hub.disconnect_all()
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


def _application(exchange: Exchange, hub: stream.Hub) -> web.Application:
    application = web.Application(middlewares=[rest.unknown_routes], client_max_size=BODY_BYTES_MAX)
    application[rest.EXCHANGE] = exchange
    application[stream.HUB] = hub
    application.add_routes([*rest.routes(), *stream.routes(), *control.routes()])
    return application


def _report_failure(publisher: asyncio.Task[None]) -> None:
    if not publisher.cancelled() and publisher.exception() is not None:
        _log.error("the market stopped: pushing failed", exc_info=publisher.exception())
