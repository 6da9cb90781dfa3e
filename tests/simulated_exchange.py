"""The simulated exchange in this process, and a client that signs by hand: what Bybit's documents say, in ten lines."""

import hashlib
import hmac
import json
from typing import Any

from simulator.api.messages import Reply, Request
from simulator.inprocess import ExchangeConfig, HandScheduler, LocalExchange

START_MS = 1_800_000_000_000
KEY, SECRET = "SIMKEY0001", "SIMSECRET0001"
LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


def order(link_id: str, **fields: Any) -> dict[str, Any]:
    """A market order of 0.001 BTC."""
    return {
        **LINEAR,
        "side": "Buy",
        "orderType": "Market",
        "qty": "0.001",
        "positionIdx": 0,
        "orderLinkId": link_id,
        **fields,
    }


def resting(link_id: str, price: str = "10000.0", **fields: Any) -> dict[str, Any]:
    """A limit order far below the market, which stays open."""
    return order(link_id, orderType="Limit", price=price, timeInForce="GTC", **fields)


def sign(payload: bytes, at_ms: int, *, key: str = KEY, secret: str = SECRET, window: str = "5000") -> dict[str, str]:
    """The headers of a signed request, with lower-case names."""
    origin = f"{at_ms}{key}{window}".encode() + payload
    return {
        "x-bapi-api-key": key,
        "x-bapi-timestamp": str(at_ms),
        "x-bapi-recv-window": window,
        "x-bapi-sign": hmac.new(secret.encode(), origin, hashlib.sha256).hexdigest(),
    }


class Bench:
    """One exchange, its clock, and requests to it."""

    def __init__(self, **config: Any) -> None:
        self.scheduler = HandScheduler(config.pop("start_ms", START_MS))
        self.local = LocalExchange(ExchangeConfig(**{"seed": 7, "symbols": ["BTCUSDT"], **config}), self.scheduler)

    def get(self, path: str, query: str = "", **signing: Any) -> Reply:
        return self.send("GET", path, query.encode(), b"", **signing)

    def post(self, path: str, body: Any, **signing: Any) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, b"", raw, **signing)

    def send(self, method: str, path: str, query: bytes, body: bytes, **options: Any) -> Reply:
        return self.local.api.handle(self.request(method, path, query, body, **options))

    def request(
        self, method: str, path: str, query: bytes, body: bytes, *, remote: str = "127.0.0.1", headers: Any = None,
        offset_ms: int = 0, **signing: Any,
    ) -> Request:  # fmt: skip
        payload = query if method == "GET" else body
        if headers is None:
            headers = sign(payload, self.scheduler.now_ms() + offset_ms, **signing)
        return Request(method=method, path=path, raw_query=query, headers=headers, body=body, remote=remote)


def told(reply: Reply) -> dict[str, Any]:
    """The envelope of a reply that has one."""
    assert reply.status == 200
    return json.loads(reply.body)
