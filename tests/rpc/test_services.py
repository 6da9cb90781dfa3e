"""The services over a real gRPC server: answers, and every refusal with its reason and codes."""

import asyncio
import json

import grpc
import pytest
from builders import BTC, FEATURES, NOW_MS, a_book, a_prediction, a_series, a_shadow
from google.api import httpbody_pb2
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from refusals import refused
from trading.v1 import (
    consensus_pb2,
    consensus_pb2_grpc,
    json_edge_pb2_grpc,
    risk_pb2,
    risk_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)

from gateway.core.model import OrderState, WatchState
from gateway.core.reasons import CODES, Reason

ORDER = {"symbol": BTC, "side": "buy", "qty_usd": 2000.0, "confidence": 0.9}
ORDER_JSON = {"symbol": BTC, "side": "buy", "qtyUsd": 2000, "confidence": 0.9}


def execute(running, metadata=None, **changes):
    stub = trade_pb2_grpc.TradeServiceStub(running.channel)
    return stub.Execute(trade_pb2.ExecuteRequest(**ORDER | changes), metadata=metadata, timeout=5)


def consensus(running, features=None, symbol=BTC):
    stub = consensus_pb2_grpc.ConsensusServiceStub(running.channel)
    return stub.GetConsensus(
        consensus_pb2.GetConsensusRequest(symbol=symbol, features=FEATURES if features is None else features), timeout=5
    )


def post(running, method, body, metadata=None):
    stub = json_edge_pb2_grpc.JsonEdgeServiceStub(running.channel)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return getattr(stub, method)(httpbody_pb2.HttpBody(data=data), metadata=metadata, timeout=5)


async def test_execute_answers_as_documented(running):
    answer = await execute(running)
    assert answer.ok
    assert answer.dry_run
    assert answer.message == "Paper trading mode - order simulated"
    assert (answer.order.qty_usd, answer.order.state, answer.order.side) == (1800.0, "filled", "buy")
    assert [(step.step, step.to_usd) for step in answer.order.adjustments] == [("confidence", 1800.0)]


async def test_consensus_answers_as_documented_and_is_recorded_first(running):
    answer = await consensus(running)
    assert (answer.signal, answer.prob_long, answer.prob_short) == ("long", 0.75, 0.25)
    assert (answer.confidence, answer.threshold, answer.allow, list(answer.reasons)) == (0.65, 0.6, True, [])
    assert running.world.journal.decisions[answer.decision_id].members == (0.7, 0.8, 0.75)


async def test_a_low_confidence_is_an_answer_not_an_error(running):
    running.model.prediction = a_prediction(confidence=0.55)
    answer = await consensus(running)
    assert (answer.allow, list(answer.reasons)) == (False, ["LOW_CONFIDENCE"])


CONSENSUS_KEYS = {
    "signal",
    "prob_long",
    "prob_short",
    "confidence",
    "model_version",
    "allow",
    "threshold",
    "decision_id",
    "reasons",
    "horizon_seconds",
}


async def test_a_consensus_answer_has_the_documented_keys_and_no_other(running):
    running.model.prediction = a_prediction(shadow=a_shadow())
    answer = await post(running, "GetConsensus", {"symbol": BTC, "features": FEATURES})
    assert set(json_format.MessageToDict(answer, always_print_fields_with_no_presence=True)) == CONSENSUS_KEYS


COMPUTED = {"mom_20": 0.3, "rv_5": 0.9, "rsi_14": 55.0}


def with_bars(running):
    running.world.market.series[BTC] = a_series()
    running.model.computed = COMPUTED


@pytest.mark.parametrize("body", [{"symbol": BTC}, {"symbol": BTC, "features": {}}])
async def test_a_symbol_alone_is_a_question(running, body):
    with_bars(running)
    over_json = await post(running, "GetConsensus", body)
    over_grpc = await consensus(running, features={})
    assert (over_json.signal, over_grpc.signal) == ("long", "long")
    kept = running.world.journal.decisions
    assert [kept[answer.decision_id].features for answer in (over_json, over_grpc)] == [COMPUTED, COMPUTED]


async def test_a_batch_may_mix_symbols_alone_with_features(running):
    with_bars(running)
    body = {"requests": [{"symbol": BTC}, {"symbol": BTC, "features": FEATURES}]}
    answer = await post(running, "BatchGetConsensus", body)
    kept = running.world.journal.decisions
    assert [kept[one.decision_id].features for one in answer.responses] == [COMPUTED, FEATURES]


async def test_a_symbol_alone_without_fresh_bars_is_503_and_tells_the_figures(running):
    told = await refused(post(running, "GetConsensus", {"symbol": BTC}))
    assert (told.reason, told.http_status) == ("MARKET_DATA_STALE", "503")
    assert told.metadata == {"symbol": BTC, "bars": "0", "bars_min": "250"}
    told = await refused(post(running, "BatchGetConsensus", {"requests": [{"symbol": BTC}]}))
    assert (told.reason, told.metadata["row"]) == ("MARKET_DATA_STALE", "0")


async def test_a_symbol_alone_to_a_model_whose_server_computes_nothing_is_400(running):
    running.world.market.series[BTC] = a_series()
    told = await refused(consensus(running, features={}))
    assert (told.reason, told.http_status, told.metadata) == ("MISSING_FEATURE", "400", {"field": "features"})


@pytest.mark.parametrize(
    ("prediction", "reason"),
    [({"dissimilarity": 1.5}, "OUT_OF_DISTRIBUTION"), ({"expire_ms": NOW_MS}, "MODEL_EXPIRED")],
)
async def test_a_decision_that_the_model_is_held_against_is_answered_and_its_order_is_412(running, prediction, reason):
    running.model.prediction = a_prediction(**prediction)
    answer = await consensus(running)
    assert (answer.allow, list(answer.reasons)) == (False, [reason])
    request = trade_pb2.ExecuteRequest(symbol=BTC, side="buy", qty_usd=2000.0, decision_id=answer.decision_id)
    told = await refused(trade_pb2_grpc.TradeServiceStub(running.channel).Execute(request))
    assert (told.code, told.reason, told.http_status) == (grpc.StatusCode.FAILED_PRECONDITION, reason, "412")
    assert told.metadata["decisionId"] == answer.decision_id


async def test_an_abstaining_watch_is_412_for_every_opening_order(running):
    running.world.calibration.state = WatchState.ABSTAINING
    assert list((await consensus(running)).reasons) == ["CALIBRATION_DRIFT"]
    told = await refused(execute(running))
    assert (told.reason, told.http_status, told.metadata) == (
        "CALIBRATION_DRIFT",
        "412",
        {"calibration": "abstaining"},
    )


async def test_a_raised_threshold_is_answered_and_held_against_orders(running):
    running.world.calibration.threshold = 0.95
    answer = await consensus(running)
    assert (answer.threshold, answer.allow) == (0.95, False)
    told = await refused(execute(running))
    assert (told.reason, told.metadata) == (
        "LOW_CONFIDENCE",
        {"confidence": "0.9", "threshold": "0.95", "threshold_configured": "0.6"},
    )


async def test_a_batch_answers_every_row_in_order(running):
    stub = consensus_pb2_grpc.ConsensusServiceStub(running.channel)
    row = consensus_pb2.GetConsensusRequest(symbol=BTC, features=FEATURES)
    answer = await stub.BatchGetConsensus(consensus_pb2.BatchGetConsensusRequest(requests=[row] * 3))
    assert len({one.decision_id for one in answer.responses}) == 3


async def test_a_bad_row_refuses_the_batch_by_number_and_records_nothing(running):
    stub = consensus_pb2_grpc.ConsensusServiceStub(running.channel)
    good = consensus_pb2.GetConsensusRequest(symbol=BTC, features=FEATURES)
    bad = consensus_pb2.GetConsensusRequest(symbol=BTC, features={"mom_20": 1.0})
    told = await refused(stub.BatchGetConsensus(consensus_pb2.BatchGetConsensusRequest(requests=[good, bad])))
    assert (told.reason, told.metadata["row"]) == ("MISSING_FEATURE", "1")
    assert running.world.journal.decisions == {}


async def test_a_stream_answers_in_order_and_ends_with_the_first_failure(running):
    stub = consensus_pb2_grpc.ConsensusServiceStub(running.channel)
    good = consensus_pb2.StreamConsensusRequest(
        request=consensus_pb2.GetConsensusRequest(symbol=BTC, features=FEATURES)
    )
    stream = stub.StreamConsensus(iter([good, good, consensus_pb2.StreamConsensusRequest()]))
    ids = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for one in stream:
            ids.append(one.response.decision_id)  # noqa: PERF401 - what came before the failure counts
    assert len(ids) == 2
    assert sorted(ids) == ids
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"symbol": "btc usdt"}, "INVALID_FIELD", "symbol"),
        ({"symbol": ""}, "INVALID_FIELD", "symbol"),
        ({"side": "BUY"}, "INVALID_FIELD", "side"),
        ({"qty_usd": 0.0}, "INVALID_FIELD", "qtyUsd"),
        ({"qty_usd": -1.0}, "INVALID_FIELD", "qtyUsd"),
        ({"qty_usd": 1e30}, "INVALID_FIELD", "qtyUsd"),
        ({"qty_usd": 2000.123456789}, "INVALID_FIELD", "qtyUsd"),
        ({"qty_usd": float("nan")}, "NON_FINITE", "qtyUsd"),
        ({"qty_usd": float("inf")}, "NON_FINITE", "qtyUsd"),
        ({"qty_usd": None}, "INVALID_FIELD", "qtyUsd"),
        ({"confidence": 1.01}, "INVALID_FIELD", "confidence"),
        ({"confidence": float("nan")}, "NON_FINITE", "confidence"),
        ({"confidence": None}, "INVALID_FIELD", "confidence"),
        ({"idempotency_key": ""}, "INVALID_FIELD", "idempotencyKey"),
        ({"idempotency_key": "k" * 10_000}, "INVALID_FIELD", "idempotencyKey"),
        ({"decision_id": ""}, "INVALID_FIELD", "decisionId"),
    ],
)
async def test_bad_orders_are_refused_by_field_and_nothing_is_kept(running, changes, reason, field):
    told = await refused(execute(running, **changes))
    assert (told.code, told.reason, told.http_status) == (grpc.StatusCode.INVALID_ARGUMENT, reason, "400")
    assert told.metadata["field"] == field
    bad = error_details_pb2.BadRequest()
    assert told.status.details[1].Unpack(bad)
    assert bad.field_violations[0].field == field
    assert running.world.journal.records == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 30_000, "body"),
        ({**ORDER_JSON, "idempotencykey": "k"}, "idempotencykey"),
        (json.dumps(ORDER_JSON)[:-1].encode() + b', "qtyUsd": 1}', "qtyUsd"),
        ({**ORDER_JSON, "qty_usd": 1}, "qty_usd"),
        ({**ORDER_JSON, "symbol": "\ud800"}, "symbol"),
        ({**ORDER_JSON, "reduceOnly": 1}, "reduceOnly"),
        ({**ORDER_JSON, "qtyUsd": "abc"}, "qtyUsd"),
        ({**ORDER_JSON, "qtyUsd": True}, "qtyUsd"),
        ({**ORDER_JSON, "qtyUsd": [2000]}, "qtyUsd"),
        ({**ORDER_JSON, "reduceOnly": "yes"}, "reduceOnly"),
        ({**ORDER_JSON, "symbol": 5}, "symbol"),
        (json.dumps(ORDER_JSON).replace("2000", "1e400").encode(), "qtyUsd"),
        (json.dumps(ORDER_JSON).replace("2000", "NaN").encode(), "qtyUsd"),
        (b"", "symbol"),
    ],
)
async def test_bad_json_is_refused_by_field_and_nothing_is_kept(running, body, field):
    told = await refused(post(running, "Execute", body))
    assert (told.code, told.http_status) == (grpc.StatusCode.INVALID_ARGUMENT, "400")
    assert told.metadata["field"] == field
    assert running.world.journal.records == []


async def test_the_json_edge_answers_as_grpc_does(running):
    answer = await post(running, "Execute", ORDER_JSON, metadata=(("idempotency-key", '"abc"'),))
    assert (answer.order.qty_usd, answer.order.idempotency_key, answer.replayed) == (1800.0, "abc", False)
    again = await post(running, "Execute", {**ORDER_JSON, "idempotencyKey": "abc"})
    assert again.replayed
    assert (await post(running, "GetConsensus", {"symbol": BTC, "features": FEATURES})).signal == "long"
    batch = await post(running, "BatchGetConsensus", {"requests": [{"symbol": BTC, "features": FEATURES}]})
    assert len(batch.responses) == 1


@pytest.mark.parametrize(
    "changes", [{"qtyUsd": "2000"}, {"qtyUsd": None, "qty_usd": 2000}, {"decisionId": None}, {"reduceOnly": False}]
)
async def test_other_spellings_of_proto3_json_are_taken(running, changes):
    body = {name: value for name, value in (ORDER_JSON | changes).items() if value is not None or name == "decisionId"}
    assert (await post(running, "Execute", body)).order.qty_usd == 1800.0


async def test_a_key_in_header_and_field_must_agree(running):
    told = await refused(post(running, "Execute", {**ORDER_JSON, "idempotencyKey": "a"}, (("idempotency-key", "b"),)))
    assert (told.reason, told.metadata["field"]) == ("INVALID_FIELD", "idempotencyKey")


async def test_an_empty_key_header_is_refused(running):
    told = await refused(execute(running, metadata=(("idempotency-key", ""),)))
    assert told.metadata["field"] == "idempotencyKey"


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"mom_20": 1.0}, "MISSING_FEATURE"),
        ({**FEATURES, "more": 1.0}, "UNKNOWN_FEATURE"),
        ({**FEATURES, "rv_5": float("inf")}, "NON_FINITE"),
    ],
)
async def test_bad_features_are_refused(running, features, reason):
    told = await refused(consensus(running, features))
    assert (told.reason, told.http_status) == (reason, "400")


async def test_an_unknown_symbol_is_refused_for_decisions_and_orders(running):
    for call in (consensus(running, symbol="DOGEUSDT"), execute(running, symbol="DOGEUSDT")):
        told = await refused(call)
        assert (told.code, told.reason, told.http_status) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "SYMBOL_NOT_ALLOWED",
            "422",
        )


async def test_a_low_confidence_refuses_an_order(running):
    told = await refused(execute(running, confidence=0.5))
    assert (told.reason, told.http_status, told.metadata["threshold"]) == ("LOW_CONFIDENCE", "412", "0.6")


async def test_a_reused_key_is_422(running):
    await execute(running, idempotency_key="k")
    told = await refused(execute(running, idempotency_key="k", qty_usd=1.0))
    assert (told.code, told.http_status) == (grpc.StatusCode.ALREADY_EXISTS, "422")


async def test_a_halt_is_423_until_it_is_resumed(running):
    stub = risk_pb2_grpc.RiskServiceStub(running.channel)
    assert (await stub.Halt(risk_pb2.HaltRequest(actor="ann", reason="drill"))).risk.state == "halted"
    told = await refused(execute(running))
    assert (told.reason, told.http_status) == ("HALTED", "423")
    assert (await consensus(running)).allow is False
    shown = await stub.Resume(risk_pb2.ResumeRequest())
    assert (shown.ok, shown.preview.to_state) == (False, "active")
    assert (await stub.Resume(risk_pb2.ResumeRequest(confirm_token=shown.confirm_token))).risk.state == "active"
    assert (await execute(running, qty_usd=100.0)).ok
    changes = (await stub.GetRisk(risk_pb2.GetRiskRequest())).changes
    assert [(change.actor, change.reason) for change in changes] == [("127.0.0.1", "unstated"), ("ann", "drill")]


async def test_a_model_that_is_down_is_503_and_comes_back(running):
    running.model.down = True
    told = await refused(consensus(running))
    assert (told.code, told.reason, told.http_status) == (grpc.StatusCode.UNAVAILABLE, "MODEL_UNAVAILABLE", "503")
    assert told.trailing["retry-after"] == "1"
    running.model.down = False
    assert (await consensus(running)).signal == "long"


async def test_a_stale_price_is_503(running):
    running.world.clock.at_ms += 60_000
    told = await refused(execute(running))
    assert (told.reason, told.http_status) == ("MARKET_DATA_STALE", "503")


async def test_a_full_journal_is_503_and_nothing_is_sent(running):
    running.world.journal.full = True
    for call in (execute(running), consensus(running)):
        assert (await refused(call)).reason == "JOURNAL_UNAVAILABLE"
    assert running.world.venue.submitted == []


async def test_an_order_that_is_not_there_is_404(running):
    stub = trade_pb2_grpc.TradeServiceStub(running.channel)
    told = await refused(stub.GetOrder(trade_pb2.GetOrderRequest(idempotency_key="none")))
    assert (told.code, told.reason, told.http_status) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND", "404")


async def test_a_lost_answer_is_accepted_not_failed(running):
    running.world.venue.answer = OrderState.UNKNOWN
    call = execute(running)
    answer = await call
    assert (answer.ok, answer.order.state) == (False, "unknown")
    assert dict(await call.initial_metadata())["x-http-status"] == "202"


async def test_orders_and_positions_can_be_read(running):
    await execute(running, idempotency_key="first")
    await refused(execute(running, idempotency_key="second", confidence=0.1))
    stub = trade_pb2_grpc.TradeServiceStub(running.channel)
    page = await stub.ListOrders(trade_pb2.ListOrdersRequest(page_size=1))
    assert [(order.idempotency_key, order.state, order.refusal.reason) for order in page.orders] == [
        ("second", "refused", "LOW_CONFIDENCE")
    ]
    rest = await stub.ListOrders(trade_pb2.ListOrdersRequest(page_token=page.next_page_token))
    assert [order.idempotency_key for order in rest.orders] == ["first"]
    found = await stub.GetOrder(trade_pb2.GetOrderRequest(idempotency_key="first"))
    assert found.order.fills[0].qty == 0.03
    positions = await stub.ListPositions(trade_pb2.ListPositionsRequest())
    assert [(held.symbol, held.side, held.qty) for held in positions.positions] == [(BTC, "buy", 0.03)]
    assert positions.equity_usd == pytest.approx(100_000 - 1800 * 0.00055)


async def test_health_tells_every_part(running):
    stub = system_pb2_grpc.SystemServiceStub(running.channel)
    await running.servicers.system._health.look()  # noqa: SLF001 - what its timer does
    health = await stub.GetHealth(system_pb2.GetHealthRequest())
    assert health.ok
    assert (health.mode, health.model.version, health.market_data.age_ms) == ("paper", "20261123_000000", 0)
    assert health.config.max_drawdown_pct == 0.15
    assert not health.config.HasField("target_ann_vol")
    running.world.market.books[BTC] = a_book(received_ms=0)
    assert not (await stub.GetHealth(system_pb2.GetHealthRequest())).ok


async def test_health_checks_follow_the_model_and_the_drain(running):
    stub = health_pb2_grpc.HealthStub(running.channel)

    async def status(name):
        return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status

    assert await status("") == await status("trading.v1.TradeService") == health_pb2.HealthCheckResponse.SERVING
    assert await status("trading.v1.ConsensusService") == health_pb2.HealthCheckResponse.NOT_SERVING
    await running.server.model_answers(True)
    assert await status("trading.v1.ConsensusService") == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_every_service(running):
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await call.read()
    names = {service.name for service in answer.list_services_response.service}
    assert {"trading.v1.TradeService", "trading.v1.JsonEdgeService", "grpc.health.v1.Health"} <= names


async def test_a_message_over_the_limit_is_refused_by_the_server(running):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await post(running, "Execute", b" " * 70_000)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_exception_never_reaches_a_client(running):
    running.world.path._facts = None  # noqa: SLF001 - a defect
    told = await refused(execute(running))
    assert (told.code, told.reason, told.http_status) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", "500")
    assert "NoneType" not in str(told.status)
    assert len(told.metadata["incident"]) == 12


async def test_a_short_deadline_cannot_leave_a_half_recorded_order(running):
    gate = asyncio.Event()
    submit = running.world.venue.submit

    async def slow(approved):
        await gate.wait()
        return await submit(approved)

    running.world.venue.submit = slow
    stub = trade_pb2_grpc.TradeServiceStub(running.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Execute(trade_pb2.ExecuteRequest(**ORDER, idempotency_key="k"), timeout=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    gate.set()
    await running.world.path.drain()
    assert (await execute(running, idempotency_key="k")).replayed
    assert len(running.world.venue.submitted) == 1


async def test_draining_refuses_new_orders(running):
    running.servicers.trade.drain()
    told = await refused(execute(running))
    assert (told.reason, told.http_status) == ("GATEWAY_UNAVAILABLE", "503")


async def test_request_ids_come_back(running):
    call = execute(running, metadata=(("x-request-id", "abc"),))
    await call
    assert dict(await call.trailing_metadata())["x-request-id"] == "abc"


def test_every_reason_is_in_the_contract_and_every_status_exists():
    from trading.v1 import errors_pb2

    assert set(errors_pb2.ErrorReason.keys()) == {"ERROR_REASON_UNSPECIFIED", *Reason}
    assert {grpc.StatusCode[codes.grpc] for codes in CODES.values()}


class TestRateLimit:
    @pytest.fixture
    def rate_limit_max(self):
        return 3

    async def test_the_call_over_the_limit_is_429_and_says_when_to_retry(self, running):
        for _ in range(3):
            await consensus(running)
        told = await refused(execute(running))
        assert (told.code, told.reason, told.http_status) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "RATE_LIMITED",
            "429",
        )
        assert 1 <= int(told.trailing["retry-after"]) <= 120
        usage = (
            await system_pb2_grpc.SystemServiceStub(running.channel).GetHealth(system_pb2.GetHealthRequest())
        ).rate_limit
        assert (usage.used, usage.max) == (3, 3)

    async def test_clients_behind_a_trusted_proxy_are_told_apart(self, running):
        for _ in range(3):
            await execute(running, qty_usd=100.0, metadata=(("x-forwarded-for", "10.0.0.1"),))
        told = await refused(execute(running, metadata=(("x-forwarded-for", "9.9.9.9, 10.0.0.1"),)))
        assert told.reason == "RATE_LIMITED"
        assert (await execute(running, qty_usd=100.0, metadata=(("x-forwarded-for", "10.0.0.2"),))).ok

    async def test_a_halt_is_never_limited(self, running):
        stub = risk_pb2_grpc.RiskServiceStub(running.channel)
        for _ in range(5):
            await stub.Halt(risk_pb2.HaltRequest())


async def test_decisions_are_listed_page_by_page(running):
    said = [await consensus(running) for _ in range(3)]
    stub = consensus_pb2_grpc.ConsensusServiceStub(running.channel)
    page = await stub.ListDecisions(consensus_pb2.ListDecisionsRequest(page_size=2))
    rest = await stub.ListDecisions(consensus_pb2.ListDecisionsRequest(page_token=page.next_page_token))
    listed = [*page.decisions, *rest.decisions]
    assert [recorded.decision for recorded in listed] == said[::-1]
    assert {(recorded.symbol, recorded.time.ToMilliseconds()) for recorded in listed} == {(BTC, NOW_MS)}
    assert rest.next_page_token == ""
