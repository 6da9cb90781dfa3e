"""What Envoy owns: routes, limits, the shape of its errors, the three protocols on one port, dead parts."""

import json
import socket
import struct
import time
import urllib.parse
import uuid
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from open_inference import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc
from running import Answer, Tollgate, call, error_info, wait_until
from trading.v1 import consensus_pb2, consensus_pb2_grpc, trade_pb2, trade_pb2_grpc

FEATURES = {"mom_20": 1.2, "rv_5": 0.8, "rsi_14": 62.0}
DECISION = {"symbol": "BTCUSDT", "features": FEATURES}
ORDER = {"symbol": "BTCUSDT", "side": "buy", "qtyUsd": 200, "confidence": 0.9}
ANOTHER_ORIGIN = {"origin": "http://elsewhere.example"}


def assert_error(answer: Answer, status: int, reason: str) -> None:
    assert (answer.status, answer.reason) == (status, reason), answer.body
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json) == {"code", "message", "details"}
    assert answer.json["message"]
    info = answer.json["details"][0]
    assert (info["@type"], info["domain"]) == ("type.googleapis.com/google.rpc.ErrorInfo", "tollgate")


def raw(base: str, request: bytes) -> bytes:
    """Send bytes that no HTTP library would, and read what comes."""
    parts = urllib.parse.urlsplit(base)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("GET", "/api/nope"),
        ("GET", "/api/trade/execute"),
        ("DELETE", "/api/trade/execute"),
        ("POST", "/health"),
        ("POST", "/trading.v1.TradeService/Execute"),
    ],
)
def test_a_route_that_is_not_there_is_a_404_in_json(tollgate: Tollgate, method: str, path: str) -> None:
    assert_error(call(method, tollgate.gateway + path), 404, "ROUTE_NOT_FOUND")
    assert_error(call(method, tollgate.model + path.replace("/health", "/healthy")), 404, "ROUTE_NOT_FOUND")


def test_a_body_over_64_kib_is_a_413_and_a_batch_may_have_4_mib(tollgate: Tollgate) -> None:
    assert_error(tollgate.post("/api/trade/execute", b" " * 65_537), 413, "BODY_TOO_LARGE")
    assert_error(tollgate.post("/api/ai/consensus", b" " * 65_537), 413, "BODY_TOO_LARGE")
    assert_error(tollgate.post("/api/model/predict", b" " * 65_537, base=tollgate.model), 413, "BODY_TOO_LARGE")
    assert_error(tollgate.post("/api/ai/consensus:batch", b" " * (4 * 2**20 + 1)), 413, "BODY_TOO_LARGE")
    batch = tollgate.post("/api/ai/consensus:batch", {"requests": [DECISION] * 2_000})
    assert (batch.status, len(batch.json["responses"])) == (200, 2_000)


@pytest.mark.parametrize(
    ("path", "named"), [("/api/trade/orders?nope=1", "nope"), ("/api/trade/orders?pageSize=many", "page_size")]
)
def test_a_query_that_the_contract_does_not_know_is_a_400_naming_it(tollgate: Tollgate, path: str, named: str) -> None:
    answer = tollgate.get(path)
    assert_error(answer, 400, "INVALID_FIELD")
    assert named in answer.json["message"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"symbol":"BTCUSDT","side":"buy","qtyUsd":50,"confidence":0.9,"idempotencykey":"k"}', "idempotencykey"),
        (b'{"symbol":"BTCUSDT","side":"buy","qtyUsd":50,"qtyUsd":60,"confidence":0.9}', "qtyUsd"),
        (b'{"symbol":"BTCUSDT","side":"buy","qtyUsd":NaN,"confidence":0.9}', "qtyUsd"),
        (b'{"symbol":"BTCUSDT","side":"buy","qtyUsd":1e30,"confidence":0.9}', "qtyUsd"),
        (b'{"symbol":"BTCUSDT","side":"buy","qtyUsd":-1,"confidence":0.9}', "qtyUsd"),
        (b'{"symbol":"BTCUSDT","side":"hold","qtyUsd":50,"confidence":0.9}', "side"),
        (b'{"symbol":7,"side":"buy","qtyUsd":50,"confidence":0.9}', "symbol"),
        (b'{"symbol":"BTCUSDT","side":"buy","confidence":0.9}', "qtyUsd"),
        (b"{", "body"),
        (b"", "symbol"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
    ],
)
def test_a_body_that_breaks_the_contract_is_a_400_naming_the_field(tollgate: Tollgate, body: bytes, field: str) -> None:
    answer = tollgate.post("/api/trade/execute", body)
    assert answer.status == 400, answer.body
    assert answer.metadata["field"] == field


@pytest.mark.parametrize("key", ["k" * 10_000, "k" * 129, "with space", "caf\xe9"])
def test_an_idempotency_key_that_is_none_is_a_400_naming_it(tollgate: Tollgate, key: str) -> None:
    answer = tollgate.post("/api/trade/execute", ORDER, headers={"idempotency-key": key})
    assert_error(answer, 400, "INVALID_FIELD")
    assert answer.metadata["field"] == "idempotencyKey"


@pytest.mark.parametrize("name", [b"x-a|b", b"5B$", b"x-note", b"user-agent"])
def test_headers_that_grpc_cannot_carry_do_no_harm(tollgate: Tollgate, name: bytes) -> None:
    request = b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n" + name + b": caf\xe9\r\n\r\n"
    assert raw(tollgate.gateway, request).startswith(b"HTTP/1.1 200 ")


def test_headers_over_32_kib_are_refused_in_json(tollgate: Tollgate) -> None:
    answer = tollgate.post("/api/trade/execute", ORDER, headers={"x-much": "m" * 40_000})
    assert_error(answer, 431, "INVALID_FIELD")


def test_what_is_no_http_is_a_400_in_json(tollgate: Tollgate) -> None:
    head, _, body = raw(tollgate.gateway, b"NONSENSE\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["details"][0]["reason"] == "INVALID_FIELD"


def test_an_escaped_slash_in_a_path_is_refused(tollgate: Tollgate) -> None:
    assert_error(tollgate.get("/api/trade/orders/a%2Fb"), 400, "INVALID_FIELD")


def test_a_header_of_binary_metadata_from_a_json_client_does_no_harm(tollgate: Tollgate) -> None:
    assert tollgate.get("/health", **{"x-odd-bin": "!!"}).status == 200


def test_a_risk_reset_needs_no_body(tollgate: Tollgate) -> None:
    parts = urllib.parse.urlsplit(tollgate.gateway)
    request = f"POST /api/risk/reset HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    assert raw(tollgate.gateway, request.encode()).startswith(b"HTTP/1.1 200")


def test_a_page_of_another_site_cannot_send_an_order(tollgate: Tollgate) -> None:
    assert_error(tollgate.post("/api/trade/execute", ORDER, headers=ANOTHER_ORIGIN), 403, "FORBIDDEN")
    assert_error(tollgate.post("/api/risk/reset", base=tollgate.dashboard, headers=ANOTHER_ORIGIN), 403, "FORBIDDEN")
    assert (
        tollgate.post("/api/risk/reset", base=tollgate.dashboard, headers={"origin": tollgate.dashboard}).status == 200
    )


def test_a_request_id_is_kept_or_made_and_stands_in_every_answer(tollgate: Tollgate) -> None:
    assert tollgate.get("/health", **{"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert tollgate.get("/nope", **{"x-request-id": "mine-2"}).headers["x-request-id"] == "mine-2"
    assert uuid.UUID(tollgate.get("/health").headers["x-request-id"])


def test_the_http_status_is_the_gateways_word_not_the_clients(tollgate: Tollgate) -> None:
    answer = tollgate.get("/health", **{"x-http-status": "418"})
    assert (answer.status, answer.headers["x-http-status"]) == (200, None)
    refused = tollgate.post("/api/trade/execute", ORDER | {"confidence": 0.1})
    assert (refused.status, refused.headers["x-http-status"], refused.headers["grpc-status"]) == (412, None, None)


def test_a_refusal_has_the_same_reason_in_json_grpc_and_grpc_web(tollgate: Tollgate) -> None:
    in_json = tollgate.post("/api/trade/execute", ORDER | {"confidence": 0.1})
    order = trade_pb2.ExecuteRequest(symbol="BTCUSDT", side="buy", qty_usd=200, confidence=0.1)
    with tollgate.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        trade_pb2_grpc.TradeServiceStub(channel).Execute(order, timeout=5)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error_info(refused.value).reason == in_json.reason == "LOW_CONFIDENCE"
    web = grpc_web(tollgate.gateway, "/trading.v1.TradeService/Execute", order.SerializeToString())
    assert (web.status, web.headers["grpc-status"]) == (200, str(grpc.StatusCode.FAILED_PRECONDITION.value[0]))


def grpc_web(base: str, path: str, message: bytes) -> Answer:
    """One call of grpc-web: a length-prefixed message over plain HTTP/1.1."""
    frame = struct.pack(">BI", 0, len(message)) + message
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    return call("POST", base + path, body=frame, headers=headers)


@pytest.mark.parametrize("port", ["gateway", "dashboard"])
def test_grpc_web_brings_a_decision_and_its_trailers_in_the_body(tollgate: Tollgate, port: str) -> None:
    request = consensus_pb2.GetConsensusRequest(symbol="BTCUSDT", features=FEATURES)
    answer = grpc_web(getattr(tollgate, port), "/trading.v1.ConsensusService/GetConsensus", request.SerializeToString())
    size = struct.unpack(">BI", answer.body[:5])[1]
    assert consensus_pb2.GetConsensusResponse.FromString(answer.body[5 : 5 + size]).decision_id
    assert b"grpc-status:0" in answer.body[5 + size :]


def test_a_grpc_stream_passes_in_both_directions(tollgate: Tollgate) -> None:
    request = consensus_pb2.GetConsensusRequest(symbol="BTCUSDT", features=FEATURES)
    with tollgate.channel() as channel:
        stream = consensus_pb2_grpc.ConsensusServiceStub(channel).StreamConsensus(
            iter([consensus_pb2.StreamConsensusRequest(request=request)] * 3), timeout=10
        )
        assert len({answer.response.decision_id for answer in stream}) == 3


def test_both_ports_answer_health_reflection_and_their_own_protocol(tollgate: Tollgate) -> None:
    for base in (tollgate.gateway, tollgate.model):
        with tollgate.channel(base) as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
            told = next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=5))
            assert "grpc.health.v1.Health" in {service.name for service in told.list_services_response.service}
    with tollgate.channel(tollgate.model) as channel:
        inference = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert inference.ServerReady(grpc_predict_v2_pb2.ServerReadyRequest(), timeout=5).ready


def test_events_come_as_lines_of_json_while_they_happen(tollgate: Tollgate) -> None:
    parts = urllib.parse.urlsplit(tollgate.dashboard)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as reader:
        reader.sendall(f"GET /api/events HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        time.sleep(0.3)  # the stream tells what happens from its opening on
        decision = tollgate.post("/api/ai/consensus", DECISION).json
        stream = b""
        while decision["decision_id"].encode() not in stream:
            piece = reader.recv(65_536)
            assert piece, stream
            stream += piece
    assert b"content-type: application/x-ndjson" in stream


def test_the_dashboard_is_served_with_a_strict_policy(tollgate: Tollgate) -> None:
    page = tollgate.get("/", base=tollgate.dashboard)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body.startswith(b"<!doctype html>")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert (page.headers["x-content-type-options"], page.headers["x-frame-options"]) == ("nosniff", "DENY")
    kinds = {
        path: tollgate.get(path, base=tollgate.dashboard).headers["content-type"] for path in ("/app.js", "/style.css")
    }
    assert kinds == {"/app.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8"}


def test_the_promotion_is_told_and_earned_by_evidence_alone(tollgate: Tollgate) -> None:
    told = tollgate.get("/api/promotion").json
    assert (told["promotion"]["stage"], told["nextStage"], told["passes"]) == ("PAPER", "PAPER_TINY", False)
    assert tollgate.get("/health").json["promotion"]["override"] is False
    refused = tollgate.post("/api/promotion/promote", {"actor": "ann", "reason": "in a hurry"})
    assert_error(refused, 412, "PROMOTION_REFUSED")
    assert refused.metadata["criterion"] in {one["name"] for one in told["criteria"]}
    assert_error(tollgate.post("/api/promotion/demote", {"reason": "drill"}), 412, "PROMOTION_REFUSED")
    assert_error(tollgate.post("/api/promotion/promote", {"reason": "x", "force": True}), 400, "INVALID_FIELD")


def test_the_dashboard_has_the_api_on_its_own_origin(tollgate: Tollgate) -> None:
    assert tollgate.get("/health", base=tollgate.dashboard).json["ok"] is True
    assert tollgate.get("/api/risk", base=tollgate.dashboard).json["risk"]["state"] == "active"


@pytest.mark.parametrize(
    "path", ["/nope.js", "/../envoy/envoy.yaml.tmpl", "/%2e%2e/pyproject.toml", "/..%2fpyproject.toml"]
)
def test_the_dashboard_serves_its_folder_and_nothing_beside_it(tollgate: Tollgate, path: str) -> None:
    assert tollgate.get(path, base=tollgate.dashboard).status in {400, 404}


def test_each_request_but_a_good_health_check_is_in_the_access_log(tollgate: Tollgate) -> None:
    tollgate.get("/health", **{"x-request-id": "quiet-health"})
    tollgate.get("/nope", **{"x-request-id": "logged-404"})

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in tollgate.controls.lines("envoy") if line.startswith("{")]

    wait_until(lambda: any(line["request_id"] == "logged-404" for line in lines()))
    logged = next(line for line in lines() if line["request_id"] == "logged-404")
    assert (logged["event"], logged["method"], logged["path"], logged["status"]) == ("access", "GET", "/nope", 404)
    assert not any(line["request_id"] == "quiet-health" for line in lines())


def test_a_dead_gateway_is_a_503_within_a_second_and_comes_back(tollgate: Tollgate) -> None:
    with tollgate.without("gateway"):
        begin = time.monotonic()
        answer = tollgate.post("/api/trade/execute", ORDER)
        assert time.monotonic() - begin < 1.0
        assert_error(answer, 503, "GATEWAY_UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
        order = trade_pb2.ExecuteRequest(symbol="BTCUSDT", side="buy", qty_usd=200, confidence=0.9)
        with tollgate.channel() as channel, pytest.raises(grpc.RpcError) as refused:
            trade_pb2_grpc.TradeServiceStub(channel).Execute(order, timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(refused.value).reason == "GATEWAY_UNAVAILABLE"
        web = grpc_web(tollgate.gateway, "/trading.v1.TradeService/Execute", order.SerializeToString())
        assert (web.status, web.headers["grpc-status"]) == (200, "14")
        assert tollgate.get("/", base=tollgate.dashboard).status == 200
    assert tollgate.post("/api/trade/execute", ORDER).status == 200


def test_a_dead_model_service_is_a_503_within_a_second_and_comes_back(tollgate: Tollgate) -> None:
    with tollgate.without("model"):
        begin = time.monotonic()
        answer = tollgate.post("/api/ai/consensus", DECISION)
        assert time.monotonic() - begin < 1.0
        assert_error(answer, 503, "MODEL_UNAVAILABLE")
        assert_error(tollgate.get("/health", base=tollgate.model), 503, "MODEL_UNAVAILABLE")
        wait_until(lambda: tollgate.get("/health").json["model"]["ok"] is False, 5)
    assert tollgate.post("/api/ai/consensus", DECISION).status == 200
