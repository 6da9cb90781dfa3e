"""`tollgate models` says what the model service says of its versions, and asks it to change which one serves."""
# ruff: noqa: N802 - the contract names the methods

import json
from concurrent import futures

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from trading.v1 import model_pb2, model_pb2_grpc

from gateway.cli import DONE, REFUSED, UNREACHABLE, main

ONE, OTHER, TORN = "20260101_000000", "20260202_000000", "20260303_000000"

MODELS = {
    ONE: model_pb2.ModelInfo(
        name="consensus",
        version=ONE,
        state="active",
        description="The first.",
        features=[model_pb2.FeatureInfo(name="mom_20", unit="percent")],
        label="The close is higher a bar on.",
        horizon_seconds=3600,
        bar_seconds=3600,
        market="real",
        data_source="somewhere",
        training_start="2020-01-01T00:00:00Z",
        training_end="2020-06-01T00:00:00Z",
        expires="2026-06-01T00:00:00Z",
        sha256="1" * 64,
        calibration={"auc": 0.54, "ece": 0.012, "net_edge_bps": -7.0},
    ),
    OTHER: model_pb2.ModelInfo(
        name="consensus",
        version=OTHER,
        state="available",
        description="The \x1b[2Jother.",
        features=[model_pb2.FeatureInfo(name="atr_14", unit="percent")],
        sha256="2" * 64,
        calibration={"auc": 0.55, "ece": 0.01},
    ),
    TORN: model_pb2.ModelInfo(name="consensus", version=TORN, state="unfit", faults=["card.json: Invalid JSON"]),
}
CHANGE = model_pb2.ModelChange(
    kind="activate",
    from_version=OTHER,
    to_version=ONE,
    actor="ada",
    reason="drill",
    time="2026-03-01T12:00:00.000Z",
    sha256="1" * 64,
)
GATES = [
    model_pb2.GateInfo(name="ece", value=0.02, limit=0.05, passed=True),
    model_pb2.GateInfo(name="too_good", value=0.61, limit=0.58, overridden="looked into by ada"),
    model_pb2.GateInfo(name="log_loss", value=0.7, limit=0.69),
    model_pb2.GateInfo(name="canary_shuffled_labels", value=0.501, limit=0.52, passed=True),
]


class Models(model_pb2_grpc.ModelServiceServicer):
    def __init__(self):
        self.asked = []

    def ListModels(self, request, context):
        return model_pb2.ListModelsResponse(models=MODELS.values(), changes=[CHANGE] * 7)

    def GetModel(self, request, context):
        if request.version not in MODELS:
            refuse(context, grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", "There is no such version.")
        gates = [] if request.version == TORN else GATES
        return model_pb2.GetModelResponse(model=MODELS[request.version], card="{}", gates=gates)

    def ActivateModel(self, request, context):
        self.asked.append(("activate", request.version, request.actor, request.reason))
        if request.version == TORN:
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "MODEL_UNFIT", "Nothing was changed.")
        return model_pb2.ActivateModelResponse(ok=True, version=request.version, previous=ONE, message="It is active.")

    def RollbackModel(self, request, context):
        self.asked.append(("rollback", request.actor, request.reason))
        return model_pb2.RollbackModelResponse(ok=True, version=ONE, message="It is active again.")

    def SetShadowModel(self, request, context):
        self.asked.append(("shadow", request.version, request.actor, request.reason))
        return model_pb2.SetShadowModelResponse(ok=True, version=request.version, message="So be it.")


def refuse(context, code, reason, message):
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="tollgate"))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


@pytest.fixture
def service():
    return Models()


@pytest.fixture
def address(service):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    model_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_versions_are_listed_with_the_newest_changes_and_move_no_cursor(address, capsys):
    assert main(["models", "list", "--addr", address]) == DONE
    change = f"2026-03-01T12:00:00.000Z  activate {OTHER} to {ONE} by ada: drill"
    assert capsys.readouterr().out.splitlines() == [
        f"active     {ONE}  auc 0.54  ece 0.012  The first.",
        f"available  {OTHER}  auc 0.55  ece 0.01  The ?[2Jother.",
        f"unfit      {TORN}  auc -  ece -  faults: 1",
        *[change] * 5,
    ]


def test_a_version_is_shown_with_its_figures_gates_and_canaries(address, capsys):
    assert main(["models", "show", ONE, "--addr", address]) == DONE
    assert capsys.readouterr().out.splitlines() == [
        f"{ONE}  active",
        "The first.",
        "market    real, bars of 3600 s, 3600 s ahead",
        "label     The close is higher a bar on.",
        "data      somewhere",
        "training  2020-01-01T00:00:00Z to 2020-06-01T00:00:00Z, expires 2026-06-01T00:00:00Z",
        "features  mom_20 (percent)",
        f"sha256    {'1' * 64}",
        "figures",
        "  auc                            0.54",
        "  ece                            0.012",
        "  net_edge_bps                   -7",
        "gates",
        "  pass ece                       0.02 against 0.05",
        "  over too_good                  0.61 against 0.58  let pass: looked into by ada",
        "  FAIL log_loss                  0.7 against 0.69",
        "canaries",
        "  pass shuffled_labels           0.501 against 0.52",
    ]


def test_a_version_whose_card_cannot_be_read_is_shown_with_what_is_wrong(address, capsys):
    assert main(["models", "show", TORN, "--addr", address]) == DONE
    assert capsys.readouterr().out.splitlines() == [f"{TORN}  unfit", "faults", "  card.json: Invalid JSON"]


def test_two_versions_are_compared_figure_by_figure(address, capsys):
    assert main(["models", "compare", ONE, OTHER, "--addr", address]) == DONE
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [ONE, OTHER, "difference"]
    assert [row.split() for row in rows] == [
        ["auc", "0.54", "0.55", "+0.01"],
        ["ece", "0.012", "0.01", "-0.002"],
        ["net_edge_bps", "-7", "-"],
        ["features", "of", ONE, "alone:", "mom_20"],
        ["features", "of", OTHER, "alone:", "atr_14"],
    ]


def test_answers_come_as_json_on_demand(address, capsys):
    for arguments, look in (
        (["list"], lambda told: told["models"][0]["state"] == "active"),
        (["show", ONE], lambda told: told["gates"][0]["passed"] is True),
        (["compare", ONE, OTHER], lambda told: told["auc"] == {ONE: 0.54, OTHER: 0.55}),
        (["activate", OTHER, "--reason", "x"], lambda told: told["previous"] == ONE),
        (["shadow", "--off", "--reason", "x"], lambda told: told["version"] == ""),
    ):
        assert main(["models", *arguments, "--addr", address, "--json"]) == DONE
        assert look(json.loads(capsys.readouterr().out))


def test_changes_carry_actor_and_reason(address, service, capsys):
    said = ["--actor", "ada", "--reason", "drill", "--addr", address]
    assert main(["models", "activate", OTHER, *said]) == DONE
    assert capsys.readouterr().out == f"It is active.\nA rollback would bring {ONE} back.\n"
    assert main(["models", "rollback", *said]) == DONE
    assert capsys.readouterr().out == "It is active again.\nThere is nothing to roll back to.\n"
    assert main(["models", "shadow", OTHER, *said]) == DONE
    assert main(["models", "shadow", "--off", *said]) == DONE
    assert service.asked == [
        ("activate", OTHER, "ada", "drill"),
        ("rollback", "ada", "drill"),
        ("shadow", OTHER, "ada", "drill"),
        ("shadow", "", "ada", "drill"),
    ]


def test_a_refusal_is_told_with_its_reason(address, capsys):
    assert main(["models", "activate", TORN, "--reason", "x", "--addr", address]) == REFUSED
    assert capsys.readouterr().err == "tollgate: MODEL_UNFIT: Nothing was changed.\n"
    assert main(["models", "show", "20200101_000000", "--addr", address]) == REFUSED
    assert "MODEL_NOT_FOUND" in capsys.readouterr().err


def test_a_model_service_that_does_not_answer_is_told_apart_from_a_refusal(capsys):
    assert main(["models", "list", "--addr", "127.0.0.1:1"]) == UNREACHABLE
    told = capsys.readouterr().err
    assert "No model service answers at 127.0.0.1:1" in told
    assert "TOLLGATE_MODEL_ADDR" in told


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["show"],
        ["show", "newest"],
        ["compare", ONE],
        ["activate", ONE],
        ["rollback"],
        ["shadow", ONE],
        ["shadow", "--reason", "x"],
        ["shadow", ONE, "--off", "--reason", "x"],
    ],
)
def test_a_change_without_reason_and_a_question_without_version_are_wrong_usage(arguments):
    with pytest.raises(SystemExit) as exit_code:
        main(["models", *arguments])
    assert exit_code.value.code == 2
