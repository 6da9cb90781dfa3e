"""Orders go to Bybit's own hosts, or to a simulator on this machine."""

import pytest

from gateway.adapters.venue_bybit.session import checked_endpoint
from gateway.ports import StartError

WS = "ws://127.0.0.1:15050/v5/private"


@pytest.mark.parametrize(
    ("env", "rest", "stream"),
    [
        ("mainnet", "https://api.bybit.com", "wss://stream.bybit.com/v5/private"),
        ("testnet", "https://api-testnet.bybit.com", "wss://stream-testnet.bybit.com/v5/private"),
        ("demo", "https://api-demo.bybit.com", "wss://stream-demo.bybit.com/v5/private"),
    ],
)
def test_each_environment_has_its_own_hosts(env: str, rest: str, stream: str) -> None:
    endpoint = checked_endpoint(env)
    assert (endpoint.env, endpoint.rest_url, endpoint.private_ws_url) == (env, rest, stream)


def test_the_other_host_of_mainnet_may_be_named() -> None:
    assert checked_endpoint("mainnet", "https://api.bytick.com/").rest_url == "https://api.bytick.com"


@pytest.mark.parametrize("rest", ["http://127.0.0.1:15050/", "http://localhost:1", "http://[::1]:15050"])
def test_the_simulator_may_be_on_this_machine(rest: str) -> None:
    assert checked_endpoint("simulator", rest, WS).rest_url == rest.rstrip("/")


@pytest.mark.parametrize(
    ("env", "rest", "stream"),
    [
        ("mainnet", "http://api.bybit.com", ""),
        ("mainnet", "https://api-demo.bybit.com", ""),
        ("mainnet", "https://api.bybit.com.evil.example", ""),
        ("mainnet", "https://evil.example/api.bybit.com", ""),
        ("mainnet", "https://api.bybit.com@evil.example", ""),
        ("mainnet", "https://user:word@api.bybit.com", ""),
        ("mainnet", "https://api.bybit.com:8443", ""),
        ("mainnet", "https://api.bybit.com:notaport", ""),
        ("mainnet", "https://api.bybit.com/v6", ""),
        ("mainnet", "https://api.bybit.com?x=1", ""),
        ("mainnet", "http://127.0.0.1:15050", ""),
        ("mainnet", "", "wss://stream-demo.bybit.com/v5/private"),
        ("mainnet", "", "ws://stream.bybit.com/v5/private"),
        ("demo", "https://api.bybit.com", ""),
        ("testnet", "https://api.bybit.com", ""),
        ("simulator", "https://api.bybit.com", WS),
        ("simulator", "http://192.168.0.9:15050", WS),
        ("simulator", "http://127.0.0.1.evil.example", WS),
        ("simulator", "", WS),
        ("simulator", "http://127.0.0.1:15050", "ws://10.0.0.1/v5/private"),
        ("simulator", "http://127.0.0.1:15050", "ws://127.0.0.1:15050/v5/trade"),
        ("live", "", ""),
        ("", "", ""),
    ],
)
def test_any_other_place_is_refused_at_start(env: str, rest: str, stream: str) -> None:
    with pytest.raises(StartError):
        checked_endpoint(env, rest, stream)
