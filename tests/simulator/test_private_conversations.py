"""The private stream as Bybit documents it, in conversations without a socket."""

import json
from dataclasses import replace
from typing import Any

import pytest
from stream_kit import FOREIGN, OWN, START_MS, Talk, a_venue, auth_args

from simulator.api.keys import ApiKey, KeyRing
from simulator.faults import Kind
from simulator.frame_gate import Line
from simulator.outbox import ABORT, FRAMES_MAX, GOING_AWAY, Outbox
from simulator.stream_auth import AHEAD_MS_MAX, stream_key
from simulator.trading.contract import TradeError

VECTOR_KEY = ApiKey(key="TESTKEY0001", secret="TESTSECRET0001", uid=1)  # noqa: S106 - published for tests
VECTOR = ["TESTKEY0001", 1_700_000_001_000, "df20a5ac96ee0e3f0a135860c59cfdc62df1dfd2c2781cca77ee88dfbb6985cc"]


def opened(args: Any, *, now_ms: int = 1_700_000_000_000, key: ApiKey = VECTOR_KEY, remote: str = "127.0.0.1") -> int:
    """The retCode of a log-in; 0 where it succeeds."""
    try:
        assert stream_key(args, KeyRing([key]), env="simulator", now_ms=now_ms, remote=remote) is key
    except TradeError as error:
        return error.code
    return 0


def test_the_published_signature_opens_the_stream_with_expires_as_number_or_text() -> None:
    assert opened(VECTOR) == 0
    assert opened([VECTOR[0], str(VECTOR[1]), VECTOR[2]]) == 0


@pytest.mark.parametrize(
    ("args", "changes", "code"),
    [
        (None, {}, 10001),
        ([], {}, 10001),
        (VECTOR[:2], {}, 10001),
        ([VECTOR[0], True, VECTOR[2]], {}, 10001),
        ([VECTOR[0], 1_700_000_001_000.0, VECTOR[2]], {}, 10001),
        ([VECTOR[0], "-1", VECTOR[2]], {}, 10001),
        ([VECTOR[0], "9" * 16, VECTOR[2]], {}, 10001),
        (["NOBODY", *VECTOR[1:]], {}, 10003),
        (["TESTKEY0001\ud800", *VECTOR[1:]], {}, 10003),
        (VECTOR, {"key": replace(VECTOR_KEY, env="mainnet")}, 10003),
        (VECTOR, {"key": replace(VECTOR_KEY, expires_ms=1)}, 33004),
        (VECTOR, {"now_ms": VECTOR[1]}, 10001),
        (VECTOR, {"now_ms": VECTOR[1] - AHEAD_MS_MAX - 1}, 10001),
        ([*VECTOR[:2], "0" * 64], {}, 10004),
        ([*VECTOR[:2], "\u00e4\ud800"], {}, 10004),
        ([VECTOR[0], VECTOR[1] + 1, VECTOR[2]], {}, 10004),
        (VECTOR, {"remote": "10.0.0.9"}, 10010),
    ],
)
def test_a_log_in_is_refused_for_the_first_thing_wrong_with_it(args: Any, changes: dict[str, Any], code: int) -> None:
    assert opened(args, **changes) == code


def test_a_log_in_is_answered_in_the_shape_of_the_private_socket() -> None:
    venue = a_venue()
    talk = Talk(venue.private.open())
    answer = talk.log_in(OWN, venue.now_ms())
    assert answer == {"success": True, "ret_msg": "", "op": "auth", "conn_id": talk.session.conn_id}


def test_a_refused_log_in_says_so_in_both_families_of_names_and_opens_nothing() -> None:
    venue = a_venue()
    talk = Talk(venue.private.open())
    answer = talk.ask(op="auth", args=["NOBODY", venue.now_ms() + 1_000, "0"], req_id="a")
    conn_id = talk.session.conn_id
    assert answer == {
        "success": False, "ret_msg": "API key is invalid.", "op": "auth", "conn_id": conn_id, "req_id": "a",
        "retCode": 10003, "retMsg": "API key is invalid.", "connId": conn_id,
    }  # fmt: skip
    assert talk.ask(op="subscribe", args=["order"])["success"] is False
    venue.order()
    assert talk.told() == []


def test_a_clock_that_is_off_refuses_the_log_in() -> None:
    venue = a_venue()
    venue.local.clock.skew_ms = 10_000
    talk = Talk(venue.private.open())
    assert talk.ask(op="auth", args=auth_args(OWN, START_MS + 1_000))["retCode"] == 10001


def test_a_subscription_is_acknowledged_and_one_before_the_log_in_refused() -> None:
    venue = a_venue()
    talk = Talk(venue.private.open())
    refusal = talk.ask(op="subscribe", req_id="r", args=["order"])
    assert (refusal["success"], refusal["ret_msg"], refusal["req_id"]) == (False, "Request not authorized", "r")
    talk.log_in(OWN, venue.now_ms())
    assert talk.ask(op="subscribe", req_id="r", args=["order", "wallet"]) == {
        "success": True, "ret_msg": "", "conn_id": talk.session.conn_id, "req_id": "r", "op": "subscribe",
    }  # fmt: skip


@pytest.mark.parametrize(
    "args",
    [
        None,
        "order",
        [],
        [7],
        [["order"]],
        ["orders"],
        ["order", "order.inverse"],
        ["order.linear", "wallet.linear"],
        ["position.spot"],
        ["order", "order.linear"],
        ["wallet", "execution.fast.linear"],
        ["order"] * 21,
    ],
)
def test_a_wrong_list_of_topics_is_refused_whole(args: Any) -> None:
    venue = a_venue()
    talk = venue.listener()
    refusal = talk.ask(op="subscribe", args=args)
    assert refusal["success"] is False
    assert refusal["ret_msg"]
    venue.order()
    assert talk.told() == []


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "7",
        '{"op": 7}',
        '{"op": {"a": 1}, "req_id": [1]}',
        "{}",
        pytest.param("[" * 60_000, id="nested"),
    ],
)
def test_what_is_no_request_is_refused_and_the_session_goes_on(text: str) -> None:
    venue = a_venue()
    talk = venue.listener("order")
    [refusal] = talk.say(text)
    assert refusal["success"] is False
    venue.order()
    assert talk.topics_told() == ["order"]


def test_a_ping_is_answered_with_the_pong_of_the_private_socket() -> None:
    venue = a_venue()
    talk = Talk(venue.private.open())
    conn_id = talk.session.conn_id
    assert talk.ask(op="ping", req_id="p") == {
        "req_id": "p", "op": "pong", "args": [str(START_MS)], "conn_id": conn_id,
    }  # fmt: skip
    assert talk.ask(op="ping") == {"op": "pong", "args": [str(START_MS)], "conn_id": conn_id}


def test_an_order_is_told_on_all_four_topics_with_nothing_in_front_of_it() -> None:
    venue = a_venue()
    talk = venue.listener("wallet", "position", "execution", "order")
    assert talk.told() == []
    accepted = venue.order(orderLinkId="a-1")
    frames = talk.told()
    assert {frame["topic"] for frame in frames} == {"order", "execution", "position", "wallet"}
    assert all(set(frame) == {"id", "topic", "creationTime", "data"} for frame in frames)
    assert all(isinstance(frame["creationTime"], int) for frame in frames)
    assert len({frame["id"] for frame in frames}) == len(frames)
    last = {frame["topic"]: frame["data"] for frame in frames}
    [order], [position] = last["order"], last["position"]
    assert (order["orderId"], order["orderLinkId"], order["orderStatus"]) == (accepted["orderId"], "a-1", "Filled")
    assert {fill["orderLinkId"] for fill in last["execution"]} == {"a-1"}
    assert (position["side"], position["size"]) == ("Buy", "0.01")
    assert float(position["entryPrice"]) > 0
    assert "avgPrice" not in position
    assert last["wallet"][0]["accountType"] == "UNIFIED"


def test_a_flat_position_is_told_without_a_side() -> None:
    venue = a_venue()
    talk = venue.listener("position")
    venue.order()
    venue.order(side="Sell", reduceOnly=True)
    flat = talk.told()[-1]["data"][0]
    assert (flat["side"], flat["size"]) == ("", "0")


def test_topics_of_a_category_tell_that_category_under_their_own_names() -> None:
    venue = a_venue()
    linear, spot, both = venue.listener("order.linear"), venue.listener("order.spot"), venue.listener("order")
    venue.order()
    venue.order(category="spot", side="Sell", marketUnit="baseCoin")
    assert set(linear.topics_told()) == {"order.linear"}
    assert set(spot.topics_told()) == {"order.spot"}
    assert {frame["data"][0]["category"] for frame in both.told()} == {"linear", "spot"}


def test_both_families_may_be_subscribed_in_two_requests() -> None:
    venue = a_venue()
    talk = venue.listener("order")
    assert talk.ask(op="subscribe", args=["order.linear"])["success"]
    venue.order()
    assert set(talk.topics_told()) == {"order", "order.linear"}


def test_fast_executions_have_few_fields() -> None:
    venue = a_venue()
    talk = venue.listener("execution.fast")
    venue.order(orderLinkId="f-1")
    [frame] = talk.told()
    assert frame["topic"] == "execution.fast"
    assert set(frame["data"][0]) == {
        "category", "symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "orderLinkId", "side",
        "execTime", "seq",
    }  # fmt: skip


def test_unsubscribing_ends_a_topic_and_leaves_the_others() -> None:
    venue = a_venue()
    talk = venue.listener("order", "execution")
    assert talk.ask(op="unsubscribe", args=["order"])["op"] == "unsubscribe"
    venue.order()
    assert set(talk.topics_told()) == {"execution"}


def test_only_the_account_of_the_key_is_told_and_every_key_of_it() -> None:
    venue = a_venue()
    other_key = venue.local.keys.find("OTHER", "simulator")
    assert other_key is not None
    foreign, other = venue.listener("order", key=FOREIGN), venue.listener("order", key=other_key)
    venue.order()
    assert foreign.topics_told() == ["order"]
    assert other.told() == []


def test_who_comes_back_is_not_told_what_was_missed() -> None:
    venue = a_venue()
    venue.order()
    talk = venue.listener("order", "execution", "position", "wallet")
    venue.scheduler.advance(60_000)
    assert talk.told() == []


def test_a_restart_of_trading_ends_the_session() -> None:
    venue = a_venue()
    talk = venue.listener("order")
    venue.local.restart_trading()
    assert talk.session.outbox.close_code == GOING_AWAY


def test_a_session_that_was_forgotten_is_told_nothing() -> None:
    venue = a_venue()
    talk = venue.listener("order")
    [session] = venue.private
    venue.private.forget(session)
    venue.order()
    assert talk.told() == []


def test_a_reader_that_takes_nothing_is_cut_off_and_holds_no_more_than_the_limit() -> None:
    outbox = Outbox()
    for number in range(FRAMES_MAX):
        outbox.put(str(number))
    assert (len(outbox), outbox.close_code) == (FRAMES_MAX, None)
    outbox.put("one too many")
    assert (len(outbox), outbox.close_code) == (0, ABORT)
    outbox.put("later")
    assert outbox.take() == []


def test_a_gap_loses_so_many_frames_of_its_topic() -> None:
    venue = a_venue()
    talk = venue.listener("order", "wallet")
    venue.fault(Kind.WS_GAP, topic="order", times=2)
    for _ in range(3):
        venue.order()
    assert talk.topics_told() == ["wallet", "wallet", "order", "wallet"]
    assert len(venue.local.engine.all_orders(1)) == 3


def test_a_gap_after_some_frames_lets_those_pass() -> None:
    venue = a_venue()
    talk = venue.listener("order")
    venue.fault(Kind.WS_GAP, topic="order", after=1)
    placed = [venue.order()["orderId"] for _ in range(3)]
    assert [frame["data"][0]["orderId"] for frame in talk.told()] == [placed[0], placed[2]]


def test_missed_fills_are_missed_on_every_execution_topic_and_only_there() -> None:
    venue = a_venue()
    talk = venue.listener("order", "execution", "execution.fast")
    venue.fault(Kind.WS_MISSED_FILLS, times=2)
    venue.order()
    assert talk.topics_told() == ["order"]
    venue.order()
    assert talk.topics_told() == ["order", "execution", "execution.fast"]


def test_a_duplicate_is_the_same_frame_twice() -> None:
    venue = a_venue()
    talk = venue.listener("execution")
    venue.fault(Kind.WS_DUPLICATE, topic="execution")
    venue.order()
    one, other = talk.told()
    assert one == other


def test_reordered_frames_change_places() -> None:
    venue = a_venue()
    talk = venue.listener("order", "execution")
    venue.fault(Kind.WS_REORDER, topic="order")
    venue.order()
    assert talk.topics_told() == ["execution", "order"]


def test_a_frame_that_was_held_back_comes_behind_the_next_answer_at_the_latest() -> None:
    venue = a_venue()
    talk = venue.listener("wallet")
    venue.fault(Kind.WS_REORDER, topic="wallet")
    venue.order()
    assert talk.told() == []
    pong, wallet = talk.say(json.dumps({"op": "ping"}))
    assert (pong["op"], wallet["topic"]) == ("pong", "wallet")


def test_a_double_filled_order_is_told_again_as_cancelled_too_late() -> None:
    venue = a_venue()
    talk = venue.listener("order")
    venue.fault(Kind.WS_DOUBLE_FILLED)
    venue.order()
    first, second = (frame["data"][0] for frame in talk.told()[-2:])
    assert (first["orderStatus"], second["orderStatus"]) == ("Filled", "Filled")
    assert second == first | {"cancelType": "CancelByUser", "rejectReason": "EC_OrigClOrdIDDoesNotExist"}
    assert first != second


def test_a_stalled_session_says_nothing_more_and_stays_open() -> None:
    venue = a_venue()
    stalled, other = venue.listener("order"), venue.listener("order")
    venue.fault(Kind.WS_STALL)
    venue.order()
    assert stalled.told() == []
    assert stalled.say(json.dumps({"op": "ping"})) == []
    assert stalled.session.outbox.close_code is None
    assert other.topics_told() == ["order"]


def test_a_half_open_session_hears_nothing_either() -> None:
    venue = a_venue()
    talk = venue.listener("order")
    venue.fault(Kind.WS_HALF_OPEN)
    assert talk.say(json.dumps({"op": "unsubscribe", "args": ["order"]})) == []
    assert talk.session.gate.line is Line.HALF_OPEN
    [session] = venue.private
    assert session.topics == {"order"}


def test_a_disconnect_is_at_once_and_without_a_word() -> None:
    venue = a_venue()
    one, other = venue.listener("order"), venue.listener("order")
    venue.fault(Kind.WS_DISCONNECT)
    assert (one.session.outbox.close_code, other.session.outbox.close_code) == (ABORT, None)


def test_a_disconnect_of_a_topic_comes_in_the_place_of_its_frame() -> None:
    venue = a_venue()
    talk = venue.listener("order", "execution")
    venue.fault(Kind.WS_DISCONNECT, topic="execution")
    assert talk.session.outbox.close_code is None
    venue.order()
    assert talk.session.outbox.close_code == ABORT


def test_a_log_in_is_refused_on_purpose_once() -> None:
    venue = a_venue()
    venue.fault(Kind.WS_REFUSE_AUTH)
    talk = Talk(venue.private.open())
    assert talk.log_in(OWN, venue.now_ms())["success"] is False
    assert talk.log_in(OWN, venue.now_ms())["success"] is True


def test_a_fault_by_key_hurts_the_streams_of_that_key_alone() -> None:
    venue = a_venue()
    venue.fault(Kind.WS_GAP, key=FOREIGN.key, times=None)
    venue.fault(Kind.WS_REFUSE_AUTH, key=FOREIGN.key)
    own, refused = venue.listener("order"), Talk(venue.private.open())
    assert refused.log_in(FOREIGN, venue.now_ms())["success"] is False
    foreign = venue.listener("order", key=FOREIGN)
    venue.order()
    assert (own.topics_told(), foreign.topics_told()) == (["order"], [])


def test_faults_of_the_same_seed_hit_the_same_frames() -> None:
    def heard() -> list[str]:
        venue = a_venue(faults_seed=5)
        talk = venue.listener("order", "execution", "position", "wallet")
        venue.fault(Kind.WS_GAP, times=None, probability=0.5)
        for _ in range(5):
            venue.order()
        return talk.topics_told()

    first = heard()
    assert first == heard()
    assert 0 < len(first) < 20


def test_no_push_has_a_number_with_a_fraction() -> None:
    venue = a_venue()
    talk = venue.listener("order", "execution", "position", "wallet")
    venue.order()
    for frame in talk.told():
        for row in frame["data"]:
            assert not [name for name, value in row.items() if isinstance(value, float)]
