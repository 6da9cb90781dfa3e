"""The listening socket, which can be closed for a while and comes back by itself."""

import asyncio

from aiohttp import web

GRACE_SECONDS = 0.05
"""The answer to the control request that asked for it still goes out."""


class Listener:
    """One host and port; outages of the whole server close it."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner, self._host, self._port = runner, host, port
        self._site: web.TCPSite | None = None
        self._outage: asyncio.Task[None] | None = None
        self._back_at = 0.0

    @property
    def port(self) -> int:
        """The port, also while it is closed."""
        return self._port

    async def open(self) -> None:
        """Listen; OSError when the port is taken."""
        self._site = web.TCPSite(self._runner, self._host, self._port, reuse_address=True)
        await self._site.start()
        self._port = int(self._runner.addresses[0][1])

    def down(self, seconds: float) -> None:
        """Refuse connections and cut those that are open, for so long; an outage that runs is prolonged."""
        loop = asyncio.get_running_loop()
        self._back_at = max(self._back_at, loop.time() + GRACE_SECONDS + seconds)
        if self._outage is None or self._outage.done():
            self._outage = loop.create_task(self._stay_away())

    async def close(self) -> None:
        """Stop for good; an outage ends."""
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.gather(self._outage, return_exceptions=True)

    async def _stay_away(self) -> None:
        await asyncio.sleep(GRACE_SECONDS)
        if self._site is not None:
            await self._site.stop()
        self._cut()
        while (left := self._back_at - asyncio.get_running_loop().time()) > 0:  # noqa: ASYNC110 - the end may move
            await asyncio.sleep(left)
        await self.open()

    def _cut(self) -> None:
        """Reset every connection, as a machine does that has lost the program."""
        server = self._runner.server
        for connection in [] if server is None else list(server.connections):
            if connection.transport is not None:
                connection.transport.abort()
