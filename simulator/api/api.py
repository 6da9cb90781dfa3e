"""One request in, one reply out: the REST side of the exchange without a socket.

Where a request can end, in this order:

    address limit     HTTP 403, counted while banned too
    faults            those that act before the request is accepted
    route             HTTP 404; HTTP 403 for a GET with an empty JSON body
    signature         10001 10003 33004 10002 10004 10010
    rate limit        10006, with the limit's headers
    permission        10005
    the engine        result, or a refusal with its retCode
    faults            those that spoil the answer of what was done
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from simulator.api.auth import KEY, authenticate
from simulator.api.damage import damaged, refused
from simulator.api.keys import ApiKey, KeyRing
from simulator.api.limits import AddressGuard, Allowance, LimitConfig, RateLimits
from simulator.api.log import Entry, RequestLog
from simulator.api.messages import Reply, Request, json_reply, page_reply
from simulator.api.paging import PARAMETER_ERROR, page
from simulator.api.routes import Answer, Call, Route, Trading, private_routes
from simulator.desk import DeskAnswer
from simulator.exchange import UNTRADED, Exchange
from simulator.faults import FaultRule, Faults, Kind
from simulator.rest import ENDPOINTS, ParameterError
from simulator.shapes import Json
from simulator.trading.contract import Params, TradeError

ROUTE_NOT_FOUND = 10017
RATE_LIMITED = 10006
STREAMED = "WS"
"""What the log has for the method of what came over the order-entry stream."""
RATE_TEXT = "Too many visits. Exceeded the API Rate Limit."
BANNED_PAGE = "403, access too frequent. Please try it later."
EMPTY_BODY_PAGE = "<html><head><title>403 Forbidden</title></head><body>403 Forbidden: bad request</body></html>"
LINK_ID_LOGGED_MAX = 64

Later = Callable[[int, Callable[[], None]], None]
"""Runs an action so many milliseconds from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrival:
    """A request with what was read in it once."""

    request: Request
    params: Params | None
    link_id: str | None
    entry: Entry
    now_ms: int
    """By the server's clock."""
    trace: str


class Api:
    """The REST side: every public and private endpoint."""

    def __init__(
        self,
        *,
        exchange: Exchange,
        trading: Trading,
        keys: KeyRing,
        faults: Faults,
        log: RequestLog,
        limits: LimitConfig,
        coins: Sequence[str],
        env: str,
        later: Later,
        restart: Callable[[], None],
    ) -> None:
        """`coins` are those of the listed markets; `restart` restarts the trading service."""
        self._exchange, self._keys, self._faults, self._log = exchange, keys, faults, log
        self._limits, self._rates, self.addresses = limits, RateLimits(), AddressGuard(limits)
        self._env, self._later, self._restart = env, later, restart
        self._private = private_routes(trading, coins)

    def arrival_delay_ms(self, request: Request) -> int:
        """How long the request is held up before it reaches the exchange; to be asked once, before `handle`."""
        if not self._faults.waiting:
            return 0
        return self._faults.arrival_delay_ms(request.path, _link_id(request.fields()), request.headers.get(KEY))

    def handle(self, request: Request) -> Reply:
        """Carry a request out, now."""
        arrival = self._arrived(request)
        fault: FaultRule | None = None
        if self.addresses.admits(request.remote, self._exchange.clock.now_ms()):
            fault = self._faults.take(request.path, arrival.link_id, request.headers.get(KEY))
            reply = self._answer(arrival, fault)
        else:
            reply = page_reply(403, BANNED_PAGE, "text/plain")
        return self._noted(arrival.entry, reply, fault)

    def enter(self, key: ApiKey, path: str, params: Params) -> DeskAnswer:
        """What a POST to this path does once its signature was found right; for the order-entry stream."""
        clock = self._exchange.clock
        link_id = _link_id(params)
        entry = self._log.open(at_ms=clock.now_ms(), method=STREAMED, path=path, link_id=link_id, key=key.key)
        route = self._private["POST", path]
        answer = self._admitted(route, Call(key=key, params=params, now_ms=clock.server_ms()))
        entry.code, entry.accepted, entry.answered_ms = answer.code, answer.code == 0, entry.at_ms
        return answer

    def _arrived(self, request: Request) -> _Arrival:
        params = request.fields()
        link_id = _link_id(params)
        entry = self._log.open(
            at_ms=self._exchange.clock.now_ms(),
            method=request.method,
            path=request.path,
            link_id=link_id,
            key=request.headers.get(KEY, "")[:LINK_ID_LOGGED_MAX],
        )
        return _Arrival(
            request=request,
            params=params,
            link_id=link_id,
            entry=entry,
            now_ms=self._exchange.clock.server_ms(),
            trace=f"{entry.number:032x}",
        )

    def _answer(self, arrival: _Arrival, fault: FaultRule | None) -> Reply:
        if fault is not None:
            early = refused(fault, now_ms=arrival.now_ms, trace=arrival.trace)
            if early is not None:
                return early
        reply = self._routed(arrival, forgetful=fault is not None and fault.kind is Kind.FORGET_ORDERS)
        if fault is None:
            return reply
        if fault.kind is Kind.RESTART_AFTER_ACCEPT:
            self._later(fault.ms or 0, self._restart)
        return damaged(fault, reply, now_ms=arrival.now_ms, trace=arrival.trace)

    def _routed(self, arrival: _Arrival, *, forgetful: bool) -> Reply:
        request = arrival.request
        if request.method == "GET" and request.body.strip() == b"{}":
            return page_reply(403, EMPTY_BODY_PAGE)
        if request.method == "GET" and request.path in ENDPOINTS:
            return self._public(arrival)
        route = self._private.get((request.method, request.path))
        if route is None:
            status = 405 if self._known(request.path) else 404
            return self._reply(arrival, {}, code=ROUTE_NOT_FOUND, message="Route not found.", status=status)
        return self._signed(arrival, route, forgetful=forgetful)

    def _known(self, path: str) -> bool:
        return path in ENDPOINTS or any(path == known for _, known in self._private)

    def _public(self, arrival: _Arrival) -> Reply:
        try:
            result = ENDPOINTS[arrival.request.path](self._exchange, arrival.request.query())
        except ParameterError as error:
            return self._refusal(arrival, TradeError(PARAMETER_ERROR, str(error)))
        return self._reply(arrival, result, accepted=True)

    def _signed(self, arrival: _Arrival, route: Route, *, forgetful: bool) -> Reply:
        """A private endpoint: who, how often, whether, and then what."""
        try:
            key = authenticate(arrival.request, self._keys, env=self._env, now_ms=arrival.now_ms)
        except TradeError as refusal:
            return self._refusal(arrival, refusal)
        if arrival.params is None:
            return self._refusal(arrival, TradeError(PARAMETER_ERROR, "Request parameter error."))
        done = self._admitted(route, Call(key=key, params=arrival.params, now_ms=arrival.now_ms), forgetful=forgetful)
        return self._reply(
            arrival,
            done.result,
            code=done.code,
            message=done.message,
            ext=done.ext,
            limits=done.limits,
            accepted=done.code == 0,
        )

    def _admitted(self, route: Route, call: Call, *, forgetful: bool = False) -> DeskAnswer:
        """A private endpoint for a key that is known: how often, whether, and then what."""
        allowance = self._allowance(route, call)
        limits = {} if allowance is None else allowance.headers()
        if allowance is None or not allowance.allowed:
            return DeskAnswer(code=RATE_LIMITED, message=RATE_TEXT, limits=limits)
        try:
            route.check_right(call.key, call.params)
            answer = _run(route, call, forgetful=forgetful)
        except TradeError as refusal:
            return DeskAnswer(code=refusal.code, message=refusal.message, ext=refusal.ext, limits=limits)
        return DeskAnswer(result=answer.result, ext=answer.ext, limits=limits)

    def _refusal(self, arrival: _Arrival, refusal: TradeError, limits: Mapping[str, str] | None = None) -> Reply:
        return self._reply(arrival, {}, code=refusal.code, message=refusal.message, ext=refusal.ext, limits=limits)

    def _allowance(self, route: Route, call: Call) -> Allowance | None:
        """What the endpoint's limit says; None when the exchange as a whole is asked too often."""
        category = call.params.get("category")
        limit = self._limits.per_second.get(route.path, route.limit(category))
        if not self._limits.enabled:
            return Allowance(limit=limit, left=limit - 1, reset_ms=call.now_ms, allowed=True)
        clock, system = self._exchange.clock, self._limits.system_per_second
        if system is not None and not self._rates.take("system", system, 1, clock.now_ms()).allowed:
            return None
        taken = self._rates.take(
            (call.key.uid, route.path, str(category)[:10]), limit, route.weight(call.params), clock.now_ms()
        )
        return replace(taken, reset_ms=taken.reset_ms + clock.skew_ms)

    def _reply(
        self,
        arrival: _Arrival,
        result: Json,
        *,
        code: int = 0,
        message: str = "OK",
        ext: Json = None,
        status: int = 200,
        limits: Mapping[str, str] | None = None,
        accepted: bool = False,
    ) -> Reply:
        return json_reply(
            result,
            now_ms=arrival.now_ms,
            trace=arrival.trace,
            code=code,
            message=message,
            ext=ext,
            status=status,
            limits=limits,
            accepted=accepted,
        )

    def _noted(self, entry: Entry, reply: Reply, fault: FaultRule | None) -> Reply:
        """Write the log's entry."""
        entry.accepted = reply.accepted
        entry.fault = None if fault is None else fault.kind.value
        if not reply.drop:
            entry.status = reply.status
            code = reply.headers.get("Ret_code")
            entry.code = None if code is None else int(code)
            entry.answered_ms = entry.at_ms + reply.delay_ms
        return reply


def _run(route: Route, call: Call, *, forgetful: bool) -> Answer:
    if route.rows is None or route.paging is None:
        if route.run is None:
            raise LookupError(route.path)
        return route.run(call)
    params, category = call.params, call.params.get("category")
    rows = [] if forgetful or category in UNTRADED else route.rows(call.key.uid, params)
    found = page(rows, route.paging, params, listing=f"{call.key.uid}:{route.path}")
    return Answer(result={"category": str(category or ""), "list": found.rows, "nextPageCursor": found.cursor})


def _link_id(params: Params | None) -> str | None:
    link_id = None if params is None else params.get("orderLinkId")
    return link_id[:LINK_ID_LOGGED_MAX] if isinstance(link_id, str) else None
