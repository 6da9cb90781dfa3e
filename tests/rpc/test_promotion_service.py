"""PromotionService over a real gRPC server, its JSON edge, and what `tollgate` makes of it."""

import asyncio
import json

import pytest
from builders import NOW_MS, VERSION
from google.api import httpbody_pb2
from refusals import refused
from trading.v1 import json_edge_pb2_grpc, promotion_pb2, promotion_pb2_grpc, system_pb2, system_pb2_grpc

from gateway.cli import DONE, REFUSED, UNREACHABLE, main
from gateway.core.documents import Document, DocumentKind
from gateway.core.evidence import CRITERIA
from gateway.core.promotion import Stage
from gateway.core.promotion_records import Move, PromotionRecord, limits_of, signed_text, verified
from gateway.rpc.promotion_client import promotion_lines

KEY = b"k" * 32


def stub(running):
    return promotion_pb2_grpc.PromotionServiceStub(running.channel)


def get(running):
    return stub(running).GetPromotion(promotion_pb2.GetPromotionRequest(), timeout=5)


def edge(running, method, body):
    data = httpbody_pb2.HttpBody(data=json.dumps(body).encode())
    return getattr(json_edge_pb2_grpc.JsonEdgeServiceStub(running.channel), method)(data, timeout=5)


async def standing_at(running, stage):
    """A start over a journal in which the account stands at that stage."""
    record = PromotionRecord(
        move=Move.PROMOTION,
        from_stage=Stage.PAPER,
        to_stage=stage,
        model_version=VERSION,
        model_sha256="",
        limits=limits_of(running.world.policy),
        real_market=True,
        from_ms=0,
        criteria=(),
        actor="ann",
        reason="reviewed",
        at_ms=NOW_MS,
    )
    text = signed_text(record, KEY)
    await running.world.journal.append_document(
        Document(kind=DocumentKind.PROMOTION, subject=stage.value, text=text, at_ms=NOW_MS)
    )
    await running.promotion.load()
    return record


async def test_a_new_account_stands_at_paper_and_is_told_what_it_lacks(running):
    answer = await get(running)
    assert (answer.promotion.stage, answer.next_stage, answer.passes) == ("PAPER", "PAPER_TINY", False)
    assert not answer.promotion.HasField("cap_usd")
    assert not answer.HasField("record")
    assert [criterion.name for criterion in answer.criteria] == [
        name for name in CRITERIA if name not in {"real_market", "paper_bias_bps"}
    ]
    outcomes = next(criterion for criterion in answer.criteria if criterion.name == "outcomes")
    assert (outcomes.finding, outcomes.value, outcomes.limit, outcomes.needed_more) == ("not_enough", 0, 1500, 1500)


async def test_a_promotion_without_evidence_is_a_412_with_the_criterion(running):
    request = promotion_pb2.PromoteRequest(to="PAPER_TINY", actor="ann", reason="in a hurry")
    refusal = await refused(stub(running).Promote(request, timeout=5))
    assert refusal.reason == "PROMOTION_REFUSED"
    assert refusal.http_status == "412"
    assert refusal.metadata["criterion"] == "decisions"


async def test_health_tells_the_stage(running):
    await standing_at(running, Stage.PAPER_SCALED_500)
    system = system_pb2_grpc.SystemServiceStub(running.channel)
    told = (await system.GetHealth(system_pb2.GetHealthRequest(), timeout=5)).promotion
    assert (told.stage, told.cap_usd, told.override, told.refusal) == ("PAPER_SCALED_500", 500.0, False, "")


async def test_a_demotion_is_recorded_and_told(running):
    await standing_at(running, Stage.PAPER_SCALED_500)
    answer = await stub(running).Demote(promotion_pb2.DemoteRequest(actor="ann", reason="a quiet week"), timeout=5)
    assert (answer.promotion.stage, answer.record.move, answer.record.actor) == ("PAPER_TINY", "demotion", "ann")
    assert answer.message == "The account stands at PAPER_TINY."
    told = await get(running)
    assert verified(told.signed_record, KEY).to_stage is Stage.PAPER_TINY


async def test_the_json_edge_takes_the_same_calls_and_no_other_field(running):
    await standing_at(running, Stage.PAPER_TINY)
    assert (await edge(running, "Demote", {"actor": "ann", "reason": "drill"})).promotion.stage == "PAPER"
    for body, field in (
        ({"reason": "x", "force": True}, "force"),
        ({"to": "LIVE_NOW", "reason": "x"}, "to"),
        ({"to": "LIVE"}, "reason"),
    ):
        refusal = await refused(edge(running, "Promote", body))
        assert (refusal.reason, refusal.metadata["field"]) == ("INVALID_FIELD", field)
    refusal = await refused(edge(running, "Promote", {"reason": "in a hurry"}))
    assert refusal.reason == "PROMOTION_REFUSED"


async def test_a_journal_that_is_full_records_no_demotion_and_says_so(running):
    await standing_at(running, Stage.PAPER_TINY)
    running.world.journal.full = True
    refusal = await refused(stub(running).Demote(promotion_pb2.DemoteRequest(reason="drill"), timeout=5))
    assert refusal.reason == "JOURNAL_UNAVAILABLE"
    assert (await get(running)).promotion.stage == "PAPER"


async def command(running, capsys, *arguments):
    address = f"127.0.0.1:{running.server.port}"
    code = await asyncio.to_thread(main, [*arguments, "--addr", address])
    said = capsys.readouterr()
    return code, said.out, said.err


async def test_tollgate_evidence_tells_every_criterion_and_fails_while_one_is_missing(running, capsys):
    code, out, _ = await command(running, capsys, "evidence")
    assert code == REFUSED
    assert out.splitlines()[0] == "stage     PAPER"
    assert "not yet   outcomes             0 of at least 1500 matured decisions; 1500 more are needed." in out
    code, out, _ = await command(running, capsys, "evidence", "--json")
    assert (code, json.loads(out)["passes"]) == (REFUSED, False)


async def test_tollgate_promote_is_refused_without_evidence(running, capsys):
    code, _, err = await command(running, capsys, "promote", "--reason", "in a hurry")
    assert code == REFUSED
    assert err.startswith("tollgate: PROMOTION_REFUSED: The account was not promoted to PAPER_TINY: decisions")


async def test_tollgate_promote_exports_the_signed_record_once(running, capsys, tmp_path):
    file = tmp_path / "record.json"
    code, _, err = await command(running, capsys, "promote", "--export", str(file))
    assert (code, err) == (REFUSED, "tollgate: There is no record to export: the account was never promoted.\n")
    record = await standing_at(running, Stage.LIVE_TINY)
    assert (await command(running, capsys, "promote", "--export", str(file)))[0] == DONE
    assert file.read_text() == signed_text(record, KEY) + "\n"
    code, _, err = await command(running, capsys, "promote", "--export", str(file))
    assert (code, err) == (REFUSED, f"tollgate: {file} was not written: File exists\n")


async def test_tollgate_promote_wants_a_reason_or_a_file(running, capsys):
    code, _, err = await command(running, capsys, "promote")
    assert (code, err) == (REFUSED, "tollgate: Nothing was done: name a --reason to move, or a file to --export to.\n")


async def test_tollgate_demote_and_status_tell_the_stage(running, capsys):
    await standing_at(running, Stage.PAPER_SCALED_500)
    code, out, _ = await command(running, capsys, "demote", "--reason", "a quiet week", "--actor", "ann")
    assert code == DONE
    assert out.endswith("The account stands at PAPER_TINY.\nstage     PAPER_TINY, at most 100 USD\n")
    code, out, _ = await command(running, capsys, "status")
    assert out.splitlines()[-1] == "stage     PAPER_TINY, at most 100 USD"


def test_an_override_is_shouted():
    told = system_pb2.PromotionHealth(stage="PAPER", override=True, override_reason="ann answers for it")
    assert promotion_lines(told) == ["stage     LIVE WITHOUT A PROMOTION: ann answers for it"]
    told = system_pb2.PromotionHealth(stage="LIVE_TINY", cap_usd=100, refusal="another model is served")
    assert promotion_lines(told) == ["stage     LIVE_TINY, at most 100 USD; NO order may open: another model is served"]


def test_nobody_answers_is_its_own_exit_code(capsys):
    assert main(["evidence", "--addr", "127.0.0.1:1"]) == UNREACHABLE
    assert "No gateway answers" in capsys.readouterr().err


@pytest.mark.parametrize("stage", list(Stage)[1:])
def test_the_contract_knows_every_stage_to_promote_to(stage):
    field = promotion_pb2.PromoteRequest.DESCRIPTOR.fields_by_name["to"]
    assert stage.value in str(field.GetOptions())
