"""One case of live trading: an order is sent, the gateway is killed with -9 somewhere, and comes back."""

import asyncio
import signal
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2, status_pb2
from trading.v1 import trade_pb2
from trading.v1.trade_pb2_grpc import TradeServiceStub

from bench.crash.checks import ENDED_WITH_ORDER, Rule, Story, broken
from bench.crash.modes import IN_FLIGHT, Mode, fault
from bench.crash.world import POLL_SECONDS, Exchange, Gateways, Holder, Life, WorldError, a_holder, until
from gateway.core.lifecycle import OPEN_STATES
from gateway.core.model import OrderRecord, OrderState
from gateway.doctor import diagnose

CALL_SECONDS = 10.0
CRASH_SECONDS_MAX = 60.0
END_SECONDS_MAX = 120.0
OPEN = {"pending", "unknown"}
ON_ITS_WAY_SECONDS = 0.15
"""After the journal has the order, so long until it is surely on its way to the venue."""
TAIL_SECONDS = 0.3
"""So long after everything the venue is looked at once more: a late duplicate would be there by then."""


class Way(StrEnum):
    """How an order came to its end."""

    BEFORE = "recorded before the crash"
    ADOPTED = "found at the venue after the crash"
    FIRST = "first sent after the crash"
    RESENT = "sent more than once"
    EXPIRED = "proven absent, and expired"
    FAILED = "taken for failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One place to kill at, in one mode."""

    mode: Mode
    kill: str
    uid: int
    naive: bool = False

    @property
    def key(self) -> str:
        """The idempotency key of its order."""
        return f"{self.mode.name}-{self.kill}"

    def order(self, qty_usd: float = 2000.0) -> trade_pb2.ExecuteRequest:
        """Its order; with another quantity, other content under its key."""
        return trade_pb2.ExecuteRequest(
            symbol="BTCUSDT", side="buy", qty_usd=qty_usd, confidence=0.9, idempotency_key=self.key
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a case came to."""

    case: Case
    broken: tuple[Rule, ...]
    orders: int
    """At the venue."""
    state: str
    evidence: str
    way: Way
    sends_before: int
    """How often the order was sent before the crash, and after it."""
    sends_after: int
    link_ids: frozenset[str | None]
    """Under which orderLinkIds it was sent; None: without one."""


async def run_case(case: Case, exchange: Exchange, folder: Path) -> Ending:
    """Send, kill, come back, retry, and compare."""
    holder = await a_holder(exchange, case.uid)
    deaf = (fault("ws_gap", times=0),) if case.kill == IN_FLIGHT else ()
    await holder.arm(*case.mode.rules, *deaf)
    gateways = Gateways(holder, folder, naive=case.naive)
    await _first_life(case, gateways, holder)
    before, sent_before = gateways.record(case.key), await holder.sends()
    async with gateways.running(ORDER_AGE_SECONDS_MAX=str(case.mode.order_age_seconds)) as life:
        answers, mismatches = await _ask_until_it_ends(case, life.trade)
        await asyncio.sleep(TAIL_SECONDS + case.mode.way_ms / 1000)
        answers.append(await _answer(life.trade, case.order()))
    story = Story(
        truth=await holder.truth(),
        audit=diagnose(gateways.journal).found,
        record=gateways.record(case.key),
        answers=answers,
        mismatches=mismatches,
        sends=await holder.sends(),
    )
    was_open = before is None or before.state in OPEN_STATES
    return _ending(case, story, len(sent_before), was_open=was_open)


def _ending(case: Case, story: Story, sent_before: int, *, was_open: bool) -> Ending:
    record, sent = story.record, story.sends
    return Ending(
        case=case,
        broken=broken(story),
        orders=len(story.truth["orders"]),
        state=record.state.value if record else "none",
        evidence=record.evidence.value if record and record.evidence else "none",
        way=_way(record, sent_before, len(sent), was_open=was_open),
        sends_before=sent_before,
        sends_after=len(sent) - sent_before,
        link_ids=frozenset(entry["orderLinkId"] for entry in sent),
    )


def _way(record: OrderRecord | None, sent_before: int, sent: int, *, was_open: bool) -> Way:
    if record is None or record.state not in ENDED_WITH_ORDER:
        return Way.EXPIRED if record and record.state is OrderState.EXPIRED else Way.FAILED
    if not was_open:
        return Way.BEFORE
    if sent > 1:
        return Way.RESENT
    return Way.ADOPTED if sent_before else Way.FIRST


async def _first_life(case: Case, gateways: Gateways, holder: Holder) -> None:
    """Send the order to a gateway that is killed."""
    at = {} if case.kill == IN_FLIGHT else {"CRASH_AT": case.kill}
    async with gateways.running(**at) as life, asyncio.TaskGroup() as tasks:
        tasks.create_task(_send_until_dead(case, life))
        if case.kill == IN_FLIGHT:
            async with asyncio.timeout(CRASH_SECONDS_MAX):
                await _in_flight(case, gateways, holder)
            life.process.kill()
    if life.process.returncode != -signal.SIGKILL:
        raise WorldError(f"the gateway ended with {life.process.returncode}, not by SIGKILL")


async def _send_until_dead(case: Case, life: Life) -> None:
    """As a client does that retries with its key; what it is told before the crash does not count."""
    async with asyncio.timeout(CRASH_SECONDS_MAX):
        while life.process.poll() is None:
            await _answer(life.trade, case.order())
            await asyncio.sleep(POLL_SECONDS)


async def _in_flight(case: Case, gateways: Gateways, holder: Holder) -> None:
    """Return while the order is on its way to the venue, or its answer is on the way back."""
    if not case.mode.way_ms:
        await until(holder.sends)
        return
    await until(lambda: gateways.journaled(case.key))
    await asyncio.sleep(ON_ITS_WAY_SECONDS)
    if await holder.sends():
        raise WorldError("the order has arrived before the gateway was killed")


async def _ask_until_it_ends(case: Case, trade: TradeServiceStub) -> tuple[list[Any], list[str]]:
    """Retry with the same key until the order has ended, then once more; try other content at every stage."""
    mismatches: list[str] = []
    async with asyncio.timeout(END_SECONDS_MAX):
        while True:
            answer = await _answer(trade, case.order())
            if answer.get("order", {}).get("state") in OPEN:
                mismatches = mismatches or [await _other_content(case, trade)]
            elif not str(answer.get("refused", "")).startswith("UNAVAILABLE"):
                break
            await asyncio.sleep(POLL_SECONDS)
    mismatches.append(await _other_content(case, trade))
    return [answer, await _answer(trade, case.order())], mismatches


async def _other_content(case: Case, trade: TradeServiceStub) -> str:
    """What the same key with another quantity is told."""
    answer = await _answer(trade, case.order(qty_usd=1500.0))
    return str(answer.get("refused", f"taken: {answer}"))


async def _answer(trade: TradeServiceStub, order: trade_pb2.ExecuteRequest) -> dict[str, Any]:
    """What the client is told, without the mark of a replay; of a refusal its code and reason."""
    try:
        told = MessageToDict(await trade.Execute(order, timeout=CALL_SECONDS))
    except grpc.aio.AioRpcError as error:
        details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
        info = error_details_pb2.ErrorInfo()
        for detail in status_pb2.Status.FromString(details).details:
            detail.Unpack(info)
        return {"refused": f"{error.code().name} {info.reason}"}
    told.pop("replayed", None)
    return told
