"""Versions are listed, activated, rolled back and shadowed over gRPC and JSON, and every change is recorded first."""

import asyncio
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api import httpbody_pb2
from kit import VERSION_A, VERSION_B, VERSION_C, a_card, a_failing_card, write_version
from serving_fakes import NOW, FakeEnsemble, FakeLog, FakeRecords, FakeStore, opened
from trading.v1 import json_edge_pb2_grpc, model_pb2, model_pb2_grpc

from inference.adapters.model_state import StateFiles
from inference.core.consensus import Ensemble
from inference.core.registry import Kind, StateFaultError, after, no_state
from inference.registry import Asked, Changed, change_of

ASKED = Asked(actor="ada", reason="drill")
LIST = model_pb2.ListModelsRequest()


def activate(version: str, **parts: str) -> model_pb2.ActivateModelRequest:
    return model_pb2.ActivateModelRequest(version=version, **parts)


def body(text: str) -> httpbody_pb2.HttpBody:
    return httpbody_pb2.HttpBody(content_type="application/json", data=text.encode())


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two versions that pass and one that does not."""
    write_version(tmp_path, VERSION_A, rise=0.7)
    write_version(tmp_path, VERSION_B, card=a_card(description="The better one."), rise=0.8)
    write_version(tmp_path, VERSION_C, card=a_failing_card())
    return tmp_path


async def states(stub: Any) -> dict[str, str]:
    return {model.version: model.state for model in (await stub.ListModels(LIST)).models}


async def test_versions_are_listed_the_active_one_first_with_what_their_cards_say(serve: Any, models: Path) -> None:
    card = a_card(max_age_days=30, market="real", bar_seconds=900)
    written = write_version(models, "20250101_000000", card=card)
    stub = model_pb2_grpc.ModelServiceStub((await serve(models, chosen="20250101_000000")).channel)
    answer = await stub.ListModels(LIST)
    assert [(model.version, model.state) for model in answer.models] == [
        ("20250101_000000", "active"),
        (VERSION_C, "unfit"),
        (VERSION_B, "available"),
        (VERSION_A, "available"),
    ]
    model = answer.models[0]
    assert (model.name, model.description, model.sha256) == ("consensus", "A test.", written.sha256)
    assert (model.bar_seconds, model.horizon_seconds, model.market) == (900, 900, "real")
    assert (model.training_start, model.training_end) == ("2020-01-01T00:00:00Z", "2020-06-01T00:00:00Z")
    assert (model.expires, model.label) == ("2020-07-31T00:00:00Z", "The close is higher a bar on.")
    assert [(feature.name, feature.unit) for feature in model.features] == [
        ("mom_20", "percent"),
        ("rv_5", "percent"),
        ("rsi_14", "points"),
    ]
    assert list(model.features[0].deciles) == list(card.features[0].deciles)
    assert model.features[0].autocorrelation_bars == 5.0
    assert dict(model.calibration) == {
        "n": 20_000,
        "base_rate": 0.5,
        "auc": 0.54,
        "auc_low": 0.53,
        "auc_high": 0.55,
        "brier": 0.2485,
        "log_loss": 0.69,
        "log_loss_base": 0.6931,
        "ece": 0.012,
        "ece_low": 0.008,
        "ece_high": 0.02,
        "calibration_slope": 1.0,
        "hit_rate": 0.53,
        "threshold": 0.6,
        "coverage_at_threshold": 0.05,
        "hit_rate_at_threshold": 0.62,
        "mean_confidence_at_threshold": 0.615,
        "net_edge_bps": -7.0,
    }
    assert list(answer.models[1].faults) == ["gate ece: 0.08 against a limit of 0.05"]


async def test_a_version_whose_card_is_torn_is_listed_as_unfit(serve: Any, models: Path) -> None:
    (models / "consensus" / VERSION_B / "card.json").write_text("{")
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    assert await states(stub) == {VERSION_A: "active", VERSION_B: "unfit", VERSION_C: "unfit"}
    torn = await stub.GetModel(model_pb2.GetModelRequest(version=VERSION_B))
    assert (torn.model.version, torn.card, len(torn.gates)) == (VERSION_B, "{", 0)
    assert "Invalid JSON" in torn.model.faults[0]


async def test_a_version_is_told_with_its_whole_card_and_its_gates(serve: Any, models: Path) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    told = await stub.GetModel(model_pb2.GetModelRequest(version=VERSION_C))
    assert told.card == (models / "consensus" / VERSION_C / "card.json").read_text()
    gates = {gate.name: (gate.value, gate.limit, gate.passed) for gate in told.gates}
    assert gates["ece"] == (0.08, 0.05, False)
    assert gates["canary_shuffled_labels"] == (0.501, 0.52, True)
    assert gates["export_rows"] == (10_000, 10_000, True)


@pytest.mark.parametrize("version", ["", "newest", "../consensus", "20260101_000000\n"])
async def test_a_version_of_another_form_is_an_invalid_field(serve: Any, fake: Any, refusal: Any, version: str) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(fake)).channel)
    for call in (stub.GetModel(model_pb2.GetModelRequest(version=version)), stub.ActivateModel(activate(version))):
        refused = await refusal(call)
        assert (refused.code, refused.reason, refused.fields) == ("INVALID_ARGUMENT", "INVALID_FIELD", ("version",))


async def test_more_versions_than_a_message_holds_are_listed_in_part(serve: Any) -> None:
    versions = [f"2026{number:04d}_000000" for number in range(1000, 1300)]
    ensembles = {version: FakeEnsemble(card=a_card(version=version)) for version in versions}
    registry = opened(FakeStore(ensembles=ensembles), FakeRecords(), FakeLog(), versions[0])
    channel = (await serve(registry)).channel
    listed = [one.version for one in (await model_pb2_grpc.ModelServiceStub(channel).ListModels(LIST)).models]
    assert listed == [versions[0], *versions[:-201:-1]]
    channel = (await serve(registry, message_bytes_max=65_536)).channel
    fewer = [one.version for one in (await model_pb2_grpc.ModelServiceStub(channel).ListModels(LIST)).models]
    assert 10 < len(fewer) < 201
    assert fewer == listed[: len(fewer)]


async def test_an_activation_is_served_answered_and_recorded(serve: Any, models: Path) -> None:
    served = await serve(models)
    stub = model_pb2_grpc.ModelServiceStub(served.channel)
    done = await stub.ActivateModel(activate(VERSION_A, actor="ada", reason="drill"))
    message = f"{VERSION_A} is active now; before it was {VERSION_B}."
    expected = model_pb2.ActivateModelResponse(ok=True, version=VERSION_A, previous=VERSION_B, message=message)
    assert done == expected
    assert (await stub.GetModelHealth(model_pb2.GetModelHealthRequest())).model.version == VERSION_A
    assert await states(stub) == {VERSION_A: "active", VERSION_B: "previous", VERSION_C: "unfit"}
    (change,) = (await stub.ListModels(LIST)).changes
    assert json.loads((models / "models.audit.jsonl").read_text()) == {
        "kind": "activate",
        "from_version": VERSION_B,
        "to_version": VERSION_A,
        "actor": "ada",
        "reason": "drill",
        "time": "2026-03-01T12:00:00.000Z",
        "sha256": change.sha256,
    }
    assert (change.kind, change.to_version, change.actor) == ("activate", VERSION_A, "ada")
    assert [event for _, event, _ in served.log.lines if event == "model_changed"] == ["model_changed"]


async def test_a_rollback_brings_the_version_before_back_and_a_second_one_undoes_it(serve: Any, models: Path) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    await stub.ActivateModel(activate(VERSION_A))
    back = await stub.RollbackModel(model_pb2.RollbackModelRequest(actor="ada", reason="worse"))
    assert (back.ok, back.version, back.previous) == (True, VERSION_B, VERSION_A)
    again = await stub.RollbackModel(model_pb2.RollbackModelRequest())
    assert (again.version, again.previous) == (VERSION_A, VERSION_B)
    changes = (await stub.ListModels(LIST)).changes
    assert [(change.kind, change.to_version) for change in changes] == [
        ("rollback", VERSION_A),
        ("rollback", VERSION_B),
        ("activate", VERSION_A),
    ]


async def test_who_asks_is_the_callers_address_and_why_is_unstated_when_nobody_says(serve: Any, models: Path) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    await stub.ActivateModel(activate(VERSION_A))
    (change,) = (await stub.ListModels(LIST)).changes
    assert change.actor.startswith("ipv4:127.0.0.1:")
    assert change.reason == "unstated"


async def test_activating_the_active_version_changes_nothing(serve: Any, models: Path) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    done = await stub.ActivateModel(activate(VERSION_B))
    assert (done.ok, done.version, done.previous) == (True, VERSION_B, "")
    assert "nothing was changed" in done.message
    assert not (await stub.ListModels(LIST)).changes
    assert not (models / "models.json").exists()


async def test_a_version_that_does_not_pass_is_refused_with_its_faults_and_nothing_changes(
    serve: Any, models: Path, refusal: Any
) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    refused = await refusal(stub.ActivateModel(activate(VERSION_C)))
    assert (refused.code, refused.reason, refused.http) == ("FAILED_PRECONDITION", "MODEL_UNFIT", "422")
    assert "gate ece: 0.08 against a limit of 0.05" in refused.message
    assert refused.metadata == {"version": VERSION_C, "faults": "gate ece: 0.08 against a limit of 0.05"}
    assert (await states(stub))[VERSION_B] == "active"
    assert not (models / "models.json").exists()


async def test_a_version_whose_files_are_broken_is_refused(serve: Any, models: Path, refusal: Any) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    (models / "consensus" / VERSION_A / "model.onnx").write_bytes(b"junk")
    refused = await refusal(stub.ActivateModel(activate(VERSION_A)))
    assert refused.reason == "MODEL_UNFIT"
    assert "sha256" in refused.metadata["faults"]


async def test_a_version_that_is_not_there_is_not_found(serve: Any, models: Path, refusal: Any) -> None:
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    version = "20200101_000000"
    for call in (
        stub.ActivateModel(activate(version)),
        stub.SetShadowModel(model_pb2.SetShadowModelRequest(version=version)),
        stub.GetModel(model_pb2.GetModelRequest(version=version)),
        stub.RollbackModel(model_pb2.RollbackModelRequest()),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")


async def test_a_change_that_cannot_be_recorded_is_not_made(serve: Any, refusal: Any) -> None:
    ensembles = {version: FakeEnsemble(card=a_card(version=version)) for version in (VERSION_A, VERSION_B)}
    records = FakeRecords(fails_with=StateFaultError("cannot write var/models.json: No space left on device"))
    registry = opened(FakeStore(ensembles=ensembles), records, FakeLog())
    stub = model_pb2_grpc.ModelServiceStub((await serve(registry)).channel)
    refused = await refusal(stub.ActivateModel(activate(VERSION_A)))
    assert (refused.code, refused.reason) == ("UNAVAILABLE", "MODEL_UNAVAILABLE")
    assert "No space left on device" in refused.message
    assert registry.serving.ensemble.card.version == VERSION_B
    records.fails_with = None
    assert (await stub.ActivateModel(activate(VERSION_A))).ok


async def test_the_json_edge_does_the_same_strictly(serve: Any, models: Path, refusal: Any) -> None:
    channel = (await serve(models)).channel
    edge = json_edge_pb2_grpc.ModelJsonEdgeServiceStub(channel)
    done = await edge.ActivateModel(body(f'{{"version":"{VERSION_A}","actor":"ada","reason":"drill"}}'))
    assert (done.version, done.previous) == (VERSION_A, VERSION_B)
    assert (await edge.RollbackModel(body(""))).version == VERSION_B
    assert (await edge.RollbackModel(body('{"actor":"ada"}'))).version == VERSION_A
    shadow = await edge.SetShadowModel(body(f'{{"version":"{VERSION_B}"}}'))
    assert (shadow.ok, shadow.version, shadow.message) == (True, VERSION_B, f"{VERSION_B} is the shadow now.")
    assert (await edge.SetShadowModel(body('{"version":""}'))).version == ""
    for call, path in (
        (edge.ActivateModel(body("")), ""),
        (edge.SetShadowModel(body("")), ""),
        (edge.ActivateModel(body("{}")), "version"),
        (edge.ActivateModel(body(f'{{"version":"{VERSION_A}","why":"x"}}')), "why"),
        (edge.ActivateModel(body(f'{{"version":"{VERSION_A}","reason":"{"x" * 501}"}}')), "reason"),
        (edge.RollbackModel(body('{"version":"x"}')), "version"),
        (edge.RollbackModel(body("[]")), ""),
        (edge.SetShadowModel(body('{"version":7}')), "version"),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason, refused.fields) == ("INVALID_ARGUMENT", "INVALID_FIELD", (path,))
        assert refused.message.startswith("Nothing was changed")


@dataclass(kw_only=True)
class SlowStore(FakeStore):
    """Loads only when it is let go, and counts how many load at one time."""

    let_go: threading.Event = field(default_factory=threading.Event)
    loading: threading.Event = field(default_factory=threading.Event)
    at_once: int = 0
    at_once_most: int = 0

    def load(self, version: str) -> Ensemble:
        self.at_once += 1
        self.at_once_most = max(self.at_once_most, self.at_once)
        self.loading.set()
        assert self.let_go.wait(timeout=10)
        self.at_once -= 1
        return super().load(version)


def a_slow_store() -> SlowStore:
    versions = (VERSION_A, VERSION_B, VERSION_C)
    store = SlowStore(ensembles={version: FakeEnsemble(card=a_card(version=version)) for version in versions})
    store.let_go.set()
    return store


async def test_activations_that_come_together_are_made_one_after_the_other() -> None:
    store, records = a_slow_store(), FakeRecords()
    registry = opened(store, records, FakeLog())
    store.at_once_most = 0
    wanted = [VERSION_A, VERSION_B, VERSION_A, VERSION_C]
    done = await asyncio.gather(*(registry.activate(version, ASKED) for version in wanted))
    assert [one.version for one in done if isinstance(one, Changed)] == wanted
    assert [change.from_version for change in records.kept] == [VERSION_C, VERSION_A, VERSION_B, VERSION_A]
    assert (registry.serving.ensemble.card.version, store.at_once_most) == (VERSION_C, 1)


async def test_calls_are_answered_while_a_version_loads_and_health_stays_serving(serve: Any) -> None:
    store = a_slow_store()
    registry = opened(store, FakeRecords(), FakeLog())
    store.let_go.clear()
    store.loading.clear()
    stub = model_pb2_grpc.ModelServiceStub((await serve(registry)).channel)
    changing = asyncio.ensure_future(stub.ActivateModel(activate(VERSION_A)))
    assert await asyncio.to_thread(store.loading.wait, 5)
    health = await stub.GetModelHealth(model_pb2.GetModelHealthRequest())
    assert (health.ok, health.model.version) == (True, VERSION_C)
    features = {"mom_20": 1.0, "rv_5": 1.0, "rsi_14": 50.0}
    predicted = await stub.Predict(model_pb2.PredictRequest(features=features))
    assert predicted.model_version == VERSION_C
    store.let_go.set()
    assert (await changing).version == VERSION_A


async def test_a_caller_who_goes_away_does_not_leave_a_change_half_made(serve: Any) -> None:
    store, records = a_slow_store(), FakeRecords()
    registry = opened(store, records, FakeLog())
    store.let_go.clear()
    store.loading.clear()
    stub = model_pb2_grpc.ModelServiceStub((await serve(registry)).channel)
    changing = stub.ActivateModel(activate(VERSION_A))
    asyncio.ensure_future(changing.code()).add_done_callback(lambda _: None)
    assert await asyncio.to_thread(store.loading.wait, 5)
    changing.cancel()
    assert await changing.code() is grpc.StatusCode.CANCELLED
    store.let_go.set()
    await registry.settle()
    assert [change.to_version for change in records.kept] == [VERSION_A]
    assert registry.serving.ensemble.card.version == VERSION_A


async def test_a_kill_between_the_record_and_the_exchange_is_served_by_the_next_start(models: Path, serve: Any) -> None:
    """What is on the disk at that moment is what `keep` has written; the memory of the killed process is gone."""
    change = change_of(Kind.ACTIVATE, VERSION_B, VERSION_A, ASKED, sha256="", at=NOW)
    StateFiles(models / "models.json", "consensus").keep(after(no_state("consensus"), change))
    stub = model_pb2_grpc.ModelServiceStub((await serve(models)).channel)
    assert await states(stub) == {VERSION_A: "active", VERSION_B: "previous", VERSION_C: "unfit"}
    assert (await stub.RollbackModel(model_pb2.RollbackModelRequest())).version == VERSION_B
