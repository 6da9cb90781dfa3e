"""The client of the model service, asking real servers: Tollgate's services, and one that knows the protocol alone."""
# ruff: noqa: N802 - the contract names the methods

import math
from array import array
from contextlib import asynccontextmanager

import grpc
import pytest
from builders import BAR_MS, VERSION, a_series
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc
from trading.v1 import model_pb2, model_pb2_grpc

from gateway.adapters.model_client import OipModel
from gateway.core.drift import FeatureReference
from gateway.core.model import BarLabel, Prediction, Shadow
from gateway.ports import ModelChangedError, ModelUnavailableError, NotOfferedError

NAMES = ("mom_20", "rv_5", "rsi_14")
SHADOW_VERSION = "20261201_000000"
DECILES = [float(place) for place in range(9)]
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
OUTPUTS = {
    "prob_long": [0.75, 0.25],
    "confidence": [0.625, 0.5],
    "members": [0.5, 1.0, 0.25, 0.25],
    "disagreement": [0.25, 0.0],
    "dissimilarity": [0.5, 7.0],
    "shadow_prob_long": [0.5, 0.125],
    "shadow_confidence": [0.5, 0.875],
}
PLAIN = {name: OUTPUTS[name] for name in ("prob_long", "confidence")}
PARAMETERS = {
    "horizon_seconds": 7200,
    "bar_seconds": 1800,
    "market": "real",
    "expire_ms": 1_900_000_000_000,
    "shadow_version": SHADOW_VERSION,
}


class Inference(oip_grpc.GRPCInferenceServiceServicer):
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.names = NAMES
        self.outputs = OUTPUTS
        self.parameters = PARAMETERS
        self.version = VERSION
        self.typed = False
        self.refuse = None
        self.asked = []

    async def ModelMetadata(self, request, context):
        tensors = [oip.ModelMetadataResponse.TensorMetadata(name=name) for name in self.names]
        return oip.ModelMetadataResponse(name=request.name, versions=[self.version], inputs=tensors)

    async def ModelInfer(self, request, context):
        self.asked.append(request)
        if self.refuse:
            await context.abort(self.refuse, "no")
        answer = oip.ModelInferResponse(model_name=request.model_name, model_version=self.version)
        for name, value in self.parameters.items():
            kind = "string_param" if isinstance(value, str) else "int64_param"
            setattr(answer.parameters[name], kind, value)
        for name, values in self.outputs.items():
            tensor = answer.outputs.add(name=name, datatype="FP32")
            if self.typed:
                tensor.contents.fp32_contents.extend(values)
            else:
                answer.raw_output_contents.append(values if isinstance(values, bytes) else array("f", values).tobytes())
        return answer


class Service(model_pb2_grpc.ModelServiceServicer):
    """What only Tollgate's own service knows."""

    def __init__(self):
        self.computed = dict.fromkeys(NAMES, 1.5)
        self.label = "up"
        self.features = [model_pb2.FeatureInfo(name="mom_20", deciles=DECILES, autocorrelation_bars=12.5)]
        self.refuse = None
        self.asked = []

    async def ComputeFeatures(self, request, context):
        await self._note(request, context)
        return model_pb2.ComputeFeaturesResponse(features=self.computed, model_version=VERSION)

    async def LabelBar(self, request, context):
        await self._note(request, context)
        return model_pb2.LabelBarResponse(label=self.label)

    async def GetModel(self, request, context):
        await self._note(request, context)
        return model_pb2.GetModelResponse(model=model_pb2.ModelInfo(version=request.version, features=self.features))

    async def _note(self, request, context):
        self.asked.append(request)
        if self.refuse:
            await context.abort(self.refuse, "no")


class Served:
    """A client and the server that it asks."""

    def __init__(self, model, inference, service):
        self.model = model
        self.inference = inference
        self.service = service


@asynccontextmanager
async def serving(*, stand_in=False, market=""):
    inference, service = Inference(), Service()
    if stand_in:
        inference.outputs, inference.parameters, inference.version = PLAIN, {}, "1"
    server = grpc.aio.server()
    oip_grpc.add_GRPCInferenceServiceServicer_to_server(inference, server)
    if not stand_in:
        model_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    model = OipModel(
        address=f"127.0.0.1:{port}",
        name="consensus",
        timeout_seconds=2.0,
        horizon_seconds=3600,
        bar_seconds=900,
        market=market,
    )
    try:
        yield Served(model, inference, service)
    finally:
        await model.close()
        await server.stop(None)


@pytest.fixture
async def served():
    async with serving() as served:
        await served.model.feature_names()
        yield served


async def test_an_answer_is_read_whole(served):
    first, second = await served.model.predict_many(ROWS)
    assert first == Prediction(
        prob_long=0.75,
        confidence=0.625,
        members=(0.5, 1.0),
        disagreement=0.25,
        dissimilarity=0.5,
        model_version=VERSION,
        horizon_seconds=7200,
        bar_seconds=1800,
        market="real",
        expire_ms=1_900_000_000_000,
        shadow=Shadow(model_version=SHADOW_VERSION, prob_long=0.5, confidence=0.5),
    )
    assert (second.members, second.dissimilarity) == ((0.25, 0.25), 7.0)
    assert second.shadow == Shadow(model_version=SHADOW_VERSION, prob_long=0.125, confidence=0.875)


async def test_each_feature_is_a_tensor_of_its_name_and_the_shadow_is_asked_too(served):
    await served.model.predict_many(ROWS)
    request = served.inference.asked[0]
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in request.inputs] == [
        (name, "FP32", [2, 1]) for name in NAMES
    ]
    assert [list(array("f", raw)) for raw in request.raw_input_contents] == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]
    assert request.parameters["shadow"].bool_param


async def test_what_a_stand_in_does_not_tell_comes_from_the_settings_or_is_none():
    async with serving(stand_in=True, market="real") as served:
        await served.model.feature_names()
        first, _ = await served.model.predict_many(ROWS)
        assert first == Prediction(
            prob_long=0.75,
            confidence=0.625,
            members=(),
            disagreement=None,
            dissimilarity=None,
            model_version="1",
            horizon_seconds=3600,
            bar_seconds=900,
            market="real",
            expire_ms=None,
            shadow=None,
        )
        assert await served.model.ready() == "1"


async def test_a_stand_in_offers_no_features_and_no_labels_and_tells_no_reference():
    async with serving(stand_in=True) as served:
        with pytest.raises(NotOfferedError):
            await served.model.features(a_series(3))
        with pytest.raises(NotOfferedError):
            await served.model.label(a_series(3), BAR_MS, "1")
        assert list(await served.model.reference("1")) == []


async def test_outputs_may_come_as_typed_contents_as_some_servers_send_them(served):
    served.inference.typed = True
    first, _ = await served.model.predict_many(ROWS)
    assert (first.prob_long, first.members, first.shadow.prob_long) == (0.75, (0.5, 1.0), 0.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"prob_long": [0.5]},
        {"prob_long": [0.5, 1.5]},
        {"prob_long": [0.5, math.nan]},
        {"prob_long": b"\x00" * 7},
        {"confidence": [0.5, -0.5]},
        {"confidence": [math.inf, 0.5]},
        {"members": [0.5, 0.5, 0.5]},
        {"members": [0.5, math.nan]},
        {"disagreement": [0.1]},
        {"disagreement": [0.1, -0.1]},
        {"dissimilarity": [0.1, math.nan]},
        {"dissimilarity": [0.1, math.inf]},
        {"dissimilarity": []},
    ],
    ids=str,
)
async def test_an_output_of_a_wrong_size_or_kind_is_unusable(served, changes):
    served.inference.outputs = OUTPUTS | changes
    with pytest.raises(ModelUnavailableError):
        await served.model.predict_many(ROWS)


@pytest.mark.parametrize("missing", ["prob_long", "confidence"])
async def test_an_answer_without_its_probabilities_is_unusable(served, missing):
    served.inference.outputs = {name: values for name, values in OUTPUTS.items() if name != missing}
    with pytest.raises(ModelUnavailableError):
        await served.model.predict_many(ROWS)


@pytest.mark.parametrize(
    "changes",
    [
        {"horizon_seconds": 0},
        {"horizon_seconds": 2**40},
        {"bar_seconds": -60},
        {"bar_seconds": "60"},
        {"expire_ms": 0},
        {"expire_ms": "soon"},
        {"market": "moon"},
        {"market": ""},
        {"market": 7},
    ],
    ids=str,
)
async def test_a_parameter_that_cannot_be_so_is_unusable(served, changes):
    served.inference.parameters = PARAMETERS | changes
    with pytest.raises(ModelUnavailableError):
        await served.model.predict_many(ROWS)


@pytest.mark.parametrize("version", ["v" * 101, "a\nb", "é"])
async def test_a_version_that_is_no_short_text_is_unusable(served, version):
    served.inference.version = version
    with pytest.raises(ModelUnavailableError):
        await served.model.predict_many(ROWS)


@pytest.mark.parametrize(
    ("outputs", "parameters"),
    [
        ({"shadow_prob_long": [0.5]}, {}),
        ({"shadow_prob_long": [0.5, math.nan]}, {}),
        ({"shadow_confidence": [0.5, 2.0]}, {}),
        ({}, {"shadow_version": ""}),
        ({}, {"shadow_version": "v" * 101}),
        ({}, {"shadow_version": 7}),
    ],
    ids=str,
)
async def test_a_bad_shadow_costs_the_shadow_and_not_the_answer(served, outputs, parameters):
    served.inference.outputs = OUTPUTS | outputs
    served.inference.parameters = PARAMETERS | parameters
    assert [(one.prob_long, one.shadow) for one in await served.model.predict_many(ROWS)] == [
        (0.75, None),
        (0.25, None),
    ]


async def test_refused_rows_make_the_client_read_the_inputs_again(served):
    served.inference.refuse = grpc.StatusCode.INVALID_ARGUMENT
    served.inference.names = ("mom_5",)
    with pytest.raises(ModelChangedError):
        await served.model.predict_many(ROWS)
    assert list(await served.model.feature_names()) == ["mom_5"]


async def test_refused_rows_of_the_same_inputs_are_no_change(served):
    served.inference.refuse = grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(ModelUnavailableError) as caught:
        await served.model.predict_many(ROWS)
    assert not isinstance(caught.value, ModelChangedError)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL])
async def test_a_server_that_fails_is_unavailable(served, code):
    served.inference.refuse = served.service.refuse = code
    with pytest.raises(ModelUnavailableError):
        await served.model.predict_many(ROWS)
    with pytest.raises(ModelUnavailableError):
        await served.model.features(a_series(3))
    with pytest.raises(ModelUnavailableError):
        await served.model.label(a_series(3), BAR_MS, VERSION)
    with pytest.raises(ModelUnavailableError):
        await served.model.reference(VERSION)


async def test_features_are_those_of_the_bars_that_are_sent(served):
    assert await served.model.features(a_series(3)) == dict.fromkeys(NAMES, 1.5)
    request, series = served.service.asked[0], a_series(3)
    assert (request.model_version, request.bars.bar_seconds) == ("", 3600)
    columns = ("open_time_ms", "open", "high", "low", "close", "volume")
    for column in columns:
        assert list(getattr(request.bars, column)) == [getattr(bar, column) for bar in series.bars]


@pytest.mark.parametrize(
    "computed", [{}, {"mom_20": math.nan}, {"mom_20": math.inf}, {f"f{place}": 1.0 for place in range(65)}], ids=len
)
async def test_features_that_cannot_be_are_unusable(served, computed):
    served.service.computed = computed
    with pytest.raises(ModelUnavailableError):
        await served.model.features(a_series(3))


async def test_features_of_another_version_make_the_client_read_the_inputs_again(served):
    served.inference.names = ("mom_5",)
    assert list(await served.model.feature_names()) == list(NAMES)
    served.service.computed = {"mom_5": 1.0}
    await served.model.features(a_series(3))
    assert list(await served.model.feature_names()) == ["mom_5"]


@pytest.mark.parametrize("label", list(BarLabel))
async def test_a_label_is_one_of_four(served, label):
    served.service.label = label.value
    assert await served.model.label(a_series(3), BAR_MS, VERSION) is label
    request = served.service.asked[0]
    assert (request.model_version, request.open_time_ms, len(request.bars.close)) == (VERSION, BAR_MS, 3)


async def test_another_label_is_unusable(served):
    served.service.label = "sideways"
    with pytest.raises(ModelUnavailableError):
        await served.model.label(a_series(3), BAR_MS, VERSION)


async def test_a_reference_is_read_and_a_feature_without_a_good_one_is_left_out(served):
    good = served.service.features[0]
    served.service.features = [
        good,
        model_pb2.FeatureInfo(name="none"),
        model_pb2.FeatureInfo(name="eight", deciles=DECILES[:8], autocorrelation_bars=1),
        model_pb2.FeatureInfo(name="falling", deciles=DECILES[::-1], autocorrelation_bars=1),
        model_pb2.FeatureInfo(name="nan", deciles=[*DECILES[:8], math.nan], autocorrelation_bars=1),
        model_pb2.FeatureInfo(name="uncorrelated", deciles=DECILES, autocorrelation_bars=0),
    ]
    reference = FeatureReference(name="mom_20", deciles=tuple(DECILES), autocorrelation_bars=12.5)
    assert list(await served.model.reference(VERSION)) == [reference]
