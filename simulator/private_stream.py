"""The private stream, /v5/private: log-in, subscriptions and the framing of what the trading engine publishes.

No sockets here: a PrivateSession is one client's conversation as texts. The aiohttp side is sockets.py.

Rules
  Only who has logged in may subscribe. Topics are all-in-one (`order`) or of a category (`order.linear`); one request
  may not mix the two. A request is carried out whole or not at all. There is no snapshot, no sequence number and no
  replay: what was not heard is gone, and is to be looked up over REST.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence

from simulator.api.keys import ENVIRONMENT, ApiKey, KeyRing
from simulator.faults import PRIVATE_STREAM, Faults
from simulator.frame_gate import FrameGate
from simulator.local import LocalExchange
from simulator.outbox import GOING_AWAY, Outbox
from simulator.sessions import Sessions
from simulator.shapes import Json
from simulator.stream_auth import stream_key
from simulator.trading.contract import Push, TradeError

FAST = "execution.fast"
ALL_IN_ONE = frozenset({"order", "execution", FAST, "position", "wallet"})
CATEGORISED = frozenset(
    {f"{name}.{category}" for name in ("order", "execution", FAST, "position") for category in ("linear", "spot")}
) - {"position.spot"}
ARGS_MAX = 20
"""Topics of one request: more than there are."""
REQUEST_ID_MAX = 64
FAST_FIELDS = (
    "category", "symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "orderLinkId", "side", "execTime",
    "seq",
)  # fmt: skip
"""What execution.fast tells of an execution."""


class PrivateSession:
    """One client of the private stream."""

    path = PRIVATE_STREAM

    def __init__(
        self, *, keys: KeyRing, faults: Faults, now_ms: Callable[[], int], remote: str, env: str = ENVIRONMENT
    ) -> None:
        self._keys = keys
        self._now_ms = now_ms
        self._remote = remote
        self._env = env
        self.conn_id = str(uuid.uuid4())
        self.outbox = Outbox()
        self.gate = FrameGate(faults, self.outbox, self.path)
        self.key: ApiKey | None = None
        self.topics: set[str] = set()

    def receive(self, text: str) -> list[str]:
        """What the client says, and the answers that go to it at once, in front of anything pushed later."""
        if not self.gate.hears():
            return []
        return self.gate.answered([json.dumps(self._answer(text), separators=(",", ":"))])

    def push(self, push: Push) -> None:
        """Tell what the engine publishes, on each topic of it that was subscribed."""
        if self.key is None or push.uid != self.key.uid:
            return
        for topic in _topics_of(push):
            if topic in self.topics:
                self._tell(topic, push)

    def _tell(self, topic: str, push: Push) -> None:
        rows = [_row(topic, row) for row in push.rows]
        if topic.startswith(FAST):
            rows = [row for row in rows if row]
        if not rows:
            return
        now_ms = self._now_ms()
        self.gate.push(push.topic, _frame(topic, rows, now_ms))
        filled = [row for row in rows if push.topic == "order" and row.get("orderStatus") == "Filled"]
        if filled and self.gate.doubles_fill(push.topic):
            twins = [{**row, **_LOST_CANCEL} for row in filled]
            self.gate.push(push.topic, _frame(topic, twins, now_ms))

    def _answer(self, text: str) -> dict[str, Json]:
        try:
            request: object = json.loads(text)
        except (ValueError, RecursionError):
            return self._ack("", "", "Invalid JSON")
        if not isinstance(request, dict):
            return self._ack("", "", "Request must be an object")
        name = request.get("req_id", "")
        request_id = name[:REQUEST_ID_MAX] if isinstance(name, str) else ""
        match request.get("op"):
            case "auth":
                return self._auth(request.get("args"), request_id)
            case "ping":
                return self._pong(request_id)
            case "subscribe" | "unsubscribe" as operation:
                return self._ack(operation, request_id, self._listen(operation, request.get("args")))
            case other:
                return self._ack(str(other)[:REQUEST_ID_MAX], request_id, "Invalid op")

    def _auth(self, args: object, request_id: str) -> dict[str, Json]:
        if self.gate.refuses_auth(args):
            return self._auth_refusal(request_id, TradeError(10003, "API key is invalid."))
        try:
            self.key = stream_key(args, self._keys, env=self._env, now_ms=self._now_ms(), remote=self._remote)
        except TradeError as error:
            return self._auth_refusal(request_id, error)
        self.gate.key = self.key.key
        return self._ack("auth", request_id, "")

    def _auth_refusal(self, request_id: str, error: TradeError) -> dict[str, Json]:
        """A refusal carries the names of both families of sockets, as recorded from Bybit."""
        both: dict[str, Json] = {"retCode": error.code, "retMsg": error.message, "connId": self.conn_id}
        return self._ack("auth", request_id, error.message) | both

    def _listen(self, operation: str, args: object) -> str:
        """Add or remove topics; the text says why not, and is empty when it was done."""
        if self.key is None:
            return "Request not authorized"
        match args:
            case [*names] if names and len(names) <= ARGS_MAX and all(isinstance(name, str) for name in names):
                topics = {str(name) for name in names}
            case _:
                return "Params Error"
        unknown = sorted(topics - ALL_IN_ONE - CATEGORISED)
        if unknown:
            return f"error:handler not found,topic:{unknown[0][:80]}"
        if topics & CATEGORISED and topics - CATEGORISED:
            return "Params Error: all-in-one and categorised topics cannot be mixed in one request"
        self.topics = self.topics | topics if operation == "subscribe" else self.topics - topics
        return ""

    def _pong(self, request_id: str) -> dict[str, Json]:
        pong: dict[str, Json] = {"op": "pong", "args": [str(self._now_ms())], "conn_id": self.conn_id}
        named: dict[str, Json] = {"req_id": request_id} if request_id else {}
        return named | pong

    def _ack(self, operation: str, request_id: str, fault: str) -> dict[str, Json]:
        named: dict[str, Json] = {"req_id": request_id} if request_id else {}
        ack: dict[str, Json] = {"success": not fault, "ret_msg": fault, "op": operation, "conn_id": self.conn_id}
        return ack | named


class PrivateHub(Sessions[PrivateSession]):
    """All private sessions: what the engine publishes reaches each that is of the account."""

    def __init__(self, *, keys: KeyRing, faults: Faults, now_ms: Callable[[], int], env: str = ENVIRONMENT) -> None:
        super().__init__(faults)
        self._keys = keys
        self._faults = faults
        self._now_ms = now_ms
        self._env = env

    def open(self, remote: str = "127.0.0.1") -> PrivateSession:
        """A new client's session, until `forget`."""
        return self.keep(
            PrivateSession(keys=self._keys, faults=self._faults, now_ms=self._now_ms, remote=remote, env=self._env)
        )

    def publish(self, push: Push) -> None:
        """What the engine publishes; never raises and never waits."""
        for session in self:
            session.push(push)


def private_hub(local: LocalExchange) -> PrivateHub:
    """The private streams of an exchange, from now on; they end when trading restarts."""
    hub = PrivateHub(keys=local.keys, faults=local.faults, now_ms=local.clock.server_ms, env=local.config.env)
    local.listeners.append(hub.publish)
    local.on_restart.append(lambda: hub.cut_all(GOING_AWAY))
    return hub


_LOST_CANCEL: Mapping[str, Json] = {
    "cancelType": "CancelByUser",
    "rejectReason": "EC_OrigClOrdIDDoesNotExist",
}
"""What the second message of a filled order says, as when a cancel came too late."""


def _topics_of(push: Push) -> list[str]:
    """The topics on which this is told."""
    names = [push.topic, FAST] if push.topic == "execution" else [push.topic]
    return [topic for name in names for topic in (name, f"{name}.{push.category}")]


def _row(topic: str, row: Json) -> dict[str, Json]:
    """A row as the topic tells it; empty when it does not."""
    fields = dict(row) if isinstance(row, Mapping) else {}
    if topic.startswith(FAST):
        told = fields.get("execType") == "Trade"
        return {name: fields[name] for name in FAST_FIELDS if name in fields} if told else {}
    if topic.startswith("position") and "avgPrice" in fields:
        # REST says avgPrice, the stream entryPrice.
        fields["entryPrice"] = fields.pop("avgPrice")
    return fields


def _frame(topic: str, rows: Sequence[Json], now_ms: int) -> str:
    frame: dict[str, Json] = {"id": str(uuid.uuid4()), "topic": topic, "creationTime": now_ms, "data": rows}
    return json.dumps(frame, separators=(",", ":"))
