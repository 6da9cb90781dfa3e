"""A bad day through Envoy: a crash locks, a kill does not unlock, and two steps do; a halt, a kill, and a flatten."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from running import Answer, Tollgate, call, wait_until

from tools.stack import Stack

BUY = {"symbol": "BTCUSDT", "side": "buy", "qtyUsd": 5000, "confidence": 1}


@pytest.fixture(scope="module")
def small(start_stack: Callable[..., Tollgate]) -> Tollgate:
    """A stack whose drawdown limit one position can reach."""
    return start_stack(MAX_DRAWDOWN_PCT="0.01", PRICE_AGE_MS_MAX="1500")


def control(tollgate: Tollgate, name: str, **body: Any) -> None:
    """A word to the simulated exchange."""
    assert isinstance(tollgate.controls, Stack)
    port = tollgate.controls.ports.simulator
    assert call("POST", f"http://127.0.0.1:{port}/_control/{name}", body=body).status == 200


def execute(tollgate: Tollgate, **changes: Any) -> Answer:
    return tollgate.post("/api/trade/execute", BUY | changes)


def risk(tollgate: Tollgate) -> Any:
    return tollgate.get("/api/risk").json


def state(tollgate: Tollgate) -> str:
    return str(risk(tollgate)["risk"]["state"])


def stale(tollgate: Tollgate) -> bool:
    return not tollgate.get("/health").json["marketData"]["ok"]


def test_a_crash_locks_a_kill_does_not_unlock_and_two_steps_do(small: Tollgate) -> None:
    assert execute(small).status == 200
    control(small, "freeze", frozen=True)
    wait_until(lambda: stale(small))
    control(small, "price", symbol="BTCUSDT", factor=0.5)
    time.sleep(1.5)  # the guard looks every second
    assert state(small) == "active", "a stale price locked"
    control(small, "freeze", frozen=False)
    wait_until(lambda: state(small) == "locked")
    told = execute(small, qtyUsd=200)
    assert (told.status, told.reason) == (423, "RISK_LOCKED")
    assert float(told.metadata["drawdown"]) > float(told.metadata["drawdown_max"]) == 0.01
    with small.without("gateway"):
        pass
    assert state(small) == "locked"
    control(small, "price", symbol="BTCUSDT", factor=2.0)
    wait_until(lambda: risk(small)["risk"]["drawdown"] < 0.01)
    assert state(small) == "locked", "an equity that recovered unlocked"

    shown = small.post(
        "/api/risk/reset", {"actor": "ann", "reason": "the crash was the exchange's", "twoStep": True}
    ).json
    preview = shown["preview"]
    assert (shown["ok"], preview["fromState"], preview["toState"]) == (False, "locked", "active")
    assert [held["symbol"] for held in preview["positions"]] == ["BTCUSDT"]
    assert state(small) == "locked"
    confirmed = {"actor": "ann", "reason": "the crash was the exchange's", "confirmToken": shown["confirmToken"]}
    assert small.post("/api/risk/reset", confirmed).json["risk"]["state"] == "active"
    again = small.post("/api/risk/reset", confirmed)
    assert (again.status, again.reason) == (412, "CONFIRMATION_EXPIRED")
    trail = [(each["fromState"], each["toState"], each["actor"], each["reason"]) for each in risk(small)["changes"]]
    assert trail[0] == ("locked", "active", "ann", "the crash was the exchange's")
    assert trail[1][:3] == ("active", "locked", "tollgate")
    assert "reached the limit 0.01" in trail[1][3]
    assert execute(small, qtyUsd=200, side="sell", reduceOnly=True).status == 200


def test_a_halt_survives_a_kill_and_a_flatten_leaves_nothing_held(small: Tollgate) -> None:
    execute(small, qtyUsd=500)
    assert small.post("/api/risk/halt", {"actor": "ann", "reason": "drill"}).json["ok"]
    with small.without("gateway"):
        pass
    assert state(small) == "halted"
    assert execute(small).reason == "HALTED"
    assert execute(small, side="sell", reduceOnly=True).reason == "HALTED"
    told = small.post("/api/risk/flatten", {"actor": "ann", "reason": "out"}).json
    assert (told["ok"], told["risk"]["state"], told["openOrders"]) == (True, "halted", 0), told
    assert [(one["symbol"], one["qtyLeft"]) for one in told["positions"]] == [("BTCUSDT", 0)]
    assert small.get("/api/trade/positions").json["positions"] == []
    newest = small.get("/api/trade/orders").json["orders"][0]
    assert (newest["state"], newest["reduceOnly"]) == ("filled", True)
    assert newest["idempotencyKey"].startswith("flatten-")
    assert "the account is flat" in risk(small)["changes"][0]["reason"]


def test_a_resume_is_two_steps_and_a_halt_in_between_wins(small: Tollgate) -> None:
    shown = small.post("/api/risk/resume", {"actor": "ann"}).json
    assert (shown["ok"], shown["risk"]["state"], shown["preview"]["toState"]) == (False, "halted", "active")
    small.post("/api/risk/halt", {"actor": "bob", "reason": "wait"})
    told = small.post("/api/risk/resume", {"actor": "ann", "confirmToken": shown["confirmToken"]})
    assert (told.status, told.reason, state(small)) == (412, "CONFIRMATION_EXPIRED", "halted")
    mistyped = small.post("/api/risk/resume", {"confirmtoken": shown["confirmToken"]})
    assert (mistyped.status, mistyped.reason) == (400, "INVALID_FIELD")
    assert small.resume("ann", "over").json["risk"]["state"] == "active"
    assert execute(small, qtyUsd=200).status == 200


def test_what_money_moves_on_is_strict_json(small: Tollgate) -> None:
    told = small.post("/api/risk/flatten", {"reasons": "typo"})
    assert (told.status, told.reason, state(small)) == (400, "INVALID_FIELD", "active")
