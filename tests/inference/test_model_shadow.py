"""A shadow sees every row that is asked for, answers nobody, and disturbs nothing when it fails."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit import (
    VERSION_A,
    VERSION_B,
    VERSION_C,
    a_card,
    a_failing_card,
    a_graph_that_fails_beyond,
    confidence_of,
    write_version,
)
from open_inference import grpc_predict_v2_pb2 as oip
from open_inference import grpc_predict_v2_pb2_grpc as oip_grpc
from serving_fakes import FakeEnsemble, FakeLog, FakeRecords, FakeStore, opened
from trading.v1 import model_pb2, model_pb2_grpc

from inference.core.features import DOCUMENTED
from inference.core.registry import ITSELF, StateFaultError
from inference.registry import Asked, Registry

LIST = model_pb2.ListModelsRequest()
SHADOWED = ("shadow_prob_long", "shadow_confidence")


def rows_of(rows: int, *, shadow: bool, first: float = 0.0) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="consensus")
    for name in DOCUMENTED:
        request.inputs.add(name=name, datatype="FP32", shape=[rows, 1])
        value = first if name == DOCUMENTED[0] else 5.0
        request.raw_input_contents.append(np.full(rows, value, "<f4").tobytes())
    if shadow:
        request.parameters["shadow"].bool_param = True
    return request


def outputs_of(response: oip.ModelInferResponse) -> dict[str, np.ndarray[Any, Any]]:
    pairs = zip(response.outputs, response.raw_output_contents, strict=True)
    return {output.name: np.frombuffer(raw, "<f4").reshape(output.shape) for output, raw in pairs}


def attach(version: str) -> model_pb2.SetShadowModelRequest:
    return model_pb2.SetShadowModelRequest(version=version, actor="ada", reason="trial")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A is to be served; B, of fewer features in another order, is its shadow."""
    write_version(tmp_path, VERSION_A, rise=0.7)
    write_version(tmp_path, VERSION_B, card=a_card(features=("rsi_14", "mom_20")), rise=0.3)
    return tmp_path


async def shadowed(serve: Any, models: Path) -> Any:
    served = await serve(models, chosen=VERSION_A)
    await model_pb2_grpc.ModelServiceStub(served.channel).SetShadowModel(attach(VERSION_B))
    return served


@pytest.mark.parametrize("rows", [1, 1000])
async def test_the_shadow_scores_the_same_rows_when_it_is_asked_for(serve: Any, models: Path, rows: int) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await shadowed(serve, models)).channel)
    answer = await stub.ModelInfer(rows_of(rows, shadow=True))
    said = outputs_of(answer)
    assert (answer.model_version, answer.parameters["shadow_version"].string_param) == (VERSION_A, VERSION_B)
    assert {said[name].shape for name in SHADOWED} == {(rows, 1)}
    shadow_rise = 0.3 + 5.0 * 1e-4  # the shadow's first feature is the active model's third, which is 5
    assert np.allclose(said["shadow_prob_long"], shadow_rise)
    assert np.allclose(said["shadow_confidence"], confidence_of(shadow_rise))
    assert np.allclose(said["prob_long"], 0.7)


async def test_the_shadow_says_nothing_unasked_and_nothing_when_there_is_none(serve: Any, models: Path) -> None:
    served = await shadowed(serve, models)
    stub = oip_grpc.GRPCInferenceServiceStub(served.channel)
    unasked = await stub.ModelInfer(rows_of(1, shadow=False))
    await model_pb2_grpc.ModelServiceStub(served.channel).SetShadowModel(attach(""))
    nobody = await stub.ModelInfer(rows_of(1, shadow=True))
    for answer in (unasked, nobody):
        assert "shadow_version" not in answer.parameters
        assert not set(SHADOWED) & set(outputs_of(answer))


async def test_the_outputs_that_are_asked_for_come_with_the_shadows(serve: Any, models: Path) -> None:
    stub = oip_grpc.GRPCInferenceServiceStub((await shadowed(serve, models)).channel)
    request = rows_of(1, shadow=True)
    request.outputs.add(name="prob_long")
    assert list(outputs_of(await stub.ModelInfer(request))) == ["prob_long", *SHADOWED]


async def test_a_shadow_may_fail_its_gates_and_is_recorded_when_it_is_attached_and_detached(
    serve: Any, models: Path
) -> None:
    write_version(models, VERSION_C, card=a_failing_card())
    stub = model_pb2_grpc.ModelServiceStub((await serve(models, chosen=VERSION_A)).channel)
    await stub.SetShadowModel(attach(VERSION_C))
    listed = {one.version: (one.state, bool(one.faults)) for one in (await stub.ListModels(LIST)).models}
    assert listed[VERSION_C] == ("shadow", True)
    again = await stub.SetShadowModel(attach(VERSION_C))
    assert again.message == f"Nothing was changed: {VERSION_C} is the shadow already."
    await stub.SetShadowModel(attach(""))
    none = await stub.SetShadowModel(attach(""))
    assert none.message == "Nothing was changed: there is no shadow."
    changes = [one for one in (await stub.ListModels(LIST)).changes if one.kind == "shadow"]
    assert [(one.from_version, one.to_version, one.actor, bool(one.sha256)) for one in changes] == [
        (VERSION_C, "", "ada", False),
        ("", VERSION_C, "ada", True),
    ]


async def test_a_version_that_cannot_be_the_shadow_is_refused_with_a_sentence(
    serve: Any, models: Path, refusal: Any
) -> None:
    write_version(models, VERSION_C, card=a_card(features=("mom_20", "atr_14", "vol_z_20")))
    write_version(models, "20260404_000000", card=a_card(bar_seconds=60))
    stub = model_pb2_grpc.ModelServiceStub((await serve(models, chosen=VERSION_A)).channel)
    for version, fault in (
        (VERSION_C, f"{VERSION_C} takes atr_14, vol_z_20, which the active version {VERSION_A} does not"),
        ("20260404_000000", "bars of 60 s"),
        (VERSION_A, f"{VERSION_A} is the active version"),
    ):
        refused = await refusal(stub.SetShadowModel(attach(version)))
        assert (refused.reason, refused.http) == ("MODEL_UNFIT", "422")
        assert fault in refused.message


async def test_a_shadow_goes_along_with_an_activation_that_it_fits(serve: Any, models: Path) -> None:
    write_version(models, VERSION_C, rise=0.6)
    served = await shadowed(serve, models)
    await model_pb2_grpc.ModelServiceStub(served.channel).ActivateModel(
        model_pb2.ActivateModelRequest(version=VERSION_C)
    )
    answer = await oip_grpc.GRPCInferenceServiceStub(served.channel).ModelInfer(rows_of(1, shadow=True))
    assert (answer.model_version, answer.parameters["shadow_version"].string_param) == (VERSION_C, VERSION_B)


@pytest.mark.parametrize(
    ("version", "reason"), [(VERSION_B, "is the active version"), (VERSION_C, "takes rsi_14, which the active")]
)
async def test_an_activation_that_the_shadow_does_not_fit_detaches_it(
    serve: Any, models: Path, version: str, reason: str
) -> None:
    write_version(models, VERSION_C, card=a_card(features=("mom_20", "rv_5")))
    served = await shadowed(serve, models)
    stub = model_pb2_grpc.ModelServiceStub(served.channel)
    await stub.ActivateModel(model_pb2.ActivateModelRequest(version=version))
    assert served.registry.serving.shadow is None
    newest, activation = (await stub.ListModels(LIST)).changes[:2]
    assert (activation.kind, activation.to_version) == ("activate", version)
    assert (newest.kind, newest.from_version, newest.to_version, newest.actor) == ("shadow", VERSION_B, "", ITSELF)
    assert reason in newest.reason
    assert "shadow_detached" in [event for _, event, _ in served.log.lines]


async def test_a_shadow_that_fails_is_detached_recorded_and_logged_and_the_answer_stands(
    serve: Any, models: Path
) -> None:
    graph = a_graph_that_fails_beyond(DOCUMENTED, 50.0)
    write_version(models, VERSION_C, graph=graph)
    served = await serve(models, chosen=VERSION_A)
    stub, infer = model_pb2_grpc.ModelServiceStub(served.channel), oip_grpc.GRPCInferenceServiceStub(served.channel)
    await stub.SetShadowModel(attach(VERSION_C))
    well = await infer.ModelInfer(rows_of(1, shadow=True))
    assert well.parameters["shadow_version"].string_param == VERSION_C
    answers = [await infer.ModelInfer(rows_of(count, shadow=True, first=60.0)) for count in (1, 1000)]
    for answer in answers:
        assert (answer.model_version, "shadow_version" in answer.parameters) == (VERSION_A, False)
        assert set(outputs_of(answer)) & set(SHADOWED) == set()
        assert np.allclose(outputs_of(answer)["prob_long"], 0.7 + 60.0 * 1e-4)
    await until_recorded(served.registry)
    newest = (await stub.ListModels(LIST)).changes[0]
    assert (newest.from_version, newest.to_version, newest.actor) == (VERSION_C, "", ITSELF)
    assert "cannot be run" in newest.reason
    assert [level for level, event, _ in served.log.lines if event == "shadow_failed"] == ["warning"]


async def until_recorded(registry: Registry) -> None:
    """What the registry does in the background is behind the lock that every change takes."""
    await asyncio.sleep(0)
    await registry.set_shadow("", Asked(actor="ada"))


async def test_a_shadow_that_gives_no_probability_has_failed(serve: Any) -> None:
    class Liar(FakeEnsemble):
        def score(self, rows: Any) -> Any:
            scores = super().score(rows)
            scores.prob_long[0] = np.nan
            return scores

    active, liar = FakeEnsemble(card=a_card()), Liar(card=a_card(version=VERSION_B))
    records = FakeRecords()
    store = FakeStore(ensembles={VERSION_A: active, VERSION_B: liar})
    registry = opened(store, records, FakeLog(), VERSION_A)
    await registry.set_shadow(VERSION_B, Asked(actor="ada"))
    stub = oip_grpc.GRPCInferenceServiceStub((await serve(registry)).channel)
    answer = await stub.ModelInfer(rows_of(2, shadow=True))
    assert "shadow_version" not in answer.parameters
    await until_recorded(registry)
    assert "no probability" in records.kept[-1].reason


async def test_a_failed_shadow_whose_end_could_not_be_recorded_can_be_detached_later() -> None:
    active, other = FakeEnsemble(card=a_card()), FakeEnsemble(card=a_card(version=VERSION_B))
    records, log = FakeRecords(), FakeLog()
    registry = opened(FakeStore(ensembles={VERSION_A: active, VERSION_B: other}), records, log, VERSION_A)
    await registry.set_shadow(VERSION_B, Asked(actor="ada"))
    shadow = registry.serving.shadow
    assert shadow is not None
    records.fails_with = StateFaultError("the disk is full")
    registry.shadow_failed(shadow, "it broke")
    registry.shadow_failed(shadow, "it broke again")
    await until_recorded(registry)
    assert (registry.serving.shadow, records.state.shadow) == (None, VERSION_B)
    assert [event for level, event, _ in log.lines if level == "error"] == ["model_change_not_kept"] * 2
    records.fails_with = None
    await registry.set_shadow("", Asked(actor="ada"))
    assert records.state.shadow == ""
