"""Health and single predictions, over gRPC and over the strict JSON edge."""

from typing import Any

import pytest
from google.api import httpbody_pb2
from trading.v1 import json_edge_pb2_grpc, model_pb2, model_pb2_grpc

SOUND = {"mom_20": 1.2, "rsi_14": 62.0}


def body(text: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="application/json", data=text.encode())


async def test_health_names_the_served_model(serve: Any, fake: Any) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(fake)).channel)
    assert await stub.GetModelHealth(model_pb2.GetModelHealthRequest()) == model_pb2.GetModelHealthResponse(
        ok=True, version="9.9.9", model=model_pb2.ServedModel(name="consensus", version="20260102_030405")
    )


async def test_a_prediction_is_the_same_over_grpc_and_json(serve: Any, fake: Any) -> None:
    channel = (await serve(fake)).channel
    expected = model_pb2.PredictResponse(
        prob_long=0.75,
        prob_short=0.25,
        confidence=0.625,
        model_version="20260102_030405",
        members={"one": 0.75, "two": 0.75},
        disagreement=0.125,
        dissimilarity=0.5,
    )
    request = model_pb2.PredictRequest(features=SOUND, model_name="consensus")
    assert await model_pb2_grpc.ModelServiceStub(channel).Predict(request) == expected
    edge = json_edge_pb2_grpc.ModelJsonEdgeServiceStub(channel)
    assert await edge.Predict(body('{"features":{"mom_20":1.2,"rsi_14":62}}')) == expected


@pytest.mark.parametrize(
    ("text", "code", "reason", "fields"),
    [
        ("{", "INVALID_ARGUMENT", "INVALID_FIELD", ("",)),
        ('{"featurs":{}}', "INVALID_ARGUMENT", "INVALID_FIELD", ("featurs",)),
        ("{}", "INVALID_ARGUMENT", "INVALID_FIELD", ("features",)),
        ('{"features":{}}', "INVALID_ARGUMENT", "INVALID_FIELD", ("features",)),
        ('{"features":{"a b":1}}', "INVALID_ARGUMENT", "INVALID_FIELD", ("features.a b",)),
        ('{"features":{"mom_20":"high"}}', "INVALID_ARGUMENT", "INVALID_FIELD", ("features.mom_20",)),
        ('{"features":{"mom_20":1},"model_name":"../x"}', "INVALID_ARGUMENT", "INVALID_FIELD", ("model_name",)),
        ('{"features":{"mom_20":NaN,"rsi_14":1}}', "INVALID_ARGUMENT", "NON_FINITE", ("features.mom_20",)),
        ('{"features":{"mom_20":1e999,"rsi_14":1}}', "INVALID_ARGUMENT", "NON_FINITE", ("features.mom_20",)),
        ('{"features":{"mom_20":1e39,"rsi_14":1}}', "INVALID_ARGUMENT", "NON_FINITE", ("features.mom_20",)),
        ('{"features":{"mom_20":1}}', "INVALID_ARGUMENT", "MISSING_FEATURE", ("features.rsi_14",)),
        ('{"features":{"mom_20":1,"rsi":1}}', "INVALID_ARGUMENT", "UNKNOWN_FEATURE", ("features.rsi",)),
        ('{"features":{"mom_20":1},"model_name":"other"}', "NOT_FOUND", "MODEL_NOT_FOUND", ()),
    ],
)
async def test_a_faulty_body_is_refused(
    *, serve: Any, fake: Any, refusal: Any, text: str, code: str, reason: str, fields: tuple[str, ...]
) -> None:
    edge = json_edge_pb2_grpc.ModelJsonEdgeServiceStub((await serve(fake)).channel)
    refused = await refusal(edge.Predict(body(text)))
    assert (refused.code, refused.reason, refused.fields) == (code, reason, fields)


async def test_many_violations_are_told_in_part_so_that_the_error_fits_into_metadata(
    serve: Any, fake: Any, refusal: Any
) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(fake)).channel)
    features = {f"{number:064d}": float("nan") for number in range(64)}
    refused = await refusal(stub.Predict(model_pb2.PredictRequest(features=features)))
    assert refused.reason == "NON_FINITE"
    assert len(refused.fields) == 8


async def test_a_body_too_large_carries_the_http_status_that_grpc_has_no_code_for(
    serve: Any, fake: Any, refusal: Any
) -> None:
    edge = json_edge_pb2_grpc.ModelJsonEdgeServiceStub((await serve(fake)).channel)
    refused = await refusal(edge.Predict(body(" " * 70_000)))
    assert (refused.code, refused.reason, refused.http) == ("RESOURCE_EXHAUSTED", "BODY_TOO_LARGE", "413")
