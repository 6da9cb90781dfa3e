"""What the stream says of an order, in whatever order, however often."""

import asyncio
import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from builders import BTC, NOW_MS
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.trail import EXECUTIONS_MAX, Trail
from gateway.core.model import Evidence, Fill, OrderLinkId, OrderState, Outcome, Side, Symbol
from gateway.core.venue import Execution, ExecutionKind, VenueOrder, VenueStatus
from simulator.virtual import VirtualTime, run

LINK = OrderLinkId("tg1")


def an_event(**changes: Any) -> VenueOrder:
    values: dict[str, Any] = {
        "venue_order_id": "v1",
        "order_link_id": LINK,
        "symbol": BTC,
        "side": Side.BUY,
        "qty": Decimal("0.010"),
        "filled_qty": Decimal("0.010"),
        "status": VenueStatus.FILLED,
        "reduce_only": False,
        "detail": "",
        "updated_ms": NOW_MS,
    }
    return VenueOrder(**values | changes)


def an_execution(**changes: Any) -> Execution:
    values: dict[str, Any] = {
        "exec_id": "e1",
        "venue_order_id": "v1",
        "order_link_id": LINK,
        "symbol": BTC,
        "side": Side.BUY,
        "price": Decimal(60_003),
        "qty": Decimal("0.010"),
        "fee_usd": Decimal("0.33"),
        "kind": ExecutionKind.TRADE,
        "at_ms": NOW_MS,
    }
    return Execution(**values | changes)


NEW = an_event(status=VenueStatus.OPEN, filled_qty=Decimal(0), updated_ms=NOW_MS - 2)
PARTLY = an_event(status=VenueStatus.OPEN, filled_qty=Decimal("0.004"), updated_ms=NOW_MS - 1)
FILLED = an_event()
FILLED_AGAIN = an_event(detail="EC_OrigClOrdIDDoesNotExist", updated_ms=NOW_MS + 1)
FIRST = an_execution(exec_id="e1", qty=Decimal("0.004"), at_ms=NOW_MS - 1)
SECOND = an_execution(exec_id="e2", qty=Decimal("0.006"))
FUNDING = an_execution(exec_id="f1", qty=Decimal("0.010"), kind=ExecutionKind.FUNDING)
STORY = (NEW, PARTLY, FILLED, FIRST, SECOND)
ENDED = Outcome(
    state=OrderState.FILLED,
    fills=(FIRST.fill, SECOND.fill),
    evidence=Evidence.STREAM,
    venue_order_id="v1",
)


def told(*events: VenueOrder | Execution, evidence: Evidence = Evidence.STREAM) -> Trail:
    trail = Trail()
    for event in events:
        if isinstance(event, VenueOrder):
            trail.saw_order(event, evidence)
        else:
            trail.saw_execution(event)
    return trail


@given(
    st.permutations([*STORY, FILLED_AGAIN, FUNDING, SECOND]),
    st.lists(st.sampled_from([*STORY, FUNDING]), max_size=8),
)
def test_order_and_repetition_of_the_messages_make_no_difference(
    story: list[VenueOrder | Execution], again: list[VenueOrder | Execution]
) -> None:
    trail = told(*story, *again)
    assert trail.outcome() == ENDED
    assert not trail.contradicts_itself


@given(st.lists(st.sampled_from(STORY), max_size=12))
def test_no_end_is_told_before_every_fill_of_it_is_known(story: list[VenueOrder | Execution]) -> None:
    trail = told(*story)
    whole = {FILLED, FIRST, SECOND} <= set(story)
    assert trail.outcome().state is (OrderState.FILLED if whole else OrderState.UNKNOWN)
    assert trail.complete == whole
    assert trail.exists == bool(story)


@pytest.mark.parametrize(
    ("order", "executions", "state", "detail"),
    [
        (an_event(status=VenueStatus.CANCELLED, filled_qty=Decimal(0)), (), OrderState.CANCELLED, ""),
        (
            an_event(status=VenueStatus.CANCELLED, filled_qty=Decimal("0.004")),
            (FIRST,),
            OrderState.PARTIALLY_FILLED,
            "",
        ),
        (an_event(status=VenueStatus.CANCELLED), (FIRST, SECOND), OrderState.FILLED, ""),
        (an_event(status=VenueStatus.REJECTED, filled_qty=Decimal(0), detail="EC_X"), (), OrderState.REJECTED, "EC_X"),
        (an_event(status=VenueStatus.REJECTED, filled_qty=Decimal("0.004")), (FIRST,), OrderState.PARTIALLY_FILLED, ""),
    ],
)
def test_what_was_filled_decides_how_an_order_ended(
    order: VenueOrder, executions: tuple[Execution, ...], state: OrderState, detail: str
) -> None:
    outcome = told(order, *executions).outcome()
    assert (outcome.state, outcome.detail) == (state, detail)
    assert outcome.fills == tuple(each.fill for each in executions)


@pytest.mark.parametrize(
    "events",
    [
        (an_event(filled_qty=Decimal("0.004")), FIRST),
        (an_event(status=VenueStatus.CANCELLED, filled_qty=Decimal("0.004")), FIRST, SECOND),
        (an_event(status=VenueStatus.CANCELLED, filled_qty=Decimal("0.0041")), FIRST),
        (an_event(status=VenueStatus.OPEN), FIRST, SECOND),
        (FIRST, SECOND),
    ],
)
def test_what_does_not_add_up_to_the_last_digit_is_no_end(events: tuple[VenueOrder | Execution, ...]) -> None:
    assert told(*events).outcome() == Outcome(state=OrderState.UNKNOWN, venue_order_id="v1")


@pytest.mark.parametrize(
    "events",
    [
        (FILLED, an_event(venue_order_id="v2", updated_ms=NOW_MS + 1), an_execution()),
        (FILLED, an_execution(venue_order_id="v2")),
        (FILLED, an_execution(side=Side.SELL)),
        (FILLED, an_execution(symbol=Symbol("ETHUSDT"))),
        (FIRST, an_execution(exec_id="e2", venue_order_id="v2")),
    ],
)
def test_two_orders_under_one_id_are_seen(events: tuple[VenueOrder | Execution, ...]) -> None:
    assert told(*events).contradicts_itself


def test_an_order_that_is_not_the_acknowledged_one_is_seen() -> None:
    trail = told(FILLED, FIRST, SECOND)
    trail.acked_id = "v9"
    assert trail.contradicts_itself


def test_the_first_who_told_the_end_is_its_evidence() -> None:
    trail = told(PARTLY, evidence=Evidence.REALTIME)
    assert trail.evidence is None
    trail.saw_order(FILLED, Evidence.HISTORY)
    trail.saw_order(FILLED_AGAIN, Evidence.STREAM)
    assert trail.evidence is Evidence.HISTORY


def test_fills_stand_in_the_order_of_their_time() -> None:
    assert told(FILLED, SECOND, FIRST).outcome().fills == (
        Fill(price=Decimal(60_003), qty=Decimal("0.004"), fee_usd=Decimal("0.33"), exec_id="e1"),
        Fill(price=Decimal(60_003), qty=Decimal("0.006"), fee_usd=Decimal("0.33"), exec_id="e2"),
    )


def test_executions_of_one_order_are_bounded_and_beyond_that_it_has_no_end() -> None:
    count = EXECUTIONS_MAX + 1
    trail = told(*(an_execution(exec_id=f"e{number}", qty=Decimal(1)) for number in range(count)))
    trail.saw_order(an_event(qty=Decimal(count), filled_qty=Decimal(count)), Evidence.STREAM)
    assert len(trail.executions) == EXECUTIONS_MAX
    assert not trail.complete


def tell(events: OrderEvents, *story: VenueOrder | Execution) -> None:
    for event in story:
        if isinstance(event, VenueOrder):
            events.took_order(event)
        else:
            events.took_execution(event)


def test_what_was_told_before_anybody_asked_is_not_lost() -> None:
    events = OrderEvents()

    async def main() -> bool:
        with events.follow(LINK):
            tell(events, *STORY)
            return await events.wait(LINK, 1)

    time = VirtualTime(NOW_MS)
    assert run(time, main())
    assert time.now_ms() == NOW_MS


def test_a_wait_ends_with_the_last_piece_and_not_before() -> None:
    events, time = OrderEvents(), VirtualTime(NOW_MS)
    for number, event in enumerate((FILLED, FIRST, FIRST, SECOND), 1):
        time.call_at(NOW_MS + 100 * number, lambda event=event: tell(events, event))  # type: ignore[misc]

    async def main() -> bool:
        with events.follow(LINK):
            return await events.wait(LINK, 5)

    assert run(time, main())
    assert time.now_ms() == NOW_MS + 400


def test_a_wait_ends_when_its_time_is_over_whatever_is_told_meanwhile() -> None:
    events, time = OrderEvents(), VirtualTime(NOW_MS)
    for number in range(100):
        time.call_at(NOW_MS + 10 * number, lambda: tell(events, PARTLY))

    async def main() -> bool:
        with events.follow(LINK):
            return await events.wait(LINK, 0.5)

    assert not run(time, main())
    assert time.now_ms() == NOW_MS + 500


def test_what_nobody_follows_is_passed_on_and_what_was_ours_is_not() -> None:
    strange: list[VenueOrder | Execution] = []
    events = OrderEvents(unfollowed=strange.append)
    liquidation = an_execution(order_link_id=OrderLinkId(""), exec_id="adl")
    foreign = an_event(order_link_id=OrderLinkId("theirs"))
    with events.follow(LINK):
        tell(events, NEW, FIRST)
    tell(events, FILLED, liquidation, foreign)
    assert strange == [liquidation, foreign]
    assert events.known(LINK) is not None
    assert events.known(OrderLinkId("")) is None


def test_memory_is_bounded_and_what_is_followed_or_open_stays_longest() -> None:
    events = OrderEvents(trails_max=10)
    open_link, ended_link = OrderLinkId("open"), OrderLinkId("ended")
    with events.follow(LINK):
        tell(events, dataclasses.replace(NEW, order_link_id=open_link))
        tell(events, dataclasses.replace(FILLED, order_link_id=ended_link))
        for number in range(9):
            tell(events, dataclasses.replace(NEW, order_link_id=OrderLinkId(f"n{number}")))
        assert events.known(ended_link) is None
        assert events.known(open_link) is None
        for number in range(9, 100):
            tell(events, dataclasses.replace(NEW, order_link_id=OrderLinkId(f"n{number}")))
        assert events.known(LINK) is not None
        assert [link for link in (f"n{number}" for number in range(100)) if events.known(OrderLinkId(link))] == [
            f"n{number}" for number in range(91, 100)
        ]


def test_more_followed_orders_than_the_bound_all_stay() -> None:
    events = OrderEvents(trails_max=2)

    async def main() -> list[bool]:
        with events.follow(OrderLinkId("a")), events.follow(OrderLinkId("b")), events.follow(LINK):
            tell(events, *STORY)
            return await asyncio.gather(events.wait(LINK, 1), events.wait(OrderLinkId("a"), 1))

    assert run(VirtualTime(NOW_MS), main()) == [True, False]
