"""The control API of the trading side: faults, lags, accounts, keys, and the truth to compare with.

POST /_control/faults          {"seed": 1, "rules": [RULE, ...]}  add fault rules (faults.py); a seed restarts the draws
POST /_control/faults/clear    {}                                 forget the rules that wait
GET  /_control/faults                                             {"waiting": N, "injected": {"accept_then_drop": 3}}
POST /_control/lags            {"applyMs": [1, 5], "visibleMs": [0, 20], "historyMs": [50, 200], "pushMs": [0, 5]}
                               those not named stay as they are
POST /_control/restart-trading {}                                 closed orders leave order/realtime, streams are cut
POST /_control/pardon          {}                                 lift every ban of an address
POST /_control/accounts        {"uid": 2, "balances": {"USDT": "1000"}}
                               and marginMode, hedge, leverage, takerRate, makerRate, spotRate
POST /_control/keys            {"key": "K", "secret": "S", "uid": 2}
                               and env, permissions, readOnly, ips (["*"]: unbound), expiresMs
POST /_control/funding         {"symbol": "BTCUSDT", "rate": "0.0001"}  longs pay, shorts receive
POST /_control/liquidate       {"uid": 1, "symbol": "BTCUSDT"}    the exchange closes a position by its own order
GET  /_control/requests?after=N                                   {"total": N, "requests": [ENTRY, ...]}, oldest first
GET  /_control/truth?uid=1                                        {"orders": [], "executions": [], "account": {}}

RULE: {"kind": "accept_then_drop", "path": "/v5/order/create", "linkId": "...", "key": "...", "topic": "execution",
"times": 1, "after": 0, "probability": 1.0, "ms": 500, "code": 10016, "status": 502, "text": "..."}; only kind is
needed, and times 0 is without end. ENTRY: number, time, method, path, orderLinkId, apiKey, status, retCode, fault,
accepted, answered_ms.

Numbers of money are texts. Answers are those of control.py.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from aiohttp import web

from simulator.api.keys import ENVIRONMENT, TRADING, ApiKey, Permissions
from simulator.control import gets, posts
from simulator.control_fields import ControlError, Fields, decimal
from simulator.faults import MS_MAX, RuleError, rules_from
from simulator.front import LOCAL
from simulator.local import LocalExchange
from simulator.shapes import Json
from simulator.trading.contract import AccountConfig
from simulator.truth import truth

UID_MAX = 10**12
AMOUNT_MAX = Decimal(10**12)
ENTRIES_MAX = 10_000
"""Requests of the log in one answer."""
NUMBER_MAX = 10**15
_DEFAULTS = AccountConfig(uid=1, balances={})
MARGIN_MODES = ("REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN")
_LAGS = {"applyMs": "apply_ms", "visibleMs": "visible_ms", "historyMs": "history_ms", "pushMs": "push_ms"}


def routes() -> list[web.RouteDef]:
    """The endpoints of this module."""
    return posts(
        {
            "faults": _add_faults,
            "faults/clear": _clear_faults,
            "lags": _lags,
            "restart-trading": _restart_trading,
            "pardon": _pardon,
            "accounts": _add_account,
            "keys": _add_key,
            "funding": _funding,
            "liquidate": _liquidate,
        }
    ) + gets({"faults": _faults, "requests": _requests, "truth": _truth})


async def _add_faults(request: web.Request, fields: Fields) -> None:
    faults = request.app[LOCAL].faults
    seed = fields.integer("seed", 0, NUMBER_MAX) if fields.has("seed") else None
    rules = fields.take("rules")
    fields.end()
    try:
        faults.add(*rules_from([] if rules is None else rules))
    except RuleError as error:
        raise ControlError(str(error)) from error
    if seed is not None:
        faults.reseed(seed)


async def _clear_faults(request: web.Request, fields: Fields) -> None:
    fields.end()
    request.app[LOCAL].faults.clear()


async def _faults(request: web.Request, fields: Fields) -> Mapping[str, Json]:
    fields.end()
    faults = request.app[LOCAL].faults
    return {"waiting": len(faults.waiting), "injected": dict(faults.injected)}


async def _lags(request: web.Request, fields: Fields) -> None:
    engine = request.app[LOCAL].engine
    named = {field: _span(fields.take(name), name) for name, field in _LAGS.items() if fields.has(name)}
    fields.end()
    engine.lags = replace(engine.lags, **named)


async def _restart_trading(request: web.Request, fields: Fields) -> None:
    fields.end()
    request.app[LOCAL].restart_trading()


async def _pardon(request: web.Request, fields: Fields) -> None:
    fields.end()
    request.app[LOCAL].api.addresses.pardon()


async def _add_account(request: web.Request, fields: Fields) -> None:
    account = AccountConfig(
        uid=fields.integer("uid", 1, UID_MAX),
        balances=_balances(fields.take("balances")),
        margin_mode=fields.one_of("marginMode", MARGIN_MODES, default=MARGIN_MODES[0]),
        hedge=fields.flag("hedge", default=False),
        leverage=fields.decimal("leverage", Decimal(1), Decimal(100), default=_DEFAULTS.leverage),
        taker_rate=_rate(fields, "takerRate", _DEFAULTS.taker_rate),
        maker_rate=_rate(fields, "makerRate", _DEFAULTS.maker_rate),
        spot_rate=_rate(fields, "spotRate", _DEFAULTS.spot_rate),
    )
    fields.end()
    try:
        request.app[LOCAL].add_account(account)
    except ValueError as error:
        raise ControlError(str(error)) from error


async def _add_key(request: web.Request, fields: Fields) -> None:
    key = ApiKey(
        key=fields.text("key"),
        secret=fields.text("secret"),
        uid=fields.integer("uid", 1, UID_MAX),
        env=fields.text("env", default=ENVIRONMENT),
        permissions=_permissions(fields),
        read_only=fields.flag("readOnly", default=False),
        ips=fields.texts("ips", default=("127.0.0.1",)),
        expires_ms=fields.integer("expiresMs", 0, NUMBER_MAX) if fields.has("expiresMs") else None,
    )
    fields.end()
    try:
        request.app[LOCAL].add_key(key)
    except ValueError as error:
        raise ControlError(str(error)) from error


async def _funding(request: web.Request, fields: Fields) -> None:
    local = request.app[LOCAL]
    symbol = fields.one_of("symbol", list(local.exchange.markets))
    rate = fields.decimal("rate", Decimal(-1), Decimal(1))
    fields.end()
    local.engine.fund(symbol, rate)


async def _liquidate(request: web.Request, fields: Fields) -> None:
    local = request.app[LOCAL]
    uid = _uid(local, fields)
    symbol = fields.one_of("symbol", list(local.exchange.markets))
    fields.end()
    try:
        local.engine.liquidate(uid, symbol)
    except ValueError as error:
        raise ControlError(str(error)) from error


async def _requests(request: web.Request, fields: Fields) -> Mapping[str, Json]:
    log = request.app[LOCAL].log
    after = fields.integer("after", 0, NUMBER_MAX, default=0)
    fields.end()
    return {"total": log.total, "requests": [entry.as_json() for entry in log.after(after, ENTRIES_MAX)]}


async def _truth(request: web.Request, fields: Fields) -> Mapping[str, Json]:
    local = request.app[LOCAL]
    uid = _uid(local, fields)
    fields.end()
    return truth(local.engine, uid)


def _uid(local: LocalExchange, fields: Fields) -> int:
    uid = fields.integer("uid", 1, UID_MAX, default=1)
    if uid not in local.uids:
        raise ControlError(f"there is no account {uid}")
    return uid


def _rate(fields: Fields, name: str, default: Decimal) -> Decimal:
    return fields.decimal(name, Decimal(-1), Decimal(1), default=default)


def _span(value: object, name: str) -> tuple[int, int]:
    match value:
        case [int() as low, int() as high] if 0 <= low <= high <= MS_MAX:
            return low, high
        case _:
            raise ControlError(f"{name} must be [low, high] in milliseconds, 0 to {MS_MAX}")


def _balances(value: object) -> dict[str, Decimal]:
    if not isinstance(value, dict):
        raise ControlError('balances must be an object like {"USDT": "1000"}')
    return {str(coin): decimal(amount, f"balances.{coin}", Decimal(0), AMOUNT_MAX) for coin, amount in value.items()}


def _permissions(fields: Fields) -> Permissions:
    value = fields.take("permissions")
    if value is None:
        return TRADING
    if not isinstance(value, dict):
        raise ControlError('permissions must be an object like {"ContractTrade": ["Order", "Position"]}')
    groups = Fields(value)
    return {str(group): groups.texts(group, default=()) for group in value}
