"""Who sends this request: the checks of a signed request, in the order in which the first that fails is told.

    a header is missing                    10001
    the key is unknown here                10003   another environment's key is unknown as well
    the key has expired                    33004
    the time window                        10002   server - recv_window <= timestamp < server + 1000
    the signature, over the bytes received 10004
    the address                            10010

All answer HTTP 200. What the key may do is judged later, by the route (10005).
"""

from simulator.api.keys import ApiKey, KeyRing, same, signature
from simulator.api.messages import Request
from simulator.trading.contract import TradeError

FUTURE_MS = 1_000
"""How far a timestamp may lie ahead of the server's clock."""
RECV_WINDOW_MS = 5_000
"""The window of a request that names none."""
DIGITS_MAX = 15

KEY, TIMESTAMP, SIGN, WINDOW = "x-bapi-api-key", "x-bapi-timestamp", "x-bapi-sign", "x-bapi-recv-window"


def authenticate(request: Request, keys: KeyRing, *, env: str, now_ms: int) -> ApiKey:
    """The key that signed this request; TradeError tells why there is none."""
    given = request.headers
    name, sent_at, sign = given.get(KEY, ""), given.get(TIMESTAMP, ""), given.get(SIGN, "")
    if not (name and sent_at and sign):
        text = f"empty value: apiTimestamp[{sent_at}] apiKey[{name}] apiSignature[{sign}]: openapi sign params error!"
        raise TradeError(10001, text)
    key = keys.find(name, env)
    if key is None:
        raise TradeError(10003, "API key is invalid.")
    if key.expires_ms is not None and now_ms >= key.expires_ms:
        raise TradeError(33004, "Your api key has expired.")
    window = given.get(WINDOW, "")
    check_window(sent_at, window, now_ms)
    origin = f"{sent_at}{name}{window}".encode() + request.signed
    if not same(sign, signature(key.secret, origin)):
        raise TradeError(10004, f"error sign! origin_string[{origin.decode('utf-8', 'replace')}]")
    if not key.bound_to(request.remote):
        raise TradeError(10010, "Unmatched IP, please check your API key's bound IP addresses.")
    return key


def check_window(sent_at: str, window: str, now_ms: int) -> None:
    """TradeError 10002 when a request of this time may not be carried out now; an empty `window` is the usual one."""
    sent_ms, window_ms = _milliseconds(sent_at), _milliseconds(window or str(RECV_WINDOW_MS))
    if sent_ms is None or window_ms is None or not now_ms - window_ms <= sent_ms < now_ms + FUTURE_MS:
        raise TradeError(
            10002,
            "invalid request, please check your server timestamp or recv_window param. "
            f"req_timestamp[{sent_at}],server_timestamp[{now_ms}],recv_window[{window or RECV_WINDOW_MS}]",
        )


def _milliseconds(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else None
