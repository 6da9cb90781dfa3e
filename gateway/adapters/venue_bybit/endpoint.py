"""Where orders may be sent: a list of Bybit's own hosts, and this machine for the simulator."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from gateway.ports import StartError

SIMULATOR: Final = "simulator"
PRIVATE_PATH: Final = "/v5/private"

_REST_HOSTS: Mapping[str, tuple[str, ...]] = {
    "mainnet": ("api.bybit.com", "api.bytick.com"),
    "testnet": ("api-testnet.bybit.com",),
    "demo": ("api-demo.bybit.com",),
}
"""By environment, the usual one first. Regional hosts are no part of it: their accounts have rules of their own."""
_PRIVATE_HOSTS: Mapping[str, str] = {
    "mainnet": "stream.bybit.com",
    "testnet": "stream-testnet.bybit.com",
    "demo": "stream-demo.bybit.com",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A checked place to trade at; `checked_endpoint` alone makes it."""

    env: str
    """mainnet, testnet, demo or simulator."""
    rest_url: str
    """Without a slash at its end."""
    private_ws_url: str


def checked_endpoint(env: str, rest_url: str = "", private_ws_url: str = "") -> Endpoint:
    """The endpoint of an environment; an empty URL stands for Bybit's own. Raises StartError for any other host."""
    if env == SIMULATOR:
        _check_loopback("BYBIT_REST_URL", rest_url, {"http", "https"}, "")
        _check_loopback("BYBIT_PRIVATE_WS_URL", private_ws_url, {"ws", "wss"}, PRIVATE_PATH)
        return Endpoint(env=env, rest_url=rest_url.rstrip("/"), private_ws_url=private_ws_url)
    if env not in _REST_HOSTS:
        raise StartError("BYBIT_ENV is none of simulator, demo, testnet, mainnet.")
    rest_url = rest_url or f"https://{_REST_HOSTS[env][0]}"
    private_ws_url = private_ws_url or f"wss://{_PRIVATE_HOSTS[env]}{PRIVATE_PATH}"
    _check_host("BYBIT_REST_URL", rest_url, "https", _REST_HOSTS[env], "")
    _check_host("BYBIT_PRIVATE_WS_URL", private_ws_url, "wss", (_PRIVATE_HOSTS[env],), PRIVATE_PATH)
    return Endpoint(env=env, rest_url=rest_url.rstrip("/"), private_ws_url=private_ws_url)


def _check_loopback(name: str, url: str, schemes: set[str], path: str) -> None:
    parts = _split(name, url)
    if parts.scheme not in schemes or not _is_loopback(parts.hostname or "") or not _is_plain(parts, path):
        raise StartError(f"{name} is no address of this machine, and the simulator may be nowhere else.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_host(name: str, url: str, scheme: str, hosts: tuple[str, ...], path: str) -> None:
    parts = _split(name, url)
    known = parts.scheme == scheme and parts.hostname in hosts and parts.port in {None, 443}
    if not known or not _is_plain(parts, path):
        raise StartError(f"{name} is none of Bybit's own: {', '.join(f'{scheme}://{host}' for host in hosts)}.")


def _split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # reading it checks it
    except ValueError:
        raise StartError(f"{name} is no URL.") from None
    return parts


def _is_plain(parts: SplitResult, path: str) -> bool:
    """Nothing but scheme, host, port and the expected path: a user or a query could hide another host or a key."""
    return "@" not in parts.netloc and not parts.query and not parts.fragment and parts.path.rstrip("/") == path
