"""RiskService over gRPC: two steps back from a halt and a lock, and the flatten."""

import asyncio

import grpc
import pytest
from builders import BTC
from fakes import SlowRisk
from refusals import refused
from trading.v1 import risk_pb2 as pb
from trading.v1 import risk_pb2_grpc, trade_pb2, trade_pb2_grpc


@pytest.fixture
def risk(running):
    return risk_pb2_grpc.RiskServiceStub(running.channel)


async def bought(running):
    request = trade_pb2.ExecuteRequest(symbol=BTC, side="buy", qty_usd=2000.0, confidence=0.9)
    return await trade_pb2_grpc.TradeServiceStub(running.channel).Execute(request)


async def test_a_resume_shows_first_and_does_it_with_the_token(running, risk):
    await bought(running)
    await risk.Halt(pb.HaltRequest(actor="ada", reason="drill"))
    shown = await risk.Resume(pb.ResumeRequest(actor="ada", reason="over"))
    assert (shown.ok, shown.risk.state) == (False, "halted")
    preview = shown.preview
    assert (preview.from_state, preview.to_state, preview.open_orders) == ("halted", "active", 0)
    assert [held.symbol for held in preview.positions] == [BTC]
    assert preview.positions[0].qty > 0
    assert preview.peak_after_usd == preview.peak_equity_usd == 100_000
    assert preview.drawdown == preview.drawdown_after > 0
    assert preview.expire_time.ToMilliseconds() == running.world.clock.at_ms + 60_000
    assert len(running.world.journal.risk) == 1
    done = await risk.Resume(pb.ResumeRequest(actor="ada", reason="over", confirm_token=shown.confirm_token))
    assert (done.ok, done.risk.state, done.message) == (True, "active", "The halt is lifted.")
    assert not done.HasField("preview")
    assert not done.HasField("confirm_token")
    assert running.world.journal.risk[-1].reason == "over"


async def test_a_token_does_not_count_when_a_halt_came_after_it_was_shown(risk):
    await risk.Halt(pb.HaltRequest())
    shown = await risk.Resume(pb.ResumeRequest())
    await risk.Halt(pb.HaltRequest(actor="bob", reason="wait"))
    told = await refused(risk.Resume(pb.ResumeRequest(confirm_token=shown.confirm_token)))
    assert (told.code, told.reason, told.http_status) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "CONFIRMATION_EXPIRED",
        "412",
    )
    assert (await risk.GetRisk(pb.GetRiskRequest())).risk.state == "halted"


@pytest.mark.parametrize("event", ["resume", "reset"])
async def test_a_halt_that_comes_while_the_second_step_is_recorded_stands_and_both_are_told(running, risk, event):
    if event == "resume":
        await risk.Halt(pb.HaltRequest())
        token = (await risk.Resume(pb.ResumeRequest())).confirm_token
    slow = SlowRisk(running.world.journal)
    call = risk.Resume(pb.ResumeRequest(confirm_token=token)) if event == "resume" else risk.Reset(pb.ResetRequest())
    lifting = asyncio.ensure_future(call)
    await slow.waiting.wait()
    halting = asyncio.ensure_future(risk.Halt(pb.HaltRequest(actor="bob", reason="wait")))
    while not running.world.guard._owed:  # noqa: ASYNC110, SLF001 - until the halt has come in
        await asyncio.sleep(0.01)
    slow.go.set()
    lifted, halted = await lifting, await halting
    assert (lifted.ok, lifted.risk.state, halted.ok, halted.risk.state) == (False, "halted", True, "halted")
    assert "halt by bob: wait" in lifted.message


@pytest.mark.parametrize("event", ["resume", "reset"])
async def test_a_token_of_one_move_is_none_of_the_other(risk, event):
    await risk.Halt(pb.HaltRequest())
    resume, reset = await risk.Resume(pb.ResumeRequest()), await risk.Reset(pb.ResetRequest(two_step=True))
    call = (
        risk.Resume(pb.ResumeRequest(confirm_token=reset.confirm_token))
        if event == "resume"
        else risk.Reset(pb.ResetRequest(confirm_token=resume.confirm_token))
    )
    assert (await refused(call)).reason == "CONFIRMATION_EXPIRED"


async def test_a_reset_is_done_at_once_or_in_two_steps_where_they_are_asked_for(running, risk):
    assert (await risk.Reset(pb.ResetRequest(actor="ada"))).ok
    await bought(running)
    shown = await risk.Reset(pb.ResetRequest(two_step=True))
    assert (shown.ok, len(running.world.journal.risk)) == (False, 1)
    assert shown.preview.drawdown > shown.preview.drawdown_after == 0
    assert shown.preview.peak_after_usd == shown.preview.equity_usd < shown.preview.peak_equity_usd
    done = await risk.Reset(pb.ResetRequest(two_step=True, confirm_token=shown.confirm_token))
    assert (done.ok, done.risk.drawdown, len(running.world.journal.risk)) == (True, 0, 2)


async def test_a_flatten_closes_what_is_held_and_leaves_the_halt(running, risk):
    await bought(running)
    told = await risk.Flatten(pb.FlattenRequest(actor="ada", reason="out"))
    assert (told.ok, told.risk.state, told.open_orders) == (True, "halted", 0)
    assert told.message == "Trading is halted and the account is flat: 1 positions closed."
    assert [(one.symbol, one.qty_left, one.why) for one in told.positions] == [(BTC, 0, "")]
    assert (await refused(bought(running))).reason == "HALTED"


async def test_a_flatten_that_leaves_something_says_so(running, risk):
    await bought(running)
    running.world.clock.at_ms += 60_000
    told = await risk.Flatten(pb.FlattenRequest())
    assert (told.ok, told.risk.state) == (False, "halted")
    assert told.positions[0].qty_left == told.positions[0].qty_before
    assert "0 positions closed, 1 left, 0 orders not ended. Ask again." in told.message


async def test_a_halt_with_flatten_closes_behind_its_answer(running, risk):
    await bought(running)
    assert "being closed" in (await risk.Halt(pb.HaltRequest(flatten=True))).message
    assert (await risk.Flatten(pb.FlattenRequest())).ok
    assert len(running.world.venue.submitted) == 2


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda risk: risk.Flatten(pb.FlattenRequest()), "Trading is halted, but nothing was closed"),
        (lambda risk: risk.Halt(pb.HaltRequest()), "Trading is halted, but the halt is not recorded yet"),
    ],
)
async def test_without_a_journal_the_halt_holds_and_the_caller_is_told(running, risk, ask, told):
    running.world.journal.full = True
    failure = await refused(ask(risk))
    assert (failure.reason, failure.http_status) == ("JOURNAL_UNAVAILABLE", "503")
    assert told in failure.status.message
    assert running.world.guard.is_halted
