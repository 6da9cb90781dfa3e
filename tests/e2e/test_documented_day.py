"""The documented day through the real Envoy: the calls as written, and every refusal on both wires."""

import concurrent.futures
import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from running import Answer, Tollgate, call, error_info, is_well, wait_until
from trading.v1 import consensus_pb2, consensus_pb2_grpc, trade_pb2, trade_pb2_grpc

from tools.stack import Stack

DECISION = {"symbol": "BTCUSDT", "features": {"mom_20": 1.2, "rv_5": 0.8, "rsi_14": 62.0}}
ORDER = {"symbol": "BTCUSDT", "side": "buy", "qtyUsd": 2000, "confidence": 0.9}


def fresh_key() -> str:
    return f"day-{uuid.uuid4().hex}"


def execute(tollgate: Tollgate, **changes: Any) -> Answer:
    return tollgate.post("/api/trade/execute", ORDER | {"idempotencyKey": fresh_key()} | changes)


def flatten(tollgate: Tollgate) -> None:
    """Close the BTC position, so that the cap has room."""
    for held in tollgate.get("/api/trade/positions").json["positions"]:
        side = "sell" if held["side"] == "buy" else "buy"
        closing = {"symbol": held["symbol"], "side": side, "qtyUsd": 100_000, "reduceOnly": True}
        tollgate.post("/api/trade/execute", closing)


@pytest.fixture
def flat(tollgate: Tollgate) -> Tollgate:
    flatten(tollgate)
    return tollgate


def types(value: Any) -> Any:
    """The shape of an answer: its keys with the types of their values."""
    if isinstance(value, dict):
        return {key: types(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [types(inner) for inner in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def test_health_answers_as_documented_on_both_ports(tollgate: Tollgate) -> None:
    health = tollgate.get("/health").json
    assert health["ok"] is True
    assert health["risk"]["drawdown"] >= 0
    assert health["config"]["confidenceThreshold"] == 0.6
    assert types(health) == {
        "ok": "bool",
        "mode": "str",
        "version": "str",
        "model": {"ok": "bool", "version": "str"},
        "marketData": {"ok": "bool", "source": "str", "ageMs": "number"},
        "risk": {
            "state": "str",
            "drawdown": "number",
            "maxDrawdownPct": "number",
            "equityUsd": "number",
            "peakEquityUsd": "number",
            "utilization": "number",
        },
        "config": {
            "confidenceThreshold": "number",
            "rateLimitMax": "number",
            "perSymbolUsdCap": "number",
            "maxDrawdownPct": "number",
            "tradingMode": "str",
        },
        "rateLimit": {"used": "number", "max": "number", "resetSeconds": "number"},
        "journal": {"ok": "bool", "records": "number"},
        "calibration": {"state": "str", "effectiveThreshold": "number", "matured": "number", "driftedFeatures": []},
        "promotion": {"stage": "str", "refusal": "str", "override": "bool", "overrideReason": "str"},
    }
    assert call("GET", f"{tollgate.model}/health").json["ok"] is True


def test_consensus_answers_as_documented(tollgate: Tollgate) -> None:
    answer = tollgate.post("/api/ai/consensus", DECISION)
    assert answer.status == 200
    decision = answer.json
    assert types(decision) == {
        "signal": "str",
        "prob_long": "number",
        "prob_short": "number",
        "confidence": "number",
        "model_version": "str",
        "allow": "bool",
        "threshold": "number",
        "decision_id": "str",
        "reasons": [],
        "horizon_seconds": "number",
    }
    assert (decision["signal"], decision["allow"], decision["threshold"]) == ("long", True, 0.6)
    assert 0.70 <= decision["prob_long"] <= 0.80
    assert 0.60 <= decision["confidence"] <= 0.70
    assert decision["prob_long"] + decision["prob_short"] == pytest.approx(1)


def test_execute_answers_as_documented(flat: Tollgate) -> None:
    answer = flat.post("/api/trade/execute", ORDER)
    assert answer.status == 200
    told = answer.json
    assert set(told) == {"ok", "dryRun", "order", "message", "replayed"}
    assert (told["ok"], told["dryRun"], told["message"]) == (True, True, "Paper trading mode - order simulated")
    order = told["order"]
    assert (order["symbol"], order["side"], order["qtyUsd"], order["confidence"]) == ("BTCUSDT", "buy", 1800, 0.9)
    assert order["adjustments"] == [{"step": "confidence", "fromUsd": 2000, "toUsd": 1800, "limit": 0.9}]
    assert order["state"] == "filled"
    assert 0 < order["filledUsd"] <= 1800
    assert order["feeUsd"] > 0
    assert flat.get(f"/api/trade/orders/{order['idempotencyKey']}").json["order"] == order


def test_a_decision_can_be_followed_by_its_id(flat: Tollgate) -> None:
    decision = flat.post("/api/ai/consensus", DECISION).json
    order = {"symbol": "BTCUSDT", "side": "buy", "qtyUsd": 1000, "decisionId": decision["decision_id"]}
    told = flat.post("/api/trade/execute", order).json["order"]
    assert told["confidence"] == decision["confidence"]
    assert told["qtyUsd"] == pytest.approx(1000 * decision["confidence"])
    wrong_side = flat.post("/api/trade/execute", order | {"side": "sell"})
    assert (wrong_side.status, wrong_side.reason) == (412, "DECISION_MISMATCH")


def test_a_risk_reset_is_audited(tollgate: Tollgate) -> None:
    told = tollgate.post("/api/risk/reset", {"actor": "ann", "reason": "drill"}).json
    assert (told["ok"], told["risk"]["drawdown"]) == (True, 0)
    newest = tollgate.get("/api/risk").json["changes"][0]
    assert (newest["actor"], newest["reason"]) == ("ann", "drill")


def test_the_batch_answers_every_row(tollgate: Tollgate) -> None:
    answer = tollgate.post("/api/ai/consensus:batch", {"requests": [DECISION] * 3})
    assert len({one["decision_id"] for one in answer.json["responses"]}) == 3


REFUSALS = [
    pytest.param({"qtyUsd": -1}, 400, "INVALID_FIELD", grpc.StatusCode.INVALID_ARGUMENT, id="400"),
    pytest.param({"confidence": 0.3}, 412, "LOW_CONFIDENCE", grpc.StatusCode.FAILED_PRECONDITION, id="412"),
    pytest.param({"symbol": "DOGEUSDT"}, 422, "SYMBOL_NOT_ALLOWED", grpc.StatusCode.FAILED_PRECONDITION, id="422"),
    pytest.param({"qtyUsd": 1}, 422, "MIN_NOTIONAL", grpc.StatusCode.FAILED_PRECONDITION, id="422-minimum"),
]


def grpc_refusal(tollgate: Tollgate, **changes: Any) -> tuple[grpc.StatusCode, str]:
    """The status and the reason of the same order over plain gRPC."""
    order = ORDER | changes
    with tollgate.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        trade_pb2_grpc.TradeServiceStub(channel).Execute(
            trade_pb2.ExecuteRequest(
                symbol=order["symbol"], side=order["side"], qty_usd=order["qtyUsd"], confidence=order["confidence"]
            ),
            timeout=10,
        )
    return caught.value.code(), error_info(caught.value).reason


@pytest.mark.parametrize(("changes", "status", "reason", "code"), REFUSALS)
def test_a_refusal_has_its_status_and_the_same_reason_on_both_wires(
    flat: Tollgate, changes: dict[str, Any], status: int, reason: str, code: grpc.StatusCode
) -> None:
    told = execute(flat, **changes)
    assert (told.status, told.reason) == (status, reason)
    assert grpc_refusal(flat, **changes) == (code, reason)


def test_an_order_that_is_not_there_is_404_on_both_wires(tollgate: Tollgate) -> None:
    told = tollgate.get("/api/trade/orders/never-sent")
    assert (told.status, told.reason) == (404, "ORDER_NOT_FOUND")
    with tollgate.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        trade_pb2_grpc.TradeServiceStub(channel).GetOrder(trade_pb2.GetOrderRequest(idempotency_key="never-sent"))
    assert (caught.value.code(), error_info(caught.value).reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")


def test_a_halt_is_423_on_both_wires(tollgate: Tollgate) -> None:
    tollgate.post("/api/risk/halt", {"actor": "ann", "reason": "drill"})
    try:
        told = execute(tollgate)
        assert (told.status, told.reason) == (423, "HALTED")
        assert grpc_refusal(tollgate) == (grpc.StatusCode.FAILED_PRECONDITION, "HALTED")
    finally:
        tollgate.resume("ann", "drill over")


def test_a_key_with_other_content_is_422_and_a_copy_is_replayed(flat: Tollgate) -> None:
    key = fresh_key()
    first = execute(flat, idempotencyKey=key, qtyUsd=200).json
    again = execute(flat, idempotencyKey=key, qtyUsd=200).json
    assert again == first | {"replayed": True}
    reused = execute(flat, idempotencyKey=key, qtyUsd=201)
    assert (reused.status, reused.reason) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_the_header_counts_as_the_key(flat: Tollgate) -> None:
    key = fresh_key()
    body = {**ORDER, "qtyUsd": 200}
    first = flat.post("/api/trade/execute", body, headers={"idempotency-key": key}).json
    assert first["order"]["idempotencyKey"] == key
    assert flat.post("/api/trade/execute", body, headers={"idempotency-key": key}).json["replayed"]


def test_fifty_copies_at_once_are_one_fill_and_fifty_equal_answers(flat: Tollgate) -> None:
    key = fresh_key()
    records = flat.get("/health").json["journal"]["records"]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: execute(flat, idempotencyKey=key), range(50)))
    told = [{name: value for name, value in answer.json.items() if name != "replayed"} for answer in answers]
    assert [answer.status for answer in answers] == [200] * 50
    assert told == [told[0]] * 50
    assert flat.get("/health").json["journal"]["records"] == records + 2, "one intent and one outcome"


BAD_BODIES = [
    (b"{", "body"),
    (b"[1]", "body"),
    (b"\xff", "body"),
    (json.dumps(ORDER | {"idempotencykey": "k"}).encode(), "idempotencykey"),
    (json.dumps(ORDER | {"qtyUsd": "much"}).encode(), "qtyUsd"),
    (json.dumps(ORDER | {"qtyUsd": True}).encode(), "qtyUsd"),
    (json.dumps(ORDER | {"qtyUsd": 0}).encode(), "qtyUsd"),
    (json.dumps(ORDER | {"qtyUsd": 1e30}).encode(), "qtyUsd"),
    (json.dumps(ORDER | {"qtyUsd": 1.123456789}).encode(), "qtyUsd"),
    (json.dumps(ORDER | {"qtyUsd": "NaN"}).encode(), "qtyUsd"),
    (json.dumps(ORDER).replace("2000", "Infinity").encode(), "qtyUsd"),
    (json.dumps(ORDER | {"side": "hold"}).encode(), "side"),
    (json.dumps(ORDER | {"symbol": "btc"}).encode(), "symbol"),
    (json.dumps(ORDER | {"idempotencyKey": ""}).encode(), "idempotencyKey"),
    (json.dumps(ORDER | {"idempotencyKey": "k" * 10_000}).encode(), "idempotencyKey"),
    (json.dumps({"symbol": "BTCUSDT"}).encode(), "side"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES)
def test_bad_input_is_a_400_naming_the_field_and_no_order_is_kept(flat: Tollgate, body: bytes, field: str) -> None:
    records = flat.get("/health").json["journal"]["records"]
    answer = flat.post("/api/trade/execute", body)
    assert (answer.status, answer.metadata["field"]) == (400, field), answer.body
    assert answer.reason in {"INVALID_FIELD", "NON_FINITE"}
    assert b"Traceback" not in answer.body
    assert flat.get("/health").json["journal"]["records"] == records


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"mom_20": 1.0}, "MISSING_FEATURE"),
        (DECISION["features"] | {"x": 1.0}, "UNKNOWN_FEATURE"),
        (DECISION["features"] | {"rv_5": "NaN"}, "NON_FINITE"),
    ],
)
def test_bad_features_are_400_by_their_reason(tollgate: Tollgate, features: dict[str, Any], reason: str) -> None:
    answer = tollgate.post("/api/ai/consensus", DECISION | {"features": features})
    assert (answer.status, answer.reason) == (400, reason)


@pytest.fixture(scope="module")
def small(start_stack: Callable[..., Tollgate]) -> Tollgate:
    """A stack of its own with tight limits: ten calls a minute, and a drawdown lock at half a percent."""
    return start_stack(RATE_LIMIT_MAX="10", MAX_DRAWDOWN_PCT="0.005", PRICE_AGE_MS_MAX="1500")


def simulator(tollgate: Tollgate, control: str, **body: Any) -> None:
    """A word to the simulated market: freeze, price or depth."""
    assert isinstance(tollgate.controls, Stack)
    port = tollgate.controls.ports.simulator
    assert call("POST", f"http://127.0.0.1:{port}/_control/{control}", body=body).status == 200


def test_the_drawdown_lock_is_423_survives_a_kill_and_is_lifted_by_a_reset(small: Tollgate) -> None:
    assert execute(small).status == 200
    simulator(small, "price", symbol="BTCUSDT", factor=0.5)
    wait_until(lambda: small.get("/health").json["risk"]["state"] == "locked")
    assert execute(small).reason == "RISK_LOCKED"
    simulator(small, "price", symbol="BTCUSDT", factor=2.0)
    with small.without("gateway"):
        pass
    told = execute(small)
    assert (told.status, told.reason) == (423, "RISK_LOCKED")
    closing = small.post(
        "/api/trade/execute", {"symbol": "BTCUSDT", "side": "sell", "qtyUsd": 5000, "reduceOnly": True}
    )
    assert closing.json["ok"], "an exit passes the lock"
    assert small.post("/api/risk/reset", {"actor": "ann", "reason": "reviewed"}).json["risk"]["state"] == "active"
    assert execute(small, qtyUsd=200).status == 200


def test_a_frozen_market_is_503_and_recovers(small: Tollgate) -> None:
    with small.without("gateway"):  # a fresh rate limit
        pass
    simulator(small, "freeze", frozen=True)
    wait_until(lambda: not is_well(small.get("/health")))
    told = execute(small)
    assert (told.status, told.reason) == (503, "MARKET_DATA_STALE")
    assert told.headers["retry-after"] == "1"
    assert grpc_refusal(small) == (grpc.StatusCode.UNAVAILABLE, "MARKET_DATA_STALE")
    simulator(small, "freeze", frozen=False)
    wait_until(lambda: is_well(small.get("/health")))
    assert execute(small, qtyUsd=200).status == 200


def test_too_many_calls_are_429_with_a_time_to_wait_on_both_wires(small: Tollgate) -> None:
    answers = [small.post("/api/ai/consensus", DECISION) for _ in range(12)]
    told = answers[-1]
    assert (told.status, told.reason) == (429, "RATE_LIMITED")
    assert 1 <= int(told.headers["retry-after"]) <= 120
    assert grpc_refusal(small) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")
    usage = small.get("/health").json["rateLimit"]
    assert (usage["used"], usage["max"]) == (10, 10)


def test_a_dead_model_service_is_503_on_both_wires(tollgate: Tollgate) -> None:
    with tollgate.without("model"):
        told = tollgate.post("/api/ai/consensus", DECISION)
        assert (told.status, told.reason) == (503, "MODEL_UNAVAILABLE")
        with tollgate.channel() as channel, pytest.raises(grpc.RpcError) as caught:
            consensus_pb2_grpc.ConsensusServiceStub(channel).GetConsensus(
                consensus_pb2.GetConsensusRequest(**DECISION), timeout=10
            )
        assert (caught.value.code(), error_info(caught.value).reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "MODEL_UNAVAILABLE",
        )
    wait_until(lambda: tollgate.post("/api/ai/consensus", DECISION).status == 200, seconds=5)


def test_a_locked_journal_is_503_within_a_second_sends_nothing_and_recovers(
    start_stack: Callable[..., Tollgate],
) -> None:
    tollgate = start_stack()
    assert isinstance(tollgate.controls, Stack)
    journal = tollgate.controls.state_dir / "journal.sqlite3"
    with contextlib.closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        told = execute(tollgate)
        assert time.monotonic() - begun < 1
        assert (told.status, told.reason) == (503, "JOURNAL_UNAVAILABLE")
        assert grpc_refusal(tollgate) == (grpc.StatusCode.UNAVAILABLE, "JOURNAL_UNAVAILABLE")
        assert not tollgate.get("/health").json["journal"]["ok"]
        other.execute("ROLLBACK")
    assert tollgate.get("/api/trade/positions").json["positions"] == []
    assert execute(tollgate).status == 200
    assert tollgate.get("/health").json["journal"]["ok"]


def test_the_logs_hold_what_the_runbook_greps(flat: Tollgate) -> None:
    key = fresh_key()
    execute(flat, idempotencyKey=key, qtyUsd=200)
    wait_until(lambda: any("trade_execution" in line and key in line for line in flat.controls.lines("gateway")))
    assert any("model_loaded" in line for line in flat.controls.lines("model"))
