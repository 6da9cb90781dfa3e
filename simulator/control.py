"""The control API of tests, under /_control/ and for loopback only: it bends the exchange on purpose.

The market and the connections (the rest is in control_trading.py):

POST /_control/freeze     {"frozen": true | false}            stop or thaw market updates and pushes
POST /_control/price      {"symbol": "BTCUSDT", "factor": 0.8} multiply the price from now on, 0.01 to 100
POST /_control/depth      {"symbol": "BTCUSDT", "factor": 0.1} scale the book's depth, 0 to 1000
POST /_control/disconnect {}                                   cut every WebSocket
POST /_control/restart    {}                                   new book snapshots with u = 1, as after a service restart
POST /_control/clock      {"skewMs": 700}                      the server's clock is ahead, by at most an hour
POST /_control/down       {"seconds": 3, "what": "rest" | "streams" | "all"}
                          rest: every REST connection is reset; streams: every stream is cut and none is let in; all:
                          nothing listens on the port, this API included, until it comes back by itself

Answers 200 {"ok": true}, or 400 or 403 {"ok": false, "error": "..."}.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from simulator.control_fields import ControlError, Fields
from simulator.front import LOCAL
from simulator.market import Market
from simulator.outages import SECONDS_MAX, Part
from simulator.shapes import Json
from simulator.stream import HUB
from simulator.streams import STREAMS

PRICE_FACTOR_MIN, PRICE_FACTOR_MAX = 0.01, 100.0
DEPTH_FACTOR_MAX = 1_000.0
SKEW_MS_MAX = 3_600_000

Action: TypeAlias = Callable[[web.Request, Fields], Awaitable[Mapping[str, Json] | None]]
"""Does what is asked; what it returns is added to the answer."""


def routes() -> list[web.RouteDef]:
    """The endpoints of this module."""
    return posts(
        {
            "freeze": _freeze,
            "price": _price,
            "depth": _depth,
            "disconnect": _disconnect,
            "restart": _restart,
            "clock": _clock,
            "down": _down,
        }
    )


def posts(actions: Mapping[str, Action]) -> list[web.RouteDef]:
    """Routes of POST /_control/NAME."""
    return [web.post(f"/_control/{name}", _handler(action)) for name, action in actions.items()]


def gets(actions: Mapping[str, Action]) -> list[web.RouteDef]:
    """Routes of GET /_control/NAME, whose fields are the query's."""
    return [web.get(f"/_control/{name}", _handler(action)) for name, action in actions.items()]


def _handler(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if not is_loopback(request.remote):
            return _refusal("the control API answers loopback addresses only", status=403)
        try:
            fields = Fields(await _body(request))
            added = await action(request, fields)
        except ControlError as error:
            return _refusal(str(error), status=400)
        return web.json_response({"ok": True, **(added or {})})

    return handle


async def _freeze(request: web.Request, fields: Fields) -> None:
    frozen = fields.flag("frozen")
    fields.end()
    request.app[LOCAL].clock.freeze(frozen=frozen)


async def _price(request: web.Request, fields: Fields) -> None:
    factor = fields.number("factor", PRICE_FACTOR_MIN, PRICE_FACTOR_MAX)
    market = _market(request, fields)
    fields.end()
    try:
        market.jump(factor, request.app[LOCAL].clock.market_ms())
    except ValueError as error:
        raise ControlError(str(error)) from error


async def _depth(request: web.Request, fields: Fields) -> None:
    factor = fields.number("factor", 0.0, DEPTH_FACTOR_MAX)
    market = _market(request, fields)
    fields.end()
    market.depth_factor = factor


async def _disconnect(request: web.Request, fields: Fields) -> None:
    fields.end()
    await request.app[STREAMS].disconnect_all()


async def _restart(request: web.Request, fields: Fields) -> None:
    fields.end()
    await request.app[HUB].restart_books()


async def _clock(request: web.Request, fields: Fields) -> None:
    skew_ms = fields.integer("skewMs", -SKEW_MS_MAX, SKEW_MS_MAX)
    fields.end()
    request.app[LOCAL].clock.skew_ms = skew_ms


async def _down(request: web.Request, fields: Fields) -> None:
    seconds = fields.number("seconds", 0.0, SECONDS_MAX)
    part = fields.one_of("what", [part.value for part in Part], default=Part.ALL.value)
    fields.end()
    request.app[LOCAL].outages.begin(Part(part), seconds)


async def _body(request: web.Request) -> Mapping[str, object]:
    if request.method == "GET":
        return dict(request.query)
    text = await request.text()
    try:
        body: object = json.loads(text or "{}")
    except ValueError as error:
        raise ControlError("the body must be JSON") from error
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


def _market(request: web.Request, fields: Fields) -> Market:
    markets = request.app[LOCAL].exchange.markets
    return markets[fields.one_of("symbol", list(markets))]


def is_loopback(remote: str | None) -> bool:
    """Whether a peer's address is this machine's loopback."""
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False


def _refusal(message: str, *, status: int) -> web.Response:
    return web.json_response({"ok": False, "error": message}, status=status)
