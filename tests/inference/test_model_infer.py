"""The Open Inference Protocol over a real server."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
import pytest
from kit import a_card
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc

from inference.core.consensus import Ensemble

Change = Callable[[oip.ModelInferRequest], object]


def infer_request(rows: int = 2, *, raw: bool = True, datatype: str = "FP32") -> oip.ModelInferRequest:
    """A sound request for the fake model's two features, in the other order than the card's."""
    request = oip.ModelInferRequest(model_name="consensus", id="r1")
    kind = {"FP32": "<f4", "FP64": "<f8"}[datatype]
    for name, value in (("rsi_14", 62.0), ("mom_20", 1.2)):
        tensor = request.inputs.add(name=name, datatype=datatype, shape=[rows, 1])
        values = np.full(rows, value, kind)
        if raw:
            request.raw_input_contents.append(values.tobytes())
        elif datatype == "FP32":
            tensor.contents.fp32_contents.extend(values.tolist())
        else:
            tensor.contents.fp64_contents.extend(values.tolist())
    return request


def tensor_of(response: oip.ModelInferResponse, name: str) -> np.ndarray[Any, Any]:
    place = [output.name for output in response.outputs].index(name)
    return np.frombuffer(response.raw_output_contents[place], "<f4").reshape(response.outputs[place].shape)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
async def test_rows_are_scored_from_raw_and_typed_contents(serve: Any, fake: Any, raw: bool, datatype: str) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    response = await stub.ModelInfer(infer_request(3, raw=raw, datatype=datatype))
    assert (response.model_name, response.model_version, response.id) == ("consensus", "20260102_030405", "r1")
    assert [(output.name, output.datatype, list(output.shape)) for output in response.outputs] == [
        ("prob_long", "FP32", [3, 1]),
        ("confidence", "FP32", [3, 1]),
        ("members", "FP32", [3, 2]),
        ("disagreement", "FP32", [3, 1]),
        ("dissimilarity", "FP32", [3, 1]),
    ]
    assert tensor_of(response, "prob_long").tolist() == [[0.75]] * 3
    assert tensor_of(response, "confidence").tolist() == [[0.625]] * 3
    assert tensor_of(response, "disagreement").tolist() == [[0.125]] * 3
    assert tensor_of(response, "dissimilarity").tolist() == [[0.5]] * 3


async def test_an_answer_says_what_its_numbers_are_good_for(serve: Any, fake: Any) -> None:
    fake.card = a_card(features=("mom_20", "rsi_14"), market="real", bar_seconds=900, max_age_days=90.5)
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    parameters = (await stub.ModelInfer(infer_request())).parameters
    assert set(parameters) == {"horizon_seconds", "bar_seconds", "market", "expire_ms"}
    assert (parameters["horizon_seconds"].int64_param, parameters["bar_seconds"].int64_param) == (900, 900)
    assert parameters["market"].string_param == "real"
    ages = datetime.fromtimestamp(parameters["expire_ms"].int64_param / 1000, UTC)
    assert ages == datetime(2020, 7, 1, tzinfo=UTC) + timedelta(days=90.5)


async def test_a_model_that_does_not_age_names_no_end(serve: Any, fake: Any) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    assert set((await stub.ModelInfer(infer_request())).parameters) == {"horizon_seconds", "bar_seconds", "market"}


async def test_only_the_outputs_that_are_asked_for_are_sent_in_their_order(serve: Any, fake: Any) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    request = infer_request()
    request.outputs.add(name="confidence")
    request.outputs.add(name="prob_long")
    response = await stub.ModelInfer(request)
    assert [output.name for output in response.outputs] == ["confidence", "prob_long"]
    assert len(response.raw_output_contents) == 2


async def test_the_shipped_model_favours_a_rise_in_an_upward_market_and_agrees_with_itself_in_a_batch(
    serve: Any, shipped: Ensemble
) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(shipped)).channel)
    generator = np.random.default_rng(1)
    drawn = (generator.normal(0, 2, 300), generator.uniform(0.3, 3, 300), generator.uniform(20, 80, 300))
    rows = np.column_stack(drawn)
    rows[0] = (1.2, 0.8, 62.0)

    async def scored(part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        request = oip.ModelInferRequest(model_name="consensus")
        for place, name in enumerate(("mom_20", "rv_5", "rsi_14")):
            request.inputs.add(name=name, datatype="FP32", shape=[len(part)])
            request.raw_input_contents.append(part[:, place].astype("<f4").tobytes())
        response = await stub.ModelInfer(request)
        return np.hstack([tensor_of(response, name) for name in ("prob_long", "confidence", "members")])

    together = await scored(rows)
    alone = np.vstack([await scored(rows[place : place + 1]) for place in range(0, 300, 60)])
    assert np.allclose(together[::60], alone, atol=1e-6)
    assert 0.70 <= together[0, 0] <= 0.80
    assert 0.60 <= together[0, 1] <= 0.70
    assert np.allclose(together[:, 0], together[:, 2:].mean(axis=1), atol=1e-6)
    assert ((together[:, 1] >= 0.5) & (together[:, 1] <= np.maximum(together[:, 0], 1 - together[:, 0]) + 1e-6)).all()


def second_input(**parts: Any) -> Change:
    def change(request: oip.ModelInferRequest) -> None:
        for name, value in parts.items():
            if name == "shape":
                request.inputs[1].shape[:] = value
            else:
                setattr(request.inputs[1], name, value)

    return change


def raw(place: int, values: list[float]) -> Change:
    def change(request: oip.ModelInferRequest) -> None:
        request.raw_input_contents[place] = np.array(values, "<f4").tobytes()

    return change


def without_second(request: oip.ModelInferRequest) -> None:
    del request.inputs[1]
    del request.raw_input_contents[1]


def asking_for(*names: str) -> Change:
    return lambda request: [request.outputs.add(name=name) for name in names]


@pytest.mark.parametrize(
    ("change", "code", "reason", "field"),
    [
        (without_second, "INVALID_ARGUMENT", "MISSING_FEATURE", "features.mom_20"),
        (second_input(name="volume"), "INVALID_ARGUMENT", "UNKNOWN_FEATURE", "features.volume"),
        (second_input(name="x" * 900_000), "INVALID_ARGUMENT", "UNKNOWN_FEATURE", "features." + "x" * 64),
        (second_input(name="rsi_14"), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].name"),
        (second_input(datatype="INT64"), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].datatype"),
        (second_input(datatype=""), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].datatype"),
        (second_input(shape=[]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].shape"),
        (second_input(shape=[1, 2]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].shape"),
        (second_input(shape=[3, 1]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].shape"),
        (second_input(shape=[-1]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].shape"),
        (second_input(shape=[2**62]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].shape"),
        (raw(1, [1.0]), "INVALID_ARGUMENT", "INVALID_FIELD", "inputs[1].shape"),
        (raw(1, [1.0, math.nan]), "INVALID_ARGUMENT", "NON_FINITE", "features.mom_20"),
        (raw(0, [math.inf, 1.0]), "INVALID_ARGUMENT", "NON_FINITE", "features.rsi_14"),
        (
            lambda request: request.raw_input_contents.pop(),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "raw_input_contents",
        ),
        (
            lambda request: request.inputs[0].contents.fp32_contents.append(1),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "inputs[0].contents",
        ),
        (
            lambda request: request.parameters["shadow"].MergeFrom(oip.InferParameter(string_param="true")),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            "parameters.shadow",
        ),
        (asking_for("prob_short"), "INVALID_ARGUMENT", "INVALID_FIELD", "outputs[0].name"),
        (asking_for("members", "members"), "INVALID_ARGUMENT", "INVALID_FIELD", "outputs[1].name"),
    ],
)
async def test_a_faulty_request_is_refused_naming_the_field(
    *, serve: Any, fake: Any, refusal: Any, change: Change, code: str, reason: str, field: str
) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    request = infer_request()
    change(request)
    refused = await refusal(stub.ModelInfer(request))
    assert (refused.code, refused.reason, refused.http) == (code, reason, None)
    assert refused.fields == (field,)


async def test_columns_of_unequal_length_are_refused(serve: Any, fake: Any, refusal: Any) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    request = infer_request()
    raw(1, [1.0])(request)
    second_input(shape=[1])(request)
    refused = await refusal(stub.ModelInfer(request))
    assert (refused.reason, refused.fields) == ("INVALID_FIELD", ("features.rsi_14",))


@pytest.mark.parametrize("rows", [0, 5])
async def test_no_rows_and_more_than_the_limit_are_refused_with_the_limit(
    serve: Any, fake: Any, refusal: Any, rows: int
) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake, rows_max=4)).channel)
    refused = await refusal(stub.ModelInfer(infer_request(rows)))
    assert (refused.reason, refused.fields, refused.metadata["limit"]) == ("INVALID_FIELD", ("inputs",), "4")


@pytest.mark.parametrize(
    ("name", "version"), [("other", ""), ("", ""), ("consensus", "20200101_000000"), ("../consensus", "")]
)
async def test_another_model_or_version_is_not_found(
    serve: Any, fake: Any, refusal: Any, name: str, version: str
) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    request = infer_request()
    request.model_name, request.model_version = name, version
    metadata = oip.ModelMetadataRequest(name=name, version=version)
    for refused in (await refusal(stub.ModelInfer(request)), await refusal(stub.ModelMetadata(metadata))):
        assert (refused.code, refused.reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
        assert refused.metadata == {"model": "consensus", "version": "20260102_030405"}
        assert "The active one is consensus 20260102_030405" in refused.message
    assert not (await stub.ModelReady(oip.ModelReadyRequest(name=name, version=version))).ready


async def test_the_server_and_the_model_say_what_they_are(serve: Any, fake: Any) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake)).channel)
    assert (await stub.ServerLive(oip.ServerLiveRequest())).live
    assert (await stub.ServerReady(oip.ServerReadyRequest())).ready
    assert (await stub.ModelReady(oip.ModelReadyRequest(name="consensus", version="20260102_030405"))).ready
    server = await stub.ServerMetadata(oip.ServerMetadataRequest())
    assert (server.name, server.version, list(server.extensions)) == ("tollgate", "9.9.9", [])
    model = await stub.ModelMetadata(oip.ModelMetadataRequest(name="consensus"))
    assert (model.name, list(model.versions), model.platform) == ("consensus", ["20260102_030405"], "onnxruntime_onnx")
    tensors = [(part.name, part.datatype, list(part.shape)) for part in (*model.inputs, *model.outputs)]
    assert tensors == [
        ("mom_20", "FP32", [-1, 1]),
        ("rsi_14", "FP32", [-1, 1]),
        ("prob_long", "FP32", [-1, 1]),
        ("confidence", "FP32", [-1, 1]),
        ("members", "FP32", [-1, 2]),
        ("disagreement", "FP32", [-1, 1]),
        ("dissimilarity", "FP32", [-1, 1]),
    ]


async def test_a_message_beyond_the_limit_is_refused(serve: Any, fake: Any) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(fake, message_bytes_max=65_536)).channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ModelInfer(infer_request(20_000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
