"""The history that evidence is made of, read from the journal as it grows."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import BAR_MS, HOUR_MS, NOW_MS, VERSION, a_decision, a_watch_move, an_outcome
from journal_kit import a_change, a_filled, a_record, a_refusal
from world import World

from gateway.core.documents import Document, DocumentKind
from gateway.core.history import UNRESOLVED_MS
from gateway.core.model import DecisionId, Evidence, OrderLinkId, OrderState, Signal, Verdict, WatchState
from gateway.core.promotion import WINDOW_DAYS
from gateway.historian import STEP, Historian

DAY_MS = 24 * HOUR_MS


class Reading:
    """A historian over a world's journal."""

    def __init__(self, **world):
        self.world = World(**world)
        self.journal = self.world.journal
        self.historian = Historian(
            journal=self.journal,
            account=self.world.account,
            guard=self.world.guard,
            clock=self.world.clock,
            drawdown_max=Decimal("0.15"),
            real_market=False,
        )

    async def history(self, *, from_ms=0, whole=True, model_version=VERSION):
        return await self.historian.history(
            model_version=model_version, promoted_version="", from_ms=from_ms, whole=whole
        )

    async def matured(self, name, *, bar_open_ms=BAR_MS, **changes):
        key = DecisionId(name)
        version = changes.get("model_version", VERSION)
        await self.journal.append_decisions(
            [a_decision(decision_id=key, scored=True, bar_open_ms=bar_open_ms, model_version=version)]
        )
        await self.journal.append_matured([an_outcome(decision_id=key, bar_open_ms=bar_open_ms, **changes)])

    def ended(self, key, *, created_ms=NOW_MS, took_ms=40, **changes):
        link = OrderLinkId(f"link-{key}")
        self.journal.stage(a_record(key, order_link_id=link, created_ms=created_ms, updated_ms=created_ms))
        self.journal.stage(
            a_filled(key, order_link_id=link, created_ms=created_ms, updated_ms=created_ms + took_ms, **changes)
        )


async def test_a_new_journal_tells_of_nothing():
    history = await Reading().history()
    assert (history.outcomes, history.orders, history.decisions, history.days) == ([], [], 0, 0)
    assert (history.unresolved, list(history.breaches), history.reconciled) == (0, [], True)
    assert (history.drawdown, history.drawdown_max, history.watch_state) == (0.0, 0.15, "ok")


async def test_outcomes_are_told_with_what_their_decisions_knew_of_the_market():
    reading = Reading()
    await reading.matured("d1", verdict=Verdict.RIGHT)
    await reading.matured("d2", signal=Signal.SHORT, verdict=Verdict.WRONG)
    await reading.matured("d3", verdict=Verdict.NONE)
    first, second = (await reading.history()).outcomes
    assert (first.is_long, first.right, first.confidence, first.horizon_ms) == (True, True, 0.65, HOUR_MS)
    assert (first.volatility, first.trend) == (0.8, 1.2)
    assert (second.is_long, second.right) == (False, False)


async def test_decisions_without_an_outcome_count_as_decisions():
    reading = Reading()
    await reading.matured("d1")
    await reading.journal.append_decisions(
        [
            a_decision(decision_id=DecisionId("d2"), scored=True),
            a_decision(decision_id=DecisionId("d3"), scored=True, model_version="another"),
            a_decision(decision_id=DecisionId("d4"), scored=False),
        ]
    )
    assert (await reading.history()).decisions == 2


async def test_what_is_new_is_taken_up_at_the_next_look():
    reading = Reading()
    await reading.matured("d0")
    assert len((await reading.history()).outcomes) == 1
    for number in range(1, STEP * 2 + 10):
        await reading.matured(f"d{number}", bar_open_ms=BAR_MS + number)
    reading.world.clock.at_ms += HOUR_MS
    assert len((await reading.history()).outcomes) == STEP * 2 + 10
    await reading.matured("last", bar_open_ms=BAR_MS + 10_000)
    assert len((await reading.history()).outcomes) == STEP * 2 + 11


async def test_another_version_has_its_own_outcomes():
    reading = Reading()
    await reading.matured("d1")
    await reading.matured("d2", model_version="20270101_000000")
    assert len((await reading.history()).outcomes) == 1
    assert len((await reading.history(model_version="20270101_000000")).outcomes) == 1
    assert len((await reading.history()).outcomes) == 1


async def test_orders_that_ended_are_told_and_refusals_are_none():
    reading = Reading()
    reading.ended("one", took_ms=70)
    reading.journal.stage(a_refusal("two"))
    reading.journal.stage(a_record("three", order_link_id=OrderLinkId("link-three")))
    [order] = (await reading.history()).orders
    assert (order.response_ms, order.is_error) == (70, False)


async def test_many_orders_are_read_page_by_page_and_later_ones_taken_up():
    reading = Reading()
    for number in range(STEP * 3 + 7):
        reading.ended(f"key-{number}", created_ms=NOW_MS + number)
    assert len((await reading.history()).orders) == STEP * 3 + 7
    reading.ended("last", created_ms=NOW_MS + 1000)
    assert len((await reading.history()).orders) == STEP * 3 + 8


async def test_an_order_that_ends_long_after_newer_ones_is_taken_up():
    reading = Reading()
    slow = a_record("slow", order_link_id=OrderLinkId("link-slow"))
    reading.journal.stage(slow)
    reading.world.account.reserve(slow)
    for number in range(STEP + 5):
        reading.ended(f"key-{number}")
    assert len((await reading.history()).orders) == STEP + 5
    ended = replace(slow, state=OrderState.EXPIRED, evidence=Evidence.ABSENCE, updated_ms=NOW_MS + 15_500)
    reading.journal.stage(ended)
    reading.world.account.settle(ended)
    for number in range(STEP + 5):
        reading.ended(f"later-{number}")
    orders = (await reading.history()).orders
    assert len(orders) == 2 * (STEP + 5) + 1
    assert [order.response_ms for order in orders if order.is_error] == [15_500]


async def test_orders_and_days_count_from_the_stage_on():
    reading = Reading()
    reading.ended("before", created_ms=NOW_MS - 3 * DAY_MS)
    reading.ended("after", created_ms=NOW_MS)
    await reading.matured("d1", bar_open_ms=NOW_MS - 3 * DAY_MS)
    await reading.matured("d2", bar_open_ms=NOW_MS - DAY_MS)
    history = await reading.history(from_ms=NOW_MS - 2 * DAY_MS)
    assert (len(history.orders), history.days, len(history.outcomes)) == (1, 2, 2)
    since = await reading.history(from_ms=NOW_MS - 2 * DAY_MS, whole=False)
    assert len(since.outcomes) == 1


async def test_nothing_before_the_window_counts():
    reading = Reading()
    long_ago = NOW_MS - (WINDOW_DAYS + 1) * DAY_MS
    reading.ended("old", created_ms=long_ago)
    await reading.matured("d1", bar_open_ms=long_ago)
    history = await reading.history()
    assert (history.orders, history.outcomes) == ([], [])
    assert history.from_ms == NOW_MS - WINDOW_DAYS * DAY_MS


async def test_an_order_is_unresolved_after_a_minute():
    reading = Reading()
    reading.world.account.reserve(a_record("one", created_ms=NOW_MS, updated_ms=NOW_MS))
    reading.world.clock.at_ms = NOW_MS + UNRESOLVED_MS
    assert (await reading.history()).unresolved == 0
    reading.world.clock.at_ms += 1
    assert (await reading.history()).unresolved == 1


NOTHING = {"halted": False, "locked": False, "reducing": False}


@pytest.mark.parametrize(
    ("latch", "actor", "breaches", "differences"),
    [
        ("locked", "tollgate", ["why"], []),
        ("halted", "tollgate", ["why"], []),
        ("reducing", "tollgate", [], ["why"]),
        ("halted", "ann", [], []),
        ("none", "tollgate", [], []),
    ],
)
async def test_what_the_gateway_itself_had_to_stop_is_told_once(latch, actor, breaches, differences):
    reading = Reading()
    stands = {**NOTHING, latch: True}
    stands.pop("none", None)
    made = [
        (stands, "old", NOW_MS - DAY_MS),
        (NOTHING, "lifted", NOW_MS - DAY_MS + 1),
        (stands, "why", NOW_MS - 2),
        (stands, "told again", NOW_MS - 1),
    ]
    reading.journal.risk += [
        a_change(actor=actor, reason=reason, at_ms=at_ms, **latches) for latches, reason, at_ms in made
    ]
    history = await reading.history(from_ms=NOW_MS - HOUR_MS)
    assert (history.breaches, history.differences) == (breaches, differences)


async def test_what_live_was_worse_by_than_its_paper_twins_is_told():
    reading = Reading()
    texts = [
        '{"price_worse_bps":"1.5000","fee_worse_bps":"-0.2500"}',
        '{"price_worse_bps":null,"fee_worse_bps":null}',
        '{"price_worse_bps":"2","fee_worse_bps":"0"}',
    ]
    for place, text in enumerate(texts):
        await reading.journal.append_document(
            Document(kind=DocumentKind.TWIN, subject=f"key-{place}", text=text, at_ms=NOW_MS)
        )
    assert (await reading.history()).paper_bias_bps == [2.0, 1.25]
    assert (await reading.history(from_ms=NOW_MS + 1)).paper_bias_bps == []


async def test_the_highest_state_of_the_watch_since_the_stage_began_counts():
    reading = Reading()
    made = [
        (WatchState.OK, WatchState.RAISED, NOW_MS - 3 * DAY_MS),
        (WatchState.RAISED, WatchState.WARNED, NOW_MS - 2 * DAY_MS),
        (WatchState.WARNED, WatchState.OK, NOW_MS - HOUR_MS),
    ]
    for from_state, to_state, at_ms in made:
        await reading.journal.append_watch(a_watch_move(from_state=from_state, to_state=to_state, at_ms=at_ms))
    assert (await reading.history()).watch_state == "raised"
    assert (await reading.history(from_ms=NOW_MS - DAY_MS)).watch_state == "warned"
    assert (await reading.history(model_version="another")).watch_state == "ok"


async def test_the_largest_drawdown_that_was_seen_counts():
    reading = Reading()
    reading.journal.risk.append(
        a_change(equity_usd=Decimal(95_000), peak_equity_usd=Decimal(100_000), at_ms=NOW_MS - HOUR_MS)
    )
    assert (await reading.history()).drawdown == pytest.approx(0.05)
    assert (await reading.history(from_ms=NOW_MS)).drawdown == 0.0


async def test_an_account_that_was_never_compared_is_not_reconciled():
    assert not (await Reading(live=True).history()).reconciled
