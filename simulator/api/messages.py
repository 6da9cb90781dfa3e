"""What goes in and out of the REST side: one request as it was received, one reply as it is to be sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from simulator.shapes import Json

JSON_TYPE = "application/json; charset=utf-8"
HTML_TYPE = "text/html"
SERVER = "Openresty"
PIECES = 8
"""A slow body is sent in so many pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, byte for byte where the signature covers it."""

    method: str
    path: str
    raw_query: bytes
    """What stands behind the question mark, as received: never decoded or put in another order."""
    headers: Mapping[str, str]
    """With lower-case names."""
    body: bytes
    remote: str
    """The peer's address."""

    @property
    def signed(self) -> bytes:
        """The part that the signature covers beside timestamp, key and window."""
        return self.raw_query if self.method == "GET" else self.body

    def query(self) -> dict[str, str]:
        """The query's parameters, decoded once."""
        return dict(parse_qsl(self.raw_query.decode("utf-8", "replace"), keep_blank_values=True))

    def fields(self) -> dict[str, object] | None:
        """The parameters: of the query (GET) or of the JSON body; None when the body is no JSON object."""
        if self.method == "GET":
            return dict(self.query())
        try:
            body: object = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, and how it is to reach the client."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    delay_ms: int = 0
    """How long it waits before its first byte."""
    drop: bool = False
    """Close the connection without an answer."""
    cut: bool = False
    """Declare the whole body, send half of it, close."""
    trickle_ms: int = 0
    """Pause between the PIECES of the body."""
    accepted: bool = False
    """Whether the exchange did what was asked, whatever becomes of the answer."""


def json_reply(
    result: Json,
    *,
    now_ms: int,
    trace: str,
    code: int = 0,
    message: str = "OK",
    ext: Json = None,
    status: int = 200,
    limits: Mapping[str, str] | None = None,
    accepted: bool = False,
) -> Reply:
    """An answer in Bybit's envelope, with Bybit's headers."""
    body = {
        "retCode": code,
        "retMsg": message,
        "result": result,
        "retExtInfo": {} if ext is None else ext,
        "time": now_ms,
    }
    headers = {
        "Content-Type": JSON_TYPE,
        "Server": SERVER,
        "Ret_code": str(code),
        "Traceid": trace,
        "Timenow": str(now_ms),
        **(limits or {}),
    }
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    # A lone surrogate of a request's JSON may come back in a message: it has no UTF-8.
    return Reply(status=status, headers=headers, body=text.encode("utf-8", "replace"), accepted=accepted)


def page_reply(status: int, text: str, content_type: str = HTML_TYPE, *, accepted: bool = False) -> Reply:
    """An answer of the machinery in front of the exchange, which knows no envelope."""
    return Reply(
        status=status,
        headers={"Content-Type": content_type, "Server": SERVER},
        body=text.encode("utf-8", "replace"),
        accepted=accepted,
    )
