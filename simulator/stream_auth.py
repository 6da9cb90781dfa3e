"""Who opens a private or an order-entry stream: the checks of its `auth`. The first that fails is told.

    args are not [key, expires, signature]     10001
    the key is unknown here                    10003
    the key has expired                        33004
    `expires` is past or too far ahead         10001
    the signature of "GET/realtime" + expires  10004
    the address                                10010

What the key may do is judged later, with each request.
"""

from simulator.api.keys import ApiKey, KeyRing, same, signature
from simulator.trading.contract import TradeError

AHEAD_MS_MAX = 600_000
"""How far `expires` may lie ahead of the exchange's clock. Bybit names no bound; clients use a second to a minute."""
DIGITS_MAX = 15


def stream_key(args: object, keys: KeyRing, *, env: str, now_ms: int, remote: str) -> ApiKey:
    """The key that opens the stream; TradeError tells why there is none."""
    name, expires, sign = _parts(args)
    key = keys.find(name, env)
    if key is None:
        raise TradeError(10003, "API key is invalid.")
    if key.expires_ms is not None and now_ms >= key.expires_ms:
        raise TradeError(33004, "Your api key has expired.")
    if not now_ms < int(expires) <= now_ms + AHEAD_MS_MAX:
        raise TradeError(10001, "Params Error: expires")
    if not same(sign, signature(key.secret, f"GET/realtime{expires}".encode())):
        raise TradeError(10004, "Error sign, please check your signature generation algorithm.")
    if not key.bound_to(remote):
        raise TradeError(10010, "Unmatched IP, please check your API key's bound IP addresses.")
    return key


def _parts(args: object) -> tuple[str, str, str]:
    """Key, `expires` as it was signed, and signature."""
    match args:
        case [str() as name, int() | str() as expires, str() as sign] if not isinstance(expires, bool):
            text = str(expires)
            if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX:
                return name, text, sign
    raise TradeError(10001, "Params Error")
