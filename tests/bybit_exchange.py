"""A scripted Bybit behind pybit's own requests: no socket, virtual time, and one script line for each answer.

Without a script it is an honest exchange: it checks the signature over the bytes that came, takes an order, fills it
whole, and tells of it in all three lists at once.
"""

import hashlib
import hmac
import io
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from canary import CANARY_KEY, CANARY_SECRET
from requests.adapters import HTTPAdapter

from simulator.virtual import VirtualTime

KEY, SECRET = CANARY_KEY, CANARY_SECRET
CREATE = "/v5/order/create"
REALTIME = "/v5/order/realtime"
HISTORY = "/v5/order/history"
EXECUTIONS = "/v5/execution/list"
LISTS = (REALTIME, HISTORY, EXECUTIONS)
PRICE = "60003"


@dataclass(kw_only=True)
class Act:
    """What becomes of one request, when it is not the honest thing."""

    taken: bool = True
    """Whether an order is taken, whatever the answer says."""
    code: int = 0
    message: str = ""
    result: Any = None
    """In place of the honest result."""
    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raises: Callable[[], Exception] | None = None
    delay_ms: int = 0


@dataclass(kw_only=True)
class Taken:
    """An order that the exchange took, and from when each list shows it."""

    order: dict[str, Any]
    executions: list[dict[str, Any]]
    at_ms: int
    visible_ms: dict[str, int]


@dataclass(kw_only=True)
class Seen:
    """One request that arrived."""

    method: str
    path: str
    fields: dict[str, Any]
    headers: Mapping[str, str]
    at_ms: int


class ScriptedBybit(HTTPAdapter):
    """The exchange; mount it on a session."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self.time = time
        self.seen: list[Seen] = []
        self.script: dict[str, list[Act]] = defaultdict(list)
        self.taken: dict[str, Taken] = {}
        self.parts: list[tuple[str, str]] | None = None
        """Price and quantity of each execution of the next orders; None fills them whole."""
        self.status = "Filled"
        self.reject_reason = "EC_NoError"
        self.lags_ms = dict.fromkeys(LISTS, 0)
        self.page_rows = 100
        self.checks_time = True

    @property
    def posts(self) -> list[dict[str, Any]]:
        """The bodies of the orders that arrived, taken or not."""
        return [each.fields for each in self.seen if each.path == CREATE]

    def asked(self, path: str) -> int:
        return sum(each.path == path for each in self.seen)

    def next(self, path: str, *acts: Act) -> None:
        self.script[path] += acts

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        fields = json.loads(body) if body else dict(pair.split("=", 1) for pair in url.query.split("&") if pair)
        self.seen.append(
            Seen(
                method=request.method or "",
                path=url.path,
                fields=fields,
                headers=request.headers,
                at_ms=self.time.now_ms(),
            )
        )
        act = self.script[url.path].pop(0) if self.script[url.path] else Act()
        fault = self._auth_fault(request, body or url.query.encode())
        if fault is not None and url.path != "/v5/market/time":
            act = fault
        honest = self._serve(url.path, fields, act)
        self._wait(act.delay_ms, options["timeout"])
        if act.raises:
            raise act.raises()
        return self._answer(request, act, honest)

    def _wait(self, delay_ms: int, timeout: tuple[float, float]) -> None:
        read_ms = timeout[1] * 1000
        self.time.advance(min(delay_ms, read_ms))
        if delay_ms > read_ms:
            raise requests.exceptions.ReadTimeout("slow")

    def _auth_fault(self, request: requests.PreparedRequest, payload: bytes) -> Act | None:
        head = request.headers
        stamp, window = head.get("X-BAPI-TIMESTAMP", ""), head.get("X-BAPI-RECV-WINDOW", "")
        signed = f"{stamp}{KEY}{window}".encode() + payload
        if hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest() != head.get("X-BAPI-SIGN"):
            return Act(taken=False, code=10004, message=f"error sign! origin_string[{signed.decode()}]")
        if self.checks_time and not self.time.now_ms() - int(window) <= int(stamp) < self.time.now_ms() + 1000:
            return Act(taken=False, code=10002, message=f"invalid request, req_timestamp[{stamp}]")
        return None

    def _serve(self, path: str, fields: dict[str, Any], act: Act) -> Any:
        if path != CREATE:
            return self._list(path, fields) if path in LISTS else {}
        link = fields["orderLinkId"]
        if not act.taken:
            return {}
        if link in self.taken:
            act.code, act.message = act.code or 110072, "OrderLinkedID is duplicate"
            return {}
        self.take(fields)
        return {"orderId": self.taken[link].order["orderId"], "orderLinkId": link}

    def take(self, fields: Mapping[str, Any], **changes: Any) -> Taken:
        """Take an order, as if it had arrived by any way."""
        link, now_ms = fields["orderLinkId"], self.time.now_ms()
        parts = [(PRICE, fields["qty"])] if self.parts is None else self.parts
        order = order_row(fields, self.status, parts, now_ms) | {"rejectReason": self.reject_reason} | changes
        taken = Taken(
            order=order,
            executions=[execution_row(order, number, part, now_ms) for number, part in enumerate(parts)],
            at_ms=now_ms,
            visible_ms={path: now_ms + lag_ms for path, lag_ms in self.lags_ms.items()},
        )
        self.taken[link] = taken
        return taken

    def _list(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        taken = self.taken.get(fields["orderLinkId"])
        if taken is None or self.time.now_ms() < taken.visible_ms[path]:
            return {"list": [], "nextPageCursor": "", "category": "linear"}
        if path != EXECUTIONS:
            return {"list": [taken.order], "nextPageCursor": "", "category": "linear"}
        begin = int(fields.get("cursor", "page%3D0").removeprefix("page%3D"))
        end = begin + self.page_rows
        cursor = f"page%3D{end}" if end < len(taken.executions) else ""
        return {"list": taken.executions[begin:end], "nextPageCursor": cursor, "category": "linear"}

    def _answer(self, request: requests.PreparedRequest, act: Act, honest: Any) -> requests.Response:
        envelope = {
            "retCode": act.code,
            "retMsg": act.message or "OK",
            "result": honest if act.result is None else act.result,
            "retExtInfo": {},
            "time": self.time.now_ms(),
        }
        body = json.dumps(envelope) if act.body is None else act.body
        headers = {"Content-Type": "application/json; charset=utf-8", **act.headers}
        raw = urllib3.HTTPResponse(
            body=io.BytesIO(body.encode()), status=act.status, headers=headers, preload_content=False
        )
        return self.build_response(request, raw)


def order_row(fields: Mapping[str, Any], status: str, parts: list[tuple[str, str]], now_ms: int) -> dict[str, Any]:
    return {
        "symbol": fields["symbol"],
        "side": fields["side"],
        "orderId": f"venue-{fields['orderLinkId']}",
        "orderLinkId": fields["orderLinkId"],
        "orderStatus": status,
        "qty": fields["qty"],
        "cumExecQty": format(sum((Decimal(qty) for _, qty in parts), Decimal(0)), "f"),
        "reduceOnly": fields.get("reduceOnly", False),
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "updatedTime": str(now_ms),
    }


def execution_row(order: Mapping[str, Any], number: int, part: tuple[str, str], now_ms: int) -> dict[str, Any]:
    price, qty = part
    return {
        "execId": f"{order['orderLinkId']}-{number}",
        "orderId": order["orderId"],
        "orderLinkId": order["orderLinkId"],
        "symbol": order["symbol"],
        "side": order["side"],
        "execPrice": price,
        "execQty": qty,
        "execFee": "0.33",
        "execType": "Trade",
        "execTime": str(now_ms),
    }
