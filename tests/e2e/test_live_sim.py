"""`make run-live-sim`: the whole stack, trading live on an account of the simulated exchange."""

import json
import pathlib
import urllib.request

from canary import SECRETS, assert_secret_hidden
from running import ended

from tools.stack import SIMULATED_KEY, Ports, Stack


def call(stack, path, body=None):
    request = urllib.request.Request(  # noqa: S310 - our own stack
        f"{stack.gateway_url}{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own stack
        return json.loads(answer.read())


def test_one_command_trades_live_on_the_simulated_exchange_with_a_journal_of_its_own(tmp_path: pathlib.Path):
    (tmp_path / "live-sim.sqlite3").write_bytes(b"of an exchange that is gone")
    stack = Stack(ports=Ports.free(), env={"BYBIT_ENV": "mainnet"}, state_dir=tmp_path, live_sim=True)
    stack.start()
    try:
        health = call(stack, "/health")
        assert (health["mode"], health["venue"]["ok"], health["venue"]["env"]) == ("live", True, "simulator")
        order = {"symbol": "BTCUSDT", "side": "buy", "qtyUsd": 2000, "confidence": 0.9, "idempotencyKey": "one"}
        first, again = call(stack, "/api/trade/execute", order), call(stack, "/api/trade/execute", order)
        assert (first["dryRun"], first["order"]["state"], first["message"]) == (False, "filled", "Order executed")
        assert again == first | {"replayed": True}
        positions = call(stack, "/api/trade/positions")
        assert positions["positions"][0]["qty"] == sum(fill["qty"] for fill in first["order"]["fills"])
        assert 99_900 < positions["equityUsd"] < 100_100
    finally:
        ended(stack)
    assert (tmp_path / "live-sim-before.sqlite3").read_bytes() == b"of an exchange that is gone"
    assert_secret_hidden(
        health, first, positions, *(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    )
    assert SIMULATED_KEY["BYBIT_API_SECRET"] in SECRETS
