"""The HTTP door: what aiohttp received becomes a Request, and a Reply goes out as it says, broken where it is to break.

Pauses are real milliseconds here, however fast the market runs.
"""

import asyncio

from aiohttp import web

from simulator.api.messages import PIECES, Reply, Request
from simulator.local import LocalExchange
from simulator.outages import Part

LOCAL = web.AppKey("local", LocalExchange)


def routes() -> list[web.RouteDef]:
    """Every path and method that no route before takes; a stream's path asked without an upgrade as well."""
    return [web.route("*", "/{path:.*}", _handle)]


async def _handle(received: web.Request) -> web.StreamResponse:
    local = received.app[LOCAL]
    if local.outages.down(Part.REST):
        return _hung_up(received)
    request = await _request(received)
    delay_ms = local.api.arrival_delay_ms(request)
    if delay_ms:
        await asyncio.sleep(delay_ms / 1000)
    reply = local.api.handle(request)
    if reply.delay_ms:
        await asyncio.sleep(reply.delay_ms / 1000)
    if reply.drop or local.outages.down(Part.REST):
        return _hung_up(received)
    if reply.cut or reply.trickle_ms:
        return await _slowly(received, reply)
    return web.Response(status=reply.status, headers=reply.headers, body=reply.body)


async def _request(received: web.Request) -> Request:
    path, _, query = received.raw_path.partition("?")
    return Request(
        method=received.method,
        path=path,
        # The query's text as it stood in the request line: its bytes are what was signed.
        raw_query=query.encode("utf-8", "surrogateescape"),
        headers={name.lower(): value for name, value in received.headers.items()},
        body=await received.read(),
        remote=received.remote or "",
    )


def _hung_up(received: web.Request) -> web.StreamResponse:
    """End the connection without a word; the response is only what the framework wants to hold."""
    if received.transport is not None:
        received.transport.abort()
    return web.Response()


async def _slowly(received: web.Request, reply: Reply) -> web.StreamResponse:
    """The body in pieces with pauses, and only half of it when the reply is to be cut."""
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    response.force_close()
    sent = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
    size = -(-len(sent) // PIECES) or 1
    try:
        await response.prepare(received)
        for first in range(0, len(sent), size):
            await asyncio.sleep(reply.trickle_ms / 1000 if first else 0)
            await response.write(sent[first : first + size])
    except ConnectionError:
        # The client had no patience, or was killed.
        return _hung_up(received)
    if reply.cut and received.transport is not None:
        # Closing sends what was written; ending the response would wait for the rest of the declared length.
        received.transport.close()
    return response
