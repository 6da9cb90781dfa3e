"""Storms of refusals for too many requests; the exchange's log of requests is the witness of what was sent."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from storm_kit import CREATE, Storm

from bench.outage_desk import QUICK, a_desk, an_exchange
from gateway.adapters.venue_bybit.alarms import AlarmKind
from gateway.adapters.venue_bybit.breaker import PAUSE_MS, REFUSALS_MAX
from gateway.adapters.venue_bybit.budget import BUSY_MS, HEADROOM, LIMITS, RESET_MS_MAX
from gateway.core.model import Evidence, OrderState, Outcome, Side
from simulator.api.limits import LimitConfig
from simulator.faults import Kind
from simulator.trading.contract import AccountConfig

BAN_MS = 600_000
LIMIT = LIMITS["place_order"]


def is_unsent(outcome: Outcome) -> bool:
    return (outcome.state, outcome.evidence) == (OrderState.EXPIRED, Evidence.UNSENT)


# HTTP 403.


def test_during_a_ban_of_ten_minutes_no_request_is_sent_whoever_wants_to() -> None:
    """The address limit is met in the middle of a storm of orders and questions."""
    storm = Storm(config={"limits": LimitConfig(address_requests=60, ban_ms=BAN_MS)})

    async def main() -> None:
        for second in range(30):
            await storm.open_many(f"storm-{second}", 40)
            await asyncio.gather(*(storm.reads.call("get_positions", symbol="BTCUSDT") for _ in range(10)),
                                 return_exceptions=True)  # fmt: skip
            if storm.ban.left_ms():
                break
            await asyncio.sleep(1)
        for minute in range(10):
            outcomes = [*await storm.open_many(f"banned-{minute}", 20), await storm.reduce(f"reduce-{minute}")]
            assert all(is_unsent(outcome) for outcome in outcomes)
            block = storm.venue.block(reduce_only=True)
            assert block is not None
            assert 0 <= BAN_MS / 1000 - 60 * minute - block.retry_after_seconds <= 1
            await asyncio.sleep(60)
        assert (await storm.open("after")).state is OrderState.FILLED

    storm.run(main())
    banned = [entry for entry in storm.sent() if entry.status == 403]
    assert len(banned) == 1
    assert storm.sent_between(banned[0].at_ms, banned[0].at_ms + BAN_MS) == []
    assert [alarm.kind for alarm in storm.alarms] == [AlarmKind.BANNED]


def test_orders_that_were_cut_off_by_a_ban_are_resolved_after_it() -> None:
    """Unknown all through the ban: nothing may be asked, and nothing may be concluded from that."""
    storm = Storm(streams=False)
    storm.fault(Kind.HTTP_AFTER_ACCEPT, status=403, path=CREATE, text="403, access too frequent")

    async def main() -> None:
        assert (await storm.open("lost")).state is OrderState.UNKNOWN
        assert is_unsent(await storm.open("next"))
        assert (await storm.open("lost")).state is OrderState.UNKNOWN
        await asyncio.sleep(BAN_MS / 1000)
        assert (await storm.open("lost")).state is OrderState.UNKNOWN

    storm.run(main())
    assert [entry.link_id for entry in storm.sent(CREATE)] == ["lost"]


# HTTP 429.


def test_429_holds_openings_back_for_longer_each_time_though_questions_are_answered() -> None:
    storm = Storm()

    async def main() -> None:
        await storm.open("position")
        await asyncio.sleep(1)
        storm.fault(Kind.HTTP_BEFORE_ACCEPT, status=429, path=CREATE, times=None)
        async with asyncio.TaskGroup() as openings:
            for second in range(100):
                openings.create_task(storm.open_many(f"storm-{second}", 20))
                await asyncio.sleep(1)
        storm.local.faults.clear()
        await asyncio.sleep(BUSY_MS[1] / 1000)
        assert (await storm.open("after")).state is OrderState.FILLED

    storm.run(main())
    busy_ms = [entry.at_ms for entry in storm.sent() if entry.status == 429]
    gaps_ms = [later - earlier for earlier, later in pairwise(busy_ms)]
    assert len(gaps_ms) == 6  # after 1, 2, 4, 8, 16 and 32 seconds
    assert all(gap_ms >= BUSY_MS[0] * 2**number for number, gap_ms in enumerate(gaps_ms))


def test_reductions_pass_while_429_holds_everything_else_back() -> None:
    storm = Storm()

    async def main() -> list[Outcome]:
        await storm.open("position")
        storm.fault(Kind.HTTP_BEFORE_ACCEPT, status=429, path="/v5/position/list")
        await asyncio.gather(storm.reads.call("get_positions", symbol="BTCUSDT"), return_exceptions=True)
        openings, *reductions = await asyncio.gather(
            storm.open_many("storm", 50), *(storm.reduce(f"reduce-{number}") for number in range(3))
        )
        assert all(is_unsent(outcome) for outcome in openings)
        return reductions

    assert [outcome.state for outcome in storm.run(main())] == [OrderState.FILLED] * 3


# Code 10006.


def test_no_call_of_a_kind_is_sent_before_its_reset() -> None:
    """Another hand uses up the account's limit, which the gateway learns from its refusals."""
    storm = Storm()

    async def main() -> None:
        for tick in range(300):
            storm.foreign_order(f"foreign-{tick}")
            if tick % 3 == 0:
                await storm.open_many(f"storm-{tick}", 10)
            await asyncio.sleep(0.095)

    storm.run(main())
    assert len(storm.transport.resets) >= 3
    for path, heard_ms, reset_ms in storm.transport.resets:
        until_ms = min(reset_ms, heard_ms + RESET_MS_MAX)
        assert [each for each in storm.sent(path) if heard_ms < each.at_ms < until_ms] == []


def test_the_reset_is_kept_to_by_the_exchanges_clock_however_far_off_this_machines_is() -> None:
    storm = Storm()
    storm.local.clock.skew_ms = -400  # this machine is ahead

    async def main() -> None:
        for number in range(10):
            storm.foreign_order(f"foreign-{number}")
        for number in range(100):
            await storm.open(f"a-{number}")
            await asyncio.sleep(0.01)

    storm.run(main())
    [(_, heard_ms, reset_ms), *_] = storm.transport.resets
    first_after_ms = next(entry.at_ms for entry in storm.sent(CREATE) if entry.at_ms > heard_ms)
    assert first_after_ms + storm.local.clock.skew_ms >= reset_ms


def test_a_10006_without_headers_pauses_its_kind_for_a_second_reductions_included() -> None:
    """The exchange as a whole is overloaded: every answer is 10006, and none says until when."""
    storm = Storm()

    async def main() -> None:
        await storm.open("position")
        storm.fault(Kind.CODE_BEFORE_ACCEPT, code=10006, path=CREATE, times=None)
        for _ in range(40):
            number = int(storm.time.now_ms())
            await asyncio.gather(storm.open_many(f"storm-{number}", 5), storm.reduce(f"reduce-{number}"))
        storm.local.faults.clear()
        await asyncio.sleep(1)
        assert (await storm.reduce("after")).state is OrderState.FILLED

    storm.run(main())
    limited_ms = [entry.at_ms for entry in storm.sent(CREATE) if entry.code == 10006]
    # Openings and reductions have sessions of their own, so two may be on their way when the first is refused.
    moments = [later - earlier for earlier, later in pairwise(limited_ms)]
    assert len(limited_ms) >= 10
    assert all(gap_ms <= 5 or gap_ms >= 1000 for gap_ms in moments)
    assert sum(gap_ms <= 5 for gap_ms in moments) <= len(limited_ms) / 2


def test_a_storm_of_openings_never_eats_what_is_kept_for_reductions() -> None:
    storm = Storm()
    reductions: list[Outcome] = []

    async def reduce() -> None:
        for number in range(3 * 20):
            await asyncio.sleep(0.335)
            reductions.append(await storm.reduce(f"reduce-{number}"))

    async def main() -> None:
        await storm.open("position-1")
        await storm.open("position-2")
        reducing = asyncio.create_task(reduce())
        for burst in range(200):
            await storm.open_many(f"storm-{burst}", 20)
            await asyncio.sleep(0.1)
        await reducing

    storm.run(main())
    assert [outcome.state for outcome in reductions] == [OrderState.FILLED] * 60
    assert all(entry.code == 0 for entry in storm.sent(CREATE))
    openings_ms = [entry.at_ms for entry in storm.sent(CREATE) if not (entry.link_id or "").startswith("reduce")]
    assert len(openings_ms) >= 60
    window = LIMIT - HEADROOM
    assert all(late - early >= 1000 for early, late in zip(openings_ms, openings_ms[window:], strict=False))


# The breaker.


def test_the_breaker_opens_in_the_middle_of_a_storm_and_lets_one_trial_through_at_a_time() -> None:
    """An account without money: the exchange itself refuses each opening with the same code."""
    storm = Storm(config={"accounts": (AccountConfig(uid=1, balances={}),)})

    async def main() -> None:
        for _ in range(600):
            await storm.open_many(f"storm-{storm.time.now_ms()}", 20)
            await asyncio.sleep(0.5)

    storm.run(main())
    refused_ms = [entry.at_ms for entry in storm.sent(CREATE)]
    assert {entry.code for entry in storm.sent(CREATE)} == {110007}
    trials_ms = refused_ms[REFUSALS_MAX - 1 :]
    assert len(trials_ms) == 5
    assert all(PAUSE_MS <= later - earlier <= PAUSE_MS + 1000 for earlier, later in pairwise(trials_ms))


def test_a_trial_that_passes_closes_the_breaker() -> None:
    storm = Storm()

    async def main() -> list[Outcome]:
        await storm.open("position")
        storm.fault(Kind.CODE_BEFORE_ACCEPT, code=110007, path=CREATE, times=REFUSALS_MAX)
        await storm.open_many("storm", 20)
        assert is_unsent(await storm.open("held"))
        assert (await storm.reduce("reduce")).state is OrderState.FILLED
        await asyncio.sleep(PAUSE_MS / 1000)
        return [await storm.open(f"after-{number}") for number in range(3)]

    assert [outcome.state for outcome in storm.run(main())] == [OrderState.FILLED] * 3
    assert [alarm.kind for alarm in storm.alarms] == [AlarmKind.BREAKER]


# Over real sockets, with a thread for each session.

IN_FLIGHT_MS = 50
"""What was on its way when the refusal came is no wonder."""


@pytest.mark.parametrize(
    ("rule", "reductions_pass"),
    [
        ({"kind": "http_before_accept", "status": 429}, True),
        ({"kind": "code_before_accept", "code": 10006}, False),
    ],
    ids=["429", "10006"],
)
async def test_over_real_sockets_a_storm_ends_with_its_first_refusal(
    rule: dict[str, Any], reductions_pass: bool
) -> None:
    async with an_exchange() as exchange, a_desk(exchange, QUICK) as desk:
        assert (await desk.submit("position")).state is OrderState.FILLED
        await asyncio.sleep(1)
        await exchange.control("faults", rules=[rule | {"path": CREATE}])
        storm = [asyncio.create_task(desk.submit(f"storm-{number}")) for number in range(30)]
        await asyncio.wait(storm, return_when=asyncio.FIRST_COMPLETED)
        reduction = await desk.submit("reduction", side=Side.SELL, reduce_only=True)
        assert reduction.state is OrderState.FILLED if reductions_pass else is_unsent(reduction)
        outcomes = await asyncio.gather(*storm)
        assert [outcome.state for outcome in outcomes if not is_unsent(outcome)] == [OrderState.UNKNOWN]
        await asyncio.sleep(1)
        assert (await desk.submit("after")).state is OrderState.FILLED
        sent = [entry for entry in await exchange.requests() if entry["path"] == CREATE]
        refused_ms = next(entry["time"] for entry in sent if "429" in str(entry["status"]) or entry["retCode"] == 10006)
        inside = [
            entry["orderLinkId"] for entry in sent if refused_ms + IN_FLIGHT_MS < entry["time"] < refused_ms + 1000
        ]
        assert [link for link in inside if link != "reduction"] == []
        assert len(sent) == (4 if reductions_pass else 3)
