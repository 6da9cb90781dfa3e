"""What became of an order whose end is not known: proven, or not told."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import requests
from builders import NOW_MS
from bybit_exchange import CREATE, EXECUTIONS, HISTORY, LISTS, REALTIME, Act
from hypothesis import given, settings
from hypothesis import strategies as st
from live_kit import ANSWER_MS, LAG_MS, MARGIN_MS, Live, a_record, approved

from gateway.adapters.venue_bybit.alarms import AlarmKind
from gateway.adapters.venue_bybit.venue import UNSIGNED_OLDER_MS_MAX
from gateway.core.model import Evidence, OrderRecord, OrderState, Outcome, Side
from gateway.ports import VenueUnavailableError

FOREVER_MS = 10**9
UNKNOWN = Outcome(state=OrderState.UNKNOWN)
FIELDS = {"symbol": "BTCUSDT", "side": "Buy", "qty": "0.010", "orderLinkId": "tg1"}


@pytest.fixture
def live() -> Live:
    return Live()


def find(live: Live, record: OrderRecord | None = None) -> Outcome | None:
    return live.run(live.venue.find(record or a_record()))


def settle_time(live: Live, ms: int) -> None:
    """Let both clocks run: the gateway's, and the loop's that finds are timed by."""
    live.run(asyncio.sleep(ms / 1000))


def lose(live: Live, *, taken: bool, **changes: Any) -> None:
    """Send an order whose answer is lost and that shows nowhere."""
    live.exchange.next(CREATE, Act(taken=taken, raises=lambda: requests.exceptions.ConnectionError("dropped")))
    live.exchange.lags_ms = dict.fromkeys(LISTS, FOREVER_MS)
    assert live.run(live.venue.submit(approved(**changes))).state is OrderState.UNKNOWN


def show(live: Live, *paths: str) -> None:
    for path in paths:
        live.exchange.taken["tg1"].visible_ms[path] = live.time.now_ms()


# Proven ends.


@pytest.mark.parametrize(
    ("paths", "evidence"), [((REALTIME, EXECUTIONS), Evidence.REALTIME), ((HISTORY, EXECUTIONS), Evidence.HISTORY)]
)
def test_a_lost_order_is_found_with_its_fills_and_where_they_were_found(
    live: Live, paths: tuple[str, ...], evidence: Evidence
) -> None:
    lose(live, taken=True)
    show(live, *paths)
    outcome = find(live)
    assert outcome is not None
    assert (outcome.state, outcome.evidence, outcome.venue_order_id) == (OrderState.FILLED, evidence, "venue-tg1")
    assert [fill.exec_id for fill in outcome.fills] == ["tg1-0"]


def test_an_order_of_an_earlier_process_is_found(live: Live) -> None:
    lose(live, taken=True)
    live.restart()
    show(live, HISTORY, EXECUTIONS)
    outcome = find(live)
    assert outcome is not None
    assert outcome.state is OrderState.FILLED


def test_what_the_stream_told_meanwhile_needs_no_question(live: Live) -> None:
    lose(live, taken=True)
    live.stream("tg1", 0)
    settle_time(live, 10)
    seen = len(live.exchange.seen)
    outcome = find(live)
    assert outcome is not None
    assert outcome.evidence is Evidence.STREAM
    assert len(live.exchange.seen) == seen


@pytest.mark.parametrize("shown", [(REALTIME,), (HISTORY,), (EXECUTIONS,)])
def test_a_part_of_the_proof_is_no_proof_however_long_it_is_all_there_is(live: Live, shown: tuple[str, ...]) -> None:
    lose(live, taken=True)
    show(live, *shown)
    for _ in range(3):
        assert find(live) == Outcome(state=OrderState.UNKNOWN, venue_order_id="venue-tg1")
        settle_time(live, 60_000)


def test_an_open_order_is_unknown(live: Live) -> None:
    live.exchange.status, live.exchange.parts = "New", []
    live.exchange.take(FIELDS)
    settle_time(live, 10 * MARGIN_MS)
    assert find(live) == Outcome(state=OrderState.UNKNOWN, venue_order_id="venue-tg1")


@pytest.mark.parametrize("other", [{"symbol": "ETHUSDT"}, {"side": "Sell"}, {"reduceOnly": True}])
def test_another_order_under_the_id_is_an_alarm_and_no_end(live: Live, other: dict[str, Any]) -> None:
    live.exchange.take(FIELDS | other)
    settle_time(live, 10 * MARGIN_MS)
    for _ in range(3):
        assert find(live) == UNKNOWN
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.MISMATCH], "it is raised once"


def test_an_order_of_an_earlier_journal_is_not_taken_for_this_one(live: Live) -> None:
    live.exchange.take(FIELDS)
    settle_time(live, UNSIGNED_OLDER_MS_MAX + MARGIN_MS)
    record = a_record(created_ms=live.time.now_ms(), updated_ms=live.time.now_ms())
    for _ in range(3):
        assert live.run(live.venue.find(record)) == UNKNOWN
        settle_time(live, MARGIN_MS)
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.MISMATCH]


def test_an_order_that_was_recorded_while_the_clock_was_ahead_is_found(live: Live) -> None:
    live.exchange.take(FIELDS)
    ahead_ms = NOW_MS + 60_000
    for _ in range(2):  # also long after, when the record's time has come
        outcome = live.run(live.venue.find(a_record(created_ms=ahead_ms, updated_ms=ahead_ms)))
        assert outcome is not None
        assert outcome.state is OrderState.FILLED
        settle_time(live, 60_000 + MARGIN_MS)
    assert live.alarms == []


def test_an_order_is_found_by_its_record_whatever_its_quantity(live: Live) -> None:
    """The record keeps dollars: which quantity they stood for is known to the process that sent it alone."""
    live.exchange.take(FIELDS | {"qty": "0.009"})
    outcome = find(live)
    assert outcome is not None
    assert outcome.state is OrderState.FILLED


# Proven absence.


def test_absence_is_proven_only_after_the_last_moment_at_which_it_could_arrive(live: Live) -> None:
    lose(live, taken=False)
    signed_ms = live.openings.signed_ms("tg1")
    assert signed_ms == NOW_MS
    settle_time(live, MARGIN_MS - ANSWER_MS)
    assert live.time.now_ms() == signed_ms + MARGIN_MS
    assert find(live) == UNKNOWN
    settle_time(live, 1)
    assert find(live) is None


def test_all_three_lists_are_asked_after_that_moment(live: Live) -> None:
    lose(live, taken=False)
    settle_time(live, MARGIN_MS)
    live.exchange.seen.clear()
    assert find(live) is None
    assert [seen.path for seen in live.exchange.seen] == list(LISTS)
    assert min(seen.at_ms for seen in live.exchange.seen) > NOW_MS + MARGIN_MS


def test_questions_begun_too_early_prove_nothing_though_they_end_late_enough(live: Live) -> None:
    lose(live, taken=False)
    settle_time(live, MARGIN_MS - ANSWER_MS)
    live.exchange.next(REALTIME, Act(delay_ms=2000))
    assert find(live) == UNKNOWN
    assert live.time.now_ms() > NOW_MS + MARGIN_MS


def test_after_a_restart_the_moment_counts_from_the_start_of_this_process(live: Live) -> None:
    lose(live, taken=False)
    settle_time(live, 3_600_000)
    live.restart()
    assert find(live) == UNKNOWN
    settle_time(live, MARGIN_MS)
    assert find(live) == UNKNOWN
    settle_time(live, 1)
    assert find(live) is None


def test_the_moment_is_never_before_the_newest_record_of_the_order(live: Live) -> None:
    record = a_record(updated_ms=NOW_MS + 60_000)
    assert find(live, record) == UNKNOWN
    settle_time(live, 60_000 + MARGIN_MS)
    assert find(live, record) == UNKNOWN
    settle_time(live, 1)
    assert find(live, record) is None


def test_a_clock_that_jumps_ahead_proves_nothing(live: Live) -> None:
    """The loop's own time has not passed, whatever the machine's clock says."""
    clock = Jumping(live)
    lose(live, taken=False)
    clock.ahead_ms = 3_600_000
    assert find(live) == UNKNOWN
    settle_time(live, MARGIN_MS + 1)
    assert find(live) is None


def test_a_clock_that_is_set_back_only_delays_the_proof(live: Live) -> None:
    clock = Jumping(live)
    lose(live, taken=False)
    clock.ahead_ms = -60_000
    settle_time(live, MARGIN_MS + 1)
    assert find(live) == UNKNOWN
    settle_time(live, 60_000)
    assert find(live) is None


def test_a_clock_that_is_set_back_after_a_restart_only_delays_the_proof(live: Live) -> None:
    clock = Jumping(live)
    clock.ahead_ms = 60_000
    live.restart()
    clock.ahead_ms = 0
    assert find(live) == UNKNOWN
    settle_time(live, MARGIN_MS + 1)
    assert find(live) == UNKNOWN
    settle_time(live, 60_000)
    assert find(live) is None


class Jumping:
    """The machine's clock, apart from the time that really passes; the exchange takes any time stamp."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.ahead_ms = 0
        live.clock = self
        live.exchange.checks_time = False
        live.restart()

    def now_ms(self) -> int:
        return self._live.time.now_ms() + self.ahead_ms


def test_an_acknowledged_order_is_never_proven_absent(live: Live) -> None:
    live.exchange.lags_ms = dict.fromkeys(LISTS, FOREVER_MS)
    acked = Outcome(state=OrderState.UNKNOWN, venue_order_id="venue-tg1")
    assert live.run(live.venue.submit(approved())) == acked
    settle_time(live, 100 * MARGIN_MS)
    assert find(live) == acked


def test_an_order_whose_record_has_the_venues_id_is_never_proven_absent(live: Live) -> None:
    record = a_record(venue_order_id="v1")
    find(live, record)
    settle_time(live, 100 * MARGIN_MS)
    assert find(live, record) == UNKNOWN


def test_an_order_that_is_being_sent_is_not_proven_absent(live: Live) -> None:
    """The thread is slow, and its request may still leave."""
    live.runner = Held()
    live.restart()

    async def main() -> Outcome | None:
        sending = asyncio.create_task(live.venue.submit(approved()))
        await asyncio.sleep(0.1)
        live.runner = None
        outcome = await live.venue.find(a_record(updated_ms=NOW_MS - 10 * MARGIN_MS))
        sending.cancel()
        return outcome

    assert live.run(main()) == UNKNOWN


class Held:
    """A thread that never comes to its work; questions run as ever."""

    async def __call__(self, work: Any, /) -> Any:
        await asyncio.sleep(FOREVER_MS)


def test_an_order_proven_absent_may_be_sent_again_under_its_id(live: Live) -> None:
    lose(live, taken=False)
    settle_time(live, MARGIN_MS)
    assert find(live) is None
    live.exchange.lags_ms = dict.fromkeys(LISTS, 0)
    assert live.run(live.venue.submit(approved())).state is OrderState.FILLED
    assert [body["orderLinkId"] for body in live.exchange.posts] == ["tg1", "tg1"]


def test_an_order_sent_again_starts_its_moment_anew(live: Live) -> None:
    lose(live, taken=False)
    settle_time(live, MARGIN_MS)
    assert find(live) is None
    lose(live, taken=False)
    assert find(live) == UNKNOWN
    settle_time(live, MARGIN_MS - ANSWER_MS)
    assert find(live) == UNKNOWN
    settle_time(live, 1)
    assert find(live) is None


def test_an_order_found_is_not_at_large_any_more(live: Live) -> None:
    lose(live, taken=True)
    show(live, *LISTS)
    find(live)
    live.exchange.lags_ms = dict.fromkeys(LISTS, 0)
    assert live.run(live.venue.submit(approved())).state is OrderState.FILLED
    assert len(live.exchange.taken) == 1


# Questions that cannot be asked.


@pytest.mark.parametrize("path", [REALTIME, HISTORY])
def test_an_answer_about_another_order_is_no_answer(live: Live, path: str) -> None:
    theirs = live.exchange.take(FIELDS | {"orderLinkId": "theirs"})
    live.exchange.next(path, Act(result={"list": [theirs.order]}))
    with pytest.raises(VenueUnavailableError, match="another order"):
        find(live)


@pytest.mark.parametrize(
    "broken",
    [
        Act(raises=lambda: requests.exceptions.ConnectionError("cut")),
        Act(delay_ms=60_000),
        Act(status=502),
        Act(status=403, body="access too frequent"),
        Act(status=429),
        Act(code=10016),
        Act(code=10006),
        Act(code=10003),
        Act(code=10002),
        Act(body="<html>"),
        Act(result={}),
        Act(result={"list": None}),
        Act(result={"list": [{"orderLinkId": "tg2"}]}),
    ],
)
@pytest.mark.parametrize("path", LISTS)
def test_without_an_answer_to_each_question_nothing_is_said(live: Live, path: str, broken: Act) -> None:
    lose(live, taken=False)
    settle_time(live, MARGIN_MS)
    live.exchange.next(path, Act(**vars(broken)))
    with pytest.raises(VenueUnavailableError, match="could not be asked"):
        find(live)


def test_a_find_is_bounded_in_time(live: Live) -> None:
    for path in LISTS:
        live.exchange.next(path, Act(delay_ms=7900))
    with pytest.raises(VenueUnavailableError):
        find(live)
    assert live.time.now_ms() - NOW_MS <= 10_050


def test_while_the_address_is_shut_out_finds_say_so_without_asking(live: Live) -> None:
    live.exchange.next(REALTIME, Act(status=403, body="access too frequent"))
    for _ in range(3):
        with pytest.raises(VenueUnavailableError):
            find(live)
    assert len(live.exchange.seen) == 1


def test_executions_without_end_are_no_proof(live: Live) -> None:
    live.exchange.parts = [("60003", "0.001")] * 200
    live.exchange.page_rows = 1
    live.exchange.take(FIELDS | {"qty": "0.2"})
    with pytest.raises(VenueUnavailableError):
        find(live)


def test_a_sell_is_found_like_a_buy(live: Live) -> None:
    live.exchange.take(FIELDS | {"side": "Sell"})
    outcome = find(live, a_record(approved(side=Side.SELL)))
    assert outcome is not None
    assert outcome.state is OrderState.FILLED


# All of it together.

LAGS = st.integers(0, LAG_MS)


@dataclass(frozen=True, kw_only=True)
class Story:
    """How one order fares."""

    act: Act
    taken: bool
    lags: tuple[int, int, int]
    stream_ms: int | None
    stream_says: str
    parts: list[str]
    restart_after: int
    """After so many finds the process starts anew."""


STORIES = st.builds(
    Story,
    act=st.sampled_from(
        [
            Act(),
            Act(delay_ms=60_000),
            Act(delay_ms=2000),
            Act(raises=lambda: requests.exceptions.ConnectionError("dropped")),
            Act(status=502),
            Act(body='{"retCode": 0'),
            Act(code=10016),
            Act(code=10006),
            Act(code=110072),
        ]
    ),
    taken=st.booleans(),
    lags=st.tuples(LAGS, LAGS, LAGS),
    stream_ms=st.one_of(st.none(), st.integers(0, 20_000)),
    stream_says=st.sampled_from(["orders", "executions", "both"]),
    parts=st.lists(st.sampled_from(["0.001", "0.002"]), max_size=5),
    restart_after=st.integers(0, 6),
)


def fare(live: Live, story: Story) -> Outcome | None:
    """Send the order, and ask until its end is known."""
    live.exchange.lags_ms = dict(zip(LISTS, story.lags, strict=True))
    live.exchange.status, live.exchange.parts = "Cancelled", [("60003", qty) for qty in story.parts]
    live.exchange.next(CREATE, Act(**vars(story.act) | {"taken": story.taken}))
    if story.taken and story.stream_ms is not None:
        tell = {"orders": story.stream_says != "executions", "executions": story.stream_says != "orders"}
        live.time.call_at(NOW_MS + story.stream_ms, lambda: live.stream("tg1", 0, **tell))
    outcome: Outcome | None = live.run(live.venue.submit(approved()))
    assert live.time.now_ms() - NOW_MS <= ANSWER_MS + 50
    for finds in range(20):
        if outcome is None or outcome.state is not OrderState.UNKNOWN:
            return outcome
        if finds < story.restart_after:
            assert live.run(live.venue.submit(approved())).state is OrderState.UNKNOWN
        elif finds == story.restart_after:
            live.restart()
        settle_time(live, 5000)
        outcome = find(live)
    return outcome


@settings(max_examples=200, deadline=None)
@given(STORIES)
def test_every_order_is_sent_once_and_ends_with_the_truth(story: Story) -> None:
    live = Live()
    outcome = fare(live, story)
    assert len(live.exchange.posts) == 1
    assert live.alarms == []
    if not story.taken:
        assert outcome is None
        return
    assert outcome is not None
    assert [f"{fill.qty}" for fill in outcome.fills] == story.parts
    assert outcome.evidence in {Evidence.STREAM, Evidence.REALTIME, Evidence.HISTORY}
    if not story.parts:
        assert outcome.state is OrderState.CANCELLED
    else:
        assert outcome.state is (
            OrderState.FILLED if sum(map(Decimal, story.parts)) == Decimal("0.010") else OrderState.PARTIALLY_FILLED
        )
