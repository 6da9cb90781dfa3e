"""What every call meets: its id, faults of ours, health, reflection, deadlines and the drain."""

import asyncio
import re
import threading
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc
from trading.v1 import model_pb2, model_pb2_grpc

from inference.core.refusal import Reason
from inference.rpc.errors import STATUSES
from inference.rpc.server import SERVICES

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def many_rows() -> oip.ModelInferRequest:
    """Enough rows that they are scored in the thread."""
    request = oip.ModelInferRequest(model_name="consensus")
    for name in ("mom_20", "rsi_14"):
        request.inputs.add(name=name, datatype="FP32", shape=[1000])
        request.raw_input_contents.append(np.ones(1000, "<f4").tobytes())
    return request


async def health_of(channel: grpc.aio.Channel, service: str) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


def test_every_reason_has_a_status() -> None:
    assert set(STATUSES) == set(Reason)


@pytest.mark.parametrize("sent", ["req-42", None, "bad id", "x" * 500])
async def test_a_call_keeps_its_sane_id_or_gets_one(serve: Any, fake: Any, sent: str | None) -> None:
    served = await serve(fake)
    metadata = () if sent is None else (("x-request-id", sent),)
    call = model_pb2_grpc.ModelServiceStub(served.channel).GetModelHealth(
        model_pb2.GetModelHealthRequest(), metadata=metadata
    )
    answered = dict(await call.initial_metadata())["x-request-id"]
    await call
    assert answered == "req-42" if sent == "req-42" else re.fullmatch("[0-9a-f]{32}", answered)
    assert ("debug", "answered", {"call": "GetModelHealth", "request_id": answered}) in served.log.lines


async def test_an_inference_carries_its_id_in_the_trailing_metadata(serve: Any, fake: Any) -> None:
    served = await serve(fake)
    call = oip_grpc.GRPCInferenceServiceStub(served.channel).ModelInfer(many_rows(), metadata=(("x-request-id", "a1"),))
    await call
    assert dict(await call.trailing_metadata())["x-request-id"] == "a1"


async def test_an_error_has_no_initial_metadata_and_is_logged_with_its_id(serve: Any, fake: Any) -> None:
    served = await serve(fake)
    call = model_pb2_grpc.ModelServiceStub(served.channel).Predict(
        model_pb2.PredictRequest(features={"mom_20": 1}), metadata=(("x-request-id", "a1"),)
    )
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not dict(await call.initial_metadata())
    assert dict(await call.trailing_metadata())["x-request-id"] == "a1"
    expected = {"call": "Predict", "reason": "MISSING_FEATURE", "request_id": "a1"}
    assert served.log.lines == [("info", "refused", expected)]


async def test_a_fault_of_ours_tells_the_client_an_incident_and_nothing_else(
    serve: Any, fake: Any, refusal: Any
) -> None:
    fake.fails_with = RuntimeError("secret detail")
    served = await serve(fake)
    refused = await refusal(oip_grpc.GRPCInferenceServiceStub(served.channel).ModelInfer(many_rows()))
    assert (refused.code, refused.reason) == ("INTERNAL", "INTERNAL_ERROR")
    assert "secret" not in refused.message
    assert refused.metadata["incident"] in refused.message
    ((level, event, keys),) = served.log.lines
    assert (level, event, keys["incident"]) == ("exception", "internal_error", refused.metadata["incident"])


async def test_health_is_told_for_each_service_and_for_the_whole(serve: Any, fake: Any) -> None:
    channel = (await serve(fake)).channel
    for service in ("", *SERVICES):
        assert await health_of(channel, service) == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_of(channel, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_every_service(serve: Any, fake: Any) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub((await serve(fake)).channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await anext(aiter(call))
    listed = {service.name for service in answer.list_services_response.service}
    assert set(SERVICES) | {"grpc.health.v1.Health"} <= listed


async def test_a_deadline_ends_the_call_and_the_server_goes_on(serve: Any, fake: Any) -> None:
    fake.released = threading.Event()
    served = await serve(fake)
    stub = oip_grpc.GRPCInferenceServiceStub(served.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(many_rows(), timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    fake.released.set()
    assert len((await stub.ModelInfer(many_rows())).outputs) == 5


async def test_a_drain_says_not_serving_refuses_new_calls_and_lets_running_ones_finish(
    serve: Any, fake: Any, refusal: Any
) -> None:
    fake.released = threading.Event()
    served = await serve(fake)
    stub = oip_grpc.GRPCInferenceServiceStub(served.channel)
    running = asyncio.ensure_future(stub.ModelInfer(many_rows()))
    await asyncio.to_thread(fake.started.wait, 5)
    watch = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=5)
    stopping = asyncio.create_task(served.server.stop(5.0))
    async for told in watch:
        if told.status == NOT_SERVING:
            break
    watch.cancel()
    refused = await refusal(stub.ModelInfer(many_rows()))
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "MODEL_UNAVAILABLE")
    assert not running.done()
    fake.released.set()
    assert len((await running).outputs) == 5
    assert await stopping is True


async def test_a_drain_ends_after_its_time_even_when_a_call_does_not(serve: Any, fake: Any) -> None:
    fake.released = threading.Event()
    served = await serve(fake)
    running = oip_grpc.GRPCInferenceServiceStub(served.channel).ModelInfer(many_rows())
    await asyncio.to_thread(fake.started.wait, 5)
    assert await served.server.stop(0.1) is False
    assert await running.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
    fake.released.set()


async def test_more_calls_than_the_limit_are_refused(serve: Any, fake: Any) -> None:
    fake.released = threading.Event()
    served = await serve(fake, calls_max=1)
    stub = oip_grpc.GRPCInferenceServiceStub(served.channel)
    running = asyncio.ensure_future(stub.ModelInfer(many_rows()))
    await asyncio.to_thread(fake.started.wait, 5)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(many_rows())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    fake.released.set()
    await running
