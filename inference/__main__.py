"""`python -m inference`: settings, build, serve, stop."""

import asyncio
import signal
import sys

import uvloop

from inference.core.card import CardFaultError
from inference.core.registry import StateFaultError
from inference.rpc.server import AddressTakenError
from inference.settings import SettingsFaultError, help_text, read_settings
from inference.wiring import build, open_log


async def serve() -> int:
    """Serves until SIGTERM or SIGINT; 0 after a stop, 2 when it must not start."""
    log = open_log("INFO")
    try:
        settings = read_settings()
        log = open_log(settings.log_level)
        server = build(settings, log)
    except (SettingsFaultError, CardFaultError, StateFaultError, AddressTakenError) as fault:
        log.error("start_refused", reason=str(fault))  # noqa: TRY400 # the sentence says it; a traceback would not
        return 2
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await server.start()
    log.info("serving", port=server.port)
    await stop.wait()
    log.info("draining", drain_seconds=settings.drain_seconds)
    log.info("stopped", drained=await server.stop(settings.drain_seconds))
    return 0


if __name__ == "__main__":
    if "--help" in sys.argv[1:]:
        sys.exit(sys.stdout.write(help_text() + "\n") and 0)
    sys.exit(uvloop.run(serve()))
