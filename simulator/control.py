"""The control API of tests, under /_control/ and for loopback only: it bends the market on purpose.

POST /_control/freeze     {"frozen": true | false}            stop or thaw market updates and pushes
POST /_control/price      {"symbol": "BTCUSDT", "factor": 0.8} multiply the price from now on, 0.01 to 100
POST /_control/depth      {"symbol": "BTCUSDT", "factor": 0.1} scale the book's depth, 0 to 1000
POST /_control/disconnect {}                                   cut every WebSocket
POST /_control/restart    {}                                   new book snapshots with u = 1, as after a service restart

Answers 200 {"ok": true}, or 400 or 403 {"ok": false, "error": "..."}.
"""

import ipaddress
import json
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from simulator.market import Market
from simulator.rest import EXCHANGE
from simulator.stream import HUB

PRICE_FACTOR_MIN, PRICE_FACTOR_MAX = 0.01, 100.0
DEPTH_FACTOR_MAX = 1_000.0

Order: TypeAlias = dict[str, object]
Action: TypeAlias = Callable[[web.Request, Order], Awaitable[None]]


class ControlError(Exception):
    """The request cannot be carried out; the text says why."""


def routes() -> list[web.RouteDef]:
    """All control endpoints."""
    actions: dict[str, Action] = {
        "freeze": _freeze,
        "price": _price,
        "depth": _depth,
        "disconnect": _disconnect,
        "restart": _restart,
    }
    return [web.post(f"/_control/{name}", _handler(action)) for name, action in actions.items()]


def _handler(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if not is_loopback(request.remote):
            return _refusal("the control API answers loopback addresses only", status=403)
        try:
            await action(request, await _body(request))
        except ControlError as error:
            return _refusal(str(error), status=400)
        return web.json_response({"ok": True})

    return handle


async def _freeze(request: web.Request, order: Order) -> None:
    frozen = order.get("frozen")
    if not isinstance(frozen, bool):
        raise ControlError("frozen must be true or false")
    request.app[EXCHANGE].clock.freeze(frozen=frozen)


async def _price(request: web.Request, order: Order) -> None:
    factor = _factor(order, PRICE_FACTOR_MIN, PRICE_FACTOR_MAX)
    market = _market(request, order)
    try:
        market.jump(factor, request.app[EXCHANGE].clock.market_ms())
    except ValueError as error:
        raise ControlError(str(error)) from error


async def _depth(request: web.Request, order: Order) -> None:
    factor = _factor(order, 0.0, DEPTH_FACTOR_MAX)
    _market(request, order).depth_factor = factor


async def _disconnect(request: web.Request, _order: Order) -> None:
    await request.app[HUB].disconnect_all()


async def _restart(request: web.Request, _order: Order) -> None:
    await request.app[HUB].restart_books()


async def _body(request: web.Request) -> Order:
    text = await request.text()
    try:
        body: object = json.loads(text or "{}")
    except ValueError as error:
        raise ControlError("the body must be JSON") from error
    if not isinstance(body, dict):
        raise ControlError("the body must be a JSON object")
    return body


def _factor(order: Order, least: float, most: float) -> float:
    factor = order.get("factor")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor):
        raise ControlError("factor must be a number")
    if not least <= factor <= most:
        raise ControlError(f"factor must be {least} to {most}, got {factor}")
    return float(factor)


def _market(request: web.Request, order: Order) -> Market:
    markets = request.app[EXCHANGE].markets
    symbol = order.get("symbol")
    if not isinstance(symbol, str) or symbol not in markets:
        raise ControlError(f"symbol must be one of {', '.join(markets)}")
    return markets[symbol]


def is_loopback(remote: str | None) -> bool:
    """Whether a peer's address is this machine's loopback."""
    try:
        return remote is not None and ipaddress.ip_address(remote).is_loopback
    except ValueError:
        return False


def _refusal(message: str, *, status: int) -> web.Response:
    return web.json_response({"ok": False, "error": message}, status=status)
