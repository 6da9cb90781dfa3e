"""An order to Bybit: sent once, and told of only what is proven."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
import requests
from builders import BTC, NOW_MS, an_instrument
from bybit_exchange import CREATE, EXECUTIONS, HISTORY, LISTS, REALTIME, Act
from hypothesis import given
from hypothesis import strategies as st
from live_kit import ANSWER_MS, Live, approved

from gateway.adapters.venue_bybit.alarms import AlarmKind
from gateway.adapters.venue_bybit.breaker import PAUSE_MS, REFUSALS_MAX
from gateway.adapters.venue_bybit.budget import HEADROOM, LIMITS
from gateway.adapters.venue_bybit.events import OrderEvents
from gateway.adapters.venue_bybit.venue import SYMBOL_PAUSE_MS
from gateway.core.model import Book, Evidence, Fill, Level, OrderLinkId, OrderState, Outcome, Side
from gateway.ports import StartError

MARGIN_MS = 50
"""Beyond the time for an answer: nothing of an order takes longer."""


@pytest.fixture
def live() -> Live:
    return Live()


def submit(live: Live, **order: Any) -> Outcome:
    begun_ms = live.time.now_ms()
    outcome = live.run(live.venue.submit(approved(**order)))
    assert live.time.now_ms() - begun_ms <= ANSWER_MS + MARGIN_MS
    return outcome


def a_fill(qty: str = "0.010", exec_id: str = "tg1-0", price: str = "60003") -> Fill:
    return Fill(price=Decimal(price), qty=Decimal(qty), fee_usd=Decimal("0.33"), exec_id=exec_id)


UNKNOWN = Outcome(state=OrderState.UNKNOWN)
UNKNOWN_ACKED = Outcome(state=OrderState.UNKNOWN, venue_order_id="venue-tg1")


def filled(evidence: Evidence) -> Outcome:
    return Outcome(state=OrderState.FILLED, fills=(a_fill(),), evidence=evidence, venue_order_id="venue-tg1")


# The request.


def test_every_field_that_matters_is_set_and_every_number_is_a_plain_text(live: Live) -> None:
    submit(live)
    assert live.exchange.posts == [
        {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Market",
            "qty": "0.010",
            "timeInForce": "IOC",
            "positionIdx": 0,
            "reduceOnly": False,
            "orderLinkId": "tg1",
            "slippageToleranceType": "Percent",
            "slippageTolerance": "0.50",
        }
    ]


def test_a_reduction_says_so(live: Live) -> None:
    submit(live, side=Side.SELL, reduce_only=True)
    [body] = live.exchange.posts
    assert (body["side"], body["reduceOnly"], body["qty"]) == ("Sell", True, "0.011")


def test_small_quantities_have_no_exponent(live: Live) -> None:
    tiny = Decimal("0.0000001")
    live.market.instruments[BTC] = an_instrument(qty_step=tiny, min_qty=tiny, min_notional_usd=Decimal(0))
    submit(live, qty_usd="0.02")
    assert [body["qty"] for body in live.exchange.posts] == ["0.0000003"]


@pytest.mark.parametrize("percent", ["0", "0.001", "0.505", "10.01", "-1"])
def test_a_tolerance_that_bybit_does_not_take_is_refused_at_start(percent: str) -> None:
    with pytest.raises(StartError, match="SLIPPAGE_TOLERANCE_PCT"):
        Live(tolerance=Decimal(percent))


@given(
    bid=st.decimals("0.1", "99999", places=1),
    spread=st.integers(1, 50),
    qty_usd=st.decimals("10", "50000", places=2),
    side=st.sampled_from(Side),
)
def test_no_opening_order_can_be_filled_beyond_what_risk_approved(
    bid: Decimal, spread: int, qty_usd: Decimal, side: Side
) -> None:
    live = Live()
    ask = bid + Decimal(spread) / 10
    level = (Level(price=bid, qty=Decimal(10)),), (Level(price=ask, qty=Decimal(10)),)
    live.market.books[BTC] = Book(bids=level[0], asks=level[1], received_ms=NOW_MS)
    outcome = submit(live, qty_usd=qty_usd, side=side)
    worst = ask * Decimal("1.005") if side is Side.BUY else bid
    for body in live.exchange.posts:
        assert Decimal(body["qty"]) * worst <= qty_usd
        assert Decimal(body["qty"]) % Decimal("0.001") == 0
    assert live.exchange.posts or outcome.state is OrderState.REJECTED


# What is not sent.


@pytest.mark.parametrize(
    ("qty_usd", "filters", "words"),
    [
        ("59", {}, "quantity 0.000 is below the minimum 0.001"),
        ("400", {"min_qty": Decimal("0.01")}, "quantity 0.006 is below the minimum 0.01"),
        ("660", {"min_notional_usd": Decimal(600)}, "order value is below the minimum 600 USDT"),
        ("6000", {"max_market_qty": Decimal("0.05")}, "quantity 0.099 is above the maximum 0.05"),
    ],
)
def test_what_the_filters_forbid_is_rejected_unsent(
    live: Live, qty_usd: str, filters: dict[str, Decimal], words: str
) -> None:
    live.market.instruments[BTC] = an_instrument(**filters)
    assert submit(live, qty_usd=qty_usd) == Outcome(state=OrderState.REJECTED, detail=words, evidence=Evidence.UNSENT)
    assert live.exchange.seen == []


@pytest.mark.parametrize("known", ["books", "instruments"])
def test_without_a_price_or_filters_nothing_is_sent(live: Live, known: str) -> None:
    getattr(live.market, known).clear()
    outcome = submit(live)
    assert (outcome.state, outcome.evidence) == (OrderState.REJECTED, Evidence.UNSENT)
    assert "no price or no trading rules" in outcome.detail
    assert live.exchange.seen == []


@pytest.mark.parametrize("link", ["", "x" * 37, "with space", "naïve"])
def test_an_id_that_bybit_does_not_take_is_not_sent(live: Live, link: str) -> None:
    outcome = submit(live, link=link)
    assert (outcome.state, outcome.evidence) == (OrderState.REJECTED, Evidence.UNSENT)
    assert live.exchange.seen == []


class ToldAtOnce(OrderEvents):
    """A stream that is faster than the clock: all is told by the time that somebody waits."""

    live: Live

    async def wait(self, order_link_id: OrderLinkId, seconds: float) -> bool:
        self.live.stream(order_link_id, 0)
        return await super().wait(order_link_id, seconds)


def test_a_used_up_budget_expires_openings_unsent_and_lets_reductions_pass() -> None:
    limit, events = LIMITS["place_order"], ToldAtOnce()
    events.live = live = Live(events=events)

    async def main() -> list[Outcome]:
        outcomes = [await live.venue.submit(approved(link=f"a{number}")) for number in range(limit)]
        return [*outcomes, await live.venue.submit(approved(link="r", side=Side.SELL, reduce_only=True))]

    outcomes = live.run(main())
    unsent = [outcome for outcome in outcomes if outcome.evidence is Evidence.UNSENT]
    assert {(outcome.state, outcome.detail) for outcome in unsent} == {
        (OrderState.EXPIRED, "Bybit's rate limit is used up")
    }
    assert len(unsent) == HEADROOM
    assert outcomes[-1].state is OrderState.FILLED
    assert len(live.exchange.posts) == limit - HEADROOM + 1


def test_while_the_address_is_shut_out_nothing_is_sent_and_nothing_is_asked(live: Live) -> None:
    live.exchange.next(CREATE, Act(taken=False, status=403, body="access too frequent"))
    assert submit(live) == UNKNOWN
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.BANNED]
    seen = len(live.exchange.seen)
    for link in ("b", "c"):
        live.time.advance(60_000)
        outcome = submit(live, link=link, side=Side.SELL, reduce_only=True)
        assert (outcome.state, outcome.evidence) == (OrderState.EXPIRED, Evidence.UNSENT)
    assert live.venue.block(reduce_only=True) is not None
    assert len(live.exchange.seen) == seen == 1
    live.time.advance(600_000)
    assert submit(live, link="d").state is OrderState.FILLED


def test_orders_that_bybit_refuses_in_a_row_are_held_back_while_reductions_pass(live: Live) -> None:
    for number in range(REFUSALS_MAX):
        live.exchange.next(CREATE, Act(taken=False, code=110007, message="ab not enough for new order"))
        live.time.advance(1000)
        assert submit(live, link=f"a{number}").state is OrderState.REJECTED
    assert submit(live, link="b").evidence is Evidence.UNSENT
    assert submit(live, link="r", side=Side.SELL, reduce_only=True).state is OrderState.FILLED
    assert submit(live, link="c").evidence is Evidence.UNSENT
    live.time.advance(PAUSE_MS)
    assert submit(live, link="d").state is OrderState.FILLED
    assert submit(live, link="e").state is OrderState.FILLED
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.BREAKER]


def test_a_symbol_that_the_account_may_not_trade_is_left_alone_for_a_while(live: Live) -> None:
    live.exchange.next(CREATE, Act(taken=False, code=110124, message="cooling off"))
    assert submit(live, link="a").evidence is Evidence.REPLY
    outcome = submit(live, link="b")
    assert (outcome.state, outcome.evidence) == (OrderState.REJECTED, Evidence.UNSENT)
    assert submit(live, link="r", side=Side.SELL, reduce_only=True).state is OrderState.FILLED
    live.time.advance(SYMBOL_PAUSE_MS)
    assert submit(live, link="c").state is OrderState.FILLED


# Definite refusals.


@pytest.mark.parametrize(
    ("code", "alarms"),
    [
        (10001, []),
        (110007, []),
        (110003, []),
        (110017, []),
        (110094, []),
        (110123, []),
        (10002, [AlarmKind.CLOCK]),
        (10003, [AlarmKind.AUTH]),
        (10004, [AlarmKind.AUTH]),
        (10010, [AlarmKind.AUTH]),
    ],
)
def test_a_definite_refusal_is_the_end_of_the_order(live: Live, code: int, alarms: list[AlarmKind]) -> None:
    live.exchange.next(CREATE, Act(taken=False, code=code, message="told[secret stuff]"))
    outcome = submit(live)
    assert outcome == Outcome(state=OrderState.REJECTED, detail=f"{code}: told[...]", evidence=Evidence.REPLY)
    assert [alarm.kind for alarm in live.alarms] == alarms
    assert [seen.path for seen in live.exchange.seen] == [CREATE]


@pytest.mark.parametrize("code", [110007, 10001, 10002])
def test_a_refusal_of_an_order_that_the_stream_has_told_of_is_no_end(live: Live, code: int) -> None:
    """Something on the way has sent the request twice: the first was taken, and the answer is the second's."""
    live.exchange.next(CREATE, Act(code=code, delay_ms=100))
    live.time.call_at(NOW_MS + 1, lambda: live.stream("tg1", 20))
    assert submit(live) == filled(Evidence.STREAM)


def test_after_a_refused_key_nothing_is_sent_any_more(live: Live) -> None:
    live.exchange.next(CREATE, Act(taken=False, code=10003, message="API key is invalid."))
    submit(live)
    live.time.advance(3_600_000)
    outcome = submit(live, link="b", side=Side.SELL, reduce_only=True)
    assert (outcome.state, outcome.evidence) == (OrderState.EXPIRED, Evidence.UNSENT)
    assert len(live.exchange.posts) == 1


@pytest.mark.parametrize(("code", "asked"), [(110094, 1), (170136, 1), (110017, 1), (110007, 0), (10001, 0)])
def test_refusals_of_size_ask_for_fresh_filters(live: Live, code: int, asked: int) -> None:
    live.exchange.next(CREATE, Act(taken=False, code=code))
    submit(live)
    assert len(live.refreshed) == asked


# How an end is proven.


def test_the_stream_alone_proves_an_end_and_nothing_is_asked(live: Live) -> None:
    live.exchange.next(CREATE, Act(delay_ms=80))
    live.time.call_at(NOW_MS + 1, lambda: live.stream("tg1", 90))
    assert submit(live) == filled(Evidence.STREAM)
    assert live.time.now_ms() - NOW_MS == 91
    assert [seen.path for seen in live.exchange.seen] == [CREATE]


def test_the_stream_may_speak_before_the_answer(live: Live) -> None:
    live.exchange.next(CREATE, Act(delay_ms=400))
    live.time.call_at(NOW_MS + 1, lambda: live.stream("tg1", 5))
    assert submit(live) == filled(Evidence.STREAM)
    assert live.time.now_ms() - NOW_MS == 400


def test_a_silent_stream_is_replaced_by_asking(live: Live) -> None:
    assert submit(live) == filled(Evidence.REALTIME)
    assert [seen.path for seen in live.exchange.seen] == [CREATE, REALTIME, EXECUTIONS]


def test_fills_that_the_stream_missed_are_asked_for(live: Live) -> None:
    live.time.call_at(NOW_MS, lambda: live.stream("tg1", 1, executions=False))
    assert submit(live) == filled(Evidence.STREAM)
    assert [seen.path for seen in live.exchange.seen] == [CREATE, REALTIME, EXECUTIONS]


def test_an_order_that_realtime_forgot_is_found_in_history(live: Live) -> None:
    live.exchange.lags_ms[REALTIME] = 10**9
    assert submit(live) == filled(Evidence.HISTORY)
    assert [seen.path for seen in live.exchange.seen] == [CREATE, REALTIME, HISTORY, EXECUTIONS]


@pytest.mark.parametrize("lag_ms", [100, 600, 1500, 3000])
def test_lists_that_lag_are_asked_again(live: Live, lag_ms: int) -> None:
    live.exchange.lags_ms = dict.fromkeys(LISTS, lag_ms)
    assert submit(live).state is OrderState.FILLED
    assert lag_ms <= live.time.now_ms() - NOW_MS <= max(250, 3 * lag_ms)


def test_executions_that_lag_behind_the_order_are_waited_for(live: Live) -> None:
    live.exchange.lags_ms[EXECUTIONS] = 1200
    assert submit(live) == filled(Evidence.REALTIME)
    assert live.time.now_ms() - NOW_MS >= 1200


def test_an_order_that_shows_nowhere_in_time_is_unknown_with_its_id(live: Live) -> None:
    live.exchange.lags_ms = dict.fromkeys(LISTS, 6000)
    assert submit(live) == UNKNOWN_ACKED
    assert live.time.now_ms() - NOW_MS == ANSWER_MS


def test_an_order_that_stays_open_is_unknown(live: Live) -> None:
    live.exchange.status, live.exchange.parts = "New", []
    assert submit(live) == UNKNOWN_ACKED


@pytest.mark.parametrize(
    ("status", "parts", "state"),
    [
        ("Cancelled", [], OrderState.CANCELLED),
        ("Cancelled", [("60003", "0.004")], OrderState.PARTIALLY_FILLED),
        ("PartiallyFilledCanceled", [("60003", "0.004"), ("60010", "0.001")], OrderState.PARTIALLY_FILLED),
        ("Rejected", [("60003", "0.004")], OrderState.PARTIALLY_FILLED),
        ("Filled", [("60003", "0.004"), ("60010", "0.006")], OrderState.FILLED),
    ],
)
def test_what_was_filled_decides_the_end(
    live: Live, status: str, parts: list[tuple[str, str]], state: OrderState
) -> None:
    live.exchange.status, live.exchange.parts = status, parts
    outcome = submit(live)
    assert (outcome.state, outcome.evidence) == (state, Evidence.REALTIME)
    assert [(f"{fill.price}", f"{fill.qty}") for fill in outcome.fills] == parts


def test_an_order_that_is_rejected_after_it_was_taken_says_why(live: Live) -> None:
    live.exchange.status, live.exchange.parts, live.exchange.reject_reason = "Rejected", [], "EC_NoImmediateQtyToFill"
    outcome = submit(live)
    assert (outcome.state, outcome.detail) == (OrderState.REJECTED, "EC_NoImmediateQtyToFill")


def test_executions_of_many_pages_are_all_counted(live: Live) -> None:
    live.exchange.parts = [("60003", "0.001")] * 10
    live.exchange.page_rows = 3
    outcome = submit(live)
    assert outcome.state is OrderState.FILLED
    assert len({fill.exec_id for fill in outcome.fills}) == 10
    cursors = [seen.fields.get("cursor") for seen in live.exchange.seen if seen.path == EXECUTIONS]
    assert cursors == [None, "page%3D3", "page%3D6", "page%3D9"]


@pytest.mark.parametrize(
    "broken",
    [
        Act(body="<html>"),
        Act(status=502),
        Act(code=10016),
        Act(code=10006),
        Act(raises=lambda: requests.exceptions.ConnectionError("cut")),
        Act(result={"list": "none"}),
        Act(result={"list": [7]}),
        Act(result={"list": [{"orderLinkId": "another"}]}),
        Act(result={"list": [{"orderLinkId": "tg1", "side": "Up"}]}),
        Act(result={}),
    ],
)
@pytest.mark.parametrize("path", LISTS)
def test_a_question_without_a_good_answer_is_asked_again(live: Live, path: str, broken: Act) -> None:
    live.exchange.lags_ms[REALTIME] = 10**9 if path == HISTORY else 0
    live.exchange.next(path, broken)
    outcome = submit(live)
    assert (outcome.state, outcome.fills) == (OrderState.FILLED, (a_fill(),))
    assert live.exchange.asked(path) == 2


# What is ambiguous.

AMBIGUOUS = {
    "no answer in time": Act(delay_ms=60_000),
    "dropped": Act(raises=lambda: requests.exceptions.ConnectionError("dropped")),
    "no connection": Act(raises=lambda: requests.exceptions.ConnectTimeout("slow")),
    "html": Act(status=502, body="<html>Bad Gateway</html>"),
    "gateway timeout": Act(status=504),
    "no json": Act(body="<html>"),
    "cut json": Act(body='{"retCode": 0, "result"'),
    "redirect": Act(status=302, headers={"Location": "http://127.0.0.1:15050/v5/market/time"}),
    "400": Act(status=400),
    "401": Act(status=401),
    "404": Act(status=404),
    "429": Act(status=429),
    "policy": Act(status=403, body="region"),
    "server timeout": Act(code=10000),
    "server error": Act(code=10016),
    "rate limit": Act(code=10006),
    "create timeout": Act(code=170146),
    "duplicate request": Act(code=10014),
    "duplicate id": Act(code=110072),
    "processing": Act(code=110079),
    "too late": Act(code=110001),
    "a code that nobody knows": Act(code=123456),
    "no order id": Act(result={"orderLinkId": "tg1"}),
    "an empty order id": Act(result={"orderId": "", "orderLinkId": "tg1"}),
    "a number as order id": Act(result={"orderId": 7, "orderLinkId": "tg1"}),
    "another order's id": Act(result={"orderId": "venue-tg1", "orderLinkId": "tg2"}),
    "no result": Act(body='{"retCode": 0, "retMsg": "OK", "result": null}'),
}


def fresh(act: Act, *, taken: bool) -> Act:
    return Act(**vars(act) | {"taken": taken})


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_answer_to_an_order_that_was_taken_ends_with_what_became_of_it(live: Live, name: str) -> None:
    live.exchange.next(CREATE, fresh(AMBIGUOUS[name], taken=True))
    live.time.call_at(NOW_MS + ANSWER_MS - 1000, lambda: live.stream("tg1", 0))
    outcome = submit(live)
    assert (outcome.state, outcome.fills) == (OrderState.FILLED, (a_fill(),))
    assert len(live.exchange.posts) == 1


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_answer_to_an_order_that_was_not_taken_is_unknown_and_sent_once(live: Live, name: str) -> None:
    live.exchange.next(CREATE, fresh(AMBIGUOUS[name], taken=False))
    assert submit(live) == UNKNOWN
    assert len(live.exchange.posts) == 1
    assert submit(live) == UNKNOWN
    assert len(live.exchange.posts) == 1, "an order of unknown end is not sent again"


def test_a_duplicate_is_adopted_when_it_is_the_same_order(live: Live) -> None:
    live.exchange.take({"symbol": "BTCUSDT", "side": "Buy", "qty": "0.010", "orderLinkId": "tg1"})
    assert submit(live) == filled(Evidence.REALTIME)
    assert live.alarms == []


@pytest.mark.parametrize(
    "other",
    [{"symbol": "ETHUSDT"}, {"side": "Sell"}, {"qty": "0.011"}, {"reduceOnly": True}],
)
def test_a_duplicate_that_is_another_order_is_an_alarm_and_unknown(live: Live, other: dict[str, Any]) -> None:
    live.exchange.take({"symbol": "BTCUSDT", "side": "Buy", "qty": "0.010", "orderLinkId": "tg1"} | other)
    assert submit(live) == UNKNOWN
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.MISMATCH]
    assert "tg1" in live.alarms[0].text


@pytest.mark.parametrize(("older_ms", "state"), [(2000, OrderState.FILLED), (2001, OrderState.UNKNOWN)])
def test_a_duplicate_that_is_older_than_the_decision_is_not_adopted(
    live: Live, older_ms: int, state: OrderState
) -> None:
    """The journal was lost, and a key of it is used again: what was filled then is not filled now."""
    live.time.advance(older_ms)
    live.exchange.take({"symbol": "BTCUSDT", "side": "Buy", "qty": "0.010", "orderLinkId": "tg1"})
    live.exchange.taken["tg1"].order["updatedTime"] = str(NOW_MS - older_ms)
    assert submit(live).state is state
    assert [alarm.kind for alarm in live.alarms] == ([] if state is OrderState.FILLED else [AlarmKind.MISMATCH])


@pytest.mark.parametrize(
    ("qty", "state"), [("0.010", OrderState.FILLED), ("0.011", OrderState.FILLED), ("0.012", OrderState.UNKNOWN)]
)
def test_a_reduction_may_have_been_cut_down_to_the_position_and_not_grown(
    live: Live, qty: str, state: OrderState
) -> None:
    live.exchange.take({"symbol": "BTCUSDT", "side": "Sell", "qty": qty, "orderLinkId": "tg1", "reduceOnly": True})
    assert submit(live, side=Side.SELL, reduce_only=True).state is state
    assert bool(live.alarms) == (state is OrderState.UNKNOWN)


def test_an_order_that_was_decided_while_the_clock_was_ahead_is_taken_for_what_it_is(live: Live) -> None:
    """The clock was a minute ahead and was set before the order was sent: Bybit dates it before its decision."""
    decided = replace(approved(), at_ms=NOW_MS + 60_000)
    assert live.run(live.venue.submit(decided)) == filled(Evidence.REALTIME)
    assert live.alarms == []


def test_an_order_other_than_the_acknowledged_one_is_an_alarm_and_unknown(live: Live) -> None:
    live.exchange.next(CREATE, Act(result={"orderId": "venue-other", "orderLinkId": "tg1"}))
    assert submit(live) == UNKNOWN
    assert [alarm.kind for alarm in live.alarms] == [AlarmKind.MISMATCH]
