"""The order-entry stream, /v5/trade: log-in, and orders that are made, amended and cancelled over it.

No sockets here: a TradeSession is one client's conversation as texts. The aiohttp side is sockets.py. What an order
goes through behind the conversation (permission, rate limit, engine) is that of REST: the Desk.
"""

import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping

from simulator.api.auth import check_window
from simulator.api.keys import ENVIRONMENT, ApiKey, KeyRing
from simulator.desk import Desk, DeskAnswer
from simulator.faults import Faults
from simulator.frame_gate import FrameGate
from simulator.outbox import Outbox
from simulator.sessions import Sessions
from simulator.shapes import Json
from simulator.stream_auth import stream_key
from simulator.trading.contract import TradeError

PATH = "/v5/trade"
ENDPOINTS: Mapping[str, str] = {
    "order.create": "/v5/order/create",
    "order.amend": "/v5/order/amend",
    "order.cancel": "/v5/order/cancel",
}
"""Each operation, and the REST path that does the same."""
REQUEST_ID_MAX = 36
REQUEST_IDS_MAX = 10_000
"""How many request ids one connection remembers, to refuse their repetition."""
OPERATION_MAX = 40


class TradeSession:
    """One client of the order-entry stream."""

    def __init__(
        self,
        *,
        desk: Desk,
        keys: KeyRing,
        faults: Faults,
        now_ms: Callable[[], int],
        remote: str,
        env: str = ENVIRONMENT,
    ) -> None:
        self._desk = desk
        self._keys = keys
        self._now_ms = now_ms
        self._remote = remote
        self._env = env
        self._request_ids: OrderedDict[str, None] = OrderedDict()
        self.conn_id = str(uuid.uuid4())
        self.outbox = Outbox()
        self.gate = FrameGate(faults, self.outbox, PATH)
        self.key: ApiKey | None = None

    def receive(self, text: str) -> list[str]:
        """What the client says, and the answers to it: of an order only once it was accepted or refused."""
        if not self.gate.hears():
            return []
        operation, answer = self._answer(text)
        frame = json.dumps(answer, separators=(",", ":"))
        return self.gate.passed(operation, frame) if operation in ENDPOINTS else self.gate.answered([frame])

    def _answer(self, text: str) -> tuple[str, dict[str, Json]]:
        """The operation and the answer to it."""
        try:
            request: object = json.loads(text)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return "", self._reply("", {}, TradeError(10001, "Params Error: the request must be a JSON object"))
        name, request_id = request.get("op"), request.get("reqId")
        operation = name[:OPERATION_MAX] if isinstance(name, str) else ""
        # Only what was named is named in the answer.
        echo: dict[str, Json] = {"reqId": request_id[:REQUEST_ID_MAX]} if isinstance(request_id, str) else {}
        match operation:
            case "auth":
                return operation, self._reply(operation, echo, self._auth(request.get("args")))
            case "ping":
                return operation, self._reply("pong", echo, None, data=[str(self._now_ms())])
            case _ if operation in ENDPOINTS:
                return operation, self._order(operation, echo, request)
            case _:
                return operation, self._reply(operation, echo, TradeError(10404, "op type is not found"))

    def _auth(self, args: object) -> TradeError | None:
        """Log in; why it was refused."""
        if self.key is not None:
            return TradeError(20001, "Repeat auth")
        if self.gate.refuses_auth(args):
            return TradeError(10003, "API key is invalid.")
        try:
            self.key = stream_key(args, self._keys, env=self._env, now_ms=self._now_ms(), remote=self._remote)
        except TradeError as error:
            return error
        self.gate.key = self.key.key
        return None

    def _order(self, operation: str, echo: dict[str, Json], request: Mapping[str, object]) -> dict[str, Json]:
        try:
            answer = self._enter(operation, request)
        except TradeError as error:
            answer = DeskAnswer(code=error.code, message=error.message, ext=error.ext)
        now_ms = self._now_ms()
        return echo | {
            "retCode": answer.code,
            "retMsg": answer.message,
            "op": operation,
            "data": answer.result if answer.code == 0 else {},
            "retExtInfo": answer.ext,
            "header": {**answer.limits, "Traceid": uuid.uuid4().hex, "Timenow": str(now_ms)},
            "connId": self.conn_id,
        }

    def _enter(self, operation: str, request: Mapping[str, object]) -> DeskAnswer:
        """Check the request around the order, and hand the order to the desk."""
        if self.key is None:
            raise TradeError(10007, "User authentication failed.")
        self._check_request_id(request.get("reqId"))
        sent_at, window = _times(request.get("header"))
        check_window(sent_at, window, self._now_ms())
        orders = request.get("args")
        if not (isinstance(orders, list) and len(orders) == 1 and isinstance(orders[0], dict)):
            raise TradeError(10001, "Params Error: args must be one order")
        return self._desk.enter(self.key, ENDPOINTS[operation], orders[0])

    def _check_request_id(self, request_id: object) -> None:
        """Remember it; TradeError when it is no id or was used before."""
        if request_id is None:
            return
        if not isinstance(request_id, str) or not 0 < len(request_id) <= REQUEST_ID_MAX:
            raise TradeError(10001, f"Params Error: reqId must have 1 to {REQUEST_ID_MAX} characters")
        if request_id in self._request_ids:
            raise TradeError(20006, "reqId is duplicated")
        self._request_ids[request_id] = None
        if len(self._request_ids) > REQUEST_IDS_MAX:
            self._request_ids.popitem(last=False)

    def _reply(
        self, operation: str, echo: dict[str, Json], error: TradeError | None, data: Json = None
    ) -> dict[str, Json]:
        code, message = (0, "OK") if error is None else (error.code, error.message)
        reply: dict[str, Json] = {"retCode": code, "retMsg": message, "op": operation}
        told: dict[str, Json] = {} if data is None else {"data": data}
        return echo | reply | told | {"connId": self.conn_id}


class TradeHub(Sessions[TradeSession]):
    """All order-entry sessions."""

    def __init__(
        self, *, desk: Desk, keys: KeyRing, faults: Faults, now_ms: Callable[[], int], env: str = ENVIRONMENT
    ) -> None:
        super().__init__(faults)
        self._desk = desk
        self._keys = keys
        self._faults = faults
        self._now_ms = now_ms
        self._env = env

    def open(self, remote: str = "127.0.0.1") -> TradeSession:
        """A new client's session, until `forget`."""
        return self.keep(
            TradeSession(
                desk=self._desk,
                keys=self._keys,
                faults=self._faults,
                now_ms=self._now_ms,
                remote=remote,
                env=self._env,
            )
        )


def _times(header: object) -> tuple[str, str]:
    """Timestamp and window of a request's header, each as text or integer; TradeError when there is no timestamp."""
    fields = header if isinstance(header, Mapping) else {}
    sent_at = _number_text(fields.get("X-BAPI-TIMESTAMP"))
    if not sent_at:
        raise TradeError(10001, "Params Error: header X-BAPI-TIMESTAMP is missing")
    return sent_at, _number_text(fields.get("X-BAPI-RECV-WINDOW"))


def _number_text(value: object) -> str:
    """A number that was sent as text or as integer."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return ""
    return str(value)
